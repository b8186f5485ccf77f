"""Frames as bytes (7): a dataclass for each type, encode() and decode(). What they mean is the session's affair."""

import ipaddress
import struct
from dataclasses import dataclass, fields

from . import Violation

MAX_VARINT = (1 << 62) - 1
MAX_CLAIM = 65536


# --- the parts of frames ------------------------------------------------------------------------

def varint(value):
    """RFC 9000 section 16, the shortest form."""
    for bits, prefix, n in ((6, 0, 1), (14, 1, 2), (30, 2, 4), (62, 3, 8)):
        if value < 1 << bits:
            return (prefix << bits | value).to_bytes(n, "big")
    raise ValueError(value)


class Reader:
    """Reads a payload; running over its end is a violation."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise Violation("a frame that is cut off")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def varint(self):
        first = self.number(1)
        n = 1 << (first >> 6)
        value = (first & 0x3f) << 8 * (n - 1) | self.number(n - 1)
        if len(varint(value)) != n:
            raise Violation("a varint that is longer than it need be")
        return value


@dataclass(frozen=True)
class Address:
    """host: None, a str that is an IP address, or the bytes of a name."""
    host: str | bytes | None = None
    port: int = 0


NOTHING = Address()


def encode_address(address):
    port = struct.pack(">H", address.port)
    if address.host is None:
        return b"\0"
    if isinstance(address.host, bytes):
        return bytes([3, len(address.host)]) + address.host + port
    ip = ipaddress.ip_address(address.host)
    return bytes([1 if ip.version == 4 else 4]) + ip.packed + port


def decode_address(reader, names):
    kind = reader.number(1)
    if kind == 0:
        return NOTHING
    if kind == 3 and names:
        n = reader.number(1)
        if n == 0:
            raise Violation("a name without a byte")
        host = reader.take(n)
    elif kind in (1, 4):
        host = str(ipaddress.ip_address(reader.take(4 if kind == 1 else 16)))
    else:
        raise Violation(f"an address of type {kind}")
    return Address(host, reader.number(2))


# --- the frames ---------------------------------------------------------------------------------

# How a field is written and read, by the field's name.
VARINTS = {"id", "offset", "claim", "grant", "of", "limit", "final_size", "link", "count", "delay", "listener", "seconds"}
CODES = {"Opened": range(9), "Reset": (0, 1, 3), "End": range(4), "Listening": range(4)}


@dataclass
class Padding:
    type = 0x00


@dataclass
class Open:
    type = 0x01
    id: int
    kind: int
    claim: int
    grant: int
    target: Address
    source: Address
    of: int = 0              # of kinds 2 and 3


@dataclass
class Opened:
    type = 0x02
    id: int
    code: int
    bound: Address


@dataclass
class Data:
    type = 0x03
    id: int
    offset: int
    data: bytes


@dataclass
class Fin(Data):
    type = 0x04


@dataclass
class Reset:
    type = 0x05
    id: int
    code: int
    final_size: int


@dataclass
class Window:
    type = 0x06
    id: int
    limit: int


@dataclass
class Initial:
    type = 0x07
    claim: int


@dataclass
class Ack:
    type = 0x08
    link: int
    count: int
    delay: int


@dataclass
class Lost:
    type = 0x09
    link: int
    count: int


@dataclass
class Ping:
    type = 0x0a
    token: int


@dataclass
class Pong(Ping):
    type = 0x0b


@dataclass
class Auth:
    type = 0x0c
    spki: bytes
    signature: bytes


@dataclass
class Bye:
    type = 0x0d


@dataclass
class End:
    type = 0x0e
    code: int


@dataclass
class Datagram:
    type = 0x0f
    id: int
    address: Address
    payload: bytes           # its length stands in front of the address


@dataclass
class Listen:
    type = 0x10
    listener: int
    kind: int
    at: Address


@dataclass
class Listening:
    type = 0x11
    listener: int
    code: int
    bound: Address


@dataclass
class Unlisten:
    type = 0x12
    listener: int


@dataclass
class Drain:
    type = 0x13
    seconds: int


@dataclass
class Instance:
    type = 0x14
    instance: bytes          # 16 of them


TYPES = {c.type: c for c in (Padding, Open, Opened, Data, Fin, Reset, Window, Initial, Ack, Lost, Ping, Pong, Auth, Bye,
                             End, Datagram, Listen, Listening, Unlisten, Drain, Instance)}
MAX_DATAGRAM = 65000
DATAGRAM_KINDS = (1, 3)              # of streams that carry them, and nothing else
LISTENERS = (Listen, Listening, Unlisten)
KINDS_OF = (2, 3)                    # of streams that belong to something
TRACKED = (Open, Opened, Data, Reset, End, *LISTENERS)


def encode_field(name, value):
    if name in VARINTS:
        return varint(value)
    if name in ("kind", "code"):
        return bytes([value])
    if name in ("target", "source", "bound", "at"):
        return encode_address(value)
    if name == "token":
        return struct.pack(">Q", value)
    if name == "data":
        return varint(len(value)) + value
    if name == "instance":
        return value
    return struct.pack(">H", len(value)) + value


def decode_field(reader, name):
    if name in VARINTS:
        return reader.varint()
    if name in ("kind", "code"):
        return reader.number(1)
    if name in ("target", "source", "bound", "at"):
        return decode_address(reader, names=name == "target")
    if name == "token":
        return reader.number(8)
    if name == "instance":
        return reader.take(16)
    return reader.take(reader.varint() if name == "data" else reader.number(2))


def names_of(kind_of_frame, kind):
    """Its fields in their order; OPEN says in some kinds what it belongs to."""
    names = [x.name for x in fields(kind_of_frame)]
    return names if kind_of_frame is not Open or kind in KINDS_OF else names[:-1]


def encode_one(f):
    if isinstance(f, Datagram):
        return bytes([f.type]) + varint(f.id) + varint(len(f.payload)) + encode_address(f.address) + f.payload
    return bytes([f.type]) + b"".join(encode_field(name, getattr(f, name)) for name in names_of(type(f), getattr(f, "kind", 0)))


def encode(*frames):
    return b"".join(encode_one(f) for f in frames)


def decode_datagram(reader):
    stream_id, n = reader.varint(), reader.varint()
    address = decode_address(reader, names=True)
    if address == NOTHING or n > MAX_DATAGRAM:
        raise Violation("a datagram without an address, or too long")
    return Datagram(stream_id, address, reader.take(n))


def decode_fields(reader, kind_of_frame):
    values = {}
    for name in [x.name for x in fields(kind_of_frame)]:
        if name in names_of(kind_of_frame, values.get("kind", 0)):
            values[name] = decode_field(reader, name)
    return kind_of_frame(**values)


def decode(payload):
    """Yields a payload's frames, one at a time: what stands before a malformed one has been valid."""
    reader = Reader(payload)
    while reader.at < len(payload):
        kind = TYPES.get(reader.number(1))
        if kind is None:
            raise Violation("a type of frame that is not known")
        read = decode_datagram(reader) if kind is Datagram else decode_fields(reader, kind)
        check_ranges(read)
        yield read


def check_ranges(read):
    if hasattr(read, "code") and read.code not in CODES[type(read).__name__]:
        raise Violation("a code out of its range")
    if isinstance(read, Data) and read.offset + len(read.data) > MAX_VARINT:
        raise Violation("data beyond the largest offset")
    if hasattr(read, "id") and read.id < 2:
        raise Violation("a stream's id below 2")
    if isinstance(read, Listen) and (not read.listener or read.at == NOTHING or not read.at.port):
        raise Violation("a listener that cannot be")
    most = 0 if getattr(read, "kind", 0) in DATAGRAM_KINDS else MAX_CLAIM
    if getattr(read, "claim", 0) > most or getattr(read, "grant", 0) > most:
        raise Violation("a claim out of its range")
