"""HTTP forwarding with connections kept open: requests a second beside nginx's proxy_pass, privoxy and tinyproxy.

The client is wrk, the same for all, and so are its bytes: the absolute form that one says to a
proxy, which nginx takes too. The origin is nginx with an answer of 1,024 bytes out of its memory.
"""

import os
import pathlib
import re
import shutil
import subprocess

from measure import LOAD_S, OWN, SHARED
from proxies import ORIGIN_PORT, Proxy
from tables import median, table

CONNECTIONS = 64
FIRST_PORT = 3501

NGINX_ORIGIN = """\
daemon off; master_process off; worker_processes 1; pid {config}.pid; error_log stderr;
events {{ worker_connections 4000; }}
http {{ access_log off; keepalive_requests 1000000000; types {{ }}
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "%s"; }} }} }}
""" % ("x" * 1024)

NGINX_PROXY = """\
daemon off; master_process off; worker_processes 1; pid {config}.pid; error_log stderr;
events {{ worker_connections 4000; }}
http {{ access_log off; keepalive_requests 1000000000;
  upstream origin {{ server 127.0.0.1:%d; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
""" % ORIGIN_PORT

SOCKEYE = """\
workers: 1
user: ''
log: {{access: false, level: warn}}
admin: {{socket: ''}}
inbounds:
  - {{type: http, name: bench, listen: "127.0.0.1:{port}", allow_targets: ["127.0.0.0/8"]}}
"""

PRIVOXY = """\
listen-address 127.0.0.1:{port}
keep-alive-timeout 60
connection-sharing 1
max-client-connections 512
"""

TINYPROXY = """\
Port {port}
Listen 127.0.0.1
MaxClients 512
LogLevel Critical
"""


class Web(Proxy):
    """A Proxy whose configuration may name its own file, and that may close each connection behind
    its answer, which wrk counts as errors of reading."""

    closes = False

    def start(self, folder, descriptors):
        path = pathlib.Path(folder, f"{self.name}.conf")
        if self.config is not None:
            self.config = self.config.replace("{config}", str(path))
        super().start(folder, descriptors)


def nginx(name, label, config):
    return Web(name, label, None, ["nginx", "-e", "stderr", "-c", "{config}"], config)


class Forwarding:
    def __init__(self, bench, build, folder, descriptors):
        self.bench = bench
        self.folder = folder
        self.descriptors = descriptors
        self.origin = nginx("web-origin", "the origin, no proxy", NGINX_ORIGIN)
        self.proxies = [
            Web("sockeye-http", "sockeye, workers: 1", None,
                [f"{build}/sockeye", "run", "-c", "{config}"], SOCKEYE),
            nginx("nginx", "nginx proxy_pass, one worker", NGINX_PROXY),
            Web("privoxy", "privoxy", None, ["privoxy", "--no-daemon", "{config}"], PRIVOXY),
            Web("tinyproxy", "tinyproxy", None, ["tinyproxy", "-d", "-c", "{config}"], TINYPROXY),
        ]
        self.proxies[-1].closes = True
        self.results = {}

    def missing(self):
        """What has to be there, and is not."""
        path = os.environ.get("PATH", "") + ":/usr/sbin"
        return [p for p in ("wrk", "nginx") if shutil.which(p, path=path) is None]

    def measure(self, say):
        path = os.environ.get("PATH", "") + ":/usr/sbin"
        self.proxies = [p for p in self.proxies if shutil.which(p.command[0], path=path)]
        lua = pathlib.Path(self.folder, "absolute.lua")
        lua.write_text(f'wrk.path = "http://127.0.0.1:{ORIGIN_PORT}/"\n')
        ports = [ORIGIN_PORT, *range(FIRST_PORT, FIRST_PORT + len(self.proxies))]
        started = [self.origin, *self.proxies]
        for proxy, port in zip(started, ports):
            proxy.port = port
            proxy.start(self.folder, self.descriptors)
            proxy.pin(self.bench.cpus_for(SHARED if proxy is self.origin else OWN))
        self.results = {p.name: [] for p in started}
        for i in range(self.bench.plan.rounds):
            say(f"forwarding, round {i + 1} of {self.bench.plan.rounds}")
            turn = i % len(started)
            for proxy in started[turn:] + started[:turn]:
                self.results[proxy.name].append(self.one(proxy, lua))
        for proxy in started:
            proxy.stop()

    def one(self, proxy, lua):
        """Requests a second, or None and a note: a proxy that answers anything but 200 has failed."""
        seconds = max(1, round(self.bench.plan.rate_ms / 700 * 2))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", str(lua),
                   f"http://127.0.0.1:{proxy.port}/"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_S,
                              preexec_fn=self.bench.pin_load, check=False)
        rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
        bad = r"Non-2xx.*|Socket errors: connect [1-9].*" + ("" if proxy.closes else "|Socket errors.*")
        problem = re.search(bad, done.stdout)
        if rate is None or problem:
            what = problem.group() if problem else done.stderr.strip() or "no figure"
            self.bench.notes.append(f"{proxy.label}: forwarding: {what}")
            return None
        return float(rate.group(1))

    def ratio(self, name):
        """The median of sockeye's rate over this one's, within each round."""
        pairs = zip(self.results["sockeye-http"], self.results[name])
        ratios = [ours / theirs for ours, theirs in pairs if ours and theirs]
        return f"{median(ratios):.2f}" if ratios else "-"

    def report(self):
        rows = []
        for proxy in [self.origin, *self.proxies]:
            rates = [rate for rate in self.results[proxy.name] if rate]
            rows.append([proxy.label, f"{median(rates):,.0f}" if rates else "-", self.ratio(proxy.name)])
        return table(f"HTTP forwarding, {CONNECTIONS} connections kept open, answers of 1,024 bytes",
                     ["", "requests/s", "sockeye / it"], rows)

    def as_json(self):
        return self.results
