"""What users of such programs complain of, where it concerns tunnels and no other test has it; doc/complaints.md has the list."""

import json
import threading
import time

import pytest

from harness import client, proc
from harness.binary import SANITIZER
from harness.client import receive_all, receive_exactly, socks5
from harness.dnsserver import Answer
from harness.losses import forgotten
from harness.origin import echo, reset
from harness.pattern import receive_pattern, send_pattern
from harness.program import run_cli
from harness.services import free_port
from harness.tunnel import KEY
from harness.wait import until

LAN = '  - {type: mixed, name: lan, listen: "127.0.0.1:0", outbound: home}\n'


def far(listen):
    return f'  - {{type: tunnel, name: far, listen: "{listen}", key: "{KEY}", outbound: direct, allow_targets: ["127.0.0.0/8"]}}\n'


def near(server, more=""):
    return f'  - {{type: tunnel, name: home, server: "{server}", key: "{KEY}"{more}}}\n'


@pytest.fixture
def both(sockeye, origin, dial, place, far_state):
    """Both ends in one process, with a link: both(more of the near end) -> the program."""
    def start(more=""):
        at = f"127.0.0.1:{free_port()}"
        program = sockeye(f"state: {far_state}\nadmin: {{socket: {place / 'status'}}}\ninbounds:\n{far(at)}{LAN}outbounds:\n{near(at, more)}")
        sock = dial(program.addr("lan"), timeout=30)
        assert socks5(sock, *origin(echo).addr).code == 0
        sock.sendall(b"x")
        assert receive_exactly(sock, 1) == b"x"
        sock.close()
        return program
    return start


@pytest.fixture
def tunnels(place):
    """What status tells of them."""
    def ask():
        return json.loads(run_cli("status", "--json", "--socket", place / "status", home=place).out)["tunnels"]
    return ask


@pytest.mark.parametrize("n", [100, pytest.param(5000, marks=pytest.mark.soak)])
def test_aborts_on_either_side_of_a_tunnel_leave_no_connection_and_no_stream(both, origin, dial, tunnels, n):
    """So many clients that vanish with data under way, and as many targets that do (3proxy 1263)."""
    def brusque(conn):
        conn.recv(1)
        conn.sendall(bytes(20000))
        reset(conn)
    program, patient, rude = both(), origin(echo), origin(brusque)
    until(lambda: not sum(t["streams_now"] for t in tunnels()), "the end of the first stream")
    before = program.n_descriptors()
    for i in range(n):
        sock = dial(program.addr("lan"), timeout=30)
        assert socks5(sock, *patient.addr).code == 0
        sock.sendall(bytes(1 + i % 100 * 100))
        reset(sock)
        sock = dial(program.addr("lan"), timeout=30)
        assert socks5(sock, *rude.addr).code == 0
        sock.sendall(b"x")
        receive_all(sock)
        sock.close()
    until(lambda: not proc.tcp(program.pid, "close-wait"), "no connection to be left in CLOSE_WAIT")
    program.wait_descriptors(before)
    until(lambda: not sum(t["streams_now"] for t in tunnels()), "no stream to be left")


def test_a_client_that_leaves_takes_its_connection_behind_the_tunnel_along(both, origin, dial):
    """No outbound connection without its inbound (sing-box 2439), whenever the client leaves."""
    open_now, lock = [0], threading.Lock()

    def hold(conn):
        with lock:
            open_now[0] += 1
        receive_all(conn)
        with lock:
            open_now[0] -= 1
    program, server = both(), origin(hold)
    for i in range(60):
        sock = dial(program.addr("lan"), timeout=30)
        if i % 2:
            assert socks5(sock, *server.addr).code == 0
        else:    # and goes before it has an answer
            sock.sendall(b"\x05\x01\x00" + client.socks5_request(*server.addr))
        reset(sock) if i % 4 < 2 else sock.close()
    sock = dial(program.addr("lan"), timeout=30)
    assert socks5(sock, *server.addr).code == 0
    until(lambda: open_now[0] == 1, f"one connection, not {open_now[0]}", timeout=30)


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer has a thread of its own")
def test_an_idle_tunnel_with_idle_streams_costs_no_cpu_and_no_wakeups(both, origin, dial):
    """Both ends in one process, without keepalives (shadowsocks-rust 725)."""
    program, server = both(", keepalive_s: 0"), origin(echo)
    for i in range(200):
        sock = dial(program.addr("lan"), timeout=30)
        assert socks5(sock, *server.addr).code == 0
        if i % 10 == 0:
            send_pattern(sock, 100)
            receive_pattern(sock, 100)
    time.sleep(3)    # whatever was to be done after the last byte is done now
    cpu, wakeups = proc.cpu_s(program.pid), proc.wakeups(program.pid)
    time.sleep(5)    # the time over which it is counted
    assert proc.cpu_s(program.pid) - cpu < 0.005
    assert proc.wakeups(program.pid) - wakeups <= 2


def test_keepalives_of_a_tunnel_come_where_they_are_asked_for_and_nowhere_else(both, tunnels):
    """clash 2867: what an idle link sends is what the configuration says."""
    def sent():
        return sum(carrier["sent_bytes"] for t in tunnels() if t["end"] == "near" for carrier in t["carriers"])
    program = both(", keepalive_s: 0")
    time.sleep(2)    # the last acknowledgements are through
    before = sent()
    time.sleep(4)    # in which nothing may come
    assert sent() == before
    program.stop()
    both(", keepalive_s: 1")
    time.sleep(2)
    before = sent()
    until(lambda: sent() > before, "a keepalive", timeout=30)


def test_a_dead_link_is_found_out_by_keepalives_alone(tunnel):
    """Nobody says anything; the next one who does finds a link that lives (chisel 560)."""
    t = tunnel(near={"keepalive_s": 1})
    old = t.carriers()
    with forgotten(t):
        until(lambda: t.carriers() - old, "another carrier, behind two keepalives of four seconds at most and a second", timeout=11)
        sock = t.connect(t.serve(echo))
        sock.sendall(b"x")
        assert receive_exactly(sock, 1) == b"x"


def test_a_server_that_has_moved_is_found_by_its_name(sockeye, dns, origin, dial, far_state):
    """Names are resolved anew on failure (nebula 515)."""
    port, names = free_port(), dns({"far.test": Answer(a=["127.0.0.2"], ttl=1)})
    head = f"state: {far_state}\ninbounds:\n"
    first = sockeye(head + far(f"127.0.0.2:{port}"))
    program = sockeye(f"{names.yaml}\ninbounds:\n{LAN}outbounds:\n{near(f'far.test:{port}')}")
    server = origin(echo)

    def is_served():
        return client.is_served(program.addr("lan"), *server.addr)
    until(is_served, "a way through the tunnel", timeout=30)
    first.stop()
    names.names["far.test"] = Answer(a=["127.0.0.3"], ttl=1)
    second = sockeye(head + far(f"127.0.0.3:{port}"))
    until(is_served, "a way by the new address", timeout=60)
    assert second.records(event="flow") or second.wait_record(event="flow")
