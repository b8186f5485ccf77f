"""The near end of a tunnel: how it gets to its server, what a reload leaves alone, what it tells about itself."""

import json
import signal

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.client import receive_all, receive_exactly
from harness.origin import answer_after_end, echo, http_page, speak_first, swallow
from harness.pattern import exchange, receive_end, receive_pattern, send_and_end, send_pattern
from harness.program import complete, run_cli
from harness.services import free_port
from harness.tunnel import KEY, Transfer, two_way
from harness.wait import until

OTHER_KEY = "AAECAwQFBgcICQoLDA0ODw=="


def far(port, name="far", key=KEY, more=""):
    return f'  - {{type: tunnel, name: {name}, listen: "127.0.0.1:{port}", key: "{key}", outbound: direct, allow_targets: ["127.0.0.0/8"]{more}}}\n'


def near(port, name="home", key=KEY, more=""):
    return f'  - {{type: tunnel, name: {name}, server: "127.0.0.1:{port}", key: "{key}"{more}}}\n'


def far_towards(port, outer):
    """Of a tunnel that leads to a port of the process itself: they are denied otherwise."""
    to = f"127.0.0.1:{port}"
    return far(outer, "outer", OTHER_KEY, f', target: "{to}"').replace("127.0.0.0/8", to)


LAN = '  - {type: mixed, name: lan, listen: "127.0.0.1:0", outbound: home}\n'


@pytest.fixture
def loop(sockeye, place):
    """Both ends in one process: loop(inbounds, outbounds) -> the program."""
    def start(inbounds, outbounds, more=""):
        return sockeye(config(place, inbounds, outbounds, more))
    return start


def config(place, inbounds, outbounds, more=""):
    return f"state: {place}\n{more}inbounds:\n{inbounds}outbounds:\n{outbounds}"


def page(program, dial, server, name="lan"):
    sock = dial(program.addr(name), timeout=30)
    assert client.socks5(sock, *server.addr).code == 0
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return receive_all(sock)


def receive_body(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        head += receive_exactly(sock, 1)
    n = int(head.lower().split(b"content-length:")[1].split()[0])
    return receive_exactly(sock, n)


@pytest.mark.parametrize("kind", ["socks", "http"])
def test_acc_46_a_carrier_goes_through_an_upstream_proxy(loop, origin, dial, kind):
    port, proxy = free_port(), free_port()
    program = loop(LAN + far(port) + f'  - {{type: {kind}, name: between, listen: "127.0.0.1:{proxy}", outbound: direct, allow_targets: ["127.0.0.1:{port}"]}}\n',
                   near(port, more=", via: up") + f'  - {{type: {kind}, name: up, server: "127.0.0.1:{proxy}"}}\n')
    assert page(program, dial, origin(http_page(b"page"))).endswith(b"page")
    assert not program.records(level="warn", event="link")


@pytest.mark.workers
def test_a_tunnel_leads_through_a_tunnel(loop, origin, dial):
    """Its carrier is a stream of the outer one's session; and it carries bulk."""
    inner, outer = free_port(), free_port()
    program = loop(LAN + far(inner, "inner") + far_towards(inner, outer),
                   near(inner, more=", via: around") + near(outer, "around", OTHER_KEY))
    assert page(program, dial, origin(http_page(b"page"))).endswith(b"page")
    sock = dial(program.addr("lan"), timeout=30)
    assert client.socks5(sock, *origin(two_way).addr).code == 0
    Transfer(sock, 3_000_000, 3_000_000, 7).end(120 * SLOWNESS)


@pytest.mark.workers
def test_a_tunnel_moves_to_what_a_reload_makes_of_the_one_that_it_leads_through(loop, origin, dial, rewrite, place):
    """Its clients notice nothing, and the session of the old settings ends."""
    inner, outer = free_port(), free_port()
    inbounds = LAN + far(inner, "inner") + far_towards(inner, outer)
    around = near(outer, "around", OTHER_KEY)
    program = loop(inbounds, near(inner, more=", via: around") + around)
    sock = dial(program.addr("lan"), timeout=30)
    assert client.socks5(sock, *origin(echo).addr).code == 0
    transfer = dial(program.addr("lan"), timeout=90)
    assert client.socks5(transfer, *origin(two_way).addr).code == 0
    transfer = Transfer(transfer, 20_000_000 // SLOWNESS, 20_000_000 // SLOWNESS, 7)
    until(lambda: transfer.n_received > 1 << 20, "some bytes")
    for seconds in (77, 78):
        rewrite(program, config(place, inbounds, near(inner, more=", via: around") + near(outer, "around", OTHER_KEY, f", keepalive_s: {seconds}")))
        n = seconds - 76
        until(lambda: len(program.records(event="session", out="around", is_="ended")) == n, "the end of the outer session", timeout=60)
        send_pattern(sock, 1000)
        receive_pattern(sock, 1000)
    transfer.end(120 * SLOWNESS)
    assert not program.records(event="session", out="home", is_="ended")
    assert not program.records(event="link", out="home", level="warn"), "it was handed over"


def test_a_tunnel_moves_where_the_changed_one_is_behind_a_proxy_that_has_not(loop, origin, dial, rewrite, place):
    inner, outer, proxy = free_port(), free_port(), free_port()
    inbounds = (LAN + far(inner, "inner") + far_towards(proxy, outer) +
                f'  - {{type: socks, name: between, listen: "127.0.0.1:{proxy}", outbound: direct, allow_targets: ["127.0.0.1:{inner}"]}}\n')

    def outbounds(more=""):
        return near(inner, more=", via: up") + f'  - {{type: socks, name: up, server: "127.0.0.1:{proxy}", via: around}}\n' + near(outer, "around", OTHER_KEY, more)
    program = loop(inbounds, outbounds())
    sock = dial(program.addr("lan"), timeout=30)
    assert client.socks5(sock, *origin(echo).addr).code == 0
    exchange(sock)
    rewrite(program, config(place, inbounds, outbounds(", keepalive_s: 77")))
    program.wait_record(event="session", out="around", is_="ended", timeout=60)
    exchange(sock)
    assert not program.records(event="session", out="home", is_="ended")


@pytest.mark.workers
def test_a_tunnel_that_leads_through_one_of_another_worker_now_leaves_no_session_behind(loop, origin, dial, rewrite, place):
    """Of four workers these names have one each. The session of before ends with its last connection, and the next, for which there is no place beside it, begins."""
    inner, outer, user = free_port(), free_port(), "QSB1c2VyJ3Mga2V5IGZvciB0aGUgZW5kLXRvLWVuZCE="
    inbounds = LAN + far(inner, more=f', users: [{{name: ann, key: "{user}", sessions: 1}}]') + far_towards(inner, outer)

    def outbounds(via):
        return near(inner, key=f"{KEY}:{user}", more=f", via: {via}") + "".join(near(outer, name, OTHER_KEY) for name in ("a", "b"))
    program, server = loop(inbounds, outbounds("a")), origin(echo)
    for n, via in enumerate(("b", "a"), 1):
        sock = dial(program.addr("lan"), timeout=30)
        assert client.socks5(sock, *server.addr).code == 0
        exchange(sock)
        rewrite(program, config(place, inbounds, outbounds(via)))
        exchange(sock)
        sock.close()
        until(lambda: client.is_served(program.addr("lan"), *server.addr), "a way by the session that has taken its place", timeout=30)
        program.wait_record(n + 1, event="session", in_="far", is_="begun")
    rewrite(program, config(place, inbounds, outbounds("b")))
    until(lambda: client.is_served(program.addr("lan"), *server.addr), "a way when there was no connection", timeout=30)


def test_a_program_ends_while_a_tunnel_is_dialled_through_another(loop, origin, dial, place):
    """The outer one ends first, and the next of the inner server's addresses is tried: by no session that stays."""
    silent, status = origin(swallow), place / "status"
    inner = near(1).replace('server: "127.0.0.1:1"', 'server: ["127.0.0.1:1", "127.0.0.1:2"], via: around')
    program = loop(LAN + LAN.replace("lan", "beside").replace("home", "around"), inner + near(silent.addr[1], "around", OTHER_KEY),
                   f"limits: {{drain_s: 0}}\nadmin: {{socket: {status}}}\n")
    for n, name in enumerate(("beside", "lan"), 1):
        dial(program.addr(name)).sendall(b"\x05\x01\x00" + client.socks5_request("127.0.0.1", 80))
        until(lambda: len(json.loads(run_cli("status", "--json", "--socket", status, home=place).out)["tunnels"]) == n, "its session")
    program.stop()


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", b""], ids=["ssh", "hang-up"])
def test_the_log_says_of_what_is_no_sockeye_that_another_program_may_listen_there(loop, origin, dial, answer):
    program = loop(LAN, near(origin(lambda conn: conn.recv(1 << 16) and conn.sendall(answer)).port))
    dial(program.addr("lan")).sendall(b"\5\1\0\5\1\0\1\xc0\0\2\1\0\x50")
    assert "another program listens there" in program.wait_record(event="link", is_="given up", level="warn")["why"]


def test_the_addresses_of_a_server_are_tried_one_after_the_other(loop, origin, dial):
    closed, port = free_port(), free_port()
    program = loop(LAN + far(port), near(port).replace("server: ", f'server: ["127.0.0.1:{closed}", ').replace(", key", "], key", 1))
    assert page(program, dial, origin(http_page(b"page"))).endswith(b"page")


@pytest.mark.workers
def test_several_sessions_carry_what_comes(loop, origin, dial):
    port = free_port()
    program = loop(LAN + far(port), near(port, more=", sessions: 3"))
    server = origin(http_page(b"page"))
    for _ in range(24):
        assert page(program, dial, server).endswith(b"page")


@pytest.mark.workers
def test_one_client_connection_asks_servers_behind_two_tunnels(loop, origin, dial):
    """HTTP with keep-alive: the connection moves to the worker of each tunnel's session in its turn."""
    one, two = free_port(), free_port()
    servers = [origin(http_page(b"first")), origin(http_page(b"other"))]
    program = loop('  - {type: mixed, name: lan, listen: "127.0.0.1:0"}\n' + far(one, "far-one") + far(two, "far-two", OTHER_KEY),
                   near(one, "first") + near(two, "other", OTHER_KEY),
                   f'routes: ["DST-PORT,{servers[1].addr[1]},other"]\n')
    sock = dial(program.addr("lan"), timeout=30)
    for i in range(12):
        host = "%s:%d" % servers[i % 2].addr
        sock.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert receive_body(sock) == [b"first", b"other"][i % 2]


def test_bytes_that_come_with_the_request_arrive_first(loop, origin, dial):
    port = free_port()
    program = loop(LAN + far(port), near(port))
    server = origin(echo)
    sock = dial(program.addr("lan"), timeout=30)
    host, to = server.addr
    sock.sendall(b"\x05\x01\x00" + client.socks5_request(host, to) + b"early ")
    assert receive_exactly(sock, 2) == b"\x05\x00"
    assert client.receive_socks5_reply(sock).code == 0
    sock.sendall(b"late")
    assert receive_exactly(sock, 10) == b"early late"


# ---- reloads ----

@pytest.fixture
def rewrite(place, request):
    """Writes the configuration anew and has the program read it."""
    workers = 4 if request.node.get_closest_marker("workers") else 1

    def write(program, text):
        new = place / "config-0.yaml.new"
        new.write_text(complete(text, workers))
        new.rename(place / "config-0.yaml")
        n = program.text.count("reloaded: the new")
        program.send_signal(signal.SIGHUP)
        until(lambda: program.text.count("reloaded: the new") > n or "reload refused" in program.text, "the reload", timeout=20)
        assert "reload refused" not in program.text, program.text[-3000:]
    return write


def n_sessions(program):
    """How many have begun."""
    return len(program.records(event="session", in_="far", is_="begun"))


@pytest.mark.workers
def test_a_reload_leaves_an_unchanged_tunnel_alone(loop, origin, dial, rewrite, place):
    port = free_port()
    program = loop(LAN + far(port), near(port))
    sock = dial(program.addr("lan"), timeout=30)
    assert client.socks5(sock, *origin(echo).addr).code == 0
    for keys in (", connections: 1000", ", connections: 2000"):
        rewrite(program, config(place, LAN.replace("}", keys + "}") + far(port), near(port)))
        send_pattern(sock, 1000)
        receive_pattern(sock, 1000)
    assert page(program, dial, origin(http_page(b"page"))).endswith(b"page")
    assert n_sessions(program) == 1


def test_a_tunnel_that_a_reload_changes_carries_on_what_is_there_and_then_ends(loop, origin, dial, rewrite, place):
    port = free_port()
    program = loop(LAN + far(port), near(port))
    sock = dial(program.addr("lan"), timeout=30)
    assert client.socks5(sock, *origin(echo).addr).code == 0
    rewrite(program, config(place, LAN + far(port), near(port, more=", keepalive_s: 77")))
    assert page(program, dial, origin(http_page(b"page"))).endswith(b"page")
    until(lambda: n_sessions(program) == 2, "a session by the new settings")
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)
    assert not program.records(event="session", is_="ended")
    sock.close()
    program.wait_record(event="session", out="home", is_="ended")
    assert page(program, dial, origin(http_page(b"page"))).endswith(b"page")
    assert not program.records(level="warn", event="link"), "it ended cleanly"


# ---- what it tells ----

def test_status_tells_of_sessions_links_and_bytes(loop, origin, dial, place):
    port = free_port()
    program = loop(LAN + far(port), near(port), f"admin: {{socket: {place}/status}}\n")
    sock = dial(program.addr("lan"), timeout=30)
    assert client.socks5(sock, *origin(echo).addr).code == 0
    send_pattern(sock, 10_000)
    receive_pattern(sock, 10_000)
    told = json.loads(run_cli("status", "--json", "--socket", place / "status", home=place).out)["tunnels"]
    assert sorted((one["name"], one["end"]) for one in told) == [("far", "far"), ("home", "near")]
    for one in told:
        assert one["links"] == 1 and one["streams_now"] == 1 and one["streams_total"] == 1
        assert one["sent_bytes"] == 10_000 and one["received_bytes"] == 10_000 and one["resent_bytes"] == 0
        assert one["carriers"][0]["sent_bytes"] > 10_000
    text = run_cli("status", "--socket", place / "status", home=place).out
    assert "home (near)" in text and "far (far)" in text and "round trip" in text


def test_a_target_that_speaks_first_is_heard_through_http_connect(loop, origin, dial):
    port = free_port()
    program = loop(LAN + far(port), near(port))
    server = origin(speak_first(20_000))
    sock = dial(program.addr("lan"), timeout=30)
    assert client.http_connect(sock, *server.addr).status == 200
    receive_pattern(sock, 20_000)
    receive_end(sock)


def test_a_client_that_goes_while_the_tunnel_is_down_leaves_nothing(sockeye, dial, place):
    program = sockeye(config(place, LAN, near(free_port())))
    n = program.n_descriptors()
    for _ in range(20):
        sock = dial(program.addr("lan"))
        sock.sendall(b"\x05\x01\x00" + client.socks5_request("127.0.0.1", 80))
        assert receive_exactly(sock, 2) == b"\x05\x00"
        sock.close()
    until(lambda: len(program.records(event="flow")) == 20, "the end of all", timeout=20)
    until(lambda: program.n_descriptors() <= n + 1, "what they had", timeout=20)


def test_what_a_relays_client_says_waits_for_no_answer(loop, origin, dial, place):
    """It goes with the request; and its end too, before anybody has answered."""
    port = free_port()
    server = origin(answer_after_end(5000, 7000))
    program = loop(f'  - {{type: relay, name: fixed, listen: "127.0.0.1:0", target: "127.0.0.1:{server.addr[1]}", outbound: home}}\n' + far(port), near(port))
    for _ in range(10):
        sock = dial(program.addr("fixed"), timeout=30)
        send_and_end(sock, 5000)
        receive_pattern(sock, 7000, seed=1)
        receive_end(sock)


def test_an_installation_is_known_again_after_a_restart(sockeye, place):
    named = []
    for _ in range(2):
        program = sockeye(config(place, LAN, near(free_port())))
        named.append((place / "instance").read_bytes())
        program.stop()
    assert len(named[0]) == 16 and named[0] == named[1]
