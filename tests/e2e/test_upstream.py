"""Upstream proxies: other people's behind us, ours behind ours in a chain, and what of their answers reaches clients."""

import shutil
import socket
import subprocess
import time

import pytest

from configs import ANN, USERS, inbound
from harness import network, proc
from harness.beside import in_thread
from harness.binary import SLOWNESS
from harness.client import (BIND, GRANTED, UDP_ASSOCIATE, http_connect, open_flow, receive_all, receive_exactly, receive_socks5_reply,
                            socks4_request, socks5, socks5_address)
from harness.dnsserver import Answer
from harness.origin import http_page, speak_first
from harness.pattern import receive_end, receive_pattern, send_and_end, send_pattern
from harness.services import OTHERS, free_port, is_listening
from harness.wait import until

PAGE = b"a page of the origin\n" * 5000
MB = 1 << 20


def upstream(type, port, host="127.0.0.1", name="up", **keys):
    keys = "".join(f", {key}: {value}" for key, value in keys.items())
    return f'  - {{name: {name}, type: {type}, server: "{host}:{port}"{keys}}}\n'


def behind(*outbounds, dns=None, **keys):
    """A mixed inbound whose flows take the first of these outbounds."""
    return inbound(**keys) + "outbounds:\n" + "".join(outbounds) + (dns.yaml if dns else "")


def login(user):
    return {"username": user[0], "password": user[1]}


def curl(*argv, check=True):
    done = subprocess.run(["curl", "-sS", "--max-time", str(30 * SLOWNESS), *map(str, argv)], capture_output=True)
    if check:
        assert done.returncode == 0, (done.args, done.stderr.decode(errors="replace"))
    return done


@pytest.fixture
def nobody(dns):
    """A DNS server that no name may be asked of."""
    server = dns({})
    yield server
    assert server.queries == []


# Other people's proxies

@pytest.mark.parametrize("scheme", ["socks4a", "socks5h", "http"])
@pytest.mark.parametrize("which", OTHERS)
def test_acc_61_curl_through_us_and_another_proxy(sockeye, origin, nobody, other, which, scheme):
    """The name is the other one's to look up."""
    type, port, keys = other(which)
    server = origin(http_page(PAGE))
    proxy = sockeye(behind(upstream(type, port, **keys), dns=nobody))
    assert curl("-p", "-x", f"{scheme}://127.0.0.1:{proxy.port}", f"http://localhost:{server.port}/").stdout == PAGE
    record = proxy.wait_record(event="flow")
    assert (record["out"], record["to"], record["addr"]) == ("up", f"localhost:{server.port}", f"127.0.0.1:{port}")
    assert int(record["down"]) > len(PAGE) and record["end"] == "closed"


@pytest.mark.parametrize("which", OTHERS)
def test_acc_61_bulk_through_another_proxy_both_ways_at_once(sockeye, origin, dial, other, which):
    """Without a fin before all is there: most of them drop both directions at the first one."""
    type, port, keys = other(which)
    n = 8 * MB

    def handler(conn):
        join = in_thread(send_pattern, conn, n, 1)
        receive_pattern(conn, n)
        join()
        receive_exactly(conn, 1)
    server = origin(handler)
    proxy = sockeye(behind(upstream(type, port, **keys)))
    sock = dial(proxy.addr(), timeout=30)
    assert socks5(sock, "127.0.0.1", server.port).code == 0
    join = in_thread(send_pattern, sock, n, 0)
    receive_pattern(sock, n, 1)
    join()
    sock.sendall(b"!")
    server.result()


@pytest.mark.parametrize("which,type", [("microsocks-login", "socks"), ("tinyproxy-login", "http")])
@pytest.mark.parametrize("keys", [{}, login(("ann", "wrong"))], ids=["none", "wrong"])
def test_acc_61_a_login_that_is_refused_is_our_failure_and_said(sockeye, dial, other, which, type, keys):
    """Not our client's: it is not told to log in."""
    port = other(which)[1]
    proxy = sockeye(behind(upstream(type, port, **keys)))
    for _ in range(3):
        assert socks5(dial(proxy.addr()), "127.0.0.1", 9).code == 1
        assert http_connect(dial(proxy.addr()), "127.0.0.1", 9).status == 502
    record = proxy.wait_record(event="upstream")
    assert (record["level"], record["out"], record["server"]) == ("warn", "up", f"127.0.0.1:{port}")
    assert "login" in record["why"] and "wrong" not in proxy.text
    assert len(proxy.records(event="upstream")) == 1


# Ours behind ours

@pytest.fixture
def chain(sockeye, nobody, dns):
    """socks with a login, http with a login, socks: each a process of its own, and who is asked enters by them in turn.

    Returns (the entrance, the three). Only the last may look names up.
    """
    names = dns({"origin.test": Answer(a=["127.0.0.1"])})
    hops = [sockeye(inbound("socks", users=USERS) + nobody.yaml),
            sockeye(inbound("http", users=USERS) + nobody.yaml), sockeye(inbound("socks") + names.yaml)]
    entrance = sockeye(behind(upstream("socks", hops[2].port, name="three", via="two"),
                              upstream("http", hops[1].port, name="two", via="one", **login(ANN)),
                              upstream("socks", hops[0].port, name="one", **login(ANN)), dns=nobody))
    yield entrance, hops


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
def test_acc_61_three_in_a_chain_and_the_last_asks_dns(chain, origin, scheme):
    entrance, hops = chain
    server = origin(http_page(PAGE))
    assert curl("-p", "-x", f"{scheme}://127.0.0.1:{entrance.port}", f"http://origin.test:{server.port}/").stdout == PAGE
    targets = [f"127.0.0.1:{hops[1].port}", f"127.0.0.1:{hops[2].port}", f"origin.test:{server.port}"]
    for hop, target in zip(hops, targets):
        assert hop.wait_record(event="flow")["to"] == target
    record = entrance.wait_record(event="flow")
    assert (record["out"], record["to"], record["addr"]) == ("three", f"origin.test:{server.port}", f"127.0.0.1:{hops[0].port}")


def test_acc_61_a_target_that_speaks_first_through_a_chain(chain, origin, dial):
    entrance, _ = chain
    n = 3 * MB
    server = origin(speak_first(n))
    for protocol in ("socks5", "http", "socks4"):
        sock = dial(entrance.addr(), timeout=30)
        assert open_flow(sock, protocol, "origin.test", server.port) == GRANTED[protocol]
        receive_pattern(sock, n)
        sock.close()


def test_acc_61_a_hundred_megabytes_through_a_chain_are_spliced_and_identical(chain, origin, dial):
    entrance, _ = chain
    n = 100 * MB
    server = origin(speak_first(n))
    at_rest = len(proc.pipes(entrance.pid))
    sock = dial(entrance.addr(), timeout=60)
    assert socks5(sock, "origin.test", server.port).code == 0
    receive_pattern(sock, n // 2)
    until(lambda: len(proc.pipes(entrance.pid)) > at_rest, "a pipe, which is what bulk goes through")
    receive_pattern(sock, n - n // 2, start=n // 2)
    receive_end(sock)
    sock.close()
    assert entrance.wait_record(event="flow")["down"] == str(n)


def test_acc_61_half_closes_pass_through_a_chain(chain, origin, dial):
    def answer_at_the_end(conn):
        receive_pattern(conn, 1000)
        receive_end(conn)
        conn.sendall(b"late")
    entrance, _ = chain
    server = origin(answer_at_the_end)
    sock = dial(entrance.addr())
    assert socks5(sock, "origin.test", server.port).code == 0
    send_and_end(sock, 1000)
    assert receive_exactly(sock, 4) == b"late"
    receive_end(sock)


@pytest.mark.parametrize("host,code,status", [("127.0.0.1", 5, 502), (network.NO_HOST4, 4, 502), (network.NO_NET4, 3, 502),
                                              ("missing.test", 4, 502), ("224.0.0.1", 2, 403)])
def test_acc_61_what_the_last_one_answers_comes_out_at_the_client(sockeye, dns, dial, host, code, status):
    """By SOCKS the code as it is."""
    network.need_own_network()
    last = sockeye(inbound("mixed") + dns({}).yaml)
    first = sockeye(behind(upstream("socks", last.port), allow_targets='["224.0.0.0/4"]'))
    port = free_port()
    assert socks5(dial(first.addr()), host, port).code == code
    assert http_connect(dial(first.addr()), host, port).status == status
    last.wait_record(2, event="flow", to=f"{host}:{port}")


def test_acc_61_http_forwarding_through_a_chain(chain, origin):
    """Two messages of one client, each by a connection through all of them, or both by one."""
    entrance, hops = chain
    server = origin(http_page(PAGE))
    url = f"http://origin.test:{server.port}/"
    assert curl("-x", f"http://127.0.0.1:{entrance.port}", url, url).stdout == PAGE * 2
    assert {record["to"] for record in hops[2].wait_record(2, event="flow")} == {f"origin.test:{server.port}"}


# Datagrams, by the upstream's own UDP ASSOCIATE

@pytest.fixture
def udp_echo():
    """Answers each datagram with itself, turned around; returns its port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]

    def serve():
        while (got := sock.recvfrom(65536))[0] != b"end":
            sock.sendto(got[0][::-1], got[1])
    join = in_thread(serve)
    yield port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"end", ("127.0.0.1", port))
    join()
    sock.close()


@pytest.fixture
def udp_client(dial):
    """udp_client(proxy) -> ask(host, port, payload), which returns what comes back, header and all."""
    opened = []

    def start(proxy):
        relay = socks5(dial(proxy.addr()), "0.0.0.0", 0, command=UDP_ASSOCIATE)
        assert relay.code == 0
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(5 * SLOWNESS)
        opened.append(sock)

        def ask(host, port, payload):
            sock.sendto(b"\0\0\0" + socks5_address(host, port) + payload, (relay.host, relay.port))
            return sock.recv(65536)
        return ask
    yield start
    for sock in opened:
        sock.close()


ON = "{enabled: true}"


def test_acc_60_acc_61_datagrams_through_ours_behind_ours(sockeye, nobody, dns, udp_echo, udp_client):
    """Names are the last one's to look up, and answers come from them by these names."""
    names = dns({"origin.test": Answer(a=["127.0.0.1"])})
    last = sockeye(inbound("socks", users=USERS, udp=ON) + names.yaml)
    first = sockeye(behind(upstream("socks", last.port, **login(ANN)), dns=nobody, udp=ON))
    ask = udp_client(first)
    for host in ("127.0.0.1", "origin.test"):
        for payload in (b"hello", b"", bytes(range(256)) * 100):
            assert ask(host, udp_echo, payload) == b"\0\0\0" + socks5_address(host, udp_echo) + payload[::-1]


def test_acc_60_acc_61_datagrams_through_dante(sockeye, other, udp_echo, udp_client):
    type, port, keys = other("danted")
    proxy = sockeye(behind(upstream(type, port, **keys), udp=ON))
    answer = udp_client(proxy)("127.0.0.1", udp_echo, b"hello")
    assert answer == b"\0\0\0" + socks5_address("127.0.0.1", udp_echo) + b"olleh"


def test_acc_60_acc_61_an_association_finds_its_way_again_when_the_upstream_is_back(sockeye, udp_echo, udp_client):
    port = free_port()
    config = inbound("socks", listen=f'"127.0.0.1:{port}"', udp=ON)
    last = sockeye(config)
    first = sockeye(behind(upstream("socks", port), udp=ON))
    ask = udp_client(first)
    assert ask("127.0.0.1", udp_echo, b"one").endswith(b"eno")
    last.stop()
    sockeye(config)

    def is_answered():
        try:
            return ask("127.0.0.1", udp_echo, b"two").endswith(b"owt")
        except (TimeoutError, ConnectionError):
            return False
    until(is_answered, "an answer by the new upstream", timeout=30)


def test_acc_60_acc_61_bind_through_ours_behind_ours_and_a_chain(sockeye, dial):
    """Both answers are the last one's: where it listens, and whom it has."""
    hops = [sockeye(inbound("socks", bind=ON, users=USERS)), sockeye(inbound("mixed", bind=ON))]
    first = sockeye(behind(upstream("socks", hops[1].port, name="two", via="one"),
                           upstream("socks", hops[0].port, name="one", **login(ANN)),
                           bind="{enabled: true, advertise: 192.0.2.1}"))    # for what listens here
    sock = dial(first.addr())
    where = socks5(sock, "127.0.0.2", 20, command=BIND)
    assert (where.code, where.host) == (0, "127.0.0.1")
    peer = dial((where.host, where.port), "127.0.0.2")
    who = receive_socks5_reply(sock)
    assert (who.code, who.host, who.port) == (0, *peer.getsockname())
    peer.sendall(b"220 ready\r\n")
    assert receive_exactly(sock, 11) == b"220 ready\r\n"
    sock.sendall(b"QUIT\r\n")
    assert receive_exactly(peer, 6) == b"QUIT\r\n"
    peer.close()
    sock.close()
    assert hops[1].wait_record(event="flow")["addr"] == f"{who.host}:{who.port}"


# An upstream on a script

def socks5_upstream(code, then=lambda conn: None):
    def handler(conn):
        receive_exactly(conn, 3)
        conn.sendall(b"\5\0")
        receive_exactly(conn, 10)
        conn.sendall(bytes([5, code, 0, 1, 192, 0, 2, 9, 0x12, 0x34]))
        then(conn)
    return handler


@pytest.mark.parametrize("code", range(1, 9))
def test_acc_61_each_code_of_socks5_is_passed_on(sockeye, origin, dial, code):
    proxy = sockeye(behind(upstream("socks", origin(socks5_upstream(code)).port)))
    assert socks5(dial(proxy.addr()), "192.0.2.77", 80).code == code
    http = {2: 403, 7: 405}
    assert http_connect(dial(proxy.addr()), "192.0.2.77", 80).status == http.get(code, 502)
    assert open_flow(dial(proxy.addr()), "socks4", "192.0.2.77", 80) == 91
    assert proxy.records(event="upstream") == []


@pytest.mark.parametrize("status,code,passed_on", [(403, 2, 403), (407, 1, 502), (502, 4, 502), (503, 4, 502), (504, 4, 504),
                                                   (301, 1, 502), (500, 1, 502)])
def test_acc_61_each_status_of_http_has_its_answer(sockeye, origin, dial, status, code, passed_on):
    def after_the_head(conn):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += receive_exactly(conn, 1)
        conn.sendall(b"HTTP/1.1 %d Because\r\nContent-Length: 4\r\nProxy-Authenticate: Basic\r\n\r\nbody" % status)
    proxy = sockeye(behind(upstream("http", origin(after_the_head).port)))
    assert socks5(dial(proxy.addr()), "192.0.2.77", 80).code == code
    reply = http_connect(dial(proxy.addr()), "192.0.2.77", 80)
    assert reply.status == passed_on and "proxy-authenticate" not in reply.headers


def test_acc_61_the_bound_address_is_the_upstreams(sockeye, origin, dial):
    proxy = sockeye(behind(upstream("socks", origin(socks5_upstream(0)).port)))
    reply = socks5(dial(proxy.addr()), "192.0.2.77", 80)
    assert (reply.host, reply.port) == ("192.0.2.9", 0x1234)


def test_an_answer_that_comes_before_its_request_is_nobody_s(sockeye, origin, dial):
    def handler(conn):
        receive_exactly(conn, 3)
        conn.sendall(b"\5\0")
        receive_exactly(conn, 10)
        conn.sendall(bytes([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + b"HTTP/1.1 200 OK\r\nContent-Le")
        while conn.recv(4096):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy = sockeye(behind(upstream("socks", origin(handler).port)))
    sock = dial(proxy.addr())
    sock.sendall(b"GET http://192.0.2.77/ HTTP/1.1\r\nHost: 192.0.2.77\r\n\r\n")
    assert receive_all(sock).startswith(b"HTTP/1.1 502 ")


def test_acc_61_bytes_of_the_target_in_the_segment_of_the_answer_are_not_lost(sockeye, origin, dial):
    def handler(conn):
        receive_exactly(conn, 3)
        conn.sendall(b"\5\0")
        receive_exactly(conn, 10)
        conn.sendall(bytes([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + b"SSH-2.0-early\r\n")
        assert receive_exactly(conn, 4) == b"ping"
        conn.sendall(b"pong")
    server = origin(handler)
    proxy = sockeye(behind(upstream("socks", server.port)))
    for protocol in GRANTED:
        sock = dial(proxy.addr())
        assert open_flow(sock, protocol, "192.0.2.77", 80) == GRANTED[protocol]
        assert receive_exactly(sock, 15) == b"SSH-2.0-early\r\n"
        sock.sendall(b"ping")
        assert receive_exactly(sock, 4) == b"pong"
        sock.close()
        server.result()


@pytest.mark.parametrize("reaction", ["closes", "says no", "waits"])
def test_acc_61_an_upstream_that_speaks_socks4a_alone(sockeye, origin, nobody, dial, reaction):
    """It is asked by SOCKS5 first, and not again once it has answered by SOCKS4."""
    seen = []

    def handler(conn):
        first = receive_exactly(conn, 1)
        seen.append(first)
        if first != b"\4":
            if reaction == "says no":
                conn.sendall(b"\0\x5b" + bytes(6))
            if reaction == "waits":
                assert conn.recv(100) != b""
                assert conn.recv(100) == b""    # for a request as long as SOCKS4's
            return
        request = socks4_request("origin.test", 80)
        assert first + receive_exactly(conn, len(request) - 1) == request
        conn.sendall(b"\0\x5a\x12\x34\xc0\0\2\x09")
        conn.sendall(conn.recv(100))
    proxy = sockeye(behind(upstream("socks", origin(handler).port), dns=nobody))
    for _ in range(3):
        sock = dial(proxy.addr())
        assert socks5(sock, "origin.test", 80).code == 0
        sock.sendall(b"ping")
        assert receive_exactly(sock, 4) == b"ping"
    assert seen == [b"\5", b"\4", b"\4", b"\4"]


def test_acc_61_an_upstream_that_is_not_there(sockeye, origin, dial):
    """That is not the target's refusal."""
    proxy = sockeye(behind(upstream("socks", free_port())))
    assert socks5(dial(proxy.addr()), "192.0.2.77", 80).code == 1
    assert http_connect(dial(proxy.addr()), "192.0.2.77", 80).status == 502
    record = proxy.wait_record(event="upstream")
    assert (record["out"], record["why"]) == ("up", "connection refused")


@pytest.mark.parametrize("type", ["socks", "http"])
def test_acc_61_a_silent_upstream_is_given_up_in_time(sockeye, origin, dial, type):
    """connect_ms covers the way to the upstream, and all that is said with it."""
    def drip(conn):
        while True:
            conn.sendall(b"\5" if type == "socks" else b"H")
            time.sleep(60)
    config = behind(upstream(type, origin(drip).port, **login(ANN))) + "limits: {connect_ms: 700}\n"
    proxy = sockeye(config)
    began = time.monotonic()
    assert socks5(dial(proxy.addr()), "192.0.2.77", 80).code == 4
    assert 0.6 < time.monotonic() - began < 7 * SLOWNESS    # 8 s by default
    assert http_connect(dial(proxy.addr()), "192.0.2.77", 80).status == 504
    assert proxy.wait_record(event="flow")["end"] == "timeout"


def test_acc_61_own_listeners_and_denied_addresses_are_not_asked_for(sockeye, origin, dial):
    server = origin(socks5_upstream(0))
    proxy = sockeye(behind(upstream("socks", server.port), deny_targets='["192.0.2.0/24"]'))
    assert socks5(dial(proxy.addr()), "127.0.0.1", proxy.port).code == 2
    assert socks5(dial(proxy.addr()), "192.0.2.77", 80).code == 2
    assert server.clients == []


def test_acc_61_the_name_of_the_server_is_looked_up_and_no_other(sockeye, origin, dns, dial):
    names = dns({"up.test": Answer(a=["127.0.0.1"])})
    server = origin(lambda conn: (receive_exactly(conn, 3), conn.sendall(b"\5\0"), conn.recv(300), conn.sendall(b"\5\5")))
    proxy = sockeye(behind(upstream("socks", server.port, host="up.test"), dns=names))
    for _ in range(3):
        assert socks5(dial(proxy.addr()), "origin.test", 80).code == 5
    assert {query.name for query in names.queries} == {"up.test"}


# Other people's clients, with two of ours in a chain of their own making

def test_acc_61_proxychains_through_two_of_ours(sockeye, origin, place):
    one, two, server = sockeye(inbound()), sockeye(inbound()), origin(http_page(PAGE))
    (place / "proxychains.conf").write_text(
        f"strict_chain\nquiet_mode\n[ProxyList]\nsocks5 127.0.0.1 {one.port}\nhttp 127.0.0.1 {two.port}\n")
    done = subprocess.run(["proxychains4", "-f", place / "proxychains.conf", "curl", "-sS", server.url], capture_output=True, timeout=60)
    assert done.stdout == PAGE, done.stderr
    assert one.wait_record(event="flow")["to"] == f"127.0.0.1:{two.port}"


def test_acc_61_curl_with_a_preproxy_through_two_of_ours(sockeye, origin):
    one, two, server = sockeye(inbound()), sockeye(inbound(users=USERS)), origin(http_page(PAGE))
    done = curl("-p", "--preproxy", f"socks5h://127.0.0.1:{one.port}", "-x", f"http://{':'.join(ANN)}@127.0.0.1:{two.port}", server.url)
    assert done.stdout == PAGE
    assert one.wait_record(event="flow")["to"] == f"127.0.0.1:{two.port}"


def test_acc_61_privoxy_forwards_by_ours(sockeye, origin, spawn, place):
    proxy, server, port = sockeye(inbound()), origin(http_page(PAGE)), free_port()
    (place / "privoxy.conf").write_text(f"confdir /etc/privoxy\nlogdir {place}\nlisten-address 127.0.0.1:{port}\n"
                                        f"forward-socks5t / 127.0.0.1:{proxy.port} .\n")
    spawn([shutil.which("privoxy", path="/usr/sbin:/usr/bin"), "--no-daemon", place / "privoxy.conf"])
    until(lambda: is_listening(port), "privoxy")
    assert curl("-p", "-x", f"http://127.0.0.1:{port}", server.url).stdout == PAGE
    assert proxy.wait_record(event="flow")["to"] == f"127.0.0.1:{server.port}"
