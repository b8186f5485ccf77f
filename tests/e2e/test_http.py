"""The http inbound, and HTTP on a mixed one: CONNECT, Basic authentication, and what is refused."""

import base64
import re
import time

import pytest

from configs import ANN, USERS, inbound
from harness.client import (authority, connect_request, http_connect, receive_all, receive_exactly, receive_http_reply, socks5)
from harness.dnsserver import Answer
from harness.origin import echo
from harness.pattern import receive_pattern, send_pattern


@pytest.fixture
def names(dns):
    return dns({"origin.test": Answer(a=["127.0.0.1"])})


@pytest.mark.parametrize("type", ["http", "mixed"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "origin.test", "ORIGIN.test"])
def test_acc_39_connect_to_a_name_an_address_and_an_ipv6_literal(sockeye, origin, names, dial, type, host):
    proxy, server = sockeye(inbound(type) + names.yaml), origin(echo, "::1" if host == "::1" else "127.0.0.1")
    sock = dial(proxy.addr())
    reply = http_connect(sock, host, server.port)
    assert reply.status == 200
    # RFC 9110 section 9.3.6: a 2xx to CONNECT has neither.
    assert "content-length" not in reply.headers and "transfer-encoding" not in reply.headers
    send_pattern(sock, 100_000)
    receive_pattern(sock, 100_000)


@pytest.mark.parametrize("type", ["http", "mixed"])
def test_acc_39_connect_byte_by_byte(sockeye, origin, dial, type):
    proxy, server = sockeye(inbound(type)), origin(echo)
    sock = dial(proxy.addr())
    for byte in connect_request(*server.addr):
        sock.sendall(bytes([byte]))
        time.sleep(0.0005)    # so that each byte is a segment of its own
    assert receive_http_reply(sock).status == 200
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)


def test_connect_with_early_data_in_the_same_segment(sockeye, origin, dial):
    proxy, server = sockeye(inbound("http")), origin(echo)
    sock = dial(proxy.addr())
    sock.sendall(connect_request(*server.addr) + b"early")
    assert receive_http_reply(sock).status == 200
    assert receive_exactly(sock, 5) == b"early"


@pytest.mark.parametrize("request_line", ["CONNECT {} HTTP/1.0", "CONNECT {} HTTP/1.1"])
@pytest.mark.parametrize("headers", ["", "Host: elsewhere.test\r\n", "User-Agent: x\r\nX-Long: " + "y" * 3000 + "\r\n",
                                     "Proxy-Connection: keep-alive\r\n"], ids=["none", "other host", "long", "keep-alive"])
def test_connect_as_clients_really_write_it(sockeye, origin, dial, request_line, headers):
    proxy, server = sockeye(inbound("http")), origin(echo)
    sock = dial(proxy.addr())
    sock.sendall((request_line.format(authority(*server.addr)) + "\r\n" + headers + "\r\n").encode())
    assert receive_http_reply(sock).status == 200
    sock.sendall(b"through")
    assert receive_exactly(sock, 7) == b"through"


def test_acc_34_basic_right(sockeye, origin, dial):
    proxy, server = sockeye(inbound("http", users=USERS)), origin(echo)
    sock = dial(proxy.addr())
    assert http_connect(sock, *server.addr, login=ANN).status == 200
    sock.sendall(b"hello")
    assert receive_exactly(sock, 5) == b"hello"
    sock.close()
    assert proxy.wait_record(event="flow")["user"] == "ann"


def basic(text):
    return "Proxy-Authorization: Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("header", ["Proxy-Authorization: basic {}", "proxy-authorization: BASIC {}", "PROXY-AUTHORIZATION:Basic  {} "])
def test_acc_34_basic_in_any_case_and_with_any_spaces(sockeye, origin, dial, header):
    proxy, server = sockeye(inbound("http", users='[{name: ann, password: "a:b c"}]')), origin(echo)
    sock = dial(proxy.addr())
    login = base64.b64encode(b"ann:a:b c").decode()
    sock.sendall(f"CONNECT {authority(*server.addr)} HTTP/1.1\r\n{header.format(login)}\r\n\r\n".encode())
    assert receive_http_reply(sock).status == 200


@pytest.mark.parametrize("header", ["", basic("ann:wrong"), basic("ann:"), basic("ann"), basic(":"), basic(""),
                                    "Proxy-Authorization: Basic !!!!", "Proxy-Authorization: Basic", "Proxy-Authorization:",
                                    "Proxy-Authorization: Bearer open-sesame", basic("bob:open-sesame"),
                                    "Authorization: Basic YW5uOm9wZW4tc2VzYW1l"])
def test_acc_34_basic_missing_or_wrong_gets_407(sockeye, origin, dial, header):
    proxy, server = sockeye(inbound("http", users=USERS)), origin(echo)
    sock = dial(proxy.addr())
    lines = [f"CONNECT {authority(*server.addr)} HTTP/1.1", *([header] if header else []), "", ""]
    sock.sendall("\r\n".join(lines).encode())
    reply = receive_http_reply(sock)
    assert reply.status == 407
    assert re.match(r'Basic realm="[^"]*"', reply.headers["proxy-authenticate"], re.I)
    assert_one_line(reply)
    assert not server.clients


def test_acc_34_a_failed_basic_login_is_logged_and_a_missing_one_is_not(sockeye, origin, dial):
    """A browser asks once without a password before it asks the person."""
    proxy, server = sockeye(inbound("http", users=USERS)), origin(echo)
    assert http_connect(dial(proxy.addr()), *server.addr).status == 407
    sock = dial(proxy.addr())
    assert http_connect(sock, *server.addr, login=("ann", "wrong")).status == 407
    host, port = sock.getsockname()
    line = proxy.wait_record(event="login")
    assert re.fullmatch(rf"login in=lan from={host}:{port} user=ann method=\w+", line["text"]) and line["level"] == "warn"
    assert len(proxy.records(event="login")) == 1


def assert_one_line(reply):
    assert re.fullmatch(r"[^\r\n]{3,200}\r?\n", reply.body), reply


@pytest.mark.parametrize("request_text", [
    "CONNECT origin.test HTTP/1.1", "CONNECT :80 HTTP/1.1", "CONNECT 127.0.0.1:0 HTTP/1.1", "CONNECT 127.0.0.1:65536 HTTP/1.1",
    "CONNECT 127.0.0.1:8o HTTP/1.1", "CONNECT 127.0.0.1:-1 HTTP/1.1", "CONNECT [::1:80 HTTP/1.1", "CONNECT ::1:80 HTTP/1.1",
    "CONNECT http://127.0.0.1:80/ HTTP/1.1", "CONNECT 127.0.0.1:80", "CONNECT 127.0.0.1:80 HTTP/2.0", "CONNECT  127.0.0.1:80 HTTP/1.1",
    "CONNECT 127.0.0.1:80 HTTP/1.1\r\nno colon here", "CONNECT 127.0.0.1:80 HTTP/1.1\r\nName : x",
    "CONNECT loc\0al:80 HTTP/1.1", "CONNECT 127.0.0.1:80:80 HTTP/1.1", "CONNECT user@127.0.0.1:80 HTTP/1.1",
    "\x16\x03\x01\x02\x00", "C", "garbage",
])
def test_table_3_a_malformed_connect_gets_400_and_the_end(sockeye, origin, dial, request_text):
    proxy, server = sockeye(inbound("http")), origin(echo)
    other = dial(proxy.addr())
    assert http_connect(other, *server.addr).status == 200
    sock = dial(proxy.addr())
    sock.sendall(request_text.encode("latin-1") + b"\r\n\r\n")
    reply = receive_http_reply(sock)
    assert reply.status in (400, 505) if "HTTP/2" in request_text else reply.status == 400
    assert_one_line(reply)
    assert receive_all(sock) == b""
    host, port = sock.getsockname()
    sock.close()
    proxy.wait_record(from_=f"{host}:{port}")
    assert len(proxy.records(from_=f"{host}:{port}")) == 1
    send_pattern(other, 1000)
    receive_pattern(other, 1000)


@pytest.mark.parametrize("method,target", [("GET", "/"), ("GET", "http://"), ("PRI", "*")])
def test_a_request_for_the_proxy_itself_is_refused(sockeye, dial, method, target):
    sock = dial(sockeye(inbound("http")).addr())
    sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert re.match(r"HTTP/1\.1 400 ", receive_all(sock).decode())


def test_a_head_that_is_too_long_is_refused(sockeye, dial):
    sock = dial(sockeye(inbound("http") + "limits: {handshake_ms: 60000}").addr())
    try:
        sock.sendall(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + b"X-Filler: 0123456789\r\n" * 20000)
    except OSError:
        pass
    answer = receive_all(sock)
    assert answer == b"" or re.match(rb"HTTP/1\.1 (400|431) ", answer)


def test_a_socks_inbound_speaks_no_http_and_an_http_inbound_no_socks(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye('inbounds:\n  - {type: socks, name: s, listen: "127.0.0.1:0"}\n  - {type: http, name: h, listen: "127.0.0.1:0"}\n')
    sock = dial(proxy.addr("s"))
    sock.sendall(connect_request(*server.addr))
    assert not receive_all(sock).startswith(b"HTTP/1.1 200")
    sock = dial(proxy.addr("h"))
    sock.sendall(b"\x05\x01\x00")
    sock.sendall(b"\r\n\r\n")
    assert not receive_all(sock).startswith(b"\x05")
    assert not server.clients
    assert socks5(dial(proxy.addr("s")), *server.addr).code == 0
    assert http_connect(dial(proxy.addr("h")), *server.addr).status == 200
