"""The measurements: interleaved rounds for speed, a fresh process each for memory."""

import json
import os
import subprocess

from proxies import ORIGIN_PORT, BenchError

# Tests are (mode, connections, where the proxy runs). Generator and origin are bound to one
# processor. The proxy has another for itself, which makes it the one that limits and was the
# steadiest of the layouts tried; or all of them, to see what several threads are worth; or it
# shares theirs: a single round trip across processors is the time to wake one, whoever asks.
OWN, ALL, SHARED = "own", "all", "shared"

BULK = [(mode, n, OWN) for mode in ("down", "up") for n in (1, 8, 64)]
SHORT = ("short", 64, OWN)
SHORT_ON_ALL = ("short", 64, ALL)
RTT_1 = ("rtt", 1, SHARED)
RTT_64 = ("rtt", 64, OWN)
TESTS = BULK + [SHORT, SHORT_ON_ALL, RTT_1, RTT_64]

# What ends a generator that hangs. It bounds itself well below.
LOAD_S = 90


class Plan:
    """How long and how often."""

    def __init__(self, rounds, quick):
        self.rounds = rounds
        self.bulk_ms, self.rate_ms, self.warm_ms = (150, 200, 60) if quick else (500, 700, 150)
        self.idle, self.burst = (1000, 2000) if quick else (4000, 9000)
        self.hold_ms = 1000 if quick else 10000


class Bench:
    def __init__(self, build, proxies, plan, descriptors):
        self.load_program = f"{build}/bench/load"
        self.proxies = proxies
        self.plan = plan
        self.descriptors = descriptors
        self.cpus = sorted(os.sched_getaffinity(0))
        self.notes = []

    def cpus_for(self, where):
        """{OWN: ..., ALL: ..., SHARED: ...}; with one processor they are all the same."""
        return {OWN: {self.cpus[-1 if len(self.cpus) == 1 else 1]}, ALL: set(self.cpus),
                SHARED: {self.cpus[0]}}[where]

    def pin_all(self):
        """Puts everyone where most tests want them. Proxies start unbound, so that one with a
        thread for each processor has made them."""
        for proxy in self.proxies:
            proxy.pin(self.cpus_for(SHARED if proxy.name == "none" else OWN))

    def load(self, proxy, mode, options):
        """One run of the generator: what it says, or None and a note. A proxy that fails at one
        thing is still measured at the others."""
        command = [self.load_program, mode, "--origin", f"127.0.0.1:{ORIGIN_PORT}",
                   "--pid", str(proxy.process.pid), *proxy.path(), *map(str, options)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_S,
                                  preexec_fn=self.pin_load, check=False)
            result = json.loads(done.stdout) if done.returncode == 0 else None
            problem = done.stderr.strip()
        except subprocess.TimeoutExpired:
            result, problem = None, "no end"
        if result is not None and result.get("failed", 0) > 0:
            problem = f"{result['failed']} connections failed"
            result = None
        if result is None:
            self.notes.append(f"{proxy.label}: {mode} {' '.join(map(str, options))}: {problem}")
        return result

    def pin_load(self):
        os.sched_setaffinity(0, self.cpus_for(SHARED))

    def one(self, proxy, test):
        mode, n, where = test
        plan = self.plan
        ms = plan.bulk_ms if mode in ("down", "up") else plan.rate_ms
        moves = where != OWN and proxy.name != "none"
        if moves:
            proxy.pin(self.cpus_for(where))
        result = self.load(proxy, mode, ["-n", n, "--ms", ms, "--warm-ms", plan.warm_ms])
        if moves:
            proxy.pin(self.cpus_for(OWN))
        return result

    def rounds(self, say, tests=TESTS):
        """{test: {proxy: [a result for each round]}}. In a round each test goes through all
        proxies before the next begins, so the pairs that are compared are seconds apart; who
        begins changes from round to round."""
        results = {test: {p.name: [] for p in self.proxies} for test in tests}
        for i in range(self.plan.rounds):
            say(f"round {i + 1} of {self.plan.rounds}")
            turn = i % len(self.proxies)
            for test in tests:
                for proxy in self.proxies[turn:] + self.proxies[:turn]:
                    results[test][proxy.name].append(self.one(proxy, test))
        return results

    def closes(self):
        return {p.name: self.load(p, "closes", []) for p in self.proxies}

    def fitting(self, proxy, wanted, fds_each):
        """How many connections the proxy has descriptors for: at the limit some stop serving."""
        fit = int((self.descriptors - 200) / max(fds_each, 2))
        return min(wanted, fit, proxy.idle_cap or wanted)

    def idle_kib_each(self, proxy, n):
        """Of that many that rest. None: it has no room for them."""
        idle = self.load(proxy, "idle", ["-n", n, "--ms", 0])
        return idle and (idle["held"]["pss_kib"] - idle["before"]["pss_kib"]) / n

    def memory(self, proxy):
        """A fresh process: empty, a first hundred, idle connections, a burst."""
        hundred = self.load(proxy, "idle", ["-n", 100, "--ms", 0])
        if hundred is None:
            return None
        before, held, after = hundred["before"], hundred["held"], hundred["after"]
        # Of a proxy with a process for every few connections, those of the processes count too.
        fds_each = (held["fds"] - before["fds"]) / 100
        n_idle = self.fitting(proxy, self.plan.idle, fds_each)
        idle = self.load(proxy, "idle", ["-n", n_idle, "--ms", self.plan.hold_ms])
        n_burst = self.fitting(proxy, self.plan.burst, fds_each)
        burst = self.load(proxy, "idle", ["-n", n_burst, "--ms", 0])
        memory = {"empty_rss_kib": before["rss_kib"], "fds_each": fds_each,
                  "after_hundred_rss_kib": after["rss_kib"], "n_idle": n_idle,
                  "n_burst": n_burst, "hold_ms": self.plan.hold_ms}
        if idle is not None:
            at_rest, first, last = idle["before"], idle["held"], idle["later"]
            memory["idle_kib_each"] = (first["pss_kib"] - at_rest["pss_kib"]) / n_idle
            memory["fds_each"] = (first["fds"] - at_rest["fds"]) / n_idle
            memory["wake_ups"] = last["switches"] - first["switches"]
            memory["idle_cpu_ms"] = last["cpu_ms"] - first["cpu_ms"]
        if burst is not None:
            memory["after_burst_rss_kib"] = burst["after"]["rss_kib"]
            memory["fds_left"] = burst["after"]["fds"] - before["fds"]
        return memory

    def memories(self, say, folder):
        results = {}
        for proxy in self.proxies:
            if proxy.name in ("none", "blind"):
                continue
            say(f"memory of {proxy.label}")
            try:
                proxy.stop()
                proxy.start(folder, self.descriptors)
                results[proxy.name] = self.memory(proxy)
            except BenchError as error:
                self.notes.append(str(error))
            proxy.stop()
        return results
