"""Names: whose answers are used, in which order, for how long; and that nobody waits for another one's."""

import select
import socket
import subprocess
import threading

import pytest

from configs import inbound
from harness import network, proc
from harness.binary import SLOWNESS
from harness.client import GRANTED, http_connect, open_flow, receive_exactly, socks5, socks5_greet, socks5_request
from harness.dnsserver import Answer
from harness.origin import echo
from harness.sandbox import private_etc, replace_file, with_private
from harness.wait import Stopwatch, any_of, until

TRIES = 5


def connect_by_name(proxy, dial, name, port):
    return socks5(dial(proxy.addr()), name, port)


def several(answer):
    """As many names as a test has attempts, so that none finds what another has learnt."""
    return {f"{i}.test": answer for i in range(TRIES)}


def assert_quick(proxy, dial, port, seconds):
    """A connection by one of several() names takes less than that."""
    def attempt(name):
        watch = Stopwatch()
        assert connect_by_name(proxy, dial, name, port).code == 0
        return watch.s < seconds * SLOWNESS
    any_of((lambda name=name: attempt(name) for name in several(None)), f"a connection within {seconds} s")


def test_acc_52_a_slow_dns_server_delays_no_other_session(sockeye, origin, dns, dial):
    server = origin(echo)
    names = dns({"slow.test": Answer(a=["127.0.0.1"], delay_s=4), "fast.test": Answer(a=["127.0.0.1"])})
    proxy = sockeye(inbound() + names.yaml)
    open_before = dial(proxy.addr())
    assert socks5(open_before, *server.addr).code == 0
    slow = [dial(proxy.addr()) for _ in range(20)]
    for sock in slow:
        socks5_greet(sock)
        sock.sendall(socks5_request("slow.test", server.port))
    until(lambda: names.asked("slow.test"), "the slow look-up")
    for _ in range(10):
        assert connect_by_name(proxy, dial, "fast.test", server.port).code == 0
        assert connect_by_name(proxy, dial, "127.0.0.1", server.port).code == 0
        open_before.sendall(b"ping")
        assert receive_exactly(open_before, 4) == b"ping"
    assert not select.select(slow, [], [], 0)[0]
    for sock in slow:
        assert receive_exactly(sock, 2) == b"\x05\x00"


def test_acc_52_several_addresses_are_tried_until_one_answers(sockeye, origin, dns, dial):
    server = origin(echo, "127.0.0.4")
    names = dns({"many.test": Answer(a=["127.0.0.2", "127.0.0.3", "127.0.0.4"])})
    proxy = sockeye(inbound() + names.yaml)
    for protocol in GRANTED:
        sock = dial(proxy.addr())
        assert open_flow(sock, protocol, "many.test", server.port) == GRANTED[protocol]
        sock.sendall(b"hello")
        assert receive_exactly(sock, 5) == b"hello"
        sock.close()
    assert {r["addr"] for r in proxy.wait_record(3, event="flow")} == {f"127.0.0.4:{server.port}"}


def test_acc_52_a_dead_ipv6_address_costs_less_than_400_ms(sockeye, origin, dns, dial):
    network.need_own_network()
    server = origin(echo)
    names = dns(several(Answer(a=["127.0.0.1"], aaaa=[network.SILENT6])))
    proxy = sockeye(inbound() + names.yaml)
    before = proxy.n_descriptors()
    connect_by_name(proxy, dial, "127.0.0.1", server.port)
    assert_quick(proxy, dial, server.port, 0.4)
    # The attempt that lost is closed.
    until(lambda: not [s for s in proc.tcp(proxy.pid) if network.SILENT6 in s.peer], "the end of the losing attempt")
    assert proxy.n_descriptors() <= before + 6 + 2 * TRIES


def test_acc_52_a_dead_ipv4_address_beside_a_good_ipv6_one_costs_nothing_much(sockeye, origin, dns, dial):
    network.need_own_network()
    server = origin(echo, "::1")
    names = dns(several(Answer(a=[network.SILENT4], aaaa=["::1"])))
    assert_quick(sockeye(inbound() + names.yaml), dial, server.port, 0.4)


def test_acc_52_a_missing_aaaa_answer_does_not_hold_up_the_a_answer(sockeye, origin, dns, dial):
    """RFC 8305 section 3: 50 ms resolution delay, not the resolver's time-out."""
    server = origin(echo)
    names = dns(several(Answer(a=["127.0.0.1"], delay_aaaa_s=4)))
    assert_quick(sockeye(inbound() + names.yaml), dial, server.port, 0.9)


def test_acc_52_families_are_tried_in_turn(sockeye, origin, dns, dial):
    """Six dead IPv6 addresses do not come before the first IPv4 one (RFC 8305 section 4)."""
    network.need_own_network()
    server = origin(echo)
    names = dns(several(Answer(a=["127.0.0.1"], aaaa=[f"2001:db8:0:1::{i}" for i in range(0x10, 0x16)])))
    assert_quick(sockeye(inbound() + names.yaml), dial, server.port, 0.6)


@pytest.mark.parametrize("prefer,winner", [("4", "127.0.0.1"), ("6", "::1")])
def test_acc_52_prefer_decides_who_goes_first(sockeye, origin, dns, dial, prefer, winner):
    four = origin(echo)
    six = origin(echo, "::1", four.port)
    names = dns(several(Answer(a=["127.0.0.1"], aaaa=["::1"])))
    proxy = sockeye(inbound() + names.yaml.replace("}", f", prefer: {prefer}}}"))
    first, second = (four, six) if prefer == "4" else (six, four)

    def attempt(name):
        """Unless the preferred family's answer came so late that nobody waits for it."""
        others = len(second.clients)
        return {connect_by_name(proxy, dial, name, four.port).host for _ in range(3)} == {winner} and len(second.clients) == others
    any_of((lambda name=name: attempt(name) for name in several(None)), f"{winner}, and nobody else")


@pytest.mark.parametrize("option,family,other", [("-4", "127.0.0.1", "::1"), ("-6", "::1", "127.0.0.1")])
def test_acc_52_options_4_and_6_dial_that_family_only(sockeye, origin, dial, place, option, family, other):
    """By a name in /etc/hosts that has both, and by addresses."""
    network.need_own_network()
    etc = private_etc(place, hosts="127.0.0.1 dual.test\n::1 dual.test\n")
    four = origin(echo)
    origin(echo, "::1", four.port)
    proxy = sockeye(argv=["socks", "-p", "0", option], prefix=with_private("/etc", etc))
    assert connect_by_name(proxy, dial, "dual.test", four.port).host == family
    assert connect_by_name(proxy, dial, family, four.port).code == 0
    assert connect_by_name(proxy, dial, other, four.port).code != 0


def test_acc_76_a_truncated_answer_is_asked_again_over_tcp(sockeye, origin, dns, dial):
    server = origin(echo)
    names = dns({"big.test": Answer(a=["127.0.0.1"], truncated=True)})
    proxy = sockeye(inbound() + names.yaml)
    assert connect_by_name(proxy, dial, "big.test", server.port).code == 0
    assert names.asked("big.test", "A", "udp") and names.asked("big.test", "A", "tcp")


def test_acc_76_an_answer_over_tcp_may_come_byte_by_byte(sockeye, origin, dns, dial):
    server = origin(echo, "0.0.0.0")
    names = dns({"big.test": Answer(a=[f"127.0.0.{i}" for i in range(1, 9)], truncated=True, tcp_bytewise=True)})
    proxy = sockeye(inbound() + names.yaml)
    assert connect_by_name(proxy, dial, "big.test", server.port).code == 0


def test_a_cname_is_followed(sockeye, origin, dns, dial):
    server = origin(echo)
    names = dns({"alias.test": Answer(cname="real.test"), "real.test": Answer(a=["127.0.0.1"])})
    assert connect_by_name(sockeye(inbound() + names.yaml), dial, "alias.test", server.port).code == 0


def test_the_second_server_answers_where_the_first_is_dead(sockeye, origin, dns, dial, place):
    server, names = origin(echo), dns({"a.test": Answer(a=["127.0.0.1"])})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        proxy = sockeye(inbound() + f'dns: {{servers: ["127.0.0.1:{mute.getsockname()[1]}", "{names.host}:{names.port}"]}}')
        assert connect_by_name(proxy, dial, "a.test", server.port).code == 0


def test_answers_are_kept_for_their_ttl_and_no_longer(sockeye, origin, dns, dial):
    server = origin(echo)
    names = dns({"long.test": Answer(a=["127.0.0.1"], ttl=300), "short.test": Answer(a=["127.0.0.1"], ttl=1),
                 "zero.test": Answer(a=["127.0.0.1"], ttl=0)})
    proxy = sockeye(inbound() + names.yaml)
    for _ in range(5):
        for name in ("long.test", "short.test", "zero.test"):
            assert connect_by_name(proxy, dial, name, server.port).code == 0
    assert len(names.asked("long.test", "A")) == 1
    assert len(names.asked("zero.test", "A")) == 5

    def asked_again():
        assert connect_by_name(proxy, dial, "short.test", server.port).code == 0
        return len(names.asked("short.test", "A")) >= 2
    until(asked_again, "a second question after the TTL of 1 s")
    assert len(names.asked("long.test", "A")) == 1


def test_a_changed_address_is_used_once_the_ttl_is_over(sockeye, origin, dns, dial):
    old, names = origin(echo), dns({})
    new = origin(echo, "127.0.0.2", old.port)
    names.names["moving.test"] = Answer(a=["127.0.0.1"], ttl=1)
    proxy = sockeye(inbound() + names.yaml)
    assert connect_by_name(proxy, dial, "moving.test", old.port).code == 0
    names.names["moving.test"] = Answer(a=["127.0.0.2"], ttl=1)
    until(lambda: connect_by_name(proxy, dial, "moving.test", old.port).code == 0 and new.clients, "a connection to the new address", 5)


def test_acc_87_a_changed_resolv_conf_is_noticed(sockeye, origin, dns, dial, place):
    network.need_own_network()
    server = origin(echo)
    first = dns({"one.test": Answer(a=["127.0.0.1"], ttl=0)}, "127.0.0.11", 53)
    second = dns({"one.test": Answer(a=["127.0.0.1"], ttl=0), "two.test": Answer(a=["127.0.0.1"])}, "127.0.0.12", 53)
    etc = private_etc(place, "nameserver 127.0.0.11\n")
    proxy = sockeye(inbound(), prefix=with_private("/etc", etc))
    assert connect_by_name(proxy, dial, "one.test", server.port).code == 0
    assert first.asked("one.test") and not second.queries
    replace_file(etc / "resolv.conf", "nameserver 127.0.0.12\n")
    until(lambda: connect_by_name(proxy, dial, "two.test", server.port).code == 0, "the new server to be asked")
    n = len(first.queries)
    assert connect_by_name(proxy, dial, "one.test", server.port).code == 0
    assert len(first.queries) == n


def test_acc_87_a_resolv_conf_that_was_missing_at_the_start_is_noticed(sockeye, origin, dns, dial, place):
    network.need_own_network()
    server = origin(echo)
    dns({"one.test": Answer(a=["127.0.0.1"])}, "127.0.0.11", 53)
    etc = private_etc(place)
    (etc / "resolv.conf").unlink()
    proxy = sockeye(inbound(), prefix=with_private("/etc", etc))
    assert connect_by_name(proxy, dial, "one.test", server.port).code != 0
    replace_file(etc / "resolv.conf", "nameserver 127.0.0.11\n")
    until(lambda: connect_by_name(proxy, dial, "one.test", server.port).code == 0, "the new server to be asked")


def test_acc_87_a_changed_hosts_file_is_noticed(sockeye, origin, dns, dial, place):
    network.need_own_network()
    server, names = origin(echo), dns({})
    etc = private_etc(place, hosts="127.0.0.1 localhost\n127.0.0.1 old.test\n")
    proxy = sockeye(inbound() + names.yaml, prefix=with_private("/etc", etc))
    assert connect_by_name(proxy, dial, "old.test", server.port).code == 0
    assert connect_by_name(proxy, dial, "new.test", server.port).code == 4
    replace_file(etc / "hosts", "127.0.0.1 localhost\n127.0.0.1 new.test\n")
    until(lambda: connect_by_name(proxy, dial, "new.test", server.port).code == 0, "the new line to be used")
    assert not names.asked("old.test")


def test_acc_87_hosts_and_resolv_conf_are_not_opened_for_each_look_up(sockeye, origin, dns, dial, place):
    """Counted by the access time of the files, which a read moves (strictatime in the private mount)."""
    network.need_own_network()
    server = origin(echo)
    names = dns({f"n{i}.test": Answer(a=["127.0.0.1"]) for i in range(20)})
    etc = private_etc(place)
    prefix = with_private("/etc", etc)
    prefix[-2] = prefix[-2].replace("&& exec", "&& mount -o remount,bind,strictatime /etc && exec")
    proxy = sockeye(inbound() + names.yaml, prefix=prefix)
    assert connect_by_name(proxy, dial, "n0.test", server.port).code == 0
    read_at = [(etc / name).stat().st_atime_ns for name in ("hosts", "resolv.conf")]
    for i in range(1, 20):
        assert connect_by_name(proxy, dial, f"n{i}.test", server.port).code == 0
    assert [(etc / name).stat().st_atime_ns for name in ("hosts", "resolv.conf")] == read_at


def test_everything_is_asked_anew_when_the_network_changes(sockeye, origin, dns, dial):
    network.need_own_network()
    server, names = origin(echo), dns({"far.test": Answer(a=["127.0.0.1"], ttl=300)})
    proxy = sockeye(inbound() + names.yaml)
    for _ in range(3):
        assert connect_by_name(proxy, dial, "far.test", server.port).code == 0
    assert len(names.asked("far.test", "A")) == 1
    subprocess.run(["ip", "address", "add", "192.0.2.200/24", "dev", "void"], check=True)
    try:
        until(lambda: connect_by_name(proxy, dial, "far.test", server.port).code == 0 and len(names.asked("far.test", "A")) == 2,
              "a new question")
    finally:
        subprocess.run(["ip", "address", "delete", "192.0.2.200/24", "dev", "void"], check=True)


def test_a_dns_server_that_talks_nonsense_fails_the_look_up_and_nothing_else(sockeye, origin, dial):
    server = origin(echo)
    liar = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    liar.bind(("127.0.0.1", 0))
    liar.settimeout(0.2)
    done = threading.Event()

    def lie():
        while not done.is_set():
            try:
                data, peer = liar.recvfrom(4096)
            except TimeoutError:
                continue
            # Not a message; the right id and then nothing; a wrong id; a name that points at itself.
            for wire in (b"x", data[:2], b"\xff\xff" + data[2:], data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + b"\xc0\x0c\0\1\0\1" * 3):
                liar.sendto(wire, peer)
    thread = threading.Thread(target=lie)
    thread.start()
    try:
        proxy = sockeye(inbound() + f'dns: {{servers: ["127.0.0.1:{liar.getsockname()[1]}"]}}\nlimits: {{connect_ms: 1500}}')
        assert connect_by_name(proxy, dial, "any.test", server.port).code != 0
        assert http_connect(dial(proxy.addr()), "other.test", server.port).status in (502, 504)
        assert connect_by_name(proxy, dial, "127.0.0.1", server.port).code == 0
    finally:
        done.set()
        thread.join()
        liar.close()
