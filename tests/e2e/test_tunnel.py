"""What a tunnel carries: a near and a far end, each in a network of its own."""

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from harness import client, proc
from harness.bed import burst, patient_echo
from harness.beside import in_thread
from harness.binary import SANITIZER, SLOWNESS
from harness.namespaces import FAR4
from harness.origin import answer_after_end, echo, http_page, reset, send_until_stuck, speak_first, swallow
from harness.pattern import receive_end, receive_pattern, send_and_end, send_pattern
from harness.tunnel import KEY, PORT, SERVER6, Transfer, two_way
from harness.wait import until

N_AT_ONCE = 1000 if os.environ.get("SOCKEYE_BACKEND") == "poll" else 4000    # poll() asks about every one of them each time
SMALL_BUFFER = "4096 16384 65536"
STUCK_BYTES = 110_000    # more than what the kernel takes for a target that reads nothing (more than 60,000, less than 66,000), and less than with a stream's first window
RELAY = '  - {type: relay, name: fixed, listen: "127.0.0.1:1081"}\n'


@pytest.mark.parametrize("carrier", ["ipv4", "ipv6"])
def test_acc_01_100_mb_make_a_round_trip_to_a_fixed_target(tunnel, carrier):
    host, near = ("127.0.0.1", {}) if carrier == "ipv4" else ("::1", {"server": f'"{SERVER6}"'})
    target = "127.0.0.1:2000" if carrier == "ipv4" else "[::1]:2000"
    t = tunnel(near=near, far={"target": f'"{target}"'}, near_more=RELAY)
    with t.joined.far.entered():
        t.origin(echo, host, 2000)
    sock, n = t.dial(1081), 100_000_000
    join = in_thread(send_and_end, sock, n)
    receive_pattern(sock, n)
    receive_end(sock)
    join()


def test_acc_03_a_target_that_speaks_first_is_heard(tunnel):
    t = tunnel()
    for protocol in ("socks5", "socks4", "http"):
        sock = t.connect(t.serve(speak_first(100_000)), protocol)
        receive_pattern(sock, 100_000)
        receive_end(sock)


def test_acc_09_a_large_message_arrives_whole(tunnel):
    t = tunnel()
    n = 3_000_000
    server = t.serve(answer_after_end(n, 65_537))
    sock = t.connect(server)
    send_and_end(sock, n)
    receive_pattern(sock, 65_537, seed=1)
    receive_end(sock)
    server.result()


class Short:
    """A server of one byte for each connection, as cheap as it gets."""

    def __init__(self, t):
        with t.joined.far.entered():
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.addr = self.listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn:
                conn.sendall(b"x")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def open_and_close(t, server, n):
    with t.joined.near.entered():
        for _ in range(n):
            with client.dial(("127.0.0.1", 1080), timeout=30) as sock:
                assert client.socks5_at_once(sock, *server.addr).code == 0
                assert sock.recv(2) == b"x"
                assert sock.recv(1) == b""


def test_acc_10_70000_streams_one_after_the_other_leak_nothing(tunnel):
    """Fewer under a sanitizer, which has its own way of finding leaks; there are 65,536 places for ids beyond those that are closed."""
    t = tunnel()
    server, ends = Short(t), (lambda: (t.near, t.far))
    n_first, n_more = (4000, 66_000) if SLOWNESS == 1 else (300, 700)

    def serve_many(n):
        joins = [in_thread(open_and_close, t, server, n // 4) for _ in range(4)]
        for join in joins:
            join(600)
    serve_many(n_first)
    before = [(proc.rss_bytes(end.pid), end.n_descriptors()) for end in ends()]
    serve_many(n_more)
    for end, (rss, n_fds) in zip(ends(), before):
        end.wait_descriptors(n_fds + 4)
        assert SLOWNESS > 1 or proc.rss_bytes(end.pid) < rss * 1.1 + (1 << 20)
    assert len(t.carriers()) == 1
    server.close()


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer's memory is not the program's")
def test_the_memory_of_both_ends_is_given_back_after_a_burst(tunnel):
    """Back to within 10% and 1 MiB of what it was after a first hundred."""
    t = tunnel(near_limits="handshake_ms: 120000")    # all connect before the first one has its handshake
    server, ends = t.serve(patient_echo), (t.near, t.far)

    def come_and_go(n):
        burst(t.dial, server, n)
        for end in ends:
            until(lambda: len(proc.tcp(end.pid, "established")) <= 1, "the end of the burst", timeout=60)
    come_and_go(100)
    before = [proc.rss_bytes(end.pid) for end in ends]
    come_and_go(N_AT_ONCE)
    for end, rss in zip(ends, before):
        until(lambda: proc.rss_bytes(end.pid) < rss * 1.1 + (1 << 20), "the memory to be given back", timeout=60)


def test_acc_11_a_stalled_stream_blocks_no_other_and_grows_no_memory(tunnel):
    t = tunnel(near={"stream_window": "1M"})
    stalled_down = t.connect(t.serve(send_until_stuck))
    stalled_down.sendall(b"x")
    until_stuck = threading.Event()

    def never_read(conn):
        until_stuck.wait(60 * SLOWNESS)
    stalled_up = t.connect(t.serve(never_read))
    stalled_up.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:
            stalled_up.send(bytes(1 << 16))
    server = t.serve(two_way)
    before = [proc.rss_bytes(end.pid) for end in (t.near, t.far)]
    for i in range(3):
        Transfer(t.connect(server), 10_000_000, 10_000_000, i).end(60 * SLOWNESS)
    after = [proc.rss_bytes(end.pid) for end in (t.near, t.far)]
    assert SLOWNESS > 1 or all(b < a + (24 << 20) for a, b in zip(before, after)), (before, after)
    until_stuck.set()


def test_clients_that_do_not_read_lose_nothing_where_memory_is_scarce(tunnel):
    """What may be under way to an end has room there: a stream for which there is none would be reset."""
    t = tunnel(near_limits="memory_mb: 4")
    server = t.serve(send_until_stuck)
    socks = [t.connect(server, timeout=120) for _ in range(16)]
    for _ in socks:
        server.result(timeout=60)
    for sock in socks:
        assert client.receive_all(sock)


def test_servers_that_do_not_read_lose_nothing_where_memory_is_scarce(tunnel):
    t = tunnel(far_limits="memory_mb: 4")
    all_is_sent = threading.Event()

    def read_late(conn):
        all_is_sent.wait(120 * SLOWNESS)
        return client.receive_all(conn)
    server = t.serve(read_late)
    socks = [t.connect(server, timeout=120) for _ in range(16)]
    for sock in socks:
        send_until_stuck(sock)
    all_is_sent.set()
    for sock in socks:
        sock.shutdown(socket.SHUT_WR)
    for _ in socks:
        assert server.result(timeout=60)


@pytest.mark.parametrize("protocol,refused,denied", [("socks5", 5, 2), ("socks4", 91, 91), ("http", 502, 403)])
def test_acc_12_the_near_end_tells_what_the_far_end_met(tunnel, protocol, refused, denied):
    t = tunnel(far={"deny_targets": '["192.0.2.0/24"]'})
    assert client.open_flow(t.dial(), protocol, "127.0.0.1", 9) == refused
    assert client.open_flow(t.dial(), protocol, "192.0.2.7", 80) == denied
    assert client.open_flow(t.dial(), protocol, FAR4, PORT) == denied, "the far end's own listener"


def test_acc_12_lookup_and_network_failures_have_their_codes_through_the_tunnel(tunnel):
    t = tunnel()
    assert client.socks5(t.dial(), "198.51.100.1", 80).code == 3, "no route there"
    assert client.socks5(t.dial(), "nobody.invalid", 80).code == 4


def test_acc_36_targets_of_each_kind_and_the_true_bound_address(tunnel, place):
    t = tunnel()
    six = t.serve(echo, "::1")
    for server, host in ((t.serve(echo), "127.0.0.1"), (six, "::1"), (t.serve(echo), "localhost")):
        sock = t.dial()
        reply = client.socks5(sock, host, server.port)
        assert reply.code == 0
        send_pattern(sock, 1000)
        receive_pattern(sock, 1000)
        server.wait_for_clients(1)
        assert (reply.host, reply.port) == server.clients[0], "the address by which the far end reached the target"


def test_acc_36_what_a_tunnel_cannot_do_has_its_code(tunnel):
    t = tunnel()
    assert client.socks5(t.dial(), "127.0.0.1", 80, command=client.BIND).code == 7
    assert client.socks5(t.dial(), "127.0.0.1", 80, command=9).code == 7


def test_acc_47_an_end_reaches_the_other_side_and_the_rest_still_comes(tunnel):
    t = tunnel()
    server = t.serve(answer_after_end(200_000, 300_000))
    sock = t.connect(server)
    send_and_end(sock, 200_000)
    receive_pattern(sock, 300_000, seed=1)
    receive_end(sock)
    server.result()


def test_acc_47_the_target_may_end_first(tunnel):
    def handler(conn):
        send_and_end(conn, 1000)
        receive_pattern(conn, 200_000, seed=1)
        receive_end(conn)
    t = tunnel()
    server = t.serve(handler)
    sock = t.connect(server)
    receive_pattern(sock, 1000)
    receive_end(sock)
    send_pattern(sock, 200_000, seed=1)
    sock.shutdown(socket.SHUT_WR)
    server.result()


@pytest.mark.parametrize("who", ["client", "target"])
def test_acc_47_a_reset_reaches_the_other_side_as_a_reset(tunnel, who):
    t, has_come = tunnel(), threading.Event()

    def handler(conn):
        conn.recv(1)
        has_come.set()
        if who == "target":
            reset(conn)
        else:
            conn.recv(1)
    server = t.serve(handler)
    sock = t.connect(server)
    sock.sendall(b"x")
    if who == "client":
        assert has_come.wait(10 * SLOWNESS)
        reset(sock)
        with pytest.raises(ConnectionResetError):
            server.result()
    else:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_a_target_that_has_ended_and_reads_no_more_is_given_up_when_the_near_end_is_through_with_it(tunnel):
    """The near end's idle times are over then: all that its client sent is on its way."""
    gone = threading.Event()

    def end_and_stop(conn):
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        conn.shutdown(socket.SHUT_WR)
        gone.wait(60)
    t = tunnel(far_limits="idle_ms: 1000")
    for buffers in ("wmem", "rmem"):
        t.joined.far.write(f"net/ipv4/tcp_{buffers}", SMALL_BUFFER)
    sock = t.connect(t.serve(end_and_stop))
    receive_end(sock)
    sock.sendall(bytes(STUCK_BYTES))
    sock.shutdown(socket.SHUT_WR)
    t.near.wait_record(event="flow", end="closed", up=STUCK_BYTES)
    t.far.wait_record(event="flow", end="idle")
    gone.set()


def test_a_killed_client_does_not_look_like_an_end_to_the_target(tunnel):
    """Nothing that was cut off may look complete."""
    t = tunnel()
    server = t.serve(swallow)
    sock = t.connect(server)
    sock.sendall(bytes(100_000))
    server.wait_for_clients(1)
    reset(sock)
    with pytest.raises(ConnectionResetError):
        server.result()


def test_many_streams_up_and_down_at_once_share_one_carrier(tunnel):
    t = tunnel()
    server = t.serve(two_way)
    transfers = [Transfer(t.connect(server), 2_000_000, 2_000_000, i) for i in range(32)]
    assert len(t.carriers()) == 1
    for transfer in transfers:
        transfer.end(90 * SLOWNESS)


@pytest.mark.workers
def test_several_workers_share_one_session(tunnel):
    t = tunnel()
    server = t.serve(two_way)
    transfers = [Transfer(t.connect(server), 300_000, 300_000, i) for i in range(24)]
    for transfer in transfers:
        transfer.end(90 * SLOWNESS)
    assert len(t.carriers()) == 1


@pytest.mark.parametrize("n_bytes", [16, 24, 32])
def test_acc_77_keys_of_each_length_carry_data(tunnel, n_bytes, cli):
    key = cli("keygen", "--bits", n_bytes * 8).out.strip()
    t = tunnel(near={"key": f'"{key}"'}, far={"key": f'"{key}"'}, private_state=True)
    Transfer(t.connect(t.serve(two_way)), 500_000, 500_000, 1).end(60 * SLOWNESS)


@pytest.mark.parametrize("n_bytes", [16, 32])
def test_acc_88_a_tunnel_works_without_instructions_for_aes(tunnel, cli, n_bytes):
    """With 32 bytes it takes ChaCha20 then (tests/unit/test_hardware.c), with 16 it has no choice."""
    key = cli("keygen", "--bits", n_bytes * 8).out.strip()
    t = tunnel(near={"key": f'"{key}"'}, far={"key": f'"{key}"'}, private_state=True,
               env={"OPENSSL_ia32cap": "~0x200000200000000"})
    assert "OPENSSL_ia32cap" in Path(f"/proc/{t.near.pid}/environ").read_text()
    Transfer(t.connect(t.serve(two_way)), 500_000, 500_000, 1).end(60 * SLOWNESS)


def test_acc_79_both_halves_and_two_tunnels_in_one_process(sockeye, origin, dial, place):
    program = sockeye(f"""
state: {place}
inbounds:
  - {{type: socks, name: one, listen: "127.0.0.1:0", outbound: first}}
  - {{type: socks, name: two, listen: "127.0.0.1:0", outbound: second}}
  - {{type: tunnel, name: far-one, listen: "127.0.0.1:4201", key: "{KEY}", outbound: direct, allow_targets: ["127.0.0.0/8"]}}
  - {{type: tunnel, name: far-two, listen: "127.0.0.1:4202", key: "AAECAwQFBgcICQoLDA0ODw==", outbound: direct, allow_targets: ["127.0.0.0/8"]}}
outbounds:
  - {{type: tunnel, name: first, server: "127.0.0.1:4201", key: "{KEY}"}}
  - {{type: tunnel, name: second, server: "127.0.0.1:4202", key: "AAECAwQFBgcICQoLDA0ODw=="}}
""")
    server = origin(http_page(b"page"))
    for name in ("one", "two"):
        sock = dial(program.addr(name), timeout=30)
        assert client.socks5(sock, *server.addr).code == 0
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.receive_all(sock).endswith(b"page")


def test_a_state_that_cannot_be_kept_is_said_at_the_start_and_by_a_reload(sockeye, place):
    (place / "file").touch()
    program = sockeye(f"""
state: {place}/file
inbounds:
  - {{type: tunnel, name: far, listen: "127.0.0.1:0", key: "{KEY}"}}
  - {{type: relay, name: shown, listen_via: home, listen: 8001, target: "127.0.0.1:1"}}
outbounds: [{{type: tunnel, name: home, server: "127.0.0.1:1", key: "{KEY}"}}]
""")
    said = rf" warn in=far: which packets have come .* {place}/file/replay-.*\n.* warn in=shown: after a restart "
    program.wait_text(said)
    program.send_signal(signal.SIGHUP)
    program.wait_text(rf"{said}(.*\n)*.*{said}")


def test_acc_79_a_near_end_that_starts_first_waits_for_the_far_end(tunnel):
    t = tunnel(wait=False, near_limits="connect_ms: 60000")
    t.start_near()
    sock = t.dial(timeout=60)
    with t.joined.far.entered():
        server = t.origin(echo)
    sock.sendall(b"\x05\x01\x00" + client.socks5_request(*server.addr))
    assert client.receive_exactly(sock, 2) == b"\x05\x00"
    t.start_far()
    assert client.receive_socks5_reply(sock).code == 0
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)


def test_a_tunnel_that_is_down_has_its_answers(tunnel):
    """After connect_ms: SOCKS5 1, SOCKS4 91, HTTP 504 with the outbound's name."""
    t = tunnel(wait=False, near_limits="connect_ms: 500")
    t.start_near()
    assert client.socks5(t.dial(), "127.0.0.1", 80).code == 1
    assert client.socks4(t.dial(), "127.0.0.1", 80) == 91
    reply = client.http_connect(t.dial(), "127.0.0.1", 80)
    assert reply.status == 504 and "home" in reply.body


def test_the_far_ends_log_has_what_went_through(tunnel):
    t = tunnel()
    server = t.serve(echo)
    sock = t.connect(server)
    here = sock.getsockname()
    send_pattern(sock, 5000)
    receive_pattern(sock, 5000)
    sock.close()
    near = t.near.wait_record(event="flow", to=f"127.0.0.1:{server.port}", up=5000)
    far = t.far.wait_record(event="flow", to=f"127.0.0.1:{server.port}", up=5000)
    assert near["out"] == "home" and near["down"] == far["down"] == "5000" and far["in"] == "far"
    assert near["from"] == f"127.0.0.1:{here[1]}"


def test_no_key_and_no_payload_is_in_any_log(tunnel):
    t = tunnel(near_more="log: {level: trace}\n", far_more="log: {level: trace}\n")
    sock = t.connect(t.serve(echo))
    sock.sendall(b"a-secret-message")
    assert client.receive_exactly(sock, 16) == b"a-secret-message"
    sock.close()
    for end in (t.near, t.far):
        for secret in (KEY, "known key", "a-secret-message", KEY.encode().hex()):
            assert secret not in end.text


def test_the_memory_of_a_process_with_keys_is_not_in_its_core_dumps(tunnel, sockeye):
    def filter_of(program):
        return int(Path(f"/proc/{program.pid}/coredump_filter").read_text(), 16)

    t = tunnel()
    assert filter_of(t.near) == filter_of(t.far) == 0
    assert filter_of(sockeye(argv=["socks", "-p", "0"])) != 0


def test_who_has_no_tunnel_does_not_pay_for_its_library(tunnel, sockeye):
    def has_libcrypto(program):
        return "/libcrypto.so" in Path(f"/proc/{program.pid}/maps").read_text()

    t = tunnel()
    assert has_libcrypto(t.near) and has_libcrypto(t.far)
    assert not has_libcrypto(sockeye(argv=["socks", "-p", "0"]))
