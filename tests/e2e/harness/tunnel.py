"""Both ends of a tunnel, each in a network of its own, and transfers through it that check every byte."""

import contextlib
import socket
import struct
import threading

from harness import client
from harness.beside import in_thread
from harness.binary import SLOWNESS
from harness.namespaces import FAR4, FAR6
from harness.origin import echo
from harness.pattern import receive_end, receive_pattern, send_and_end
from harness.wait import until

PORT, SOCKS_PORT = 4194, 1080
KEY = "VGhlIGVuZC10by1lbmQgdGVzdHMnIGtub3duIGtleSE="
KEY_BYTES = b"The end-to-end tests' known key!"
SERVER4, SERVER6 = f"{FAR4}:{PORT}", f"[{FAR6}]:{PORT}"


def items(keys):
    return ", ".join(f"{name}: {value}" for name, value in keys.items() if value is not None)


class Tunnel:
    """near and far are the programs; their keys are YAML text, None leaves one out.

    The near end listens on 127.0.0.1:SOCKS_PORT in the near network, the far end on PORT in the far one, both
    always the same, so that either may be started again.
    """

    port = PORT

    def __init__(self, start, joined, states, near=None, far=None, near_more="", far_more="", near_limits="", far_limits="", env=None):
        self.start, self.joined, self.env = start, joined, env
        near = {"server": f'"{SERVER4}"', "key": f'"{KEY}"', **(near or {})}
        far = {"listen": f'["{SERVER4}", "{SERVER6}"]', "key": f'"{KEY}"',
               "allow_targets": '["127.0.0.0/8", "::1"]', **(far or {})}
        self.configs = {
            "near": f"state: {states['near']}\nlimits: {{drain_s: 1, {near_limits}}}\n"
                    f'inbounds:\n  - {{type: mixed, name: lan, listen: "127.0.0.1:{SOCKS_PORT}"}}\n{near_more}'
                    f"outbounds:\n  - {{type: tunnel, name: home, {items(near)}}}\n",
            "far": f"state: {states['far']}\nlimits: {{drain_s: 1, {far_limits}}}\n"
                   f"inbounds:\n  - {{type: tunnel, name: far, {items(far)}}}\n{far_more}"}

    # Its ends

    def start_near(self):
        self.near = self.start(self.configs["near"], prefix=self.joined.near.prefix, env=self.env)

    def start_far(self, prefix=()):
        """By that prefix of harness/sandbox.py, too."""
        self.far = self.start(self.configs["far"], prefix=[*self.joined.far.prefix, *prefix], env=self.env)

    def wait_linked(self):
        """Until something has gone through and come back."""
        server = self.serve(echo)
        until(lambda: self.is_served(server), "a way through the tunnel", timeout=30)
        server.close()
        return self

    def is_served(self, server):
        """Whether the way to that server, or that (host, port), is open now."""
        with self.joined.near.entered():
            return client.is_served(("127.0.0.1", SOCKS_PORT), *getattr(server, "addr", server))

    # What is at them

    def serve(self, handler, host="127.0.0.1"):
        """A server in the far network."""
        with self.joined.far.entered():
            return self.origin(handler, host)

    def dial(self, port=SOCKS_PORT, timeout=30):
        """Connects to the near end."""
        with self.joined.near.entered():
            return self.open_client(("127.0.0.1", port), timeout=timeout)

    def connect(self, server, protocol="socks5", timeout=30):
        """A connection to that server, or to that (host, port)."""
        sock = self.dial(timeout=timeout)
        addr = getattr(server, "addr", server)
        assert client.open_flow(sock, protocol, *addr) == client.GRANTED[protocol]
        return sock

    # Its carriers

    def carriers(self):
        return self.joined.near.connections(PORT)

    def wait_lost(self, carriers):
        until(lambda: not carriers & self.carriers(), "the end of the old carriers", timeout=60)

    @contextlib.contextmanager
    def losing_all(self):
        """Within the block every carrier of now is lost; waits for that, and before for one to be there."""
        old = until(self.carriers, "a carrier", timeout=60)
        yield
        self.wait_lost(old)


def two_way(conn):
    """The server's side of Transfer."""
    conn.settimeout(None)
    if not conn.recv(1, socket.MSG_PEEK):    # whose client did not wait for the answer
        return 0
    n_up, n_down, seed = struct.unpack(">QQQ", client.receive_exactly(conn, 24))
    join = in_thread(send_and_end, conn, n_down, seed + 1)
    receive_pattern(conn, n_up, seed)
    receive_end(conn)
    join(600)
    return n_up + n_down


class Transfer(threading.Thread):
    """n_up bytes there and n_down back at once, through a connection to a two_way server; what it raised is re-raised by end()."""

    STEP = 1 << 18

    def __init__(self, sock, n_up, n_down, seed):
        super().__init__(daemon=True)
        self.sock, self.n_up, self.n_down, self.seed = sock, n_up, n_down, seed
        self.n_received, self.error = 0, None
        self.start()

    def run(self):
        try:
            self.sock.sendall(struct.pack(">QQQ", self.n_up, self.n_down, self.seed))
            join = in_thread(send_and_end, self.sock, self.n_up, self.seed)
            while self.n_received < self.n_down:
                n = min(self.STEP, self.n_down - self.n_received)
                receive_pattern(self.sock, n, self.seed + 1, self.n_received)
                self.n_received += n
            receive_end(self.sock)
            join(600)
        except BaseException as error:    # for end()
            self.error = error

    def end(self, timeout):
        self.join(timeout)
        if self.error:
            raise self.error
        assert not self.is_alive(), f"{self.n_received} of {self.n_down} bytes have come"


class Traffic:
    """n_streams transfers of n bytes each way at once, and again as often as somebody wants some to be under way."""

    def __init__(self, t, n_streams, n, timeout):
        self.t, self.n_streams, self.n, self.timeout = t, n_streams, n, timeout
        self.server, self.n_ended = t.serve(two_way), 0
        self.transfers = self._start()

    def _start(self):
        return [Transfer(self.t.connect(self.server, timeout=self.timeout), self.n, self.n, seed) for seed in range(self.n_streams)]

    @property
    def n_received(self):
        return self.n_ended + sum(one.n_received for one in self.transfers)

    def wait_more(self, n):
        """Until n more bytes have come back, and some are still to come."""
        due = self.n_received + n
        until(lambda: self.n_received >= due or not all(one.is_alive() for one in self.transfers), f"{due} bytes", self.timeout)
        if not any(one.is_alive() for one in self.transfers):
            self.end()
            self.transfers = self._start()

    def end(self):
        for one in self.transfers:
            one.end(self.timeout * SLOWNESS)
        self.n_ended += self.n_streams * self.n
        self.transfers = []
