"""Rules: which outbound takes a flow, as its log line tells and as a blocked one shows."""

import socket

import pytest

from configs import ANN, USERS, inbound
from harness.client import BIND, CONNECT, dial as open_client, http_connect, open_flow, socks5
from harness.dnsserver import Answer, Turning
from harness.origin import echo

DENIED = 2
REFUSED = 5

OUTBOUNDS = """
outbounds:
  - {name: first, type: direct}
  - {name: second, type: direct}
"""


def routes(*rules):
    return OUTBOUNDS + "routes:\n" + "".join(f'  - "{rule}"\n' for rule in rules)


@pytest.fixture
def names(dns):
    return dns({name: Answer(a=["127.0.0.1"]) for name in
                ("example.test", "www.example.test", "notexample.test", "other.test", "tracker.ads.test")})


@pytest.fixture
def out_of(sockeye, origin, names, dial):
    """Which outbound a target takes: out_of(rules)(host) -> its name, or 'block'."""
    def start(*rules, before=None, **keys):
        server = origin(echo)
        proxy = sockeye((before or inbound(**keys)) + names.yaml + routes(*rules).replace("ORIGIN", str(server.port)))

        def ask(host, source=None, login=None, listener=None, port=server.port):
            with open_client(proxy.addr(listener), source) as sock:
                code = socks5(sock, host, port, login).code
                mine = "%s:%d" % sock.getsockname()[:2]
            record = proxy.wait_record(event="flow", from_=mine)
            assert (code == DENIED) == (record["out"] == "block")
            return record["out"]
        return ask
    return start


@pytest.mark.parametrize("rule,host,expected", [
    ("DOMAIN,example.test,second", "example.test", "second"),
    ("DOMAIN,example.test,second", "EXAMPLE.Test", "second"),
    ("DOMAIN,example.test,second", "www.example.test", "first"),
    ("DOMAIN-SUFFIX,example.test,second", "www.example.test", "second"),
    ("DOMAIN-SUFFIX,example.test,second", "example.test", "second"),
    ("DOMAIN-SUFFIX,example.test,second", "notexample.test", "first"),
    ("DOMAIN-KEYWORD,.ads.,block", "tracker.ads.test", "block"),
    ("DOMAIN-KEYWORD,.ads.,block", "other.test", "first"),
    ("IP-CIDR,127.0.0.0/8,second", "127.0.0.1", "second"),
    ("IP-CIDR,127.0.0.0/8,second", "example.test", "first"),
    ("IP-CIDR,127.0.0.0/8,second,resolve", "example.test", "second"),
    ("IP-CIDR,10.0.0.0/8,second,resolve", "example.test", "first"),
    ("DST-PORT,ORIGIN,second", "127.0.0.1", "second"),
    ("DST-PORT,1-79,second", "127.0.0.1", "first"),
    ("IN-NAME,lan,second", "127.0.0.1", "second"),
    ("MATCH,second", "127.0.0.1", "second"),
])
def test_each_kind_of_rule(out_of, rule, host, expected):
    assert out_of(rule)(host) == expected


def test_rules_about_clients(out_of):
    ask = out_of("SRC-IP-CIDR,127.0.0.2/32,second")
    assert ask("127.0.0.1", "127.0.0.2") == "second"
    assert ask("127.0.0.1", "127.0.0.3") == "first"


def test_rules_about_users(out_of):
    ask = out_of("IN-USER,ann,second", users=USERS)
    assert ask("127.0.0.1", login=ANN) == "second"
    assert ask("127.0.0.1", login=("bob", "builder")) == "first"


def test_the_first_rule_that_matches_decides(out_of):
    ask = out_of("DOMAIN,www.example.test,block", "DOMAIN-SUFFIX,example.test,second", "DOMAIN,example.test,block",
                 "MATCH,first")
    assert ask("www.example.test") == "block"
    assert ask("example.test") == "second"
    assert ask("other.test") == "first"


def test_a_domain_set_is_a_file_of_suffixes(out_of, place):
    (place / "ads.txt").write_text("# what nobody needs\n\nads.test\n.example.test\n*.other.test  \n")
    ask = out_of("DOMAIN-SET,ads.txt,block")    # beside the configuration
    assert ask("tracker.ads.test") == "block"
    assert ask("www.example.test") == "block"
    assert ask("notexample.test") == "first"


def test_an_inbounds_outbound_wins_over_the_rules(out_of):
    assert out_of("MATCH,block", outbound="second")("127.0.0.1") == "second"


def test_rules_hold_for_every_protocol(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(inbound() + routes("DST-PORT,%d,block" % server.port))
    assert open_flow(dial(proxy.addr()), "socks4", *server.addr) == 91
    assert http_connect(dial(proxy.addr()), *server.addr).status == 403


def test_a_name_that_does_not_resolve_passes_by_rules_that_would_know_it(sockeye, dns, dial):
    """Then the outbound says what is wrong, not the rules."""
    names = dns({})
    proxy = sockeye(inbound() + names.yaml + routes("IP-CIDR,10.0.0.0/8,block,resolve"))
    assert socks5(dial(proxy.addr()), "nobody.test", 80, command=CONNECT).code == 4
    assert proxy.wait_record(event="flow")["out"] == "first"


@pytest.mark.parametrize("command", [CONNECT, BIND])
def test_what_the_rules_have_judged_is_what_is_dialled(sockeye, origin, dns, dial, command):
    """Whoever owns a name could show the rules one address and have another one dialled."""
    server = origin(echo)
    names = dns({})
    names.names = Turning(names)
    proxy = sockeye(inbound(bind="{enabled: true}") + names.yaml + routes("IP-CIDR,127.0.0.1/32,block,resolve"))
    sock = dial(proxy.addr())
    reply = socks5(sock, "turning.test", server.port, command=command)
    if command == CONNECT:
        assert reply.code == REFUSED    # nobody listens on 127.0.0.2
    else:
        assert reply.code == 0
        with socket.create_connection(("127.0.0.1", reply.port), source_address=("127.0.0.1", 0)) as stranger:
            stranger.settimeout(10)
            assert stranger.recv(1) == b""
    assert len(names.asked("turning.test", "A")) == 1


@pytest.mark.parametrize("host", ["127.0.0.1..", "example.test..", "example..test", ".example.test", "."])
def test_no_name_with_an_empty_label_passes_by_the_rules(sockeye, origin, dial, host):
    """Some upstreams would drop the dots, and reach what the rules keep from us."""
    upstream = origin(echo)
    proxy = sockeye(inbound() + f"""
outbounds: [{{name: up, type: http, server: "127.0.0.1:{upstream.port}"}}]
routes: ["DOMAIN-SUFFIX,example.test,block", "IP-CIDR,127.0.0.0/8,block"]
""")
    assert socks5(dial(proxy.addr()), host, 80).code == 1
    assert not upstream.clients


def test_a_slow_name_holds_up_nobody_else(sockeye, origin, dns, dial):
    server = origin(echo)
    names = dns({"slow.test": Answer(a=["127.0.0.1"], delay_s=2)})
    proxy = sockeye(inbound() + names.yaml + routes("IP-CIDR,10.0.0.0/8,block,resolve"))
    slow = dial(proxy.addr())
    slow.sendall(b"\x05\x01\x00\x05\x01\x00\x03\x09slow.test" + server.port.to_bytes(2, "big"))
    for _ in range(20):
        assert socks5(dial(proxy.addr()), *server.addr).code == 0
    slow.close()    # its look-up is forgotten with it
    proxy.wait_record(event="flow", end="reset")
