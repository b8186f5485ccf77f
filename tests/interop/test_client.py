"""The client as it runs, against our own server: a download over carriers that are cut, early data, silence."""

import hashlib
import os
import time

import pytest

import client
from capture import read_capture
from draw import fixed
from server import TestServer, monotonic_us
from tunnel.frame import Address
from tunnel.keys import Keys
from tunnel.link import Server
from tunnel.peer import Far
from tunnel.session import Opening
from vectors import ed25519

KEYS = Keys(fixed("a key", 32))
DOWNLOAD = fixed("what is downloaded", 1000) * 3000


def serve(half, event):
    if isinstance(event, Opening):
        half.answer(event.id, 0 if event.target.port == 80 else 5)
        if event.id in half.streams:
            half.write(event.id, DOWNLOAD)
            half.finish(event.id)


@pytest.fixture
def start():
    """start(keys=KEYS, **options of Server) -> TestServer"""
    started = []

    def one(keys=KEYS, **options):
        server = Server([keys], draw=os.urandom, now_ms=lambda: time.time_ns() // 1_000_000, **options)
        started.append(TestServer(Far(server, monotonic_us, serve)))
        return started[-1]
    yield one
    for server in started:
        server.stop()


TARGET = Address(b"example.org", 80)


def assert_complete(fetch):
    assert fetch.n_bytes == len(DOWNLOAD)
    assert fetch.sum.digest() == hashlib.sha256(DOWNLOAD).digest()


def test_a_download_survives_its_carriers(start):
    fetch = client.Fetch(client.new_near(KEYS), start().dial, TARGET, b"GET", cut_after=(100_000, 700_000, 2_000_000)).run()
    assert_complete(fetch)
    assert len(fetch.recordings) == 4
    fetch.end_session()


def test_early_data_is_accepted_or_sent_again(start):
    for choice in ("full", "none"):
        fetch = client.Fetch(client.new_near(KEYS, early=True), start(early_data=choice).dial, TARGET, b"GET").run()
        assert_complete(fetch)
        assert fetch.early == [choice == "full"]


def test_identities_take_the_place_of_a_key(start):
    ours, theirs = ed25519("our identity"), ed25519("their identity")
    keys = Keys(server_spki=theirs.spki)
    server = start(keys, identity=theirs, peers={ours.spki})
    near = client.new_near(keys, server_spki=theirs.spki, identity=ours)
    assert_complete(client.Fetch(near, server.dial, TARGET, cut_after=(50_000,)).run())
    stranger = client.new_near(keys, server_spki=theirs.spki, identity=ed25519("a stranger"))
    with pytest.raises(client.Silence):
        client.Fetch(stranger, server.dial, TARGET, timeout_s=1).run()


def test_a_refused_target_is_said(start):
    with pytest.raises(client.Refused, match="code 5"):
        client.Fetch(client.new_near(KEYS), start().dial, Address(b"example.org", 81)).run()


def test_a_wrong_key_gets_silence(start):
    near = client.new_near(Keys(fixed("another key", 32)))
    fetch = client.Fetch(near, start().dial, TARGET, timeout_s=1)
    with pytest.raises(client.Silence, match="nothing came"):
        fetch.run()
    assert not fetch.recordings[0].down


# --- forward secrecy ----------------------------------------------------------------------------

def test_a_capture_and_all_long_term_keys_open_no_record(start):
    """What both ends keep opens the heads and payload 1, and no record; with the client's ephemeral key all opens."""
    ours, theirs = ed25519("our identity"), ed25519("their identity")
    near = client.new_near(KEYS, server_spki=theirs.spki, identity=ours)
    fetch = client.Fetch(near, start(identity=theirs, peers={ours.spki}).dial, TARGET, b"a secret").run()
    recorded, = fetch.recordings

    without = read_capture(KEYS, recorded.up, recorded.down)
    assert without.payload1 is not None
    assert without.payload2 is None and without.up == [] and without.down == []

    knowing = read_capture(KEYS, recorded.up, recorded.down, recorded.e_private)
    assert b"a secret" in b"".join(knowing.up)
    assert len(knowing.down) > 10 and theirs.spki in knowing.payload2
    assert sum(map(len, knowing.down)) > len(DOWNLOAD)


def test_early_records_have_no_forward_secrecy(start):
    """As the page says (6)."""
    near = client.new_near(KEYS, early=True)
    fetch = client.Fetch(near, start(early_data="full").dial, TARGET, b"a secret").run()
    without = read_capture(KEYS, fetch.recordings[0].up, fetch.recordings[0].down)
    assert b"a secret" in b"".join(without.early)
    assert without.up == [] and without.down == []


def test_a_join_is_not_opened_by_long_term_keys_nor_early_records_without_the_sessions_secret(start):
    near = client.new_near(KEYS)
    fetch = client.Fetch(near, start().dial, TARGET, b"a secret", cut_after=(1000,)).run()
    join = fetch.recordings[1]
    without = read_capture(KEYS, join.up, join.down)
    assert without.payload1 is None and without.early == [] and without.up == []
    knowing = read_capture(KEYS, join.up, join.down, resume=near.session.resume)
    assert knowing.early and knowing.up == [] and knowing.down == []
