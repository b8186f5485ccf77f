"""The process: draining, signals, log files, ports, and the rights it keeps."""

import os
import pwd
import re
import signal
import socket
import threading

import pytest

from configs import inbound
from harness import network, proc
from harness.binary import SANITIZER, SLOWNESS
from harness.client import BIND, UDP_ASSOCIATE, dial as connect, receive_exactly, socks5, socks5_greet
from harness.origin import echo, speak_first
from harness.pattern import receive_end, receive_pattern
from harness.program import complete, no_leak_check
from harness.sandbox import NOBODY, as_user, with_private, without_capability
from harness.wait import Stopwatch, until

MB = 1 << 20
CAP_NET_BIND_SERVICE = 1 << 10


def is_refused(addr):
    """Whether nobody listens there any more."""
    with socket.socket() as sock:
        return sock.connect_ex(addr) != 0


@pytest.fixture
def half_done(origin, dial):
    """Makes a flow that is halfway through a transfer: half_done(proxy) -> finish(), which checks the rest."""
    def start(proxy):
        go_on = threading.Event()

        def handler(conn):
            conn.sendall(bytes(1000))
            go_on.wait(30)
            speak_first(4 * MB)(conn)
        server = origin(handler)
        sock = dial(proxy.addr())
        assert socks5(sock, *server.addr).code == 0
        receive_exactly(sock, 1000)

        def finish():
            go_on.set()
            receive_pattern(sock, 4 * MB)
            receive_end(sock)
            sock.close()
        return finish
    return start


@pytest.mark.workers
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_drain_lets_a_running_transfer_finish_and_ends_with_0(sockeye, half_done, number):
    proxy = sockeye(inbound() + "limits: {drain_s: 20}")
    finish = half_done(proxy)
    proxy.send_signal(number)
    until(lambda: is_refused(proxy.addr()), "the listener to close")
    assert proxy.process.poll() is None
    finish()
    watch = Stopwatch()
    assert proxy.wait() == 0
    assert watch.s < 15, "it ends when the last flow has, not when drain_s is over"


def test_drain_cuts_what_is_left_after_drain_s(sockeye, origin, dial):
    proxy, server = sockeye(inbound() + "limits: {drain_s: 1}"), origin(echo)
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr).code == 0
    watch = Stopwatch()
    proxy.send_signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert 0.9 < watch.s < 15 * SLOWNESS
    assert proxy.wait_record(event="flow")["end"] == "shutdown"
    with pytest.raises(ConnectionResetError):
        assert sock.recv(1) != b"", "a cut flow must not look complete"


def test_drain_outlasts_drain_s_for_no_handshake(sockeye, dial):
    proxy = sockeye(inbound() + "limits: {drain_s: 1, handshake_ms: 60000}")
    socks5_greet(dial(proxy.addr()))
    dial(proxy.addr())
    proxy.send_signal(signal.SIGTERM)
    watch = Stopwatch()
    assert proxy.wait() == 0
    assert watch.s < 15 * SLOWNESS


@pytest.mark.workers
def test_a_second_signal_ends_at_once(sockeye, half_done):
    proxy = sockeye(inbound() + "limits: {drain_s: 30}")
    half_done(proxy)
    proxy.send_signal(signal.SIGTERM)
    until(lambda: is_refused(proxy.addr()), "the first signal to be acted on")
    proxy.send_signal(signal.SIGTERM)
    watch = Stopwatch()
    assert proxy.wait() == 0
    assert watch.s < 15


def test_sigterm_right_after_the_start(sockeye):
    proxy = sockeye(inbound())
    proxy.send_signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_sighup_without_a_log_file_ends_nothing(sockeye, origin, dial):
    proxy, server = sockeye(inbound()), origin(echo)
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr).code == 0
    for _ in range(5):
        proxy.send_signal(signal.SIGHUP)
        sock.sendall(b"still there")
        assert receive_exactly(sock, 11) == b"still there"
        one_flow(proxy, server)


# Log files

def one_flow(proxy, server):
    with connect(proxy.addr()) as sock:
        assert socks5(sock, *server.addr).code == 0


def n_flow_lines(path):
    return path.read_text().count(" info flow ") if path.exists() else 0


def test_sighup_reopens_a_log_file_that_was_renamed(sockeye, origin, place):
    log, server = place / "sockeye.log", origin(echo)
    proxy = sockeye(inbound() + f"log: {{to: {log}}}")
    one_flow(proxy, server)
    until(lambda: n_flow_lines(log) == 1, "the line in the file")
    log.rename(place / "sockeye.log.1")
    one_flow(proxy, server)
    until(lambda: n_flow_lines(place / "sockeye.log.1") == 2, "the old descriptor to be used until SIGHUP")
    proxy.send_signal(signal.SIGHUP)
    until(log.exists, "the new file")
    one_flow(proxy, server)
    until(lambda: n_flow_lines(log) == 1, "the line in the new file")
    assert n_flow_lines(place / "sockeye.log.1") == 2
    assert not proxy.records(event="flow"), "access lines go to the file alone"


def test_sighup_keeps_the_old_log_where_a_new_one_cannot_be_opened(sockeye, origin, place):
    (place / "logs").mkdir()
    log, server = place / "logs/sockeye.log", origin(echo)
    proxy = sockeye(inbound() + f"log: {{to: {log}}}")
    (place / "logs").rename(place / "elsewhere")
    proxy.send_signal(signal.SIGHUP)
    moved = place / "elsewhere/sockeye.log"
    until(lambda: re.search(r" (warn|error) .*sockeye\.log", moved.read_text()), "a line about the log")
    one_flow(proxy, server)
    until(lambda: n_flow_lines(moved) == 1, "the flow's line in the old file")


def test_a_log_file_is_appended_to_and_not_readable_by_all(sockeye, origin, place):
    log, server = place / "sockeye.log", origin(echo)
    first = sockeye(inbound() + f"log: {{to: {log}}}")
    one_flow(first, server)
    first.stop()
    one_flow(sockeye(inbound() + f"log: {{to: {log}}}"), server)
    until(lambda: n_flow_lines(log) == 2, "both lines")
    assert log.stat().st_mode & 0o007 == 0


def test_a_log_file_that_cannot_be_opened_ends_the_start(cli, place):
    (place / "c.yaml").write_text(complete(inbound() + f"log: {{to: {place}/missing/sockeye.log}}", 1))
    result = cli("run", "-c", place / "c.yaml")
    assert result.code in (73, 77, 78) and f"{place}/missing/sockeye.log" in result.err and "ready" not in result.err


# Ports

def test_a_port_that_is_taken_ends_with_69_and_says_which(sockeye, cli, place, origin):
    holder = origin(echo)
    assert_taken(cli, place, holder.port)
    assert_taken(cli, place, sockeye(inbound()).port)


def test_a_port_that_another_process_would_share_is_taken_all_the_same(sockeye, cli, place):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        assert_taken(cli, place, sock.getsockname()[1])
    other = sockeye(inbound(reuse_port="true"))
    assert_taken(cli, place, other.port)


def assert_taken(cli, place, port):
    file = place / "taken.yaml"
    file.write_text(complete(inbound(listen=f'"127.0.0.1:{port}"'), 2))
    result = cli("run", "-c", file)
    assert result.code == 69 and f"127.0.0.1:{port}" in result.err and "sockeye: ready" not in result.err


def test_a_port_just_left_can_be_taken_again_at_once(sockeye, origin, dial):
    """Connections of the old process are still in TIME_WAIT."""
    server = origin(speak_first(10))
    first = sockeye(inbound())
    one_flow(first, server)
    sock = dial(first.addr())
    assert socks5(sock, *server.addr).code == 0
    first.stop()
    one_flow(sockeye(inbound(listen=f'"127.0.0.1:{first.port}"')), server)


def test_an_address_that_the_machine_lacks_ends_with_69(cli, place):
    (place / "c.yaml").write_text(complete(inbound(listen='"203.0.113.77:1080"', allow='["*"]'), 1))
    result = cli("run", "-c", place / "c.yaml")
    assert result.code == 69 and "203.0.113.77:1080" in result.err


def test_a_family_that_the_machine_lacks_is_skipped_with_a_warning(sockeye):
    network.need_own_network()
    without = ["unshare", "--net", "sh", "-c",
               'ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && exec "$@"', "sh"]
    proxy = sockeye(inbound(listen="0"), prefix=without)
    assert [listener.host for listener in proxy.listeners] == ["127.0.0.1"]
    assert re.search(r"warn.*(IPv6|::1)", proxy.text)


# Rights

def capabilities(pid):
    return {int(proc.status(pid)[name], 16) for name in ("CapEff", "CapPrm")}


@pytest.mark.parametrize("port,kept", [(0, 0), (999, CAP_NET_BIND_SERVICE)])
def test_acc_55_root_ends_as_nobody_with_the_rights_it_needs(sockeye, origin, dial, port, kept):
    network.need_own_network()
    server = origin(echo)
    proxy = sockeye(inbound(listen=f'"127.0.0.1:{port}"') + "user: nobody", env=no_leak_check())
    status = proc.status(proxy.pid)
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4 and status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() in ([], [str(nobody.pw_gid)])
    assert capabilities(proxy.pid) == {kept}
    for task in os.listdir(f"/proc/{proxy.pid}/task"):
        assert proc.status(task)["Uid"].split() == [str(nobody.pw_uid)] * 4
    one_flow(proxy, server)
    # A log line can still be written, names still be looked up.
    assert proxy.wait_record(event="flow")["end"] == "closed"


@pytest.mark.parametrize("key,command", [("udp", UDP_ASSOCIATE), ("bind", BIND)])
def test_acc_55_low_ports_for_datagrams_and_bind_are_had_as_nobody(sockeye, dial, key, command):
    network.need_own_network()
    keys = {key: '{enabled: true, ports: "990-999"}'}
    proxy = sockeye(inbound(**keys) + "user: nobody", env=no_leak_check())
    reply = socks5(dial(proxy.addr()), "127.0.0.1", 0, command=command)
    assert reply.code == 0 and 990 <= reply.port <= 999


@pytest.mark.workers
def test_acc_55_every_thread_has_given_up_root(sockeye, origin):
    network.need_root()
    server = origin(echo)
    proxy = sockeye(inbound() + "user: nobody", env=no_leak_check())
    for task in os.listdir(f"/proc/{proxy.pid}/task"):
        status = proc.status(task)
        assert status["Uid"].split() == [str(NOBODY)] * 4 and int(status["CapEff"], 16) == 0
    one_flow(proxy, server)


def test_acc_55_user_is_nobody_unless_said(place, sockeye):
    network.need_root()
    (place / "c.yaml").write_text(inbound())
    proxy = sockeye(argv=["run", "-c", place / "c.yaml"], env=no_leak_check())
    assert proc.status(proxy.pid)["Uid"].split() == [str(NOBODY)] * 4


def test_acc_55_an_empty_user_stays_root(sockeye):
    network.need_root()
    assert proc.status(sockeye(inbound() + "user: ''").pid)["Uid"].split() == ["0"] * 4


def test_acc_55_an_unknown_user_is_refused(cli, place):
    network.need_root()
    (place / "c.yaml").write_text(inbound() + "user: no-such-user\n")
    result = cli("run", "-c", place / "c.yaml")
    assert result.code in (77, 78) and "no-such-user" in result.err


def test_acc_55_root_without_the_right_to_change_its_user_is_told_the_remedy(cli, place):
    network.need_root()
    (place / "c.yaml").write_text(inbound())
    result = cli("run", "-c", place / "c.yaml", prefix=without_capability("setuid"))
    assert result.code == 77 and re.search(r"user: ('')|(\"\")", result.err)


@pytest.mark.workers
def test_acc_80_everything_but_low_ports_runs_unprivileged(sockeye, origin, place):
    network.need_root()
    server = origin(echo)
    (place / "c.yaml").write_text(inbound() + "workers: 4\n")
    own = place / "run"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    env = {**no_leak_check(), "XDG_RUNTIME_DIR": str(own)}
    proxy = sockeye(argv=["run", "-c", place / "c.yaml"], prefix=as_user(), env=env)
    assert proc.status(proxy.pid)["Uid"].split() == [str(NOBODY)] * 4
    one_flow(proxy, server)
    proxy.wait_record(event="flow")
    assert not [r for r in proxy.log if r["level"] in ("warn", "error")], proxy.text


def test_acc_80_a_low_port_without_the_right_ends_with_77_and_says_what_to_do(cli, place):
    network.need_own_network()
    (place / "c.yaml").write_text(complete(inbound(listen='"127.0.0.1:999"'), 1))
    result = cli("run", "-c", place / "c.yaml", prefix=as_user())
    assert result.code == 77 and "127.0.0.1:999" in result.err
    assert re.search(r"CAP_NET_BIND_SERVICE|setcap|root|above 1023|1024", result.err, re.I)


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer reads /proc")
def test_the_program_runs_where_there_is_no_proc(sockeye, origin, place):
    """As in a small chroot or container."""
    network.need_root()
    (place / "empty").mkdir()
    server = origin(echo)
    one_flow(sockeye(inbound(), prefix=with_private("/proc", place / "empty")), server)
