"""How long somebody waits at a tunnel over a long line (tests/emulator): for an answer's first byte, in round trips of the line; and for
the next frame of a remote desktop while links are replaced."""

import contextlib
import pathlib
import tempfile
import time

from harness import client
from harness.bed import Frames, patient_echo
from harness.line import Line
from harness.origin import echo
from harness.standalone import Standalone
from tables import number, table, verdict

ROUND_TRIP_MS = 60
TIMES = 3
PROTOCOLS = ("socks5", "http")
# What both ends are told, whether the near one begins anew, and how many round trips it takes at best.
FIRST_BYTES = {"from cold": ({}, True, 3), "from cold, early_data: full": ({"early_data": "full"}, True, 2),
               "on a session that stands": ({}, False, 1)}
# What is beyond whole round trips: programs, and a machine that is busy.
SLACK = 0.25
HANDOVERS = {"links stay": {}, "handover: {every: 1s-2s}": {"handover": "{every: 1s-2s}"}}
PAUSES_S = 20


@contextlib.contextmanager
def world_over(both=None, near=None, **line):
    with tempfile.TemporaryDirectory(prefix="bench-waits-") as place:
        world = Standalone(pathlib.Path(place), Line(**line), near={**(both or {}), **(near or {})}, far=both)
        try:
            yield world
        finally:
            world.close()


def request(protocol, addr):
    return {"socks5": b"\5\1\0" + client.socks5_request(*addr), "http": client.connect_request(*addr)}[protocol]


def first_byte_ms(world, server, protocol, is_patient):
    """Of the answer to what a client says behind its request for the connection: at once, or when it hears that there is one."""
    began = time.perf_counter()
    if is_patient:
        sock = world.tunnel.connect(server, protocol)
        sock.sendall(b"~")
    else:
        sock = world.tunnel.dial()
        sock.sendall(request(protocol, server.addr) + b"~")
    while client.receive_exactly(sock, 1) != b"~":
        pass
    took_ms = (time.perf_counter() - began) * 1000
    sock.close()
    return took_ms


def first_bytes(both, is_cold):
    """{(protocol, is_patient): round trips}, of the quickest: what a machine that is busy adds is not the protocol's."""
    seen = {}
    with world_over(both, delay_ms=ROUND_TRIP_MS / 2) as world:
        server = world.tunnel.serve(echo)
        for protocol in PROTOCOLS * TIMES:
            for is_patient in (False, True):
                if is_cold:
                    world.tunnel.near.kill()
                    world.tunnel.start_near()
                took_ms = first_byte_ms(world, server, protocol, is_patient)
                seen.setdefault((protocol, is_patient), []).append(took_ms / ROUND_TRIP_MS)
    return {what: min(values) for what, values in seen.items()}


def first_bytes_table(say):
    rows = []
    for label, (both, is_cold, best) in FIRST_BYTES.items():
        say(f"an answer's first byte {label}")
        seen = first_bytes(both, is_cold)
        at_once = [seen[protocol, False] for protocol in PROTOCOLS]
        rows.append([label, *(number(n, 2) for n in at_once), verdict(max(at_once), "<=", best + SLACK),
                     *(number(seen[protocol, True], 2) for protocol in PROTOCOLS)])
    return table(f"An answer's first byte, in round trips of {ROUND_TRIP_MS} ms: of who says all at once; of who first awaits the connection",
                 ["", "SOCKS5", "HTTP CONNECT", "target", "SOCKS5", "HTTP CONNECT"], rows)


def pauses_table(say):
    """Both at once, over lines of their own, so that a busy machine makes both wait."""
    say("pauses under handovers")
    with contextlib.ExitStack() as stack:
        worlds = {label: stack.enter_context(world_over(near=near, delay_ms=10, rate_mbit=20, queue_kb=50)) for label, near in HANDOVERS.items()}
        frames = {label: Frames(world.tunnel.connect(world.tunnel.serve(patient_echo))) for label, world in worlds.items()}
        for each in frames.values():
            each.wait_more()
        firsts = {label: len(each.came) for label, each in frames.items()}
        n_before = {label: n_links(world) for label, world in worlds.items()}
        time.sleep(PAUSES_S)
        rows = [[label, str(n_links(worlds[label]) - n_before[label]), number(each.longest_pause_ms(firsts[label]), 0)]
                for label, each in frames.items()]
        for each in frames.values():
            each.end()
    return table(f"A frame each way every {Frames.EVERY_S * 1000:.0f} ms over a round trip of 20 ms, for {PAUSES_S} s: the longest time between two",
                 ["", "new links", "ms"], rows)


def n_links(world):
    """That have come up so far."""
    return len(world.tunnel.near.records(event="link", is_="up"))


def measure(say):
    """The report. To be called in a network namespace of the bench's own."""
    return f"{first_bytes_table(say)}\n{pauses_table(say)}"
