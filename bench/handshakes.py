"""Handshakes: what a server's part of one takes (bench/handshakes), what looking for its user among many does (bench/users), and how
long whoever is served already waits while they arrive."""

import contextlib
import multiprocessing
import os
import pathlib
import socket
import subprocess
import time

import sessions
from tables import median, number, table, verdict

RUNS = 5
# Those that wait for each other's signatures keep the far end's thread for them busy.
N_CALLERS, STALL_ROUNDS, WARM_S, STALL_S, PAUSE_S = 4, 3, 0.2, 2, 0.001
LOOP_PORT = 3999
KINDS = {"none": None, "without identities": "", "identities: RSA-3072": "rsa"}
INBOUND = f'  - {{type: socks, name: loop, listen: "127.0.0.1:{LOOP_PORT}", outbound: direct, allow_targets: ["127.0.0.0/8"]}}\n'


def per_second(build):
    """By identities, a core."""
    seen = {}
    for _ in range(RUNS):
        out = subprocess.run([f"{build}/bench/handshakes"], capture_output=True, text=True, check=True).stdout
        for line in out.splitlines():
            name, per_s = line.split()
            seen.setdefault(name, []).append(float(per_s))
    return {name: median(values) for name, values in seen.items()}


def by_users(build):
    """{number of users: us that the part of a flight takes by which its user is found}"""
    out = subprocess.run([f"{build}/bench/users"], capture_output=True, text=True, check=True).stdout
    return {int(n): float(us) for n, _, _, us, _ in map(str.split, out.splitlines()[1:])}


def identities(build, folder, kind):
    """What both ends' configurations say of them."""
    if not kind:
        return {}
    for name in ("near", "far"):
        if not pathlib.Path(folder, f"{kind}-{name}.key").exists():
            subprocess.run([f"{build}/sockeye", "keygen", "--identity", kind, "-o", f"{folder}/{kind}-{name}"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {"near_keys": f", identity: {folder}/{kind}-near.key, peer: {folder}/{kind}-far.pub",
            "far_keys": f", identity: {folder}/{kind}-far.key, peers: [{folder}/{kind}-near.pub]"}


def call(first, target_port):
    """Begins sessions, one after the other, until it is killed."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    for i in range(first, sessions.N_OUTBOUNDS * sessions.N_SESSIONS, N_CALLERS):
        sessions.begin_session(i, target_port)


@contextlib.contextmanager
def callers(target_port, n):
    processes = [multiprocessing.Process(target=call, args=(i, target_port)) for i in range(n)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


@contextlib.contextmanager
def ahead_of_all():
    """Who is not let run for a while itself would see the loop run. Not for processes that are begun meanwhile."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Loop:
    """Bytes through a process with one worker, one after the other, from a socket of ours to another."""

    def __init__(self, process):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.sender = sessions.dial(LOOP_PORT, listener.getsockname()[1])
            self.receiver = listener.accept()[0]
        self.threads = [thread / "schedstat" for thread in pathlib.Path(f"/proc/{process.pid}/task").iterdir()]
        list(self.bytes(WARM_S))
        # The thread that has served so far: no signature was made yet.
        self.clock = max(self.threads, key=self.run_us)

    def close(self):
        self.sender.close()
        self.receiver.close()

    @staticmethod
    def run_us(clock):
        return int(clock.read_text().split()[0]) / 1000

    def bytes(self, seconds):
        """Microseconds of each: how long it took, and for how long of that the loop ran."""
        until, clock = time.monotonic() + seconds, getattr(self, "clock", self.threads[0])
        while time.monotonic() < until:
            time.sleep(PAUSE_S)
            ran, began = self.run_us(clock), time.perf_counter()
            self.sender.sendall(b"x")
            self.receiver.recv(1)
            took = (time.perf_counter() - began) * 1e6
            yield took, self.run_us(clock) - ran


def stall_once(build, key, target_port, folder, kind):
    """Handshakes a second; what a byte through the loop takes, in us, at the median, at the 99th percentile and at most; for how long the
    loop ran meanwhile, at most, which is what counts on a machine that is busy."""
    with sessions.both_ends(build, key, folder, far_inbounds=INBOUND, **identities(build, folder, kind)) as ends:
        # Their part shall not be what the byte waits for.
        os.sched_setscheduler(ends["near"].pid, os.SCHED_IDLE, os.sched_param(0))
        with contextlib.closing(Loop(ends["far"])) as loop:
            sessions.begin_session(0, target_port)
            with callers(target_port, 0 if kind is None else N_CALLERS):
                n_before = sessions.n_links()
                took, ran = map(sorted, zip(*loop.bytes(STALL_S)))
                per_s = (sessions.n_links() - n_before) / STALL_S
    return per_s, took[len(took) // 2], took[len(took) * 99 // 100], took[-1], ran[-1]


def stalls(build, key, target_port, folder):
    """{what arrives: medians of the above over interleaved rounds}"""
    seen = {what: [] for what in KINDS}
    with ahead_of_all():
        for _ in range(STALL_ROUNDS):
            for what, kind in KINDS.items():
                seen[what].append(stall_once(build, key, target_port, folder, kind))
    return {what: [median(values) for values in zip(*rounds)] for what, rounds in seen.items()}


class Handshakes:
    def __init__(self, build, key, target_port, folder):
        self.per_s, self.users = per_second(build), by_users(build)
        self.stalls = stalls(build, key, target_port, folder)

    def stall_table(self):
        rows = [[what, *(number(value, 0) for value in values)] for what, values in self.stalls.items()]
        return table("A byte each ms through the loop at which handshakes arrive, us",
                     ["", "per s", "p50", "p99", "longest", "the loop ran"], rows)

    def targets_table(self):
        rows = []
        for name, bound in (("none", 5000), ("ed25519", 3000), ("rsa-3072", None)):
            rows.append([f"handshakes a second and core, identities: {name}", number(self.per_s.get(name), 0),
                         verdict(self.per_s.get(name), ">=", bound)])
        ran_ms = self.stalls["identities: RSA-3072"][-1] / 1000
        rows.append(["while those with RSA-3072 arrive a byte waits for the loop at most, ms", number(ran_ms, 2), verdict(ran_ms, "<=", 1)])
        few, many = min(self.users), max(self.users)
        for n, us in self.users.items():
            rows.append([f"to find who calls among {n:,} users, us", number(us, 2), ""])
        growth = self.users[many] / self.users[few]
        rows.append([f"the same, {many:,} / {few:,}", number(growth, 2), verdict(growth, "<=", 1.2)])
        return table("Targets: handshakes", ["", "is", "target"], rows)

    def report(self):
        return f"{self.stall_table()}\n{self.targets_table()}"
