"""Options of direct: from which address, by which interface, with which mark its sockets speak."""

import re
import socket
import subprocess

import pytest

from configs import inbound
from harness import network
from harness.client import open_flow, socks5
from harness.dnsserver import Answer
from harness.origin import echo, speak_first
from harness.pattern import receive_pattern, send_pattern
from harness.program import no_leak_check
from harness.sandbox import as_user


def direct(**keys):
    return "\noutbounds: [{name: out, type: direct, " + ", ".join(f"{k}: {v}" for k, v in keys.items()) + "}]\n"


def run(*words):
    subprocess.run(words, check=True, capture_output=True)


def test_bind_chooses_the_address_to_speak_from(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound() + direct(bind="127.0.0.7"))
    sock = dial(proxy.addr())
    reply = socks5(sock, *server.addr)
    assert (reply.code, reply.host) == (0, "127.0.0.7")
    server.wait_for_clients(1)
    assert server.clients[0] == ("127.0.0.7", reply.port)


def test_bind_of_one_family_leaves_the_other_unspoken(sockeye, origin, dns, dial):
    names = dns({"both.test": Answer(a=["127.0.0.1"], aaaa=["::1"])})
    server = origin(echo)
    proxy = sockeye(inbound() + names.yaml + direct(bind="127.0.0.7"))
    assert socks5(dial(proxy.addr()), "::1", server.port).code == 3
    assert socks5(dial(proxy.addr()), "both.test", server.port).code == 0


def test_bind_to_an_address_that_is_not_ours_fails_each_flow(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound() + direct(bind="192.0.2.77"))
    assert socks5(dial(proxy.addr()), *server.addr).code == 4
    proxy.wait_record(event="flow", end="unreachable")


def test_interface_is_the_only_way_out(sockeye, origin, dial):
    """What listens on lo is reached by lo alone, whatever the routes say."""
    network.need_own_network()
    run("ip", "link", "add", "one0", "type", "veth", "peer", "name", "two0")
    try:
        run("ip", "addr", "add", "10.77.0.1/24", "dev", "one0")
        run("ip", "link", "set", "one0", "up")
        run("ip", "link", "set", "two0", "up")
        server = origin(echo)
        codes = {}
        for interface in ("lo", "one0", "nowhere0"):
            proxy = sockeye(inbound() + "\nlimits: {connect_ms: 500}" + direct(interface=interface))
            codes[interface] = socks5(dial(proxy.addr()), *server.addr).code
        assert codes["lo"] == 0
        assert codes["one0"] != 0
        assert codes["nowhere0"] == 3
    finally:
        run("ip", "link", "del", "one0")


def test_fwmark_is_on_every_packet(sockeye, origin, dial):
    """By a rule for the mark packets are prohibited; without the mark they arrive."""
    network.need_own_network()
    server = origin(echo)
    run("ip", "rule", "add", "pref", "20", "lookup", "local")
    run("ip", "rule", "add", "pref", "10", "fwmark", "77", "prohibit")
    run("ip", "rule", "del", "pref", "0")
    try:
        marked = sockeye(inbound() + direct(fwmark="77"))
        assert socks5(dial(marked.addr()), *server.addr).code != 0
        other = sockeye(inbound() + direct(fwmark="78"))
        assert socks5(dial(other.addr()), *server.addr).code == 0
    finally:
        run("ip", "rule", "add", "pref", "0", "lookup", "local")
        run("ip", "rule", "del", "pref", "10")
        run("ip", "rule", "del", "pref", "20")


def test_fwmark_without_the_right_is_warned_of(sockeye):
    network.need_root()
    proxy = sockeye(inbound() + direct(fwmark="77"), prefix=as_user(), env=no_leak_check())
    assert re.search(r" warn out=out: .*`fwmark`.*CAP_NET_ADMIN", proxy.text)


@pytest.fixture
def fast_open():
    """The kernel's switch for both sides, in a network of the test's own."""
    network.need_own_network()
    with open("/proc/sys/net/ipv4/tcp_fastopen") as file:
        was = file.read()
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as file:
        file.write("3")
    yield
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as file:
        file.write(was)


def test_fast_open_sends_the_first_bytes_with_the_syn(fast_open, sockeye, origin, dial):
    server = origin(echo)
    server.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    before = fast_opens()
    proxy = sockeye(inbound() + direct(fast_open="true"))
    for _ in range(3):    # the first brings the cookie
        sock = dial(proxy.addr())
        assert open_flow(sock, "socks5", *server.addr) == 0
        send_pattern(sock, 1000)
        receive_pattern(sock, 1000)
    assert fast_opens() > before


def test_fast_open_waits_for_no_client_who_waits_for_the_target(fast_open, sockeye, origin, dial):
    """ssh, SMTP and others: the target speaks first, which it only can once it has had a SYN."""
    server = origin(speak_first(1000))
    server.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    proxy = sockeye(inbound() + direct(fast_open="true"))
    for _ in range(3):    # the first brings the cookie, with which a SYN waits for bytes
        sock = dial(proxy.addr())
        assert open_flow(sock, "socks5", *server.addr) == 0
        receive_pattern(sock, 1000)


def fast_opens():
    """Connections of this network that began with data."""
    with open("/proc/net/netstat") as file:
        lines = [line.split() for line in file if line.startswith("TcpExt:")]
    return int(dict(zip(*lines))["TCPFastOpenActive"])
