"""The network of two machines that other tests need, without the program: what is done to it, happens."""

import socket
import time

import pytest

from harness import client
from harness.namespaces import FAR4, FAR6, MOVED4, NEAR4
from harness.origin import echo, send_until_stuck, swallow
from harness.pattern import exchange, receive_pattern, send_pattern
from harness.wait import Stopwatch, until


@pytest.fixture
def server(cable, origin):
    """Starts an origin at the far side of the cable."""
    def start(handler, host=FAR4):
        with cable.far.entered():
            return origin(handler, host)
    return start


@pytest.fixture
def connect(cable, dial):
    """Connects to it from the near side."""
    def start(server):
        with cable.near.entered():
            return dial(server.addr)
    return start


@pytest.mark.parametrize("host", [FAR4, FAR6])
def test_the_cable_carries_both_families(server, connect, host):
    exchange(connect(server(echo, host)))


def test_a_killed_connection_is_over_at_both_ends_and_the_next_one_works(cable, server, connect):
    there = server(swallow)
    sock = connect(there)
    sock.sendall(b"x")
    there.wait_for_clients(1)
    assert cable.near.kill_connections(there.port) == 1
    with pytest.raises(OSError):
        sock.recv(1)
    with pytest.raises(ConnectionResetError):
        there.result()
    assert connect(there)


def test_a_firewall_resets_and_stops_to(cable, server, connect):
    there = server(echo)
    sock = connect(there)
    exchange(sock)
    with cable.far.resetting(there.port):
        sock.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect(there)
    exchange(connect(there))


def test_what_a_firewall_drops_comes_when_it_stops(cable, server, connect):
    there = server(echo)
    sock = connect(there)
    with cable.far.dropping(there.port):
        send_pattern(sock, 1000)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    sock.settimeout(20)
    receive_pattern(sock, 1000)


def test_a_machine_that_moves_has_another_address_and_its_connections_are_dead(cable, server, connect):
    there = server(echo)
    sock = connect(there)
    exchange(sock)
    cable.move_near()
    sock.settimeout(1)
    with pytest.raises(OSError):    # an error at once or no answer ever
        sock.sendall(b"x")
        sock.recv(1)
    exchange(connect(there))
    assert [host for host, _ in there.clients] == [NEAR4, MOVED4]
    cable.move_near()
    exchange(connect(there))
    assert there.clients[-1][0] == NEAR4


def test_a_plug_that_is_out_and_in_again(cable, server, connect):
    there = server(echo, FAR6)
    cable.set_up(False)
    with pytest.raises(OSError):
        connect(there)
    cable.set_up(True)
    exchange(connect(there))


# The emulated line. Bounds on times are wide: the machine may be busy.

def to_far(line, origin, dial, handler, host=FAR4):
    with line.far.entered():
        there = origin(handler, host)
    with line.near.entered():
        return dial(there.addr, timeout=30), there


@pytest.mark.parametrize("host", [FAR4, FAR6])
def test_a_line_takes_its_time_there_and_back(line, origin, dial, host):
    sock, _ = to_far(line, origin, dial, echo, host)
    exchange(sock)
    line.set("up", delay_ms=120)
    line.set("down", delay_ms=60)
    clock = Stopwatch()
    exchange(sock)
    assert 0.18 <= clock.s < 2
    line.set(delay_ms=0)
    sock.settimeout(20)
    exchange(sock)


def test_a_line_is_no_faster_than_its_rate(line, origin, dial):
    line.set(rate_mbit=16, queue_kb=100, delay_ms=5)
    sock, there = to_far(line, origin, dial, swallow)
    clock = Stopwatch()
    send_pattern(sock, 2_000_000)
    sock.shutdown(socket.SHUT_WR)
    assert there.result(timeout=30) == 2_000_000
    assert clock.s > 0.95, "16 Mbit/s take one second for 2 MB"
    up, down = line.counts()["up"], line.counts()["down"]
    assert up["bytes"] > 2_000_000 and 0 < down["bytes"] < 500_000


def test_a_full_queue_of_a_line_loses_packets(line, origin, dial):
    line.set("up", rate_mbit=50, queue_kb=10, delay_ms=20)
    sock, there = to_far(line, origin, dial, swallow)
    send_pattern(sock, 1_000_000)
    sock.shutdown(socket.SHUT_WR)
    assert there.result(timeout=60) == 1_000_000
    assert line.counts()["up"]["overflowed"] > 0


def datagrams(line, n):
    """Sends n from near to far, each with its number; returns the numbers in the order in which they came."""
    with line.far.entered():
        there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with line.near.entered():
        here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with there, here:
        there.bind((FAR4, 0))
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for i in range(n):
            here.sendto(i.to_bytes(4, "big"), there.getsockname())
            if i % 50 == 49:
                time.sleep(0.001)

        def under_way():
            up = line.counts()["up"]
            return up["received"] - up["delivered"] - up["lost"] - up["overflowed"] - up["frozen"]
        until(lambda: line.counts()["up"]["received"] >= n and under_way() == 0, f"{n} packets through the line")
        there.setblocking(False)
        came = []
        with pytest.raises(BlockingIOError):
            while True:
                came.append(int.from_bytes(there.recv(100), "big"))
        return came


def test_a_lossy_line_loses_as_many_packets_as_it_counts(line):
    line.set("up", loss=0.3)
    came = datagrams(line, 2000)
    assert 400 < line.counts()["up"]["lost"] < 800
    assert len(came) == 2000 - line.counts()["up"]["lost"]
    assert came == sorted(came)


def test_a_line_reorders_packets_and_loses_none(line):
    line.set("up", reorder=0.1, reorder_ms=20)
    came = datagrams(line, 1000)
    assert came != sorted(came) and sorted(came) == list(range(1000))
    assert 40 < line.counts()["up"]["reordered"] < 200


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_a_frozen_line_carries_nothing_and_afterwards_everything(line, origin, dial, direction):
    sock, there = to_far(line, origin, dial, echo)
    exchange(sock)
    with line.frozen(direction):
        send_pattern(sock, 1000)
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    counts = line.counts()
    # What does not arrive has no answer that could be lost.
    frozen_way = "down" if direction == "down" else "up"
    assert [way for way in counts if counts[way]["frozen"] > 0] == [frozen_way]
    sock.settimeout(30)
    receive_pattern(sock, 1000)


def test_a_line_refuses_what_it_does_not_know(line):
    for bad in ("up dely_ms 4", "up delay_ms", "up delay_ms -1", "sideways loss 1", "both loss 1.5", "up", "both rate_mbit x"):
        assert line._ask(bad) == "error", bad


def test_connections_beside_each_other_are_told_apart(cable, server, connect):
    first, second = server(send_until_stuck), server(echo)
    left, right = connect(first), connect(second)
    assert len(cable.far.connections(second.port)) == 1
    assert cable.far.kill_connections(first.port) == 1
    exchange(right)
    client.receive_all(left)
    assert not cable.far.connections(first.port) and len(cable.far.connections(second.port)) == 1
