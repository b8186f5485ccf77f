"""UDP ASSOCIATE: datagrams through the program, with clients and servers of its own kind and of others."""

import json
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from configs import ANN, USERS, inbound
from harness import client, network, proc
from harness.binary import SANITIZER, SLOWNESS
from harness.client import UDP_ASSOCIATE, dial, receive_exactly, socks5
from harness.dnsserver import Answer, Turning
from harness.origin import echo
from harness.program import run_cli
from harness.sandbox import with_descriptors
from harness.services import free_port, is_listening
from harness.udp import Association, UdpEcho, header, parse, udp_socket
from harness.wait import until

LOCAL = '["127.0.0.0/8", "::1"]'


@pytest.fixture
def associate():
    """Makes associations: associate(proxy.addr(), ...)."""
    made = []

    def start(*args, **options):
        made.append(Association(*args, **options))
        return made[-1]
    yield start
    for association in made:
        association.close()


@pytest.fixture
def udp_echo():
    """Starts servers that send datagrams back: udp_echo(host)."""
    started = []

    def start(host="127.0.0.1"):
        started.append(UdpEcho(host))
        return started[-1]
    yield start
    for server in started:
        server.close()


def status(proxy, place):
    done = run_cli("status", "--json", "-c", place / "config-0.yaml", home=place)
    assert done.code == 0, done.err
    return json.loads(done.out)["together"]


def with_admin(config, place):
    return config + f"admin: {{socket: '{place}/admin'}}\n"


# Clients and servers of others

def test_acc_60_pysocks_speaks_udp_through_us(sockeye, udp_echo):
    import socks
    proxy, server = sockeye(inbound(users=USERS)), udp_echo()
    sock = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.set_proxy(socks.SOCKS5, *proxy.addr(), username=ANN[0], password=ANN[1])
    sock.settimeout(10 * SLOWNESS)
    with sock:
        for size in (0, 1, 1200, 8000):
            sock.sendto(bytes(size), server.addr)
            data, peer = sock.recvfrom(9000)
            assert (data, peer) == (bytes(size), server.addr)
    record = proxy.wait_record(event="flow", user="ann")
    assert (record["end"], record["up"], record["down"]) == ("closed", "9201", "9201")


SOCKSIFY = """
resolveprotocol: fake
route {
    from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = %d
    protocol: udp
    command: udpassociate
    proxyprotocol: socks_v5
    method: none
}
"""

CLIENT = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(10)
for i in range(3):
    sock.sendto(b"datagram %%d" %% i, (socket.gethostbyname("%s"), %d))
    print(sock.recvfrom(1000)[0].decode())
"""


def test_acc_60_dantes_client_speaks_udp_through_us(sockeye, udp_echo, dns, place):
    """To a name, as what is on this machine's networks it goes to itself."""
    names = dns({"echo.test": Answer(a=["127.0.0.1"])})
    proxy, server = sockeye(inbound() + names.yaml), udp_echo()
    (place / "socks.conf").write_text(SOCKSIFY % proxy.port)
    (place / "client.py").write_text(CLIENT % ("echo.test", server.addr[1]))
    done = subprocess.run(["socksify", "/usr/bin/python3", place / "client.py"], capture_output=True, text=True,
                          timeout=60 * SLOWNESS, env={**os.environ, "SOCKS_CONF": str(place / "socks.conf")})
    assert done.stdout == "datagram 0\ndatagram 1\ndatagram 2\n", done.stderr
    record = proxy.wait_record(event="flow")
    assert int(record["up"]) == 30 and int(record["down"]) == 30, record


class Forwarder:
    """A local UDP port whose datagrams go to one target through an association, so that any program can use it."""

    def __init__(self, association, target):
        self.association, self.target = association, target
        self.sock = udp_socket()
        self.port = self.sock.getsockname()[1]
        self.peer = None
        for loop in (self._up, self._down):
            threading.Thread(target=loop, daemon=True).start()

    def _up(self):
        try:
            while True:
                data, self.peer = self.sock.recvfrom(70000)
                self.association.send(data, *self.target)
        except OSError:
            return

    def _down(self):
        try:
            while True:
                self.sock.sendto(self.association.receive()[2], self.peer)
        except OSError:
            return


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_acc_60_dig_asks_a_real_dns_server_through_us(sockeye, associate, spawn, place, host):
    proxy = sockeye(inbound(allow_targets=LOCAL))
    port = free_port()
    spawn(["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", f"--port={port}", "--conf-file=/dev/null",
           "--listen-address=127.0.0.1,::1", "--bind-interfaces", "--pid-file", "--user=root",
           "--address=/answer.test/192.0.2.77", f"--txt-record=long.test,{'x' * 250},{'y' * 250},{'z' * 250}"])
    until(lambda: is_listening(port), "dnsmasq")
    forwarder = Forwarder(associate(proxy.addr()), (host, port))
    dig = ["dig", "+notcp", "+short", "+tries=1", f"+time={5 * SLOWNESS}", "@127.0.0.1", "-p", str(forwarder.port)]
    found = subprocess.run([*dig, "answer.test"], capture_output=True, text=True, timeout=30 * SLOWNESS)
    assert found.stdout == "192.0.2.77\n", found
    found = subprocess.run([*dig, "+bufsize=4096", "long.test", "TXT"], capture_output=True, text=True, timeout=30 * SLOWNESS)
    assert found.stdout.count("z") == 250, found


# The way there and back

@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_acc_60_both_families_on_both_sides(sockeye, associate, udp_echo, host, target):
    proxy = sockeye(inbound(listen=f'"{"[::1]" if ":" in host else host}:0"'))
    server = udp_echo(target)
    association = associate(proxy.addr())
    assert association.reply.code == 0 and association.reply.host == host
    assert association.exchange(b"hello", *server.addr) == (target, server.addr[1], b"hello")


def test_acc_60_names_are_resolved_by_us_and_come_back_as_names(sockeye, associate, udp_echo, dns):
    server = udp_echo()
    names = dns({"echo.test": Answer(a=["127.0.0.1"], delay_s=0.3)})
    proxy = sockeye(inbound() + names.yaml)
    association = associate(proxy.addr())
    for i in range(3):    # they wait together
        association.send(b"%d" % i, "echo.test", server.addr[1])
    for i in range(3):
        assert association.receive() == ("echo.test", server.addr[1], b"%d" % i)
    assert len(names.asked("echo.test", "A")) == 1


def test_acc_60_the_cone_is_full(sockeye, associate, udp_echo):
    proxy, first, second = sockeye(inbound()), udp_echo(), udp_echo("127.0.0.2")
    association = associate(proxy.addr())
    association.exchange(b"one", *first.addr)
    association.exchange(b"two", *second.addr)
    assert first.seen == second.seen    # endpoint-independent mapping
    with udp_socket("127.0.0.3") as stranger:
        stranger.sendto(b"unasked", first.seen[0])    # endpoint-independent filtering
        assert association.receive() == ("127.0.0.3", stranger.getsockname()[1], b"unasked")


def test_acc_60_every_size(sockeye, associate, udp_echo):
    proxy, server = sockeye(inbound()), udp_echo()
    association = associate(proxy.addr())
    for size in (0, 1, 1472, 1473, 9000, 65507 - len(header(*server.addr))):
        payload = os.urandom(size)
        assert association.exchange(payload, *server.addr)[2] == payload


def test_acc_60_a_burst_over_a_path_with_a_small_mtu(sockeye, associate):
    """Several datagrams of one size go to the system as one, which it refuses where each would need fragments."""
    network.need_own_network()
    target = "127.0.0.77"
    subprocess.run(["ip", "route", "replace", "local", target, "dev", "lo", "table", "local", "mtu", "1000"], check=True)
    proxy = sockeye(inbound())
    association = associate(proxy.addr())
    with udp_socket(target) as server:
        for _ in range(2):
            proxy.send_signal(signal.SIGSTOP)    # so that it finds them all at once
            for i in range(20):
                association.send(bytes([i]) * 1200, *server.getsockname())
            proxy.send_signal(signal.SIGCONT)
            for i in range(20):
                assert server.recv(2000) == bytes([i]) * 1200


@pytest.mark.workers
def test_associations_of_several_workers(sockeye, associate, udp_echo):
    proxy, server = sockeye(inbound()), udp_echo()
    made = [associate(proxy.addr()) for _ in range(40)]
    for i, association in enumerate(made):
        association.send(b"%d" % i, *server.addr)
    for i, association in enumerate(made):
        assert association.receive()[2] == b"%d" % i
    assert len(set(server.seen)) == 40


def test_acc_60_a_range_of_ports_and_the_address_to_tell(sockeye, associate, udp_echo):
    server = udp_echo()
    proxy = sockeye(inbound(udp='{ports: "40000-40003", advertise: 203.0.113.1}'))
    for _ in range(2):
        association = associate(proxy.addr())
        assert association.reply.host == "203.0.113.1" and 40000 <= association.reply.port <= 40003
        association.at = ("127.0.0.1", association.reply.port)
        assert association.exchange(b"x", *server.addr)[2] == b"x"


def test_acc_51_where_it_is_off_the_command_is_not_supported(sockeye, dial):
    proxy = sockeye(inbound(udp="{enabled: false}"))
    assert socks5(dial(proxy.addr()), "0.0.0.0", 0, command=UDP_ASSOCIATE).code == 7


def test_rules_choose_the_outbound_of_each_datagram(sockeye, associate, udp_echo, dns):
    server, other = udp_echo(), udp_echo("127.0.0.2")
    names = dns({"far.test": Answer(a=["127.0.0.2"]), "near.test": Answer(a=["127.0.0.1"])})
    proxy = sockeye(inbound() + 'routes: ["IP-CIDR,127.0.0.2/32,block,resolve", "MATCH,direct"]\n' + names.yaml)
    association = associate(proxy.addr())
    for _ in range(2):
        association.send(b"no", *other.addr)
        association.send(b"no", "far.test", other.addr[1])
        assert association.exchange(b"yes", *server.addr)[2] == b"yes"
        assert association.exchange(b"yes", "near.test", server.addr[1])[2] == b"yes"
    assert association.is_silent() and other.seen == []


def test_a_rule_about_a_port_holds_for_what_waits_for_the_names_address(sockeye, associate, udp_echo, dns):
    server, blocked = udp_echo(), udp_echo()
    names = dns({"slow.test": Answer(a=["127.0.0.1"], delay_s=0.5)})
    proxy = sockeye(inbound() + names.yaml + '\noutbounds: [{type: direct, name: other}]\n'
                    'routes: ["IP-CIDR,10.0.0.0/8,other,resolve",'
                    f' "DST-PORT,{blocked.addr[1]},block", "MATCH,direct"]\n')
    association = associate(proxy.addr())
    association.send(b"yes", "slow.test", server.addr[1])
    association.send(b"no", "slow.test", blocked.addr[1])
    assert association.receive()[2] == b"yes"
    assert association.is_silent() and blocked.seen == []


def test_no_datagram_goes_to_an_address_that_the_rules_have_not_judged(sockeye, associate, udp_echo, dns):
    """Whoever owns a name could show the rules one address and have another one sent to."""
    server = udp_echo()
    names = dns({})
    names.names = Turning(names)
    proxy = sockeye(inbound() + names.yaml + '\nroutes: ["IP-CIDR,127.0.0.1/32,block,resolve", "MATCH,direct"]\n')
    association = associate(proxy.addr())
    association.send(b"no", "turning.test", server.addr[1])
    association.send(b"no", "turning.test", server.addr[1])
    assert association.is_silent(1) and server.seen == []


# Who may send what

def test_acc_75_only_the_clients_address_and_whole_datagrams(sockeye, associate, udp_echo, place):
    server = udp_echo()
    proxy = sockeye(with_admin(inbound(), place))
    association = associate(proxy.addr())
    with udp_socket("127.0.0.2") as foreign:
        foreign.sendto(header(*server.addr) + b"foreign", association.at)
        association.send(b"fragment", *server.addr, fragment=1)
        association.send(b"last fragment", *server.addr, fragment=0x80)
        association.sock.sendto(b"no header", association.at)
        assert association.exchange(b"mine", *server.addr)[2] == b"mine"
        foreign.sendto(header(*server.addr) + b"foreign", association.at)
        assert association.is_silent() and len(server.seen) == 1
    dropped = status(proxy, place)["dropped"]
    assert dropped["foreign"] >= 1 and dropped["malformed"] == 3


def test_acc_75_the_port_that_was_announced(sockeye, associate, udp_echo):
    proxy, server = sockeye(inbound()), udp_echo()
    with udp_socket() as announced:
        association = associate(proxy.addr(), announce=announced.getsockname())
        association.send(b"another port", *server.addr)
        announced.sendto(header(*server.addr) + b"announced", association.at)
        assert parse(announced.recvfrom(1000)[0])[2] == b"announced"
        assert len(server.seen) == 1


def test_acc_75_denied_targets(sockeye, associate, udp_echo, place):
    server = udp_echo()
    proxy = sockeye(with_admin(inbound(deny_targets='["127.0.0.2", "127.0.0.1:9"]'), place))
    association = associate(proxy.addr())
    for target in (("127.0.0.2", server.addr[1]), ("127.0.0.1", 9), proxy.addr(), ("224.0.0.1", 99), ("169.254.0.1", 99)):
        association.send(b"no", *target)
    assert association.exchange(b"yes", *server.addr)[2] == b"yes"
    assert status(proxy, place)["dropped"]["denied"] == 5


# Its end

@pytest.mark.parametrize("how", ["fin", "half-close", "reset"])
def test_acc_75_it_ends_with_its_tcp_connection(sockeye, associate, udp_echo, how):
    proxy, server = sockeye(inbound()), udp_echo()
    before = proxy.n_descriptors()
    association = associate(proxy.addr())
    association.exchange(b"x", *server.addr)
    association.control.sendall(b"whatever\r\n" * 100)    # means nothing there
    assert association.exchange(b"y", *server.addr)[2] == b"y"
    if how == "half-close":
        association.control.shutdown(socket.SHUT_WR)
    else:
        if how == "reset":
            association.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        association.control.close()
    record = proxy.wait_record(event="flow")
    assert (record["end"], record["up"], record["down"]) == ("reset" if how == "reset" else "closed", "2", "2")
    assert "to" not in record
    proxy.wait_descriptors(before)
    association.send(b"late", *server.addr)
    time.sleep(0.2)
    assert len(server.seen) == 2


def test_acc_75_without_datagrams_it_ends_in_time(sockeye, associate, udp_echo):
    proxy, server = sockeye(inbound() + "limits: {udp_idle_ms: 1000}\n"), udp_echo()
    association = associate(proxy.addr())
    end = time.monotonic() + 3
    while time.monotonic() < end:
        association.exchange(b"x", *server.addr)
        time.sleep(0.2)
    assert proxy.records(event="flow") == []
    assert proxy.wait_record(event="flow")["end"] == "idle"
    assert client.receive_all(association.control) == b""


# Floods and crowds

def test_acc_75_a_flood_to_a_client_that_does_not_read(sockeye, associate, udp_echo, place):
    """The target answers one datagram with a flood: memory stays what it is, others are served."""
    proxy, server = sockeye(with_admin(inbound(), place)), udp_echo()
    association, other = associate(proxy.addr()), associate(proxy.addr())
    association.exchange(b"x", *server.addr)
    other.exchange(b"x", *server.addr)
    at = server.seen[0]
    before = None
    with udp_socket("127.0.0.4") as flooder:
        flooder.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for i in range(20000):
            flooder.sendto(bytes(1200), at)
            if i == 2000:
                before = proc.rss_bytes(proxy.pid)
    grown = proc.rss_bytes(proxy.pid) - before
    assert grown < (1 << 20) * (4 if SANITIZER else 1), grown
    assert other.exchange(b"y", *server.addr)[2] == b"y"
    assert status(proxy, place)["datagrams_down"] >= 3


@pytest.fixture
def slow_line():
    """Makes the way to network.SILENT4 one of 4 Mbit/s; gives a function that counts what has come through."""
    network.need_own_network()
    command = ["tc", "qdisc", "add", "dev", "void", "root", "tbf", "rate", "4mbit", "burst", "16kb", "limit", "10mb"]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("this kernel has no tbf")

    def count():
        shown = subprocess.run(["tc", "-s", "-j", "qdisc", "show", "dev", "void"], check=True, capture_output=True).stdout
        return json.loads(shown)[0]["packets"]
    yield count
    subprocess.run(["tc", "qdisc", "del", "dev", "void", "root"], check=True)


def test_acc_75_a_line_that_is_slower_than_the_client(sockeye, associate, slow_line, place):
    """What the system does not take is queued up to a bound, and goes when it can; the rest is counted."""
    proxy = sockeye(with_admin(inbound(), place))
    association, before = associate(proxy.addr()), slow_line()
    for i in range(2000):
        association.send(bytes(1200), network.SILENT4, 99)
        if i % 50 == 0:
            time.sleep(0.01)
    seen = []

    def is_at_rest():
        time.sleep(0.2)
        seen.append(status(proxy, place))
        return len(seen) > 1 and seen[-2]["datagrams_up"] == seen[-1]["datagrams_up"] > 1000
    until(is_at_rest, "most of 2000 datagrams")
    taken, dropped = seen[-1]["datagrams_up"], seen[-1]["dropped"]
    assert 500 < dropped["full"] < taken and dropped["unsent"] == 0
    until(lambda: slow_line() - before >= taken - dropped["full"], "what was queued")


def test_acc_60_more_associations_asked_than_there_may_be(sockeye, udp_echo, origin, place):
    """3,000 of a process with 2,000 descriptors: each gets an association or a refusal, whoever is connected otherwise
    notices nothing, and afterwards all is as before."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 4000:
        pytest.skip("not enough descriptors for the clients")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    proxy = sockeye(with_admin(inbound(), place), prefix=with_descriptors(2000))
    server, tcp = udp_echo(), origin(echo)
    flow = dial(proxy.addr())
    assert socks5(flow, *tcp.addr).code == 0
    before = proxy.n_descriptors()
    controls, n_granted, n_refused = [], 0, 0
    for i in range(3000):
        control = dial(proxy.addr())
        controls.append(control)
        reply = socks5(control, "0.0.0.0", 0, command=UDP_ASSOCIATE)
        if reply.code == 0:
            n_granted += 1
        else:
            assert reply.code == 1
            n_refused += 1
        if i % 500 == 0:
            flow.sendall(b"still there")
            assert receive_exactly(flow, 11) == b"still there"
    assert n_granted + n_refused == 3000 and n_granted > 200
    assert proxy.n_descriptors() < 1900
    assert status(proxy, place)["associations_now"] < 600
    last = Association(proxy.addr())
    assert last.exchange(b"x", *server.addr)[2] == b"x"
    last.close()
    for control in controls:
        control.close()
    proxy.wait_descriptors(before + 2, timeout=30)
    flow.close()


def test_idle_associations_cost_little(sockeye, associate, udp_echo):
    """An association at rest has sockets and objects, and no buffer."""
    proxy, server = sockeye(inbound()), udp_echo()
    first = [associate(proxy.addr()) for _ in range(20)]
    for association in first:
        association.exchange(bytes(1200), *server.addr)
    before = proc.rss_bytes(proxy.pid)
    for _ in range(200):
        associate(proxy.addr()).exchange(bytes(1200), *server.addr)
    each = (proc.rss_bytes(proxy.pid) - before) / 200
    assert each < (64 << 10 if SANITIZER else 8 << 10), each


def test_a_drain_ends_associations(sockeye, associate, udp_echo):
    proxy, server = sockeye(inbound()), udp_echo()
    association = associate(proxy.addr())
    association.exchange(b"x", *server.addr)
    proxy.stop()    # within drain_s of the tests, which is 1
    assert proxy.wait_record(event="flow")["end"] == "shutdown"


def test_a_reload_leaves_associations_alone(sockeye, associate, udp_echo, place):
    proxy, server = sockeye(inbound(listen='"127.0.0.1:41080"')), udp_echo()
    association = associate(proxy.addr())
    association.exchange(b"x", *server.addr)
    proxy.send_signal(signal.SIGHUP)
    proxy.wait_text("reloaded: ")
    assert association.exchange(b"y", *server.addr)[2] == b"y"
    assert server.seen[0] == server.seen[1]
