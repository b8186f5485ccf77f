"""Carriers are lost in every way there is, and what goes through the tunnel comes whole, or is seen to be cut off."""

import random
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import network
from harness.beside import in_thread
from harness.binary import SLOWNESS
from harness.losses import WAYS, forgotten, forgotten_for_ever, killed_here, killed_there, moved, reset_between, silence
from harness.namespaces import FAR4, MOVED4
from harness.origin import echo, speak_first, swallow
from harness.pattern import exchange, receive_end, receive_pattern, send_and_end, send_pattern
from harness.tunnel import PORT, SOCKS_PORT, Traffic, Transfer, two_way
from harness.wait import Stopwatch, until


@pytest.mark.parametrize("way", [killed_here, killed_there, silence, moved])
def test_an_idle_stream_survives_the_loss_of_its_carrier(tunnel, way):
    t = tunnel()
    sock = t.connect(t.serve(echo), timeout=60)
    exchange(sock)
    way(t)
    exchange(sock, seed=1)
    exchange(sock, seed=2)


@pytest.mark.parametrize("way", [reset_between, forgotten_for_ever])
def test_what_was_said_on_a_carrier_that_is_dead_already_comes_by_the_next(tunnel, way):
    t = tunnel()
    sock, over = t.connect(t.serve(echo), timeout=60), threading.Event()

    def lose():
        try:
            way(t)
        finally:
            over.set()
    join = in_thread(lose)
    seed = 0
    while not over.is_set():    # nobody finds out before something is said
        seed += 1
        exchange(sock, seed)
        time.sleep(0.02)
    join()
    exchange(sock)


@pytest.mark.workers
def test_acc_63_transfers_survive_20_losses_of_all_carriers(tunnel):
    """Up and down at once over 16 streams; half a gigabyte, less under a sanitizer."""
    n = (16 << 20) // SLOWNESS
    t = tunnel(near={"keepalive_s": 1})
    traffic = Traffic(t, 16, n, timeout=90)
    rng = random.Random(63)
    ways = [*WAYS, *rng.choices([killed_here, killed_there, reset_between, moved], k=14)]
    rng.shuffle(ways)
    for way in ways:
        traffic.wait_more(16 * n // (len(ways) + 1))
        way(t)
    traffic.end()


@pytest.mark.parametrize("way", WAYS)
def test_acc_63_a_transfer_survives_each_way_again_and_again(tunnel, way):
    t = tunnel(near={"keepalive_s": 1})    # which finds out what is lost behind the transfer's end, should that be so quick
    n = 48 << 20
    transfer = Transfer(t.connect(t.serve(two_way)), n, n, 3)
    for i in range(2):
        until(lambda: transfer.n_received > n * (i + 1) // 4 or transfer.error, "half of it", timeout=60)
        way(t)
    transfer.end(90 * SLOWNESS)


def test_acc_45_no_answer_on_a_new_stream_finds_a_dead_carrier(tunnel):
    """The carrier died while nothing was said on it; whoever opens a stream waits for a check, and not for a time-out of TCP."""
    t = tunnel(near={"keepalive_s": 0})
    server, old = t.serve(echo), t.carriers()
    with forgotten(t):
        watch = Stopwatch()
        sock = t.connect(server)
        exchange(sock)
        assert watch.s < 4 * SLOWNESS, "a second for the check, and a handshake"
    assert t.carriers() - old


def test_acc_45_a_far_end_that_is_away_is_asked_less_and_less_often(tunnel):
    t = tunnel()
    t.connect(t.serve(echo))
    t.far.kill()
    attempts = []
    with t.joined.far.entered():
        closes_at_once = t.origin(lambda conn: attempts.append(time.monotonic()), FAR4, PORT)
    time.sleep(6)
    until(lambda: len(attempts) >= 2, "two attempts", timeout=30)
    closes_at_once.close()
    in_6_s = [at for at in attempts if at < attempts[0] + 6]
    assert len(in_6_s) <= 20, "it hammers"
    t.start_far()
    t.wait_linked()


def test_acc_07_an_end_without_a_close_is_told_from_a_clean_one(tunnel):
    t = tunnel()
    killed_here(t)
    t.wait_linked()
    t.far.wait_text(r"warn .*(tunnel|link|session).*")
    n = len(t.far.records(level="warn"))
    t.near.stop()
    until(lambda: not t.joined.far.connections(PORT), "the end of all carriers")
    assert len(t.far.records(level="warn")) == n, "SIGTERM is a clean end"


@pytest.mark.workers
def test_a_far_end_that_was_restarted_resets_the_streams_it_does_not_know(tunnel):
    """Whichever of its workers it finds out."""
    t = tunnel()
    server = t.serve(swallow)
    socks = [t.connect(server) for _ in range(8)]
    for sock in socks:
        sock.sendall(b"x" * 1000)
    t.far.kill()
    t.start_far()
    for sock in socks:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    exchange(t.connect(t.serve(echo)))


def test_who_connects_while_the_far_end_is_down_is_served_when_it_has_started_again(tunnel):
    """It was never told of them, so nothing is lost with the session that it has forgotten."""
    t = tunnel()
    server, lost = t.serve(echo), t.connect(t.serve(swallow))
    t.far.kill()
    until(lambda: not t.carriers(), "the end of the carriers")
    joins = [in_thread(lambda: exchange(t.connect(server, timeout=60))) for _ in range(3)]
    until(lambda: len(t.joined.near.connections(SOCKS_PORT)) >= 4, "connections that wait")
    t.start_far()
    for join in joins:
        join()
    with pytest.raises(ConnectionResetError):
        lost.recv(1)


def test_a_far_end_that_was_killed_in_a_download_never_ends_it_cleanly(tunnel):
    t = tunnel()
    sock = t.connect(t.serve(speak_first(1 << 30)))
    receive_pattern(sock, 1 << 20)
    t.far.kill()
    t.start_far()
    with pytest.raises(ConnectionResetError):
        receive_pattern(sock, 1 << 30, start=1 << 20)
    exchange(t.connect(t.serve(echo)))


@pytest.mark.parametrize("end", ["near", "far"])
def test_an_end_that_stops_resets_what_is_under_way(tunnel, end):
    """SIGTERM: after drain_s the other end's connections get a reset at once, and no clean end."""
    t = tunnel()
    server = t.serve(swallow)
    sock = t.connect(server)
    sock.sendall(b"x")
    server.wait_for_clients(1)
    getattr(t, end).stop(signal.SIGTERM)
    with pytest.raises(ConnectionResetError):
        server.result()
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


@pytest.mark.parametrize("end", ["near", "far"])
def test_an_end_that_stops_delivers_what_it_was_given_whole(tunnel, end):
    """Both sides have said all and ended, a part of it waits for credit while the end is told to stop, and drain_s is long."""
    t = tunnel()
    n = {"near": 10, "far": 10, end: 100_000}
    getattr(t, end).stop()
    t.configs[end] = t.configs[end].replace("drain_s: 1", f"drain_s: {int(30 * SLOWNESS)}")
    getattr(t, f"start_{end}")()
    t.wait_linked()
    other = t.far if end == "near" else t.near

    def handler(conn):
        if end == "near":
            conn.shutdown(socket.SHUT_WR)
            receive_pattern(conn, n["near"])
            receive_end(conn)
        else:
            receive_pattern(conn, n["near"])
            receive_end(conn)
            other.send_signal(signal.SIGSTOP)
            send_pattern(conn, n["far"])

    server = t.serve(handler)
    sock = t.connect(server, timeout=60)
    if end == "near":
        receive_end(sock)
        other.send_signal(signal.SIGSTOP)
    send_and_end(sock, n["near"])
    if end == "far":
        server.result()
    time.sleep(0.2)
    getattr(t, end).send_signal(signal.SIGTERM)
    time.sleep(0.2)
    other.send_signal(signal.SIGCONT)
    getattr(t, end).wait()
    if end == "far":
        receive_pattern(sock, n["far"])
        receive_end(sock)
    else:
        server.result()


def test_a_near_end_that_was_killed_and_started_again_works_at_once(tunnel):
    t = tunnel()
    t.connect(t.serve(swallow)).sendall(b"x")
    t.near.kill()
    t.start_near()
    exchange(t.connect(t.serve(echo)))


def test_a_session_that_had_no_carrier_for_too_long_is_over_at_both_ends(tunnel):
    t = tunnel(near={"keep_s": 2}, far={"keep_s": 2})
    server = t.serve(swallow)
    sock = t.connect(server, timeout=60)
    sock.sendall(b"x")
    server.wait_for_clients(1)
    with t.joined.far.resetting(PORT):
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        with pytest.raises(ConnectionResetError):
            server.result(timeout=30)
    t.wait_linked()


def test_a_moved_near_end_is_seen_at_its_new_address(tunnel):
    t = tunnel()
    sock = t.connect(t.serve(echo), timeout=60)
    exchange(sock)
    moved(t)
    exchange(sock, seed=1)
    until(lambda: any(MOVED4 in here for here, _ in t.carriers()), "a carrier from the new address")


# ssh through it lives through all of it

@pytest.fixture
def ssh(tunnel, place, spawn):
    """A tunnel, and the command of an ssh through it."""
    network.need_root()    # sshd changes its user
    t = tunnel(near={"keepalive_s": 1})
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    (place / "authorized_keys").write_text((place / "client.pub").read_text())
    (place / "sshd_config").write_text(
        f"Port 2022\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized_keys\nStrictModes no\n"
        "UsePAM no\nPermitRootLogin yes\nPidFile none\nPasswordAuthentication no\n")
    subprocess.run(["mkdir", "-p", "/run/sshd"], check=True)
    spawn([*t.joined.far.prefix, "/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd_config"])
    until(lambda: t.is_served(("127.0.0.1", 2022)), "sshd")
    command = [*t.joined.near.prefix, "ssh", "-F", "none", "-i", place / "client", "-p", "2022", "-o", f"UserKnownHostsFile={place}/known",
               "-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
               "-o", f"ProxyCommand=nc -X 5 -x 127.0.0.1:{SOCKS_PORT} %h %p", "root@127.0.0.1", "cat"]
    return t, list(map(str, command))


def test_ssh_lives_through_a_change_of_network(ssh):
    t, command = ssh
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        def say(text):
            process.stdin.write(text)
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 20 * SLOWNESS)[0], "no answer"
            assert process.stdout.readline() == text
        say(b"before\n")
        moved(t)
        say(b"after it has moved\n")
        killed_there(t)
        say(b"after its connection was killed\n")
        process.stdin.close()
        assert process.stdout.read() == b"" and process.wait(30 * SLOWNESS) == 0


def test_a_line_that_loses_and_reorders_carries_every_byte(tunnel):
    t = tunnel(joined="line")
    t.joined.set(delay_ms=10, rate_mbit=100, queue_kb=200, loss=0.01, reorder=0.05, reorder_ms=5)
    server = t.serve(two_way)
    transfers = [Transfer(t.connect(server, timeout=60), 1 << 20, 1 << 20, i) for i in range(4)]
    time.sleep(0.5)
    with t.joined.frozen("up"):
        time.sleep(2)
    for transfer in transfers:
        transfer.end(120 * SLOWNESS)
