"""The hand-written cases of tests/interop at the running program: what becomes of flights and of frames, good and bad."""

import base64
import dataclasses
import os
import socket
import threading
import time

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.interop import KEY_OF, KEYS, now_ms
from harness.wait import until

import cases
from tunnel import frame
from tunnel.flight import GONE, N_HEAD2, Head2
from tunnel.frame import Address, Bye, End, Fin, Open, Ping, Pong
from tunnel.link import ClientLink, Established, Server, ServerLink

KEY_TEXT = base64.b64encode(KEY_OF[32]).decode()


class Wire:
    """A link over a socket, record by record."""

    def __init__(self, sock, link):
        self.sock, self.link = sock, link
        self.established, self.payloads, self.ended, self.fins = None, [], False, []
        sock.settimeout(20 * SLOWNESS)

    def send(self, payload):
        self.sock.sendall(self.link.seal(payload))

    def receive(self):
        """One read's frames; none at the end."""
        if self.payloads:
            frames = list(frame.decode(self.payloads.pop(0)))
            self.fins += [f for f in frames if isinstance(f, Fin)]
            return frames
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        for event in self.link.receive(data):
            if isinstance(event, Established):
                self.established = event
            else:
                self.payloads.append(event)
        return self.receive() if self.payloads else []

    def handshake(self):
        while not self.established:
            self.receive()
            assert not self.ended

    def outcome(self):
        """What has become of the session: END's code, "bye", or "alive" where one PING after the other is answered."""
        said = self._ping(1)
        while not self.ended:
            for f in self.receive():
                if isinstance(f, Pong) and f.token == 2:
                    return "alive"
                if isinstance(f, Pong):
                    self._ping(2)
                if isinstance(f, End):
                    return f.code
                if isinstance(f, Bye):
                    said = "bye"
        return said

    def _ping(self, token):
        try:
            self.send(frame.encode(Ping(token)))
        except OSError:
            pass    # what it said before it closed is still to be read


# --- flights ------------------------------------------------------------------------------------

class Gate:
    """A far end, and flights to it that know one of its sessions."""

    def __init__(self, end):
        self.end = end
        self.first = Wire(end.dial(), ClientLink(KEYS, draw=os.urandom, now_ms=now_ms, ciphers=[3]))
        self.first.sock.sendall(self.first.link.start())
        self.first.handshake()
        session = self.first.established.session
        self.flights = cases.Flights(KEYS.S, KEYS.U, {"id": session.id, "resume": session.resume}, now_ms(), os.urandom(8).hex())

    def check(self):
        """Each flight's answer comes before the next is sent; who is to hear nothing is waited for at the end."""
        quiet = []
        for case in self.flights.cases:
            sock = self.end.dial()
            sock.sendall(case["wire"])
            if case["does"] == "silent":
                quiet.append((case["name"], sock))
                continue
            sock.settimeout(10 * SLOWNESS)
            try:
                head = Head2.read(KEYS, client.receive_exactly(sock, N_HEAD2))
            except TimeoutError:
                pytest.fail(f"no answer to: {case['name']}")
            assert (head.kind == GONE) == (case["does"] == "gone"), case["name"]
            sock.close()
        time.sleep(0.5)
        for name, sock in quiet:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                pytest.fail(f"{name}: {sock.recv(100)}")
            sock.close()
        self.first.sock.close()


def test_flights_at_the_far_end(far_end):
    gate = Gate(far_end())
    cases.add_all(gate.flights)
    gate.flights.add("a good deal more than W behind", "silent", dt=-90_000)
    gate.flights.add("a good deal more than W before", "silent", dt=90_000)
    gate.check()


def test_a_join_number_64_below_the_highest_is_in_reach(far_end):
    gate = Gate(far_end())
    gate.flights.join("join number 70", "accepted", 70)
    cases.add_last_in_reach(gate.flights)
    gate.check()


# --- frames at the far end ----------------------------------------------------------------------

class Swallowing:
    """What each connection brought, and how it ended."""

    def __init__(self):
        self.lock, self.data, self.ends = threading.Lock(), bytearray(), []

    def __call__(self, conn):
        try:
            while data := conn.recv(65536):
                with self.lock:
                    self.data += data
            self.ends.append("end")
        except ConnectionResetError:
            self.ends.append("reset")


def payload_to(record, target):
    """A record of a case with another target; associations and what is not for the client to open have none of ours."""
    if isinstance(record, bytes):
        return record
    return frame.encode(*(dataclasses.replace(f, target=target) if isinstance(f, Open) and f.kind == 0 else f for f in record))


def has_association(case):
    return any(isinstance(f, Open) and f.kind == 1 for r in case.records if not isinstance(r, bytes) for f in r)


def expected(case):
    frames = [f for r in case.records if not isinstance(r, bytes) for f in r]
    if any(isinstance(f, (Bye, End)) for f in frames):
        return "bye"
    return "alive" if case.ended is None else case.ended


@pytest.fixture(scope="module")
def cases_at_server():
    """Malformed payloads are cases too; what they say depends on no stream."""
    return cases.AT_SERVER + [cases.Case(name, [payload], [], 1) for name, payload in cases.MALFORMED.items()]


def test_frames_at_the_far_end(far_end, origin, cases_at_server):
    end = far_end()
    for case in cases_at_server:
        swallowing = Swallowing()
        server = origin(swallowing)
        with end.dial() as sock:
            wire = Wire(sock, ClientLink(KEYS, draw=os.urandom, now_ms=now_ms, ciphers=[4]))
            sock.sendall(wire.link.start())
            wire.handshake()
            for record in case.records:
                wire.send(payload_to(record, Address(*server.addr)))
            assert wire.outcome() == expected(case), case.name
            told = {event[0]: event[-1] for event in case.told}
            if has_association(case):
                # Where its datagrams go to is not here; its FIN is answered by one.
                while "end" in told and not wire.fins:
                    wire.receive()
                    assert not wire.ended, case.name
                assert wire.fins == ([Fin(2, 0, b"")] if "end" in told else []), case.name
            elif case.ended is None and "reset" not in told:
                data = told.get("data", b"")
                until(lambda: len(swallowing.data) >= len(data), f"the bytes of: {case.name}")
                assert swallowing.data == data, case.name
                if "end" in told:
                    until(lambda: swallowing.ends == ["end"], f"the end of: {case.name}")
            if "reset" in told:
                until(lambda: server.n_open == 0, f"the reset of: {case.name}")
                assert "end" not in swallowing.ends, case.name
        server.close()


# --- frames at the near end ---------------------------------------------------------------------

class RawServer:
    """Takes connections of a near end, gives each a handshake and answers nothing by itself."""

    def __init__(self):
        self.server = Server([KEYS], draw=os.urandom, now_ms=now_ms)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20 * SLOWNESS)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        """The next connection on which a session stands, once the client's OPEN has come by it."""
        while True:
            wire = Wire(self.listener.accept()[0], ServerLink(self.server))
            while not wire.ended:
                frames = wire.receive()
                wire.sock.sendall(wire.link.out)
                wire.link.out.clear()
                opening = next((f for f in frames if isinstance(f, Open)), None)
                if opening:
                    assert opening.id == 2
                    return wire
            wire.sock.close()

    def close(self):
        self.listener.close()


@pytest.fixture
def raw():
    server = RawServer()
    yield server
    server.close()


def test_frames_at_the_near_end(sockeye, dial, place, raw):
    for case in cases.AT_CLIENT:
        # A program for each: sessions that end at once, one after the other, make it wait ever longer before the next.
        program = sockeye(f"state: {place}/near-state\n"
                          'inbounds:\n  - {type: mixed, name: lan, listen: "127.0.0.1:0"}\n'
                          f'outbounds:\n  - {{type: tunnel, name: home, server: "127.0.0.1:{raw.port}", key: "{KEY_TEXT}"}}\n')
        sock = dial(program.addr(), timeout=20)
        assert client.socks5_greet(sock) == client.NO_AUTH
        sock.sendall(client.socks5_request("192.0.2.7", 80))
        wire = raw.accept()
        with wire.sock:
            for record in case.records:
                wire.send(frame.encode(*record))
            outcome = wire.outcome()
            assert outcome == expected(case), case.name
            told = {event[0]: event[-1] for event in case.told}
            if "opened" in told and case.ended is None:
                assert client.receive_socks5_reply(sock).code == told["opened"], case.name
                if "data" in told:
                    assert client.receive_exactly(sock, len(told["data"])) == told["data"], case.name
                if "end" in told:
                    assert sock.recv(1) == b"", case.name
            if outcome == "alive":
                wire.send(frame.encode(End(0)))
                assert wire.outcome() == "bye", case.name
        sock.close()
        program.stop()
