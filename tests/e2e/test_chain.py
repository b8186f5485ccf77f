"""Chains: three hops between five machines (harness/bed.py), what each of them sees, and what becomes of transfers when any line fails."""

import contextlib
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from harness import client
from harness.bed import (CLIENT, FAR, FAR_OUT, KEY_A, KEY_B, LAN, MIDDLE, MIDDLE_OUT, NEAR, NEAR_OUT, PORT, SOCKS_PORT, TARGET, Capture,
                         tunnel_at, tunnel_to)
from harness.beside import in_thread
from harness.binary import SLOWNESS
from harness.origin import echo, http_page, speak_first, swallow
from harness.pattern import pattern, send_pattern
from harness.services import start_nginx, start_sshd
from harness.tunnel import Transfer, two_way
from harness.udp import Sides, UdpEcho
from harness.wait import until

WAYS = {"carriers that are streams": "start_via", "a tunnel behind a tunnel": "start_hops"}


@pytest.fixture(params=WAYS)
def chain(request, bed):
    return getattr(bed, WAYS[request.param])()


def test_acc_40_each_of_three_hops_sees_its_neighbours_only(chain):
    """Neither addresses of others, nor a byte of what goes through."""
    secrets = (bytes(pattern(100, 40, 5)), bytes(pattern(100, 40, 6)))
    seen = {line.device: Capture(chain.middle if line.near is chain.middle else line.far, line.device, secrets)
            for line in (chain.near_line, chain.far_line, chain.back)}
    server = chain.serve(two_way)
    Transfer(chain.connect(server), 300_000, 300_000, 5).end(60 * SLOWNESS)
    pairs = [(NEAR_OUT, MIDDLE), (MIDDLE_OUT, FAR), (FAR_OUT, TARGET)]
    for capture, pair in zip(seen.values(), pairs):
        assert capture.end().pairs == {frozenset(pair)}
    hidden = [capture.found for capture in seen.values()]
    assert hidden[:2] == [set(), set()] and hidden[2], "only behind the last hop it can be read"
    for machine, peers in ((chain.near, {MIDDLE}), (chain.middle, {NEAR_OUT, FAR}), (chain.far, {MIDDLE_OUT})):
        assert {peer.rpartition(":")[0] for _, peer in machine.connections(PORT)} == peers


def test_acc_40_links_of_the_middle_hop_die_at_any_time_and_nothing_is_lost(chain):
    server = chain.serve(two_way)
    chain.near_line.set(delay_ms=5)
    chain.far_line.set(delay_ms=5)
    transfers = [Transfer(chain.connect(server), 3_000_000, 3_000_000, seed) for seed in range(4)]
    over = threading.Event()
    n_killed = 0
    for turn in range(8):
        due = sum(one.n_received for one in transfers) + 1_000_000
        until(lambda: over.is_set() or sum(one.n_received for one in transfers) >= min(due, 11_900_000), "more bytes", timeout=60)
        killed = chain.middle.kill_connections(PORT) if turn % 3 == 2 else (chain.near, chain.far)[turn % 3].kill_connections(PORT)
        n_killed += killed > 0
    for one in transfers:
        one.end(60 * SLOWNESS)
    assert n_killed >= 5


def test_acc_40_relays_to_an_address_and_to_another_tunnel_by_its_name(bed):
    """Each on a port of its own at the near end: to an address directly, to one by a tunnel, and to where another tunnel's far end says."""
    with bed.middle.entered():
        direct = bed.origin(speak_first(1000, 1), MIDDLE)
    by_tunnel, named = bed.serve(speak_first(1000, 2)), bed.serve(speak_first(1000, 3))
    bed.start_far(f', target: "{TARGET}:{named.port}"')
    bed.start("middle", f"inbounds:\n{tunnel_at(MIDDLE, KEY_A)}")
    relays = {7001: f'target: "{MIDDLE}:{direct.port}", outbound: direct', 7002: f'target: "{TARGET}:{by_tunnel.port}", outbound: b',
              7003: "outbound: b"}
    inbounds = "".join(f'  - {{type: relay, listen: "{NEAR}:{port}", allow: ["10.81.0.0/24"], {keys}}}\n' for port, keys in relays.items())
    bed.start("near", f"inbounds:\n{inbounds}outbounds:\n{tunnel_to('b', FAR, KEY_B, ', via: a')}{tunnel_to('a', MIDDLE, KEY_A)}")

    def says(port, seed):
        sock = bed.dial(port=port, timeout=5)
        with contextlib.suppress(OSError):
            return sock.recv(10) == bytes(pattern(0, 10, seed))
        return False
    for seed, port in enumerate(relays, 1):
        until(lambda: says(port, seed), f"what is behind {port}", timeout=40)


def start_before_proxy(bed, kind):
    """A tunnel to middle, and from there a proxy of that kind at far, with a login, for what goes to target."""
    login = "username: ann, password: open-sesame"
    bed.start("far", f'inbounds:\n  - {{type: {kind}, listen: "{FAR}:3128", allow: ["{MIDDLE_OUT}"], users: [{{name: ann, password: open-sesame}}]}}')
    bed.start("middle", f"inbounds:\n{tunnel_at(MIDDLE, KEY_A)}outbounds:\n  - {{type: direct, name: out}}\n"
              f'  - {{type: {kind}, name: up, server: "{FAR}:3128", {login}}}\nroutes: ["IP-CIDR,10.84.0.0/24,up"]')
    bed.start("near", f"inbounds:\n{LAN}outbounds:\n{tunnel_to('a', MIDDLE, KEY_A)}")
    bed.wait_open()


@pytest.mark.parametrize("kind", ["socks", "http"])
def test_what_comes_out_of_a_tunnel_goes_into_a_proxy_further_on(bed, kind):
    """With a login, by the far end's rules; what no rule sends there goes directly."""
    start_before_proxy(bed, kind)
    server = bed.serve(two_way)
    Transfer(bed.connect(server), 500_000, 500_000, 1).end(60 * SLOWNESS)
    with bed.middle.entered():
        near_by = bed.origin(two_way, MIDDLE)
    Transfer(bed.connect(near_by), 500_000, 500_000, 2).end(60 * SLOWNESS)
    assert bed.programs["middle"].wait_record(event="flow", to=f"{TARGET}:{server.port}")["out"] == "up"
    assert bed.programs["middle"].wait_record(event="flow", to=f"{MIDDLE}:{near_by.port}")["out"] == "out"


@pytest.fixture
def net():
    """The client's associations, and servers for datagrams on the target."""
    with contextlib.closing(Sides(clients="client", servers="target", port=SOCKS_PORT)) as sides:
        yield sides


def test_acc_60_datagrams_over_three_hops(chain, net):
    """All from one port of the last one's, whatever becomes of the lines between them."""
    server, association = net.echo(chain, TARGET), net.associate(chain, NEAR)
    for size in (0, 1, 1200, 9000, 40000):
        payload = bytes(pattern(0, size))
        assert association.exchange(payload, *server.addr) == (*server.addr, payload)
    for machine in (chain.near, chain.middle, chain.far):
        assert machine.kill_connections(PORT) > 0
        association.reach(machine.path.encode(), *server.addr)
    assert len(set(server.seen)) == 1 and server.seen[0][0] == FAR_OUT


def test_acc_60_datagrams_that_come_out_of_a_tunnel_go_each_where_rules_say(bed, net):
    """Into a proxy further on, or out at once."""
    start_before_proxy(bed, "socks")
    server, association = net.echo(bed, TARGET), net.associate(bed, NEAR)
    with bed.middle.entered(), contextlib.closing(UdpEcho(MIDDLE)) as near_by:
        for size in (1, 9000):
            for to in (server, near_by):
                assert association.exchange(bytes(size), *to.addr) == (*to.addr, bytes(size))
    assert {host for host, _ in server.seen} == {FAR_OUT} and {host for host, _ in near_by.seen} == {MIDDLE}


def test_acc_42_a_service_near_the_client_is_reached_at_the_end_of_a_chain(bed):
    """The far end of the inner tunnel listens; links of both die while somebody is connected there."""
    with bed.client.entered():
        server = bed.origin(two_way, CLIENT)
    bed.start_far(f', allow_reverse: ["{FAR_OUT}:8001"]')
    bed.start("middle", f"inbounds:\n{tunnel_at(MIDDLE, KEY_A)}")
    relay = f'  - {{type: relay, listen_via: b, listen: "{FAR_OUT}:8001", allow: ["{TARGET}"], target: "{CLIENT}:{server.port}"}}\n'
    bed.start("near", f"inbounds:\n{relay}outbounds:\n{tunnel_to('b', FAR, KEY_B, ', via: a')}{tunnel_to('a', MIDDLE, KEY_A)}")
    bed.programs["near"].wait_record(timeout=40, event="listener", is_="listening")
    for line in (bed.near_line, bed.far_line):
        line.set(delay_ms=5)
    with bed.target.entered():
        sock = bed.open_client((FAR_OUT, 8001), timeout=60)
    transfer = Transfer(sock, 3_000_000, 3_000_000, 1)
    for i, machine in enumerate((bed.near, bed.middle, bed.far)):
        until(lambda: transfer.n_received > i * 700_000, "more bytes", timeout=60)
        assert machine.kill_connections(PORT) > 0
    transfer.end(60 * SLOWNESS)


@pytest.mark.workers
@pytest.mark.parametrize("a,b", [(1, 1), (3, 1), (1, 3), (3, 3)])
def test_a_chain_has_as_many_sessions_as_asked_for_on_several_workers(bed, a, b):
    """Those inside are where the sessions are that carry them."""
    bed.start_via(f", sessions: {a}", f", sessions: {b}")
    server = bed.serve(two_way)
    transfers = [Transfer(bed.connect(server), 100_000, 100_000, seed) for seed in range(12)]
    for one in transfers:
        one.end(60 * SLOWNESS)
    assert len(bed.near.connections(PORT)) <= a
    assert len(bed.middle.connections(PORT)) <= len(bed.near.connections(PORT)) + b


def test_a_near_end_that_stops_tells_every_far_end_of_a_chain(bed):
    """With a connection open that does not end by itself: the last words of the inner session go by the outer one."""
    bed.start_via()
    server = bed.serve(echo)
    sock = bed.connect(server)
    bed.programs["near"].stop()
    for machine in ("middle", "far"):
        bed.programs[machine].wait_record(event="session", is_="ended", why="the other end ends it: its program ends, or its configuration has changed", timeout=20)
    with pytest.raises(ConnectionResetError):
        sock.recv(1)
    until(lambda: server.n_open == 0, "the end of the connection to the target", timeout=20)


def links_up(bed, out):
    return len(bed.programs["near"].records(event="link", out=out, is_="up"))


def test_a_carrier_that_is_a_stream_waits_for_its_own_session_to_have_a_link_again(bed):
    """The line is dead for longer than anything inside waits for an answer; the outer links are replaced, the inner one is not."""
    bed.start_via()
    server = bed.serve(two_way)
    transfer = Transfer(bed.connect(server), 3_000_000, 3_000_000, 1)
    until(lambda: transfer.n_received > 0, "the first bytes", timeout=30)
    had = links_up(bed, "b"), links_up(bed, "a")
    with bed.near_line.frozen():
        time.sleep(4)
    transfer.end(60 * SLOWNESS)
    assert links_up(bed, "b") == had[0]
    assert links_up(bed, "a") >= had[1]


def test_a_carrier_that_is_dialled_through_a_chain_waits_too(bed):
    """The line is dead when the first connection comes, for longer than a second attempt waits for the first."""
    bed.start_via()
    middle, server = bed.programs["middle"], bed.serve(echo)

    def carriers():
        """Of the inner session's, that have ended, as the middle one sees them."""
        return len(middle.records(event="flow", to=f"{FAR}:{PORT}"))
    bed.programs["near"].stop()
    until(lambda: carriers() > 0 and not bed.middle.connections(PORT), "the end of all carriers", timeout=20)
    had = carriers()
    with bed.near_line.frozen():
        bed.start_near_via()
        sock = bed.dial()
        sock.sendall(b"\x05\x01\x00" + client.socks5_request(*server.addr) + b"at last")
        time.sleep(4)
    assert client.receive_exactly(sock, 2) == b"\x05\x00"
    assert client.receive_socks5_reply(sock).code == 0
    assert client.receive_exactly(sock, 7) == b"at last"
    sock.close()
    bed.programs["near"].stop()
    until(lambda: carriers() > had, "the end of the carrier", timeout=20)
    assert carriers() == had + 1


# What people do with it

def in_client(bed, *argv, **options):
    done = subprocess.run([*bed.client.prefix, *map(str, argv)], capture_output=True, timeout=120 * SLOWNESS, **options)
    assert done.returncode == 0, (done.args, done.stderr.decode(errors="replace"))
    return done.stdout


def test_curl_and_ssh_over_three_hops(chain, spawn, place):
    body = bytes(pattern(0, 65536)) * 30
    server = chain.serve(http_page(body))
    for scheme in ("socks5h", "socks4a", "http"):
        assert in_client(chain, "curl", "-sS", "-p", "-x", f"{scheme}://{NEAR}:{SOCKS_PORT}", server.url) == body
    port, options = start_sshd(spawn, place, TARGET, chain.target)
    command = f"ProxyCommand=nc -X 5 -x {NEAR}:{SOCKS_PORT} %h %p"
    assert in_client(chain, "ssh", *options, "-o", command, f"root@{TARGET}", "cat", input=body) == body


PAGE = """<!doctype html><title>objects</title><body>waiting<script>
const get = i => fetch(`/object/${i}`).then(r => r.text()).then(text => text.length == 1000 + i);
Promise.all([...Array(100).keys()].map(get)).then(got => `got ${got.filter(x => x).length}`, error => `failed ${error}`).then(
    outcome => fetch(`/outcome?${encodeURIComponent(outcome)}`));
</script>"""


def test_chromium_gets_a_page_of_a_hundred_objects_over_three_hops(bed, spawn, place):
    (place / "www/object").mkdir(parents=True)
    for i in range(100):
        (place / f"www/object/{i}").write_text("x" * (1000 + i))
    (place / "www/page.html").write_text(PAGE)
    outcome = place / "outcome"
    port = start_nginx(spawn, place, more=f"types {{ text/html html; }} location /outcome {{ access_log {outcome}; }}",
                       host=TARGET, machine=bed.target)
    bed.near_line.set(delay_ms=20)
    bed.start_via()
    browser = spawn([*bed.client.prefix, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     f"--user-data-dir={place}/chromium", f"--proxy-server=socks5://{NEAR}:{SOCKS_PORT}",
                     f"http://{TARGET}:{port}/page.html"])
    until(lambda: outcome.exists() and "outcome?" in outcome.read_text(), "the page's outcome", timeout=180)
    assert "got 100" in urllib.parse.unquote(outcome.read_text())
    browser.terminate()
    browser.wait(20 * SLOWNESS)


def test_a_small_stream_through_a_chain_stays_quick_beside_bulk(bed):
    """On a slow line bulk waits for two sessions. Were the stream between them not bounded, it would wait there, in front of everybody else."""
    bed.start_via()
    bed.near_line.set(rate_mbit=4, queue_kb=30, delay_ms=5)
    server = bed.serve(swallow)
    bulk = [bed.connect(server) for _ in range(32)]
    joins = [in_thread(send_until_reset, one) for one in bulk]
    small, times = bed.connect(bed.serve(echo)), []
    for _ in range(5):
        start = time.monotonic()
        small.sendall(b"?" * 100)
        assert client.receive_exactly(small, 100) == b"?" * 100
        times.append(time.monotonic() - start)
    print(f"round trips beside bulk on 4 Mbit/s: {', '.join(f'{t * 1000:.0f}' for t in times)} ms")
    bed.near_line.set(rate_mbit=0)
    for one in bulk:
        one.shutdown(socket.SHUT_RDWR)
    for join in joins:
        join()
    assert sorted(times)[len(times) // 2] < 1.5 * SLOWNESS


def send_until_reset(sock):
    with contextlib.suppress(OSError):
        send_pattern(sock, 1 << 30)
