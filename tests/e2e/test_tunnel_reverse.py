"""Reverse: services of the near end's network, reached where the far end listens for them."""

import signal
import socket
import time

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.losses import killed_here, killed_there
from harness.namespaces import FAR4
from harness.origin import echo, swallow
from harness.pattern import exchange, receive_end, receive_pattern, send_and_end, send_pattern
from harness.program import complete
from harness.tunnel import KEY, PORT, SERVER4, Transfer, two_way
from harness.wait import until

RELAY, SOCKS, HTTP, OTHER, MIXED = 8001, 8002, 8003, 8004, 8005
SMALL_BUFFER, STUCK_BYTES = "4096 16384 65536", 110_000
MADE = "reloaded: the new configuration is in force"


def inbound(type, port, **keys):
    text = "".join(f", {name}: {value}" for name, value in keys.items())
    return f'  - {{type: {type}, name: at-{port}, listen_via: home, listen: "127.0.0.1:{port}"{text}}}\n'


def relay(server, port=RELAY, **keys):
    return inbound("relay", port, target=f'"127.0.0.1:{server.addr[1]}"', **keys)


@pytest.fixture
def reverse(tunnel):
    """Starts a tunnel: reverse({port: handler}, more=..., allow="[8001]") -> Tunnel, with `servers` of the near network by their ports."""
    def start(handlers, more=lambda servers: "", allow="[8000-8010]", **options):
        t = tunnel(wait=False, far={"allow_reverse": allow, **options.pop("far", {})}, **options)
        with t.joined.near.entered():
            t.servers = {port: t.origin(handler, "127.0.0.1") for port, handler in handlers.items()}
        lines = "".join(relay(server, port) for port, server in t.servers.items()) + more(t.servers)
        t.configs["near"] = t.configs["near"].replace("outbounds:", lines + "outbounds:")
        t.start_far()
        t.start_near()
        return t
    return start


def dial(t, port=RELAY, timeout=60, source=None):
    """From the far end's network."""
    with t.joined.far.entered():
        return t.open_client(("127.0.0.1", port), source, timeout)


def is_open(t, port=RELAY):
    with t.joined.far.entered():
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return True
        except OSError:
            return False


def wait_open(t, *ports):
    for port in ports:
        until(lambda: is_open(t, port), f"port {port}", timeout=30)


def wait_listener(program, port, state, n=1, timeout=60):
    program.wait_record(n, timeout, event="listener", at=f"127.0.0.1:{port}", is_=state)


def test_acc_42_an_intranet_service_is_reached_from_outside(reverse):
    """By relay, SOCKS, HTTP and both on one port; the near end's log has where the client is."""
    t = reverse({RELAY: echo}, lambda servers: "".join(inbound(type, port, allow_targets='["127.0.0.1"]')
                                                       for type, port in (("socks", SOCKS), ("http", HTTP), ("mixed", MIXED))))
    wait_open(t, RELAY, SOCKS, HTTP, MIXED)
    server = t.servers[RELAY].addr
    sock = dial(t)
    source = "{}:{}".format(*sock.getsockname())
    send_and_end(sock, 100_000, 1)
    receive_pattern(sock, 100_000, 1)
    receive_end(sock)
    until(lambda: f"from={source} to=127.0.0.1:{server[1]}" in t.near.text, "the client's address in the near end's log")
    for port, protocol in ((SOCKS, "socks5"), (SOCKS, "socks4"), (HTTP, "http"), (MIXED, "socks5"), (MIXED, "socks4"), (MIXED, "http")):
        sock = dial(t, port)
        assert client.open_flow(sock, protocol, *server) == client.GRANTED[protocol]
        exchange(sock)
    # Who goes out by the far end has it for a target, unlike the addresses of the far end's own inbounds.
    exchange(t.connect(("127.0.0.1", RELAY)))
    assert client.socks5(t.dial(), FAR4, PORT).code == 2


def test_acc_42_what_is_refused_at_the_near_end_is_refused_there(reverse):
    t = reverse({}, lambda servers: inbound("socks", SOCKS) + inbound("socks", OTHER, deny='["127.0.0.1"]'))
    wait_open(t, SOCKS)
    sock = dial(t, SOCKS)
    assert client.open_flow(sock, "socks5", "127.0.0.1", 1) == 2, "loopback is not for those who come from elsewhere"
    until(lambda: is_open(t, OTHER), "the other port", timeout=30)
    with pytest.raises(ConnectionResetError):
        dial(t, OTHER).recv(1)


def let_in(t, port, source):
    """A connection from that address with an echo; None: a reset."""
    try:
        sock = dial(t, port, source=source)
        exchange(sock)
        return sock
    except ConnectionResetError:
        return None


def test_acc_42_allow_and_per_client_go_by_where_clients_are_at_the_far_end(reverse):
    t = reverse({RELAY: echo}, lambda servers: relay(servers[RELAY], OTHER, allow='["127.0.0.2"]') +
                relay(servers[RELAY], MIXED, per_client=2))
    wait_open(t, RELAY, OTHER, MIXED)
    assert let_in(t, OTHER, "127.0.0.2") and not let_in(t, OTHER, "127.0.0.3")
    kept = [let_in(t, MIXED, "127.0.0.2") for _ in range(2)]
    assert all(kept) and not let_in(t, MIXED, "127.0.0.2"), "as many as there may be from one address"
    assert let_in(t, MIXED, "127.0.0.3")
    kept.pop().close()
    until(lambda: let_in(t, MIXED, "127.0.0.2"), "a place for another")


def test_acc_42_users_of_an_inbound_at_the_far_end_say_who_they_are(reverse):
    keys = {"users": "[{name: ann, password: pw}]", "allow_targets": '["127.0.0.1"]'}
    t = reverse({RELAY: echo}, lambda servers: inbound("socks", SOCKS, **keys) + inbound("http", HTTP, **keys))
    wait_open(t, RELAY, SOCKS, HTTP)
    server = t.servers[RELAY].addr
    assert client.socks5_greet(dial(t, SOCKS)) == client.NONE_ACCEPTED
    wrong = dial(t, SOCKS)
    assert client.socks5_login(wrong, "ann", "wrong") != 0
    t.near.wait_record(event="login", user="ann", from_="{}:{}".format(*wrong.getsockname()))
    assert client.http_connect(dial(t, HTTP), *server).status == 407
    sock = dial(t, SOCKS)
    assert client.socks5(sock, *server, login=("ann", "pw")).code == 0
    exchange(sock)
    sock = dial(t, HTTP)
    source = "{}:{}".format(*sock.getsockname())
    assert client.http_connect(sock, *server, login=("ann", "pw")).status == 200
    exchange(sock)
    sock.close()
    t.near.wait_record(event="flow", user="ann", from_=source)


def test_acc_42_it_survives_reconnection_and_streams_without_an_answer(reverse):
    t = reverse({RELAY: two_way, OTHER: swallow})
    wait_open(t, RELAY, OTHER)
    mute = [dial(t, OTHER) for _ in range(5)]
    for sock in mute:
        sock.sendall(b"is anybody there?")
    transfer = Transfer(dial(t), 8 << 20, 8 << 20, 4)
    for way in (killed_here, killed_there, killed_here):
        way(t)
        Transfer(dial(t), 1000, 1000, 5).end(60)
    transfer.end(90)
    for sock in mute:
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_acc_42_connections_wait_while_there_is_no_link(reverse):
    """Longer than connect_ms: nobody can say yet how long is too long."""
    t = reverse({RELAY: echo}, far_limits=f"connect_ms: {1500 * SLOWNESS}")
    wait_open(t, RELAY)
    exchange(dial(t))
    t.near.send_signal(signal.SIGSTOP)
    t.joined.far.kill_connections(PORT)
    sock = dial(t)
    send_pattern(sock, 2000, 0)
    time.sleep(2 * SLOWNESS)
    t.near.send_signal(signal.SIGCONT)
    receive_pattern(sock, 2000, 0)


def test_a_client_that_has_ended_and_reads_no_more_is_given_up_when_the_near_end_is_through_with_it(reverse):
    """The near end's idle times are over then: all that its service said is on its way."""
    def answer(conn):
        conn.sendall(b"?")
        receive_end(conn)
        conn.sendall(bytes(STUCK_BYTES - 1))
    t = reverse({RELAY: answer}, far_limits="idle_ms: 1000")
    for name in ("tcp_rmem", "tcp_wmem"):
        t.joined.far.write(f"net/ipv4/{name}", SMALL_BUFFER)
    wait_open(t, RELAY)
    sock = dial(t)
    assert sock.recv(1) == b"?"
    sock.shutdown(socket.SHUT_WR)
    t.near.wait_record(event="flow", end="closed", down=STUCK_BYTES)
    t.far.wait_record(event="flow", end="idle")


@pytest.mark.workers
def test_acc_42_ports_are_back_at_once_when_the_near_end_was_killed(reverse):
    """Whichever workers have the sessions; and nobody sees the port closed once the new session is there."""
    t = reverse({RELAY: echo})
    wait_open(t, RELAY)
    for n in range(2, 5):
        t.near.kill()
        assert is_open(t), "the session lives on, and its port with it"
        t.start_near()
        wait_listener(t.far, RELAY, "listening", n)
        exchange(dial(t))
    t.far.wait_record(3, timeout=30, event="session", is_="ended")    # what was killed does not live on


def test_acc_42_a_port_is_free_when_its_session_is_gone_for_good(reverse):
    t = reverse({RELAY: echo})
    wait_open(t, RELAY)
    t.near.stop()
    until(lambda: not is_open(t), "the end of the port")
    t.start_near()
    wait_open(t, RELAY)
    exchange(dial(t))


def test_acc_42_of_two_who_want_a_port_the_second_waits_until_the_first_has_no_link(reverse, place):
    t = reverse({RELAY: echo})
    wait_open(t, RELAY)
    (place / "second").mkdir()
    with t.joined.near.entered():
        other = t.origin(lambda conn: conn.sendall(b"the second"), "127.0.0.1")
    second = t.start(
        f"state: {place}/second\nlimits: {{drain_s: 1}}\ninbounds:\n{relay(other)}outbounds:\n"
        f'  - {{type: tunnel, name: home, server: "{SERVER4}", key: "{KEY}"}}\n', prefix=t.joined.near.prefix)
    until(lambda: "somebody else has this address" in second.text, "a refusal", timeout=30)
    exchange(dial(t))
    t.near.kill()

    def is_second():
        sock = dial(t, timeout=2)
        try:
            return sock.recv(10) == b"the second"
        except OSError:
            return False
    until(is_second, "the port for the second", timeout=60)


def test_acc_42_what_is_not_allowed_is_refused_by_name_at_both_ends(reverse):
    t = reverse({RELAY: echo, 7999: echo}, allow='["127.0.0.1:8001", "0.0.0.0:9000-9010"]')
    wait_open(t, RELAY)
    for program in (t.near, t.far):
        until(lambda: "allow_reverse: ['127.0.0.1:7999']" in program.text, "what to write", timeout=30)
    assert not is_open(t, 7999)


def test_two_processes_with_one_state_folder_do_not_end_each_others_sessions(reverse):
    t = reverse({RELAY: echo})
    wait_open(t, RELAY)
    second = t.start(t.configs["near"].replace(":1080", ":1081").replace(relay(t.servers[RELAY]), ""), prefix=t.joined.near.prefix)
    server = t.serve(echo)
    with t.joined.near.entered():
        until(lambda: client.is_served(("127.0.0.1", 1081), *server.addr), "a way through the second", timeout=30)
    exchange(dial(t))
    assert "ended" not in t.near.text and "ended" not in second.text


def test_reloads_add_and_remove_listeners(reverse, place):
    t = reverse({RELAY: echo, OTHER: echo})
    wait_open(t, RELAY, OTHER)
    kept, lost = dial(t), dial(t, OTHER)
    exchange(kept), exchange(lost)

    def reload(program, file, config):
        (place / file).write_text(complete(config, 1))
        n = program.text.count(MADE)
        program.send_signal(signal.SIGHUP)
        until(lambda: program.text.count(MADE) > n, "the reload")
    without = t.configs["near"].replace(relay(t.servers[OTHER], OTHER), "")
    reload(t.near, "config-1.yaml", without)
    until(lambda: not is_open(t, OTHER), "the end of the port")
    exchange(kept), exchange(lost)
    reload(t.near, "config-1.yaml", t.configs["near"])
    wait_open(t, OTHER)
    reload(t.far, "config-0.yaml", t.configs["far"].replace("[8000-8010]", f"[{RELAY}]"))
    until(lambda: not is_open(t, OTHER), "the end of what is allowed no more")
    wait_listener(t.near, OTHER, "refused")
    exchange(kept), exchange(lost)


@pytest.mark.parametrize("has_stream", [False, True])
def test_what_is_taken_away_and_brought_back_while_the_far_end_is_busy_is_listened_for_again(reverse, place, has_stream):
    """By the session that takes the place of the one that ends; or by the same, where that goes on with a connection."""
    t = reverse({RELAY: echo})
    wait_open(t, RELAY)
    with_it = t.configs["near"]
    without = "".join(line for line in with_it.splitlines(keepends=True) if "home" not in line) + "  - {type: direct, name: out}\n"
    sock = dial(t)
    exchange(sock)
    if not has_stream:
        sock.close()
        time.sleep(0.3)    # until both know that it is over
    t.far.send_signal(signal.SIGSTOP)
    for config in without, with_it:
        (place / "config-1.yaml").write_text(complete(config, 1))
        n = t.near.text.count(MADE)
        t.near.send_signal(signal.SIGHUP)
        until(lambda: t.near.text.count(MADE) > n, "the reload")
    t.far.send_signal(signal.SIGCONT)
    wait_listener(t.near, RELAY, "listening", 2)
    exchange(dial(t))
    if has_stream:
        exchange(sock)
    assert not t.near.records(event="listener", is_="refused") and not t.far.records(event="listener", is_="refused")
