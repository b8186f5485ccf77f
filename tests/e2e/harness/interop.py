"""Our far end as the second implementation of the tunnel's protocol (tests/interop) sees it, and that one's modules."""

import base64
import hashlib
import os
import socket
import sys
import time

from harness.binary import ROOT, SLOWNESS

sys.path.insert(0, str(ROOT / "tests/interop"))
import client    # noqa: E402
from tunnel.frame import Address    # noqa: E402
from tunnel.keys import Keys    # noqa: E402
from server import TestServer, monotonic_us    # noqa: E402
from tunnel.link import ClientLink, Server    # noqa: E402
from tunnel.peer import Far    # noqa: E402

KEY_OF = {n: hashlib.sha512(b"the interop tests' key").digest()[:n] for n in (16, 24, 32)}
KEYS = Keys(KEY_OF[32])


def now_ms():
    return time.time_ns() // 1_000_000


def far_end_config(state, key, **yaml):
    """A far end on loopback; the keys are YAML text."""
    yaml = {"listen": '"127.0.0.1:0"', "allow_targets": '["127.0.0.0/8"]', **yaml}
    if key:
        yaml["key"] = f'"{base64.b64encode(key).decode()}"'
    return (f"state: {state}\ninbounds:\n  - {{type: tunnel, name: far, " +
            ", ".join(f"{name}: {value}" for name, value in yaml.items()) + "}\n")


class FarEnd:
    """The program's far end with a key, and how to get to it."""

    def __init__(self, program, keys, options):
        self.program, self.keys, self.options = program, keys, options

    def dial(self):
        return socket.create_connection(self.program.addr(), 20)

    def near(self, **more):
        return client.new_near(self.keys, **{**self.options, **more})

    def fetch(self, target, request=b"", near=None, near_options=None, **options):
        near = near or self.near(**(near_options or {}))
        return client.Fetch(near, self.dial, Address(*target), request, timeout_s=20 * SLOWNESS, **options).run()

    def answers(self, **more):
        """Whether it answers a flight at all: one that was started without a state refuses those of its first two seconds."""
        link = ClientLink(self.keys, draw=os.urandom, now_ms=now_ms, **{**self.options, **more})
        with self.dial() as sock:
            sock.sendall(link.start())
            sock.settimeout(0.5)
            try:
                return bool(sock.recv(1))
            except TimeoutError:
                return False


class NearEnds:
    """Starts the program's near end before a server of the second implementation."""

    def __init__(self, sockeye, place):
        self.sockeye, self.place, self.servers = sockeye, place, []

    def start(self, application, key=KEY_OF[32], keys=None, cut_after=(), pause=None, yaml="", inbounds="", **options):
        """`yaml` is the outbound's, `inbounds` are more of them, `options` are the server's. Returns the program and the TestServer."""
        server = Server([keys or Keys(key)], draw=os.urandom, now_ms=now_ms, **options)
        self.servers.append(TestServer(Far(server, monotonic_us, application), cut_after, pause))
        key_text = f', key: "{base64.b64encode(key).decode()}"' if key else ""
        program = self.sockeye(f"state: {self.place}/near-state\n"
                               'inbounds:\n  - {type: mixed, name: lan, listen: "127.0.0.1:0"}\n'
                               f"{inbounds}"
                               "outbounds:\n  - {type: tunnel, name: home, "
                               f'server: "127.0.0.1:{self.servers[-1].listen()}"{key_text}{yaml}}}\n')
        return program, self.servers[-1]

    def stop(self):
        for server in self.servers:
            server.stop()
