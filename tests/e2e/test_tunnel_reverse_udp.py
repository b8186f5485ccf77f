"""UDP ASSOCIATE and BIND for clients of a reverse inbound: they send to the far end, and what they send goes out of the near one."""

import contextlib
import json
import socket
import time

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.client import UDP_ASSOCIATE
from harness.losses import killed_here, killed_there, silence
from harness.namespaces import FAR4, FAR6
from harness.origin import echo
from harness.pattern import receive_pattern, send_pattern
from harness.program import Sockeye, run_cli
from harness.tunnel import items
from harness.udp import Sides, header, is_refused, udp_socket
from harness.wait import until
from test_tunnel_reverse import RELAY, SOCKS, dial, inbound, reverse, wait_open    # noqa: F401

OPEN_TARGETS = {"allow_targets": '["127.0.0.0/8", "::1"]'}


@pytest.fixture
def net():
    """Clients in the far network and servers in the near one, closed when it is over."""
    with contextlib.closing(Sides(clients="far", servers="near", port=SOCKS)) as sides:
        yield sides


def served(reverse, keys=None, **options):
    t = reverse({}, lambda servers: inbound("socks", SOCKS, **OPEN_TARGETS, **(keys or {})), **options)
    wait_open(t, SOCKS)
    return t


def wait_gone(t, at):
    with t.joined.far.entered(), udp_socket() as stranger:
        until(lambda: is_refused(stranger, at), "the end of the port at the far end")


def code_of(t, announce=("0.0.0.0", 0), command=UDP_ASSOCIATE):
    with t.joined.far.entered(), client.dial(("127.0.0.1", SOCKS)) as control:
        return client.socks5(control, *announce, command=command).code


def test_acc_60_datagrams_of_a_reverse_client_of_every_size_go_there_and_back(reverse, net):
    t = served(reverse)
    server, association = net.echo(t), net.associate(t)
    assert association.reply.code == 0 and association.at[0] == "127.0.0.1"
    for size in (0, 1, 64, 1200, 1472, 9000, 40000, 64900):
        payload = bytes(i % 251 for i in range(size))
        assert association.exchange(payload, *server.addr) == (*server.addr, payload)
    source = "{}:{}".format(*association.control.getsockname())
    association.control.close()
    t.near.wait_record(event="flow", out="direct", end="closed", up="116637", down="116637", **{"from": source})
    t.far.wait_record(event="flow", end="closed", up="116637", down="116637", **{"from": source})
    wait_gone(t, association.at)


def test_acc_60_the_cone_is_full_at_the_near_end(reverse, net):
    t = served(reverse)
    association, first, second = net.associate(t), net.echo(t), net.echo(t)
    association.exchange(b"one", *first.addr)
    association.exchange(b"two", *second.addr)
    assert first.seen == second.seen
    with t.joined.near.entered(), udp_socket() as stranger:
        stranger.sendto(b"from somebody else", first.seen[0])
        assert association.receive() == (*stranger.getsockname(), b"from somebody else")


def test_acc_60_a_name_is_asked_for_by_udp_in_the_near_network(reverse, net, spawn, place):
    t = served(reverse)
    spawn([*t.joined.near.prefix, "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=", "--port=5353",
           "--listen-address=127.0.0.1", "--bind-interfaces", "--address=/near.test/198.51.100.7", f"--pid-file={place}/dns.pid"])
    association = net.associate(t)
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + b"\x04near\x04test\0" + b"\0\1\0\1"
    association.sock.settimeout(0.5 * SLOWNESS)
    for _ in range(40):
        association.send(query, "127.0.0.1", 5353)
        try:
            _, _, answer = association.receive()
            break
        except TimeoutError:
            continue
    assert answer[:2] == b"\x12\x34" and answer.endswith(socket.inet_aton("198.51.100.7"))


@pytest.mark.parametrize("way", [killed_here, killed_there, silence])
def test_an_association_survives_the_loss_of_its_carrier(reverse, net, way):
    t = served(reverse)
    server, association = net.echo(t), net.associate(t)
    assert association.reach(b"before", *server.addr) == server.addr
    way(t)
    assert association.reach(b"after", *server.addr) == server.addr
    assert len(set(server.seen)) == 1


def test_only_the_client_is_heard_and_nothing_is_sent_to_who_has_not_sent(reverse, net):
    """Of the client's host another port is another; of another host nothing is taken at all."""
    t = served(reverse)
    server, association = net.echo(t), net.associate(t)
    with t.joined.far.entered(), udp_socket("127.0.0.2") as elsewhere, udp_socket() as beside:
        elsewhere.sendto(header(*server.addr) + b"elsewhere", association.at)
        association.sock.sendto(b"nonsense", association.at)
        association.send(b"a part", *server.addr, fragment=1)
        assert association.reach(b"mine", *server.addr) == server.addr
        beside.sendto(header(*server.addr) + b"beside", association.at)
        assert association.reach(b"mine again", *server.addr) == server.addr
        for sock in (elsewhere, beside):
            sock.settimeout(0.2)
            with pytest.raises(OSError):
                sock.recv(100)
    assert len(set(server.seen)) == 1


def test_an_announced_port_is_the_clients_and_no_other(reverse, net):
    t = served(reverse)
    server = net.echo(t)
    with t.joined.far.entered(), udp_socket() as announced:
        association = net.associate(t, announce=announced.getsockname())
        association.send(b"from another port", *server.addr)
        announced.sendto(header(*server.addr) + b"from the port", association.at)
        assert announced.recv(100).endswith(b"from the port")
        assert association.is_silent()


@pytest.mark.workers
@pytest.mark.parametrize("backend", ["epoll", "poll"])
def test_many_clients_over_several_workers_and_links(reverse, net, backend):
    t = served(reverse, near={"links": 2}, env={"SOCKEYE_BACKEND": backend})
    server = net.echo(t)
    associations = [net.associate(t) for _ in range(12)]
    for i, association in enumerate(associations):
        for k in range(10):
            assert association.reach(b"%d %d" % (i, k), *server.addr) == server.addr
    assert len(set(server.seen)) == 12


def test_the_far_end_says_from_which_ports_and_at_which_address(reverse, net):
    t = served(reverse, far={"udp": '{ports: "40000-40001", advertise: 192.0.2.77}'})
    associations = [net.associate(t) for _ in range(2)]
    assert {a.at for a in associations} == {("192.0.2.77", 40000), ("192.0.2.77", 40001)}
    # The longest unused makes room for a third.
    third = net.associate(t)
    assert third.reply.code == 0 and third.at[1] == associations[0].at[1]
    associations[0].control.settimeout(10 * SLOWNESS)
    with pytest.raises(ConnectionResetError):
        associations[0].control.recv(1)


def test_acc_51_the_far_ends_refusal_is_the_answer(reverse):
    t = served(reverse, far={"udp": "{enabled: false}"})
    assert code_of(t) == 7


def test_acc_51_the_near_ends_own_refusal_too(reverse):
    t = served(reverse, keys={"udp": "{enabled: false}"})
    assert code_of(t) == 7
    assert code_of(t, command=client.BIND) == 7


@pytest.mark.parametrize("listen, host", [('"0.0.0.0:8002"', FAR4), ('"[::]:8002"', FAR6)])
def test_the_client_is_told_the_address_that_it_has_come_to(reverse, net, listen, host):
    """Where the far end listens on all of them; datagrams of another family go out all the same."""
    t = reverse({}, lambda servers: f"  - {{type: mixed, name: open, listen_via: home, listen: {listen}, allow: ['*'], "
                                    f"{items(OPEN_TARGETS)}}}\n", allow=f"[{listen}]")
    t.far.wait_record(timeout=60, event="listener", is_="listening")
    association = net.associate(t, host=host)
    assert association.at[0] == host
    for server in (net.echo(t), net.echo(t, "::1")):
        assert association.reach(b"there and back", *server.addr) == server.addr


def test_acc_60_bind_waits_in_the_near_network(reverse):
    t = served(reverse, keys={"bind": "{enabled: true, advertise: 127.0.0.1}"})
    with t.joined.far.entered():
        control = t.open_client(("127.0.0.1", SOCKS), timeout=30)
    reply = client.socks5(control, "127.0.0.1", 0, command=client.BIND)
    assert (reply.code, reply.host) == (0, "127.0.0.1")
    with t.joined.near.entered():
        peer = t.open_client((reply.host, reply.port), timeout=30)
    second = client.receive_socks5_reply(control)
    assert (second.code, second.host, second.port) == (0, *peer.getsockname())
    send_pattern(peer, 100_000, 1)
    receive_pattern(control, 100_000, 1)


def test_a_clients_flood_over_a_slow_line_is_dropped_and_streams_go_on(reverse, net, place):
    """8 Mbit/s, and several times that of datagrams: the far end drops and counts the oldest, a connection beside them gets its part."""
    t = reverse({RELAY: echo}, lambda servers: inbound("socks", SOCKS, **OPEN_TARGETS), joined="line",
                far_more=f"admin: {{socket: '{place}/admin'}}\n")
    wait_open(t, RELAY, SOCKS)
    association, beside = net.associate(t), dial(t)
    with t.joined.near.entered():
        sink = udp_socket()
    t.joined.set(delay_ms=5, rate_mbit=8, queue_kb=64)
    with contextlib.closing(sink), association.flooding(*sink.getsockname()):
        time.sleep(1)
        for seed in range(3):
            send_pattern(beside, 20_000, seed)
            receive_pattern(beside, 20_000, seed)
        told = json.loads(run_cli("status", "--json", "--socket", place / "admin", home=place).out)
        assert told["together"]["dropped"]["full"] > 0
    association.reach(b"and goes on", *net.echo(t).addr)


def test_both_ends_let_go_of_it_when_the_session_is_over(reverse, net):
    t = served(reverse)
    server, association = net.echo(t), net.associate(t)
    assert association.reach(b"there", *server.addr) == server.addr
    t.near.stop()
    wait_gone(t, association.at)
    association.control.settimeout(10 * SLOWNESS)
    with pytest.raises(ConnectionResetError):
        association.control.recv(1)


@pytest.mark.parametrize("way", [Sockeye.kill, Sockeye.stop])
def test_when_the_far_end_is_back_an_association_is_over_at_both_ends_and_another_works(reverse, net, way):
    t = served(reverse)
    server, association = net.echo(t), net.associate(t)
    assert association.reach(b"before", *server.addr) == server.addr
    with t.losing_all():
        way(t.far)
    t.start_far()
    client.receive_all(association.control)
    wait_open(t, SOCKS)
    assert net.associate(t).reach(b"after", *server.addr) == server.addr
    t.near.wait_record(event="flow", from_="{}:{}".format(*association.control.getsockname()))
