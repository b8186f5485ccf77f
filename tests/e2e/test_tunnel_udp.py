"""UDP ASSOCIATE through a tunnel: the near end's clients, the far end's sockets."""

import contextlib
import json
import resource
import socket
import struct
import time

import pytest

from harness import client, proc
from harness.binary import SANITIZER, SLOWNESS
from harness.client import UDP_ASSOCIATE, socks5
from harness.dnsserver import Answer
from harness.losses import killed_here, moved, silence
from harness.origin import echo
from harness.pattern import receive_pattern, send_pattern
from harness.program import run_cli
from harness.sandbox import with_descriptors
from harness.tunnel import PORT, SOCKS_PORT
from harness.udp import Sides, is_refused, udp_socket
from harness.wait import until


@pytest.fixture
def net():
    """Associations and servers for datagrams at a tunnel's ends, closed when it is over."""
    with contextlib.closing(Sides(clients="near", servers="far", port=SOCKS_PORT)) as sides:
        yield sides


def admin(place):
    """What a configuration has to have for status()."""
    return f"admin: {{socket: '{place}/admin'}}\n"


def status(place):
    return json.loads(run_cli("status", "--json", "--socket", place / "admin", home=place).out)["together"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_acc_60_datagrams_of_every_size_go_there_and_back(tunnel, net, host):
    t = tunnel()
    server, association = net.echo(t, host), net.associate(t)
    for size in (0, 1, 64, 1200, 1472, 9000, 40000, 64900):
        payload = bytes(i % 251 for i in range(size))
        assert association.exchange(payload, *server.addr) == (*server.addr, payload)
    association.control.close()
    for end, out in (t.near, "home"), (t.far, "direct"):
        end.wait_record(event="flow", out=out, end="closed", up="116637", down="116637")


def test_acc_60_the_cone_is_full_at_the_far_end(tunnel, net):
    t = tunnel()
    association, first, second = net.associate(t), net.echo(t), net.echo(t)
    association.exchange(b"one", *first.addr)
    association.exchange(b"two", *second.addr)
    assert first.seen == second.seen
    with t.joined.far.entered(), udp_socket() as stranger:
        stranger.sendto(b"from somebody else", first.seen[0])
        assert association.receive() == (*stranger.getsockname(), b"from somebody else")


def test_acc_60_names_are_resolved_at_the_far_end_and_no_question_leaves_the_near_one(tunnel, net, dns):
    """Whatever a client sends to, a name is the far end's to look up: nothing but the tunnel leaves the near network, whose
    own server would answer."""
    t = tunnel(wait=False)
    with t.joined.far.entered():
        names = dns({"echo.test": Answer(a=["127.0.0.1"])})
    with t.joined.near.entered():
        telltale = dns({"echo.test": Answer(a=["127.0.0.1"])})
    t.configs["far"] = names.yaml + "\n" + t.configs["far"]
    t.configs["near"] = telltale.yaml + "\n" + t.configs["near"]
    t.start_far()
    t.start_near()
    t.wait_linked()
    with t.joined.near.entered():
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        capture.settimeout(0.2)
    server, association = net.echo(t), net.associate(t)
    with capture:
        host, port = association.reach(b"to a name", "echo.test", server.addr[1])
        assert (host, port) == ("echo.test", server.addr[1])
        tcp = t.serve(echo)
        for protocol in ("socks5", "socks4", "http"):
            sock = t.connect(("echo.test", tcp.addr[1]), protocol)
            send_pattern(sock, 1000)
            receive_pattern(sock, 1000)
        ports = {UDP: set(), TCP: set()}
        try:
            while True:
                add_ports(ports, capture.recv(65536))
        except TimeoutError:
            pass
    assert names.asked("echo.test") and not telltale.queries
    # The client's own, and ours to it, are all the datagrams there are.
    assert ports[UDP] == {association.sock.getsockname()[1], association.at[1]}
    assert {PORT, SOCKS_PORT} <= ports[TCP] and not {53, telltale.port} & ports[TCP]


TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP


def add_ports(ports, frame):
    """Both ports of what is in a captured frame, to those of its protocol."""
    kind, at = struct.unpack(">H", frame[12:14])[0], 14
    if kind == 0x0800:
        protocol, at = frame[23], at + (frame[14] & 15) * 4
    elif kind == 0x86dd:
        protocol, at = frame[20], at + 40
    else:
        return
    if protocol in ports:
        ports[protocol] |= set(struct.unpack(">HH", frame[at:at + 4]))


def test_acc_60_a_real_resolver_in_the_far_network_is_asked_by_udp(tunnel, net, spawn, place):
    t = tunnel()
    port = 5353
    spawn([*t.joined.far.prefix, "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=", f"--port={port}",
           "--listen-address=127.0.0.1", "--bind-interfaces", "--address=/far.test/198.51.100.7", f"--pid-file={place}/dns.pid"])
    association = net.associate(t)
    query = (b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + b"\x03far\x04test\0" + b"\0\1\0\1")
    association.sock.settimeout(0.5 * SLOWNESS)
    for _ in range(40):
        association.send(query, "127.0.0.1", port)
        try:
            _, _, answer = association.receive()
            break
        except TimeoutError:
            continue
    assert answer[:2] == b"\x12\x34" and answer.endswith(socket.inet_aton("198.51.100.7"))


def test_acc_60_pysocks_speaks_udp_through_a_tunnel(tunnel, net):
    import socks
    t = tunnel()
    server = net.echo(t)
    with t.joined.near.entered(), socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.set_proxy(socks.SOCKS5, "127.0.0.1", SOCKS_PORT)
        sock.settimeout(10 * SLOWNESS)
        for size in (0, 1, 1200, 8000):
            sock.sendto(bytes(size), server.addr)
            assert sock.recvfrom(9000) == (bytes(size), server.addr)


@pytest.mark.parametrize("way", [killed_here, silence, moved])
def test_an_association_survives_the_loss_of_its_carrier(tunnel, net, way):
    t = tunnel()
    server, association = net.echo(t), net.associate(t)
    assert association.reach(b"before", *server.addr) == server.addr
    way(t)
    assert association.reach(b"after", *server.addr) == server.addr
    assert len(set(server.seen)) == 1    # the same socket at the far end


@pytest.mark.parametrize("backend", ["epoll", "poll"])
def test_associations_over_several_workers_and_links_share_one_session(tunnel, net, backend):
    t = tunnel(near={"links": 3}, wait=False, env={"SOCKEYE_BACKEND": backend})
    for name in t.configs:
        t.configs[name] = "workers: 3\n" + t.configs[name]
    t.start_far()
    t.start_near()
    t.wait_linked()
    server, associations = net.echo(t), [net.associate(t) for _ in range(12)]
    for i, association in enumerate(associations):
        for k in range(20):
            assert association.reach(b"%d %d" % (i, k), *server.addr) == server.addr
    assert len(set(server.seen)) == 12
    assert len(t.far.records(event="session", **{"is": "begun"})) == 1
    for association in associations:
        association.control.close()
    until(lambda: sum(int(r["up"]) > 50 for r in t.far.records(event="flow", out="direct", end="closed")) == 12,
          "the end of each at the far end")


def reply_of(t):
    with t.joined.near.entered(), client.dial(("127.0.0.1", SOCKS_PORT)) as control:
        return socks5(control, "0.0.0.0", 0, command=UDP_ASSOCIATE).code


def test_acc_51_the_far_ends_refusal_is_the_answer(tunnel):
    t = tunnel(far={"udp": "{enabled: false}"})
    assert reply_of(t) == 7
    t.near.wait_record(event="flow", end="error")


def test_without_a_far_end_nobody_is_told_of_success(tunnel):
    t = tunnel(wait=False, near_limits="connect_ms: 1500")
    t.start_near()
    assert reply_of(t) != 0


def test_acc_75_what_the_far_end_denies_is_dropped_there(tunnel, net):
    t = tunnel(far={"deny_targets": '["127.0.0.2"]', "allow_targets": '["127.0.0.1"]'})
    allowed, association = net.echo(t), net.associate(t)
    with t.joined.far.entered(), udp_socket("127.0.0.2") as denied:
        association.send(b"denied", *denied.getsockname())
        assert association.reach(b"allowed", *allowed.addr) == allowed.addr
        denied.settimeout(0.3)
        with pytest.raises(TimeoutError):
            denied.recv(100)


@pytest.mark.parametrize("ends", ["fin", "reset"])
def test_acc_75_both_ends_let_go_of_it_with_its_connection(tunnel, net, ends):
    t = tunnel()
    server, association = net.echo(t), net.associate(t)
    assert association.reach(b"there", *server.addr) == server.addr
    if ends == "reset":
        association.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    association.control.close()
    t.far.wait_record(event="flow", out="direct", up="5")
    with t.joined.far.entered(), udp_socket() as stranger:
        until(lambda: is_refused(stranger, server.seen[0]), "the far socket's end")


def port_at_far_end(association, server):
    """From which that server hears it."""
    association.reach(b"from where?", *server.addr)
    return server.seen[-1][1]


def test_acc_75_a_far_end_with_few_descriptors_gives_up_the_longest_unused(tunnel, net, place):
    """Clients ask for four times as many associations as it may have: the longest unused lose their ports, and get others when they send again.
    Who is in use keeps his, streams go on, and memory comes back."""
    n_asked, n_most = 240, 500 // 8
    t = tunnel(wait=False)
    t.configs["far"] += admin(place)
    t.start_far(with_descriptors(500))
    t.start_near()
    t.wait_linked()
    server, sock = net.echo(t), t.connect(t.serve(echo))
    busy = net.associate(t)
    port = port_at_far_end(busy, server)

    def burst():
        asked = []
        for i in range(n_asked):
            asked.append(net.associate(t))
            port_at_far_end(asked[-1], server)
            if i % 10 == 0:
                assert port_at_far_end(busy, server) == port
                send_pattern(sock, 1000, i)
                receive_pattern(sock, 1000, i)
        return asked

    def end(asked):
        for association in asked:
            association.control.close()
        until(lambda: status(place)["associations_now"] == 1, "the end of all but one")
        return proc.rss_bytes(t.far.pid) + proc.rss_bytes(t.near.pid)
    asked = burst()
    n = status(place)["associations_now"]
    assert n_most // 2 < n <= n_most
    lost = [record["from"] for record in t.far.wait_record(n_asked + 1 - n, event="flow", end="limit")]
    assert lost == ["%s:%d" % one.control.getsockname() for one in asked[:len(lost)]]
    port_at_far_end(asked[0], server)    # has a way again
    before = end(asked)
    grown = end(burst()) - before
    assert SANITIZER or grown < n_asked << 10, grown
    assert port_at_far_end(busy, server) == port


def test_a_far_end_that_has_run_out_of_descriptors_says_so_and_goes_on(tunnel, net, place):
    """Its own count is not all there is: what was open stays in use, and others have what they asked for as soon as there are descriptors again."""
    t = tunnel(wait=False)
    t.configs["far"] += admin(place)
    t.start_far()
    t.start_near()
    t.wait_linked()
    server, tcp = net.echo(t), t.serve(echo)
    first, sock, second = net.associate(t), t.connect(tcp), net.associate(t)
    port = port_at_far_end(first, server)
    t.far.wait_record(event="flow")    # that of wait_linked() is over
    while max(numbers := proc.descriptors(t.far.pid)) >= len(numbers):    # a number is free below the highest
        t.connect(tcp)
    limits = resource.prlimit(t.far.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(t.far.pid, resource.RLIMIT_NOFILE, (len(numbers), limits[1]))
    third = net.associate(t)
    for association in (second, third):
        association.send(b"lost", *server.addr)
    assert client.socks5(t.dial(), *tcp.addr).code == 1
    t.far.wait_record(event="refused", why="descriptors")
    assert port_at_far_end(first, server) == port
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)
    resource.prlimit(t.far.pid, resource.RLIMIT_NOFILE, limits)
    for association in (second, third):
        port_at_far_end(association, server)
    t.connect(tcp)
    assert status(place)["dropped"]["unsent"] >= 2


def test_a_flood_over_a_slow_line_is_dropped_and_streams_go_on(tunnel, net, place):
    """8 Mbit/s, and several times that of datagrams: the oldest are dropped and counted, a stream gets its part."""
    t = tunnel(joined="line", wait=False)
    t.configs["near"] += admin(place)
    t.start_far()
    t.start_near()
    t.wait_linked()
    t.joined.set(delay_ms=5, rate_mbit=8, queue_kb=64)
    association, sock = net.associate(t), t.connect(t.serve(echo), timeout=60)
    with t.joined.far.entered():
        sink = udp_socket()
    with contextlib.closing(sink), association.flooding(*sink.getsockname()):
        time.sleep(1)
        for seed in range(3):
            send_pattern(sock, 20_000, seed)
            receive_pattern(sock, 20_000, seed)
        assert status(place)["dropped"]["full"] > 0
    association.reach(b"and goes on", *net.echo(t).addr)
