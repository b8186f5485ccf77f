"""sockeye ping and sockeye speedtest: what they measure, and what they say where there is nothing to measure."""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from harness import client
from harness.binary import BIN, SLOWNESS
from harness.client import receive_all, receive_exactly
from harness.origin import echo
from harness.program import environment, run_cli
from harness.services import free_port
from harness.wait import until

OTHER_KEY = "AAECAwQFBgcICQoLDA0ODw=="
LAN = '  - {type: mixed, name: lan, listen: "127.0.0.1:0", outbound: home}\n'


def far(port, key, more="", name="far"):
    return f'  - {{type: tunnel, name: {name}, listen: "127.0.0.1:{port}", key: "{key}", outbound: direct, allow_targets: ["127.0.0.0/8"]{more}}}\n'


def near(port, key, more="", name="home"):
    return f'  - {{type: tunnel, name: {name}, server: "127.0.0.1:{port}", key: "{key}"{more}}}\n'


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A fresh key, and the folder with the state of its far end: which so takes flights from its first moment on."""
    folder = tmp_path_factory.mktemp("made")
    assert run_cli("init", "-o", folder, home=folder).code == 0
    return folder / "state", re.search(r'key: "(.+)"', (folder / "server.yaml").read_text())[1]


@pytest.fixture
def key(made):
    return made[1]


@pytest.fixture
def server(sockeye, made):
    """A far end: server(more) -> the program."""
    def start(more="", log="info"):
        state, key = made
        return sockeye(f"state: {state}\nlog: {{level: {log}}}\ninbounds:\n{far(0, key, more)}")
    return start


@pytest.fixture
def write(place):
    """The configuration of a near end with these outbounds, as a file."""
    def make(outbounds, name="near.yaml"):
        (place / name).touch(0o600)    # there is a key in it
        (place / name).write_text(f"inbounds:\n{LAN}outbounds:\n{outbounds}")
        return place / name
    return make


# ping

ANSWER = (r"home (\S+): connected in [\d.]+ m?s\n"
          r"handshake in [\d.]+ m?s; the server's clock is (\d+) ms (?:ahead of|behind) ours\n"
          r"round trip 1: [\d.]+ m?s\n"
          r"round trip 2: [\d.]+ m?s\n"
          r"2 round trips: least [\d.]+ m?s, mean [\d.]+ m?s, most [\d.]+ m?s\n")


def test_ping_shakes_hands_and_measures_round_trips(server, write, cli, key):
    end = server()
    result = cli("ping", "-c", write(near(end.port, key)), "-n", "2")
    assert result.code == 0 and result.err == ""
    found = re.fullmatch(ANSWER, result.out)
    assert found and found[1] == f"127.0.0.1:{end.port}" and int(found[2]) < 10_000, result.out
    end.wait_record(event="session", is_="ended", streams=0)


def test_ping_of_a_tunnel_whose_near_end_runs_ends_nobodys_session(sockeye, origin, dial, cli, place, made, key):
    port = free_port()
    both = sockeye(f"state: {made[0]}\ninbounds:\n{far(port, key)}{LAN}outbounds:\n{near(port, key)}")
    served = origin(echo)
    sock = dial(both.addr("lan"), timeout=30)
    assert client.socks5(sock, *served.addr).code == 0
    assert cli("ping", "-c", place / "config-0.yaml", "-n", "1", "home").code == 0
    both.wait_record(event="session", is_="ended", in_="far", streams=0)
    sock.sendall(b"still there")
    assert receive_exactly(sock, 11) == b"still there"
    assert len(both.records(event="session", is_="ended")) == 1


def test_ping_tells_a_refusal_and_a_name_that_is_none_as_such(write, cli, key):
    port = free_port()
    result = cli("ping", "-c", write(near(port, key)))
    assert (result.code, result.out) == (69, "")
    assert re.fullmatch(rf"sockeye: home 127\.0\.0\.1:{port}: connection refused\n    Nothing listens on that port there: .*\n", result.err)
    named = near(port, key).replace("127.0.0.1", "nobody.invalid")
    result = cli("ping", "-c", write(named))
    assert result.code == 69 and "home nobody.invalid" in result.err and "does not resolve" in result.err


@pytest.mark.parametrize("how", ["stop", "reload"])
def test_ping_says_that_the_server_has_ended_the_session(server, write, spawn, place, key, how):
    end = server()
    ping = spawn([BIN, "ping", "-c", write(near(end.port, key)), "-n", "100"])
    said = place / f"{BIN.name}-0.log"
    until(lambda: "round trip 1" in said.read_text(), "the first round trip", timeout=10 * SLOWNESS)
    if how == "reload":
        file = place / "config-0.yaml"
        file.write_text(file.read_text().replace("type: tunnel,", "type: tunnel, keep_s: 500,"))
        end.send_signal(signal.SIGHUP)
    else:
        end.send_signal(signal.SIGTERM)
    assert ping.wait(20 * SLOWNESS) == 69, said.read_text()
    assert "the connection was lost: the other end ends it: its program ends, or its configuration has changed" in said.read_text()


def test_ping_goes_on_to_the_next_address_of_the_server(server, write, cli, key):
    end, nobody = server(), free_port()
    both = near(end.port, key).replace('"127.0.0.1', f'["127.0.0.1:{nobody}", "127.0.0.1').replace('", key', '"], key')
    result = cli("ping", "-c", write(both), "-n", "2")
    assert result.code == 0 and result.err == f"sockeye: home 127.0.0.1:{nobody}: connection refused\n"
    assert re.fullmatch(ANSWER, result.out)


def test_ping_explains_silence_and_what_the_servers_log_says_of_a_wrong_key(server, write, cli):
    end = server(log="debug")
    result = cli("ping", "-c", write(near(end.port, OTHER_KEY)), timeout=60)
    assert result.code == 69
    for cause in ("does not answer", "is not the server's", "the clocks differ", "it is no sockeye"):
        assert cause in result.err
    line = end.wait_record(event="flight")
    assert line["level"] == "debug" and f'why="{line["why"]}"' in result.err


def test_ping_explains_silence_and_what_the_servers_log_says_of_a_wrong_clock(server, origin, write, cli, key):
    """As it is where the clocks differ, the flight comes later than it says by more than clock_skew_s."""
    end = server(", clock_skew_s: 1")

    def late(conn):
        flight = conn.recv(1 << 16)
        time.sleep(3)
        with client.dial(end.addr()) as sock:
            sock.sendall(flight)
            receive_all(conn)
    result = cli("ping", "-c", write(near(origin(late).port, key)), timeout=60)
    line = end.wait_record(event="flight", level="warn")
    assert result.code == 69 and f'why="{line["why"]}"' in result.err and "clock" in line["why"]


def test_ping_of_a_server_that_has_just_started_for_the_first_time(sockeye, place, write, cli, key):
    """Of its first two seconds it refuses all flights, without a word."""
    port = free_port()
    sockeye(f"state: {place}/fresh\ninbounds:\n{far(port, key)}")
    result = cli("ping", "-c", write(near(port, key)), "-n", "1", timeout=60)
    assert result.code == 0 and "round trip 1:" in result.out, result


def test_ping_tells_a_program_that_is_no_sockeye(origin, write, cli, key):
    served = origin(lambda conn: conn.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n" * 20) or receive_all(conn))
    result = cli("ping", "-c", write(near(served.port, key)))
    assert result.code == 69 and "another program listens there" in result.err


def test_ping_tells_a_server_that_hangs_up(origin, write, cli, key):
    served = origin(lambda conn: None)
    result = cli("ping", "-c", write(near(served.port, key)))
    assert result.code == 69 and "the handshake failed" in result.err and "A sockeye hangs up on nobody" in result.err


@pytest.mark.parametrize("kind", ["socks", "tunnel"])
def test_ping_goes_through_via(sockeye, server, write, cli, made, key, kind):
    end = server()
    port = free_port()
    between = {"socks": f'  - {{type: mixed, name: between, listen: "127.0.0.1:{port}"}}\n',
               "tunnel": far(port, key, name="between")}[kind]
    middle = sockeye(f"state: {made[0]}\ninbounds:\n{between}")
    first = {"socks": f'  - {{type: socks, name: first, server: "127.0.0.1:{port}"}}\n',
             "tunnel": near(port, key, name="first")}[kind]
    result = cli("ping", "-c", write(near(end.port, key, ", via: first") + first), "-n", "2")
    assert result.code == 0 and re.fullmatch(ANSWER, result.out), result
    middle.wait_record(event="flow", in_="between", to=f"127.0.0.1:{end.port}")


def test_ping_says_why_a_proxy_between_fails(write, cli, key):
    nobody = free_port()
    first = f'  - {{type: socks, name: first, server: "127.0.0.1:{nobody}"}}\n'
    result = cli("ping", "-c", write(near(1, key, ", via: first") + first))
    assert result.code == 69
    assert re.search(rf'upstream out=first server=127\.0\.0\.1:{nobody} why="connection refused"', result.err), result.err


def test_ping_of_what_is_no_tunnel_is_78_and_a_wrong_number_64(write, cli, key):
    config = write(near(1, key))
    assert cli("ping", "-c", config, "direct").code == 78
    assert cli("ping", "-c", write('  - {type: direct, name: home}\n')).code == 78
    for words in (["ping", "-n", "0"], ["ping", "-n", "0", "-n", "1"], ["speedtest", "-t", "61", "-t", "1"]):
        assert cli(*words, "-c", config).code == 64, words


# speedtest

def test_speedtest_measures_both_ways(server, write, cli, key):
    end = server(", speedtest: true")
    config = write(near(end.port, key))
    result = cli("speedtest", "-c", config, "-t", "1")
    assert result.code == 0 and result.err == ""
    assert re.fullmatch(r"down +[\d.]+ [kMGT]bit/s   [\d.]+ [kMGT]B in [\d.]+ s\nup +[\d.]+ [kMGT]bit/s   [\d.]+ [kMGT]B in [\d.]+ s\n", result.out)
    told = json.loads(cli("speedtest", "-c", config, "-t", "1", "--json", "home").out)
    assert told["outbound"] == "home"
    lines = end.wait_record(4, event="flow", out="speedtest")
    # What it says is what the far end has counted: of what went up all, of what came down what had not been under way.
    assert int(lines[3]["up"]) == told["up"]["bytes"] > 0
    assert int(lines[2]["down"]) >= told["down"]["bytes"] > 0
    for way in ("up", "down"):
        assert told[way]["bits_per_second"] == pytest.approx(told[way]["bytes"] * 8 / told[way]["seconds"], rel=0.01)


def test_speedtest_only_where_the_far_end_allows_it(server, write, cli, key):
    end = server()
    result = cli("speedtest", "-c", write(near(end.port, key)), "-t", "1")
    assert result.code == 69 and result.out == "" and "speedtest: true" in result.err
    assert not end.records(event="flow", out="speedtest")


def test_speedtest_takes_what_a_connection_takes_of_the_limits(server, write, cli, dial, key):
    end = server(", speedtest: true, per_client: 1")
    with subprocess.Popen([BIN, "speedtest", "-c", write(near(end.port, key)), "-t", "30"], stderr=subprocess.DEVNULL,
                          env=environment("/")) as first:
        end.wait_record(event="session", is_="begun")
        second = None
        try:
            while second is None or second.code == 0:
                second = cli("speedtest", "-c", write(near(end.port, key)), "-t", "1")
        finally:
            first.terminate()
    assert second.code == 69 and "the tunnel failed" in second.err


def test_speedtest_shows_its_progress_where_stderr_is_a_terminal(server, write, place, key):
    end = server(", speedtest: true")
    master, terminal = pty.openpty()
    with subprocess.Popen([BIN, "speedtest", "-c", write(near(end.port, key)), "-t", "1"], stdout=subprocess.PIPE, stderr=terminal,
                          env=environment(place)) as process:
        os.close(terminal)
        out, _ = process.communicate(timeout=30 * SLOWNESS)
    shown = b""
    try:
        while data := os.read(master, 4096):
            shown += data
    except OSError:    # the terminal's other end is closed
        pass
    os.close(master)
    assert process.returncode == 0 and out.startswith(b"down")
    assert re.search(rb"\rdown +\[#* *\] .*bit/s", shown) and re.search(rb"\rup +\[#+ *\] .*bit/s", shown)
    assert shown.endswith(b"\r\033[K")


def test_speedtest_without_a_way_to_the_far_end_says_so(write, cli, place, key):
    (place / "near.yaml").write_text(f"inbounds:\n{LAN}outbounds:\n{near(free_port(), key)}limits: {{connect_ms: 1000}}\n")
    result = cli("speedtest", "-c", place / "near.yaml", "-t", "1")
    assert result.code == 69 and "sockeye ping home" in result.err and "refused" in result.err


# status

def test_status_tells_the_users_that_have_sessions_and_every_link_at_both_ends(sockeye, origin, dial, cli, place, made):
    state, key = made
    users = {"ann": "QUFBQUFBQUFBQUFBQUFBQQ==", "bob": "QkJCQkJCQkJCQkJCQkJCQg==", "eve": "RUVFRUVFRUVFRUVFRUVFRQ=="}
    listed = ", ".join(f'{{name: {name}, key: "{own}"}}' for name, own in users.items())
    port = free_port()
    both = sockeye(f"state: {state}\nadmin: {{socket: {place / 'status'}}}\ninbounds:\n{far(port, key, f', users: [{listed}]')}"
                   + "".join(f'  - {{type: mixed, name: lan-{name}, listen: "127.0.0.1:0", outbound: {name}}}\n' for name in ("ann", "bob"))
                   + f"outbounds:\n{near(port, key + ':' + users['ann'], ', links: 2', name='ann')}{near(port, key + ':' + users['bob'], name='bob')}")
    served = origin(echo)
    for name in ("ann", "bob"):
        sock = dial(both.addr(f"lan-{name}"), timeout=30)
        assert client.socks5(sock, *served.addr).code == 0
        sock.sendall(b"hello")
        assert receive_exactly(sock, 5) == b"hello"

    def asked():
        return json.loads(cli("status", "--json", "--socket", place / "status").out)
    until(lambda: {(t["name"], t["end"], t["user"], t["links"]) for t in asked()["tunnels"]} ==
          {("far", "far", "ann", 2), ("far", "far", "bob", 1), ("ann", "near", "", 2), ("bob", "near", "", 1)}, "every link at both ends")
    status = asked()
    assert {user["name"]: user["links"] for user in status["users"]} == {"ann": 2, "bob": 1}
    assert [(user["name"], user["inbound"], user["sessions"], user["streams_now"], user["received_bytes"]) for user in status["users"]] == \
        [("ann", "far", 1, 1, 5), ("bob", "far", 1, 1, 5)]
    for told in status["tunnels"]:
        assert len(told["carriers"]) == told["links"] and told["links_cut"] == 0
        assert all(carrier["remote"].startswith("127.0.0.1:") and carrier["sent_bytes"] > 0 for carrier in told["carriers"])

    def streams():
        return [(s["rtt_us"] >= s["min_rtt_us"] > 0, s["sent_bytes"], s["acked_bytes"], s["received_bytes"], s["resent_bytes"])
                for told in asked()["tunnels"] for s in told["streams"]]
    until(lambda: streams() == [(True, 5, 5, 5, 0)] * 4, "what is known of each stream at either end")
    text = cli("status", "--socket", place / "status").out
    assert re.search(r"^  ann \(far\) +1 +2 +1 ", text, re.M) and "eve" not in text


def test_status_tells_what_is_listened_on_at_the_far_end_and_what_is_not(sockeye, origin, cli, place, made):
    state, key = made
    port, allowed, denied = free_port(), free_port(), free_port()
    served = origin(echo)
    relays = "".join(f'  - {{type: relay, name: {name}, listen_via: home, listen: "127.0.0.1:{at}", target: "127.0.0.1:{served.port}"}}\n'
                     for name, at in (("desk", allowed), ("lamp", denied)))
    sockeye(f"state: {state}\nadmin: {{socket: {place / 'status'}}}\ninbounds:\n{far(port, key, f', allow_reverse: [{allowed}]')}{relays}"
            f"outbounds:\n{near(port, key)}")

    def listening(end):
        told = json.loads(cli("status", "--json", "--socket", place / "status").out)["tunnels"]
        return [(one["at"], one["inbound"], one["is"]) for t in told if t["end"] == end for one in t["listening"]]
    until(lambda: listening("near") == [(f"127.0.0.1:{allowed}", "desk", "listening"), (f"127.0.0.1:{denied}", "lamp", "denied")],
          "both answers", timeout=30)
    assert listening("far") == [(f"127.0.0.1:{allowed}", "", "listening")]
    assert f"listening at the far end's 127.0.0.1:{allowed} (desk)" in cli("status", "--socket", place / "status").out
