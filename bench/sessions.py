"""What many sessions take that rest: memory of each end, and how often it wakes up."""

import contextlib
import pathlib
import socket
import subprocess
import time

from tables import number, table, verdict

NEAR_PORT, FAR_PORT = 3801, 3901
N_OUTBOUNDS, N_SESSIONS = 32, 64  # the most that one outbound has
KEEPALIVE_S, REST_S = 20, 20
# A keepalive wakes its sender, then the other end, then the sender for the answer; what comes to both at once counts once.
WAKE_UPS = 3

COMMON = "workers: 1\nuser: ''\nstate: {state}\nlog: {{access: false, level: warn}}\nadmin: {{socket: ''}}\ninbounds:\n"


def configs(key, state, near_keys="", far_keys="", far_inbounds=""):
    far = COMMON.format(state=state / "sessions-far") + far_inbounds + \
        f'  - {{type: tunnel, name: far, listen: "127.0.0.1:{FAR_PORT}", key: "{key}", allow_targets: ["127.0.0.0/8"]{far_keys}}}\n'
    near = COMMON.format(state=state / "sessions-near")
    for i in range(N_OUTBOUNDS):
        near += f'  - {{type: socks, name: in{i}, listen: "127.0.0.1:{NEAR_PORT + i}", outbound: out{i}}}\n'
    near += "outbounds:\n"
    for i in range(N_OUTBOUNDS):
        near += f'  - {{type: tunnel, name: out{i}, sessions: {N_SESSIONS}, keepalive_s: {KEEPALIVE_S}, ' \
                f'server: ["127.0.0.1:{FAR_PORT}"], key: "{key}"{near_keys}}}\n'
    return {"far": far, "near": near}


@contextlib.contextmanager
def both_ends(build, key, folder, **more):
    """A far end, and a near end each of whose connections begins a session: their processes. More are arguments of configs()."""
    ends = {}
    try:
        for end, config in configs(key, pathlib.Path(folder), **more).items():
            pathlib.Path(folder, f"sessions-{end}").mkdir(exist_ok=True)
            file = pathlib.Path(folder, f"sessions-{end}.yaml")
            file.write_text(config)
            ends[end] = subprocess.Popen([f"{build}/sockeye", "run", "-c", file], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield ends
    finally:
        for process in ends.values():
            process.kill()
            process.wait()


def dial(port, target_port):
    """Through the SOCKS inbound at that port, once it listens."""
    until = time.monotonic() + 15
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), 5)
            break
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    sock.sendall(b"\5\1\0")
    sock.recv(2)
    sock.sendall(b"\5\1\0\1\x7f\0\0\1" + target_port.to_bytes(2, "big"))
    sock.recv(10)
    return sock


def begin_session(i, target_port):
    """Another one for each i below N_OUTBOUNDS * N_SESSIONS."""
    dial(NEAR_PORT + i % N_OUTBOUNDS, target_port).close()


def pss_kib(process):
    for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def wake_ups(process):
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def n_links():
    """At the near end: established connections to the far end's port."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(f":{FAR_PORT:04X}") and line.split()[3] == "01" for line in lines)


def measure(build, key, target_port, folder):
    """Memory of each end for each session, in KiB, and how often both ends wake up for each that rests, by keepalives."""
    with both_ends(build, key, folder) as ends:
        begin_session(0, target_port)
        n_before, before = n_links(), {end: pss_kib(process) for end, process in ends.items()}
        for i in range(N_OUTBOUNDS * N_SESSIONS):
            begin_session(i, target_port)
        time.sleep(2)
        n, after = n_links() - n_before, {end: pss_kib(process) for end, process in ends.items()}
        woken = sum(wake_ups(process) for process in ends.values())
        time.sleep(REST_S)
        woken = sum(wake_ups(process) for process in ends.values()) - woken
        return {"n": n, "kib": {end: (after[end] - before[end]) / n for end in ends},
                "wake_ups_per_keepalive": woken / (n * REST_S / KEEPALIVE_S)}


def report(rest):
    rows = [[f"{rest['n']} sessions that rest: {end} end, KiB each", number(rest["kib"][end], 1), verdict(rest["kib"][end], "<=", 12)]
            for end in ("near", "far")]
    woken = rest["wake_ups_per_keepalive"]
    rows.append(["wake-ups of both ends for a keepalive", number(woken, 2), verdict(woken, "<=", WAKE_UPS)])
    return table("Targets: sessions that rest", ["", "is", "target"], rows)
