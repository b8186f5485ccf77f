"""Our own two ends over carriers that are cut: whatever is cut, all bytes arrive, once and in order."""

import random

import pytest

from tunnel import frame
from tunnel.frame import NOTHING, Address
from tunnel.keys import Keys
from tunnel.link import Server
from tunnel.listeners import Listening, Unwanted, Wanted
from tunnel.peer import Far, Near
from tunnel.session import Answer, Bytes, Ended, Finished, Opening, WasReset
from draw import Draw, fixed

KEYS = Keys(fixed("a key", 32))
DOWNLOAD = fixed("what is downloaded", 300_000)


class World:
    """Two ends, one clock, and the connections between them."""

    def __init__(self, seed=0, server_options=None, **client_options):
        self.us = 0
        self.random = random.Random(seed)
        self.server = Server([KEYS], draw=Draw(f"server {seed}"), now_ms=self.now_ms, **(server_options or {}))
        self.far = Far(self.server, lambda: self.us, self.serve)
        self.near = Near(KEYS, draw=Draw(f"client {seed}"), now_ms=self.now_ms, now_us=lambda: self.us, **client_options)
        self.uploaded = {}
        self.pairs = []

    def now_ms(self):
        return 1_800_000_000_000 + self.us // 1000

    def serve(self, half, event):
        """The application of the server: target `download` sends, `upload` takes, another is refused."""
        if isinstance(event, Opening):
            if event.target.host == b"download":
                half.answer(event.id, 0)
                half.write(event.id, DOWNLOAD)
                half.finish(event.id)
            elif event.target.host == b"upload":
                half.answer(event.id, 0)
                half.finish(event.id)
                self.uploaded[event.id] = bytearray()
            else:
                half.answer(event.id, 5)
        elif isinstance(event, Bytes) and event.id in self.uploaded:
            self.uploaded[event.id] += event.data
            half.consume(event.id, len(event.data))

    def connect(self):
        self.pairs.append((self.near.connect(), self.far.accept()))
        return self.pairs[-1]

    def move(self, pair, limit=1 << 30):
        """Moves what both sides have to send, at most `limit` bytes each way; what is over is lost with the carrier."""
        near, far = pair
        up = near.take_output()[:limit]
        far.receive(up)
        down = far.take_output()[:limit]
        near.receive(down)
        return len(up) + len(down)

    def settle(self, pair):
        for _ in range(200):
            self.us += 10_000
            if not self.move(pair) and self.us and not self._due():
                return
        raise AssertionError("they never have enough of it")

    def _due(self):
        return any(h.ack_due() is not None for h in (self.near.half, *self.far.halves.values()))

    def cut(self, pair):
        for end in pair:
            end.over()
        self.pairs.remove(pair)


def received(half, stream_id):
    """What the near end's application has got on a stream since it asked last."""
    mine = [e for e in half.events if isinstance(e, Bytes) and e.id == stream_id]
    half.events = [e for e in half.events if e not in mine]
    data = b"".join(e.data for e in mine)
    half.consume(stream_id, len(data))
    return data


@pytest.mark.parametrize("options", [{}, {"early": True}], ids=["without early data", "with early data"])
@pytest.mark.parametrize("early_data", ["none", "full"])
def test_a_download(options, early_data):
    world = World(server_options={"early_data": early_data}, **options)
    stream = world.near.half.open(Address(b"download", 80))
    pair = world.connect()
    data = b""
    for _ in range(100):
        world.us += 10_000
        world.move(pair)
        data += received(world.near.half, stream)
    assert data == DOWNLOAD
    assert world.near.established.early_accepted == (early_data == "full" and bool(options))
    assert Finished(stream) in world.near.half.events


class Talk:
    """Streams that begin while links are lost, and say one word in each turn: what follows OPEN could overtake it."""

    def __init__(self, half):
        self.half, self.words, self.begun = half, {}, []

    def turn(self):
        if len(self.begun) < 30:
            self.begun.append(self.half.open(Address(b"upload", 2)))
            self.words[self.begun[-1]] = [b"one", b"two", b"three"]
        for stream, words in list(self.words.items()):
            self.half.write(stream, words.pop(0))
            if not words:
                self.half.finish(stream)
                del self.words[stream]

    def is_heard(self, uploaded):
        return not self.words and all(uploaded.get(stream) == b"onetwothree" for stream in self.begun)


@pytest.mark.parametrize("n_links", [1, 3])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_cut_all_bytes_arrive(seed, n_links):
    """Each turn one of the carriers moves, and may be cut after any number of bytes: what it had under way is lost."""
    world = World(seed, {"early_data": "full"}, early=seed % 2 == 1)
    half = world.near.half
    up = fixed("what is uploaded", 200_000)
    streams = {half.open(Address(b"download", 1)): bytearray() for _ in range(2)}
    for stream in streams:
        half.finish(stream)
    upload = half.open(Address(b"upload", 2))
    half.write(upload, up)
    half.finish(upload)
    world.settle(world.connect())    # the session must be there before it can be lost
    while len(world.pairs) < n_links:
        world.connect()
    world.cut(world.pairs[0])
    talk = Talk(half)
    for _ in range(2000):
        world.us += 5_000
        while len(world.pairs) < n_links:
            world.connect()
        talk.turn()
        pair, cut = world.random.choice(world.pairs), world.random.random() < 0.5
        world.move(pair, world.random.randrange(20_000) if cut else 1 << 30)
        for stream in streams:
            streams[stream] += received(half, stream)
        if cut:
            world.cut(pair)
        if len(talk.begun) == 30 and not half.streams and all(s == DOWNLOAD for s in streams.values()):
            break
    assert all(s == DOWNLOAD for s in streams.values())
    assert world.uploaded[upload] == up
    assert talk.is_heard(world.uploaded)
    assert not half.streams
    assert not any(isinstance(e, (WasReset, Ended)) for e in half.events)
    for _ in range(2):
        for pair in list(world.pairs) or [world.connect()]:
            world.settle(pair)
    far, = world.far.halves.values()
    assert not far.streams and not far.lost and not half.lost and not far.pins and not half.pins


def test_a_refused_target_has_its_code():
    world = World()
    stream = world.near.half.open(Address("192.0.2.1", 80))
    world.near.half.write(stream, b"not for anybody")
    world.settle(world.connect())
    assert Answer(stream, 5, frame.NOTHING) in world.near.half.events
    assert not world.near.half.streams


def test_a_session_that_is_gone_is_replaced_on_the_same_carrier():
    world = World()
    stream = world.near.half.open(Address(b"upload", 80))
    pair = world.connect()
    world.settle(pair)
    world.cut(pair)
    world.server.sessions.clear()
    world.far.halves.clear()
    pair = world.connect()
    world.settle(pair)
    assert WasReset(stream, 2) in world.near.gone.events
    fresh = world.near.half.open(Address(b"download", 80))
    world.settle(pair)
    assert received(world.near.half, fresh).startswith(DOWNLOAD[:1000])


def test_an_end_ends_both_sides():
    world = World()
    stream = world.near.half.open(Address(b"upload", 80))
    pair = world.connect()
    world.settle(pair)
    far, = world.far.halves.values()
    far.end(0)
    world.settle(pair)
    assert WasReset(stream, 3) in world.near.half.events and Ended(0) in world.near.half.events
    assert pair[0].closing and pair[1].closing


def test_an_end_does_not_overtake_what_closes_a_stream():
    """The server has all of a stream by one link, and ends the session by another."""
    world = World()
    stream = world.near.half.open(Address(b"upload", 80))
    for _ in range(2):
        world.settle(world.connect())
    near, (far,) = world.near.half, world.far.halves.values()
    near.finish(stream)
    far.take(0, near.pull(0))
    world.us += 30_000
    assert far.pull(0)               # that it has all is under way
    assert not far.streams and stream in near.streams
    far.end(0)
    near.take(1, far.pull(1))
    assert not any(isinstance(e, WasReset) for e in near.events) and Ended(0) in near.events


def test_a_wrong_key_and_a_flight_seen_before_get_silence():
    world = World()
    near, far = world.connect()
    flight = near.take_output()
    far.receive(flight)
    assert far.take_output()
    again = world.far.accept()
    again.receive(flight + bytes(1000))
    assert again.silent == "a flight that was here before" and not again.take_output()
    stranger = Near(Keys(fixed("another key", 32)), draw=Draw("stranger"), now_ms=world.now_ms, now_us=lambda: 0)
    other = world.far.accept()
    other.receive(stranger.connect().take_output())
    assert other.silent and not other.take_output()


def test_a_join_that_comes_after_it_was_given_up_does_not_come_to_life():
    world = World()
    pair = world.connect()
    world.settle(pair)
    world.cut(pair)
    late, _ = world.connect()
    flight = late.take_output()
    late.over()
    pair = world.connect()
    half, (far,) = world.near.half, world.far.halves.values()
    world.settle(pair)
    assert not half.lost and not far.lost
    carrier = world.far.accept()
    carrier.receive(flight)
    assert carrier.silent == "a join number that was used"


def test_hundreds_of_attempts_without_an_answer_leave_nothing_behind():
    world = World()
    stream = world.near.half.open(Address(b"download", 80))
    pair = world.connect()
    world.settle(pair)
    data = received(world.near.half, stream)
    world.cut(pair)
    for _ in range(400):
        world.near.connect().over()
    pair = world.connect()
    while len(data) < len(DOWNLOAD):
        world.settle(pair)
        data += received(world.near.half, stream)
    assert data == DOWNLOAD
    far, = world.far.halves.values()
    assert not world.near.half.lost and not far.lost


def test_a_client_that_reports_links_without_end_loses_its_session():
    world = World()
    pair = world.connect()
    world.settle(pair)
    far, = world.far.halves.values()
    far.take(0, frame.encode(*(frame.Lost(n, 0) for n in range(1, 300))))
    assert far.ended == 3


# --- listeners ----------------------------------------------------------------------------------

PORT = Address("127.0.0.1", 8888)


def wanted(world, pair):
    """A listener that the server has bound; its half of the session."""
    heard = []
    world.far.on_event = lambda half, event: heard.append((half, event))
    number = world.near.half.listeners.listen(PORT)
    world.settle(pair)
    (half, event), = [h for h in heard if isinstance(h[1], Wanted)]
    assert event == (number, 0, PORT)
    half.listeners.answer(number, 0, PORT)
    world.settle(pair)
    assert Listening(number, 0, PORT) in world.near.half.events
    return number, half


def test_a_connection_of_a_listener_opens_to_the_client():
    world = World()
    pair = world.connect()
    number, far = wanted(world, pair)
    stream = far.open(PORT, Address("192.0.2.9", 7), kind=2, of=number)
    far.write(stream, b"question")
    world.settle(pair)
    near = world.near.half
    assert Opening(stream, PORT, Address("192.0.2.9", 7), 2, number) in near.events
    assert Bytes(stream, b"question") in near.events
    near.answer(stream, 0)
    near.write(stream, b"answer")
    heard = []
    world.far.on_event = lambda half, event: heard.append(event)
    world.settle(pair)
    assert Bytes(stream, b"answer") in heard


def test_listeners_live_over_lost_links_and_openings_cross_their_end():
    world = World()
    pair = world.connect()
    number, far = wanted(world, pair)
    world.cut(pair)
    pair = world.connect()
    world.settle(pair)
    assert far.listeners.there == {number: 0} == world.near.half.listeners.there
    stream = far.open(PORT, kind=2, of=number)
    world.near.half.listeners.unlisten(number)
    heard = []
    world.far.on_event = lambda half, event: heard.append(event)
    world.settle(pair)
    assert Answer(stream, 1, NOTHING) in heard and Unwanted(number) in heard
    assert not far.listeners.there


def test_unlisten_waits_for_the_acknowledgement_of_listen():
    world = World()
    half = world.near.half
    number = half.listeners.listen(PORT)
    half.listeners.unlisten(number)
    assert [type(f) for f in half.queue] == [frame.Listen]
    pair = world.connect()
    world.far.on_event = lambda half, event: None
    world.settle(pair)
    assert not next(iter(world.far.halves.values())).listeners.there
