"""Datagrams through SOCKS5, out of raw bytes; and servers for them."""

import contextlib
import ipaddress
import select
import socket
import struct
import threading
import time

from harness import client
from harness.binary import SLOWNESS

HEADER_MAX = 262


def header(host, port, fragment=0):
    return bytes([0, 0, fragment]) + client.socks5_address(host, port)


def parse(data):
    """(host, port, payload) of a datagram from the proxy."""
    assert data[:3] == b"\0\0\0", data[:10]
    kind = data[3]
    if kind == 3:
        end = 5 + data[4]
        host = data[5:end].decode()
    else:
        end = {1: 8, 4: 20}[kind]
        host = str(ipaddress.ip_address(data[4:end]))
    return host, struct.unpack(">H", data[end:end + 2])[0], data[end + 2:]


def udp_socket(host="127.0.0.1", port=0, timeout=10):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, port))
    sock.settimeout(timeout * SLOWNESS)
    return sock


def is_refused(sock, addr):
    """Whether nobody has that port: the system says so behind the next datagram."""
    sock.connect(addr)
    try:
        sock.send(b"x")
        sock.settimeout(0.2)
        sock.recv(10)
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        pass
    return False


class Association:
    """A client's TCP connection and UDP socket."""

    def __init__(self, proxy, login=None, announce=("0.0.0.0", 0), source=None):
        self.control = client.dial(proxy, source)
        self.reply = client.socks5(self.control, *announce, login=login, command=client.UDP_ASSOCIATE)
        self.at = (self.reply.host, self.reply.port)
        self.sock = udp_socket(self.control.getsockname()[0])

    def send(self, payload, host, port, fragment=0):
        self.sock.sendto(header(host, port, fragment) + payload, self.at)

    def receive(self):
        """(host, port, payload) of the next datagram."""
        data, _ = self.sock.recvfrom(70000)
        return parse(data)

    def exchange(self, payload, host, port):
        self.send(payload, host, port)
        return self.receive()

    def reach(self, payload, host, port, tries=60):
        """Sends until it comes back: datagrams may be lost while a link is. Returns where it came from."""
        self.sock.settimeout(0.5 * SLOWNESS)
        for _ in range(tries):
            self.send(payload, host, port)
            try:
                while True:
                    *source, data = self.receive()
                    if data == payload:
                        return tuple(source)
            except TimeoutError:
                continue
        raise TimeoutError("no answer")

    @contextlib.contextmanager
    def flooding(self, host, port):
        """Within the block more is sent there than a slow line takes."""
        over = threading.Event()

        def flood():
            while not over.is_set():
                for _ in range(16):
                    self.send(bytes(1200), host, port)
                time.sleep(0.002)
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def is_silent(self, seconds=0.3):
        return not select.select([self.sock], [], [], seconds)[0]

    def close(self):
        self.control.close()
        self.sock.close()


class UdpEcho:
    """Sends every datagram back to where it came from, and notes those places."""

    def __init__(self, host="127.0.0.1"):
        self.sock = udp_socket(host, timeout=0.2)
        self.addr = self.sock.getsockname()[:2]
        self.seen = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._is_closing:
            try:
                data, peer = self.sock.recvfrom(70000)
            except (TimeoutError, ConnectionRefusedError):
                continue
            self.seen.append(peer)
            try:
                self.sock.sendto(data, peer)
            except OSError:
                pass    # too large for the way back, or nobody is there

    def close(self):
        self._is_closing = True
        self._thread.join(5)
        self.sock.close()


class Sides:
    """Clients for datagrams on one side of a Tunnel, or of a Bed, and servers on the other, until all are closed."""

    def __init__(self, clients, servers, port):
        self.clients, self.servers, self.port = clients, servers, port
        self.made = []

    @staticmethod
    def _entered(t, machine):
        return getattr(getattr(t, "joined", t), machine).entered()

    def associate(self, t, host="127.0.0.1", **options):
        with self._entered(t, self.clients):
            self.made.append(Association((host, self.port), **options))
        return self.made[-1]

    def echo(self, t, host="127.0.0.1"):
        with self._entered(t, self.servers):
            self.made.append(UdpEcho(host))
        return self.made[-1]

    def close(self):
        for item in self.made:
            item.close()
