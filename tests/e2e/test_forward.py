"""HTTP forwarding: curl against strict servers, servers that misbehave, and what of it is logged."""

import base64
import gzip
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from configs import ANN, USERS, inbound
from harness import proc
from harness.binary import SLOWNESS
from harness.client import receive_all, receive_exactly
from harness.dnsserver import Answer
from harness.origin import read_head, reset, swallow
from harness.services import start_nginx, start_websocket
from harness.web import Web, body_of

MB = 1 << 20


def curl(proxy, *args, check=True, login=""):
    done = subprocess.run(["curl", "-sS", "-m", str(60 * SLOWNESS), "-x", f"http://{login}127.0.0.1:{proxy.port}", *map(str, args)],
                          capture_output=True, timeout=90 * SLOWNESS)
    if check:
        assert done.returncode == 0, done
    return done


@pytest.fixture
def web(origin):
    """A strict server: web.url, web.port, web.requests."""
    handler = Web()
    server = origin(handler)
    server.requests = handler.requests
    return server


def head_of(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += receive_exactly(sock, 1)
    return head.decode()


def get(server, path="/", more="", version="1.1"):
    return f"GET http://127.0.0.1:{server.port}{path} HTTP/{version}\r\nHost: 127.0.0.1:{server.port}\r\n{more}\r\n".encode()


# ---- curl ----

@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
@pytest.mark.parametrize("path", ["length/0", "length/1", "length/300000", "chunked/0", "chunked/300000", "close/300000", "last/300000"])
def test_acc_39_curl_gets_every_kind_of_body(sockeye, web, version, path):
    done = curl(sockeye(inbound("http")), version, web.url + path)
    assert done.stdout == body_of(int(path.split("/")[1]))


@pytest.mark.parametrize("path", ["length/10", "chunked/10", "close/10"])
def test_acc_39_curl_head(sockeye, web, path):
    done = curl(sockeye(inbound()), "-I", web.url + path)
    assert done.stdout.startswith(b"HTTP/1.1 200 ") and done.stdout.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
@pytest.mark.parametrize("kind", ["post", "put", "chunked", "expect", "patch", "1.0"])
def test_acc_39_curl_sends_every_kind_of_body(sockeye, web, place, kind, size):
    if kind == "chunked":
        size = max(size, 1)    # of an empty file curl sends no last chunk
    (place / "body").write_bytes(os.urandom(size))
    args = {"post": ["--data-binary", f"@{place}/body", "-H", "Expect:"], "put": ["-T", place / "body"],
            "chunked": ["-T", place / "body", "-H", "Transfer-Encoding: chunked"],
            "expect": ["--data-binary", f"@{place}/body", "-H", "Expect: 100-continue"],
            "patch": ["-X", "PATCH", "--data-binary", f"@{place}/body"],
            "1.0": ["--http1.0", "--data-binary", f"@{place}/body"]}[kind]
    digest = subprocess.run(["sha256sum", place / "body"], capture_output=True, text=True, check=True).stdout[:64]
    done = curl(sockeye(inbound()), *args, web.url + "digest")
    assert done.stdout.decode() == digest
    assert [r[4] for r in web.requests] == [size]


def test_acc_39_keep_alive_to_different_hosts_on_one_connection(sockeye, web, origin, dns):
    second = origin(Web(), host="::1")
    names = dns({"origin.test": Answer(a=["127.0.0.1"])})
    proxy = sockeye(inbound() + names.yaml)
    urls = [web.url + "length/5", f"http://[::1]:{second.port}/length/6", f"http://origin.test:{web.port}/chunked/7", web.url + "length/8"]
    done = curl(proxy, "-w", "%{num_connects} ", *urls)
    assert re.findall(rb"(\d) ", done.stdout) == [b"1", b"0", b"0", b"0"]
    lines = proxy.wait_record(4, event="flow")
    assert len({line["from"] for line in lines}) == 1
    assert [line["to"] for line in lines] == [f"127.0.0.1:{web.port}", f"[::1]:{second.port}", f"origin.test:{web.port}", f"127.0.0.1:{web.port}"]


def test_acc_39_the_server_s_connection_is_used_again(sockeye, web, dial):
    proxy = sockeye(inbound())
    sock = dial(proxy.addr())
    for i in range(20):
        sock.sendall(get(web, f"/{'chunked' if i % 2 else 'length'}/3"))
        head_of(sock)
        receive_exactly(sock, 3 if i % 2 == 0 else len("3\r\n000\r\n0\r\n\r\n"))
    assert len(web.clients) == 1 and len(web.requests) == 20
    sock.close()
    proxy.wait_record(event="flow")
    assert len(proxy.records(event="flow")) == 1


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_hundred_megabytes(sockeye, web, spawn, place, way):
    (place / "www").mkdir()
    subprocess.run(f"head -c {100 * MB} /dev/urandom > {place}/www/big", shell=True, check=True)
    proxy = sockeye(inbound())
    digest = subprocess.run(["sha256sum", place / "www/big"], capture_output=True, text=True, check=True).stdout[:64]
    if way == "down":
        port = start_nginx(spawn, place)
        curl(proxy, "-o", place / "got", f"http://127.0.0.1:{port}/big")
        assert subprocess.run(["cmp", place / "got", place / "www/big"]).returncode == 0
    else:
        assert curl(proxy, "-T", place / "www/big", web.url + "digest").stdout.decode() == digest
    assert proc.rss_bytes(proxy.pid) < 30 * MB * SLOWNESS


def test_nginx_compresses_in_chunks(sockeye, spawn, place):
    (place / "www").mkdir()
    page = b"many words, over and over\n" * 20_000
    (place / "www/page.html").write_bytes(page)
    port = start_nginx(spawn, place, more="gzip on;")
    proxy = sockeye(inbound())
    done = curl(proxy, "-i", "-H", "Accept-Encoding: gzip", f"http://127.0.0.1:{port}/page.html")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head and gzip.decompress(body) == page
    assert curl(proxy, "--http1.0", f"http://127.0.0.1:{port}/page.html").stdout == page


def test_ab_64_at_a_time_kept_alive_without_one_error(sockeye, spawn, place):
    (place / "www").mkdir()
    (place / "www/1k").write_bytes(os.urandom(1024))
    port, proxy = start_nginx(spawn, place), sockeye(inbound())
    done = subprocess.run(["ab", "-q", "-k", "-n", "5000", "-c", "64", "-X", f"127.0.0.1:{proxy.port}", f"http://127.0.0.1:{port}/1k"],
                          capture_output=True, text=True, timeout=120 * SLOWNESS)
    assert re.search(r"Complete requests:\s+5000\b", done.stdout) and re.search(r"Failed requests:\s+0\b", done.stdout), done
    assert re.search(r"HTML transferred:\s+5120000 bytes", done.stdout)


# ---- users ----

@pytest.mark.parametrize("args", [[], ["--data-binary", "a short body"], ["-I"], ["--data-binary", "x" * 100_000]])
def test_acc_39_407_and_then_the_password(sockeye, web, args):
    proxy = sockeye(inbound("http", users=USERS))
    path = "length/5" if args in ([], ["-I"]) else "digest"
    done = curl(proxy, "--proxy-anyauth", "-U", ":".join(ANN), "-w", "%{http_code} %{num_connects}", *args, web.url + path)
    assert re.search(rb"200 \d$", done.stdout), done
    assert len(web.requests) == 1
    if not args:
        assert done.stdout.endswith(b"200 1"), "on the connection that was asked for the password"
    assert proxy.wait_record(event="flow", to=f"127.0.0.1:{web.port}")["user"] == "ann"


@pytest.mark.parametrize("password", ["open-sesame", "wrong"])
def test_a_later_request_is_judged_like_the_first(sockeye, web, dial, place, password):
    """By a hash, which takes its time, and the wrong one some more."""
    hashed = subprocess.run(["openssl", "passwd", "-6", "open-sesame"], capture_output=True, text=True, check=True).stdout.strip()
    (place / "users").write_text(f"ann:{hashed}\n")
    proxy = sockeye(inbound("http", users_file=f'"{place}/users"'))
    sock = dial(proxy.addr())
    for n, secret in enumerate(["open-sesame", password]):
        login = base64.b64encode(f"ann:{secret}".encode()).decode()
        sock.sendall(get(web, f"/length/{n}", f"Proxy-Authorization: Basic {login}\r\n"))
        head = head_of(sock)
        assert head.startswith("HTTP/1.1 200 " if secret == "open-sesame" else "HTTP/1.1 407 ")
    assert len(web.requests) == (2 if password == "open-sesame" else 1)
    assert len(proxy.records(event="login")) == (0 if password == "open-sesame" else 1)


def test_acc_74_no_proxy_header_leaves(sockeye, web, dial):
    sock = dial(sockeye(inbound("http", users=USERS)).addr())
    login = base64.b64encode(":".join(ANN).encode()).decode()
    sock.sendall(get(web, "/length/1", f"Proxy-Authorization: Basic {login}\r\nPROXY-CONNECTION: keep-alive\r\nProxy-Anything: x\r\n"
                                       "Connection: X-Hop\r\nX-Hop: y\r\nKeep-Alive: 3\r\nX-Stays: z\r\n"))
    assert head_of(sock).startswith("HTTP/1.1 200 ")
    (_, _, headers, _, _), = web.requests
    assert {name.lower() for name in headers} == {"host", "x-stays"}


# ---- what is refused ----

@pytest.mark.parametrize("lines", [
    ["Content-Length: 4", "Transfer-Encoding: chunked"], ["Content-Length: 4", "Content-Length: 5"], ["Content-Length: 4, 4"],
    ["Transfer-Encoding: gzip, chunked"], ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], ["Content-Length: +4"],
    ["Content-Length : 4"], [" folded: x"], ["X: a", " b"], ["X: \0"], ["Host: other.test"], ["X: a\nContent-Length: 4"],
    ["Content-Length: 99999999999999999999999"], ["Transfer-Encoding: \x0bchunked"], ["X: a\rb"], ["no colon"], [": x"],
])
@pytest.mark.parametrize("is_first", [True, False])
def test_acc_74_what_can_be_read_in_two_ways_gets_400(sockeye, web, dial, lines, is_first):
    sock = dial(sockeye(inbound("http")).addr())
    if not is_first:
        sock.sendall(get(web, "/length/0"))
        assert head_of(sock).startswith("HTTP/1.1 200 ")
    request = "\r\n".join([f"POST {web.url}digest HTTP/1.1", f"Host: 127.0.0.1:{web.port}", *lines, "", ""])
    sock.sendall(request.encode("latin-1"))
    assert re.match(rb"HTTP/1\.1 400 .*\r\n\r\n[^\r\n]{3,200}\n$", receive_all(sock), re.S)
    assert len(web.requests) == (0 if is_first else 1)


@pytest.mark.parametrize("chunk", ["x\r\n", "-1\r\n", "0x1\r\na\r\n", "1\na\n", "1\r\nab", "1;" + "e" * 20_000 + "\r\n", "fffffffffffffffff\r\n"])
def test_acc_74_bad_chunks_get_400_and_reach_nobody_as_a_whole(sockeye, web, dial, chunk):
    sock = dial(sockeye(inbound("http")).addr())
    sock.sendall(f"POST {web.url}digest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}".encode())
    assert re.match(rb"HTTP/1\.1 400 ", receive_all(sock))
    assert not web.requests


@pytest.mark.parametrize("target,word", [("/", "proxy"), ("*", "proxy"), ("https://127.0.0.1/", "CONNECT"), ("ftp://127.0.0.1/", "CONNECT"),
                                         ("http://", "http://"), ("http://user:pw@127.0.0.1/", "http://")])
def test_targets_that_are_not_for_us_get_400_with_advice(sockeye, dial, target, word):
    sock = dial(sockeye(inbound("http")).addr())
    sock.sendall(f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    text = receive_all(sock).decode()
    assert text.startswith("HTTP/1.1 400 ") and word in text.splitlines()[-1]


@pytest.fixture
def unreachable(dns):
    """A proxy whose targets are each unreachable in another way."""
    names = dns({"nothing.test": Answer()})
    return inbound(deny_targets='["127.0.0.9"]') + names.yaml


@pytest.mark.parametrize("host,status,end", [("127.0.0.1:1", 502, "refused"), ("nothing.test", 502, "lookup"), ("127.0.0.9:80", 403, "denied"),
                                             ("own", 403, "denied"), ("240.0.0.1", 502, "unreachable")])
def test_acc_51_targets_that_cannot_be_reached(sockeye, unreachable, dial, host, status, end):
    proxy = sockeye(unreachable)
    host = f"127.0.0.1:{proxy.port}" if host == "own" else host
    sock = dial(proxy.addr())
    sock.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = receive_all(sock).decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert body.startswith(host if ":" in host else f"{host}:80") and body.count("\n") == 1
    assert proxy.wait_record(event="flow")["end"] == end


def test_acc_39_504_when_connecting_takes_too_long(sockeye, dial):
    """A listener whose queue is full does not answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [dial(full.getsockname())]
        proxy = sockeye(inbound() + "limits: {connect_ms: 300}")
        sock = dial(proxy.addr())
        sock.sendall(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert receive_all(sock).startswith(b"HTTP/1.1 504 ")
        fillers[0].close()


# ---- servers that misbehave ----

OK = b"HTTP/1.1 200 OK\r\n"


def says(*parts, ending="fin", reads=True):
    """A server that answers each request so, and ends."""
    def handler(conn):
        if reads:
            read_head(conn)
        for part in parts:
            conn.sendall(part)
        if ending == "reset":
            time.sleep(0.1)
            reset(conn)
    return handler


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
@pytest.mark.parametrize("parts", [[OK + b"Content-Length: 5\r\n\r\nhell"], [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhell"],
                                   [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
                                   [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"],
                                   [OK + b"Transfer-Encoding: chunked\r\n\r\n20000\r\n" + bytes(0x20000) + b"\r\nzz\r\n"],
                                   [OK + b"Content-Length: 3000000\r\n\r\n" + bytes(2_000_000)]])
def test_an_answer_that_is_cut_never_looks_whole(sockeye, origin, parts, version):
    server = origin(says(*parts))
    done = curl(sockeye(inbound()), version, server.url, check=False)
    assert done.returncode in (18, 56), done


def test_an_answer_up_to_the_end_that_is_reset_never_looks_whole(sockeye, origin):
    server = origin(says(OK + b"\r\nhalf of it", ending="reset"))
    assert curl(sockeye(inbound()), server.url, check=False).returncode == 56


@pytest.mark.parametrize("parts", [[], [b"garbage\r\n\r\n"], [b"HTTP/1.1 200 OK\r\nContent-Le"], [b"HTTP/2.0 200 OK\r\n\r\n"],
                                   [OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"], [OK + b"X : y\r\n\r\n"],
                                   [OK + b"X: a\r\n b\r\n\r\n"], [OK + b"X: y\r\n" * 5000 + b"\r\n"],
                                   [b"HTTP/1.1 101 No\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"], [b"HTTP/1.1 407 No\r\n\r\n"]])
def test_an_answer_that_is_none_gets_502(sockeye, origin, parts):
    server = origin(says(*parts))
    done = curl(sockeye(inbound()), "-i", server.url)
    assert re.match(rb"HTTP/1\.1 502 .*\r\n\r\n127\.0\.0\.1:\d+: [^\r\n]+\n$", done.stdout, re.S), done


def test_a_second_answer_is_given_to_nobody(sockeye, origin, dial):
    server = origin(lambda conn: (says(OK + b"Content-Length: 1\r\n\r\na" + OK + b"Content-Length: 1\r\n\r\nb")(conn), swallow(conn)))
    proxy = sockeye(inbound())
    sock = dial(proxy.addr())
    for i in range(2):
        sock.sendall(get(server))
        head_of(sock)
        assert receive_exactly(sock, 1) == b"a"
    assert len(server.clients) == 2
    assert proxy.wait_record(event="flow")["end"] == "error"


def test_an_early_answer_gets_through(sockeye, web, place):
    (place / "body").write_bytes(bytes(20 * MB))
    done = curl(sockeye(inbound()), "-i", "-H", "Expect:", "-T", place / "body", web.url + "early")
    assert done.stdout.startswith(b"HTTP/1.1 413 ") and done.stdout.endswith(b"large")


def test_a_server_of_http_1_0_that_knows_no_expect(sockeye, origin):
    def handler(conn):
        head = read_head(conn)
        body = head.partition(b"\r\n\r\n")[2]
        while len(body) < 5:
            body += conn.recv(100)
        conn.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)
    server = origin(handler)
    done = curl(sockeye(inbound()), "-H", "Expect: 100-continue", "-d", "hello", server.url)
    assert done.stdout == b"hello"


def test_a_server_that_answers_one_byte_at_a_time(sockeye, origin):
    def handler(conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_head(conn)
        for byte in OK + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n":
            conn.sendall(bytes([byte]))
            time.sleep(0.0005)
    assert curl(sockeye(inbound()), origin(handler).url).stdout == b"hello"


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", b"Content-Length: 1000000\r\n\r\nfirst", b"\r\nfirst"])
def test_the_first_byte_of_a_streamed_answer_comes_at_once(sockeye, origin, dial, framing):
    may_go_on = threading.Event()

    def handler(conn):
        read_head(conn)
        conn.sendall(OK + framing)
        may_go_on.wait(20 * SLOWNESS)
    server = origin(handler)
    sock = dial(sockeye(inbound()).addr())
    sock.sendall(get(server))
    head_of(sock)
    receive_exactly(sock, framing.index(b"first") + 5 - framing.index(b"\r\n\r\n") - 4 if b"\r\n\r\n" in framing else 5)
    assert not may_go_on.is_set()
    may_go_on.set()


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_memory_is_bounded_while_clients_do_not_read(sockeye, origin, dial, framing):
    def handler(conn):
        read_head(conn)
        conn.sendall(OK + {"chunked": b"Transfer-Encoding: chunked\r\n\r\n", "length": b"Content-Length: 99999999999\r\n\r\n",
                           "close": b"\r\n"}[framing])
        part = b"1000\r\n" + bytes(4096) + b"\r\n" if framing == "chunked" else bytes(4102)
        conn.settimeout(1.5)
        try:
            while True:
                conn.sendall(part * 16)
        except TimeoutError:
            return
    server, proxy = origin(handler), sockeye(inbound())
    before = proc.rss_bytes(proxy.pid)
    socks = [dial(proxy.addr()) for _ in range(40)]
    for sock in socks:
        sock.sendall(get(server))
    for _ in socks:
        server.result(30)
    assert proc.rss_bytes(proxy.pid) - before < (40 * 64 * 1024 + 2 * MB) * SLOWNESS


# ---- time ----

def test_acc_50_a_server_that_says_nothing_gets_504_after_idle_ms(sockeye, origin):
    server = origin(swallow)
    proxy = sockeye(inbound() + "limits: {idle_ms: 400}")
    done = curl(proxy, "-i", server.url)
    assert done.stdout.startswith(b"HTTP/1.1 504 ")
    assert proxy.wait_record(event="flow")["end"] == "idle"


def test_acc_50_a_second_head_that_drips_is_given_handshake_ms(sockeye, web, dial):
    proxy = sockeye(inbound() + "limits: {handshake_ms: 500}")
    sock = dial(proxy.addr())
    sock.sendall(get(web, "/length/0"))
    head_of(sock)
    time.sleep(0.7)    # between requests nothing is urgent
    begin = time.monotonic()
    try:
        for byte in get(web, "/length/0") * 100:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass
    assert 0.4 < time.monotonic() - begin < 9 * SLOWNESS
    assert len(web.requests) == 1


# ---- the end, and new rules ----

@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_an_idle_kept_connection_ends_with_the_rules_that_admitted_it(sockeye, web, dial, how):
    proxy = sockeye(inbound() + "limits: {drain_s: 600}")
    idle, busy = dial(proxy.addr()), dial(proxy.addr())
    for sock in (idle, busy):
        sock.sendall(get(web, "/length/0"))
        assert "keep-alive" in head_of(sock)
    busy.sendall(f"POST {web.url}digest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na".encode())
    time.sleep(0.2)
    proxy.process.send_signal(how)
    assert idle.recv(1) == b""
    busy.sendall(b"b")
    assert "close" in head_of(busy)
    receive_exactly(busy, 64)
    assert busy.recv(1) == b""
    idle.close()
    busy.close()
    if how == signal.SIGTERM:
        assert proxy.process.wait(10 * SLOWNESS) == 0
    else:
        assert curl(proxy, web.url + "length/5").stdout == body_of(5)


# ---- upgrade ----

def test_a_websocket_by_upgrade(sockeye, dial, spawn, place):
    port, proxy = start_websocket(spawn, place), sockeye(inbound())
    sock = dial(proxy.addr())
    sock.sendall(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    head = head_of(sock)
    assert head.startswith("HTTP/1.1 101 ") and "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    for size in (5, 125):
        text = b"x" * size
        sock.sendall(bytes([0x81, 0x80 | size, 0, 0, 0, 0]) + text)
        assert receive_exactly(sock, 2 + size) == bytes([0x81, size]) + text
