"""Users of a users_file: hashes of every origin, and what a login costs the others."""

import os
import base64
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from configs import inbound
from harness import network, proc
from harness.binary import SLOWNESS
from harness.client import NONE_ACCEPTED, http_connect, receive_all, receive_exactly, receive_http_reply, socks5, socks5_greet, socks5_login
from harness.origin import echo, http_page
from harness.program import no_leak_check
from harness.sandbox import as_user
from harness.wait import Stopwatch, until

PENALTY_S = 1
# Half a second and more on a machine of our days.
SLOW_ROUNDS = 2_000_000


def output(*argv, stdin=None):
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True).stdout.rstrip("\n")


def sha512(password, rounds=None):
    if rounds:
        return output("mkpasswd", "-m", "sha-512", "-R", str(rounds), "-s", stdin=password)
    return output("openssl", "passwd", "-6", "-stdin", stdin=password)


def yescrypt(password):
    return output("mkpasswd", "-m", "yescrypt", "-s", stdin=password)


@pytest.fixture
def users(place):
    """Writes the users_file: users({name: password or hash}) -> its path."""
    def write(lines):
        path = place / "users"
        path.write_text("# name:password\n\n" + "".join(f"{name}:{password}\n" for name, password in lines.items()))
        return path
    return write


def config(path, **more):
    """With time enough for slow hashes on a busy machine."""
    return inbound(users_file=path, **more) + f"limits: {{handshake_ms: {60_000 * SLOWNESS}}}\n"


def login(addr, user, password):
    """Whether the login is right."""
    with socket.create_connection(addr, timeout=30 * SLOWNESS) as sock:
        return socks5_login(sock, user, password) == 0


def test_plain_passwords_and_hashes_of_any_origin_get_in_and_wrong_ones_do_not(sockeye, origin, dial, users, cli):
    server = origin(echo)
    name, own = cli("passwd", "own", stdin="by ourselves\n").out.rstrip("\n").split(":", 1)
    proxy = sockeye(config(users({"plain": "as it is", "openssl": sha512("by openssl"), "whois": yescrypt("by mkpasswd"), name: own,
                                  "colon": "a:b:c"})))
    for user, password in (("plain", "as it is"), ("openssl", "by openssl"), ("whois", "by mkpasswd"), ("own", "by ourselves"),
                           ("colon", "a:b:c")):
        sock = dial(proxy.addr())
        assert socks5(sock, *server.addr, login=(user, password)).code == 0, user
        sock.sendall(b"hello")
        assert receive_exactly(sock, 5) == b"hello"
        assert http_connect(dial(proxy.addr()), *server.addr, login=(user, password)).status == 200, user
        assert not login(proxy.addr(), user, password + "x"), user
    assert not login(proxy.addr(), "nobody", "as it is")
    assert not login(proxy.addr(), "openssl", "by mkpasswd")
    assert not login(proxy.addr(), "whois", yescrypt("x")), "a hash is no password"


def test_the_users_of_the_file_and_the_inline_ones_both_get_in(sockeye, users):
    proxy = sockeye(config(users({"bob": sha512("builder")}), users="[{name: ann, password: $6$literal}]"))
    assert login(proxy.addr(), "ann", "$6$literal"), "what begins with $ in the configuration is a password"
    assert login(proxy.addr(), "bob", "builder")
    assert not login(proxy.addr(), "bob", "$6$literal")


def test_a_hash_of_an_unknown_method_is_named_by_its_line(cli, place, users):
    (place / "c.yaml").write_text(config(users({"ann": sha512("right"), "bob": "$9$salt$hash"})))
    result = cli("check", "-c", place / "c.yaml")
    assert result.code == 78 and f"{place}/users:4: " in result.err and "crypt(3)" in result.err and "$9$" not in result.err


@pytest.mark.parametrize("name", ["missing", "directory", "empty", "broken", "not permitted"])
@pytest.mark.parametrize("by", ["run", "socks"])
def test_a_file_that_cannot_be_used_lets_nobody_in(cli, place, name, by):
    path = place / "users"
    options = {}
    if name == "directory":
        path.mkdir()
    elif name != "missing":
        path.write_text({"empty": "# nobody\n", "broken": "ann\n", "not permitted": "ann:pw\n"}[name])
    if name == "not permitted":
        network.need_root()
        path.chmod(0)
        options = {"prefix": as_user(), "env": no_leak_check()}
    (place / "c.yaml").write_text(config(path) + "user: ''\nadmin: {socket: ''}\n")
    result = cli("run", "-c", place / "c.yaml", **options) if by == "run" else cli("socks", "-p", "0", "--users-file", path, **options)
    assert result.code == 78 and re.search("users_file: |users:1: ", result.err) and "listening" not in result.err


@pytest.mark.parametrize("hashed", [False, True])
def test_a_wrong_login_is_logged_at_once_and_answered_after_a_while(sockeye, dial, users, hashed):
    proxy = sockeye(config(users({"ann": sha512("right") if hashed else "right"})))
    for user in ("ann", "eve"):
        sock = dial(proxy.addr())
        host, port = sock.getsockname()
        watch = Stopwatch()
        answer = threading.Thread(target=lambda: result.append(socks5_login(sock, user, "wr0ng")))
        result = []
        answer.start()
        line = proxy.wait_record(event="login", user=user)
        assert watch.s < 0.8 * SLOWNESS
        assert line["level"] == "warn" and line["text"] == f"login in=lan from={host}:{port} user={user} method=socks5"
        answer.join()
        assert result != [0] and PENALTY_S * 0.95 < watch.s < PENALTY_S + 10 * SLOWNESS
        assert receive_all(sock) == b""
    assert len(proxy.records(event="login")) == 2
    assert "wr0ng" not in proxy.text


def test_a_right_login_does_not_wait(sockeye, users):
    proxy = sockeye(config(users({"ann": "right"})))
    watch = Stopwatch()
    assert login(proxy.addr(), "ann", "right")
    assert watch.s < PENALTY_S * 0.9


def test_a_slow_hash_stalls_no_other_flow_of_the_same_worker(sockeye, origin, dial, users):
    """One worker; a hash that takes a second or more is verified while another connection plays ping-pong."""
    server = origin(echo)
    proxy = sockeye(config(users({"quick": "plain", "slow": sha512("right", SLOW_ROUNDS)})))
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr, login=("quick", "plain")).code == 0
    verified = threading.Event()
    times = {}

    def log_in():
        watch = Stopwatch()
        times["right"] = login(proxy.addr(), "slow", "right")
        times["first"] = watch.s
        verified.set()

    thread = threading.Thread(target=log_in)
    thread.start()
    worst, n = 0, 0
    while not verified.is_set():
        watch = Stopwatch()
        sock.sendall(b"ping")
        assert receive_exactly(sock, 4) == b"ping"
        worst, n = max(worst, watch.s), n + 1
        time.sleep(0.001)
    thread.join()
    assert times["right"] and times["first"] > 0.2, f"not slow enough to tell anything: {times['first']} s"
    assert n > 20 and worst < times["first"] / 2, f"{n} exchanges, the worst {worst:.3f} s of {times['first']:.3f} s"
    # A new connection with a plain password is not stalled either.
    watch = Stopwatch()
    assert login(proxy.addr(), "quick", "plain")
    assert watch.s < times["first"] / 2


@pytest.mark.workers
def test_a_second_login_costs_nothing_on_any_worker(sockeye, origin, dial, users):
    server = origin(echo)
    proxy = sockeye(config(users({"slow": sha512("right", SLOW_ROUNDS)})))

    def cost(password):
        """In processor time."""
        before = proc.cpu_s(proxy.pid)
        assert login(proxy.addr(), "slow", password) == (password == "right")
        return proc.cpu_s(proxy.pid) - before
    first_s = cost("right")
    assert first_s > 0.1
    for _ in range(10):
        assert cost("right") < first_s / 2
        before = proc.cpu_s(proxy.pid)
        assert http_connect(dial(proxy.addr()), *server.addr, login=("slow", "right")).status == 200
        assert proc.cpu_s(proxy.pid) - before < first_s / 2
    assert cost("wrong") > first_s / 2, "a wrong one is verified"


def test_an_unknown_name_takes_as_long_as_a_known_one(sockeye, users):
    """Of the processor: what it does is the same, and the pause before each answer too."""
    proxy = sockeye(config(users({"slow": sha512("right", SLOW_ROUNDS), "plain": "plain"})))
    times = {}
    for user in ("slow", "unknown", "plain"):
        before = proc.cpu_s(proxy.pid)
        assert not login(proxy.addr(), user, "wrong")
        times[user] = proc.cpu_s(proxy.pid) - before
    assert min(times.values()) > max(times.values()) / 3, times


def test_forwarded_requests_log_in_one_by_one_on_one_connection(sockeye, origin, dial, users):
    """Keep-alive: each request has its own credentials, and a wrong one does not end the connection."""
    server = origin(http_page(b"page"))
    proxy = sockeye(config(users({"ann": sha512("right"), "bob": "plain"}), type="http"))
    sock = dial(proxy.addr())
    for user, password, status in (("ann", "right", 200), ("ann", "wrong", 407), ("bob", "plain", 200), ("eve", "x", 407),
                                   ("ann", "right", 200)):
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        watch = Stopwatch()
        sock.sendall(f"GET {server.url}/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {basic}\r\n\r\n".encode())
        answer = receive_http_reply(sock)
        assert answer.status == status, (user, password, answer)
        if status == 200:
            assert receive_exactly(sock, 4) == b"page"
        assert (watch.s > PENALTY_S * 0.95) == (status == 407)


def test_a_hundred_logins_at_once_all_get_in(sockeye, origin, dial, users):
    server = origin(echo)
    names = [f"user{i}" for i in range(100)]
    proxy = sockeye(config(users({name: output("openssl", "passwd", "-5", "-salt", name, f"pw-{name}") for name in names})))
    # One address may have 64 waiting.
    socks = [dial(proxy.addr(), f"127.0.0.{2 + i % 4}", timeout=30) for i in range(len(names))]
    for sock, name in zip(socks, names):
        request = bytes([1, len(name)]) + name.encode() + bytes([len(name) + 3]) + f"pw-{name}".encode()
        sock.sendall(b"\x05\x01\x02" + request + b"\x05\x01\x00\x01" + socket.inet_aton(server.addr[0]) + server.port.to_bytes(2, "big") + b"ping")
    for sock in socks:
        assert receive_exactly(sock, 4) == b"\x05\x02\x01\x00"
        assert receive_exactly(sock, 10)[1] == 0
        assert receive_exactly(sock, 4) == b"ping"
        sock.close()


def test_acc_37_no_password_and_no_hash_in_any_log_at_trace(sockeye, origin, dial, users):
    server = origin(echo)
    hash = sha512("s3cret-pass")
    proxy = sockeye(config(users({"ann": hash, "bob": "pl4in-pass"})) + "log: {level: trace}\n")
    assert socks5(dial(proxy.addr()), *server.addr, login=("ann", "s3cret-pass")).code == 0
    assert socks5(dial(proxy.addr()), *server.addr, login=("bob", "pl4in-pass")).code == 0
    assert http_connect(dial(proxy.addr()), *server.addr, login=("ann", "s3cret-pass")).status == 200
    for user in ("ann", "bob", "e\nve"):
        assert not login(proxy.addr(), user, "wr0ng-pass")
    assert http_connect(dial(proxy.addr()), *server.addr, login=("ann", "wr0ng-pass")).status == 407
    proxy.stop()
    assert proxy.records(event="login", user="ann") and re.search(r'user="e\\x0ave" ', proxy.text)
    for secret in ("s3cret", "pl4in", "wr0ng", "-pass", hash, hash.split("$")[-1], hash.split("$")[2]):
        assert secret not in proxy.text, secret


def test_check_prints_no_hash(cli, place, users):
    hash = sha512("s3cret-pass")
    (place / "c.yaml").write_text(config(users({"ann": hash, "bob": "pl4in"})))
    result = cli("check", "-v", "-c", place / "c.yaml")
    assert result.code == 0 and "users_file" in result.out
    assert "$6$" not in result.out + result.err and "pl4in" not in result.out + result.err


def test_a_client_that_goes_away_while_it_is_verified_is_gone_at_once(sockeye, dial, users):
    proxy = sockeye(config(users({"slow": sha512("right", SLOW_ROUNDS)})))
    before = proxy.n_descriptors()
    socks = [dial(proxy.addr()) for _ in range(20)]
    for sock in socks:
        sock.sendall(b"\x05\x01\x02")
        receive_exactly(sock, 2)
        sock.sendall(b"\x01\x04slow\x05right")
    until(lambda: proxy.n_descriptors() >= before + 20, "20 connections")
    watch = Stopwatch()
    for sock in socks:
        sock.close()
    proxy.wait_descriptors(before)
    assert watch.s < 1 * SLOWNESS
    # Those that were not begun are not computed either.
    assert login(proxy.addr(), "slow", "right")
    all_s = proc.cpu_s(proxy.pid)
    assert not login(proxy.addr(), "slow", "wrong")
    assert all_s < 5 * (proc.cpu_s(proxy.pid) - all_s)


def test_the_end_does_not_wait_for_a_hash(sockeye, dial, users):
    proxy = sockeye(config(users({"slow": f"$6$rounds={50 * SLOW_ROUNDS}$saltsalt$" + 86 * "x"})))
    for _ in range(3):
        sock = dial(proxy.addr())
        sock.sendall(b"\x05\x01\x02\x01\x04slow\x05right")
        receive_exactly(sock, 2)
    time.sleep(0.2)
    watch = Stopwatch()
    proxy.send_signal(signal.SIGTERM)
    proxy.send_signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert watch.s < 10 * SLOWNESS


def test_a_reload_reads_the_file_again_and_what_was_known_does_not_outlive_its_hash(sockeye, users, place):
    proxy = sockeye(config(users({"ann": sha512("old"), "bob": "plain"})))
    assert login(proxy.addr(), "ann", "old")
    users({"ann": sha512("new"), "cy": "added"})
    proxy.send_signal(signal.SIGHUP)
    until(lambda: login(proxy.addr(), "cy", "added"), "the new users")
    assert login(proxy.addr(), "ann", "new")
    assert not login(proxy.addr(), "ann", "old")
    assert not login(proxy.addr(), "bob", "plain")


def test_acc_49_osocks_with_users_warns_no_more_and_lets_only_them_in(sockeye, origin, dial, users, osocks):
    server = origin(echo)
    proxy = sockeye(argv=["-l", "0.0.0.0", "-p", "0", "--users-file", users({"ann": sha512("right")})], program=osocks,
                    env=no_leak_check())
    assert not re.search(r"(?i)anyone|everyone|anybody", proxy.text)
    addr = ("127.0.0.1", proxy.port)
    assert socks5(dial(addr), *server.addr, login=("ann", "right")).code == 0
    assert socks5_greet(dial(addr)) == NONE_ACCEPTED
    users({"ann": sha512("right"), "bob": sha512("too")})
    proxy.send_signal(signal.SIGHUP)
    until(lambda: login(addr, "bob", "too"), "the new user")


def test_a_users_file_beside_us_is_found_by_its_bare_name(sockeye, place, users):
    """Relative to the configuration's folder, or to where `socks` was started."""
    users({"ann": "right"})
    assert login(sockeye(config("users")).addr(), "ann", "right")
    assert login(sockeye(argv=["socks", "-p", "0", "--users-file", "users"], env=no_leak_check()).addr(), "ann", "right")


def test_a_hundred_thousand_users_cost_a_login_nothing(sockeye, users):
    proxy = sockeye(config(users({f"user{i}": f"pw{i}" for i in range(100_000)})))
    for i in (0, 1, 50_000, 99_999):
        watch = Stopwatch()
        assert login(proxy.addr(), f"user{i}", f"pw{i}")
        assert watch.s < PENALTY_S * 0.9
    assert not login(proxy.addr(), "user100000", "pw100000")
