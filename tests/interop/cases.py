"""The cases of frames.json, sessions.json and flights.json: what is sent, and what must come of it, written by hand."""

from dataclasses import dataclass, replace

from draw import fixed
from tunnel import flight, frame, noise
from tunnel.flight import Head1, Payload1
from tunnel.frame import (Ack, Address, Auth, Bye, Data, Datagram, Drain, End, Fin, Initial, Instance, Listen, Listening, Lost, Open, Opened, Padding,
                          Ping, Pong, Reset, Unlisten, Window, encode, varint)
from tunnel.keys import Keys

TIME = 1_800_000_000_000

NOTHING = Address()
NAME, IPV4, IPV6 = Address(b"example.org", 443), Address("192.0.2.7", 80), Address("2001:db8::1", 65535)


# --- frames -------------------------------------------------------------------------------------

GOOD = {
    "a payload without a frame": [],
    "padding": [Padding()] * 3,
    "OPEN to a name": [Open(2, 0, 65536, 65536, NAME, IPV4)],
    "OPEN to the server's own target": [Open(4, 0, 0, 1, NOTHING, NOTHING)],
    "OPEN to IPv6": [Open(6, 0, 4096, 4096, IPV6, IPV6)],
    "OPEN of another kind": [Open(8, 9, 0, 0, IPV4, NOTHING)],
    "OPEN to a name of 255 bytes that nobody has": [Open(10, 0, 0, 0, Address(b"n" * 255, 0), NOTHING)],
    "OPENED": [Opened(2, 0, IPV4)],
    "OPENED with each code": [Opened(2, code, NOTHING) for code in range(9)],
    "DATA without a byte": [Data(2, 5, b"")],
    "DATA up to the largest offset": [Data(2, frame.MAX_VARINT - 3, b"end")],
    "FIN without a byte": [Fin(3, 1 << 40, b"")],
    "varints of each length": [Window(i, i) for i in (2, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1)],
    "RESET with each code": [Reset(2, code, 7) for code in (0, 1, 3)],
    "INITIAL": [Initial(0), Initial(4096), Initial(65536)],
    "DRAIN": [Drain(0), Drain(30), Drain((1 << 62) - 1)],
    "ACK and LOST": [Lost(0, 17), Lost(3, 0), Ack(4, 1 << 33, 25000)],
    "PING and PONG": [Ping(0x0123456789abcdef), Pong((1 << 64) - 1)],
    "AUTH": [Auth(b"a key", b"a signature"), Auth(b"", b"")],
    "INSTANCE": [Instance(bytes(range(16)))],
    "BYE": [Ack(0, 1, 0), Bye(), Padding()],
    "END with each code": [End(code) for code in range(4)],
    "DATAGRAM": [Datagram(2, IPV4, b"question"), Datagram(3, IPV6, b"answer"), Datagram(2, NAME, b"")],
    "DATAGRAM of an id that nobody has": [Datagram((1 << 62) - 1, Address(b"n" * 255, 0), b"x" * 300)],
    "OPEN of an association": [Open(2, 1, 0, 0, NOTHING, IPV4)],
    "OPEN of what a listener has taken": [Open(3, 2, 4096, 4096, IPV4, IPV6, 1), Open(5, 2, 0, 0, IPV6, NOTHING, 1 << 20)],
    "OPEN of what the client of such a connection sends by UDP": [Open(2, 3, 0, 0, NOTHING, NOTHING, 3),
                                                                  Open(4, 3, 0, 0, IPV4, NOTHING, (1 << 62) - 1)],
    "LISTEN": [Listen(1, 0, IPV4), Listen(64, 0, IPV6)],
    "LISTEN of a kind that nobody knows": [Listen(1, 255, IPV4)],
    "LISTENING with each code": [Listening(1, 0, IPV6)] + [Listening(2, code, NOTHING) for code in (1, 2, 3)],
    "UNLISTEN": [Unlisten((1 << 62) - 1)],
    "one of each": [Padding(), Open(2, 0, 9, 9, NAME, NOTHING), Data(2, 0, b"GET"), Fin(2, 3, b" /"), Window(3, 70000), Ping(1)],
}

MALFORMED = {
    "a type that is not listed": b"\x15",
    "the last of the reserved types": b"\x1f",
    "a type of 255": b"\xff",
    "a type not listed behind a good frame": encode(Ping(1)) + b"\x20",
    "a varint of two bytes that fits into one": b"\x06\x02" + b"\x40\x3f",
    "a varint of four bytes that fits into two": b"\x06\x02" + b"\x80\x00\x3f\xff",
    "a varint of eight bytes that fits into four": b"\x06\x02" + b"\xc0\x00\x00\x00\x3f\xff\xff\xff",
    "a varint cut off": b"\x06\x02\xc0\x00",
    "a type without its fields": b"\x03",
    "PING cut off": encode(Ping(1))[:-1],
    "DATA whose length is beyond the payload": b"\x03\x02\x00\x05four",
    "DATA whose length is 2^62 - 1": b"\x03\x02\x00" + varint((1 << 62) - 1),
    "DATA beyond the largest offset": b"\x03\x02" + varint((1 << 62) - 1) + b"\x01x",
    "AUTH whose key is beyond the payload": b"\x0c\xff\xffkey",
    "INSTANCE cut off": encode(Instance(bytes(16)))[:-1],
    "an address of type 2": b"\x02\x02\x00\x02",
    "a bound address that is a name": b"\x02\x02\x00" + frame.encode_address(NAME),
    "a source that is a name": encode(Open(2, 0, 0, 0, IPV4, NOTHING))[:-1] + frame.encode_address(NAME),
    "a name without a byte": encode(Open(2, 0, 0, 0, NOTHING, NOTHING))[:-2] + b"\x03\x00\x00\x50\x00",
    "an address without its port": b"\x02\x02\x00" + frame.encode_address(IPV4)[:-1],
    "OPENED with code 9": b"\x02\x02\x09\x00",
    "RESET with code 2": b"\x05\x02\x02\x00",
    "RESET with code 4": b"\x05\x02\x04\x00",
    "END with code 4": b"\x0e\x04",
    "a stream's id 0": b"\x03\x00\x00\x01x",
    "a stream's id 1": b"\x06\x01\x00",
    "a claim of 65,537": encode(Open(2, 0, 65537, 0, IPV4, NOTHING)),
    "a grant of 65,537": encode(Open(2, 0, 0, 65537, IPV4, NOTHING)),
    "an association with a claim": encode(Open(2, 1, 1, 0, NOTHING, NOTHING)),
    "an association with a grant": encode(Open(2, 1, 0, 1, NOTHING, NOTHING)),
    "DATAGRAM whose length is beyond the payload": encode(Datagram(2, IPV4, b"four"))[:-1],
    "DATAGRAM of 65,001 bytes": encode(Datagram(2, IPV4, bytes(65001))),
    "DATAGRAM without an address": encode(Datagram(2, NOTHING, b"")),
    "DATAGRAM to a name without a byte": b"\x0f\x02\x00\x03\x00\x00\x35",
    "DATAGRAM cut off in its address": b"\x0f\x02\x00\x01\xc0\x00",
    "DATAGRAM of the id 1": encode(Datagram(1, IPV4, b"")),
    "LISTEN without an address": encode(Listen(1, 0, NOTHING)),
    "LISTEN on a name": encode(Listen(1, 0, NAME)),
    "LISTEN on port 0": encode(Listen(1, 0, Address("0.0.0.0", 0))),
    "LISTEN of the number 0": encode(Listen(0, 0, IPV4)),
    "LISTENING with code 4": encode(Listening(1, 4, NOTHING)),
    "OPEN of kind 2 without its listener": encode(Open(3, 2, 0, 0, IPV4, NOTHING, 1))[:-1],
    "OPEN of kind 3 without its connection": encode(Open(2, 3, 0, 0, NOTHING, NOTHING, 3))[:-1],
    "OPEN of kind 3 with a claim": encode(Open(2, 3, 1, 0, NOTHING, NOTHING, 3)),
    "OPEN of kind 3 with a grant": encode(Open(2, 3, 0, 1, NOTHING, NOTHING, 3)),
    "INITIAL of 65,537": encode(Initial(65537)),
}


def described(f):
    """A frame as JSON has it."""
    def value(v):
        if isinstance(v, Address):
            host = v.host.decode("latin-1") if isinstance(v.host, bytes) else v.host
            return {"type": frame.encode_address(v)[0], "host": host, "port": v.port}
        return v
    return {"type": type(f).__name__.upper(), **{x: value(getattr(f, x)) for x in frame.names_of(type(f), getattr(f, "kind", 0))}}


def frames():
    return {"good": [{"name": name, "payload": encode(*some), "frames": [described(f) for f in some]}
                     for name, some in GOOD.items()],
            "malformed": [{"name": name, "payload": payload} for name, payload in MALFORMED.items()]}


# --- sessions -----------------------------------------------------------------------------------

@dataclass
class Case:
    """`records` of frames come on link 0, one after the other. `ended` is END's code, None where the session lives."""
    name: str
    records: list
    told: list
    ended: int | None = None


A2 = Open(2, 1, 0, 0, NOTHING, NOTHING)
O2, ANSWER2 = Open(2, 0, 65536, 65536, IPV4, NOTHING), Opened(2, 0, NOTHING)


def opened(*ids):
    return [["open", i] for i in ids]


# The end is a server; its application answers each OPEN with code 0 at once, reads what comes and says nothing.
AT_SERVER = [
    Case("an opening and its first bytes", [[O2, Data(2, 0, b"hello")]], opened(2) + [["data", 2, b"hello"]]),
    Case("an opening that comes twice", [[O2], [O2]], opened(2)),
    Case("ids that come out of order", [[Open(6, 0, 9, 9, IPV4, NOTHING)], [O2]], opened(6, 2)),
    Case("the last of the places", [[Open(2 * 65536, 0, 0, 0, IPV4, NOTHING)]], opened(131072)),
    Case("an id beyond the places", [[Open(2 * 65537, 0, 0, 0, IPV4, NOTHING)]], [], 1),
    Case("an opening of another kind is refused and its bytes are ignored",
         [[Open(2, 9, 9, 9, IPV4, NOTHING), Data(2, 0, b"bytes")], [Fin(2, 5, b"")]], []),
    Case("an association's datagrams", [[A2, Datagram(2, IPV4, b"one"), Datagram(2, NAME, b"")],
                                        [Datagram(2, IPV6, b"two")]],
         opened(2) + [["datagram", 2, 1, b"one"], ["datagram", 2, 3, b""], ["datagram", 2, 4, b"two"]]),
    Case("an association's end", [[A2, Datagram(2, IPV4, b"one")], [Fin(2, 0, b"")]],
         opened(2) + [["datagram", 2, 1, b"one"], ["end", 2]]),
    Case("DATA of an association", [[A2], [Data(2, 0, b"x")]], opened(2), 1),
    Case("DATAGRAM before its OPEN", [[Datagram(2, IPV4, b"early")], [A2]], opened(2)),
    Case("DATAGRAM for a connection", [[O2, Datagram(2, IPV4, b"x"), Data(2, 0, b"abc")]],
         opened(2) + [["data", 2, b"abc"]]),
    Case("DATAGRAM for an id of the server's that was never opened", [[Datagram(3, IPV4, b"x")], [O2]], opened(2)),
    Case("an opening with an id of the server's", [[Open(3, 0, 0, 0, IPV4, NOTHING)]], [], 1),
    Case("a kind that is not for clients to open", [[Open(2, 2, 9, 9, IPV4, NOTHING, 1)]], []),
    Case("the datagrams of a connection that is not there", [[Open(2, 3, 0, 0, NOTHING, NOTHING, 3)]], []),
    Case("the datagrams of one of the client's own connections", [[O2, Open(4, 3, 0, 0, NOTHING, NOTHING, 2)]], opened(2)),
    Case("LISTENING to a server", [[Listening(1, 0, IPV4)]], [], 1),
    Case("a listener that comes and goes, and its number again", [[Listen(1, 0, IPV4), Unlisten(1)], [Listen(1, 0, IPV4), O2]],
         opened(2)),
    Case("UNLISTEN for one that is not there", [[Unlisten(7), O2]], opened(2)),
    Case("a listener's number beyond the places", [[Listen(65537, 0, IPV4)]], [], 1),
    Case("a claim of 65,537", [[Open(2, 0, 65537, 0, IPV4, NOTHING)]], [], 1),
    Case("OPENED for a stream of the client's", [[O2], [ANSWER2]], opened(2), 1),
    Case("DATA for an id that was never opened", [[Data(2, 0, b"x")]], [], 1),
    Case("FIN for an id that was never opened", [[Fin(2, 0, b"")]], [], 1),
    Case("RESET for an id that was never opened", [[Reset(2, 0, 0)]], [], 1),
    Case("WINDOW for an id that was never opened", [[Window(2, 10)]], [], 1),
    Case("WINDOW for an id of the server's that was never opened", [[Window(3, 10)]], [], 1),
    Case("bytes that come in another order", [[O2, Data(2, 3, b"def")], [Data(2, 6, b"ghi"), Data(2, 0, b"abc")]],
         opened(2) + [["data", 2, b"abcdefghi"]]),
    Case("bytes that come twice", [[O2, Data(2, 0, b"abc")], [Data(2, 0, b"abc")], [Data(2, 1, b"bcd")]],
         opened(2) + [["data", 2, b"abcd"]]),
    Case("of an overlap the first copy counts", [[O2, Data(2, 2, b"CDE")], [Data(2, 0, b"abcdefg")]],
         opened(2) + [["data", 2, b"abCDEfg"]]),
    Case("of an overlap of three the first copy counts",
         [[O2, Data(2, 1, b"B"), Data(2, 3, b"D")], [Data(2, 0, b"abcdef")]], opened(2) + [["data", 2, b"aBcDef"]]),
    Case("the last byte of the credit", [[O2], [Data(2, 0, bytes(65000))], [Data(2, 65000, bytes(536))]],
         opened(2) + [["data", 2, bytes(65536)]]),
    Case("a byte beyond the credit", [[O2], [Data(2, 65536, b"x")]], opened(2), 1),
    Case("a byte far beyond the credit", [[O2], [Data(2, 1 << 40, b"x")]], opened(2), 1),
    Case("a FIN beyond the credit", [[O2], [Fin(2, 65537, b"")]], opened(2), 1),
    Case("an end without a byte", [[O2, Fin(2, 0, b"")]], opened(2) + [["end", 2]]),
    Case("an end that comes before the bytes", [[O2, Fin(2, 3, b"")], [Data(2, 0, b"abc")]],
         opened(2) + [["data", 2, b"abc"], ["end", 2]]),
    Case("an end that comes twice", [[O2, Fin(2, 0, b"abc")], [Fin(2, 0, b"abc")], [Fin(2, 3, b"")]],
         opened(2) + [["data", 2, b"abc"], ["end", 2]]),
    Case("bytes that are had already, behind the end", [[O2, Fin(2, 0, b"abc")], [Data(2, 0, b"abc")]],
         opened(2) + [["data", 2, b"abc"], ["end", 2]]),
    Case("a byte beyond the end", [[O2, Fin(2, 3, b"")], [Data(2, 0, b"abcd")]], opened(2), 1),
    Case("another end", [[O2, Fin(2, 3, b"")], [Fin(2, 2, b"")]], opened(2), 1),
    Case("an end before what has come", [[O2, Data(2, 4, b"e")], [Fin(2, 3, b"")]], opened(2), 1),
    Case("a reset", [[O2, Data(2, 0, b"abc")], [Reset(2, 1, 500)]], opened(2) + [["data", 2, b"abc"], ["reset", 2, 1]]),
    Case("a reset drops what is not whole", [[O2, Data(2, 1, b"bc")], [Reset(2, 0, 3)]], opened(2) + [["reset", 2, 0]]),
    Case("frames for a stream that was reset", [[O2], [Reset(2, 0, 0)], [Data(2, 0, b"late"), Window(2, 9), Fin(2, 4, b"")], [O2]],
         opened(2) + [["reset", 2, 0]]),
    Case("a reset whose final size is less than what has come", [[O2, Data(2, 0, b"abc")], [Reset(2, 0, 2)]],
         opened(2) + [["data", 2, b"abc"]], 1),
    Case("a reset whose final size is beyond the credit", [[O2], [Reset(2, 0, 65537)]], opened(2), 1),
    Case("a reset whose final size is not the end's", [[O2, Fin(2, 3, b"")], [Reset(2, 0, 4)]], opened(2), 1),
    Case("a lower WINDOW is ignored", [[O2, Window(2, 5)]], opened(2)),
    Case("more acknowledged than was sent", [[Ack(0, 1000, 0)]], [], 1),
    Case("an acknowledgement for a link that is not known", [[Ack(77, 1, 0)], [O2]], opened(2)),
    Case("a link lost that was not there", [[Lost(5, 0)], [O2]], opened(2)),
    Case("a frame that is malformed behind good ones", [[O2, Data(2, 0, b"abc")], b"\x0f"],
         opened(2) + [["data", 2, b"abc"]], 1),
    Case("AUTH where nobody asked for it", [[Auth(b"key", b"signature"), O2]], opened(2)),
    Case("INSTANCE at the beginning, and another later", [[Instance(bytes(16)), O2], [Instance(b"x" * 16), Data(2, 0, b"abc")]],
         opened(2) + [["data", 2, b"abc"]]),
    Case("nothing behind BYE", [[O2, Bye()], [Data(2, 0, b"late")]], opened(2)),
    Case("END", [[O2], [End(2)]], opened(2), 2),
    Case("END of a program that ends", [[O2], [End(0)]], opened(2), 0),
]

# The end is a client; its application has opened stream 2, writes nothing and reads what comes.
AT_CLIENT = [
    Case("an answer", [[Opened(2, 0, IPV4)]], [["opened", 2, 0]]),
    Case("an answer that comes twice", [[ANSWER2], [ANSWER2]], [["opened", 2, 0]]),
    Case("a refusal, and what comes behind it", [[Opened(2, 5, NOTHING)], [ANSWER2], [Data(2, 0, b"x")]], [["opened", 2, 5]]),
    Case("bytes behind the answer", [[ANSWER2, Data(2, 0, b"hi")], [Fin(2, 2, b"")]],
         [["opened", 2, 0], ["data", 2, b"hi"], ["end", 2]]),
    Case("INSTANCE to a client", [[Instance(bytes(16))]], [], 1),
    Case("LISTEN to a client", [[Listen(1, 0, IPV4)]], [], 1),
    Case("UNLISTEN to a client", [[Unlisten(1)]], [], 1),
    Case("LISTENING for one that is not there", [[Listening(1, 0, IPV4), ANSWER2]], [["opened", 2, 0]]),
    Case("what a listener has taken that is not there", [[Open(3, 2, 9, 9, IPV4, NOTHING, 1), ANSWER2]], [["opened", 2, 0]]),
    Case("the server opens no stream of kind 3", [[Open(3, 3, 0, 0, NOTHING, NOTHING, 2), ANSWER2]], [["opened", 2, 0]]),
    Case("bytes before the answer", [[Data(2, 0, b"hi")]], [], 1),
    Case("an end before the answer", [[Fin(2, 0, b"")]], [], 1),
    Case("a reset in place of the answer", [[Reset(2, 1, 0)]], [["reset", 2, 1]]),
    Case("an answer for a stream that was never opened", [[Opened(4, 0, NOTHING)]], [], 1),
    Case("an answer for an id of the server's", [[Opened(3, 0, NOTHING)]], [], 1),
    Case("an opening with an id of the client's", [[Open(4, 0, 0, 0, IPV4, NOTHING)]], [], 1),
    Case("a byte far beyond the credit that OPEN gave", [[ANSWER2], [Data(2, 1 << 40, b"x")]], [["opened", 2, 0]], 1),
    Case("a link lost that is not known", [[Lost(7, 0)], [ANSWER2]], [["opened", 2, 0]]),
]


def sessions():
    def case_fields(case):
        return {"name": case.name, "records": [r if isinstance(r, bytes) else encode(*r) for r in case.records],
                "told": case.told, "ended": case.ended}
    return {"at_server": [case_fields(c) for c in AT_SERVER], "at_client": [case_fields(c) for c in AT_CLIENT]}


# --- flights ------------------------------------------------------------------------------------

S, USER, OTHER = fixed("flights' server key", 32), fixed("flights' user key", 32), fixed("nobody's key", 32)
SESSION = {"id": b"\2" + fixed("flights' session", 15), "resume": fixed("flights' resume", 32), "cipher": 3}
FRESH = Payload1([3, 4], 600)


class Flights:
    """Flights to one server whose clock stands at `time`, in their order: some count on those before."""

    def __init__(self, server_key, user_key, session, time, seed="flights'"):
        self.server_key, self.user_key, self.session, self.time, self.seed = server_key, user_key, session, time, seed
        self.cases = []

    def add(self, name, does, payload=FRESH, *, user=None, joins=False, dt=0, time=None, e=None, change=None, plain=None,
            damage=None, salt=None, **session):
        keys = Keys(self.server_key, user or self.user_key)
        session = {**self.session, **session}
        e = e if e is not None else noise.public_of(fixed(f"{self.seed} e {name}", 32))
        head = Head1(fixed(f"{self.seed} salt {salt or name}", 16), e, keys.tag, self.time + dt if time is None else time,
                     session["id"] if joins else flight.ZEROS, 0, 0)
        plain = payload.plain(20) if plain is None else plain
        psk = keys.join_psk(session["resume"]) if joins else keys.psk
        wire = made(keys, replace(head, **(change or {})), psk, plain, "n_payload" in (change or {}))
        self.cases.append({"name": name, "wire": damage(wire) if damage else wire, "does": does})

    def join(self, name, does, number, ciphers=(3,), **more):
        self.add(name, does, Payload1(list(ciphers), 600, number), joins=True, **more)


def made(keys, head, psk, plain, keep_n_payload):
    """A flight whose MACs are good whatever its head says."""
    if not keep_n_payload:
        return flight.make1(keys, head, psk, plain)[0]
    mac_key = keys.mac_key("client", head.salt)
    wire = head.wire(keys)
    wire += flight.mac16(mac_key, wire)
    wire += bytes(min(head.n_payload, 4096))
    return wire + flight.mac16(mac_key, wire)


def flipped(at):
    return lambda wire: wire[:at] + bytes([wire[at] ^ 1]) + wire[at:][1:]


def add_heads(f):
    f.add("one that is good", "accepted", salt="one")
    f.add("a salt that was there", "silent", salt="one")
    f.add("a user that is not known", "silent", user=OTHER)
    f.add("MAC 1 changed", "silent", damage=flipped(90))
    f.add("MAC 2 changed", "silent", damage=flipped(-1))
    f.add("the sealed payload changed", "silent", damage=flipped(110))
    f.add("the version changed behind the mask", "silent", damage=flipped(16))
    f.add("version 2, with good MACs", "silent", change={"version": 2})
    f.add("the largest time there is", "silent", time=(1 << 64) - 1)
    f.add("a time of 0", "silent", time=0)
    f.add("n_payload one too small", "silent", change={"n_payload": 30})
    f.add("n_payload one too large", "silent", change={"n_payload": 3978})
    f.add("n_payload as large as it can be written", "silent", change={"n_payload": 65535})
    f.add("n_early one too large", "silent", change={"n_early": 65537})
    f.add("the largest flight", "accepted", plain=FRESH.plain(3977 - 16 - len(FRESH.plain())))
    f.add("the smallest flight", "accepted", plain=Payload1([3], 600).plain(0))
    f.add("a key of zeros, whose secret is zeros", "silent", e=bytes(32))


def add_payloads(f):
    f.add("no cipher", "silent", Payload1([], 600))
    f.add("nine ciphers", "silent", Payload1([3, 4, 5, 6, 7, 8, 9, 10, 11], 600))
    f.add("eight ciphers, of which one is known", "accepted", Payload1([5, 6, 7, 8, 9, 10, 11, 4], 600))
    f.add("no cipher that is known", "silent", Payload1([200, 201], 600))
    f.add("a cipher for another length of key", "silent", Payload1([3, 1], 600))
    f.add("ciphers beyond the payload", "silent", plain=bytes([0, 8]) + bytes(14))
    f.add("reserved flags are ignored", "accepted", plain=b"\xfe" + FRESH.plain(9)[1:])
    f.add("padding that is not zeros is ignored", "accepted", plain=FRESH.plain() + b"\xff" * 9)


def add_joins(f):
    f.add("a join number without a session", "silent", Payload1([3], 600, 1))
    f.join("a session without a join number", "silent", None, plain=Payload1([3], 600).plain(30))
    f.join("a session that is not there", "gone", 1, id=bytes(15) + b"\1")
    f.join("a wrong resumption secret", "silent", 1, resume=bytes(32))
    f.join("another cipher than the session's", "silent", 1, [4])
    f.join("another cipher beside the session's", "silent", 1, [3, 4])
    f.join("join number 0", "silent", 0)
    f.join("join number 2^62", "silent", 1 << 62)
    f.join("join number 70", "accepted", 70)
    f.join("join number 70 again", "silent", 70)
    f.join("join number 69, not seen before", "accepted", 69)
    f.join("join number 5, beyond the 64 below", "silent", 5)


def add_last_in_reach(f):
    f.join("join number 6, the last of the 64 below 70", "accepted", 6)


def add_all(f):
    add_heads(f)
    add_payloads(f)
    add_joins(f)


def flights():
    """The server's clock stands at TIME, W is 60 s, its keys are S with the users USER and its own S."""
    f = Flights(S, USER, SESSION, TIME)
    add_all(f)
    add_last_in_reach(f)
    f.add("another user", "accepted", user=S)
    f.join("another user's session", "gone", 1, user=S)
    f.add("W behind", "accepted", dt=-60_000)
    f.add("W before", "accepted", dt=60_000)
    f.add("more than W behind", "silent", dt=-60_001)
    f.add("more than W before", "silent", dt=60_001)
    return {"S": S, "users": [USER, S], "now": TIME, "W": 60_000,
            "session": {**SESSION, "user": USER}, "flights": f.cases}
