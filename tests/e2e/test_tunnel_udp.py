"""UDP ASSOCIATE through a tunnel: the near end's clients, the far end's sockets."""

import json
import socket
import struct
import threading
import time

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.client import UDP_ASSOCIATE, socks5
from harness.dnsserver import Answer
from harness.losses import WAYS, killed_here
from harness.namespaces import NEAR4
from harness.origin import echo, swallow
from harness.pattern import receive_pattern, send_pattern
from harness.program import run_cli
from harness.tunnel import PORT, SOCKS_PORT
from harness.udp import Association, UdpEcho, udp_socket
from harness.wait import until


@pytest.fixture
def net():
    """Associations and servers for datagrams at a tunnel's ends, closed when it is over."""
    made = []

    class Net:
        def associate(self, t, **options):
            with t.joined.near.entered():
                made.append(Association(("127.0.0.1", SOCKS_PORT), **options))
            return made[-1]

        def echo(self, t, host="127.0.0.1"):
            with t.joined.far.entered():
                made.append(UdpEcho(host))
            return made[-1]
    yield Net()
    for item in made:
        item.close()


def exchange(association, server, payload, tries=20):
    """Sends until an answer comes: datagrams may be lost while a link is."""
    association.sock.settimeout(0.5 * SLOWNESS)
    for _ in range(tries):
        association.send(payload, *server)
        try:
            while True:
                host, port, data = association.receive()
                if data == payload:
                    return host, port
        except TimeoutError:
            continue
    pytest.fail("no answer")


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
