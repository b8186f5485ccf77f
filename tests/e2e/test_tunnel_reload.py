"""SIGHUP at either end of a tunnel: what stays as it was goes on, what changed ends without looking whole."""

import signal
import time

import pytest

from harness import client
from harness.binary import SLOWNESS
from harness.origin import echo
from harness.pattern import exchange, receive_reset
from harness.program import complete
from harness.services import free_port, is_listening
from harness.tunnel import KEY
from harness.wait import until

OTHER_KEY = "QW5vdGhlciBrZXkgZm9yIHRoZSBlbmQtdG8tZW5kISE="
USER_KEY = "QSB1c2VyJ3Mga2V5IGZvciB0aGUgZW5kLXRvLWVuZCE="
MADE, REFUSED = "reloaded: the new configuration is in force", "reload refused"
FILES = {"far": "config-0.yaml", "near": "config-1.yaml"}    # in the order in which the fixture starts them


@pytest.fixture
def reload(place):
    """Has one end read its configuration with one text in place of another: reload(t, "far", old, new)."""
    def do(t, end, old="", new="", outcome=MADE):
        config = t.configs[end]
        assert old in config
        t.configs[end] = config.replace(old, new, 1)
        (place / FILES[end]).write_text(complete(t.configs[end], 1))
        program = getattr(t, end)
        before = program.text.count(outcome)
        program.send_signal(signal.SIGHUP)
        until(lambda: program.text.count(MADE) + program.text.count(REFUSED) > before, "the end of the reload")
        assert program.text.count(outcome) == before + 1, program.text[-2000:]
    return do


@pytest.mark.parametrize("end", ["far", "near"])
def test_a_reload_without_a_change_leaves_a_tunnel_alone(tunnel, reload, end):
    t = tunnel()
    sock, carriers = t.connect(t.serve(echo)), t.carriers()
    exchange(sock)
    for _ in range(3):
        reload(t, end)
        exchange(sock)
    assert t.carriers() == carriers and "ended" not in t.near.text


def test_new_rules_hold_for_new_connections_in_an_old_session(tunnel, reload):
    t = tunnel()
    server = t.serve(echo)
    sock, carriers = t.connect(server), t.carriers()
    reload(t, "far", 'allow_targets: ["127.0.0.0/8", "::1"]', 'deny_targets: ["127.0.0.0/8"]')
    exchange(sock)
    assert client.socks5(t.dial(), *server.addr).code == 2
    reload(t, "far", 'deny_targets: ["127.0.0.0/8"]', 'allow_targets: ["127.0.0.0/8"]')
    assert t.is_served(server) and t.carriers() == carriers


def test_another_key_at_the_far_end_ends_the_session_and_the_near_end_follows_by_its_own_reload(tunnel, reload):
    t = tunnel(near_limits="connect_ms: 500")
    server = t.serve(echo)
    sock = t.connect(server)
    exchange(sock)
    reload(t, "far", KEY, OTHER_KEY)
    receive_reset(sock)
    assert client.socks5(t.dial(), *server.addr).code == 1
    reload(t, "near", KEY, OTHER_KEY)
    until(lambda: t.is_served(server), "a way by the new key", timeout=30)


@pytest.mark.parametrize("user", [None, USER_KEY], ids=["shared", "users"])
def test_the_key_is_changed_without_a_cut_by_a_reload_of_each_end(tunnel, reload, user):
    """What the near end carries ends in its own time by the old key."""
    of = f":{user}" if user else ""
    t = tunnel(near={"key": f'"{KEY}{of}"'}, far={"users": f'[{{name: ann, key: "{user}"}}]' if user else None})
    server = t.serve(echo)
    old, carriers = t.connect(server), t.carriers()
    exchange(old)
    reload(t, "far", f'key: "{KEY}"', f'key: ["{OTHER_KEY}", "{KEY}"]')
    reload(t, "near", KEY, OTHER_KEY)
    exchange(old)
    fresh = t.connect(server)
    exchange(fresh), exchange(old)
    assert carriers < t.carriers()
    old.close()
    t.wait_lost(carriers)
    kept = t.carriers()
    t.far.wait_record(event="session", is_="ended")
    reload(t, "far", f'key: ["{OTHER_KEY}", "{KEY}"]', f'key: "{OTHER_KEY}"')
    exchange(fresh), exchange(t.connect(server))
    assert t.carriers() == kept and len(t.far.records(event="session", is_="ended")) == 1


def test_what_a_tunnel_carries_that_the_far_end_has_no_more_is_reset_after_drain_s(tunnel, reload):
    t = tunnel(far_more='  - {type: mixed, name: other, listen: "127.0.0.1:1080"}\n')
    sock = t.connect(t.serve(echo))
    exchange(sock)
    line = next(line for line in t.configs["far"].splitlines(keepends=True) if "type: tunnel" in line)
    reload(t, "far", line)
    receive_reset(sock)
    assert [record["s"] for record in t.near.records(event="session") if record["is"] == "drained"] == ["1"]
    assert "its configuration has changed" in t.near.wait_record(event="link", is_="closed")["why"]


def test_another_setting_at_the_far_end_lets_what_is_there_end_and_new_connections_go_by_it(tunnel, reload):
    t = tunnel()
    t.configs["far"] = t.configs["far"].replace("drain_s: 1,", "drain_s: 60,")
    reload(t, "far")
    server = t.serve(echo)
    sock, carriers = t.connect(server), t.carriers()
    exchange(sock)
    reload(t, "far", "key:", "keep_s: 500, key:")
    until(lambda: [r for r in t.near.records(event="session") if r["is"] == "drained"], "what the near end hears")
    exchange(sock)
    exchange(t.connect(server))
    assert len(t.carriers()) == 2 and carriers < t.carriers()
    exchange(sock)
    sock.close()
    t.wait_lost(carriers)
    assert not [r for r in t.near.records(event="session") if "no right" in r.get("why", "")]


def test_what_the_far_end_lets_end_ends_when_the_near_end_stops_too(tunnel, reload):
    """Though the session that has come after it has its place, where a user has one."""
    t = tunnel(near={"key": f'"{KEY}:{USER_KEY}"'}, far={"users": f'[{{name: ann, key: "{USER_KEY}", sessions: 1}}]'}, wait=False)
    for end in ("far", "near"):
        t.configs[end] = t.configs[end].replace("drain_s: 1,", "drain_s: 60,")
        getattr(t, f"start_{end}")()
    t.wait_linked()
    server = t.serve(echo)
    old = t.connect(server)
    reload(t, "far", "key:", "keep_s: 500, key:")
    t.near.wait_record(event="session", is_="drained")
    new = t.connect(server)
    exchange(new)
    t.near.send_signal(signal.SIGTERM)
    t.far.wait_record(2, event="session", is_="drained")
    for sock in (old, new):
        exchange(sock)
        sock.close()
    t.near.wait()


def test_a_tunnel_that_the_near_end_has_no_more_goes_on_until_its_last_connection_ends(tunnel, reload):
    t = tunnel()
    sock, carriers = t.connect(t.serve(echo)), t.carriers()
    line = next(line for line in t.configs["near"].splitlines(keepends=True) if "type: tunnel" in line)
    reload(t, "near", line, "  - {type: direct, name: out}\n")
    exchange(sock)
    assert t.carriers() == carriers
    sock.close()
    t.wait_lost(carriers)
    until(lambda: t.far.records(event="session") and t.far.records(event="session")[-1]["is"] == "ended", "the session's end")


@pytest.mark.parametrize("end", ["far", "near"])
def test_a_wrong_key_is_refused_and_the_tunnel_stays(tunnel, reload, end):
    t = tunnel()
    sock = t.connect(t.serve(echo))
    reload(t, end, KEY, "QUJD", outcome=REFUSED)
    exchange(sock)
    assert "16, 24 or 32" in getattr(t, end).text and t.carriers()


def test_what_a_reload_took_away_does_not_come_back_when_its_server_drains(sockeye, place, origin, dial):
    """The session goes on for its last connection; nothing else goes by the rules that it was made by."""
    ports, server, ends = {"old": free_port(), "new": free_port()}, origin(echo), {}
    told = "  - {{type: tunnel, name: far, listen: 127.0.0.1:{at}, key: \"{key}\", allow_reverse: [{port}], allow_targets: [127.0.0.1]{more}}}\n"
    for name, port in ports.items():
        (place / name).mkdir()
        config = f"state: {place / name}\nlimits: {{drain_s: {int(30 * SLOWNESS)}}}\ninbounds:\n"
        ends[name] = sockeye(config + told.format(at=0, key=KEY, port=port, more=""))
        ends[name].again = config + told.format(at=ends[name].listeners[0].port, key=KEY, port=port, more=", keep_s: 500")

    def near(name):
        return (f"state: {place / 'near'}\ninbounds:\n  - {{type: socks, name: lan, listen: 127.0.0.1:{lan}}}\n"
                f"  - {{type: relay, name: back, listen_via: {name}, listen: 127.0.0.1:{ports[name]}, target: 127.0.0.1:{server.port}}}\n"
                f"outbounds:\n  - {{type: tunnel, name: {name}, server: 127.0.0.1:{ends[name].listeners[0].port}, key: \"{KEY}\"}}\n")

    def turn(program, number, config):
        (place / f"config-{number}.yaml").write_text(complete(config, 1))
        before = program.text.count(MADE)
        program.send_signal(signal.SIGHUP)
        until(lambda: program.text.count(MADE) > before, "the end of the reload")
    lan = free_port()
    (place / "near").mkdir()
    program = sockeye(near("old"))
    until(lambda: is_listening(ports["old"]), "the first listener", timeout=30)
    sock = dial(("127.0.0.1", lan))
    assert client.socks5(sock, *server.addr).code == 0
    turn(program, 2, near("new"))
    until(lambda: is_listening(ports["new"]) and not is_listening(ports["old"]), "the second listener in place of the first", timeout=30)
    turn(ends["old"], 0, ends["old"].again)
    program.wait_record(event="session", out="old", is_="drained")
    exchange(sock)
    time.sleep(1)
    assert is_listening(ports["new"]) and not is_listening(ports["old"])
    exchange(sock)
    exchange(dial(("127.0.0.1", ports["new"])))
