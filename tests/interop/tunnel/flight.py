"""The two flights as bytes (3.1, 3.2): heads, MACs and the payloads' fields. No state, no decisions.

The only family of codings is `none` (10), so wire bytes are the bytes.
"""

import struct
from dataclasses import dataclass

from . import Failure
from .keys import CIPHERS, mac16
from .noise import Noise

VERSION = 1
MAX_FLIGHT = 4096
MAX_EARLY = 65536
MAX_PADDING = 511
N_HEAD1, N_HEAD2 = 87, 59
ZEROS = bytes(16)
ACCEPTED, GONE = 1, 2


# --- flight 1 -----------------------------------------------------------------------------------

@dataclass
class Head1:
    salt: bytes
    e: bytes
    tag: bytes
    time: int
    session_id: bytes
    n_payload: int
    n_early: int
    version: int = VERSION

    def plain(self):
        return self.salt + struct.pack(">B32s8sQ16sHI", self.version, self.e, self.tag, self.time, self.session_id,
                                       self.n_payload, self.n_early)

    def wire(self, keys):
        plain = self.plain()
        return plain[:16] + keys.masked("client", self.salt, plain[16:])

    @staticmethod
    def read(keys, wire):
        salt = wire[:16]
        version, *fields = struct.unpack(">B32s8sQ16sHI", keys.masked("client", salt, wire[16:N_HEAD1]))
        return Head1(salt, *fields, version)

    def prologue(self):
        return struct.pack(">7sB16s8sQ16sI", b"sockeye", self.version, self.salt, self.tag, self.time, self.session_id,
                           self.n_early)


@dataclass
class Payload1:
    ciphers: list
    keep_s: int
    join_number: int | None = None
    most_up: int = 0
    most_down: int = 0
    is_own: bool = False

    def plain(self, n_padding=0):
        joins = self.join_number is not None
        flags = 1 * joins + 2 * self.is_own
        return (bytes([flags, len(self.ciphers), *self.ciphers]) +
                struct.pack(">III", self.keep_s, self.most_up, self.most_down) +
                (struct.pack(">Q", self.join_number) if joins else b"") + bytes(n_padding))

    @staticmethod
    def read(plain):
        try:
            flags, n = plain[0], plain[1]
            if not 1 <= n <= 8:
                raise Failure("not 1 to 8 ciphers")
            ciphers = list(plain[2:2 + n])
            keep_s, most_up, most_down = struct.unpack_from(">III", plain, 2 + n)
            number = struct.unpack_from(">Q", plain, 14 + n)[0] if flags & 1 else None
        except (IndexError, struct.error):
            raise Failure("payload 1 is cut off") from None
        return Payload1(ciphers, keep_s, number, most_up, most_down, bool(flags & 1 and flags & 2))


def n_least1(joins):
    """The sealed payload 1 with one cipher and no padding."""
    return 1 + 1 + 1 + 4 + 4 + 4 + (8 if joins else 0) + 16


def make1(keys, head, e_noise_psk, plain):
    """A whole flight 1 (head.n_payload is set here), the Noise state behind it, and its MAC 2."""
    noise = Noise(e_noise_psk, head.prologue())
    noise.mix_e(head.e)
    sealed = noise.encrypt_and_hash(plain)
    head.n_payload = len(sealed)
    mac_key = keys.mac_key("client", head.salt)
    wire = head.wire(keys)
    wire += mac16(mac_key, wire)
    wire += sealed
    mac2 = mac16(mac_key, wire)
    return wire + mac2, noise, mac2


# --- flight 2 -----------------------------------------------------------------------------------

@dataclass
class Head2:
    salt: bytes
    kind: int
    time: int
    e: bytes
    n_payload: int

    def plain(self):
        return self.salt + struct.pack(">BQ32sH", self.kind, self.time, self.e, self.n_payload)

    def wire(self, keys):
        plain = self.plain()
        return plain[:16] + keys.masked("server", self.salt, plain[16:])

    @staticmethod
    def read(keys, wire):
        return Head2(wire[:16], *struct.unpack(">BQ32sH", keys.masked("server", wire[:16], wire[16:N_HEAD2])))


@dataclass
class Payload2:
    cipher: int
    session_id: bytes
    keep_s: int
    early_accepted: bool = False
    spki: bytes | None = None
    signature: bytes | None = None

    def plain(self, n_padding=0):
        flags = (self.spki is not None) | self.early_accepted << 1
        identity = b""
        if self.spki is not None:
            identity = (struct.pack(">H", len(self.spki)) + self.spki +
                        struct.pack(">H", len(self.signature)) + self.signature)
        return struct.pack(">BB16sI", flags, self.cipher, self.session_id, self.keep_s) + identity + bytes(n_padding)

    @staticmethod
    def read(plain):
        try:
            flags, cipher, session_id, keep_s = struct.unpack_from(">BB16sI", plain)
            payload = Payload2(cipher, session_id, keep_s, bool(flags & 2))
            if flags & 1:
                payload.spki, at = counted(plain, 22)
                payload.signature, at = counted(plain, at)
        except struct.error:
            raise Failure("payload 2 is cut off") from None
        return payload


N_LEAST2 = 22 + 16


def counted(data, at):
    """A field behind its length as u16, and where the next one begins."""
    n, = struct.unpack_from(">H", data, at)
    field = data[at + 2:at + 2 + n]
    if len(field) != n:
        raise struct.error
    return field, at + 2 + n


def make2(keys, head, mac2_of_1, sealed):
    """A whole flight 2 of either kind."""
    mac_key = keys.mac_key("server", head.salt)
    head.n_payload = len(sealed)
    wire = head.wire(keys)
    wire += mac16(mac_key, mac2_of_1 + wire)
    wire += sealed
    return wire + mac16(mac_key, mac2_of_1 + wire)


def offer_fits(keys, ciphers):
    """Every known cipher of an offer fits U's length, and there is one."""
    known = [c for c in ciphers if c in CIPHERS]
    return bool(known) and all(keys.fits(c) for c in known)
