"""The vectors: up to date, and both ends of our own links do what they say."""

import json
import pathlib

import pytest

import vectors
from draw import Draw
from tunnel import Failure, frame, record
from tunnel.flight import Payload1
from tunnel.identity import verify
from tunnel.keys import Keys
from tunnel.link import ClientLink, Established, Gone, Server, ServerLink, Session

FOLDER = pathlib.Path(vectors.FOLDER)
TEXTS = ("name", "does", "told", "frames")   # what is no bytes in hexadecimal


def load(name):
    def bytes_of(value):
        if isinstance(value, dict):
            return {k: v if k in TEXTS else bytes_of(v) for k, v in value.items()}
        if isinstance(value, list):
            return [bytes_of(v) for v in value]
        return bytes.fromhex(value) if isinstance(value, str) else value
    return bytes_of(json.loads((FOLDER / name).read_text()))


HANDSHAKES = load("handshakes.json")["handshakes"]
RUNS = load("records.json")["runs"]
BAD = load("records.json")["bad"]


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=[c["name"] for c in cases])


class Scripted:
    """Gives the random bytes it was given, in that order."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self, n):
        value = self.values.pop(0)
        assert len(value) == n
        return value


def keys_of(case):
    return Keys(case["keys"]["S"], case["keys"]["U"])


def session_of(case):
    joins = any(case["flight1"]["session_id"])
    if not joins:
        return None
    return Session(case["session"]["id"], case["session"]["resume"], case["cipher"], user=case["keys"]["tag"])


def offer_of(case):
    return Payload1.read(case["flight1"]["payload"])


def padding(n):
    return n.to_bytes(2, "big")


def client_of(case):
    first, offer = case["flight1"], offer_of(case)
    identity = case.get("server_identity")
    return ClientLink(keys_of(case), draw=Scripted(first["e_private"], first["salt"], padding(first["n_padding"])),
                      now_ms=lambda: first["time"], ciphers=offer.ciphers, keep_s=offer.keep_s, instance=offer.instance,
                      server_spki=identity and identity["spki"], session=session_of(case),
                      join_number=offer.join_number, early=first.get("early_payloads", ()))


def test_the_vectors_are_what_the_generator_writes():
    for name, text in vectors.texts().items():
        assert (FOLDER / name).read_text() == text, f"{name}: run tests/interop/vectors.py"


@named(HANDSHAKES)
def test_a_client_makes_flight_1_and_takes_flight_2(case):
    client = client_of(case)
    assert client.start() == case["flight1"]["wire"] + case["flight1"].get("early_wire", b"")
    established, = client.receive(case["flight2"]["wire"])
    assert established.early_accepted == case["early_accepted"]
    assert established.session.id == case["session"]["id"]
    assert established.session.resume == case["session"]["resume"]
    assert client.sending.chain == case["k1"] and client.receiving.chain == case["k2"]


@named(HANDSHAKES)
def test_a_server_takes_flight_1_byte_by_byte(case):
    first = case["flight1"]
    session = session_of(case)
    server = Server([keys_of(case)], draw=Draw("a server"), now_ms=lambda: first["time"], early_data="full")
    if session:
        server.sessions[session.id] = session
    link = ServerLink(server)
    events = []
    for byte in first["wire"] + first.get("early_wire", b""):
        events += link.receive(bytes([byte]))
    assert isinstance(events[0], Established)
    assert events[1:] == first.get("early_payloads", [])
    # What it has answered a client with this ephemeral key can read.
    client = client_of(case)
    client.server_spki = None
    client.start()
    client.receive(bytes(link.out))
    assert client.sending.chain == link.receiving.chain


@named([c for c in HANDSHAKES if "client_identity" in c])
def test_a_clients_signature_is_good_and_only_for_this_handshake(case):
    identity = case["client_identity"]
    payload, _ = record.Direction(case["cipher"], case["k1"]).open(identity["first_record"])
    auth, = frame.decode(payload)
    verify(auth.spki, auth.signature, identity["signed_text"])
    with pytest.raises(Failure):
        verify(auth.spki, auth.signature, identity["signed_text"].replace(b"client", b"server"))


@named([c for c in HANDSHAKES if "server_identity" in c])
def test_another_servers_identity_is_a_failure(case):
    client = client_of(case)
    client.server_spki = vectors.ed25519("somebody").spki
    client.start()
    with pytest.raises(Failure):
        client.receive(case["flight2"]["wire"])


@named(load("handshakes.json")["gone"])
def test_gone_and_a_fresh_flight_on_the_same_carrier(case):
    first, then = case["flight1"], case["then"]
    client = client_of({**case, "cipher": 3})
    assert client.start() == first["wire"] + first["early_wire"]
    gone, = client.receive(case["gone"]["wire"])
    assert isinstance(gone, Gone)
    client.draw = client_of(then).draw
    assert client.start_fresh([3]) == then["flight1"]["wire"]
    client.receive(then["flight2"]["wire"])
    assert client.sending.chain == then["k1"]

    server = ServerLink(Server([keys_of(case)], draw=Draw("a server"), now_ms=lambda: first["time"]))
    events = server.receive(first["wire"] + first["early_wire"] + then["flight1"]["wire"])
    assert [type(e) for e in events] == [Gone, Established]


@pytest.mark.parametrize("case", HANDSHAKES[2:3], ids=lambda c: c["name"])
def test_every_changed_byte_of_either_flight_is_a_failure(case):
    wire = case["flight1"]["wire"]
    for i in range(len(wire)):
        server = ServerLink(Server([keys_of(case)], draw=Draw("a server"), now_ms=lambda: case["flight1"]["time"]))
        with pytest.raises(Failure):
            server.receive(wire[:i] + bytes([wire[i] ^ 1]) + wire[i + 1:])
        assert not server.out
    wire = case["flight2"]["wire"]
    for i in range(len(wire)):
        client = client_of(case)
        client.start()
        with pytest.raises(Failure):
            client.receive(wire[:i] + bytes([wire[i] ^ 1]) + wire[i + 1:])


@named(RUNS)
def test_records_open_and_the_key_changes_where_they_say(case):
    limits = {k: case[k] for k in ("sender_records", "sender_bytes") if k in case}
    sender, receiver = (record.Direction(case["cipher"], case["chain"], **limits) for _ in range(2))
    sender.number = receiver.number = case["first_number"]
    for entry in case["records"]:
        assert (receiver.header_key, receiver.payload_key) == (entry["header_key"], entry["payload_key"])
        assert sender.seal(entry["payload"], entry["changes_key"]) == entry["wire"]
        for short in (0, 19, 20, len(entry["wire"]) - 1):
            assert receiver.open(entry["wire"][:short]) is None
        assert receiver.open(entry["wire"] + b"more") == (entry["payload"], len(entry["wire"]))
        assert (receiver.chain != entry["chain"]) == entry["changes_key"]


@named(BAD["cases"])
def test_a_bad_record_is_a_failure(case):
    with pytest.raises(Failure):
        record.Direction(BAD["cipher"], BAD["chain"]).open(case["wire"])


def test_a_receiver_does_not_let_a_key_be_used_for_ever():
    sender, receiver = (record.Direction(3, bytes(32), receiver_records=2) for _ in range(2))
    assert receiver.open(sender.seal(b"")) and receiver.open(sender.seal(b""))
    wire = sender.seal(b"")
    with pytest.raises(Failure):
        receiver.open(wire)
