"""An answer's first byte through a tunnel takes three round trips of its path from cold (TCP, handshake, request), two with early
data and one on a session that stands. A far end of the second implementation's shows it: it says nothing more before it has the
request, so who waits for it in between waits for ever."""

import threading

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.interop import NearEnds    # also makes tests/interop importable
from harness.wait import until

from tunnel.session import Bytes, Opening

HOST = "192.0.2.1"
HEAD = f"GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = "POST {}/a HTTP/1.1\r\nHost: " + HOST + "\r\nContent-Length: 4\r\n\r\nbody"

# What a client says at once, and what the target shall hear of it.
CLIENTS = {
    "socks4": (client.socks4_request(HOST, 80) + HEAD, HEAD),
    "socks5": (b"\x05\x01\x00" + client.socks5_request(HOST, 80) + HEAD, HEAD),
    "connect": (client.connect_request(HOST, 80) + HEAD, HEAD),
    "get": (HEAD.replace(b"/a", f"http://{HOST}/a".encode()), HEAD),
    "post": (POST.format(f"http://{HOST}").encode(), POST.format("").encode()),
}
clients = pytest.mark.parametrize("said, expected", CLIENTS.values(), ids=CLIENTS)


class Reluctant:
    """A target that answers what it expects, and whose OPENED with `code` is sent when the last byte of that has come, or
    that which has n_later behind it."""

    def __init__(self, expected, code=0, n_later=0):
        self.expected, self.code, self.n_later = expected, code, n_later
        self.heard, self.has_heard = {}, threading.Event()

    def __call__(self, half, event):
        if isinstance(event, Opening):
            self.heard[event.id] = b""
        elif isinstance(event, Bytes) and event.id in half.streams:
            n_before = len(self.heard[event.id])
            self.heard[event.id] += event.data
            half.consume(event.id, len(event.data))
            n_to_come = len(self.expected) - len(self.heard[event.id])
            if n_to_come <= self.n_later < len(self.expected) - n_before:
                self.has_heard.set()
                half.answer(event.id, self.code)
            if n_to_come == 0 and self.code == 0:
                half.write(event.id, ANSWER)


@pytest.fixture
def near(sockeye, place):
    ends = NearEnds(sockeye, place)
    yield ends.start
    ends.stop()


def ask(sock, said, ending=b"\r\n\r\nok"):
    """What comes back up to `ending`."""
    sock.sendall(said)
    heard = b""
    while not heard.endswith(ending):
        received = sock.recv(4096)
        assert received, heard
        heard += received
    return heard


def ask_anew(dial, program, said):
    return ask(dial(program.addr(), timeout=20 * SLOWNESS), said)


@clients
def test_one_round_trip_on_a_session_that_stands(near, dial, said, expected):
    target = Reluctant(expected)
    program, _ = near(target)
    for _ in range(2):
        ask_anew(dial, program, said)
    assert list(target.heard.values()) == [expected] * 2


@clients
def test_three_round_trips_from_cold(near, dial, said, expected):
    """Once it has answered the first flight the far end waits."""
    target = Reluctant(expected)
    program, _ = near(target, pause=(1, target.has_heard))
    ask_anew(dial, program, said)
    assert list(target.heard.values()) == [expected]


@clients
def test_two_round_trips_with_early_data(near, dial, said, expected):
    target = Reluctant(expected)
    program, _ = near(target, pause=(0, target.has_heard), yaml=", early_data: full", early_data="full")
    ask_anew(dial, program, said)
    assert list(target.heard.values()) == [expected]


def test_requests_to_one_target_after_the_other_on_a_client_s_connection(near, dial):
    """Each goes with the opening of its target, and one to the target that is open to that."""
    said, expected = CLIENTS["get"]
    target = Reluctant(expected)
    program, _ = near(target)
    sock = dial(program.addr(), timeout=20 * SLOWNESS)
    for host in (HOST, "192.0.2.2", HOST):
        ask(sock, said.replace(HOST.encode(), host.encode()))
    assert list(target.heard.values()) == [expected, expected.replace(HOST.encode(), b"192.0.2.2"), expected]


def test_what_went_with_an_opening_that_is_refused_is_answered_by_us(near, dial):
    said, expected = CLIENTS["post"]
    target = Reluctant(expected, code=5)
    program, _ = near(target)
    heard = ask(dial(program.addr(), timeout=20 * SLOWNESS), said, ending=b"connection refused\n")
    assert heard.startswith(b"HTTP/1.1 502 ")
    assert list(target.heard.values()) == [expected]


def test_a_body_goes_on_behind_what_went_with_the_opening(near, dial):
    said, expected = CLIENTS["post"]
    target = Reluctant(expected, n_later=2)
    program, _ = near(target)
    sock = dial(program.addr(), timeout=20 * SLOWNESS)
    sock.sendall(said[:-2])
    assert target.has_heard.wait(20 * SLOWNESS)
    ask(sock, said[-2:])
    assert list(target.heard.values()) == [expected]


@pytest.mark.parametrize("said, expected", [CLIENTS[name] for name in ("socks4", "socks5", "connect", "post")],
                         ids=["socks4", "socks5", "connect", "post"])
def test_what_a_client_says_behind_its_first_bytes_waits_for_no_answer_either(near, dial, said, expected):
    target = Reluctant(expected)
    program, _ = near(target)
    sock = dial(program.addr(), timeout=20 * SLOWNESS)
    sock.sendall(said[:-2])
    until(lambda: list(target.heard.values()) == [expected[:-2]], "the first bytes at the target")
    ask(sock, said[-2:])
    assert list(target.heard.values()) == [expected]
