"""The true reason for every failure, in each protocol's own words; and nothing left behind by a failed attempt."""

import re
import socket

import pytest

from configs import inbound
from harness import network, proc
from harness.binary import SANITIZER, SLOWNESS
from harness.client import (GRANTED, HttpReply, connect_request, http_connect, open_flow, receive_all, socks5, socks5_greet,
                            socks5_request)
from harness.dnsserver import Answer
from harness.origin import Origin, echo, reset
from harness.wait import Stopwatch, any_of, until

NAMES = {
    "refused.test": Answer(a=["127.0.0.1"], aaaa=["::1"]),
    "servfail.test": Answer(rcode="SERVFAIL"),
    "nodata.test": Answer(),
    "silent.test": Answer(silent=True),
    "nowhere.test": Answer(a=[network.NO_NET4], aaaa=[network.NO_NET6]),
    "blackhole.test": Answer(a=[network.SILENT4]),
}

# (target, SOCKS5 reply, HTTP status, `end` in the access line)
FAILURES = {
    "refused": ("127.0.0.1", 5, 502, "refused"),
    "refused, IPv6": ("::1", 5, 502, "refused"),
    "refused by every address of a name": ("refused.test", 5, 502, "refused"),
    "network unreachable": (network.NO_NET4, 3, 502, "unreachable"),
    "network unreachable, IPv6": (network.NO_NET6, 3, 502, "unreachable"),
    "network unreachable by name": ("nowhere.test", 3, 502, "unreachable"),
    "host unreachable": (network.NO_HOST4, 4, 502, "unreachable"),
    "host unreachable, IPv6": (network.NO_HOST6, 4, 502, "unreachable"),
    "look-up says no such name": ("nxdomain.test", 4, 502, "lookup"),
    "look-up fails": ("servfail.test", 4, 502, "lookup"),
    "name without addresses": ("nodata.test", 4, 502, "lookup"),
    "connecting takes too long": (network.SILENT4, 4, 504, "timeout"),
    "connecting takes too long, IPv6": (network.SILENT6, 4, 504, "timeout"),
    "connecting by name takes too long": ("blackhole.test", 4, 504, "timeout"),
    "look-up takes too long": ("silent.test", 4, 504, "timeout"),
}


@pytest.fixture
def closed_port():
    """A port on which nobody listens: bound, so that nobody else takes it."""
    with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
        four.bind(("127.0.0.1", 0))
        port = four.getsockname()[1]
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::1", port))
        yield port


@pytest.mark.parametrize("what", FAILURES)
def test_acc_51_each_failure_has_its_reply_in_each_protocol(sockeye, dns, dial, closed_port, what):
    host, socks5_code, http_status, end = FAILURES[what]
    if "unreachable" in what or "too long" in what:
        network.need_own_network()
    names = dns(NAMES)
    proxy = sockeye(inbound() + names.yaml + "\nlimits: {connect_ms: 700}")
    # SOCKS4 has no IPv6.
    expected = {"socks5": socks5_code, "http": http_status, **({} if ":" in host else {"socks4": 91})}
    for protocol, code in expected.items():
        sock = dial(proxy.addr())
        if protocol == "http":
            reply = http_connect(sock, host, closed_port)
            assert reply.status == code
            assert_one_line_body(reply)
        else:
            assert open_flow(sock, protocol, host, closed_port) == code
        assert receive_all(sock) == b""
        sock.close()
    assert [r["end"] for r in proxy.wait_record(len(expected), event="flow")] == [end] * len(expected)


def assert_one_line_body(reply: HttpReply):
    assert re.fullmatch(r"[^\r\n]{5,200}\r?\n", reply.body), reply
    assert int(reply.headers["content-length"]) == len(reply.body.encode())


def test_table_3_the_body_says_what_failed(sockeye, dial, closed_port):
    proxy = sockeye(inbound())
    reply = http_connect(dial(proxy.addr()), "127.0.0.1", closed_port)
    assert "refused" in reply.body.lower() and str(closed_port) in reply.body


def test_acc_51_connect_ms_is_kept(sockeye, dial):
    network.need_own_network()
    proxy = sockeye(inbound() + "limits: {connect_ms: 600}")
    watch = Stopwatch()
    assert socks5(dial(proxy.addr()), network.SILENT4, 80).code == 4
    assert 0.55 < watch.s < 7 * SLOWNESS    # 8 s by default


def test_acc_51_connect_ms_covers_look_up_and_all_addresses(sockeye, dns, dial):
    network.need_own_network()
    names = dns({f"{i}.test": Answer(a=[network.SILENT4, "192.0.2.10", "192.0.2.11"], delay_s=0.4) for i in range(4)})
    proxy = sockeye(inbound() + names.yaml + "\nlimits: {connect_ms: 900}")

    def attempt(name):
        watch = Stopwatch()
        assert socks5(dial(proxy.addr()), name, 80).code == 4
        assert watch.s > 0.85
        return watch.s < 1.25 * SLOWNESS
    any_of((lambda name=name: attempt(name) for name in names.names), "an end in time")


@pytest.mark.parametrize("protocol", GRANTED)
def test_the_reply_tells_the_real_result_not_an_early_yes(sockeye, dial, closed_port, protocol):
    """No protocol says granted before the target has accepted."""
    proxy = sockeye(inbound())
    assert open_flow(dial(proxy.addr()), protocol, "127.0.0.1", closed_port) != GRANTED[protocol]
    listener = Origin(echo)
    assert open_flow(dial(proxy.addr()), protocol, *listener.addr) == GRANTED[protocol]
    listener.close()


def outbound_sockets(proxy, host):
    return [s for s in proc.tcp(proxy.pid) if s.peer.startswith(host) or s.peer.startswith(f"[{host}]")]


@pytest.mark.parametrize("protocol", ["socks5", "http"])
def test_table_3_a_client_gone_while_we_dial_cancels_the_attempt(sockeye, dial, protocol):
    network.need_own_network()
    proxy = sockeye(inbound() + "limits: {connect_ms: 60000}")
    before = proxy.n_descriptors()
    sock = dial(proxy.addr())
    if protocol == "http":
        sock.sendall(connect_request(network.SILENT4, 80))
    else:
        socks5_greet(sock)
        sock.sendall(socks5_request(network.SILENT4, 80))
    until(lambda: outbound_sockets(proxy, network.SILENT4), "the attempt to connect")
    reset(sock)
    until(lambda: not outbound_sockets(proxy, network.SILENT4), "its end")
    proxy.wait_descriptors(before)


def test_table_3_a_client_gone_while_we_resolve_gets_no_outbound_connection(sockeye, origin, dns, dial):
    server = origin(echo)
    names = dns({"late.test": Answer(a=["127.0.0.1"], delay_s=1)})
    proxy = sockeye(inbound() + names.yaml)
    # The resolver's own descriptors may stay; this warms it up.
    assert socks5(dial(proxy.addr()), "nxdomain.test", 80).code == 4
    sock = dial(proxy.addr())
    socks5_greet(sock)
    sock.sendall(socks5_request("late.test", server.port))
    until(lambda: names.asked("late.test"), "the look-up")
    reset(sock)
    # Two flows later the first one's answer has surely been dealt with.
    for _ in range(2):
        assert socks5(dial(proxy.addr()), "late.test", server.port).code == 0
    server.wait_for_clients(2)
    assert len(server.clients) == 2


@pytest.mark.workers
@pytest.mark.parametrize("n", [250, pytest.param(5000, marks=pytest.mark.soak)])
def test_no_close_wait_is_left_after_aborts_on_either_side(sockeye, origin, dial, n):
    """So many clients that vanish with data under way, and as many targets that do (3proxy 1263)."""
    def brusque(conn):
        conn.recv(1)
        conn.sendall(bytes(20000))
        reset(conn)
    proxy, patient, rude = sockeye(inbound()), origin(echo), origin(brusque)
    sock = dial(proxy.addr())
    socks5(sock, *patient.addr)
    before = proxy.n_descriptors()
    for i in range(n):
        sock = dial(proxy.addr())
        assert socks5(sock, *patient.addr).code == 0
        sock.sendall(bytes(1 + i % 250 * 40))
        reset(sock)
        sock = dial(proxy.addr())
        assert socks5(sock, *rude.addr).code == 0
        sock.sendall(b"x")
        receive_all(sock)
        sock.close()
    until(lambda: not proc.tcp(proxy.pid, "close-wait"), "no connection to be left in CLOSE_WAIT")
    proxy.wait_descriptors(before)


def test_no_close_wait_where_the_client_leaves_in_its_handshake(sockeye, dial):
    proxy = sockeye(inbound())
    dial(proxy.addr()).close()
    before = proxy.n_descriptors()
    for i, part in enumerate((b"", b"\x05", b"\x05\x01\x00", b"\x04\x01", b"CONNECT ", b"\x05\x01\x00\x05\x01") * 20):
        sock = dial(proxy.addr())
        sock.sendall(part)
        reset(sock) if i % 2 else sock.close()
    # When this one is answered, those before it have all been accepted.
    with dial(proxy.addr()) as last:
        socks5_greet(last)
    until(lambda: not proc.tcp(proxy.pid, "close-wait"), "no connection to be left in CLOSE_WAIT")
    proxy.wait_descriptors(before)


@pytest.mark.skipif(bool(SANITIZER), reason="times mean little under a sanitizer")
def test_a_refusal_is_immediate(sockeye, dial, closed_port):
    """Not after connect_ms or some other wait."""
    proxy = sockeye(inbound() + "limits: {connect_ms: 20000}")
    watch = Stopwatch()
    assert socks5(dial(proxy.addr()), "127.0.0.1", closed_port).code == 5
    assert watch.s < 10
