"""The vectors: up to date, and both ends of our own links do what they say."""

import pytest

import vectors
from draw import Draw
from tunnel import Failure, record
from tunnel.link import ClientLink, Established, Gone, Server, ServerLink
from verify import check_client, check_client_identity, check_run, check_server, client_of, keys_of, load

HANDSHAKES = load(vectors.FOLDER / "handshakes.json")
RECORDS = load(vectors.FOLDER / "records.json")


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=[c["name"] for c in cases])


def test_the_vectors_are_what_the_generator_writes():
    for name, text in vectors.texts().items():
        assert (vectors.FOLDER / name).read_text() == text, f"{name}: run tests/interop/vectors.py"


@named(HANDSHAKES["handshakes"])
def test_a_client_makes_flight_1_and_takes_flight_2(case):
    check_client(case)


@named(HANDSHAKES["handshakes"])
def test_a_server_takes_flight_1_byte_by_byte(case):
    check_server(case)


@named([c for c in HANDSHAKES["handshakes"] if "client_identity" in c])
def test_a_clients_signature_is_good_and_only_for_this_handshake(case):
    check_client_identity(case)


@named([c for c in HANDSHAKES["handshakes"] if "server_identity" in c])
def test_another_servers_identity_is_a_failure(case):
    client = client_of(case)
    client.server_spki = vectors.ed25519("somebody").spki
    client.start()
    with pytest.raises(Failure):
        client.receive(case["flight2"]["wire"])


@named(HANDSHAKES["gone"])
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


def test_gone_in_answer_to_a_fresh_flight_is_a_failure():
    case = HANDSHAKES["gone"][0]
    server = ServerLink(Server([keys_of(case)], draw=Draw("a server"), now_ms=lambda: case["flight1"]["time"]))
    server.receive(case["flight1"]["wire"])
    client = ClientLink(keys_of(case), draw=Draw("a client"), now_ms=lambda: case["flight1"]["time"])
    client.start()
    client.mac2 = case["flight1"]["mac2"]
    with pytest.raises(Failure, match="gone"):
        client.receive(bytes(server.out))


@named(HANDSHAKES["handshakes"][2:3])
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


@named(RECORDS["runs"])
def test_records_open_and_the_key_changes_where_they_say(case):
    check_run(case)


@named(RECORDS["runs"])
def test_records_have_the_keys_they_say_and_come_in_pieces(case):
    receiver = record.Direction(case["cipher"], case["chain"])
    receiver.number = case["first_number"]
    for entry in case["records"]:
        assert (receiver.header_key, receiver.payload_key) == (entry["header_key"], entry["payload_key"])
        for short in (0, 19, 20, len(entry["wire"]) - 1):
            assert receiver.open(entry["wire"][:short]) is None
        receiver.open(entry["wire"])


@named(RECORDS["bad"]["cases"])
def test_a_bad_record_is_a_failure(case):
    with pytest.raises(Failure):
        record.Direction(RECORDS["bad"]["cipher"], RECORDS["bad"]["chain"]).open(case["wire"])


def test_a_receiver_does_not_let_a_key_be_used_for_ever():
    sender, receiver = (record.Direction(3, bytes(32), receiver_records=2) for _ in range(2))
    assert receiver.open(sender.seal(b"")) and receiver.open(sender.seal(b""))
    wire = sender.seal(b"")
    with pytest.raises(Failure):
        receiver.open(wire)
