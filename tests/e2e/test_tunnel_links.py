"""Several links of one session, links that take the place of others, and links of one stream's own."""

import contextlib
import resource

import pytest
import yaml

from harness import client
from harness.binary import SLOWNESS
from harness.namespaces import FAR4, FAR6
from harness.origin import echo
from harness.pattern import exchange, send_pattern
from harness.tunnel import PORT, SOCKS_PORT, Traffic, Transfer, two_way
from harness.wait import Stopwatch, until

MB = 1 << 20
FURTHER = PORT + 1
LISTEN = SERVERS = f'["{FAR4}:{PORT}", "{FAR4}:{FURTHER}"]'
FOUR = f'["{FAR4}:{PORT}", "[{FAR6}]:{PORT}", "{FAR4}:{FURTHER}", "[{FAR6}]:{FURTHER}"]'


def carriers(t):
    return t.carriers() | t.joined.near.connections(FURTHER)


def wait_carriers(t, n):
    until(lambda: len(carriers(t)) == n, f"{n} carriers", timeout=60)
    return carriers(t)


def port_of(address):
    return int(address.rpartition(":")[2])


@contextlib.contextmanager
def second_near(t, place):
    """Another client, behind the same address."""
    state = place / "second-state"
    state.mkdir()
    config = t.configs["near"].replace(f":{SOCKS_PORT}", f":{SOCKS_PORT + 1}").replace(str(place / "near-state"), str(state))
    yield t.start(config, prefix=t.joined.near.prefix, env=t.env)


# --- several at once ----------------------------------------------------------------------------

def test_acc_02_five_links_carry_what_one_does(tunnel):
    t = tunnel(near={"links": 5, "server": FOUR}, far={"listen": FOUR})
    up = wait_carriers(t, 5)
    assert {peer for _, peer in up} == set(yaml.safe_load(FOUR)), "of both families and ports"
    traffic = Traffic(t, 8, (8 << 20) // SLOWNESS, timeout=90)
    traffic.end()
    assert carriers(t) == up


@pytest.mark.workers
def test_acc_02_what_dies_or_stalls_of_several_links_is_replaced_and_nothing_is_lost(tunnel):
    t = tunnel(near={"links": 3, "keepalive_s": 1})    # one that stalls behind the last transfer's end is found out too
    sock = t.connect(t.serve(echo), timeout=60)
    traffic = Traffic(t, 4, (8 << 20) // SLOWNESS, timeout=90)
    for turn in range(3):
        up = wait_carriers(t, 3)
        ours = port_of(min(up)[0])
        with t.joined.near.dropping(ours) if turn < 2 else t.joined.near.resetting(ours):
            exchange(sock, turn, 50_000)
            traffic.wait_more(1 << 20)
            t.wait_lost({min(up)})
    traffic.end()
    exchange(sock, 9)


def test_acc_02_two_clients_behind_one_address_never_mix(tunnel, place):
    t = tunnel(near={"links": 3})
    server = t.serve(two_way)
    n = (4 << 20) // SLOWNESS
    with second_near(t, place):
        transfers = []
        for seed in range(12):
            sock = t.dial(SOCKS_PORT + seed % 2, timeout=90)
            assert client.socks5(sock, *server.addr).code == 0
            transfers.append(Transfer(sock, n, n, 100 * seed))
        t.joined.near.kill_connections(PORT)
        for one in transfers:
            one.end(90 * SLOWNESS)


def test_acc_02_a_link_that_never_finishes_joining_expires(tunnel):
    """Somebody accepts it and says nothing. Attempts are given up, and the session has what links it can have."""
    t = tunnel(near={"links": 2, "server": SERVERS}, wait=False)
    with t.joined.far.entered():
        silent = t.origin(lambda conn: conn.recv(1 << 20) and conn.recv(1), FAR4, FURTHER)
    t.start_far()
    t.start_near()
    t.wait_linked()
    sock = t.connect(t.serve(echo), timeout=60)
    until(lambda: t.near.records(event="link", is_="given up"), "an attempt that is given up", timeout=40)
    exchange(sock)
    silent.close()
    wait_carriers(t, 2)


# --- links that take the place of others --------------------------------------------------------

def test_acc_43_handovers_during_a_transfer_change_the_port_and_no_byte(tunnel):
    t = tunnel(near={"handover": f"{{after: 4M-8M, ports: [{FURTHER}]}}", "keepalive_s": 1}, far={"listen": LISTEN},
               near_more="log: {level: debug}\n")    # where they come so often they are details
    n = 50 << 20
    for n_up, n_down in (n, 1000), (1000, n):
        n_before = len(t.near.records(event="link", is_="up"))
        Transfer(t.connect(t.serve(two_way), timeout=90), n_up, n_down, 43).end(120 * SLOWNESS)
        ports = [port_of(link["server"]) for link in t.near.records(event="link", is_="up")]
        assert len(ports) - n_before >= n // (8 << 20), "none carries more than it may, and one was there before"
    assert set(ports) == {PORT, FURTHER}
    wait_carriers(t, 1)    # not the old ones, nor what was opened ahead while they went so fast
    assert not t.near.records(event="link", is_="cut")
    # An attempt that the near end needs no more may be one that the far end has just answered.
    n_superseded = len(t.near.records(event="link", is_="given up", why="another link took its place"))
    assert len(t.far.records(event="link", is_="cut")) <= n_superseded


def test_acc_43_links_are_replaced_by_time_and_an_idle_stream_does_not_notice(tunnel):
    t = tunnel(near={"handover": f"{{every: 1s-2s, ports: [{FURTHER}]}}"}, far={"listen": LISTEN})
    sock = t.connect(t.serve(echo), timeout=60)
    for turn in range(3):
        t.near.wait_record(turn + 2, timeout=30, event="link", is_="up")
        exchange(sock, turn)
    ports = [port_of(link["server"]) for link in t.near.records(event="link", is_="up")]
    assert all(a != b for a, b in zip(ports, ports[1:])), f"the port changes each time: {ports}"
    for end, why in (t.near, "another link took its place"), (t.far, "the other end needs it no more"):
        assert end.wait_record(event="link", is_="closed")["why"] == why
        assert not end.records(event="link", is_="cut")
    # Attempts beside the first that stood may have been.
    assert {r["why"] for r in t.near.records(event="link", is_="given up")} <= {"another link took its place"}
    assert not t.far.records(event="link", is_="given up")


def test_acc_43_a_handover_that_fails_keeps_the_session_and_is_tried_again(tunnel):
    t = tunnel(near={"handover": f"{{every: 1s-2s, ports: [{FURTHER}]}}"})    # where nobody listens
    sock = t.connect(t.serve(echo), timeout=60)
    first = wait_carriers(t, 1)
    until(lambda: t.near.records(event="link", is_="unreachable"), "an attempt in vain", timeout=40)
    exchange(sock)
    t.wait_lost(first)
    exchange(sock, 1)


@contextlib.contextmanager
def freezing(machine, n_bytes):
    """A network that lets no connection have more than so many bytes, both ways."""
    machine.write("net/netfilter/nf_conntrack_acct", 1)
    chains = "".join(f"chain {hook} {{ type filter hook {hook} priority 0;\ntcp dport {PORT} ct bytes > {n_bytes} counter drop\n"
                     f"tcp sport {PORT} ct bytes > {n_bytes} counter drop\n}}\n" for hook in ("input", "output"))
    machine.run("nft", "-f", "-", stdin=f"table inet freeze {{\n{chains}}}\n")
    yield lambda: [int(line.split("packets")[1].split()[0]) for line in machine.run("nft", "list", "table", "inet", "freeze").splitlines()
                   if "packets" in line]
    machine.run("nft", "delete", "table", "inet", "freeze")


@pytest.mark.parametrize("n", [(3 << 20) // SLOWNESS, pytest.param(100 << 20, marks=pytest.mark.soak)])
def test_links_of_few_bytes_get_through_where_connections_freeze(tunnel, n):
    t = tunnel(near={"handover": "{after: 12K-15K}"}, wait=False)
    with freezing(t.joined.far, 16384) as frozen:
        t.start_far()
        t.start_near()
        t.wait_linked()
        watch = Stopwatch()
        Transfer(t.connect(t.serve(two_way), timeout=90), n // 8, n, 5).end((90 + n // MB * 5) * SLOWNESS)
        print(f"{n / MB:g} MiB down, an eighth of that up, over links of 12 to 15 KB: {n / MB / watch.s:.1f} MiB/s")
        assert sum(frozen()) == 0, "no link has had more than it may"


def test_a_network_that_freezes_connections_does(tunnel):
    """What the test before this is worth."""
    t = tunnel(wait=False)
    with freezing(t.joined.far, 16384) as frozen:
        t.start_far()
        t.start_near()
        t.wait_linked()
        sock = t.connect(t.serve(echo), timeout=90)
        send_pattern(sock, 30_000, 1)
        until(lambda: sum(frozen()) > 0, "a packet that is dropped", timeout=30)


# --- links of one stream's own ------------------------------------------------------------------

def test_acc_41_aggregated_is_one_carrier_for_100_streams(tunnel):
    t = tunnel()
    server = t.serve(echo)
    socks = [t.connect(server, timeout=60) for _ in range(100)]
    for seed, sock in enumerate(socks):
        exchange(sock, seed)
    assert len(carriers(t)) == 1


def test_acc_41_distributed_is_one_carrier_each(tunnel):
    """And two that are ready, and one for what has none."""
    t = tunnel(near={"links": 2, "mode": "distributed"})
    server, socks = t.serve(echo), []
    wait_carriers(t, 3)
    for seed in range(10):
        socks.append(t.connect(server, timeout=60))
        exchange(socks[-1], seed)
        wait_carriers(t, seed + 4)
    for seed, sock in enumerate(socks):
        exchange(sock, 100 + seed)
    for sock in socks[:5]:
        sock.close()
    wait_carriers(t, 8)
    for seed, sock in enumerate(socks[5:]):
        exchange(sock, 200 + seed)


def test_acc_41_a_stream_whose_own_link_dies_moves(tunnel):
    t = tunnel(near={"links": 2, "mode": "distributed"})
    server = t.serve(echo)
    wait_carriers(t, 3)
    socks = [t.connect(server, timeout=60) for _ in range(4)]
    transfer = Transfer(t.connect(t.serve(two_way), timeout=60), 1 << 20, 1 << 20, 4)
    t.joined.near.kill_connections(PORT)
    for seed, sock in enumerate(socks):
        exchange(sock, seed)
    transfer.end(60 * SLOWNESS)


def test_acc_41_a_network_that_takes_hundreds_of_links_resets_nobody(tunnel):
    """The session has at most 512: whoever comes then shares the one that is nobody's own."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = 1150 if SLOWNESS == 1 and hard >= 4000 else 60
    t = tunnel(near={"links": 2, "mode": "distributed"})
    server = t.serve(echo)
    socks = [t.connect(server, timeout=60 * SLOWNESS) for _ in range(n)]
    until(lambda: len(carriers(t)) > min(n // 2, 500), "a carrier for most", timeout=60)
    t.joined.near.kill_connections(PORT)
    for seed, sock in enumerate(socks):
        exchange(sock, seed)
    assert not t.near.records(event="session", is_="ended")
