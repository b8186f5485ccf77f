"""Datagrams: CPU for each, what is lost, and whether memory grows when more come than can be served."""

import json
import os
import pathlib
import subprocess

from proxies import FIRST_PORT, Proxy, tree
from tables import median, number, table

TARGET_PORT = 2001
RELAY_PORT = FIRST_PORT + 100
BYTES = 1200
RATE = 20000
FLOOD = 400000
MODES = ("up", "down", "echo")
# How many leave together. A datagram by itself costs the waking of a thread, whoever does it; those
# of video, of QUIC or of a game server come several at a time.
BURSTS = (16, 1)
REFERENCES = (("udp-relay", "/ relay"), ("hev", "/ hev"), ("dante", "/ dante"))

# (mode, how many leave together, rate, bytes).
FLOODS = [("up", 64, FLOOD, BYTES), ("down", 64, FLOOD, BYTES)]

LOAD_S = 60


def relay(build):
    proxy = Proxy("udp-relay", "bare relay", "--direct",
                  [f"{build}/bench/udp-relay", "127.0.0.1:{port}", f"127.0.0.1:{TARGET_PORT}"])
    proxy.port = RELAY_PORT
    proxy.await_ready = lambda log: None    # it listens to no connections
    return proxy


def chosen_of(proxies, build):
    """Those that carry datagrams."""
    return [relay(build)] + [p for p in proxies if p.name in ("sockeye-1", "hev", "dante")]


def rss_kib(proxy):
    pages = sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
                for pid in tree(proxy.process.pid))
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


class Datagrams:
    def __init__(self, bench, proxies, sizes=(BYTES,), references=REFERENCES):
        self.bench = bench
        self.proxies = proxies
        self.sizes = sizes
        self.references = references
        self.tests = [(mode, burst, RATE, size) for size in sizes for burst in BURSTS for mode in MODES]
        self.program = bench.load_program.replace("/load", "/udp")
        self.results = {test: {p.name: [] for p in proxies} for test in self.tests}
        self.floods = {}

    def load(self, proxy, test, ms):
        mode, burst, rate, size = test
        options = ["--burst", burst, "--rate", rate, "--bytes", size, "--ms", ms, "--warm-ms", 200]
        command = [self.program, mode, "--pid", proxy.process.pid, *proxy.path(), *options]
        try:
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                                  timeout=LOAD_S, preexec_fn=self.bench.pin_load, check=False)
            problem = done.stderr.strip()
        except subprocess.TimeoutExpired:
            done, problem = None, "no end"
        if done is not None and done.returncode == 0:
            return json.loads(done.stdout)
        self.bench.notes.append(f"{proxy.label}: datagrams {mode}: {problem}")
        return None

    def measure(self, say):
        ms = self.bench.plan.rate_ms
        for i in range(self.bench.plan.rounds):
            say(f"datagrams, round {i + 1} of {self.bench.plan.rounds}")
            turn = i % len(self.proxies)
            for test in self.tests:
                for proxy in self.proxies[turn:] + self.proxies[:turn]:
                    self.results[test][proxy.name].append(self.load(proxy, test, ms))
        for proxy in self.proxies:
            first = rss_kib(proxy)
            floods = [self.load(proxy, test, ms) for test in FLOODS]
            self.floods[proxy.name] = {"before_kib": first, "after_kib": rss_kib(proxy),
                                       "results": floods}

    # What it comes to

    def series(self, proxy, test, field):
        return [r[field] if r is not None else None for r in self.results[test][proxy]]

    def ratio(self, proxy, reference, test):
        pairs = zip(self.series(proxy, test, "cpu_us_each"),
                    self.series(reference, test, "cpu_us_each"))
        return median([a / b for a, b in pairs if a is not None and b])

    def mean_ratio(self, proxy, reference, burst, size):
        if not any(p.name == reference for p in self.proxies):
            return None
        ratios = [self.ratio(proxy, reference, (mode, burst, RATE, size)) for mode in MODES]
        known = [r for r in ratios if r is not None]
        return sum(known) / len(known) if known else None

    def most_lost(self, proxy):
        """In any of the tests, each by its median."""
        lost = [median(self.series(proxy, test, "lost")) for test in self.tests]
        return None if None in lost else max(lost)

    def row(self, proxy, burst, size):
        cells = []
        for mode in MODES:
            test = (mode, burst, RATE, size)
            cells.append(number(median(self.series(proxy.name, test, "cpu_us_each")), 2))
            cells.append(number(median(self.series(proxy.name, test, "lost")), 0))
        cells += [number(self.mean_ratio(proxy.name, reference, burst, size), 2)
                  for reference, _ in self.references]
        return [proxy.label, *cells]

    def report(self):
        head = ["", "up: CPU us", "lost", "down", "lost", "echo", "lost",
                *[title for _, title in self.references]]
        parts = [table(f"Datagrams of {size:,} bytes, {RATE:,} a second, {burst} at a time", head,
                       [self.row(p, burst, size) for p in self.proxies])
                 for size in self.sizes for burst in BURSTS]
        rows = []
        for p in self.proxies:
            flood = self.floods[p.name]
            passed = [number(100 * r["received"] / r["sent"], 0) + "%" if r else "-"
                      for r in flood["results"]]
            rows.append([p.label, *passed, number(flood["before_kib"], 0),
                         number(flood["after_kib"], 0)])
        parts.append(table(f"{FLOOD:,} a second: what comes through, and the proxy's memory",
                           ["", "up", "down", "KiB before", "after"], rows))
        return "\n".join(parts)

    def as_json(self):
        rounds = {f"{mode} {burst} {rate} {size}": each
                  for (mode, burst, rate, size), each in self.results.items()}
        return {"rounds": rounds, "floods": self.floods}
