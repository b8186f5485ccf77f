"""What the log says of each flow, in which form and to which place; and what it must never say."""

import base64
import calendar
import json
import re
import socket
import time

import pytest

from configs import ANN, USERS, inbound
from harness import network
from harness.client import http_connect, receive_exactly, receive_http_reply, socks4, socks5, socks5_login
from harness.dnsserver import Answer
from harness.origin import echo, speak_first
from harness.pattern import receive_end, receive_pattern
from harness.sandbox import private_dev, with_private
from harness.wait import until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def one_flow(proxy, dial, host, port, login=None, up=b"x" * 517, down=1203):
    """Sends up, receives down bytes and closes; returns the client's address as the log writes it."""
    sock = dial(proxy.addr())
    assert socks5(sock, host, port, login).code == 0
    sock.sendall(up)
    receive_exactly(sock, down)
    name = "%s:%d" % sock.getsockname()
    sock.close()
    return name


def answer_517_with_1203(conn):
    receive_exactly(conn, 517)
    conn.sendall(bytes(1203))
    conn.recv(1)


def test_acc_13_the_access_line_is_exact_in_text(sockeye, origin, dns, dial):
    server, names = origin(answer_517_with_1203), dns({"origin.test": Answer(a=["127.0.0.1"])})
    proxy = sockeye(inbound(users=USERS, outbound="home") + "outbounds:\n  - {type: direct, name: home}\n" + names.yaml)
    client = one_flow(proxy, dial, "origin.test", server.port, ANN)
    until(lambda: any(" flow " in line for line in proxy.lines), "the access line")
    line = next(line for line in proxy.lines if " flow " in line)
    assert re.fullmatch(rf"{STAMP} info flow in=lan out=home user=ann from={client} to=origin\.test:{server.port} "
                        rf"addr=127\.0\.0\.1:{server.port} up=517 down=1203 ms=\d+ end=closed", line)
    assert -2 < time.time() - seconds(line[:19]) < 60


def seconds(text):
    """2026-11-21T09:49:33, in UTC, as time.time() counts."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def test_acc_13_what_does_not_apply_is_absent(sockeye, origin, dial):
    server = origin(answer_517_with_1203)
    proxy = sockeye(inbound())
    client = one_flow(proxy, dial, "127.0.0.1", server.port)
    line = proxy.wait_record(event="flow")["text"]
    assert re.fullmatch(rf"flow in=lan out=direct from={client} to=127\.0\.0\.1:{server.port} addr=127\.0\.0\.1:{server.port} "
                        r"up=517 down=1203 ms=\d+ end=closed", line)


def test_acc_13_ipv6_addresses_stand_in_brackets(sockeye, origin, dial):
    server = origin(answer_517_with_1203, "::1")
    proxy = sockeye(inbound())
    one_flow(proxy, dial, "::1", server.port)
    line = proxy.wait_record(event="flow")
    assert line["to"] == line["addr"] == f"[::1]:{server.port}"


def test_acc_13_json_has_the_same_names(sockeye, origin, dial):
    server = origin(answer_517_with_1203)
    proxy = sockeye(inbound(users=USERS) + "log: {format: json}")
    client = one_flow(proxy, dial, "127.0.0.1", server.port, ANN)
    assert socks5_login(dial(proxy.addr()), "ann", 'wr"ong') != 0
    line = proxy.wait_record(event="flow")
    assert re.fullmatch(STAMP, line["time"]) and line["level"] == "info" and isinstance(line["ms"], int)
    assert {key: value for key, value in line.items() if key not in ("time", "ms")} == {
        "level": "info", "event": "flow", "in": "lan", "out": "direct", "user": "ann", "from": client,
        "to": f"127.0.0.1:{server.port}", "addr": f"127.0.0.1:{server.port}", "up": 517, "down": 1203, "end": "closed"}
    login = proxy.wait_record(event="login")
    assert (login["level"], login["user"], login["method"]) == ("warn", "ann", "socks5")
    # Whatever is not one of the two announcements is JSON, each line by itself.
    for text in proxy.lines:
        if not text.startswith("sockeye: "):
            json.loads(text)


def test_acc_13_a_name_with_odd_characters_stays_one_field_on_one_line(sockeye, dns, dial):
    """A SOCKS name may hold any byte but NUL; the log is read by people and by filters."""
    names = dns({})
    for format in ("text", "json"):
        proxy = sockeye(inbound() + names.yaml + f"\nlog: {{format: {format}}}")
        assert socks5(dial(proxy.addr()), 'a" end=closed\n\x1b[31mb', 80).code != 0
        until(lambda: proxy.log, "a line")
        proxy.stop()
        assert "\x1b" not in proxy.text
        assert all(line.startswith(("sockeye: ", "{", "20")) for line in proxy.lines), proxy.lines
        assert not proxy.records(end="closed")


@pytest.mark.parametrize("log,has_flow", [("{access: true}", True), ("{access: false}", False), ("{level: info}", True),
                                          ("{level: warn}", False), ("{level: error}", False), ("{level: debug}", True)])
def test_acc_56_level_and_access_decide_what_is_said(sockeye, origin, dial, log, has_flow):
    server = origin(answer_517_with_1203)
    proxy = sockeye(inbound() + f"log: {log}")
    one_flow(proxy, dial, "127.0.0.1", server.port)
    server.result()
    if has_flow:
        proxy.wait_record(event="flow")
    proxy.stop()
    assert bool(proxy.records(event="flow")) == has_flow
    assert "sockeye: ready" in proxy.lines


def test_acc_56_verbosity_says_more_for_each_v(sockeye, origin, dial):
    """As -v does on the command line: the seed's option, given once and twice."""
    server, said = origin(answer_517_with_1203), []
    for options in ([], ["-v"], ["-v", "-v"]):
        proxy = sockeye(argv=["socks", "-p", "0", *options])
        one_flow(proxy, dial, "127.0.0.1", server.port)
        proxy.wait_record(event="flow")
        proxy.stop()
        said.append(len(proxy.log))
    assert said[0] <= said[1] <= said[2] and said[0] < said[2]


@pytest.mark.parametrize("level", ["info", "debug", "trace"])
def test_acc_37_no_password_and_no_payload_is_ever_logged(sockeye, origin, dns, dial, level):
    server, names = origin(echo), dns({"origin.test": Answer(a=["127.0.0.1"])})
    secrets = ["hunter2-right", "hunter3-wrong", "payload-of-the-client", "bearer-of-bad-news"]
    proxy = sockeye(inbound(users="[{name: ann, password: hunter2-right}]") + names.yaml + f"\nlog: {{level: {level}}}")
    sock = dial(proxy.addr())
    assert socks5(sock, "origin.test", server.port, ("ann", "hunter2-right")).code == 0
    sock.sendall(b"payload-of-the-client")
    receive_exactly(sock, 21)
    sock.close()
    assert socks5_login(dial(proxy.addr()), "ann", "hunter3-wrong") != 0
    assert http_connect(dial(proxy.addr()), *server.addr, login=("ann", "hunter2-right")).status == 200
    assert http_connect(dial(proxy.addr()), *server.addr, login=("ann", "hunter3-wrong")).status == 407
    sock = dial(proxy.addr())
    sock.sendall(b"CONNECT bad HTTP/1.1\r\nProxy-Authorization: Bearer bearer-of-bad-news\r\n\r\n")
    assert receive_http_reply(sock).status == 407
    assert socks4(dial(proxy.addr()), *server.addr, user=b"hunter3-wrong") == 91
    proxy.wait_record(2, event="login")
    proxy.stop()
    for secret in secrets:
        assert secret not in proxy.text
    for login in ("ann:hunter2-right", "ann:hunter3-wrong"):
        assert base64.b64encode(login.encode()).decode() not in proxy.text


@pytest.fixture
def syslog(place):
    """A /dev/log of the test's own: (prefix for the program, received messages)."""
    network.need_own_network()
    dev = private_dev(place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(dev / "log"))
        (dev / "log").chmod(0o666)
        sock.setblocking(False)
        received = []

        def messages():
            while True:
                try:
                    received.append(sock.recv(8192).decode())
                except BlockingIOError:
                    return received
        yield with_private("/dev", dev), messages


def test_acc_56_syslog_gets_the_lines_with_facility_level_and_name(sockeye, origin, dial, syslog):
    prefix, messages = syslog
    server = origin(answer_517_with_1203)
    proxy = sockeye(inbound(users=USERS) + "log: {to: syslog}", prefix=prefix)
    one_flow(proxy, dial, "127.0.0.1", server.port, ANN)
    assert socks5_login(dial(proxy.addr()), "ann", "wrong") != 0
    flow, login = (until(lambda: next((m for m in messages() if event in m), None), event) for event in ("flow in=lan", "login in=lan"))
    # <facility * 8 + severity>: daemon (3), info (6) and warning (4).
    assert flow.startswith("<30>") and login.startswith("<28>")
    assert "sockeye" in flow.split("flow in=lan")[0]
    assert not proxy.records(event="flow")


def test_acc_56_option_s_of_the_seed_logs_to_syslog(sockeye, origin, dial, syslog, osocks):
    prefix, messages = syslog
    server = origin(answer_517_with_1203)
    proxy = sockeye(argv=["-l", "127.0.0.1", "-p", "0", "-s"], program=osocks, prefix=prefix)
    one_flow(proxy, dial, "127.0.0.1", server.port)
    until(lambda: any("flow " in m for m in messages()), "the flow's line")


def test_acc_56_a_missing_syslog_stops_nothing(sockeye, origin, dial, place):
    network.need_own_network()
    server = origin(answer_517_with_1203)
    proxy = sockeye(inbound() + "log: {to: syslog}", prefix=with_private("/dev", private_dev(place)))
    one_flow(proxy, dial, "127.0.0.1", server.port)
    one_flow(proxy, dial, "127.0.0.1", server.port)


def test_acc_67_a_syslog_that_reads_nothing_stops_nothing(sockeye, dial, origin, syslog):
    prefix, messages = syslog
    server = origin(speak_first(10))
    proxy = sockeye(inbound() + "log: {to: syslog}", prefix=prefix)
    for _ in range(1000):
        sock = dial(proxy.addr())
        assert socks5(sock, *server.addr).code == 0
        receive_pattern(sock, 10)
        receive_end(sock)
        sock.close()
    assert len(messages()) < 1000


def test_the_time_in_the_log_is_utc_whatever_the_zone(sockeye, origin, dial):
    server = origin(answer_517_with_1203)
    proxy = sockeye(inbound(), env={"TZ": "JST-9"})
    one_flow(proxy, dial, "127.0.0.1", server.port)
    assert abs(seconds(proxy.wait_record(event="flow")["time"][:19]) - time.time()) < 120
