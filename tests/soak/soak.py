"""The soak: everything the proxy does, at random, for as long as it is told to; it must stay as it was.

    tests/soak/soak.py MINUTES [SEED]

One process with two workers serves all cycles. Each is half a minute of clients of every kind, in
threads of their own, and a reload in its middle; at its end all flows must be over, and memory
and descriptors what they were after the first cycles. One connection of every kind that may live
long lives through all of it. What was done is added to build/soak/state.json, for this version of
the sources, so that many runs make one long one.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from harness import client, network, proc    # noqa: E402
from harness.origin import Origin, echo, http_page, reset    # noqa: E402
from harness.pattern import receive_end, receive_pattern, send_pattern    # noqa: E402
from harness.program import Sockeye, environment    # noqa: E402

CYCLE_S = 30
N_CLIENTS = 12
WARM_UP_CYCLES = 2
STATE = ROOT / "build/soak/state.json"

CONFIG = """
workers: 2
user: ''
admin: {socket: %(dir)s/admin}
log: {level: warn}
limits: {idle_ms: 600000, drain_s: 1}
inbounds:
  - {type: mixed, name: lan, listen: "127.0.0.1:%(port)d", bind: {enabled: true}}
  - {type: mixed, name: users, listen: "127.0.0.1:%(users_port)d", users: [{name: ann, password: pw}]}
%(more)s
"""
MORE = '  - {type: relay, name: now-and-then, listen: "127.0.0.1:0", target: "127.0.0.1:1"}\n'


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class World:
    """The servers behind the proxy, and the proxy."""

    def __init__(self, directory):
        self.dir = directory
        self.echo = Origin(self.echo_for_ever)
        self.page = Origin(http_page(b"x" * 5000))
        self.cut = Origin(self.cut_off)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        threading.Thread(target=self.echo_datagrams, daemon=True).start()
        self.port, self.users_port = free_port(), free_port()
        self.file = directory / "config.yaml"
        self.n_reloads = 0
        self.write_config()
        binary = os.environ.get("SOCKEYE_BIN", ROOT / "build/release/sockeye")
        self.binary = pathlib.Path(binary).absolute()
        self.proxy = Sockeye([self.binary, "run", "-c", self.file], directory).wait_ready()

    @staticmethod
    def echo_for_ever(conn):
        conn.settimeout(None)
        echo(conn)

    @staticmethod
    def cut_off(conn):
        conn.recv(1)
        conn.sendall(b"y" * 100_000)
        reset(conn)

    def echo_datagrams(self):
        while True:
            data, peer = self.udp.recvfrom(65536)
            self.udp.sendto(data, peer)

    def write_config(self):
        more = MORE if self.n_reloads % 2 else ""
        self.file.write_text(CONFIG % {"dir": self.dir, "port": self.port, "users_port": self.users_port, "more": more})

    def reload(self):
        self.n_reloads += 1
        self.write_config()
        self.proxy.send_signal(signal.SIGHUP)

    def n_flows(self):
        done = subprocess.run([self.binary, "status", "--json", "-c", self.file], capture_output=True, text=True,
                              env=environment(self.dir), check=True)
        return sum(worker["flows_now"] for worker in json.loads(done.stdout)["workers"])

    def dial(self, users=False):
        return client.dial(("127.0.0.1", self.users_port if users else self.port), timeout=30)


# Clients: each serves one connection from its beginning to its end, and checks every byte.

def transfer(world, rng, n):
    server = world.echo
    with world.dial() as sock:
        protocol = rng.choice(["socks4", "socks5", "http"])
        assert client.open_flow(sock, protocol, *server.addr) == client.GRANTED[protocol]
        sender = threading.Thread(target=lambda: (send_pattern(sock, n, 3), sock.shutdown(socket.SHUT_WR)))
        sender.start()
        receive_pattern(sock, n, 3)
        receive_end(sock)
        sender.join()
    return n


def small(world, rng):
    return transfer(world, rng, rng.randrange(1, 20_000))


def bulk(world, rng):
    return transfer(world, rng, rng.randrange(1 << 20, 32 << 20))


def logged_in(world, rng):
    with world.dial(users=True) as sock:
        assert client.socks5(sock, *world.echo.addr, login=("ann", "pw")).code == 0
        send_pattern(sock, 1000)
        receive_pattern(sock, 1000)
    return 1000


def abandoned(world, rng):
    """A handshake that stops in the middle, or a flow whose client vanishes with a reset."""
    with world.dial() as sock:
        words = b"\x05\x01\x00" + client.socks5_request(*world.echo.addr)
        sock.sendall(words[:rng.randrange(len(words) + 1)])
        if rng.random() < 0.5:
            reset(sock)
    return 0


def cut(world, rng):
    """The target resets: so must the proxy."""
    with world.dial() as sock:
        assert client.socks5(sock, *world.cut.addr).code == 0
        sock.sendall(b"x")
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            return 0
    raise AssertionError("a reset looked like an end")


def refused(world, rng):
    with world.dial() as sock:
        assert client.socks5(sock, "127.0.0.1", 1).code == 5
    return 0


def forwarded(world, rng):
    """HTTP in absolute form, several on one connection."""
    with world.dial() as sock:
        for i in range(rng.randrange(1, 5)):
            try:
                sock.sendall(f"GET {world.page.url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                head = client.receive_exactly(sock, 12)
            except (EOFError, OSError):
                if i > 0:    # between two requests a reload ends it
                    break
                raise
            assert head == b"HTTP/1.1 200", head
            body = b""
            while not body.endswith(b"x" * 5000):
                data = sock.recv(65536)
                assert data
                body += data
    return 5000


def datagrams(world, rng):
    with world.dial() as sock:
        reply = client.socks5(sock, "0.0.0.0", 0, command=client.UDP_ASSOCIATE)
        assert reply.code == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(10)
            udp.connect((reply.host, reply.port))
            host, port = world.udp.getsockname()
            header = b"\0\0\0\1" + socket.inet_aton(host) + struct.pack(">H", port)
            for i in range(rng.randrange(1, 50)):
                payload = bytes([i]) * rng.randrange(1400)
                udp.send(header + payload)
                assert udp.recv(65536) == header + payload
    return 0


def awaited(world, rng):
    """BIND."""
    with world.dial() as sock:
        first = client.socks5(sock, "127.0.0.1", 0, command=client.BIND)
        assert first.code == 0
        with client.dial((first.host, first.port)) as peer:
            assert client.receive_socks5_reply(sock).code == 0
            send_pattern(peer, 5000)
            receive_pattern(sock, 5000)
    return 5000


KINDS = {small: 40, bulk: 4, logged_in: 10, abandoned: 15, cut: 5, refused: 5, forwarded: 10, datagrams: 5, awaited: 3}


class Client(threading.Thread):
    """One after the other until time is up."""

    def __init__(self, world, seed, until):
        super().__init__()
        self.world, self.rng, self.end_at = world, random.Random(seed), until
        self.done, self.n_bytes, self.error = Counter(), 0, None

    def run(self):
        try:
            while time.monotonic() < self.end_at and self.error is None:
                kind = self.rng.choices(list(KINDS), list(KINDS.values()))[0]
                self.n_bytes += kind(self.world, self.rng)
                self.done[kind.__name__] += 1
        except Exception as error:    # told by the main thread
            self.error = f"{kind.__name__}: {type(error).__name__}: {error}"


def cycle(world, seed):
    """Returns what was done, by kind, and how many bytes."""
    clients = [Client(world, f"{seed}-{i}", time.monotonic() + CYCLE_S) for i in range(N_CLIENTS)]
    for one in clients:
        one.start()
    time.sleep(CYCLE_S / 2)
    world.reload()
    for one in clients:
        one.join()
    errors = [one.error for one in clients if one.error]
    assert not errors, errors
    return sum((one.done for one in clients), Counter()), sum(one.n_bytes for one in clients)


class Witness:
    """A connection that lives through everything."""

    def __init__(self, world):
        self.sock, self.n = world.dial(), 0
        assert client.socks5(self.sock, *world.echo.addr).code == 0

    def check(self):
        self.n += 1
        send_pattern(self.sock, 5000, self.n)
        receive_pattern(self.sock, 5000, self.n)


def wait_quiet(world):
    deadline = time.monotonic() + 30
    while world.n_flows() > 1:    # the witness
        assert time.monotonic() < deadline, f"{world.n_flows()} flows are left"
        time.sleep(0.2)


def version():
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD:src"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def add_up(minutes, done, n_bytes):
    STATE.parent.mkdir(parents=True, exist_ok=True)
    state = json.loads(STATE.read_text()) if STATE.is_file() else {}
    mine = state.setdefault(version(), {"minutes": 0, "bytes": 0, "done": {}})
    mine["minutes"] = round(mine["minutes"] + minutes, 1)
    mine["bytes"] += n_bytes
    mine["done"] = dict(Counter(mine["done"]) + done)
    STATE.write_text(json.dumps(state, indent=1))
    return mine


def soak(world, minutes, seed):
    witness, began, limits = Witness(world), time.monotonic(), None
    number = 0
    while time.monotonic() - began < minutes * 60:
        done, n_bytes = cycle(world, f"{seed}-{number}")
        witness.check()
        wait_quiet(world)
        rss, n_fds = proc.rss_bytes(world.proxy.pid), world.proxy.n_descriptors()
        total = add_up(CYCLE_S / 60, done, n_bytes)
        print(f"cycle {number}: {sum(done.values())} clients, {n_bytes >> 20} MiB; resident {rss >> 10} KiB, "
              f"{n_fds} descriptors; {total['minutes']} minutes in all", flush=True)
        number += 1
        if number == WARM_UP_CYCLES:
            limits = rss * 1.1 + (1 << 20), n_fds + 40    # spare pipes come and go
        if limits:
            assert rss <= limits[0], f"{rss} bytes resident, {limits[0]:.0f} at most"
            assert n_fds <= limits[1], f"{n_fds} descriptors, {limits[1]} at most"
    world.proxy.stop()


def main():
    minutes = float(sys.argv[1])
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.SystemRandom().randrange(1 << 32))
    print(f"{minutes:g} minutes, seed {seed}", flush=True)
    network.isolate()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sockeye-soak-"))
    world = World(directory)
    try:
        soak(world, minutes, seed)
    except BaseException:
        print("\n".join(world.proxy.lines[-40:]), file=sys.stderr)
        raise
    finally:
        world.proxy.kill()
        shutil.rmtree(directory, ignore_errors=True)
    print("The soak has passed.")


main()
