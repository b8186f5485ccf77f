"""Users of a tunnel: what each may, who comes and goes by a reload, keys that change without a cut."""

import base64
import json
import os
import signal
import sys
import time

import pytest

from harness import client
from harness.binary import ROOT
from harness.losses import forgotten
from harness.origin import echo
from harness.pattern import exchange, receive_reset
from harness.program import complete
from harness.services import free_port, is_listening
from harness.tunnel import KEY, KEY_BYTES, Transfer, two_way
from harness.wait import until

sys.path.insert(0, str(ROOT / "tests/interop"))
from tunnel import frame    # noqa: E402
from tunnel.keys import Keys    # noqa: E402
from tunnel.link import ClientLink    # noqa: E402

MADE = "reloaded: the new configuration is in force"


def key(text):
    return base64.b64encode(text.encode().ljust(32, b".")[:32]).decode()


def user(name, **rights):
    return f"{{name: {name}, key: \"{key(name)}\"" + "".join(f", {word}: {value}" for word, value in rights.items()) + "}"


def users(*entries):
    return f"[{', '.join(entries)}]"


class Bed:
    """A far end, and near ends with a way of its own for each client; all on loopback."""

    def __init__(self, start, place, state, dial):
        self.start, self.place, self.state, self.dial_addr, self.ports = start, place, state, dial, {}

    def _config(self, **keys):
        keys = {"listen": "127.0.0.1:0", "key": f'"{KEY}"', "allow_targets": '["127.0.0.0/8"]', **keys}
        if getattr(self, "port", None):
            keys["listen"] = f"127.0.0.1:{self.port}"
        return (f"state: {self.state}\nadmin: {{socket: {self.place / 'admin'}}}\n{keys.pop('more', '')}"
                f"inbounds:\n  - {{type: tunnel, name: far, {', '.join(f'{k}: {v}' for k, v in keys.items())}}}\n")

    def far_end(self, **keys):
        self.far = self.start(self._config(**keys))
        self.port = self.far.listeners[0].port

    def reload(self, **keys):
        (self.place / "config-0.yaml").write_text(complete(self._config(**keys), 1))
        before = self.far.text.count(MADE)
        self.far.send_signal(signal.SIGHUP)
        until(lambda: self.far.text.count(MADE) > before, "the reload", timeout=60)

    def near_end(self, clients, more=""):
        """clients: {name: its key}; more: further inbounds."""
        inbounds = more + "".join(f"  - {{type: socks, name: in-{name}, listen: 127.0.0.1:0, outbound: {name}}}\n" for name in clients)
        outbounds = "".join(f"  - {{type: tunnel, name: {name}, server: 127.0.0.1:{self.port}, key: \"{text}\"}}\n"
                            for name, text in clients.items())
        state = self.place / f"near-{'-'.join(clients)}"
        state.mkdir()
        self.near = self.start(f"state: {state}\nlimits: {{connect_ms: 1500}}\ninbounds:\n{inbounds}outbounds:\n{outbounds}")
        self.ports.update({listener.name.removeprefix("in-"): listener.port for listener in self.near.listeners})

    def dial(self, name):
        return self.dial_addr(("127.0.0.1", self.ports[name]), timeout=30)

    def code(self, name, server):
        """The answer's code of SOCKS5."""
        return client.socks5(self.dial(name), *server.addr).code

    def connect(self, name, server):
        def try_it():
            sock = self.dial(name)
            return sock if client.socks5(sock, *server.addr).code == 0 else None
        return until(try_it, f"a way for {name}", timeout=30)


@pytest.fixture
def bed(sockeye, place, far_state, dial):
    return Bed(sockeye, place, far_state, dial)


def test_two_users_have_their_own_rights_and_nobody_else_is_heard(bed, origin, cli, place):
    server, other = origin(echo), origin(echo)
    targets = f'["127.0.0.1:{server.addr[1]}"]'
    bed.far_end(users=users(user("ann", allow='["192.0.2.0/24", "127.0.0.1"]'), user("bob", deny_targets='["*"]', allow_targets=targets),
                            user("carl", allow="192.0.2.1")),
                more='routes: ["IN-USER,ann,direct", "MATCH,direct"]\n')
    bed.near_end({"ann": f"{KEY}:{key('ann')}", "bob": f"{KEY}:{key('bob')}", "carl": f"{KEY}:{key('carl')}",
                  "nobody": f"{KEY}:{key('nobody')}", "bare": KEY})
    ann, bob = bed.connect("ann", server), bed.connect("bob", server)
    exchange(ann)
    exchange(bob)
    assert bed.code("ann", other) == 0 and bed.code("bob", other) == 2
    for name in ("nobody", "bare", "carl"):
        assert bed.code(name, server) == 1, name
    assert not [r for r in bed.near.records(event="link", is_="up") if r["out"] in ("nobody", "bare", "carl")]
    assert bed.far.wait_record(event="flight", user="carl")["why"] == "a user who may not come from there"
    until(lambda: {r["user"] for r in bed.far.records(event="session", is_="begun")} == {"ann", "bob"}, "their sessions alone")
    assert {r.get("user") for r in bed.far.records(event="link", in_="far")} == {"ann", "bob"}
    assert bed.far.wait_record(event="flow", user="bob")["end"] == "denied"
    told = {one["name"]: one for one in json.loads(cli("status", "--json", "-c", place / "config-0.yaml").out)["users"]}
    assert set(told) == {"ann", "bob"} and all(one["sessions"] == 1 for one in told.values())
    assert told["ann"]["received_bytes"] >= 1000


def test_a_reload_ends_a_removed_user_at_once_and_leaves_the_others_alone(bed, origin):
    server, echoes = origin(two_way), origin(echo)
    bed.far_end(users=users(user("ann"), user("bob")))
    bed.near_end({"ann": f"{KEY}:{key('ann')}", "bob": f"{KEY}:{key('bob')}"})
    carriers = len(bed.far.records(event="link", is_="up"))
    mine = Transfer(bed.connect("ann", server), 8 << 20, 8 << 20, 1)
    theirs = bed.connect("bob", echoes)
    exchange(theirs)
    until(lambda: mine.n_received > 1 << 18, "some of ann's")
    bed.reload(users=users(user("ann"), user("carl")))
    receive_reset(theirs)
    mine.end(60)
    assert len(bed.far.records(event="link", is_="up", in_="far")) == carriers + 2
    ended = bed.far.wait_record(event="session", is_="ended")
    assert ended["user"] == "bob" and "not there any more" in ended["why"]
    until(lambda: any("no right to it" in r.get("why", "") for r in bed.near.records(event="link", out="bob")), "the near end's line")
    assert bed.code("bob", echoes) == 1
    bed.reload(users=users(user("ann"), user("bob")))
    exchange(bed.connect("bob", echoes))
    assert len(bed.far.records(event="session", user="ann", is_="begun")) == 1


def test_the_servers_key_is_changed_without_a_cut(bed, origin):
    server, new = origin(echo), key("another key of the server's")
    bed.far_end()
    bed.near_end({"old": KEY, "new": new})
    old = bed.connect("old", server)
    exchange(old)
    bed.reload(key=f'["{new}", "{KEY}"]')
    exchange(old)
    fresh = bed.connect("new", server)
    exchange(fresh)
    exchange(old)
    until(lambda: len(bed.far.records(event="session", is_="begun")) == 2, "the line of either session")
    assert not bed.far.records(event="session", is_="ended")
    bed.reload(key=f'"{new}"')    # who has not changed by now is told to
    exchange(fresh)
    receive_reset(old)
    assert bed.code("old", server) == 1
    exchange(fresh)


def test_a_user_has_as_many_sessions_as_he_may(bed, origin):
    server = origin(echo)
    bed.far_end(users=users(user("ann", sessions=1), user("bob")))
    bed.near_end({"first": f"{KEY}:{key('ann')}", "bob": f"{KEY}:{key('bob')}"})
    bed.near_end({"second": f"{KEY}:{key('ann')}"})    # another installation
    first = bed.connect("first", server)
    exchange(first)
    assert bed.code("second", server) != 0
    bed.far.wait_record(event="flight", user="ann", why="a user has as many sessions as he may have")
    until(lambda: any("limit" in r.get("why", "") for r in bed.near.records(event="link", out="second")), "the near end's line")
    exchange(bed.connect("bob", server))
    exchange(first)
    bed.reload(users=users(user("ann", sessions=2), user("bob")))
    exchange(bed.connect("second", server))
    exchange(first)


@pytest.mark.workers
def test_who_comes_back_has_the_place_of_his_own_session_before_the_far_end_knows_that_it_is_dead(tunnel):
    t = tunnel(near={"key": f'"{KEY}:{key("ann")}"'}, far={"users": users(user("ann", sessions=1))})
    server = t.serve(echo)
    for _ in range(3):
        exchange(t.connect(server))
        with forgotten(t):
            t.near.kill()
            t.start_near()
            exchange(t.connect(server))
    assert "as many sessions as he may" not in t.far.text


def test_a_user_listens_where_he_may_and_others_nowhere(bed, origin):
    server, ports = origin(echo), {"ann": free_port(), "bob": free_port()}
    bed.far_end(users=users(user("ann", allow_reverse=f"[{ports['ann']}]"), user("bob")))
    bed.near_end({name: f"{KEY}:{key(name)}" for name in ports},
                 "".join(f'  - {{type: relay, name: from-{name}, listen_via: {name}, listen: "127.0.0.1:{port}", target: "127.0.0.1:{server.port}"}}\n'
                         for name, port in ports.items()))
    until(lambda: is_listening(ports["ann"]), "ann's port", timeout=30)
    exchange(bed.dial_addr(("127.0.0.1", ports["ann"]), timeout=30))
    for program in (bed.near, bed.far):
        until(lambda: f"allow_reverse: ['127.0.0.1:{ports['bob']}']" in program.text, "what bob lacks", timeout=30)
    assert not is_listening(ports["bob"])


def test_a_user_has_as_many_connections_as_he_may(bed, origin):
    server = origin(echo)
    bed.far_end(users=users(user("ann", per_client=2), user("bob")))
    bed.near_end({name: f"{KEY}:{key(name)}" for name in ("ann", "bob")})
    kept = [bed.connect("ann", server) for _ in range(2)]
    assert bed.code("ann", server) == 1
    several = [bed.connect("bob", server) for _ in range(4)]
    for sock in kept + several:
        exchange(sock)
    kept.pop().close()
    exchange(bed.connect("ann", server))


def test_a_hundred_thousand_users_in_a_file(bed, origin, place):
    names = [f"user{i}" for i in range(100_000)]
    lines = [f"{name}:{key(name)}" for name in names]
    (place / "users").write_text("\n".join(lines) + "\n")
    server = origin(echo)
    bed.far_end(users_file=place / "users")
    bed.near_end({name: f"{KEY}:{key(name)}" for name in ("user0", "user99999")})
    first, last = bed.connect("user0", server), bed.connect("user99999", server)
    exchange(first)
    (place / "users").write_text("\n".join(lines[:-1]) + "\n")
    bed.reload(users_file=place / "users")
    exchange(first)
    receive_reset(last)


def test_check_names_the_user_who_is_wrong(cli, place):
    (place / "users").write_text(f"bob:{key('bob')}\ncarl:QUJD\ndora:{key('bob')}\n")
    (place / "c.yaml").write_text(f"inbounds: [{{type: tunnel, listen: 4194, key: \"{KEY}\", users_file: users}}]\n")
    told = cli("check", "-c", place / "c.yaml")
    assert told.code == 78
    assert 'users:2: the key of the user "carl": a key has 16, 24 or 32 bytes' in told.err
    assert 'users:3: the user "dora" has the key of "bob", in line 1 of' in told.err


class Device:
    """One of a user's, on which he has not been before; it vanishes without a word."""

    def __init__(self, addr, user_key):
        link = ClientLink(Keys(KEY_BYTES, base64.b64decode(user_key)), draw=os.urandom, now_ms=lambda: int(time.time() * 1000))
        with client.dial(addr, timeout=20) as sock:
            sock.sendall(link.start())
            while link.state != "ESTABLISHED":
                link.receive(sock.recv(1 << 16))
            sock.sendall(link.seal(frame.encode(frame.Instance(os.urandom(16)), frame.Ping(1))))
            self.worker, self.may_stay = link.session.id[1], not self._is_ended(link, sock)

    @staticmethod
    def _is_ended(link, sock):
        """Or the PONG has come, in front of which it would be said."""
        while data := sock.recv(1 << 16):
            words = [type(f) for payload in link.receive(data) for f in frame.decode(payload)]
            if frame.End in words or frame.Pong in words:
                return frame.End in words
        return True


def test_whoever_comes_from_another_device_has_the_place_of_a_session_without_a_link_on_whatever_worker(bed):
    bed.far_end(users=users(user("ann", sessions=1)), more="workers: 2\n")
    time.sleep(2.5)    # what is dated before that may have come before it was started
    stayed_at = set()

    def comes_in():
        device = Device(("127.0.0.1", bed.port), key("ann"))
        stayed_at.update({device.worker} if device.may_stay else {})
        return stayed_at == {0, 1}
    until(comes_in, "a place on either worker", timeout=60)
