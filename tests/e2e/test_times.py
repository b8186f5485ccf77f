"""Time limits of a flow: idle, half-closed, kept alive."""

import socket
import threading
import time

import pytest

from configs import inbound
from harness import proc
from harness.beside import in_thread
from harness.binary import SLOWNESS
from harness.client import receive_exactly
from harness.origin import echo, swallow
from harness.pattern import receive_pattern, send_pattern
from harness.wait import Stopwatch, until

MB = 1 << 20


@pytest.mark.parametrize("busy_before", [0, 2 * MB])
def test_acc_50_idle_ms_is_enforced_and_measured(flow, busy_before):
    """Between the time and 1.25 times it after the last byte."""
    idle_s = 1.2
    sock, _, proxy = flow(echo, inbound() + "limits: {idle_ms: 1200}")
    join = in_thread(send_pattern, sock, busy_before)
    receive_pattern(sock, busy_before)
    join()
    watch = Stopwatch()
    assert_ended(sock)
    assert idle_s * 0.95 < watch.s < idle_s * 1.25 + 10 * SLOWNESS
    assert proxy.wait_record(event="flow")["end"] == "idle"


def assert_ended(sock):
    try:
        assert sock.recv(1) == b""
    except ConnectionResetError:
        pass


@pytest.mark.parametrize("who", ["client", "server"])
def test_acc_50_any_byte_in_any_direction_keeps_a_flow_alive(flow, who):
    def trickle(conn):
        for _ in range(8):
            conn.sendall(b"x")
            time.sleep(0.3)    # the trickle itself: well within the idle time

    def handler(conn):
        if who == "server":
            trickle(conn)
        return swallow(conn)
    sock, server, proxy = flow(handler, inbound() + "limits: {idle_ms: 1000}")
    watch = Stopwatch()
    if who == "client":
        trickle(sock)
    else:
        receive_exactly(sock, 8)
    assert watch.s > 1.5 and not proxy.records(event="flow")
    sock.shutdown(socket.SHUT_WR)
    server.result()
    assert proxy.wait_record(event="flow")["end"] == "closed"


def test_acc_50_a_long_bulk_transfer_is_not_idle(flow):
    done = threading.Event()

    def handler(conn):
        n = 0
        while not done.is_set():
            n += conn.send(bytes(65536))
        return n
    sock, server, _ = flow(handler, inbound() + "limits: {idle_ms: 500}")
    watch, n = Stopwatch(), 0
    while watch.s < 1.5:
        n += len(sock.recv(1 << 20))
    done.set()
    while data := sock.recv(1 << 20):
        n += len(data)
    assert n == server.result()


@pytest.mark.parametrize("first", ["client", "server"])
def test_half_closed_ms_replaces_idle_ms_after_one_fin(flow, first):
    done = threading.Event()

    def handler(conn):
        if first == "server":
            conn.shutdown(socket.SHUT_WR)
        done.wait(30)
    sock, _, proxy = flow(handler, inbound() + "limits: {idle_ms: 60000, half_closed_ms: 800}")
    watch = Stopwatch()
    if first == "client":
        sock.shutdown(socket.SHUT_WR)
    assert proxy.wait_record(event="flow")["end"] == "idle"
    assert 0.75 < watch.s < 0.8 * 1.25 + 10 * SLOWNESS
    done.set()


@pytest.mark.workers
def test_acc_82_keepalive_is_set_on_both_sides(flow, origin):
    sock, server, proxy = flow(echo, inbound() + "limits: {keepalive_s: 7}")

    def timers():
        return [s.options for s in proc.tcp(proxy.pid, "established")]
    assert len(timers()) == 2
    until(lambda: all("keepalive" in options for options in timers()), "keepalive on both sides")  # short connections do without
    for options in timers():
        seconds = options.split("keepalive,")[1].split(",")[0]
        assert seconds.endswith("ms") or float(seconds.removesuffix("sec")) <= 7


def test_acc_82_keepalive_0_is_none(flow):
    _, _, proxy = flow(echo, inbound() + "limits: {keepalive_s: 0}")
    assert not [s for s in proc.tcp(proxy.pid, "established") if "keepalive" in s.options]
