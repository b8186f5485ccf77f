"""Who may come in, where to, and how many at once."""

import re
import socket

import pytest

from configs import USERS, inbound
from harness import network
from harness.client import http_connect, is_served, open_flow, receive_all, receive_exactly, socks4, socks5
from harness.dnsserver import Answer
from harness.origin import echo
from harness.wait import until

DENIED = {"socks4": 91, "socks5": 2, "http": 403}


def each_protocol_with(*hosts):
    """Pairs of a protocol and a host that it can express (SOCKS4 has no IPv6)."""
    return [(protocol, host) for protocol in DENIED for host in hosts if protocol != "socks4" or ":" not in host]


def assert_closed_unserved(sock):
    """Closed without an answer to anything."""
    try:
        sock.sendall(b"\x05\x01\x00")
    except OSError:
        pass
    assert receive_all(sock) == b""


def assert_served(sock, server):
    assert socks5(sock, *server.addr).code == 0
    sock.sendall(b"hello")
    assert receive_exactly(sock, 5) == b"hello"


# Clients

@pytest.mark.parametrize("keys,served,refused", [
    ({"allow": '["127.0.0.1"]'}, ["127.0.0.1"], ["127.0.0.2"]),
    ({"allow": '["127.0.0.2/31"]'}, ["127.0.0.2", "127.0.0.3"], ["127.0.0.1", "127.0.0.4"]),
    ({"allow": '["*"]'}, ["127.0.0.1", "127.9.9.9"], []),
    ({"deny": '["127.0.0.2"]'}, ["127.0.0.1"], ["127.0.0.2"]),
    ({"allow": '["127.0.0.0/8"]', "deny": '["127.0.0.2"]'}, ["127.0.0.1"], ["127.0.0.2"]),
    ({"allow": '["10.0.0.0/8", "::1"]'}, [], ["127.0.0.1"]),
    ({"deny": '["*"]'}, [], ["127.0.0.1"]),
], ids=str)
def test_acc_35_allow_and_deny_lists_for_clients(sockeye, origin, dial, keys, served, refused):
    proxy, server = sockeye(inbound(**keys)), origin(echo)
    for source in served:
        assert_served(dial(proxy.addr(), source), server)
    for source in refused:
        sock = dial(proxy.addr(), source)
        host, port = sock.getsockname()
        assert_closed_unserved(sock)
        assert proxy.wait_record(from_=f"{host}:{port}")["in"] == "lan"


@pytest.mark.parametrize("listen", ['"*:0"', '["127.0.0.1:0", "[::1]:0"]', "0", '"0"'])
def test_acc_72_both_families_are_served(sockeye, origin, dial, listen):
    server = origin(echo)
    proxy = sockeye(inbound(listen=listen, allow='["*"]', allow_targets='["127.0.0.0/8"]'))
    assert len(proxy.listeners) == 2
    if "," not in listen:
        assert len({listener.port for listener in proxy.listeners}) == 1, "both families take the same free port"
    for host in ("127.0.0.1", "::1"):
        port = proxy.port if "," not in listen else proxy.addr(host=host)[1]
        assert_served(dial((host, port)), server)


def test_acc_72_an_ipv4_cidr_holds_on_a_listener_for_both_families(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound(listen='"*:0"', allow='["127.0.0.0/30"]', allow_targets='["127.0.0.0/8"]'))
    assert_served(dial(("127.0.0.1", proxy.port), "127.0.0.2"), server)
    assert_closed_unserved(dial(("127.0.0.1", proxy.port), "127.0.0.9"))
    assert_closed_unserved(dial(("::1", proxy.port)))


def test_acc_72_a_v4_mapped_client_is_an_ipv4_client(sockeye, origin, dial):
    """A client whose own socket is IPv6 and speaks to ::ffff:127.0.0.1."""
    server = origin(echo)
    proxy = sockeye(inbound(listen='"*:0"', allow='["127.0.0.0/8"]', allow_targets='["127.0.0.0/8"]'))
    assert_served(dial(("::ffff:127.0.0.1", proxy.port)), server)


# Numbers

@pytest.mark.workers
@pytest.mark.parametrize("where", ["inbound", "limits"])
def test_connections_are_limited_and_served_again_when_one_ends(sockeye, origin, dial, where):
    proxy = sockeye(inbound(connections=3) if where == "inbound" else inbound() + "limits: {connections: 3}")
    server = origin(echo)
    socks = [dial(proxy.addr()) for _ in range(3)]
    for sock in socks:
        assert_served(sock, server)
    for _ in range(5):
        assert_closed_unserved(dial(proxy.addr()))
    socks[1].close()
    until(lambda: is_served(proxy.addr(), *server.addr), "service for another one")


@pytest.mark.workers
def test_per_client_limits_each_address_by_itself(sockeye, origin, dial):
    proxy, server = sockeye(inbound(per_client=2)), origin(echo)
    socks = []
    for source in ("127.0.0.2", "127.0.0.3"):
        for _ in range(2):
            socks.append(dial(proxy.addr(), source))
            assert_served(socks[-1], server)
        assert_closed_unserved(dial(proxy.addr(), source))
    socks[0].close()
    until(lambda: is_served(proxy.addr(), *server.addr, source="127.0.0.2"), "service for 127.0.0.2 again")
    assert_closed_unserved(dial(proxy.addr(), "127.0.0.3"))


def test_a_client_that_only_holds_its_connection_counts(sockeye, origin, dial):
    """Otherwise silent connections would be free of any limit until handshake_ms."""
    proxy, server = sockeye(inbound(connections=2)), origin(echo)
    silent = [dial(proxy.addr()) for _ in range(2)]
    until(lambda: not is_served(proxy.addr(), *server.addr), "the limit to hold")
    silent[0].close()
    until(lambda: is_served(proxy.addr(), *server.addr), "service again")


# Targets

@pytest.mark.parametrize("protocol,host", each_protocol_with(
    "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "169.254.169.254", "::", "ff02::1", "fe80::1",
    "::ffff:0.0.0.0", "::ffff:224.0.0.1", "::ffff:169.254.1.1"))
def test_acc_51_targets_that_nobody_should_reach_are_denied(sockeye, dial, protocol, host):
    network.need_own_network()
    proxy = sockeye(inbound())
    assert open_flow(dial(proxy.addr()), protocol, host, 80) == DENIED[protocol]
    assert proxy.wait_record(event="flow")["end"] == "denied"


def test_acc_51_the_403_says_so_in_one_line(sockeye, dial):
    reply = http_connect(dial(sockeye(inbound()).addr()), "0.0.0.0", 80)
    assert reply.status == 403 and re.fullmatch(r"0\.0\.0\.0:80: .*(denied|not allowed).*\n", reply.body)


@pytest.mark.parametrize("protocol,host", each_protocol_with("127.0.0.1", "127.8.7.6", "::1", "::ffff:127.0.0.1", "loopback.test"))
def test_loopback_is_denied_on_an_inbound_that_others_can_reach(sockeye, origin, dns, dial, protocol, host):
    names = dns({"loopback.test": Answer(a=["127.0.0.1"], aaaa=["::1"])})
    proxy = sockeye(inbound(listen='"0.0.0.0:0"', allow='["*"]') + names.yaml)
    server = origin(echo, "::1" if host == "::1" else "0.0.0.0")
    assert open_flow(dial(("127.0.0.1", proxy.port)), protocol, host, server.port) == DENIED[protocol]
    assert not server.clients


def test_loopback_is_allowed_where_allow_targets_names_it(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound(listen='"0.0.0.0:0"', allow='["*"]', allow_targets='["127.0.0.1"]'))
    assert socks5(dial(("127.0.0.1", proxy.port)), "127.0.0.1", server.port).code == 0
    assert socks5(dial(("127.0.0.1", proxy.port)), "127.0.0.2", server.port).code == 2


def test_acc_73_a_v4_mapped_target_is_an_ipv4_target(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound(deny_targets='["127.0.0.2"]'))
    assert socks5(dial(proxy.addr()), "::ffff:127.0.0.1", server.port).code == 0
    assert socks5(dial(proxy.addr()), "::ffff:127.0.0.2", server.port).code == 2


@pytest.mark.parametrize("protocol,host", each_protocol_with("127.0.0.1", "own.test", "::ffff:127.0.0.1"))
def test_acc_73_our_own_listener_is_no_target(sockeye, dns, dial, protocol, host):
    names = dns({"own.test": Answer(a=["127.0.0.1"])})
    proxy = sockeye(inbound() + '  - {type: http, name: other, listen: "127.0.0.1:0"}\n' + names.yaml)
    for name in ("lan", "other"):
        assert open_flow(dial(proxy.addr("lan")), protocol, host, proxy.addr(name)[1]) == DENIED[protocol]


def test_acc_73_a_wildcard_listener_is_our_own_on_every_address(sockeye, dial):
    network.need_own_network()
    proxy = sockeye(inbound(listen='"*:0"', allow='["*"]', allow_targets=f'["127.0.0.0/8", "::1", "{network.OWN4}", "{network.OWN6}"]'))
    for host in ("127.0.0.1", "127.1.2.3", "::1", network.OWN4, network.OWN6):
        assert socks5(dial(("127.0.0.1", proxy.port)), host, proxy.port).code == 2, host


def test_acc_73_the_same_port_elsewhere_is_not_our_own(sockeye, origin, dial):
    proxy = sockeye(inbound())
    neighbour = origin(echo, "127.0.0.2", proxy.port)
    assert socks5(dial(proxy.addr()), *neighbour.addr).code == 0


def test_acc_73_only_an_entry_with_the_port_lifts_it(sockeye, origin, dial):
    server = origin(echo)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    proxy = sockeye(inbound(listen=f'"127.0.0.1:{port}"', allow_targets=f'["127.0.0.1:{port}"]'))
    sock = dial(proxy.addr())
    assert socks5(sock, "127.0.0.1", port).code == 0
    assert socks5(sock, *server.addr).code == 0
    sock.sendall(b"twice")
    assert receive_exactly(sock, 5) == b"twice"


@pytest.mark.parametrize("entry,denied,allowed", [
    ('"127.0.0.2"', ["127.0.0.2:P"], ["127.0.0.1:P", "127.0.0.3:P"]),
    ('"127.0.0.2/31"', ["127.0.0.2:P", "127.0.0.3:P"], ["127.0.0.1:P"]),
    ('"127.0.0.2:P"', ["127.0.0.2:P"], ["127.0.0.2:Q", "127.0.0.1:P"]),
    ('"127.0.0.2/32:P-P"', ["127.0.0.2:P"], ["127.0.0.2:Q"]),
    ('"*:1-65535"', ["127.0.0.1:P", "127.0.0.2:Q"], []),
    ('"*"', ["127.0.0.1:P", "127.0.0.1:Q", "::1:P"], []),
    ('"*:P"', ["127.0.0.1:P", "127.0.0.2:P"], ["127.0.0.1:Q"]),
    ('"::/0"', ["::1:P"], ["127.0.0.1:P"]),
    ('"[::1]:P"', ["::1:P"], ["127.0.0.1:P"]),
], ids=str)
def test_deny_targets_by_address_network_port_and_range(sockeye, origin, dial, entry, denied, allowed):
    ports = {"P": origin(echo, "0.0.0.0").port}
    origin(echo, "::1", ports["P"])
    ports["Q"] = origin(echo, "0.0.0.0").port

    def filled(text):
        for letter, port in ports.items():
            text = text.replace(letter, str(port))
        return text
    proxy = sockeye(inbound(deny_targets=f"[{filled(entry)}]"))
    for wanted, targets in ((2, denied), (0, allowed)):
        for target in targets:
            host, _, port = filled(target).rpartition(":")
            assert socks5(dial(proxy.addr()), host, int(port)).code == wanted, target


def test_a_white_list_is_deny_all_and_allow_some(sockeye, origin, dial):
    good, bad = origin(echo), origin(echo, "127.0.0.2")
    proxy = sockeye(inbound(deny_targets='["*"]', allow_targets=f'["127.0.0.1:{good.port}"]'))
    assert socks5(dial(proxy.addr()), *good.addr).code == 0
    assert socks5(dial(proxy.addr()), *bad.addr).code == 2
    assert not bad.clients


def test_a_name_is_judged_by_the_address_dialled(sockeye, origin, dns, dial):
    server = origin(echo, "0.0.0.0")
    names = dns({"some.test": Answer(a=["127.0.0.2", "127.0.0.3"]), "all.test": Answer(a=["127.0.0.2", "0.0.0.0"]),
                 "rebind.test": Answer(a=["169.254.169.254"])})
    proxy = sockeye(inbound(deny_targets='["127.0.0.2"]') + names.yaml)
    assert socks5(dial(proxy.addr()), "some.test", server.port).code == 0
    for name in ("all.test", "rebind.test"):
        assert socks5(dial(proxy.addr()), name, server.port).code == 2
        assert http_connect(dial(proxy.addr()), name, server.port).status == 403
    flows = proxy.wait_record(4, event="flow")
    assert {r["end"] for r in flows} == {"denied"}


def test_the_block_outbound_denies_everything(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound(outbound="block"))
    for protocol, code in DENIED.items():
        assert open_flow(dial(proxy.addr()), protocol, *server.addr) == code
    assert not server.clients


def test_outbounds_by_name(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye('inbounds:\n  - {type: socks, name: a, listen: "127.0.0.1:0", outbound: out}\n'
                    '  - {type: socks, name: b, listen: "127.0.0.1:0", outbound: wall}\n  - {type: socks, name: c, listen: "127.0.0.1:0"}\n'
                    "outbounds:\n  - {type: block, name: wall}\n  - {type: direct, name: out}\n")
    assert socks5(dial(proxy.addr("a")), *server.addr).code == 0
    assert socks5(dial(proxy.addr("b")), *server.addr).code == 2
    assert socks5(dial(proxy.addr("c")), *server.addr).code == 2, "without a word the first outbound is used"


def test_users_and_allow_both_must_hold(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound(users=USERS, allow='["127.0.0.2"]'))
    assert socks5(dial(proxy.addr(), "127.0.0.2"), *server.addr, login=("bob", "builder")).code == 0
    assert_closed_unserved(dial(proxy.addr(), "127.0.0.1"))
    assert socks4(dial(proxy.addr(), "127.0.0.2"), *server.addr, user=b"bob") == 91
