#!/usr/bin/python3
"""verify.py FILE...: whether files of the form of handshakes.json or records.json are right, whoever wrote them.

So an implementation's own handshakes, with randomness of its own, are checked by this one. Of a handshake it needs name,
keys (S, U), flight1 (e_private, salt, time, session_id, n_padding, payload, wire, with early records early_payloads and
early_wire), flight2 (wire), k1, k2, cipher, early_accepted, session, and the identities that there are.
"""

import json
import pathlib
import sys

from draw import Draw
from tunnel import Failure, frame, record
from tunnel.flight import Payload1
from tunnel.identity import verify
from tunnel.keys import Keys
from tunnel.link import ClientLink, Established, Server, ServerLink, Session

TEXTS = ("name", "does", "told", "frames")   # what is no bytes in hexadecimal


def load(path):
    def bytes_of(value):
        if isinstance(value, dict):
            return {k: v if k in TEXTS else bytes_of(v) for k, v in value.items()}
        if isinstance(value, list):
            return [bytes_of(v) for v in value]
        return bytes.fromhex(value) if isinstance(value, str) else value
    return bytes_of(json.loads(pathlib.Path(path).read_text()))


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
    if not any(case["flight1"]["session_id"]):
        return None
    return Session(case["session"]["id"], case["session"]["resume"], case["cipher"], user=case["keys"]["tag"])


def client_of(case):
    """A client that makes the case's flight 1."""
    first, offer = case["flight1"], Payload1.read(case["flight1"]["payload"])
    identity = case.get("server_identity")
    draw = Scripted(first["e_private"], first["salt"], first["n_padding"].to_bytes(2, "big"))
    return ClientLink(keys_of(case), draw=draw, now_ms=lambda: first["time"], ciphers=offer.ciphers, keep_s=offer.keep_s,
                      server_spki=identity and identity["spki"], session=session_of(case),
                      join_number=offer.join_number, most_up=offer.most_up, most_down=offer.most_down,
                      is_own=offer.is_own, early=first.get("early_payloads", ()))


def server_of(case):
    """A server that knows the session which the case's flight joins, if it does."""
    server = Server([keys_of(case)], draw=Draw("a server"), now_ms=lambda: case["flight1"]["time"], early_data="full")
    if session := session_of(case):
        server.sessions[session.id] = session
    return server


# --- the checks ---------------------------------------------------------------------------------

def check_client(case):
    """A client makes flight 1 and takes flight 2."""
    client = client_of(case)
    assert client.start() == case["flight1"]["wire"] + case["flight1"].get("early_wire", b"")
    established, = client.receive(case["flight2"]["wire"])
    assert established.early_accepted == case["early_accepted"]
    assert established.session.id == case["session"]["id"]
    assert established.session.resume == case["session"]["resume"]
    assert client.sending.cipher == case["cipher"]
    assert (client.sending.chain, client.receiving.chain) == (case["k1"], case["k2"])


def check_server(case):
    """A server takes flight 1 and its early records byte by byte, and a client with that ephemeral key its answer."""
    first = case["flight1"]
    link, events = ServerLink(server_of(case)), []
    for byte in first["wire"] + first.get("early_wire", b""):
        events += link.receive(bytes([byte]))
    assert isinstance(events[0], Established)
    assert events[1:] == first.get("early_payloads", [])
    client = client_of(case)
    client.server_spki = None
    client.start()
    client.receive(bytes(link.out))
    assert client.sending.chain == link.receiving.chain


def check_client_identity(case):
    """The client's first record has its signature, good for this handshake and for the client's side only."""
    identity = case["client_identity"]
    payload, _ = record.Direction(case["cipher"], case["k1"]).open(identity["first_record"])
    auth = next(frame.decode(payload))
    verify(auth.spki, auth.signature, identity["signed_text"])
    try:
        verify(auth.spki, auth.signature, identity["signed_text"].replace(b"client", b"server"))
    except Failure:
        return
    raise AssertionError("a signature that is good for anything")


def check_run(case):
    """Records open, are sealed alike, and their keys change where they say."""
    limits = {k: case[k] for k in ("sender_records", "sender_bytes") if k in case}
    sender, receiver = (record.Direction(case["cipher"], case["chain"], **limits) for _ in range(2))
    sender.number = receiver.number = case["first_number"]
    for entry in case["records"]:
        before = receiver.chain
        assert receiver.open(entry["wire"] + b"more") == (entry["payload"], len(entry["wire"]))
        assert (receiver.chain != before) == entry["changes_key"]
        assert sender.seal(entry["payload"], entry["changes_key"]) == entry["wire"]


def check_file(content):
    """Yields the names of what was checked."""
    for case in content.get("handshakes", ()):
        check_client(case)
        check_server(case)
        if "client_identity" in case:
            check_client_identity(case)
        yield case["name"]
    for case in content.get("runs", ()):
        check_run(case)
        yield case["name"]


def main():
    for path in sys.argv[1:]:
        names = list(check_file(load(path)))
        print(f"{path}: {len(names)} are right")
        if not names:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
