"""Datagrams of a reverse inbound's clients, with the second implementation at the other end."""

import select

import pytest

from harness.binary import SLOWNESS
from harness.interop import NearEnds    # also makes tests/interop importable
from harness.services import free_port
from harness.udp import UdpEcho, header, is_refused, parse, udp_socket
from harness.wait import until
from test_interop import Listener

from tunnel import frame
from tunnel.frame import Address
from tunnel.listeners import Listening, Wanted
from tunnel.session import Answer, Bytes, Datagram, Finished, Opening

SERVER = Address("192.0.2.9", 53)


@pytest.fixture
def accepted(far_end, dial):
    """The second implementation's client at our far end, and a connection that this has taken for it: (listener, connection, its socket)."""
    port = free_port()
    end = far_end(allow_reverse=f"[{port}]")
    near = end.near()
    near.half.listeners.listen(Address("127.0.0.1", port))
    listener = Listener(end, near).connect()
    assert listener.wait(Listening).code == 0
    conn = dial(("127.0.0.1", port), timeout=20 * SLOWNESS)
    connection = listener.wait(Opening).id
    near.half.answer(connection, 0)
    yield listener, connection, conn
    listener.cut()


def bound_of(answer):
    assert answer.code == 0
    return answer.bound.host, answer.bound.port


def comes(listener, sock, seconds=20):
    """The next datagram at the socket; None where there is none so long."""
    for _ in range(int(seconds * SLOWNESS / 0.02)):
        listener.turn()
        if select.select([sock], [], [], 0)[0]:
            return parse(sock.recv(70000))
    return None


def test_our_far_end_relays_what_a_connections_client_sends(accepted):
    """Also over another link; it hears nobody else, and lets go of the port with the stream."""
    listener, connection, _ = accepted
    half = listener.near.half
    stream = half.relay(connection)
    at = bound_of(listener.wait(Answer))
    assert at[0] == "127.0.0.1"
    with udp_socket() as sock, udp_socket("127.0.0.2") as other:
        for lap in range(2):
            other.sendto(header(SERVER.host, SERVER.port) + b"not the client", at)
            sock.sendto(header(SERVER.host, SERVER.port) + b"question", at)
            assert listener.wait(Datagram) == Datagram(stream, SERVER, b"question")
            half.send(stream, Address(b"example.com", 53), b"answer")
            assert comes(listener, sock) == ("example.com", 53, b"answer")
            listener.cut()
            listener.connect()
        half.finish(stream)
        assert listener.wait(Finished).id == stream
        until(lambda: is_refused(sock, at), "the end of the port")


def test_our_far_end_sends_nothing_to_a_port_that_has_sent_nothing(accepted):
    """Whatever the near end says that the client has announced."""
    listener, connection, _ = accepted
    half = listener.near.half
    with udp_socket() as sock:
        stream = half.relay(connection, Address(*sock.getsockname()))
        at = bound_of(listener.wait(Answer))
        for _ in range(5):
            half.send(stream, SERVER, b"unasked")
        assert comes(listener, sock, seconds=0.5) is None
        sock.sendto(b"nonsense", at)
        half.send(stream, SERVER, b"unasked still")
        assert comes(listener, sock, seconds=0.5) is None
        sock.sendto(header(SERVER.host, SERVER.port) + b"asked", at)
        assert listener.wait(Datagram).payload == b"asked"
        half.send(stream, SERVER, b"answer")
        assert comes(listener, sock) == (SERVER.host, SERVER.port, b"answer")


def test_our_far_end_relays_for_connections_that_are_there_alone(accepted):
    listener, connection, conn = accepted
    half = listener.near.half
    for of in (0, 1, connection + 2, half.open(SERVER), 1 << 40):
        stream = half.relay(of)
        answers = [listener.wait(Answer)]
        while answers[-1].id != stream:
            answers.append(listener.wait(Answer))
        assert answers[-1].code == 1
    conn.close()
    assert listener.wait(Finished).id == connection
    half.finish(connection)
    until(lambda: listener.turn() or connection not in half.streams, "the connection's end")
    half.relay(connection)
    assert listener.wait(Answer).code == 1


def test_our_far_end_has_no_listeners_of_other_kinds(far_end):
    port = free_port()
    end = far_end(allow_reverse=f"[{port}]")
    near = end.near()
    numbers = [near.half.listeners.listen(Address("127.0.0.1", port), kind) for kind in (1, 255, 0)]
    listener = Listener(end, near).connect()
    assert [listener.wait(Listening)[:2] for _ in numbers] == list(zip(numbers, (1, 1, 0)))
    listener.cut()


class OneClient:
    """At the second implementation's server: who comes by a listener, asks for UDP ASSOCIATE, sends a datagram and goes."""

    def __init__(self, target):
        self.target, self.told = target, b""
        self.connection = self.relay = self.answer = self.ended = None

    def __call__(self, half, event):
        if isinstance(event, Wanted):
            half.listeners.answer(event.number, 0, event.address)
            self.connection = half.open(event.address, Address("198.51.100.7", 7), kind=2, of=event.number)
            half.write(self.connection, b"\5\1\0" + b"\5\3\0\1\0\0\0\0\0\0")
        elif isinstance(event, Opening):
            assert (event.kind, event.of, event.source) == (3, self.connection, frame.NOTHING)
            self.relay = event.id
            half.answer(event.id, 0, Address("203.0.113.8", 4000))
        elif isinstance(event, Bytes):
            self.told += event.data
            if len(self.told) == 12:
                half.send(self.relay, self.target, b"question")
        elif isinstance(event, Datagram):
            self.answer = event
            half.finish(self.connection)
        elif isinstance(event, Finished) and event.id == self.relay:
            self.ended = event.id


def test_our_near_end_associates_where_the_other_server_listens(sockeye, place):
    echo, ends = UdpEcho(), NearEnds(sockeye, place)
    application = OneClient(Address(*echo.addr))
    program, _ = ends.start(application, inbounds="  - {type: socks, name: inside, listen_via: home, listen: '127.0.0.1:1080', "
                                                  "allow_targets: ['127.0.0.1']}\n")
    until(lambda: application.ended, "the end of the datagrams behind the connection's", timeout=30)
    assert application.told == b"\5\0" + b"\5\0\0\1" + bytes([203, 0, 113, 8]) + (4000).to_bytes(2, "big")
    assert application.answer == Datagram(application.relay, Address(*echo.addr), b"question")
    program.wait_record(event="flow", out="direct", up="8", down="8", **{"from": "198.51.100.7:7"})
    ends.stop()
    echo.close()
