"""Five machines in a row, each of which can reach its neighbours only; nothing is forwarded between them but by programs:

    client ---cable--- near ---line--- middle ---line--- far ---cable--- target

The lines are the emulator's (harness/line.py): long, slow, lossy, out of order or dead as a test says. A test starts programs on the
machines with configurations of its own; the templates below are what most of them want.
"""

import socket
import struct
import threading
import time

from harness import client
from harness.beside import in_thread
from harness.binary import SLOWNESS
from harness.line import Line
from harness.namespaces import Cable, Namespace
from harness.origin import echo
from harness.pattern import receive_pattern, send_pattern
from harness.wait import until

NAMES = ("client", "near", "middle", "far", "target")
PORT, SOCKS_PORT = 4194, 1080
ETH_P_ALL = 3
CLIENT, NEAR = "10.81.0.1", "10.81.0.2"
MIDDLE, FAR, TARGET = "10.82.0.2", "10.83.0.2", "10.84.0.2"
# What the machines are called on the line towards the next one.
NEAR_OUT, MIDDLE_OUT, FAR_OUT = "10.82.0.1", "10.83.0.1", "10.84.0.1"
KEY_A, KEY_B = "dGhlIGtleSBvZiB0aGUgbWlkZGxlIG9uZSwgaG9wIEE=", "dGhlIGtleSBvZiB0aGUgZmFyIG9uZSwgaG9wIEIhISE="

LAN = f'  - {{type: mixed, name: lan, listen: "{NEAR}:{SOCKS_PORT}", allow: ["10.81.0.0/24"]}}\n'


def tunnel_to(name, server, key, more=""):
    """A tunnel outbound."""
    return f'  - {{type: tunnel, name: {name}, server: "{server}:{PORT}", key: "{key}"{more}}}\n'


def tunnel_at(address, key, more=""):
    """A tunnel inbound."""
    return f'  - {{type: tunnel, name: far, listen: "{address}:{PORT}", key: "{key}"{more}}}\n'


class Machines:
    def __init__(self):
        for name in NAMES:
            setattr(self, name, Namespace())
        self.lan = Cable(self.client, self.near, 81)
        self.near_line = Line(self.near, self.middle, 82)
        self.far_line = Line(self.middle, self.far, 83)
        self.back = Cable(self.far, self.target, 84)

    def close(self):
        self.near_line.end()
        self.far_line.end()
        for name in NAMES:
            getattr(self, name).close()


class Bed:
    """The machines, which it has as its own members, with programs on them."""

    def __init__(self, machines, start, open_client, origin, state, place):
        self.__dict__.update(vars(machines))
        self.start_program, self.open_client, self.origin, self.state, self.place = start, open_client, origin, state, place
        self.programs = {}

    # Programs

    def start(self, machine, config, private=False):
        """A sockeye there. What a far end remembers of flights outlives it, but where it is private: with keys of the test's own."""
        state = (self.place if private or machine == "near" else self.state) / f"bed-{machine}"
        state.mkdir(exist_ok=True)
        program = self.start_program(f"state: {state}\n{config}", prefix=getattr(self, machine).prefix)
        self.programs[machine] = program
        return program

    def start_far(self, more=""):
        return self.start("far", f"inbounds:\n{tunnel_at(FAR, KEY_B, more)}")

    def start_via(self, a="", b=""):
        """near goes to far by a tunnel whose carriers are streams of another one's, to middle."""
        self.start_far()
        self.start("middle", f"inbounds:\n{tunnel_at(MIDDLE, KEY_A)}")
        self.start_near_via(a, b)
        return self.wait_open()

    def start_near_via(self, a="", b=""):
        self.start("near", f"inbounds:\n{LAN}outbounds:\n{tunnel_to('b', FAR, KEY_B, ', via: a' + b)}{tunnel_to('a', MIDDLE, KEY_A, a)}")

    def start_hops(self):
        """near has a tunnel to middle, where all that comes out of it goes into another one to far."""
        self.start_far()
        self.start("middle", f"inbounds:\n{tunnel_at(MIDDLE, KEY_A, ', outbound: b')}outbounds:\n{tunnel_to('b', FAR, KEY_B)}")
        self.start("near", f"inbounds:\n{LAN}outbounds:\n{tunnel_to('a', MIDDLE, KEY_A)}")
        return self.wait_open()

    # What goes through it

    def serve(self, handler):
        """A server on the target."""
        with self.target.entered():
            return self.origin(handler, TARGET)

    def wait_open(self):
        server = self.serve(echo)

        def is_open():
            with self.client.entered():
                return client.is_served((NEAR, SOCKS_PORT), *server.addr)
        until(is_open, "a way through all hops", timeout=40)
        server.close()
        return self

    def dial(self, timeout=60, port=SOCKS_PORT):
        with self.client.entered():
            return self.open_client((NEAR, port), timeout=timeout)

    def connect(self, server, timeout=60, port=SOCKS_PORT):
        sock = self.dial(timeout, port)
        assert client.socks5(sock, *server.addr).code == 0
        return sock


def patient_echo(conn):
    """One that waits for as long as it takes."""
    conn.settimeout(None)
    echo(conn)


def burst(dial, server, n):
    """n connections at once, each used both ways, to a patient_echo."""
    socks = [dial(timeout=120) for _ in range(n)]
    for sock in socks:
        assert client.socks5_at_once(sock, *server.addr).code == 0
    for i, sock in enumerate(socks):
        send_pattern(sock, 3000, seed=i)
    for i, sock in enumerate(socks):
        receive_pattern(sock, 3000, seed=i)
    for sock in socks:
        sock.close()


class Frames:
    """What a remote desktop sends: a frame each way every 30 ms, by which its worst pause is known."""

    EVERY_S, N_BYTES = 0.03, 1200

    def __init__(self, sock):
        self.sock, self.is_ending = sock, threading.Event()
        self.came, self.n_sent = [], 0
        sock.settimeout(60 * SLOWNESS)
        self._joins = [in_thread(self._send), in_thread(self._receive)]

    def _send(self):
        while not self.is_ending.wait(self.EVERY_S):
            self.sock.sendall(struct.pack(">Q", self.n_sent) * (self.N_BYTES // 8))
            self.n_sent += 1
        self.sock.shutdown(socket.SHUT_WR)

    def _receive(self):
        while head := self.sock.recv(1):
            frame = head + client.receive_exactly(self.sock, self.N_BYTES - 1)
            assert frame == struct.pack(">Q", len(self.came)) * (self.N_BYTES // 8)
            self.came.append(time.monotonic())

    def wait_more(self, n=20):
        due = len(self.came) + n
        until(lambda: len(self.came) >= due, f"{due} frames", timeout=60)

    def longest_pause_ms(self, first):
        """Between two of the frames that have come, from the one before that on."""
        came = self.came[first - 1:]
        return max(b - a for a, b in zip(came, came[1:])) * 1000

    def pause_s(self, while_this):
        """The longest time between two frames while that runs, and half a second of frames behind it."""
        self.wait_more()
        first = len(self.came)
        while_this()
        self.wait_more()
        return self.longest_pause_ms(first) / 1000

    def end(self):
        self.is_ending.set()
        for join in self._joins:
            join()
        assert len(self.came) == self.n_sent


class Capture:
    """The addresses of all packets that a machine's device sees, (from, to), and whether some bytes were among them."""

    def __init__(self, machine, device, secrets=()):
        self.pairs, self.found, self.secrets = set(), set(), secrets
        with machine.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)    # nothing comes before it is bound
            self.sock.bind((device, ETH_P_ALL))
        self.sock.settimeout(0.2)
        self.n, self.is_over = 0, False
        self._join = in_thread(self._read)

    def _read(self):
        while not self.is_over:
            try:
                packet = self.sock.recv(70000)
            except TimeoutError:
                continue
            if packet[0] >> 4 == 4:
                self.pairs.add(frozenset((socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]))))
            self.n += 1
            self.found |= {secret for secret in self.secrets if secret in packet}

    def end(self):
        self.is_over = True
        self._join()
        self.sock.close()
        assert self.n > 0
        return self
