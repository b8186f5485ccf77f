#!/usr/bin/python3
"""vectors.py [--check]: writes tests/vectors/*.json, the same bytes in every run; or says whether they are up to date.

What is random in life is here taken from SHA-256 of a name, so each case stands by itself.
"""

import hashlib
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

import cases
from cases import TIME
from draw import fixed
from tunnel import flight, frame, noise, record
from tunnel.flight import Head1, Head2, Payload1, Payload2
from tunnel.identity import Identity, signed_text
from tunnel.keys import CIPHERS, Keys, derive

FOLDER = pathlib.Path(__file__).parent.parent / "vectors"


# --- identities ---------------------------------------------------------------------------------

def ed25519(name):
    return Identity(Ed25519PrivateKey.from_private_bytes(fixed(name, 32)))


class RsaIdentity(Identity):
    """An RSA identity whose signatures have the salt that they are given: RFC 8017, 8.1.1 and 9.1.1."""

    def __init__(self, path, salt):
        super().__init__(load_pem_private_key(path.read_bytes(), None))
        self.salt = salt

    def sign(self, text):
        assert isinstance(self._key, RSAPrivateKey)
        numbers = self._key.private_numbers()
        n = numbers.public_numbers.n
        n_em = (n.bit_length() - 1 + 7) // 8
        digest = hashlib.sha256(bytes(8) + hashlib.sha256(text).digest() + self.salt).digest()
        data = bytes(n_em - 32 - 32 - 2) + b"\1" + self.salt
        mask = b"".join(hashlib.sha256(digest + struct.pack(">I", i)).digest() for i in range(len(data) // 32 + 1))
        masked = bytearray(a ^ b for a, b in zip(data, mask))
        masked[0] &= 0xff >> (8 * n_em - (n.bit_length() - 1))
        em = bytes(masked) + digest + b"\xbc"
        return pow(int.from_bytes(em, "big"), numbers.d, n).to_bytes((n.bit_length() + 7) // 8, "big")


def private_der(identity):
    return identity._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


# --- one handshake ------------------------------------------------------------------------------

def noise_fields(state):
    return {"h": state.h, "ck": state.ck, "key": state.key}


def direction_fields(direction):
    return {"chain": direction.chain, "header_key": direction.header_key, "payload_key": direction.payload_key}


def keys_fields(keys, server_spki=None):
    fields = {"U": keys.U, "prkS": keys.prk_s, "prkU": keys.prk_u, "tag": keys.tag, "psk": keys.psk,
              "coding": derive(keys.prk_s, "coding", b"", 32)}
    if server_spki is not None:
        fields["S_from_spki"] = server_spki
    return {"S": keys.S, **fields}


def flight1(name, keys, payload, session=None, early=(), n_padding=37):
    """The client's half; `early` are the payloads of early records. Returns its fields and what follows needs."""
    e_private = fixed(name + " e1", 32)
    psk = keys.join_psk(session["resume"]) if session else keys.psk
    head = Head1(fixed(name + " salt1", 16), noise.public_of(e_private), keys.tag, TIME,
                 session["id"] if session else flight.ZEROS, 0,
                 sum(len(p) + record.N_HEADER + record.N_TAG for p in early))
    plain = payload.plain(n_padding)
    wire, state, mac2 = flight.make1(keys, head, psk, plain)
    fields = {"e_private": e_private, "salt": head.salt, "time": head.time, "session_id": head.session_id,
              "n_early": head.n_early, "prologue": head.prologue(), "noise_psk": psk,
              "head": head.plain(), "mask": keys.mask("client", head.salt),
              "mac_key": keys.mac_key("client", head.salt), "mac1": wire[87:103], "mac2": mac2,
              "payload": plain, "n_padding": n_padding, "noise_after": noise_fields(state), "wire": wire}
    if early:
        direction = record.early_direction(state.ck, payload.ciphers[0])
        fields["early_keys"] = direction_fields(direction)
        fields["early_payloads"] = list(early)
        fields["early_wire"] = b"".join(direction.seal(p) for p in early)
    return fields, state, e_private, mac2


def flight2(name, keys, state, e1_private, mac2_of_1, payload, identity=None, n_padding=53):
    e_private = fixed(name + " e2", 32)
    e1 = noise.public_of(e1_private)
    head = Head2(fixed(name + " salt2", 16), flight.ACCEPTED, TIME + 1234, noise.public_of(e_private), 0)
    state.mix_e(head.e)
    shared = noise.shared_secret(e_private, e1)
    state.mix_key(shared)
    before = noise_fields(state)
    if identity:
        payload.spki = identity.spki
        payload.signature = identity.sign(signed_text("server", state.h, identity.spki, None))
    plain = payload.plain(n_padding)
    wire = flight.make2(keys, head, mac2_of_1, state.encrypt_and_hash(plain))
    k1, k2 = state.split()
    fields = {"e_private": e_private, "salt": head.salt, "time": head.time, "shared_secret": shared,
              "noise_before_payload": before, "head": head.plain(), "mask": keys.mask("server", head.salt),
              "mac_key": keys.mac_key("server", head.salt), "mac1": wire[59:75], "mac2": wire[-16:],
              "payload": plain, "n_padding": n_padding, "h_final": state.h, "wire": wire}
    if identity:
        fields["signed_text"] = signed_text("server", before["h"], identity.spki, None)
        fields["signature"] = payload.signature
    return fields, k1, k2


def handshake(name, keys, ciphers, choice=None, server=None, client=None, join=None, early=(), early_accepted=False,
              spki=None, **fields):
    """A whole handshake, as one vector. `join` is an earlier vector and a join number; `fields` are further ones of payload 1."""
    choice = choice or ciphers[0]
    session, number = join or (None, None)
    first, state, e_private, mac2 = flight1(name, keys, Payload1(ciphers, 600, number, **fields), session, early)
    session_id = session["id"] if session else b"\3" + fixed(name + " session", 15)
    second, k1, k2 = flight2(name, keys, state, e_private, mac2,
                             Payload2(choice, session_id, 1200, early_accepted), server if not session else None)
    vector = {"name": name, "keys": keys_fields(keys, spki), "flight1": first, "flight2": second,
              "k1": k1, "k2": k2, "cipher": choice, "early_accepted": early_accepted,
              "client_to_server": direction_fields(record.Direction(choice, k1)),
              "server_to_client": direction_fields(record.Direction(choice, k2)),
              "session": session or {"id": session_id, "resume": derive(state.ck, "resume", b"", 32)}}
    if server:
        vector["server_identity"] = {"pkcs8": private_der(server), "spki": server.spki}
    if client:
        text = signed_text("client", second["noise_before_payload"]["h"], client.spki, server.spki if server else None)
        auth = frame.encode(frame.Auth(client.spki, client.sign(text)))
        vector["client_identity"] = {"pkcs8": private_der(client), "spki": client.spki, "signed_text": text,
                                     "first_payload": auth,
                                     "first_record": record.Direction(choice, k1).seal(auth)}
    return vector


def gone(name, keys, session):
    """A join that the server answers with gone, and the fresh flight behind it on the same carrier."""
    early = [frame.encode(frame.Ping(7))]
    first, _, _, mac2 = flight1(name, keys, Payload1([3], 600, 9), session, early)
    head = Head2(fixed(name + " salt2", 16), flight.GONE, TIME + 99, fixed(name + " random e", 32), 0)
    random = fixed(name + " random payload", 38 + 11)
    wire = flight.make2(keys, head, mac2, random)
    second = {"salt": head.salt, "time": head.time, "head": head.plain(), "mask": keys.mask("server", head.salt),
              "mac_key": keys.mac_key("server", head.salt), "mac1": wire[59:75], "mac2": wire[-16:],
              "random_payload": random, "wire": wire}
    return {"name": name, "keys": keys_fields(keys), "session": session, "flight1": first, "gone": second,
            "then": handshake(name + ", then fresh", keys, [3])}


def handshakes():
    key = {n: fixed(f"key of {n}", n) for n in (16, 24, 32)}
    ed_server, ed_client = ed25519("server identity"), ed25519("client identity")
    rsa_server = RsaIdentity(FOLDER / "rsa-server.pem", fixed("pss salt server", 32))
    rsa_client = RsaIdentity(FOLDER / "rsa-client.pem", fixed("pss salt client", 32))
    shared = Keys(key[32])
    ping = frame.encode(frame.Ping(0x0102030405060708))
    cases = [
        handshake("AES-128-GCM, a key of 16 bytes", Keys(key[16]), [1]),
        handshake("AES-192-GCM, a key of 24 bytes", Keys(key[24]), [2]),
        handshake("AES-256-GCM, a key of 32 bytes", shared, [3, 4]),
        handshake("ChaCha20-Poly1305, a key of 32 bytes", shared, [4, 3]),
        handshake("the server takes the second offer, the first is unknown", shared, [200, 3, 4], 4),
        handshake("a user's key of 16 bytes behind a server's of 32", Keys(key[32], key[16]), [1]),
        handshake("no shared key, Ed25519 server", Keys(server_spki=ed_server.spki), [3], server=ed_server,
                  spki=ed_server.spki),
        handshake("no shared key, RSA server", Keys(server_spki=rsa_server.spki), [4], server=rsa_server,
                  spki=rsa_server.spki),
        handshake("Ed25519 server", shared, [3], server=ed_server),
        handshake("Ed25519 client", shared, [3], client=ed_client),
        handshake("Ed25519 server and client", shared, [3], server=ed_server, client=ed_client),
        handshake("RSA server and client", shared, [3], server=rsa_server, client=rsa_client),
        handshake("RSA server, Ed25519 client", shared, [3], server=rsa_server, client=ed_client),
        handshake("early data accepted", shared, [3, 4], 4, early=[ping, ping + bytes(100)], early_accepted=True),
        handshake("early data skipped", shared, [3], early=[ping]),
    ]
    base = cases[2]
    lost = frame.encode(frame.Lost(0, 5)) + ping
    cases += [
        handshake("a join without early records", shared, [3], join=(base["session"], 1)),
        handshake("a join with early records", shared, [3], join=(base["session"], 2),
                  early=[lost, b"", bytes(1000)], early_accepted=True),
        handshake("most up and most down", shared, [3], most_up=12288, most_down=3 << 30),
        handshake("a join of a stream's own link", shared, [3], join=(base["session"], 3), most_down=15360, is_own=True),
    ]
    return {"handshakes": cases, "gone": [gone("gone", shared, {"id": b"\1" + fixed("gone", 15),
                                                                  "resume": fixed("gone resume", 32)})]}


# --- records ------------------------------------------------------------------------------------

def record_run(name, cipher, steps, first_number=0, **limits):
    """Records of one direction; each step is a payload and whether its sender changes the key by itself."""
    direction = record.Direction(cipher, fixed(name + " chain", 32), **limits)
    direction.number = first_number
    chain, records = direction.chain, []
    for payload, change in steps:
        fields = {"number": direction.number, **direction_fields(direction), "payload": payload}
        before = direction.chain
        fields["wire"] = direction.seal(payload, change)
        records.append({**fields, "changes_key": direction.chain != before})
    return {"name": name, "cipher": cipher, "chain": chain, "first_number": first_number, **limits, "records": records}


def records():
    text = [(fixed(f"payload {i}", n), False) for i, n in enumerate((0, 1, 16, 100, 1000))]
    runs = []
    for number, cipher in CIPHERS.items():
        changes = [(p, i in (1, 2)) for i, (p, _) in enumerate(text)]
        runs.append(record_run(f"{cipher.name}, the sender changes the key by itself", number, changes))
    runs += [
        record_run("a key for 3 records", 3, text * 2, sender_records=3),
        record_run("a key for 1,000 bytes", 3, text * 2, sender_bytes=1000),
        record_run("the longest payload", 4, [(fixed("longest", 65536), False)]),
        record_run("numbers beyond 32 bits", 3, text[:3], first_number=(1 << 32) - 1),
    ]
    return {"runs": runs, "bad": bad_records(runs[2])}


def bad_records(run):
    """Records after which the link is lost; each is the first of its direction."""
    def seal(payload, header=None, key=None):
        direction = record.Direction(run["cipher"], run["chain"])
        aead = CIPHERS[run["cipher"]].aead
        header = header or struct.pack(">I", len(payload))
        return (aead(key or direction.header_key).encrypt(bytes(12), header, None) +
                aead(direction.payload_key).encrypt(bytes(12), payload, None))

    good = seal(b"\1" * 32)
    swapped = record.Direction(run["cipher"], run["chain"])
    swapped.seal(b"")
    cases = [("a header with a bit changed", bytes([good[0] ^ 1]) + good[1:]),
             ("a header's tag with a bit changed", good[:19] + bytes([good[19] ^ 128]) + good[20:]),
             ("a payload with a bit changed", good[:20] + bytes([good[20] ^ 1]) + good[21:]),
             ("a payload's tag with a bit changed", good[:-1] + bytes([good[-1] ^ 1])),
             ("a length of 65,537", seal(bytes(65537))[:20]),
             ("a length shorter than the payload", seal(b"\0" * 8, struct.pack(">I", 4))),
             ("a header under the payload's key", seal(b"", key=record.Direction(run["cipher"], run["chain"]).payload_key)),
             ("record 1 in place of record 0", swapped.seal(b"\0"))]
    return {"cipher": run["cipher"], "chain": run["chain"],
            "cases": [{"name": name, "wire": wire} for name, wire in cases]}


# --- writing ------------------------------------------------------------------------------------

def plain_json(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: plain_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(v) for v in value]
    return value


FILES = {"handshakes.json": handshakes, "records.json": records, "flights.json": cases.flights,
         "frames.json": cases.frames, "sessions.json": cases.sessions}


def texts():
    return {name: json.dumps(plain_json(make()), indent=1) + "\n" for name, make in FILES.items()}


def main():
    stale = []
    for name, text in texts().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale:
        print("changed:", *stale)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
