"""SOCKS4, 4a and 5 as bytes on a socket: what is accepted, what is refused and how."""

import socket
import struct
import time

import pytest

from configs import ANN, USERS, inbound
from harness import proc
from harness.binary import SANITIZER
from harness.client import (BIND, CONNECT, GSSAPI, NO_AUTH, NONE_ACCEPTED, PASSWORD, SOCKS4_REJECTED,
                            login_request, receive_all, receive_exactly, receive_socks5_reply, socks4, socks4_request, socks5,
                            socks5_greet, socks5_login, socks5_request)
from harness.dnsserver import Answer
from harness.origin import echo, swallow
from harness.pattern import receive_pattern, send_pattern
from harness.wait import Stopwatch

HANDSHAKES = {
    "socks4": lambda port: (socks4_request("127.0.0.1", port, b"someone"), 8),
    "socks4a": lambda port: (socks4_request("origin.test", port), 8),
    "socks5": lambda port: (b"\x05\x01\x00" + socks5_request("127.0.0.1", port), 2 + 10),
    "socks5 by name": lambda port: (b"\x05\x02\x00\x02" + socks5_request("origin.test", port), 2 + 10),
}
GRANTED_AT = {"socks4": (1, 90), "socks4a": (1, 90), "socks5": (3, 0), "socks5 by name": (3, 0)}


@pytest.fixture
def names(dns):
    return dns({"origin.test": Answer(a=["127.0.0.1"])})


@pytest.mark.parametrize("type", ["socks", "mixed"])
@pytest.mark.parametrize("version", HANDSHAKES)
@pytest.mark.parametrize("feed", ["byte by byte", "at once"])
def test_acc_38_every_version_on_one_port_however_the_bytes_come(sockeye, origin, names, dial, type, version, feed):
    proxy, server = sockeye(inbound(type) + names.yaml), origin(echo)
    request, n_reply = HANDSHAKES[version](server.port)
    sock = dial(proxy.addr())
    if feed == "byte by byte":
        for i in range(len(request)):
            sock.sendall(request[i:i + 1])
            time.sleep(0.001)    # so that each byte is a segment of its own
        send_pattern(sock, 1000)
    else:
        sock.sendall(request + b"early")
    reply = receive_exactly(sock, n_reply)
    at, code = GRANTED_AT[version]
    assert reply[at] == code
    if feed == "byte by byte":
        receive_pattern(sock, 1000)
    else:
        assert receive_exactly(sock, 5) == b"early"


def test_acc_38_login_request_and_data_in_one_segment(sockeye, origin, dial):
    proxy, server = sockeye(inbound(users=USERS)), origin(echo)
    sock = dial(proxy.addr())
    sock.sendall(b"\x05\x01\x02" + login_request(*ANN) + socks5_request(*server.addr) + b"early")
    assert receive_exactly(sock, 2 + 2 + 4)[:6] == b"\x05\x02\x01\x00\x05\x00"
    receive_exactly(sock, 6)
    assert receive_exactly(sock, 5) == b"early"


def test_early_data_is_bounded_and_arrives_whole(sockeye, origin, dns, dial):
    """8 MiB before the reply: most of it waits in the client's kernel, none of it is lost."""
    server = origin(swallow)
    names = dns({"late.test": Answer(a=["127.0.0.1"], delay_s=1.5)})
    proxy = sockeye(inbound() + names.yaml)
    sock = dial(proxy.addr())
    sock.sendall(b"\x05\x01\x00")
    receive_exactly(sock, 2)
    before = proc.rss_bytes(proxy.pid)
    sock.sendall(socks5_request("late.test", server.port))
    sock.setblocking(False)
    sent = 0
    watch = Stopwatch()
    while watch.s < 1.0:    # the answer is still to come
        try:
            sent += sock.send(bytes(65536))
        except BlockingIOError:
            time.sleep(0.01)
    if not SANITIZER:
        assert proc.rss_bytes(proxy.pid) - before < 1 << 20
    sock.settimeout(20)
    assert receive_socks5_reply(sock).code == 0
    sock.sendall(bytes(8 * 1048576 - min(sent, 8 * 1048576)))
    sock.shutdown(socket.SHUT_WR)
    assert server.result() == max(sent, 8 * 1048576)


def test_acc_34_right_password_by_password_and_not_by_none(sockeye, origin, dial):
    proxy, server = sockeye(inbound(users=USERS)), origin(echo)
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr, login=ANN).code == 0
    sock.sendall(b"hello")
    assert receive_exactly(sock, 5) == b"hello"
    # Offered both, the proxy must insist on the password.
    assert socks5_greet(dial(proxy.addr()), (NO_AUTH, GSSAPI, PASSWORD)) == PASSWORD


def test_acc_34_names_and_passwords_of_255_bytes(sockeye, origin, dial):
    user, password = "u" * 255, "\u00e4" * 127 + "x"
    proxy, server = sockeye(inbound(users=f"[{{name: {user}, password: {password}}}]")), origin(echo)
    assert socks5(dial(proxy.addr()), *server.addr, login=(user, password)).code == 0
    assert socks5_login(dial(proxy.addr()), user, password[:-1] + "y") != 0


@pytest.mark.parametrize("user,password", [("ann", "wrong"), ("ann", "open-sesamE"), ("ann", "open-sesame "), ("ann", ""),
                                           ("nobody", "open-sesame"), ("bob", "open-sesame"), ("ANN", "open-sesame")])
def test_acc_34_wrong_password_gets_a_status_that_is_not_zero_and_the_end(sockeye, dial, user, password):
    proxy = sockeye(inbound(users=USERS))
    sock = dial(proxy.addr())
    assert socks5_login(sock, user, password) != 0
    assert receive_all(sock) == b""


def test_acc_34_a_failed_login_is_one_log_line_that_filters_can_match(sockeye, dial):
    proxy = sockeye(inbound(users=USERS))
    sock = dial(proxy.addr())
    assert socks5_login(sock, "ann", "wrong") != 0
    host, port = sock.getsockname()
    line = proxy.wait_record(event="login")
    assert f"{line['level']} {line['text']}" == f"warn login in=lan from={host}:{port} user=ann method=socks5"
    assert len(proxy.records(event="login")) == 1


def test_acc_34_a_user_name_cannot_forge_a_log_line(sockeye, dial):
    proxy = sockeye(inbound(users=USERS))
    evil = "x\n2026-01-01T00:00:00.000Z warn login in=lan from=203.0.113.1:1 user=root method=socks5"
    assert socks5_login(dial(proxy.addr()), evil, "wrong") != 0
    proxy.wait_record(event="login")
    assert len(proxy.records(event="login")) == 1 and not proxy.records(from_="203.0.113.1:1")


@pytest.mark.parametrize("users", [USERS, None], ids=["with users", "without users"])
@pytest.mark.parametrize("methods", [(GSSAPI,), (3,), (GSSAPI, 3, 128, 254), ()], ids=str)
def test_acc_34_no_common_method_gives_ff_and_the_end(sockeye, dial, users, methods):
    proxy = sockeye(inbound(**({"users": users} if users else {})))
    sock = dial(proxy.addr())
    assert socks5_greet(sock, methods) == NONE_ACCEPTED
    assert receive_all(sock) == b""


def test_acc_34_where_users_are_set_no_method_without_a_password_will_do(sockeye, dial):
    sock = dial(sockeye(inbound(users=USERS)).addr())
    assert socks5_greet(sock, (NO_AUTH,)) == NONE_ACCEPTED
    assert receive_all(sock) == b""


@pytest.mark.parametrize("form", ["socks4", "socks4a", "socks4 with the user's name"])
def test_acc_73_socks4_is_refused_where_users_are_set(sockeye, origin, dial, form):
    proxy, server = sockeye(inbound(users=USERS)), origin(echo)
    sock = dial(proxy.addr())
    host = "localhost" if form == "socks4a" else "127.0.0.1"
    assert socks4(sock, host, server.port, b"ann" if "name" in form else b"") == SOCKS4_REJECTED
    assert receive_all(sock) == b"" and not server.clients


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "origin.test"])
def test_acc_36_the_reply_has_the_real_bound_address(sockeye, origin, names, dial, host):
    proxy, server = sockeye(inbound() + names.yaml), origin(echo, "::1" if host == "::1" else "127.0.0.1")
    reply = socks5(dial(proxy.addr()), host, server.port)
    server.wait_for_clients(1)
    assert (reply.code, (reply.host, reply.port)) == (0, server.clients[0])


@pytest.mark.parametrize("command", [BIND, 0, 4, 9, 255])
def test_acc_36_acc_51_an_unknown_or_disabled_command_gets_7(sockeye, origin, dial, command):
    proxy, server = sockeye(inbound()), origin(echo)
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr, command=command).code == 7
    assert receive_all(sock) == b"" and not server.clients


@pytest.mark.parametrize("kind", [0, 2, 5, 255])
def test_acc_51_an_unknown_address_type_gets_8(sockeye, dial, kind):
    sock = dial(sockeye(inbound()).addr())
    assert socks5_greet(sock) == NO_AUTH
    sock.sendall(bytes([5, CONNECT, 0, kind]) + bytes(6))
    assert receive_socks5_reply(sock).code == 8
    assert receive_all(sock) == b""


@pytest.mark.parametrize("command", [BIND, 0, 3])
def test_acc_36_socks4_with_another_command_than_connect_is_rejected(sockeye, origin, dial, command):
    proxy, server = sockeye(inbound()), origin(echo)
    sock = dial(proxy.addr())
    assert socks4(sock, *server.addr, command=command) == SOCKS4_REJECTED
    assert receive_all(sock) == b"" and not server.clients


# What the table of bad input lists: (what is sent after a greeting or from the start, what comes back).
BAD_AFTER_GREETING = {
    "domain of length 0": bytes([5, 1, 0, 3, 0, 0, 80]),
    "domain with a NUL": bytes([5, 1, 0, 3, 9]) + b"local\0hos" + struct.pack(">H", 80),
    "port 0": socks5_request("127.0.0.1", 0),
    "port 0 by name": socks5_request("localhost", 0),
}
BAD_FROM_THE_START = {
    "version 0": (b"\x00\x01\x00", b""),
    "version 6": (b"\x06\x01\x00", b""),
    "version 255": (b"\xff" * 20, b""),
    "method list empty": (b"\x05\x00", b"\x05\xff"),
    "socks4 port 0": (socks4_request("127.0.0.1", 0), b"\x00\x5b"),
    "socks4a empty name": (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00", b"\x00\x5b"),
}


@pytest.mark.parametrize("what", BAD_AFTER_GREETING)
def test_table_3_a_bad_request_gets_a_refusal_and_the_end(sockeye, origin, dial, what):
    proxy, server = sockeye(inbound()), origin(echo)
    other = dial(proxy.addr())
    assert socks5(other, *server.addr).code == 0
    sock = dial(proxy.addr())
    assert socks5_greet(sock) == NO_AUTH
    sock.sendall(BAD_AFTER_GREETING[what])
    assert receive_socks5_reply(sock).code not in (0,)
    assert receive_all(sock) == b""
    assert_one_line_about(proxy, sock)
    assert_undisturbed(other)


@pytest.mark.parametrize("what", BAD_FROM_THE_START)
def test_table_3_a_bad_beginning_gets_a_refusal_where_there_is_one_and_the_end(sockeye, origin, dial, what):
    sent, refusal = BAD_FROM_THE_START[what]
    proxy, server = sockeye(inbound("socks")), origin(echo)
    other = dial(proxy.addr())
    assert socks5(other, *server.addr).code == 0
    sock = dial(proxy.addr())
    sock.sendall(sent)
    answer = receive_all(sock)
    assert answer.startswith(refusal) and (refusal or not answer)
    assert_one_line_about(proxy, sock)
    assert_undisturbed(other)


@pytest.mark.parametrize("login", [b"\x01\x00\x03abc", b"\x01\x00\x00", b"\x05\x03ann\x0bopen-sesame"],
                         ids=["name of length 0", "both of length 0", "version 5"])
def test_table_3_a_bad_login_message_fails_and_ends(sockeye, dial, login):
    proxy = sockeye(inbound(users=USERS))
    sock = dial(proxy.addr())
    assert socks5_greet(sock, (PASSWORD,)) == PASSWORD
    sock.sendall(login)
    answer = receive_all(sock)
    assert answer == b"" or (len(answer) == 2 and answer[1] != 0)
    assert_one_line_about(proxy, sock)


def assert_one_line_about(proxy, sock):
    """Exactly one log line names this client, at the latest when it has closed."""
    host, port = sock.getsockname()
    sock.close()
    proxy.wait_record(from_=f"{host}:{port}")
    assert len(proxy.records(from_=f"{host}:{port}")) == 1


def assert_undisturbed(sock):
    send_pattern(sock, 5000)
    receive_pattern(sock, 5000)


@pytest.mark.parametrize("beginning", [b"", b"\x05", b"\x05\x01\x00\x05\x01", b"\x04\x01\x00", b"CONNECT a:1 HTTP/1.1\r\nX"], ids=repr)
def test_table_3_a_silent_client_is_closed_after_handshake_ms(sockeye, dial, beginning):
    proxy = sockeye(inbound() + "limits: {handshake_ms: 400}")
    watch = Stopwatch()
    sock = dial(proxy.addr())
    sock.sendall(beginning)
    receive_all(sock)
    assert 0.35 < watch.s < 9    # 10 s by default


def test_table_3_single_bytes_do_not_prolong_the_handshake(sockeye, dial):
    proxy = sockeye(inbound() + "limits: {handshake_ms: 500}")
    sock = dial(proxy.addr())
    watch = Stopwatch()
    drip = b"\x04\x01\x00\x50\x7f\x00\x00\x01" + b"u" * 200
    with pytest.raises(OSError):
        for i in range(len(drip)):
            sock.sendall(drip[i:i + 1])
            time.sleep(0.05)
    assert 0.45 < watch.s < 9


@pytest.mark.parametrize("request_of", [
    lambda: b"\x04\x01\x00\x50\x7f\x00\x00\x01" + b"u" * 100_000,
    lambda: b"\x04\x01\x00\x50\x00\x00\x00\x01\x00" + b"n" * 100_000,
    lambda: b"CONNECT " + b"h" * 200_000,
    lambda: b"CONNECT a:1 HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
], ids=["socks4 user", "socks4a name", "http target", "http headers"])
def test_a_handshake_without_end_is_refused_by_its_size(sockeye, dial, request_of):
    """Long before handshake_ms."""
    proxy = sockeye(inbound() + "limits: {handshake_ms: 60000}")
    sock = dial(proxy.addr())
    try:
        sock.sendall(request_of())
    except OSError:
        pass
    receive_all(sock)


def test_a_name_of_255_bytes_is_looked_up_or_refused_but_never_cut(sockeye, dns, dial):
    names = dns({})
    proxy = sockeye(inbound() + names.yaml)
    name = ".".join(["a" * 63] * 3 + ["b" * 63])
    assert len(name) == 255
    assert socks5(dial(proxy.addr()), name, 80).code in (1, 4)
    assert all(q.name == name for q in names.queries)


def test_acc_36_ipv6_target_where_the_client_came_by_ipv4_and_the_other_way(sockeye, origin, dial):
    proxy = sockeye(inbound(listen='["127.0.0.1:0", "[::1]:0"]'))
    six, four = origin(echo, "::1"), origin(echo)
    assert socks5(dial(proxy.addr(host="127.0.0.1")), *six.addr).code == 0
    assert socks5(dial(proxy.addr(host="::1")), *four.addr).code == 0
