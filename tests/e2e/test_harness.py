"""The tests' own tools, without the program: what they promise to notice, they notice."""

import socket
import struct
import threading

import dnslib
import pytest

from harness.client import dial, receive_exactly
from harness.dnsserver import Answer
from harness.logline import parse
from harness.origin import answer_after_end, echo, reset
from harness.pattern import pattern, receive_end, receive_pattern, send_pattern


def test_a_wrong_a_lost_and_a_doubled_byte_are_noticed():
    good = bytes(pattern(0, 4096, seed=3))
    for bad in (good[:100] + b"\0" + good[101:], good[:100] + good[101:] + b"\0", good[:100] + good[99:-1]):
        left, right = socket.socketpair()
        left.sendall(bad)
        with pytest.raises(AssertionError, match="wrong bytes"):
            receive_pattern(right, 4096, seed=3)


def test_the_pattern_depends_on_position_and_seed_only():
    whole = b"".join(bytes(pattern(i, 1000, 5)) for i in range(0, 5000, 1000))
    assert whole[1234:2000] == pattern(1234, 766, 5)
    assert pattern(0, 64, 5) != pattern(0, 64, 6) and pattern(0, 64, 5) != pattern(64, 64, 5)


def test_the_origin_tells_an_end_from_a_reset(origin):
    def one_byte_then_reset(conn):
        conn.recv(1)
        reset(conn)
    late, brusque = origin(answer_after_end(70000, 1000)), origin(one_byte_then_reset)
    with dial(late.addr) as sock:
        send_pattern(sock, 70000)
        sock.shutdown(socket.SHUT_WR)
        receive_pattern(sock, 1000, seed=1)
        receive_end(sock)
    late.result()
    with dial(brusque.addr) as sock, pytest.raises(ConnectionResetError):
        sock.sendall(b"x")
        sock.recv(1)


def test_the_origin_hands_over_what_its_handler_found(origin):
    server = origin(answer_after_end(5, 1))
    with dial(server.addr) as sock:
        sock.sendall(b"wrong")
        with pytest.raises(AssertionError):
            server.result()


def test_the_origin_serves_many_at_once(origin):
    server = origin(echo)
    socks = [dial(server.addr) for _ in range(50)]
    server.wait_for_clients(50)
    for i, sock in enumerate(socks):
        send_pattern(sock, 1000, seed=i)
    for i, sock in enumerate(socks):
        receive_pattern(sock, 1000, seed=i)
        sock.close()


def test_the_dns_server_answers_as_it_is_told(dns):
    server = dns({"two.test": Answer(a=["127.0.0.2", "127.0.0.3"], aaaa=["::1"]), "alias.test": Answer(cname="two.test"),
                  "big.test": Answer(a=["127.0.0.4"], truncated=True, tcp_bytewise=True), "bad.test": Answer(rcode="SERVFAIL")})

    def ask(name, type="A", tcp=False):
        question = dnslib.DNSRecord.question(name, type)
        if not tcp:
            return dnslib.DNSRecord.parse(question.send(server.host, server.port, timeout=5))
        with dial((server.host, server.port)) as sock:
            wire = question.pack()
            sock.sendall(struct.pack(">H", len(wire)) + wire)
            return dnslib.DNSRecord.parse(receive_exactly(sock, struct.unpack(">H", receive_exactly(sock, 2))[0]))
    assert [str(r.rdata) for r in ask("two.test").rr] == ["127.0.0.2", "127.0.0.3"]
    assert [str(r.rdata) for r in ask("two.test", "AAAA").rr] == ["::1"]
    assert [str(r.rdata) for r in ask("alias.test").rr] == ["two.test.", "127.0.0.2", "127.0.0.3"]
    assert ask("big.test").header.tc and not ask("big.test").rr
    assert [str(r.rdata) for r in ask("big.test", tcp=True).rr] == ["127.0.0.4"]
    assert ask("bad.test").header.rcode == dnslib.RCODE.SERVFAIL
    assert ask("none.test").header.rcode == dnslib.RCODE.NXDOMAIN
    assert len(server.asked("two.test", "A")) == 1 and len(server.asked("big.test", transport="tcp")) == 1


def test_log_lines_are_read_in_both_formats():
    text = '2026-11-21T09:49:33.123Z warn login in=lan from=192.0.2.7:4242 user=ann method=socks5'
    record = parse(text)
    assert (record["level"], record["event"], record["from"], record["user"]) == ("warn", "login", "192.0.2.7:4242", "ann")
    assert parse('{"level":"warn","from":"192.0.2.7:4242"}')["from"] == "192.0.2.7:4242"
    assert parse("sockeye: ready") is None


def test_no_thread_of_the_origin_outlives_its_connections(origin):
    before = threading.active_count()
    server = origin(echo)
    for _ in range(20):
        dial(server.addr).close()
    for _ in range(20):
        server.result()
    assert threading.active_count() <= before + 2
