"""Nobody without the key hears one byte of a far end, whatever he sends; it reads to his end and closes after him."""

import base64
import os
import random
import selectors
import socket
import sys
import time

import pytest

from harness import client
from harness.binary import ROOT, SLOWNESS
from harness.namespaces import FAR4
from harness.origin import echo
from harness.pattern import exchange, receive_pattern, send_pattern
from harness.sandbox import with_descriptors
from harness.tunnel import KEY_BYTES, PORT
from harness.wait import until

sys.path.insert(0, str(ROOT / "tests/interop"))
from tunnel import frame    # noqa: E402
from tunnel.keys import Keys    # noqa: E402
from tunnel.link import ClientLink    # noqa: E402

QUIET_S = 1.0


@pytest.fixture
def far(tunnel):
    """A far end that has served somebody, whom strangers connect to."""
    return tunnel()


def stranger(t, data=b""):
    with t.joined.near.entered():
        sock = t.open_client((FAR4, PORT), timeout=20)
    if data:
        sock.sendall(data)
    return sock


def assert_quiet(socks, seconds=QUIET_S):
    """Not one of them is told anything, not even an end."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        heard = selector.select(seconds)
    assert not heard, f"{len(heard)} of {len(socks)} have heard something: {[key.fileobj.recv(100) for key, _ in heard[:3]]}"


def assert_ends_after_us(socks):
    """After our fin comes its, with no byte before it and no reset, which would tell of unread bytes."""
    for sock in socks:
        sock.shutdown(socket.SHUT_WR)
    for sock in socks:
        assert sock.recv(100) == b""


def flight(keys, now_ms=lambda: int(time.time() * 1000), **options):
    return ClientLink(keys, draw=os.urandom, now_ms=now_ms, **options).start()


def test_the_clients_flight_of_these_tests_is_one(far):
    """Or else the silence below would prove nothing."""
    sock = stranger(far, flight(Keys(KEY_BYTES)))
    assert len(client.receive_exactly(sock, 75)) == 75


def test_random_bytes_of_every_length_get_nothing(far):
    rng = random.Random(14)
    for first in range(0, 2001, 500):
        socks = [stranger(far, rng.randbytes(n)) for n in range(first, min(first + 500, 2001))]
        assert_quiet(socks)
        assert_ends_after_us(socks)
    assert far.is_served(far.serve(echo))


def test_a_stranger_may_send_for_ever_and_is_read(far):
    rng = random.Random(15)
    sock = stranger(far)
    for _ in range(8):    # reading is not in a hurry
        sock.sendall(rng.randbytes(1 << 18))
    assert_quiet([sock])
    assert_ends_after_us([sock])


def test_a_flight_with_any_byte_changed_gets_nothing(far):
    whole = flight(Keys(KEY_BYTES))
    changed = [whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1:] for i in range(len(whole))]
    for first in range(0, len(changed), 400):
        socks = [stranger(far, data) for data in changed[first:first + 400]]
        assert_quiet(socks)
        assert_ends_after_us(socks)


def test_a_flight_that_is_cut_off_anywhere_gets_nothing(far):
    whole = flight(Keys(KEY_BYTES))
    socks = [stranger(far, whole[:n]) for n in range(0, len(whole), 3)]
    assert_quiet(socks)
    assert_ends_after_us(socks)


@pytest.mark.parametrize("seconds", [-100, 100, -3600, 3600, -10**8])
def test_a_wrong_clock_gets_nothing_and_the_log_says_why(far, seconds):
    sock = stranger(far, flight(Keys(KEY_BYTES), now_ms=lambda: int((time.time() + seconds) * 1000)))
    assert_quiet([sock])
    assert_ends_after_us([sock])
    far.far.wait_text(r"warn .*(clock|time)")


def test_a_wrong_key_gets_nothing(far):
    socks = [stranger(far, flight(Keys(key))) for key in (bytes(32), b"x" * 16, KEY_BYTES[:24], KEY_BYTES[:31] + b"?")]
    assert_quiet(socks)
    assert_ends_after_us(socks)


def test_an_unknown_version_gets_nothing(far, monkeypatch):
    from tunnel import flight as flights
    monkeypatch.setattr(flights.Head1.__init__, "__defaults__", (2,))
    sock = stranger(far, flight(Keys(KEY_BYTES)))
    assert_quiet([sock])
    assert_ends_after_us([sock])


def test_the_same_flight_twice_gets_an_answer_once(far):
    whole = flight(Keys(KEY_BYTES))
    first, second = stranger(far, whole), None
    assert client.receive_exactly(first, 75)
    second = stranger(far, whole)
    assert_quiet([second])
    assert_ends_after_us([second])


class Member:
    """Who has the key, with a session that stands; what he has sent has been answered."""

    def __init__(self, t):
        self.link = ClientLink(Keys(KEY_BYTES), draw=os.urandom, now_ms=lambda: int(time.time() * 1000))
        self.sock = stranger(t, self.link.start())
        while self.link.state != "ESTABLISHED":
            self.link.receive(self.sock.recv(1 << 16))
        self.sock.sendall(self.link.seal(frame.encode(frame.Ping(1))))
        until(lambda: frame.Pong(1) in self.receive(), "an answer")

    def receive(self):
        """The frames of one read."""
        data = self.sock.recv(1 << 16)
        assert data, "it was closed"
        return [f for payload in self.link.receive(data) for f in frame.decode(payload)]


def test_a_record_with_any_byte_changed_gets_no_answer_nor_does_what_comes_behind_it(far):
    """As a changed flight, the connection is then read to its other side's end."""
    members = []
    while True:
        member = Member(far)
        record = member.link.seal(frame.encode(frame.Ping(2)))
        at = len(members)
        if at >= len(record):
            break
        behind = member.link.seal(frame.encode(frame.Ping(3)))
        member.sock.sendall(record[:at] + bytes([record[at] ^ 1 << at % 8]) + record[at + 1:] + behind)
        members.append(member)
    assert len(members) > 16
    time.sleep(QUIET_S)
    for member in members:
        member.sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            while True:    # an acknowledgement of the first record may come late
                assert not any(isinstance(f, frame.Pong) for f in member.receive()), "it was taken"
        member.sock.settimeout(20)
    assert_ends_after_us([member.sock for member in members])


def test_a_crowd_of_strangers_keeps_nobody_out(tunnel):
    """With more connections than the far end has descriptors for. Some of them are closed, those of who has a key are not."""
    t = tunnel(wait=False)
    t.far = t.start(t.configs["far"], prefix=[*t.joined.far.prefix, *with_descriptors(64)])
    t.start_near()
    t.wait_linked()
    sock, carriers = t.connect(t.serve(echo)), t.carriers()
    crowd = [stranger(t, b"x" * 50) for _ in range(200)]
    send_pattern(sock, 10_000)
    receive_pattern(sock, 10_000)
    assert carriers <= t.carriers()
    server = t.serve(echo)
    until(lambda: t.is_served(server), "a descriptor for a target's connection too", timeout=20)
    t.joined.near.kill_connections(PORT)    # the crowd's too
    crowd += [stranger(t, b"x" * 50) for _ in range(200)]
    send_pattern(sock, 10_000, 1)
    receive_pattern(sock, 10_000, 1)
    with selectors.DefaultSelector() as selector:
        for one in crowd[200:]:
            selector.register(one, selectors.EVENT_READ)
        assert len(selector.select(0)) >= 200 - 64, "what has no descriptor is closed"


def test_who_has_all_descriptors_that_there_are_comes_back_to_his_connections(tunnel):
    """His link is lost, and until there is another nobody knows which of them are over. One descriptor is left, the link's."""
    t = tunnel(wait=False)
    t.far = t.start(t.configs["far"], prefix=[*t.joined.far.prefix, *with_descriptors(64)])
    t.start_near()
    t.wait_linked()
    server, socks = t.serve(echo), []
    while client.socks5(sock := t.dial(), *server.addr).code == 0:
        socks.append(sock)
    until(lambda: t.far.n_descriptors() == 64, "all of them in use")
    t.joined.near.kill_connections(PORT)
    for sock in socks:
        exchange(sock)


class Tap:
    """Between near and far: keeps what the near end says on each of its connections."""

    def __init__(self, t, port=4999):
        self.said, self.t = [], t
        with t.joined.near.entered():
            self.listener = t.origin(self.relay, "127.0.0.1", port)

    def relay(self, conn):
        said = bytearray()
        self.said.append(said)
        with self.t.joined.near.entered():
            far = client.dial((FAR4, PORT))
        with far, selectors.DefaultSelector() as selector:
            conn.settimeout(None)
            for source, target in ((conn, far), (far, conn)):
                selector.register(source, selectors.EVENT_READ, target)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    if key.fileobj is conn:
                        said += data
                    key.data.sendall(data)


def test_acc_06_a_recorded_session_opens_no_connection_and_hears_nothing(tunnel):
    t = tunnel(wait=False, near={"server": '"127.0.0.1:4999"'})
    tap = Tap(t)
    t.start_far()
    t.start_near()
    t.wait_linked()
    server = t.serve(echo)
    sock = t.connect(server)
    send_pattern(sock, 100_000)
    receive_pattern(sock, 100_000)
    sock.close()
    until(lambda: server.n_open == 0, "the end of the recorded flow")
    n_clients = len(server.clients)
    records = [bytes(said) for said in tap.said]
    assert sum(map(len, records)) > 100_000
    t.near.stop()
    socks = [stranger(t, record) for record in records]
    assert_quiet(socks, 2)
    assert_ends_after_us(socks)
    t.far.kill()
    t.start_far()
    socks = [stranger(t, record) for record in records]
    assert_quiet(socks, 2)
    assert_ends_after_us(socks)
    assert len(server.clients) == n_clients


def test_strangers_are_not_counted_out_or_timed_out(tunnel):
    """No limit and no list closes one: that would be an answer."""
    t = tunnel(far={"connections": 3, "per_client": 2, "allow": '["192.0.2.1"]'}, wait=False, far_limits="handshake_ms: 300, idle_ms: 300")
    t.start_far()
    socks = [stranger(t, b"x" * 50) for _ in range(40)]
    assert_quiet(socks, 1.5 * SLOWNESS)
    assert_ends_after_us(socks)


def test_who_is_not_allowed_looks_like_who_has_no_key_and_the_log_tells(tunnel):
    t = tunnel(far={"allow": '["192.0.2.1"]'}, wait=False)
    t.start_far()
    sock = stranger(t, flight(Keys(KEY_BYTES)))
    assert_quiet([sock])
    assert_ends_after_us([sock])
    t.far.wait_text(r"warn flight .*may not come")


def test_acc_35_a_peer_who_is_not_named_hears_no_more_and_the_log_tells(tunnel, cli, place):
    for name in ("friend", "foe", "server"):
        assert cli("keygen", "--identity", "ed25519", "-o", place / name).code == 0
    far = {"identity": place / "server.key", "peers": f"[{place}/friend.pub]"}
    t = tunnel(near={"identity": place / "friend.key", "peer": place / "server.pub"}, far=far)
    assert t.is_served(t.serve(echo))
    t.near.stop()
    t.configs["near"] = t.configs["near"].replace("friend.key", "foe.key").replace("limits: {", "limits: {connect_ms: 1500, ")
    t.start_near()
    assert client.socks5(t.dial(), "127.0.0.1", 80).code == 1
    t.far.wait_text(r"warn .*peer")


def test_acc_31_a_server_that_is_not_the_named_one_is_not_taken(tunnel, cli, place):
    for name in ("server", "other"):
        cli("keygen", "--identity", "ed25519", "-o", place / name)
    t = tunnel(near={"peer": place / "other.pub"}, far={"identity": place / "server.key"}, wait=False, near_limits="connect_ms: 1500")
    t.start_far()
    t.start_near()
    assert client.socks5(t.dial(), "127.0.0.1", 80).code == 1


def test_without_a_shared_key_the_servers_public_key_takes_its_place(tunnel, cli, place):
    for name in ("server", "client"):
        cli("keygen", "--identity", "ed25519", "-o", place / name)
    t = tunnel(near={"key": None, "identity": place / "client.key", "peer": place / "server.pub"},
               far={"key": None, "identity": place / "server.key", "peers": place / "client.pub"}, private_state=True)
    sock = t.connect(t.serve(echo))
    send_pattern(sock, 100_000)
    receive_pattern(sock, 100_000)


def test_the_key_of_these_tests_is_the_programs():
    from harness.tunnel import KEY
    assert base64.b64decode(KEY) == KEY_BYTES and len(KEY_BYTES) == 32
