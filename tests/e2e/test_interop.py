"""The program beside the second implementation of the tunnel's protocol: its client at our far end, our near end at its server."""

import contextlib
import hashlib
import os
import random
import select
import socket
import time

import pytest

from harness import client
from harness.beside import in_thread
from harness.binary import SLOWNESS
from harness.interop import KEY_OF, KEYS, NearEnds    # also makes tests/interop importable
from harness.origin import echo
from harness.pattern import CHUNK, pattern, receive_end, receive_pattern, send_and_end
from harness.services import free_port
from harness.udp import UdpEcho
from harness.wait import until

import client as interop
from capture import read_capture
from tunnel import frame
from tunnel.frame import Address
from tunnel.identity import Identity
from tunnel.keys import Keys
from tunnel.link import ClientLink
from tunnel.listeners import Listening
from tunnel.peer import FarCarrier, Habits
from tunnel.session import Answer, Bytes, Datagram, Finished, LinkOver, Opening

N = 10_000_000
N_KEY = {1: 16, 2: 24, 3: 32, 4: 32}


def pattern_sum(n, seed=0):
    total = hashlib.sha256()
    for at in range(0, n, CHUNK):
        total.update(pattern(at, min(CHUNK, n - at), seed))
    return total.hexdigest()


def pattern_bytes(n, seed=0):
    return b"".join(pattern(at, min(CHUNK, n - at), seed) for at in range(0, n, CHUNK))


def send_n(conn):
    """A server that sends as many bytes as it is asked for."""
    send_and_end(conn, int(client.receive_all(conn)))


# --- our far end --------------------------------------------------------------------------------

@pytest.mark.parametrize("cipher", [1, 2, 3, 4])
def test_10_mb_arrive_whole_over_carriers_that_are_lost(far_end, origin, cipher):
    end = far_end(KEY_OF[N_KEY[cipher]], options={"ciphers": [cipher]})
    fetch = end.fetch(origin(send_n).addr, str(N).encode(), cut_after=(1, 3_000_000, 5_000_000, 9_999_999))
    assert (fetch.n_bytes, fetch.sum.hexdigest()) == (N, pattern_sum(N))
    assert len(fetch.recordings) == 5


def test_both_directions_survive_lost_carriers(far_end, origin):
    n = 4_000_000
    fetch = far_end().fetch(origin(echo).addr, pattern_bytes(n), cut_after=(100_000, 1_000_000, 2_500_000))
    assert (fetch.n_bytes, fetch.sum.hexdigest()) == (n, pattern_sum(n))
    assert len(fetch.recordings) == 4


def test_datagrams_go_there_and_back_and_end(far_end):
    """An association of the other client's at our far end: every size and family, a name, and an end that both say."""
    end = far_end(allow_targets='["127.0.0.0/8", "::1"]')
    near, servers = end.near(), [UdpEcho("127.0.0.1"), UdpEcho("::1")]
    half = near.half
    stream = half.associate()
    told = [(Address(*server.addr), bytes([size % 251]) * size) for server in servers for size in (0, 1, 1200, 60000)]
    told.append((Address(b"localhost", servers[0].addr[1]), b"to a name"))
    came = []
    with end.dial() as sock:
        carrier = near.connect()
        deadline = time.monotonic() + 60 * SLOWNESS
        while (state := half.streams.get(stream)) is not None:
            assert time.monotonic() < deadline, f"{len(set(came))} of {len(told)} came"
            sock.sendall(carrier.take_output())
            if select.select([sock], [], [], 0.05)[0]:
                carrier.receive(sock.recv(1 << 16))
            for event in half.events:
                came += [(event.address, event.payload)] if isinstance(event, Datagram) else []
            half.events.clear()
            if near.established is None or state.datagrams:
                continue
            if state.sending.fin_wanted:
                continue
            if missing := [one for one in told if one not in came]:
                half.send(stream, *missing[0])    # again, where it was lost
            else:
                half.finish(stream)
            time.sleep(0.02)
    for server in servers:
        server.close()
    assert set(came) == set(told)


@pytest.mark.parametrize("offered", [True, False])
def test_a_measurement_gets_zeros_and_its_fin_behind_all_that_went_up(far_end, offered):
    """A stream of kind 4: two megabytes go up, four come down before that; where it is not offered the answer is 2."""
    end = far_end(speedtest=str(offered).lower())
    near = end.near()
    half, n_up, n_down = near.half, 2_000_000, 4_000_000
    stream = half.open(frame.NOTHING, kind=4)
    code, n_zeros, is_finished, carrier = None, 0, False, near.connect()
    with end.dial() as sock:
        deadline = time.monotonic() + 60 * SLOWNESS
        while not is_finished and code in (None, 0):
            assert time.monotonic() < deadline, f"{n_zeros} bytes came"
            sock.sendall(carrier.take_output())
            if select.select([sock], [], [], 0.05)[0]:
                carrier.receive(sock.recv(1 << 16))
            for event in half.events:
                if isinstance(event, Answer):
                    code = event.code
                elif isinstance(event, Bytes):
                    assert not event.data.strip(b"\0")
                    n_zeros += len(event.data)
                    half.consume(stream, len(event.data))
                is_finished = is_finished or isinstance(event, Finished)
            half.events.clear()
            if n_zeros >= n_down and n_up:
                half.write(stream, bytes(n_up))
                half.finish(stream)
                n_up = 0
    assert code == (0 if offered else 2)
    if offered:
        line = end.program.wait_record(event="flow", out="speedtest", end="closed")
        assert int(line["up"]) == 2_000_000 and int(line["down"]) == n_zeros >= n_down


@pytest.mark.parametrize("choice", ["none", "open", "full"])
def test_early_data_is_accepted_or_sent_again(far_end, origin, choice):
    end = far_end(early_data=choice)
    fetch = end.fetch(origin(send_n).addr, b"100000", near=end.near(early=True))
    assert fetch.sum.hexdigest() == pattern_sum(100_000)
    assert fetch.early == [choice != "none"]


def test_early_bytes_wait_for_the_handshake_where_only_opening_is_allowed(far_end, origin):
    server = origin(lambda conn: client.receive_exactly(conn, 5))
    end = far_end(early_data="open")
    near = end.near(early=True)
    near.half.write(near.half.open(Address(*server.addr)), b"early")
    with end.dial() as sock:
        carrier = near.connect()
        sock.sendall(carrier.take_output())
        server.wait_for_clients(1)
        while carrier.link.state != "ESTABLISHED":
            carrier.receive(sock.recv(65536))
        assert near.established.early_accepted
        time.sleep(0.5)
        assert server.results.empty(), "the bytes were delivered"
        sock.sendall(carrier.take_output())    # INSTANCE
        assert server.result() == b"early"


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_identities_of_both_ends_in_place_of_a_key(far_end, origin, cli, place, kind):
    for name in ("server", "ann", "bob"):
        assert cli("keygen", "--identity", kind, "-o", name).code == 0
    identity = {name: Identity.load(place / f"{name}.key") for name in ("server", "ann", "bob")}
    spki = interop.spki_of(place / "server.pub")
    assert spki == identity["server"].spki
    keys = Keys(server_spki=spki)
    end = far_end(key=None, keys=keys, identity="server.key", peers="[ann.pub]",
              options={"server_spki": spki, "identity": identity["ann"]})
    fetch = end.fetch(origin(send_n).addr, b"1000000", cut_after=(300_000,))
    assert fetch.sum.hexdigest() == pattern_sum(1_000_000)
    for stranger in (end.near(identity=identity["bob"]), end.near(identity=None)):
        with pytest.raises(interop.Silence):
            interop.Fetch(stranger, end.dial, Address(*origin(send_n).addr), b"1", timeout_s=1).run()
    other = end.near(server_spki=identity["ann"].spki)
    with pytest.raises(interop.Failure):
        interop.Fetch(other, end.dial, Address(*origin(send_n).addr), b"1").run()


def test_a_session_that_a_restart_has_taken_is_gone_and_a_fresh_one_begins_on_the_same_carrier(far_end, origin, place):
    state = place / "state"
    end = far_end(state=state)
    near = end.near()
    target = origin(send_n).addr
    end.fetch(target, b"1000", near=near)
    end.program.stop()
    end = far_end(state=state)
    fetch = end.fetch(target, b"1000000", near=near)
    assert (fetch.n_gone, len(fetch.recordings)) == (1, 1)
    assert fetch.sum.hexdigest() == pattern_sum(1_000_000)


def test_the_true_code_comes_back(far_end):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(interop.Refused, match="code 5"):
            far_end().fetch(nobody.getsockname())


def test_what_went_over_the_wire_is_opened_by_no_long_term_key(far_end, origin):
    fetch = far_end().fetch(origin(send_n).addr, b"100000")
    recorded, = fetch.recordings
    without = read_capture(KEYS, recorded.up, recorded.down)
    assert without.payload1 and not (without.payload2 or without.up or without.down)
    knowing = read_capture(KEYS, recorded.up, recorded.down, recorded.e_private)
    assert b"100000" in b"".join(knowing.up)
    assert sum(map(len, knowing.down)) > 100_000


HABITS = {"small": Habits(room=100), "large": Habits(room=65536), "padded": Habits(n_padding=3000), "empty": Habits(empty=True),
          "a key for each": Habits(change_key=True), "all of it": Habits(4000, 77, True, True)}


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS)
def test_records_of_any_form_are_as_good(far_end, origin, habits):
    n = 300_000
    fetch = far_end().fetch(origin(echo).addr, pattern_bytes(n), cut_after=(50_000,), near_options={"habits": habits})
    assert (fetch.n_bytes, fetch.sum.hexdigest()) == (n, pattern_sum(n))


def test_several_links_at_once_carry_a_session_and_either_may_be_lost(far_end, origin):
    """What is read and written by which link is drawn, so that frames of a stream overtake each other."""
    end, n, draw = far_end(), 400_000, random.Random(3)
    near = end.near()
    half = near.half
    end.fetch(origin(send_n).addr, b"1", near=near)
    stream = half.open(Address(*origin(echo).addr))
    half.write(stream, pattern_bytes(n))
    half.finish(stream)
    got, finished = bytearray(), False
    deadline = time.monotonic() + 60 * SLOWNESS
    with contextlib.ExitStack() as stack:
        links = []
        while not finished or stream in half.streams:
            assert time.monotonic() < deadline
            while len(links) < 3:
                links.append((stack.enter_context(end.dial()), near.connect()))
            sock, carrier = draw.choice(links)
            sock.sendall(carrier.take_output())
            if select.select([sock], [], [], 0.02)[0]:
                carrier.receive(sock.recv(draw.choice((100, 5000, 65536))))
            for event in half.events:
                if isinstance(event, Bytes):
                    got += event.data
                    half.consume(stream, len(event.data))
                finished = finished or isinstance(event, Finished)
            half.events.clear()
            if draw.random() < 0.02:
                links.remove((sock, carrier))
                sock.close()
                carrier.over()
    assert got == pattern_bytes(n)


def wire_cost(n):
    """Section 8, most up, most down."""
    return n + 60 * -(-n // 1400)


def test_handovers_of_links_that_may_carry_little(far_end, origin):
    """The far end keeps to what it may send on each, says BYE, and goes on by the next."""
    end, n, most = far_end(), 200_000, 9000
    near = end.near()
    half = near.half
    end.fetch(origin(send_n).addr, b"1", near=near)
    stream = half.open(Address(*origin(send_n).addr))
    half.write(stream, str(n).encode())
    half.finish(stream)
    got, finished, n_links = bytearray(), False, 0
    while not finished:
        n_links += 1
        with end.dial() as sock:
            sock.settimeout(20)
            carrier, n_received = near.connect(most_down=most), 0
            while not (finished or carrier.closing):
                sock.sendall(carrier.take_output())
                data = sock.recv(65536)
                n_received += len(data)
                if not data:
                    break
                carrier.receive(data)
                for event in half.events:
                    if isinstance(event, Bytes):
                        got += event.data
                        half.consume(stream, len(event.data))
                    finished = finished or isinstance(event, Finished)
                    carrier.closing = carrier.closing or isinstance(event, LinkOver)
                half.events.clear()
            assert wire_cost(n_received) <= most
            sock.sendall(carrier.take_output())
            carrier.over()
    assert got == pattern_bytes(n)
    assert n_links >= n // most


def test_a_stream_with_a_link_of_its_own_is_answered_by_that_alone(far_end, origin):
    end, n = far_end(), 100_000
    near = end.near()
    half = near.half
    end.fetch(origin(send_n).addr, b"1", near=near)
    target = Address(*origin(send_n).addr)
    with end.dial() as common_sock, end.dial() as own_sock:
        links = [(common_sock, near.connect()), (own_sock, near.connect(is_own=True))]
        for sock, carrier in links:
            sock.sendall(carrier.take_output())
            while carrier.link.state != "ESTABLISHED":
                carrier.receive(sock.recv(4096))
        streams = []
        for sock, carrier in links:    # each opening by the link that is asked first
            streams.append(half.open(target))
            half.write(streams[-1], str(n).encode())
            half.finish(streams[-1])
            sock.sendall(carrier.take_output())
        came_by, done = {}, set()
        deadline = time.monotonic() + 60 * SLOWNESS
        while len(done) < 2:
            assert time.monotonic() < deadline, (came_by, done)
            for index, (sock, carrier) in enumerate(links):
                sock.sendall(carrier.take_output())
                if select.select([sock], [], [], 0.05)[0]:
                    carrier.receive(sock.recv(65536))
                for event in half.events:
                    if isinstance(event, Bytes):
                        came_by.setdefault(event.id, set()).add(index)
                        half.consume(event.id, len(event.data))
                    elif isinstance(event, Finished):
                        done.add(event.id)
                half.events.clear()
        assert came_by == {streams[0]: {0}, streams[1]: {1}}


def test_a_join_that_was_given_up_is_told_to_the_far_end_and_its_number_is_used(far_end, origin):
    """One whose flight came, and one whose flight comes when it is too late."""
    end, target = far_end(), origin(send_n).addr
    near = end.near()
    end.fetch(target, b"1000", near=near)
    with end.dial() as came, end.dial() as late:
        given_up, kept = near.connect(), near.connect()
        came.sendall(given_up.take_output())
        assert came.recv(1)
        late_flight = kept.take_output()
        given_up.over()
        kept.over()
        end.fetch(target, b"1000", near=near)
        client.receive_all(came)    # the far end closes it, as it has heard of it
        late.sendall(late_flight)
        late.settimeout(0.7)
        with pytest.raises(TimeoutError):
            late.recv(1)


def test_a_connection_played_again_a_wrong_key_and_a_wrong_clock_get_silence(far_end, origin):
    end = far_end()
    recorded, = end.fetch(origin(send_n).addr, b"1000").recordings
    wrong_key = ClientLink(Keys(KEY_OF[16] * 2), draw=os.urandom, now_ms=lambda: time.time_ns() // 1_000_000)
    wrong_clock = ClientLink(KEYS, draw=os.urandom, now_ms=lambda: time.time_ns() // 1_000_000 - 400_000)
    socks = [end.dial() for _ in range(3)]
    for sock, data in zip(socks, (bytes(recorded.up), wrong_key.start(), wrong_clock.start())):
        sock.sendall(data)
    for sock in socks:
        sock.settimeout(0.7)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    for sock in socks:
        sock.settimeout(20)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
        sock.close()


class Listener:
    """The client, whose application takes what a listener of the far end has taken. wait(kind) is its next event of that kind."""

    def __init__(self, end, near):
        self.end, self.near, self.events = end, near, []

    def connect(self):
        self.sock, self.carrier = self.end.dial(), self.near.connect()
        self.sock.settimeout(0.02)
        return self

    def cut(self):
        self.sock.close()
        self.carrier.over()

    def turn(self):
        self.sock.sendall(self.carrier.take_output())
        with contextlib.suppress(TimeoutError):
            self.carrier.receive(self.sock.recv(1 << 16))
        self.events += self.near.half.events
        self.near.half.events.clear()

    def wait(self, kind):
        deadline = time.monotonic() + 20 * SLOWNESS
        while not (found := [event for event in self.events if isinstance(event, kind)]):
            assert time.monotonic() < deadline, f"no {kind.__name__} among {self.events}"
            self.turn()
        self.events.remove(found[0])
        return found[0]


def test_acc_42_it_listens_at_our_far_end_and_over_another_link(far_end, dial):
    port, other = free_port(), free_port()
    end = far_end(allow_reverse=f"[{port}]")
    near = end.near()
    address, denied = Address("127.0.0.1", port), Address("127.0.0.1", other)
    number, refused = near.half.listeners.listen(address), near.half.listeners.listen(denied)
    listener = Listener(end, near).connect()
    answers = {listener.wait(Listening) for _ in range(2)}
    assert answers == {Listening(number, 0, address), Listening(refused, 2, frame.NOTHING)}
    for _ in range(2):
        conn = dial(("127.0.0.1", port), timeout=20 * SLOWNESS)
        conn.sendall(b"question")
        opening = listener.wait(Opening)
        assert (opening.target, opening.kind, opening.of) == (address, 2, number)
        assert opening.source == Address(*conn.getsockname())
        assert listener.wait(Bytes).data == b"question"
        near.half.answer(opening.id, 0)
        near.half.write(opening.id, b"answer")
        near.half.finish(opening.id)
        received = []
        join = in_thread(lambda: received.append(client.receive_exactly(conn, 6)))
        while not received:
            listener.turn()
        join()
        assert received == [b"answer"]
        listener.cut()
        listener.connect()
    near.half.listeners.unlisten(number)

    def is_closed():
        listener.turn()
        try:
            dial(("127.0.0.1", port))
        except ConnectionRefusedError:
            return True
    until(is_closed, "the end of the port")
    listener.cut()


# --- our near end -------------------------------------------------------------------------------

class Application:
    """At the second implementation's server: target port 1 sends the pattern, port 2 echoes, others are refused."""

    def __call__(self, half, event):
        if isinstance(event, Opening):
            half.answer(event.id, 0 if event.target.port in (1, 2) else 4)
            if event.target.port == 1:
                half.write(event.id, pattern_bytes(N))
                half.finish(event.id)
        elif isinstance(event, Bytes) and event.id in half.streams:
            half.consume(event.id, len(event.data))
            half.write(event.id, event.data)
        elif isinstance(event, Finished) and event.id in half.streams:
            half.finish(event.id)


@pytest.fixture
def near(sockeye, place):
    """near(**options of NearEnds.start) -> (our near end, the second implementation's server)."""
    ends = NearEnds(sockeye, place)
    yield lambda **options: ends.start(Application(), **options)
    ends.stop()


def dial_through(program, dial, port, timeout=20):
    """A connection through our near end to that port of Application's."""
    sock = dial(program.addr(), timeout=timeout)
    assert client.open_flow(sock, "socks5", "192.0.2.1", port) == client.GRANTED["socks5"]
    return sock


@pytest.mark.parametrize("n_key", [16, 24, 32])
def test_our_near_end_gets_all_over_carriers_that_the_other_server_cuts(near, dial, n_key):
    program, server = near(key=KEY_OF[n_key], cut_after=(200_000, 3_000_000, 700_000))
    sock = dial_through(program, dial, 1, timeout=60 * SLOWNESS)
    receive_pattern(sock, N)
    receive_end(sock)
    assert server.n_cut == 3


def test_our_near_end_sends_all_over_carriers_that_the_other_server_cuts(near, dial):
    program, server = near(cut_after=(100_000, 900_000))
    n = 3_000_000
    sock = dial_through(program, dial, 2, timeout=60 * SLOWNESS)
    join = in_thread(send_and_end, sock, n)
    receive_pattern(sock, n)
    receive_end(sock)
    join()
    assert server.n_cut == 2


def test_what_our_near_end_sends_is_opened_by_no_long_term_key(near, dial):
    program, server = near()
    sock = dial_through(program, dial, 2)
    sock.sendall(b"a secret")
    assert client.receive_exactly(sock, 8) == b"a secret"
    recorded = next(r for r in server.recordings if r.carrier.half and r.carrier.number == 0)
    without = read_capture(KEYS, recorded.up, recorded.down)
    assert without.payload1 and not (without.payload2 or without.up or without.down)
    knowing = read_capture(KEYS, recorded.up, recorded.down, server_e_private=recorded.carrier.link.e_private)
    assert b"a secret" in b"".join(knowing.up) and b"a secret" in b"".join(knowing.down)


def test_who_has_the_shared_key_and_listens_does_not_learn_what_names_an_installation(near, dial):
    """Or he could come by it, end its session and take its listeners."""
    program, server = near()
    sock = dial_through(program, dial, 2)
    sock.sendall(b"heard")
    assert client.receive_exactly(sock, 5) == b"heard"
    recorded = next(r for r in server.recordings if r.carrier.half and r.carrier.number == 0)
    instance = recorded.carrier.half.instance
    assert instance and len(set(instance)) > 4
    known = read_capture(KEYS, recorded.up, recorded.down)
    assert known.payload1 and instance not in known.payload1 + b"".join(known.early)
    assert instance not in recorded.up


def test_our_near_end_hears_the_other_servers_code(near, dial):
    program, _ = near()
    sock = dial(program.addr(), timeout=20)
    assert client.socks5(sock, "192.0.2.1", 3).code == 4


@pytest.mark.parametrize("word", [frame.encode(frame.Drain(30)), frame.encode(frame.Bye()), b"\xff"], ids=["drain", "bye", "no frame"])
def test_our_near_end_comes_to_a_server_that_sends_it_away_less_and_less_often(near, monkeypatch, word):
    """What listens there asks again for ever: each time at once it would be thousands of handshakes a second."""
    established, n_came = FarCarrier._established, 0

    def send_away(carrier, event):
        nonlocal n_came
        established(carrier, event)
        carrier.output += carrier.link.seal(word)
        carrier.half.links[carrier.number].sent.append([])
        carrier.half.links[carrier.number].n_sent += 1
        n_came += 1

    monkeypatch.setattr(FarCarrier, "_established", send_away)
    near(inbounds=f'  - {{type: relay, name: service, listen_via: home, listen: "127.0.0.1:{free_port()}", target: "127.0.0.1:1"}}\n')
    until(lambda: n_came >= 3, "it to come again", timeout=60 * SLOWNESS)
    time.sleep(3)
    assert n_came < 25


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_our_near_end_and_the_other_server_know_each_others_identity(near, dial, cli, place, kind):
    for name in ("server", "ann"):
        assert cli("keygen", "--identity", kind, "-o", name).code == 0
    server_identity, ann = (Identity.load(place / f"{name}.key") for name in ("server", "ann"))
    program, _ = near(key=None, keys=Keys(server_spki=server_identity.spki), identity=server_identity, peers={ann.spki},
                      yaml=", identity: ann.key, peer: server.pub", cut_after=(50_000,))
    sock = dial_through(program, dial, 1, timeout=60 * SLOWNESS)
    receive_pattern(sock, N)
    receive_end(sock)
