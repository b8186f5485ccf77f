"""A tunnel over a line of 200 Mbit/s that takes 50 ms each way (tests/emulator): what one stream gets of it, and how
long after the loss of its carrier bytes arrive again."""

import contextlib
import pathlib
import socket
import sys
import tempfile
import threading
import time

from harness.line import Line
from harness.standalone import Standalone
from tables import median, number, table

RATE_MBIT, DELAY_MS = 200, 50
# A product of rate and round trip, as it is usual.
QUEUE_KB = RATE_MBIT * 1000 / 8 * 2 * DELAY_MS / 1000
# TCP finds out what the line carries; a busy machine makes it take long.
FINDING_S, MEASURED_S, PATIENCE_S = 20, 6, 30
# A trickle: what goes again after a loss, and may have arrived before it, fits into TCP's first flight of ten packets.
TRICKLE_BYTES, TRICKLE_S = 50, 0.005
N_LOSSES = 10
ETH_P_ALL = 3


class Stream:
    """One connection through the tunnel to a server behind the line, which pours or trickles one way."""

    def __init__(self, tunnel, way, pause_s=0.0, size=1 << 16):
        self.pause_s, self.size = pause_s, size
        self.n_bytes, self.arrivals = 0, []
        self.over = threading.Event()
        here, there = (self.send, self.receive) if way == "up" else (self.receive, self.send)
        self.server = tunnel.serve(there)
        self.sock = tunnel.connect(self.server)
        threading.Thread(target=here, args=(self.sock,), daemon=True).start()

    def send(self, sock):
        sock.settimeout(None)
        with contextlib.suppress(OSError):
            while not self.over.wait(self.pause_s):
                sock.sendall(bytes(self.size))

    def receive(self, sock):
        sock.settimeout(None)
        with contextlib.suppress(OSError):
            while data := sock.recv(1 << 18):
                self.n_bytes += len(data)
                if self.pause_s > 0:
                    self.arrivals.append(time.monotonic())

    def end(self):
        self.over.set()
        self.sock.close()
        self.server.close()

    def share_of_line(self):
        """Of the best MEASURED_S seconds."""
        seen = []
        for _ in range(FINDING_S + MEASURED_S):
            began, n = time.monotonic(), self.n_bytes
            time.sleep(1)
            seen.append((self.n_bytes - n) * 8 / 1e6 / (time.monotonic() - began) / RATE_MBIT)
        return max(sum(seen[i:i + MEASURED_S]) / MEASURED_S for i in range(FINDING_S))

    def first_arrival_after(self, at_s):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self.arrivals and self.arrivals[-1] > at_s:
                return next(at for at in self.arrivals if at > at_s)
            time.sleep(0.005)
        return None


class Syns:
    """When the near machine has sent a SYN, as seen at its end of the line."""

    def __init__(self, line):
        self.sent_s = []
        with line.near.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
            self.sock.bind((line.device, ETH_P_ALL))
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        with contextlib.suppress(OSError):
            while True:
                packet, where = self.sock.recvfrom(65536)
                is_tcp = packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP
                if is_tcp and where[2] == socket.PACKET_OUTGOING and packet[(packet[0] & 15) * 4 + 13] & 0x12 == 0x02:
                    self.sent_s.append(time.monotonic())

    def first_after(self, at_s):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = [sent for sent in self.sent_s if sent > at_s]
            if found:
                return found[0]
            time.sleep(0.001)
        return None


def recovery_ms(world, way):
    """From the new carrier's SYN to the first byte that arrives by it."""
    syns, found = Syns(world.joined), []
    stream = Stream(world.tunnel, way, TRICKLE_S, TRICKLE_BYTES)
    try:
        for _ in range(N_LOSSES):
            time.sleep(1)
            killed_s = time.monotonic()
            with world.tunnel.losing_all():
                world.joined.near.kill_connections(world.tunnel.port)
            syn_s = syns.first_after(killed_s)
            # What was under way on the line when the carrier was killed has arrived by then.
            arrived_s = syn_s and stream.first_arrival_after(syn_s + DELAY_MS * 1.5 / 1000)
            if arrived_s:
                found.append((arrived_s - syn_s) * 1000)
    finally:
        stream.end()
        syns.sock.close()
    return found


def shares(world, way):
    stream = Stream(world.tunnel, way)
    alone = stream.share_of_line()
    slow = Stream(world.tunnel, way, 0.05, 100)
    beside_slow = stream.share_of_line()
    stream.end()
    slow.end()
    return alone, beside_slow


def measure(say):
    """The report. To be called in a network namespace of the bench's own."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-line-") as place:
        line = Line(delay_ms=DELAY_MS, rate_mbit=RATE_MBIT, queue_kb=QUEUE_KB)
        world = Standalone(pathlib.Path(place), line)
        try:
            for way, round_trips in (("up", 1.5), ("down", 2)):
                say(f"a long line, {way}")
                alone, beside_slow = shares(world, way)
                took = recovery_ms(world, way)
                rows.append([way, number(100 * alone, 1), number(100 * beside_slow, 1), number(round_trips * 2 * DELAY_MS, 0),
                             number(median(took), 1), number(max(took, default=None), 1), str(len(took))])
        except BaseException:
            print(world.log(), file=sys.stderr)
            raise
        finally:
            world.close()
    return table(f"One stream over {RATE_MBIT} Mbit/s and {2 * DELAY_MS} ms: % of the line; from a new carrier's SYN to bytes again, ms",
                 ["", "alone", "beside a slow one", "at best", "median", "longest", f"of {N_LOSSES}"], rows)
