"""The programs that are measured: how each is started, found ready and stopped.

Everything runs in a network namespace of its own, so ports are fixed, and in a process namespace
of its own, so nothing outlives the run.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import time

ORIGIN_PORT = 2000
FIRST_PORT = 3001
READY_S = 5

SOCKEYE = """\
workers: {workers}
user: ''
log: {{access: false, level: warn}}
admin: {{socket: ''}}
inbounds:
  - {{type: socks, name: bench, listen: "127.0.0.1:{port}", allow_targets: ["127.0.0.0/8"]}}
"""

DANTE = """\
logoutput: /dev/null
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""

HEV = """\
main:
  workers: {cpus}
  port: {port}
  listen-address: '127.0.0.1'
misc:
  log-level: error
  limit-nofile: {descriptors}
"""


class BenchError(Exception):
    """Something that ends the run, said in one line."""


class Proxy:
    """One program under measure. `way` is the generator's option that leads through it, None
    straight to the origin; `idle_cap` bounds the idle connections where each is very costly."""

    def __init__(self, name, label, way, command, config=None, idle_cap=None):
        self.name = name
        self.label = label
        self.way = way
        self.command = command
        self.config = config
        self.idle_cap = idle_cap
        self.port = None
        self.process = None

    def start(self, folder, descriptors):
        values = {"port": self.port, "cpus": os.cpu_count(), "descriptors": descriptors}
        path = pathlib.Path(folder, f"{self.name}.conf")
        if self.config is not None:
            path.write_text(self.config.format(**values))
        command = [part.format(config=path, **values) for part in self.command]
        log = pathlib.Path(folder, f"{self.name}.log")
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if self.name == "microsocks" else out)
        self.await_ready(log)

    def await_ready(self, log):
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        said = log.read_text(errors="replace").strip().splitlines()
        raise BenchError(f"{self.label} does not start: {said[-1] if said else 'no message'}")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def path(self):
        """The generator's options for the way through this proxy."""
        if self.way is None:
            return []
        return [self.way, f"127.0.0.1:{self.port}"]

    def pin(self, cpus):
        """Binds every thread of the process and of its descendants."""
        for pid in tree(self.process.pid):
            for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    os.sched_setaffinity(int(thread.name), cpus)
                except ProcessLookupError:
                    pass


def tree(pid):
    pids = [pid]
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                pids += tree(int(child))
        except OSError:
            pass
    return pids


def relay(build, mode):
    return [f"{build}/bench/relay", mode, "127.0.0.1:{port}", f"127.0.0.1:{ORIGIN_PORT}"]


def sockeye(build, workers):
    return Proxy(f"sockeye-{workers}", f"sockeye, workers: {workers}", "--proxy",
                 [f"{build}/sockeye", "run", "-c", "{config}"],
                 SOCKEYE.replace("{workers}", str(workers)))


def sockeye_twice(build):
    """Two processes with a worker each on one port; the first ends with the second."""
    run = f"{build}/sockeye run -c {{config}}"
    return Proxy("sockeye-twice", "sockeye, two processes on one port", "--proxy",
                 ["sh", "-c", f"setpriv --pdeathsig KILL {run} & exec {run}"],
                 SOCKEYE.replace("{workers}", "1").replace("listen:", "reuse_port: true, listen:"))


def available(build):
    """Those that can run here, in the order of the tables, and the names of those that cannot."""
    proxies = [
        Proxy("none", "none (no proxy)", None, [f"{build}/bench/origin", "127.0.0.1:{port}"]),
        Proxy("blind", "bare relay, blind", "--direct", relay(build, "--blind")),
        Proxy("canned", "bare relay, canned", "--proxy", relay(build, "--canned")),
        sockeye(build, 1),
        sockeye(build, 0),
        sockeye_twice(build),
        Proxy("hev", "hev-socks5-server", "--proxy", ["hev-socks5-server", "{config}"], HEV),
        Proxy("microsocks", "microsocks", "--proxy",
              ["microsocks", "-i", "127.0.0.1", "-p", "{port}"]),
        Proxy("dante", "dante", "--proxy", ["danted", "-f", "{config}"], DANTE, idle_cap=200),
    ]
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    missing = [p for p in proxies if shutil.which(p.command[0], path=path) is None]
    found = [p for p in proxies if p not in missing]
    for i, proxy in enumerate(found):
        proxy.port = FIRST_PORT + i if proxy.name != "none" else ORIGIN_PORT
        proxy.command[0] = shutil.which(proxy.command[0], path=path)
    return found, [p.label for p in missing]
