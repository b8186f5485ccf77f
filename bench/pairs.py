"""Tunnels: client -> near end (SOCKS5) -> far end -> origin, both ends measured as one.

The limit is a bare sealing pair (bench/pair.c). Like a plain proxy in `own`, both ends of a tunnel
have one processor together, so what is compared is what they cost; on all processors, generator and
origin beside them, is what several processes are worth.
"""

import pathlib
import shlex
import shutil
import socket
import subprocess
import time

import datagrams
from measure import ALL, BULK, OWN, RTT_1, RTT_64, SHORT, SHORT_ON_ALL
from proxies import ORIGIN_PORT, BenchError, Proxy
from tables import (CPU_PER_GB, GB_PER_S, GB_PER_S_64, P50_AT_1, P50_AT_64, Figures, median,
                    number, table, verdict)

NEAR_PORT, FAR_PORT = 3601, 3701
READY_S = 15

MANY_IDLE = 10000

BULK_ON_ALL = [(mode, 8, ALL) for mode in ("down", "up")]
TESTS = BULK + BULK_ON_ALL + [SHORT, SHORT_ON_ALL, RTT_1, RTT_64]
REFERENCES = ("bare", "shadowsocks", "shadowsocks-twice")

SOCKEYE_COMMON = """\
workers: 1
user: ''
state: {state}
log: {{access: false, level: warn}}
admin: {{socket: ''}}
"""
# 32 bytes: AES-256-GCM or, where that has no instructions, ChaCha20-Poly1305.
SOCKEYE_KEY = "QmVuY2htYXJrcyBoYXZlIG5vIHNlY3JldCB0byBrZWU="
SOCKEYE_NEAR = SOCKEYE_COMMON + """\
inbounds:
  - {{type: socks, name: bench, listen: "127.0.0.1:{port}"}}
outbounds:
  - {{type: tunnel, name: far, server: ["127.0.0.1:{far}"], key: "%s", links: LINKS}}
""" % SOCKEYE_KEY
SOCKEYE_FAR = SOCKEYE_COMMON + """\
inbounds:
  - {{type: tunnel, name: bench, listen: "127.0.0.1:{far}", key: "%s",
     allow_targets: ["127.0.0.0/8"]}}
""" % SOCKEYE_KEY


class Pair(Proxy):
    """Two ends. Commands are words with {port}, {far}, {near_config} and {far_config} in them; each
    end may run several times on its port."""

    def __init__(self, name, label, near, far, configs=(None, None), times=1):
        super().__init__(name, label, "--proxy", [near[0]])
        self.ends = {"near": near, "far": far}
        self.configs = dict(zip(("near", "far"), configs))
        self.times = times
        self.far_port = None

    def values(self, folder, end):
        state = pathlib.Path(folder, f"{self.name}-{end}")
        return {"port": self.port, "far": self.far_port, "state": state,
                "near_config": f"{folder}/{self.name}-near.conf",
                "far_config": f"{folder}/{self.name}-far.conf"}

    def write_configs(self, folder):
        for end, config in self.configs.items():
            if config is not None:
                pathlib.Path(folder, f"{self.name}-{end}").mkdir(exist_ok=True)
                pathlib.Path(folder, f"{self.name}-{end}.conf").write_text(
                    config.format(**self.values(folder, end)))

    def start(self, folder, descriptors):
        """All under one shell, whose tree is measured; the others end with the last near end."""
        self.write_configs(folder)
        command = {end: shlex.join(word.format(**self.values(folder, end)) for word in words)
                   for end, words in self.ends.items()}
        beside = [command["far"]] * self.times + [command["near"]] * (self.times - 1)
        line = "".join(f"setpriv --pdeathsig KILL {one} & " for one in beside)
        log = pathlib.Path(folder, f"{self.name}.log")
        with open(log, "wb") as out:
            self.process = subprocess.Popen(["sh", "-c", f"{line} exec {command['near']}"],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.await_ready(log)

    def await_ready(self, log):
        """Until a byte has gone to the origin and back."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.echoes():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        said = log.read_text(errors="replace").strip().splitlines()
        raise BenchError(f"{self.label} carries nothing: {said[-1] if said else 'no message'}")

    def echoes(self):
        with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
            sock.settimeout(2)
            sock.sendall(b"\5\1\0")
            if sock.recv(2) != b"\5\0":
                return False
            sock.sendall(b"\5\1\0\1\x7f\0\0\1" + ORIGIN_PORT.to_bytes(2, "big"))
            if sock.recv(10)[:2] != b"\5\0":
                return False
            sock.sendall(b"echo\nx")
            return sock.recv(1) == b"x"


def bare(build):
    return Pair("bare", "bare sealing pair",
                [f"{build}/bench/pair", "near", "127.0.0.1:{port}", "127.0.0.1:{far}"],
                [f"{build}/bench/pair", "far", "127.0.0.1:{far}", f"127.0.0.1:{ORIGIN_PORT}"])


def relays(build):
    return Pair("relays", "two bare relays, nothing sealed",
                [f"{build}/bench/relay", "--canned", "127.0.0.1:{port}", "127.0.0.1:{far}"],
                [f"{build}/bench/relay", "--blind", "127.0.0.1:{far}", f"127.0.0.1:{ORIGIN_PORT}"])


def shadowsocks(name, label, times):
    both = ["-s", "127.0.0.1", "-p", "{far}", "-k", "bench", "-m", "aes-256-gcm", "-t", "600",
            "-n", "20000", "--reuse-port" if times > 1 else "-u"]
    return Pair(name, label, ["ss-local", "-b", "127.0.0.1", "-l", "{port}", *both],
                ["ss-server", *both], times=times)


def sockeye(build, name, label, n_links):
    near = SOCKEYE_NEAR.replace("LINKS", str(n_links))
    return Pair(name, label, [f"{build}/sockeye", "run", "-c", "{near_config}"],
                [f"{build}/sockeye", "run", "-c", "{far_config}"], (near, SOCKEYE_FAR))


def available(build):
    """Those that can run here, in the order of the table, and the names of those that cannot."""
    origin = Proxy("none", "none (no tunnel)", None, [f"{build}/bench/origin", "127.0.0.1:{port}"])
    pairs = [relays(build), bare(build), sockeye(build, "sockeye", "sockeye", 1),
             sockeye(build, "sockeye-links", "sockeye, links: 4", 4),
             shadowsocks("shadowsocks", "shadowsocks-libev", 1),
             shadowsocks("shadowsocks-twice", "the same, two processes at each end", 2)]
    missing = [p for p in pairs if shutil.which(p.command[0]) is None]
    found = [p for p in pairs if p not in missing]
    origin.port = ORIGIN_PORT
    for i, pair in enumerate(found):
        pair.port, pair.far_port = NEAR_PORT + i, FAR_PORT + i
    return [origin, *found], [p.label for p in missing]


# What is compared, with whom, this step's bound, the later one (None: there is none).
TARGETS = [
    ("bulk GB/s", GB_PER_S, "shadowsocks", ">=", 1.35, 1.5),
    ("bulk GB/s", GB_PER_S, "shadowsocks-twice", ">=", None, None),
    ("bulk GB/s", GB_PER_S, "bare", ">=", 0.75, 0.8),
    ("bulk CPU s/GB", CPU_PER_GB, "shadowsocks", "<=", 0.7, 0.6),
    ("short connections/s", (SHORT, "per_s"), "shadowsocks", ">=", 1.25, 1.4),
    ("round trip p50, one", P50_AT_1, "shadowsocks", "<=", 1.0, None),
    ("round trip p50, 64", P50_AT_64, "shadowsocks", "<=", 1.0, None),
]


DATAGRAM_SIZES = (1200, 64)
DATAGRAM_PAIRS = ("sockeye", "shadowsocks")


def measure_datagrams(bench, say, folder):
    """By pairs started anew, all that carry them; None: neither is here."""
    chosen = [pair for pair in bench.proxies if pair.name in DATAGRAM_PAIRS]
    for pair in chosen:
        pair.stop()
        pair.start(folder, bench.descriptors)
        pair.pin(bench.cpus_for(OWN))
    if not chosen:
        return None
    measured = datagrams.Datagrams(bench, chosen, DATAGRAM_SIZES, [("shadowsocks", "/ ss")])
    measured.measure(say)
    for pair in chosen:
        pair.stop()
    return measured


def datagrams_report(measured):
    lost = measured.most_lost("sockeye")
    rows = [["datagrams lost, at most", number(lost, 0), verdict(lost, "<=", 0)]]
    for size in measured.sizes:
        for burst in datagrams.BURSTS:
            ratio = measured.mean_ratio("sockeye", "shadowsocks", burst, size)
            rows.append([f"CPU for one of {size:,} bytes, {burst} at a time / shadowsocks-libev",
                         number(ratio, 2), verdict(ratio, "<=", 0.7)])
    return measured.report() + "\n" + table("Targets: datagrams", ["", "is", "target"], rows)


class Pairs:
    def __init__(self, bench, rounds):
        self.bench = bench
        self.pairs = bench.proxies
        self.figures = Figures({}, rounds)
        self.memories, self.many_idle = {}, None
        # sockeye takes half as many connections as it has descriptors, less its own.
        self.n_many = min(MANY_IDLE, (bench.descriptors - 100) // 2)

    def measure(self, say, folder):
        self.figures.results = self.bench.rounds(say, TESTS)
        for pair in self.pairs[1:]:
            pair.stop()
        for pair in self.pairs[1:]:
            say(f"memory of {pair.label}")
            pair.start(folder, self.bench.descriptors)
            self.memories[pair.name] = self.bench.memory(pair)
            pair.stop()
        for pair in self.pairs:
            if pair.name == "sockeye":
                say(f"{self.n_many} idle streams")
                pair.start(folder, self.bench.descriptors)
                self.many_idle = self.bench.idle_kib_each(pair, self.n_many)
                pair.stop()

    def ratios(self, pair, figure):
        return [number(self.figures.ratio(pair.name, r, figure), 2) if r != pair.name else "1"
                for r in REFERENCES]

    def bulk_table(self, field, figure, title, digits):
        rows = []
        for pair in self.pairs:
            series = [self.figures.series(pair.name, test, field) for test in BULK + BULK_ON_ALL]
            cells = [number(median(each), digits) for each in series]
            mean = number(median(self.figures.bulk(pair.name, field)), digits)
            rows.append([pair.label, *cells[:len(BULK)], mean, *self.ratios(pair, figure),
                         *cells[len(BULK):]])
        head = ["", *[f"{mode} {n}" for mode, n, _ in BULK], "geo. mean", "/ bare", "/ ss", "/ ss x2",
                *[f"{mode} {n}, all CPUs" for mode, n, _ in BULK_ON_ALL]]
        return table(title, head, rows)

    def rate_table(self):
        columns = [("short/s", (SHORT, "per_s"), 0), ("CPU us", (SHORT, "cpu_us_each"), 1),
                   ("short/s, all CPUs", (SHORT_ON_ALL, "per_s"), 0),
                   ("p50 at 1, us", P50_AT_1, 1), ("p50 at 64", P50_AT_64, 1)]
        rows = []
        for pair in self.pairs:
            row = [pair.label]
            for _, figure, digits in columns:
                row += [number(median(self.figures.of(pair.name, figure)), digits),
                        *self.ratios(pair, figure)[:2]]
            rows.append(row)
        head = [""]
        for name, _, _ in columns:
            head += [name, "/ bare", "/ ss"]
        return table("Short connections, 64 at a time; round trips of 64 bytes", head, rows)

    def memory_table(self):
        rows = []
        for pair in self.pairs[1:]:
            m = self.memories.get(pair.name)
            if m is not None:
                rows.append([pair.label, number(m["empty_rss_kib"], 0), number(m["n_idle"], 0),
                             number(m.get("idle_kib_each"), 2), number(m["fds_each"], 2),
                             number(m.get("wake_ups"), 0), number(m.get("idle_cpu_ms"), 1)])
        head = ["", "empty KiB", "idle", "KiB each", "fds each",
                f"wake-ups {self.bench.plan.hold_ms / 1000:g} s", "CPU ms"]
        return table("Memory and descriptors of both ends (RSS; PSS for each idle stream)", head, rows)

    def targets_table(self):
        names = {p.name: p.label for p in self.pairs}
        rows = []
        for what, figure, reference, relation, now, later in TARGETS:
            if reference in names:
                value = self.figures.ratio("sockeye", reference, figure)
                rows.append([f"{what} / {names[reference]}", number(value, 3),
                             verdict(value, relation, now), verdict(value, relation, later)])
        links = self.figures.ratio("sockeye-links", "sockeye", GB_PER_S_64) if "sockeye-links" in names else None
        rows.append(["64 streams over four links / over one, GB/s", number(links, 3), "",
                     verdict(links, ">=", 0.95)])
        idle = (self.memories.get("sockeye") or {}).get("idle_kib_each")
        for what, kib in (("idle stream, KiB", idle), (f"the same, {self.n_many:,} in one session", self.many_idle)):
            rows.append([what, number(kib, 3), verdict(kib, "<=", 4), verdict(kib, "<=", 3)])
        return table("Targets: sockeye, both ends", ["", "is", "this step", "later"], rows)

    def report(self):
        parts = [self.bulk_table("gb_per_s", GB_PER_S, "Bulk, GB/s (streams)", 2),
                 self.bulk_table("cpu_s_per_gb", CPU_PER_GB,
                                 "Bulk, CPU s/GB of both ends (none: the origin's)", 3),
                 self.rate_table(), self.memory_table()]
        if "sockeye" in {p.name for p in self.pairs}:
            parts.append(self.targets_table())
        return "\n".join(parts)

    def as_json(self):
        rounds = {f"{mode} {n} {where}": each
                  for (mode, n, where), each in self.figures.results.items()}
        return {"results": rounds, "memory": self.memories, "many_idle_kib_each": self.many_idle}
