"""How flows end: every order of closing, and resets that stay resets."""

import socket
import threading

import pytest

from configs import inbound
from harness.beside import in_thread
from harness.client import GRANTED, connect_request, receive_exactly, receive_http_reply, socks4_request, socks5_request
from harness.dnsserver import Answer
from harness.origin import answer_after_end, reset, send_until_stuck, speak_first
from harness.pattern import pattern, receive_end, receive_pattern, send_and_end, send_pattern

MB = 1 << 20
SIZES = [0, 1, 100_000, 8 * MB]


@pytest.mark.workers
@pytest.mark.parametrize("protocol", GRANTED)
@pytest.mark.parametrize("n", SIZES)
def test_acc_53_client_closes_first_and_the_late_answer_arrives_whole(flow, protocol, n):
    sock, server, proxy = flow(answer_after_end(n, n + 1), protocol=protocol)
    send_pattern(sock, n)
    sock.shutdown(socket.SHUT_WR)
    receive_pattern(sock, n + 1, seed=1)
    receive_end(sock)
    server.result()
    line = proxy.wait_record(event="flow")
    assert (line["up"], line["down"], line["end"]) == (str(n), str(n + 1), "closed")


@pytest.mark.parametrize("protocol", GRANTED)
@pytest.mark.parametrize("delay_s", [0, 0.5])
def test_acc_53_request_data_and_fin_in_one_go(sockeye, origin, dns, dial, protocol, delay_s):
    """As in `echo hello | nc -N`: the fin comes while we still resolve, and is no reason to give up."""
    server = origin(answer_after_end(1000, 1001))
    names = dns({"late.test": Answer(a=["127.0.0.1"], delay_s=delay_s)})
    request, reply = {"socks4": (socks4_request, 8), "http": (connect_request, None),
                      "socks5": (lambda *to: b"\x05\x01\x00" + socks5_request(*to), 12)}[protocol]
    sock = dial(sockeye(inbound() + names.yaml).addr())
    sock.sendall(request("late.test", server.port) + pattern(0, 1000))
    sock.shutdown(socket.SHUT_WR)
    if protocol == "http":
        assert receive_http_reply(sock).status == 200
    else:
        receive_exactly(sock, reply)
    receive_pattern(sock, 1001, seed=1)
    receive_end(sock)
    server.result()


@pytest.mark.workers
@pytest.mark.parametrize("n", SIZES)
def test_acc_53_server_closes_first_and_the_upload_goes_on(flow, n):
    def handler(conn):
        send_pattern(conn, n, seed=1)
        conn.shutdown(socket.SHUT_WR)
        receive_pattern(conn, n)
        receive_end(conn)
    sock, server, _ = flow(handler)
    receive_pattern(sock, n, seed=1)
    receive_end(sock)
    send_pattern(sock, n)
    sock.shutdown(socket.SHUT_WR)
    server.result()


@pytest.mark.parametrize("n", SIZES)
def test_acc_53_both_close_at_the_same_time(flow, n):
    start = threading.Barrier(2)

    def handler(conn):
        start.wait(20)
        join = in_thread(send_and_end, conn, n, 1)
        receive_pattern(conn, n)
        receive_end(conn)
        join()
    sock, server, _ = flow(handler)
    start.wait(20)
    join = in_thread(send_and_end, sock, n, 0)
    receive_pattern(sock, n, seed=1)
    receive_end(sock)
    join()
    server.result()


@pytest.mark.parametrize("n", SIZES)
def test_acc_53_the_server_speaks_first_and_closes_whole(flow, n):
    sock, _, _ = flow(speak_first(n))
    receive_pattern(sock, n)
    receive_end(sock)


@pytest.mark.parametrize("n", [0, 1, 300_000])
def test_table_3_a_reset_by_the_server_is_a_reset_for_the_client(flow, n):
    def handler(conn):
        receive_exactly(conn, 1)
        send_pattern(conn, n)
        receive_exactly(conn, 1)
        reset(conn)
    sock, _, proxy = flow(handler)
    sock.sendall(b"a")
    receive_pattern(sock, n)
    sock.sendall(b"b")
    with pytest.raises(ConnectionResetError):
        assert sock.recv(1) != b"", "a clean end where a reset was"
    assert proxy.wait_record(event="flow")["end"] == "reset"


@pytest.mark.parametrize("n", [0, 1, 300_000])
def test_table_3_a_reset_by_the_client_is_a_reset_for_the_server(flow, n):
    def handler(conn):
        receive_pattern(conn, n)
        conn.sendall(b"k")
        try:
            return conn.recv(1)
        except ConnectionResetError:
            return "reset"
    sock, server, proxy = flow(handler)
    send_pattern(sock, n)
    receive_exactly(sock, 1)
    reset(sock)
    assert server.result() == "reset"
    assert proxy.wait_record(event="flow")["end"] == "reset"


def test_table_3_a_reset_after_the_other_side_has_half_closed(flow):
    def handler(conn):
        conn.shutdown(socket.SHUT_WR)
        try:
            while conn.recv(65536):
                pass
        except ConnectionResetError:
            return "reset"
    sock, server, _ = flow(handler)
    receive_end(sock)
    send_pattern(sock, 1000)
    reset(sock)
    assert server.result() == "reset"


def test_table_3_a_reset_while_bytes_are_stuck_towards_a_slow_reader(flow):
    """The client reads nothing, the server resets: the client must not get a clean end."""
    def handler(conn):
        send_until_stuck(conn)
        reset(conn)
        return "reset"
    sock, server, _ = flow(handler)
    assert server.result() == "reset"
    with pytest.raises(ConnectionResetError):
        while sock.recv(1 << 20):
            pass
