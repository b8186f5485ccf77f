"""Bytes that say where they belong: a lost, doubled or swapped byte is found, and so is another flow's."""

import random
import socket

import pytest

_PERIOD = 1_048_573    # prime, so that no buffer size divides it
CHUNK = 65536
_BYTES = random.Random(4).randbytes(_PERIOD)
_BYTES = memoryview(_BYTES + _BYTES[:CHUNK])


def pattern(offset, n, seed=0):
    """n bytes (at most CHUNK) of the stream called seed, from offset on."""
    assert n <= CHUNK
    start = (offset + seed * 7919) % _PERIOD
    return _BYTES[start:start + n]


def send_pattern(sock, n, seed=0, start=0):
    """Sends the stream's bytes start to start + n."""
    sent = start
    while sent < start + n:
        part = pattern(sent, min(CHUNK, start + n - sent), seed)
        sock.sendall(part)
        sent += len(part)


def send_and_end(sock, n, seed=0):
    """Sends the first n bytes and then a fin."""
    send_pattern(sock, n, seed)
    sock.shutdown(socket.SHUT_WR)


def receive_pattern(sock, n, seed=0, start=0):
    """Receives the stream's bytes start to start + n and checks each."""
    got = start
    while got < start + n:
        data = sock.recv(min(CHUNK, start + n - got))
        assert data, f"the stream ended at byte {got} of {start + n}"
        assert data == pattern(got, len(data), seed), f"wrong bytes between {got} and {got + len(data)}"
        got += len(data)


def exchange(sock, seed=0, n=1000):
    """There and back, by an echo."""
    send_pattern(sock, n, seed)
    receive_pattern(sock, n, seed)


def receive_end(sock):
    """The stream must end cleanly here."""
    data = sock.recv(CHUNK)
    assert data == b"", f"{len(data)} bytes where the end should be"


def receive_reset(sock):
    """Whatever comes, behind it the stream must not look whole."""
    with pytest.raises(ConnectionResetError):
        while sock.recv(CHUNK):
            pass
        pytest.fail("it looks whole")
