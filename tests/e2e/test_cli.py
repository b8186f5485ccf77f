"""The command line: `sockeye socks`, the seed's `osocks`, usage, exit codes."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from configs import inbound
from harness import network
from harness.binary import BIN, SLOWNESS
from harness.client import is_served, open_flow, receive_all, receive_exactly, socks5
from harness.origin import echo
from harness.program import environment, no_leak_check
from harness.sandbox import NOBODY, as_user
from harness.wait import Stopwatch, until

BAD_OPTIONS = [["-p", "x"], ["-p", "65536"], ["-p", "-1"], ["-p", ""], ["-p"], ["-l", "not-an-address"], ["-l", "127.0.0.256"], ["-l", ""],
               ["-n", "x"], ["-n", "-5"], ["-n", "1x"], ["-I", "x"], ["-I", "-1"], ["-T", "1.5"], ["-T", "99999999999999999999"],
               ["-x"], ["--no-such-option"], ["stray"]]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=" ".join)
@pytest.mark.parametrize("name", ["osocks", "sockeye socks"])
def test_acc_49_bad_values_end_with_64_and_a_message(cli, osocks, options, name):
    result = cli(*options, program=osocks) if name == "osocks" else cli("socks", *options)
    assert result.code == 64 and result.out == ""
    assert re.search(re.escape(options[-1]) if options[-1] else r"-\w", result.err), result.err
    assert "listening" not in result.err


def test_without_words_usage_goes_to_stderr_and_64(cli):
    result = cli()
    assert result.code == 64 and result.out == "" and "run" in result.err and "check" in result.err


@pytest.mark.parametrize("words", [["fly"], ["--fly"], ["run", "--fly"], ["check", "stray"], ["run", "-c"], ["runn"]], ids=" ".join)
def test_unknown_words_and_options_are_64(cli, words):
    result = cli(*words)
    assert result.code == 64 and result.out == "" and result.err


def test_help_is_complete_and_on_stdout(cli):
    result = cli("--help")
    assert result.code == 0 and result.err == ""
    for word in ("run", "check", "socks", "status", "-c", "--version"):
        assert word in result.out, word


def test_version_is_one_line(cli, osocks):
    for result in (cli("--version"), cli("-V", program=osocks), cli("socks", "-V")):
        assert result.code == 0 and re.fullmatch(r"\S+ .*\d+\.\d+.*\n", result.out), result


@pytest.mark.parametrize("name", ["osocks", "sockeye socks"])
def test_acc_49_h_shows_every_option_with_its_default(cli, osocks, name):
    result = cli("-h", program=osocks) if name == "osocks" else cli("socks", "-h")
    assert result.code == 0
    for expected in ("-l", "-p", "-n", "-I", "-T", "-4", "-6", "-s", "-v", "-V", "-h", "1080", "64000", "8000",
                     "0.0.0.0" if name == "osocks" else "127.0.0.1"):
        assert expected in result.out, expected
    assert re.search(r"-n.*(unlimited|no limit)", result.out)


def test_acc_49_osocks_without_options_listens_on_0_0_0_0_1080_and_warns(sockeye, origin, osocks):
    network.need_own_network()
    server = origin(echo)
    proxy = sockeye(argv=[], program=osocks, env=no_leak_check())
    assert [(x.host, x.port) for x in proxy.listeners] == [("0.0.0.0", 1080)]
    assert re.search(r"(?i)anyone|everyone|anybody", proxy.text)
    assert is_served(("127.0.0.1", 1080), *server.addr), "as with the seed, loopback targets are allowed"
    assert is_served((network.OWN4, 1080), *server.addr)


def test_acc_49_sockeye_socks_without_options_listens_on_127_0_0_1_1080(sockeye, origin):
    network.need_own_network()
    server = origin(echo)
    proxy = sockeye(argv=["socks"], env=no_leak_check())
    assert [(x.host, x.port) for x in proxy.listeners] == [("127.0.0.1", 1080)]
    assert not re.search(r"(?i)anyone|everyone|anybody", proxy.text)
    assert is_served(("127.0.0.1", 1080), *server.addr)


def test_acc_49_socks_beyond_loopback_warns_and_denies_loopback_targets(sockeye, origin, dial):
    network.need_own_network()
    server = origin(echo, "0.0.0.0")
    proxy = sockeye(argv=["socks", "-l", network.OWN4, "-p", "0"], env=no_leak_check())
    assert re.search(r"(?i)anyone|everyone|anybody", proxy.text)
    assert socks5(dial(proxy.addr()), "127.0.0.1", server.port).code == 2
    assert socks5(dial(proxy.addr()), network.OWN4, server.port).code == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1"])
def test_acc_49_l_and_p_say_where_it_listens(sockeye, origin, dial, osocks, address):
    server = origin(echo)
    proxy = sockeye(argv=["-l", address, "-p", "0"], program=osocks, env=no_leak_check())
    assert [x.host for x in proxy.listeners] == [address] and proxy.port > 0
    for protocol, code in (("socks5", 0), ("socks4", 90)):
        sock = dial(proxy.addr())
        assert open_flow(sock, protocol, *server.addr) == code
        sock.sendall(b"hello")
        assert receive_exactly(sock, 5) == b"hello"


@pytest.mark.workers
@pytest.mark.parametrize("n", [1, 3])
def test_acc_50_n_limits_the_live_sessions(sockeye, origin, dial, osocks, n):
    server = origin(echo)
    proxy = sockeye(argv=["-l", "127.0.0.1", "-p", "0", "-n", str(n)], program=osocks, env=no_leak_check())
    socks = [dial(proxy.addr()) for _ in range(n)]
    for sock in socks:
        assert socks5(sock, *server.addr).code == 0
    for _ in range(3):
        sock = dial(proxy.addr())    # accepted and closed, as the seed does
        assert receive_all(sock) == b""
    socks[0].close()
    until(lambda: is_served(proxy.addr(), *server.addr), "service again")


def test_acc_50_n_0_is_unlimited(sockeye, origin, dial, osocks):
    server = origin(echo)
    proxy = sockeye(argv=["-l", "127.0.0.1", "-p", "0", "-n", "0"], program=osocks, env=no_leak_check())
    for _ in range(200):
        assert socks5(dial(proxy.addr()), *server.addr).code == 0


def test_acc_50_T_limits_connecting_measured(sockeye, dial, osocks):
    network.need_own_network()
    proxy = sockeye(argv=["-l", "127.0.0.1", "-p", "0", "-T", "700"], program=osocks, env=no_leak_check())
    watch = Stopwatch()
    assert socks5(dial(proxy.addr()), network.SILENT4, 80).code == 4
    assert 0.65 < watch.s < 7 * SLOWNESS    # 8 s by default


def test_acc_50_I_ends_idle_sessions_measured(sockeye, origin, dial, osocks):
    server = origin(echo)
    proxy = sockeye(argv=["-l", "127.0.0.1", "-p", "0", "-I", "800"], program=osocks, env=no_leak_check())
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr).code == 0
    watch = Stopwatch()
    assert receive_all(sock) == b""
    assert 0.75 < watch.s < 0.8 * 1.25 + 10 * SLOWNESS
    assert proxy.wait_record(event="flow")["end"] == "idle"


def test_acc_49_osocks_ends_at_once_on_sigterm_with_sessions_open(sockeye, origin, dial, osocks):
    """drain_s is 0 there."""
    server = origin(echo)
    proxy = sockeye(argv=["-l", "127.0.0.1", "-p", "0"], program=osocks, env=no_leak_check())
    assert socks5(dial(proxy.addr()), *server.addr).code == 0
    proxy.send_signal(signal.SIGTERM)
    watch = Stopwatch()
    assert proxy.wait() == 0
    assert watch.s < 15 * SLOWNESS    # drain_s is 30 elsewhere


def test_acc_49_a_taken_port_is_69(cli, origin):
    holder = origin(echo)
    result = cli("socks", "-p", holder.port)
    assert result.code == 69 and f"127.0.0.1:{holder.port}" in result.err


def test_the_start_says_each_socket_and_then_ready(sockeye):
    """The exact lines that scripts wait for."""
    proxy = sockeye(inbound(listen='["127.0.0.1:0", "[::1]:0"]') + '  - {type: http, listen: "127.0.0.1:0"}\n')
    announced = [line for line in proxy.lines if line.startswith("sockeye: ")]
    assert len(announced) == 4 and announced[-1] == "sockeye: ready"
    assert re.fullmatch(r"sockeye: listening on 127\.0\.0\.1:\d+ \(mixed lan\)", announced[0])
    assert re.fullmatch(r"sockeye: listening on \[::1\]:\d+ \(mixed lan\)", announced[1])
    assert re.fullmatch(r"sockeye: listening on 127\.0\.0\.1:\d+ \(http \S+\)", announced[2])


# Status

def test_status_says_flows_workers_limits_and_refusals(sockeye, cli, origin, dial, place):
    server, socket_path = origin(echo), place / "admin.sock"
    config = inbound(per_client=3) + f"workers: 2\nadmin: {{socket: {socket_path}}}\nlimits: {{connections: 777}}"
    proxy = sockeye(config)
    socks = [dial(proxy.addr()) for _ in range(3)]
    for sock in socks:
        assert socks5(sock, *server.addr).code == 0
    for _ in range(5):
        receive_all(dial(proxy.addr()))
    status = cli("status", "-c", place / "config-0.yaml")
    assert status.code == 0 and status.err == ""
    for expected in (r"^flows", r"worker 1 +\d", r"worker 2 +\d", r"together +3 ", r"lan .* 3 ", r"connections +3 +777",
                     r"refused +5 ", r"per_client +5 "):
        assert re.search(expected, status.out, re.M), (expected, status.out)
    as_json = json.loads(cli("status", "--json", "-c", place / "config-0.yaml").out)
    assert as_json["pid"] == proxy.pid and len(as_json["workers"]) == 2
    assert as_json["together"]["flows_now"] == sum(w["flows_now"] for w in as_json["workers"]) == 3
    assert as_json["together"]["refused"]["per_client"] == 5 and as_json["limits"]["connections"] == 777


@pytest.fixture
def unprivileged(place):
    """Prefix and environment of a user with a run-time directory of its own, where the status socket of `auto` goes."""
    network.need_root()
    own = place / "run"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    return {"prefix": as_user(), "env": {**no_leak_check(), "XDG_RUNTIME_DIR": str(own)}}


def test_status_finds_the_process_by_itself(sockeye, cli, unprivileged):
    proxy = sockeye(inbound() + "admin: {socket: auto}", **unprivileged)
    status = cli("status", "--json", **unprivileged)
    assert status.code == 0 and json.loads(status.out)["pid"] == proxy.pid
    proxy.stop()
    assert cli("status", **unprivileged).code == 69


def test_a_second_process_starts_without_the_status_socket_that_is_taken(sockeye, cli, unprivileged):
    first = sockeye(inbound() + "admin: {socket: auto}", **unprivileged)
    second = sockeye(inbound() + "admin: {socket: auto}", **unprivileged)
    second.wait_text(r" warn .*status")
    assert json.loads(cli("status", "--json", **unprivileged).out)["pid"] == first.pid


def test_a_stale_status_socket_is_removed(sockeye, cli, place):
    config = inbound() + f"admin: {{socket: {place}/admin.sock}}"
    sockeye(config, expect_clean=False).kill()
    assert (place / "admin.sock").is_socket()
    proxy = sockeye(config)
    assert json.loads(cli("status", "--json", "-c", place / "config-0.yaml").out)["pid"] == proxy.pid


def test_status_without_a_running_program_is_69(cli, place):
    (place / "c.yaml").write_text(inbound() + f"admin: {{socket: {place}/none.sock}}\n")
    result = cli("status", "-c", place / "c.yaml")
    assert result.code == 69 and result.err and result.out == ""


@contextlib.contextmanager
def answering(path, answer):
    """Somebody who gives one client of the status socket this answer."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            conn, _ = listener.accept()
            with conn:
                assert conn.recv(100) == b"status\n"
                for i in range(0, len(answer), 1500):
                    conn.sendall(answer[i:i + 1500])
        threading.Thread(target=serve, daemon=True).start()
        yield path


@pytest.mark.parametrize("answer,code,out,err", [
    (b"error: out of memory\n", 69, "", "sockeye: the running sockeye says: out of memory\n"),
    (b"error: ", 69, "", "ended before its end"),
    (b"x" * 4095 + b"\n", 0, "x" * 4095 + "\n", ""),
    (b"half a li", 69, "", "ended before its end"),
    (b"", 69, "", "ended before its end")], ids=["error", "cut error", "page", "cut", "nothing"])
def test_status_tells_an_error_from_an_answer(cli, place, answer, code, out, err):
    with answering(place / "admin", answer) as path:
        result = cli("status", "--socket", path)
    assert (result.code, result.out) == (code, out) and err in result.err


@pytest.mark.parametrize("head,code", [(b"", 0), (b"error: ", 69)], ids=["page", "error"])
def test_nothing_of_an_answer_moves_the_cursor(cli, place, head, code):
    with answering(place / "admin", head + b"a\x1b[2J \xc2\x9b2J \x9b2J\x7f \xc3\xb6\tb\r\n") as path:
        result = cli("status", "--socket", path)
    assert result.code == code and (result.out or result.err).endswith("a?[2J ??2J ?2J? \u00f6\tb?\n")


def test_an_answer_that_cannot_be_printed_is_74(place):
    """Whole blocks go to the file by themselves: nothing is left that could fail at the end."""
    with answering(place / "admin", b"x" * 65535 + b"\n") as path, open("/dev/full", "wb") as full:
        done = subprocess.run([BIN, "status", "--socket", path], env=environment(place, None), stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 74 and b"standard output" in done.stderr


@pytest.mark.workers
def test_signals_while_many_ask_for_the_status_end_the_process_cleanly(sockeye, origin, dial, place):
    """The second SIGTERM comes while answers are under way; nobody gets half an answer for a whole one."""
    proxy = sockeye(inbound() + f"admin: {{socket: {place / 'status'}}}\nlimits: {{drain_s: 30}}\n")
    wrong, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(30)
                    sock.connect(str(place / "status"))
                    sock.sendall(b"status json\n")
                    answer = b"".join(iter(lambda: sock.recv(65536), b""))
            except OSError:    # it has ended
                continue
            if answer.endswith(b"\n") and not json.loads(answer)["workers"]:
                wrong.append(answer)
    sock = dial(proxy.addr())
    assert socks5(sock, *origin(echo).addr).code == 0
    askers = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for asker in askers:
        asker.start()
    proxy.send_signal(signal.SIGTERM)
    proxy.wait_text("ending: 1 connection may go on for 30 s")
    proxy.send_signal(signal.SIGTERM)
    code = proxy.wait()
    stop.set()
    for asker in askers:
        asker.join(60)
    assert code == 0 and not wrong
    proxy.assert_no_report()


def test_a_status_client_that_stays_is_ended_and_holds_nothing(sockeye, place):
    """One that says nothing, and one that does not read: neither has more than five seconds."""
    proxy = sockeye(inbound() + f"admin: {{socket: {place / 'status'}}}\n")
    n = proxy.n_descriptors()
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as deaf:
        for sock in (silent, deaf):
            sock.connect(str(place / "status"))
        deaf.sendall(b"status json\n")
        silent.settimeout(30)
        assert silent.recv(1) == b""
        proxy.wait_descriptors(n)
