#!/usr/bin/python3
"""Fetches through the far end of a tunnel, by nothing but doc/protocol.md, and says what came.

    client.py --server HOST:PORT --key-file FILE --target HOST:PORT [--cut-after BYTES]... <request >answer

What stdin has goes to the target, what the target answers to stdout, and one line of JSON to stderr: bytes, their SHA-256,
and the links that it took. At each --cut-after the connection is reset when so many bytes have come, and another one joins.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import select
import socket
import struct
import sys
import time

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from tunnel import Failure
from tunnel.frame import Address
from tunnel.identity import Identity
from tunnel.keys import Keys
from tunnel.peer import Near
from tunnel.session import Answer, Bytes, Ended, Finished, LinkOver, WasReset


class Refused(Exception):
    """The stream was refused or reset, or the session ended."""


class Silence(Exception):
    """The server says nothing, or closed."""


class Recorded:
    """What went over one connection, either way, and the client's ephemeral key: a capture, and what it lacks."""

    def __init__(self):
        self.up, self.down, self.e_private = bytearray(), bytearray(), None


class Fetch:
    """One stream through a tunnel. dial() gives a connected socket; sink(data) takes what comes."""

    def __init__(self, near, dial, target, request=b"", sink=lambda data: None, cut_after=(), timeout_s=30):
        self.near, self.dial, self.sink, self.timeout_s = near, dial, sink, timeout_s
        self.cuts = sorted(cut_after)
        self.n_bytes, self.sum = 0, hashlib.sha256()
        self.recordings, self.early = [], []
        self.answer, self.finished, self.link_over = None, False, False
        self.target, self.request = target, request
        self.carrier = self.sock = None
        self.n_gone = 0
        self._open()

    def _open(self):
        self.half = self.near.half
        self.half.events.clear()
        self.stream = self.half.open(self.target)
        self.half.write(self.stream, self.request)
        self.half.finish(self.stream)

    def run(self):
        """Until all has come; the session lives on without a link."""
        self._connect()
        try:
            while not self.finished or self.stream in self.near.half.streams:
                self._turn()
        finally:
            self._cut()
        return self

    def end_session(self):
        """Tells the server that the program ends."""
        self.near.half.end(0)
        self._connect()
        while not self.link_over:
            self._turn()
        self._cut()

    def _connect(self):
        self.sock = self.dial()
        self.sock.setblocking(False)
        self.carrier = self.near.connect()
        self.unsent = bytearray()
        self.recordings.append(Recorded())
        self.recordings[-1].e_private = self.carrier.link.e_private
        self.deadline = time.monotonic() + self.timeout_s

    def _cut(self):
        """Ends the connection as a dying network does it: with a reset, in the middle of whatever it is."""
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.carrier.over()

    def _turn(self):
        self.unsent += self.carrier.take_output()
        due = self.near.half.ack_due()
        wait_s = 1.0 if due is None else min(1.0, max(0.0, (due - self.near.now_us()) / 1e6))
        readable, writable, _ = select.select([self.sock], [self.sock] if self.unsent else [], [], wait_s)
        if writable:
            self._send()
        if readable:
            self._receive()
        elif time.monotonic() > self.deadline:
            raise Silence(f"nothing came for {self.timeout_s} s")
        self._take_events()
        if self.cuts and self.n_bytes >= self.cuts[0]:
            self.cuts.pop(0)
            self._cut()
            self._connect()

    def _send(self):
        n = self.sock.send(self.unsent)
        self.recordings[-1].up += self.unsent[:n]
        del self.unsent[:n]

    def _receive(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise Silence("the server has closed")
        self.deadline = time.monotonic() + self.timeout_s
        self.recordings[-1].down += data
        waited = self.carrier.link.state == "AWAITING"
        self.carrier.receive(data)
        if self.half is not self.near.half:
            self._gone()
        if waited and self.carrier.link.state == "ESTABLISHED":
            self.early.append(self.near.established.early_accepted)

    def _gone(self):
        """The server has lost the session. As no byte had come, the stream can be opened again in the new one."""
        self.n_gone += 1
        if self.n_bytes:
            raise Refused("the session is gone")
        self._open()

    def _take_events(self):
        events, self.near.half.events = self.near.half.events, []
        for event in events:
            if isinstance(event, Bytes):
                self.n_bytes += len(event.data)
                self.sum.update(event.data)
                self.sink(event.data)
                self.near.half.consume(event.id, len(event.data))
            elif isinstance(event, Answer):
                self.answer = event
                if event.code:
                    raise Refused(f"the target was refused with code {event.code}")
            elif isinstance(event, Finished):
                self.finished = True
            elif isinstance(event, LinkOver):
                self.link_over = True
            elif isinstance(event, (WasReset, Ended)) and self.near.half.ended != 0:
                raise Refused(str(event))

    def said(self):
        return {"bytes": self.n_bytes, "sha256": self.sum.hexdigest(), "links": len(self.recordings), "early_accepted": self.early}


# --- the command --------------------------------------------------------------------------------

def host_and_port(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def address(text):
    """As a frame has it."""
    host, port = host_and_port(text)
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return Address(host, port)
        except OSError:
            pass
    return Address(host.encode(), port)


def spki_of(path):
    key = load_pem_public_key(pathlib.Path(path).read_bytes())
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def new_near(keys, **options):
    """A client with a real clock and real randomness."""
    return Near(keys, draw=os.urandom, now_ms=lambda: time.time_ns() // 1_000_000,
                now_us=lambda: time.monotonic_ns() // 1000, **options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True, type=host_and_port, help="the far end, HOST:PORT")
    parser.add_argument("--target", required=True, type=address, help="where to, HOST:PORT")
    parser.add_argument("--key-file", help="the shared key, base64; without it the server's public key takes its place")
    parser.add_argument("--peer", help="the server's public key, PEM")
    parser.add_argument("--identity", help="our private key, PEM")
    parser.add_argument("--early", action="store_true", help="send the opening and the request with the first flight")
    parser.add_argument("--cipher", type=int, action="append", help="a record cipher to offer, by number; the best first")
    parser.add_argument("--cut-after", type=int, action="append", default=[], metavar="BYTES")
    return parser.parse_args()


def main():
    args = arguments()
    key = base64.b64decode(pathlib.Path(args.key_file).read_text().split()[0]) if args.key_file else None
    spki = spki_of(args.peer) if args.peer else None
    keys = Keys(key, server_spki=spki)
    fits = [c for c in (3, 4, 2, 1) if keys.fits(c)]
    near = new_near(keys, early=args.early, ciphers=args.cipher or fits, server_spki=spki,
                    identity=Identity.load(args.identity) if args.identity else None)
    fetch = Fetch(near, lambda: socket.create_connection(args.server, 10), args.target, sys.stdin.buffer.read(),
                  sys.stdout.buffer.write, args.cut_after)
    try:
        fetch.run().end_session()
    except (OSError, Failure, Refused, Silence) as error:
        print(f"client.py: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.flush()
    print(json.dumps(fetch.said()), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
