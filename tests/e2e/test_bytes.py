"""What flows carry: every byte, in both directions, however it is cut, however slow the reader; urgent data too."""

import socket
import threading
import time

import pytest

from configs import inbound
from harness import proc
from harness.beside import in_thread
from harness.binary import SANITIZER
from harness.client import receive_exactly, socks5
from harness.origin import echo, send_until_stuck, speak_first
from harness.pattern import receive_end, receive_pattern, send_and_end, send_pattern
from harness.wait import Stopwatch

MB = 1 << 20


@pytest.mark.workers
def test_both_directions_at_once_byte_for_byte(flow):
    n = 24 * MB

    def handler(conn):
        join = in_thread(send_and_end, conn, n, 1)
        receive_pattern(conn, n)
        receive_end(conn)
        join()
    sock, server, proxy = flow(handler)
    join = in_thread(send_and_end, sock, n, 0)
    receive_pattern(sock, n, seed=1)
    receive_end(sock)
    join()
    server.result()
    line = proxy.wait_record(event="flow")
    assert (line["up"], line["down"]) == (str(n), str(n))


@pytest.mark.parametrize("step", [1, 7, 1500, 70_000])
def test_small_and_large_writes_with_small_and_large_reads(flow, step):
    """Bytes do not depend on how they are cut."""
    n = min(step * 300, 6 * MB)
    sock, _, _ = flow(echo)

    def feed():
        for at in range(0, n, step):
            send_pattern(sock, step, start=at)
    join = in_thread(feed)
    for at in range(0, n, step):
        receive_pattern(sock, step, start=at)
    join()


@pytest.mark.skipif(bool(SANITIZER), reason="times mean little under a sanitizer")
def test_small_writes_are_not_held_back(flow):
    """Two writes and one answer, sixty times: Nagle's algorithm against delayed acknowledgements would cost 40 ms each."""
    def handler(conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while conn.recv(1):
            receive_exactly(conn, 1)
            conn.sendall(b"o")
            conn.sendall(b"k")
    sock, _, _ = flow(handler)
    times = []
    for _ in range(60):
        watch = Stopwatch()
        sock.sendall(b"a")
        sock.sendall(b"b")
        assert receive_exactly(sock, 2) == b"ok"
        times.append(watch.s)
    # Acknowledgements are not delayed at a connection's beginning; and some may be a busy machine's.
    assert sorted(times[20:])[20] < 0.02


def test_bulk_then_a_pause_then_small_then_bulk_again(flow):
    """A direction that was spliced and falls idle goes on correctly, small or large."""
    sock, _, _ = flow(echo)
    at = 0
    for n in (3 * MB, 1, 10, 3 * MB, 100, 3 * MB):
        join = in_thread(send_pattern, sock, n, 0, at)
        receive_pattern(sock, n, start=at)
        join()
        at += n


def test_a_slow_reader_gets_every_byte(flow):
    n = 12 * MB
    sock, _, _ = flow(speak_first(n))
    for at in range(0, n, 2 * MB):
        time.sleep(0.1)    # lets every buffer on the way fill up
        receive_pattern(sock, 2 * MB, start=at)
    receive_end(sock)


def test_a_slow_server_gets_every_byte(flow):
    n = 12 * MB

    def handler(conn):
        for at in range(0, n, 2 * MB):
            time.sleep(0.1)    # lets every buffer on the way fill up
            receive_pattern(conn, 2 * MB, start=at)
        receive_end(conn)
    sock, server, _ = flow(handler)
    send_and_end(sock, n, 0)
    server.result()


@pytest.mark.parametrize("bulk", [False, True], ids=["small", "spliced"])
def test_acc_65_urgent_data_neither_stalls_nor_loses_bytes(flow, bulk):
    """An urgent byte in mid-stream: what a receiver that takes it inline sees is the stream, whole and in order."""
    n = 4 * MB if bulk else 1000

    def handler(conn):
        receive_exactly(conn, 1)
        send_pattern(conn, n)
        conn.send(b"!", socket.MSG_OOB)
        send_pattern(conn, n, start=n)
        receive_end(conn)
    sock, server, _ = flow(handler)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    sock.sendall(b"g")
    receive_pattern(sock, n)
    assert receive_exactly(sock, 1) == b"!"
    receive_pattern(sock, n, start=n)
    sock.close()
    server.result()


def test_acc_65_urgent_data_from_the_client(flow):
    n = 4 * MB

    def handler(conn):
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        receive_pattern(conn, n)
        assert receive_exactly(conn, 1) == b"!"
        receive_pattern(conn, n, start=n)
        receive_end(conn)
    sock, server, _ = flow(handler)
    send_pattern(sock, n)
    sock.send(b"!", socket.MSG_OOB)
    send_pattern(sock, n, start=n)
    sock.shutdown(socket.SHUT_WR)
    server.result()


def test_acc_65_a_lone_urgent_byte_does_not_make_it_spin(flow):
    sock, _, proxy = flow(echo)
    sock.send(b"!", socket.MSG_OOB)
    sock.sendall(b"after")
    before = proc.cpu_s(proxy.pid)
    time.sleep(1)    # the time over which its CPU is counted
    assert proc.cpu_s(proxy.pid) - before < 0.2
    answer = b""
    while b"after" not in answer:
        answer += receive_exactly(sock, 1)


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer's memory is not the program's")
def test_acc_54_memory_is_bounded_with_slow_readers(sockeye, origin, dial):
    """64 flows whose readers have stopped, in each direction: 64 KiB each at most, so 8 MiB in all."""
    stop = threading.Event()
    proxy, talker, listener = sockeye(inbound()), origin(send_until_stuck), origin(lambda conn: stop.wait(60))
    first = dial(proxy.addr())
    socks5(first, *talker.addr)
    before = proc.rss_bytes(proxy.pid)
    talking = [dial(proxy.addr()) for _ in range(64)]
    for sock in talking:
        assert socks5(sock, *talker.addr).code == 0
    writers = [dial(proxy.addr()) for _ in range(64)]
    for sock in writers:
        assert socks5(sock, *listener.addr).code == 0
        sock.setblocking(False)
    stuck_since = Stopwatch()
    while stuck_since.s < 0.5:
        for sock in writers:
            try:
                sock.send(bytes(65536))
                stuck_since = Stopwatch()
            except BlockingIOError:
                pass
        time.sleep(0.01)
    for _ in range(65):
        talker.result(30)
    assert proc.rss_bytes(proxy.pid) - before < 128 * 65536
    stop.set()
