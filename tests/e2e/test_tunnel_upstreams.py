"""Tunnels whose carriers go through other people's proxies, one or several, with and without a login."""

import subprocess

import pytest

from configs import inbound
from harness import client, network
from harness.binary import SLOWNESS
from harness.origin import echo
from harness.services import OTHERS, free_port
from harness.tunnel import KEY, Transfer, two_way
from harness.wait import until

MB = 1 << 20


@pytest.fixture
def tunnelled(sockeye, origin, dial, far_state):
    """Starts both ends of a tunnel, the near one with these outbounds behind it, by the first of which, `up`, its carriers go:
    tunnelled(outbounds) -> (the near end, a function that opens a connection to an Origin)."""
    def start(outbounds):
        state, port = far_state / "by-proxies", free_port()
        state.mkdir(exist_ok=True)
        sockeye(f'state: {state}\ninbounds: [{{type: tunnel, listen: "127.0.0.1:{port}", key: "{KEY}", allow_targets: ["127.0.0.0/8"]}}]')
        near = sockeye(f'{inbound()}outbounds:\n  - {{type: tunnel, name: home, server: "127.0.0.1:{port}", key: "{KEY}", via: up}}\n{outbounds}')
        echoing = origin(echo)
        until(lambda: client.is_served(near.addr(), *echoing.addr), "a way through the tunnel", timeout=30)

        def connect(server):
            sock = dial(near.addr(), timeout=30)
            assert client.socks5(sock, *server.addr).code == 0
            return sock
        return near, connect
    return start


def upstream(name, type, port, **keys):
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f'  - {{name: {name}, type: {type}, server: "127.0.0.1:{port}"{more}}}\n'


def cut(port):
    """The connections to that port, if this network is ours alone; returns how many there were."""
    out = subprocess.run(["ss", "-HtnK" if network.isolated else "-Htn", "state", "established", "dport", "=", f":{port}"],
                         capture_output=True, text=True)
    return len(out.stdout.splitlines())


def carry_through_a_cut(connect, server, port, n):
    transfer = Transfer(connect(server), n, n, 1)
    until(lambda: transfer.n_received > 0, "the first bytes", timeout=30)
    assert cut(port) >= 1
    transfer.end(120 * SLOWNESS)


@pytest.mark.parametrize("which", OTHERS)
def test_acc_46_the_carriers_of_a_tunnel_go_through_another_proxy(tunnelled, other, origin, which):
    """And when they are cut between us and the proxy, the next ones do, without a byte lost."""
    type, port, keys = other(which)
    near, connect = tunnelled(upstream("up", type, port, **keys))
    carry_through_a_cut(connect, origin(two_way), port, 16 * MB)
    assert {record["server"] for record in near.records(event="link", is_="up")} == {f"127.0.0.1:{port}"}


def test_acc_46_a_proxy_that_waits_for_acknowledgements_does_not_wait_long(tunnelled, other, origin):
    """By Nagle's algorithm, which it has left on, it sends what does not fill a segment of 64 KB when all before that is
    acknowledged. Were that put off by 40 ms each time, this would take half a minute."""
    type, port, keys = other("microsocks")
    _, connect = tunnelled(upstream("up", type, port, **keys))
    Transfer(connect(origin(two_way)), 24 * MB, 24 * MB, 1).end(15 * SLOWNESS)


def test_acc_46_the_carriers_of_a_tunnel_go_through_three_proxies(tunnelled, other, origin):
    """Two of them wait for each other's acknowledgements, so it is not much that they carry."""
    outbounds, ports = "", []
    names = ["up", "second", "third"]
    for i, which in enumerate(("squid", "microsocks-login", "tinyproxy-login")):
        type, port, keys = other(which)
        via = {"via": names[i + 1]} if i < 2 else {}
        outbounds += upstream(names[i], type, port, **keys, **via)
        ports.append(port)
    near, connect = tunnelled(outbounds)
    carry_through_a_cut(connect, origin(two_way), ports[2], MB)
    assert {record["server"] for record in near.records(event="link", is_="up")} == {f"127.0.0.1:{ports[2]}"}
