"""What else the configuration says of a tunnel: early data, identities of each kind, several sessions and servers, windows, other ways."""

import contextlib

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.namespaces import FAR4
from harness.origin import echo
from harness.pattern import receive_pattern, send_pattern
from harness.tunnel import KEY, PORT, SERVER6, SOCKS_PORT, Transfer, two_way
from harness.udp import Sides
from harness.wait import Stopwatch


def carry(t, n=500_000, seed=1):
    Transfer(t.connect(t.serve(two_way)), n, n, seed).end(60 * SLOWNESS)


@pytest.mark.parametrize("near", ["none", "open", "full"])
@pytest.mark.parametrize("far", ["none", "open", "full"])
def test_early_data_of_either_end_carries_what_comes_first(tunnel, near, far):
    """The first connection opens the session, and its first bytes are there before the answer to the first flight."""
    t = tunnel(near={"early_data": near}, far={"early_data": far}, wait=False)
    t.start_far()
    t.start_near()
    server = t.serve(echo)
    sock = t.dial()
    sock.sendall(b"\x05\x01\x00" + client.socks5_request(*server.addr) + b"at once")
    assert client.receive_exactly(sock, 2) == b"\x05\x00"
    assert client.receive_socks5_reply(sock).code == 0
    assert client.receive_exactly(sock, 7) == b"at once"
    send_pattern(sock, 200_000)
    receive_pattern(sock, 200_000)
    carry(t)
    assert len(server.clients) == 1, "nothing was done twice"


@pytest.mark.parametrize("kinds", [("rsa", "rsa"), ("ed25519", "rsa"), ("rsa", "ed25519")], ids="-".join)
@pytest.mark.parametrize("has_key", [True, False], ids=["with a key", "without"])
def test_acc_31_identities_of_each_kind_at_both_ends(tunnel, cli, place, kinds, has_key):
    for name, kind in zip(("server", "client"), kinds):
        assert cli("keygen", "--identity", kind, "-o", place / name, timeout=120).code == 0
    key = {} if has_key else {"key": None}
    t = tunnel(near={**key, "identity": place / "client.key", "peer": place / "server.pub"},
               far={**key, "identity": place / "server.key", "peers": place / "client.pub"}, private_state=True)
    carry(t)


@pytest.mark.workers
@pytest.mark.parametrize("n", [1, 2, 3])
def test_as_many_sessions_as_asked_for(tunnel, n):
    """Which one it is depends on the worker that accepts, so on chance: 40 are as good as certain to find all."""
    t = tunnel(near={"sessions": n})
    server = t.serve(two_way)
    transfers = [Transfer(t.connect(server), 100_000, 100_000, i) for i in range(40)]
    for transfer in transfers:
        transfer.end(60 * SLOWNESS)
    assert len(t.carriers()) == n


@pytest.mark.parametrize("is_silent", [False, True], ids=["what is sent is swallowed", "somebody accepts and is silent"])
def test_the_next_address_of_a_server_is_tried(tunnel, is_silent):
    """Where nobody listens, where nothing is, where nobody answers, and where it is. Who comes meanwhile is served, and what is lost is replaced at once."""
    t = tunnel(near={"server": f'["{FAR4}:9", "198.51.100.1:{PORT}", "{FAR4}:7", "{SERVER6}"]'}, wait=False)
    t.start_far()
    if is_silent:
        with t.joined.far.entered():
            t.origin(lambda conn: conn.recv(1 << 20) and conn.recv(1), FAR4, 7)
    with contextlib.nullcontext() if is_silent else t.joined.far.dropping(7):
        t.start_near()
        watch = Stopwatch()
        carry(t)
        assert watch.s < 6 * SLOWNESS, "three seconds, and none is waited for until it is given up"
        up = t.carriers()
        with t.losing_all():
            t.joined.near.kill_connections(PORT)
        watch = Stopwatch()
        carry(t, seed=2)
        assert watch.s < 2 * SLOWNESS and t.carriers() - up, "it begins with the one that was of use"


@pytest.mark.parametrize("keys", [{"stream_window": "64K"}, {"window": "64K"}, {"window": "1G", "stream_window": "512M"}], ids=str)
def test_windows_of_any_size_carry_everything(tunnel, keys):
    t = tunnel(near=keys)
    server = t.serve(two_way)
    transfers = [Transfer(t.connect(server), 2_000_000, 2_000_000, i) for i in range(4)]
    for transfer in transfers:
        transfer.end(120 * SLOWNESS)


WAYS = {"a tunnel": f'  - {{type: tunnel, name: other, server: "{FAR4}:4195", key: "{KEY}"}}\n',
        "socks": f'  - {{type: socks, name: other, server: "{FAR4}:4195"}}\n',
        "http": f'  - {{type: http, name: other, server: "{FAR4}:4195"}}\n',
        "direct": "  - {type: direct, name: other}\n"}


@pytest.mark.parametrize("way", WAYS)
def test_a_tunnel_goes_by_way_of_another_outbound(tunnel, sockeye, place, way):
    kinds = {"a tunnel": f'{{type: tunnel, listen: "{FAR4}:4195", key: "{KEY}"}}',
             "socks": f'{{type: socks, listen: "{FAR4}:4195", allow: "*"}}', "http": f'{{type: http, listen: "{FAR4}:4195", allow: "*"}}'}
    t = tunnel(near={"via": "other"}, wait=False)
    t.start_far()
    if way in kinds:
        (place / "between-state").mkdir()
        sockeye(f"state: {place}/between-state\ninbounds: [{kinds[way]}]\n", prefix=t.joined.far.prefix)
    t.configs["near"] += WAYS[way]
    t.start_near()
    t.wait_linked()
    carry(t)
    with contextlib.closing(Sides(clients="near", servers="far", port=SOCKS_PORT)) as net:
        net.associate(t).reach(b"a datagram", *net.echo(t).addr)
    if way in kinds:
        assert t.joined.near.connections(4195) and not t.carriers(), "nothing goes there directly"
