"""Throughput over the round trip, where none, 1% and 2% of the packets are lost: one download over an emulated line,
without a tunnel, through sockeye with one link and with four, through shadowsocks-libev and through ssh -D.

Each measurement has a line and programs of its own, so that none begins with what TCP has learnt in another.
"""

import concurrent.futures
import contextlib
import itertools
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import svg
from harness import client
from harness.line import Line
from harness.origin import Origin
from harness.services import start_sshd
from harness.standalone import Standalone
from harness.wait import until
from tables import median, number, table

RATE_MBIT = 200
ROUND_TRIPS_MS = (1, 10, 30, 100, 300)
LOSSES_PERCENT = (0, 1, 2)
# A product of rate and round trip, as it is usual; before a short line what a switch has.
QUEUE_MS = 20
# What TCP takes to find out what the line carries: several times as long where its slow start has ended too early.
WARM_S, WARM_ROUND_TRIPS = 1, 60
# Losses come by chance, which takes more round trips to even out.
MEASURED_S, MEASURED_ROUND_TRIPS = 4, 200
LOSSY_ROUNDS = 3
READY_S = 60
SOCKS_PORT, FAR_PORT = 1080, 4194


class Way:
    """From the near side of a line of its own to the far side: connect() gives a connection to a server there."""

    def __init__(self, place, round_trip_ms, loss_percent):
        self.place, self.processes = pathlib.Path(place), []
        self.line = Line(delay_ms=round_trip_ms / 2, rate_mbit=RATE_MBIT, loss=loss_percent / 100,
                         queue_kb=RATE_MBIT / 8 * max(round_trip_ms, QUEUE_MS))
        self.start()

    def start(self):
        """Starts what goes over the line."""

    def spawn(self, command):
        with open(self.place / "log", "ab") as log:
            self.processes.append(subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def dial(self, host, port):
        with self.line.near.entered():
            return socket.create_connection((host, port), READY_S)

    def connect(self, server):
        return until(lambda: self.try_connect(server), "a way through the tunnel", READY_S)

    def try_connect(self, server):
        with contextlib.suppress(OSError, EOFError):
            sock = self.dial("127.0.0.1", SOCKS_PORT)
            if client.socks5(sock, *server.addr).code == 0:
                return sock
            sock.close()
        return None

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.line.close()


class Direct(Way):
    def connect(self, server):
        return self.dial(*server.addr)


class OneLink(Way):
    n_links = 1

    def start(self):
        self.world = Standalone(self.place, self.line, near={"links": self.n_links})
        self.processes = [program.process for program in self.world.programs]
        until(lambda: len(self.world.tunnel.carriers()) == self.n_links, "all links", READY_S)


class FourLinks(OneLink):
    n_links = 4


class FiveLinks(OneLink):
    n_links = 5


class Shadowsocks(Way):
    def start(self):
        both = ["-s", self.line.far4, "-p", FAR_PORT, "-k", "bench", "-m", "aes-256-gcm", "-t", "600"]
        self.spawn([*self.line.far.prefix, "ss-server", *both])
        self.spawn([*self.line.near.prefix, "ss-local", "-b", "127.0.0.1", "-l", SOCKS_PORT, *both])


class Ssh(Way):
    def start(self):
        port, options = start_sshd(self.spawn, self.place, self.line.far4, self.line.far)
        self.spawn([*self.line.near.prefix, "ssh", *options, "-N", "-D", f"127.0.0.1:{SOCKS_PORT}", self.line.far4])


# What it is called, the program it needs.
WAYS = {Direct: ("no tunnel", None), OneLink: ("sockeye, one link", None), FourLinks: ("sockeye, four links", None),
        Shadowsocks: ("shadowsocks-libev", "ss-local"), Ssh: ("ssh -D", "ssh")}


def pour(conn):
    conn.settimeout(None)
    while True:
        conn.sendall(bytes(1 << 16))


def received(sock, seconds):
    """How many bytes come in that time, and how long it was."""
    began = now = time.monotonic()
    n = 0
    while now - began < seconds:
        n += len(sock.recv(1 << 18))
        now = time.monotonic()
    return n, now - began


def download_mbit(way_class, round_trip_ms, loss_percent, share):
    """share: of the usual time."""
    warm_s = WARM_S + WARM_ROUND_TRIPS * round_trip_ms / 1000
    measured_s = max(MEASURED_S, (loss_percent > 0) * MEASURED_ROUND_TRIPS * round_trip_ms / 1000)
    with tempfile.TemporaryDirectory(prefix="bench-plot-") as place:
        way = way_class(place, round_trip_ms, loss_percent)
        try:
            with way.line.far.entered():
                server = Origin(pour, way.line.far4 if way_class is Direct else "127.0.0.1")
            with way.connect(server) as sock:
                sock.settimeout(READY_S)
                received(sock, warm_s * share)
                n, took_s = received(sock, measured_s * share)
            return n * 8 / 1e6 / took_s
        finally:
            way.close()


def five_links(say):
    """The report of five links beside one, over a line of which it is often asked."""
    round_trip_ms, loss_percent, ways = 60, 2, (OneLink, FiveLinks)
    say(f"five links at {loss_percent}% loss and {round_trip_ms} ms")
    with concurrent.futures.ThreadPoolExecutor(LOSSY_ROUNDS * len(ways)) as pool:
        mbit = list(pool.map(lambda way: download_mbit(way, round_trip_ms, loss_percent, 1), ways * LOSSY_ROUNDS))
    one, five = mbit[0::2], mbit[1::2]
    rows = [["one link", number(median(one), 2), "1"], ["five links", number(median(five), 2), number(median(five) / median(one), 2)]]
    return table(f"One download over {RATE_MBIT} Mbit/s, {round_trip_ms} ms and {loss_percent}% loss", ["", "Mbit/s", "/ one"], rows)


def n_beside(loss_percent, round_trip_ms):
    """How many lines are measured beside each other: so many that none waits for the machine."""
    if loss_percent == 0 or round_trip_ms < 10:
        return 1
    return 5 if round_trip_ms < 100 else 20


class Plot:
    def __init__(self, quick, say):
        self.share, self.say, self.notes = 0.25 if quick else 1, say, []
        self.ways = [way for way, (_, program) in WAYS.items() if program is None or shutil.which(program)]
        for label, program in WAYS.values():
            if program is not None and shutil.which(program) is None:
                say(f"{label} is not here and is left out")
        self.mbit = {}

    def measure(self):
        cells = list(itertools.product(LOSSES_PERCENT, ROUND_TRIPS_MS))
        for n in sorted({n_beside(*cell) for cell in cells}):
            together = [cell for cell in cells if n_beside(*cell) == n]
            with concurrent.futures.ThreadPoolExecutor(n) as pool:
                list(pool.map(self.one, *zip(*itertools.product(together, self.ways))))

    def one(self, cell, way):
        loss_percent, round_trip_ms = cell
        what = f"{WAYS[way][0]}, {round_trip_ms} ms, {loss_percent}% lost"
        try:
            self.mbit[cell, way] = download_mbit(way, round_trip_ms, loss_percent, self.share)
            self.say(f"{what}: {self.mbit[cell, way]:.2f} Mbit/s")
        except (OSError, AssertionError) as error:
            self.mbit[cell, way] = None
            self.notes.append(f"{what}: {error}")

    def svg(self):
        panels = {"no loss" if loss == 0 else f"{loss}% of the packets lost":
                  {WAYS[way][0]: [(ms, self.mbit[(loss, ms), way]) for ms in ROUND_TRIPS_MS] for way in self.ways}
                  for loss in LOSSES_PERCENT}
        return svg.draw(f"One download over a line of {RATE_MBIT} Mbit/s", "round trip, ms", "throughput, Mbit/s", panels)

    def report(self):
        rows = [[WAYS[way][0], f"{loss}%", *(number(self.mbit[(loss, ms), way], 2) for ms in ROUND_TRIPS_MS)]
                for loss in LOSSES_PERCENT for way in self.ways]
        return table(f"One download over {RATE_MBIT} Mbit/s: Mbit/s by round trip",
                     ["", "lost", *(f"{ms} ms" for ms in ROUND_TRIPS_MS)], rows)
