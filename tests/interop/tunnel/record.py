"""The two directions of a link: keys (4) and records (5)."""

import struct

from cryptography.exceptions import InvalidTag

from . import Failure
from .keys import CIPHERS, derive

MAX_LENGTH = 65536
N_HEADER, N_TAG = 20, 16
KEY = 1


class Direction:
    """The keys of one direction: C_i, and what follows from it."""

    def __init__(self, cipher, chain, sender_records=1 << 23, sender_bytes=1 << 36, receiver_records=1 << 24):
        self.cipher = cipher
        self.number = 0
        self.sender_records, self.sender_bytes, self.receiver_records = sender_records, sender_bytes, receiver_records
        self._use(chain)

    def _use(self, chain):
        kind = CIPHERS[self.cipher]
        context = bytes([self.cipher])
        self.chain = chain
        self.header_key = derive(chain, "header", context, kind.key_bytes)
        self.payload_key = derive(chain, "payload", context, kind.key_bytes)
        self._header, self._payload = kind.aead(self.header_key), kind.aead(self.payload_key)
        self.n_records = self.n_bytes = 0

    def _ratchet(self):
        self._use(derive(self.chain, "ratchet", bytes([self.cipher]), 32))

    def _nonce(self):
        return struct.pack(">4xQ", self.number)

    def _count(self, length, key_flag):
        self.number += 1
        self.n_records += 1
        self.n_bytes += length
        if key_flag:
            self._ratchet()

    def seal(self, payload, change_key=False):
        assert len(payload) <= MAX_LENGTH
        due = self.n_records + 1 >= self.sender_records or self.n_bytes + len(payload) >= self.sender_bytes
        flags = KEY if change_key or due else 0
        header = struct.pack(">I", flags << 24 | len(payload))
        sealed = (self._header.encrypt(self._nonce(), header, None) +
                  self._payload.encrypt(self._nonce(), payload, None))
        self._count(len(payload), flags & KEY)
        return sealed

    def _open(self, aead, sealed):
        try:
            return aead.decrypt(self._nonce(), bytes(sealed), None)
        except InvalidTag:
            raise Failure(f"a bad tag in record {self.number}") from None

    def open(self, data):
        """Opens the first record of `data`: (payload, bytes used), or None if it is not whole yet."""
        if len(data) < N_HEADER:
            return None
        word, = struct.unpack(">I", self._open(self._header, data[:N_HEADER]))
        flags, length = word >> 24, word & 0xffffff
        if length > MAX_LENGTH:
            raise Failure("a record longer than the limit")
        if not flags & KEY and self.n_records >= self.receiver_records:
            raise Failure("the sender does not change its keys")
        end = N_HEADER + length + N_TAG
        if len(data) < end:
            return None
        payload = self._open(self._payload, data[N_HEADER:end])
        self._count(length, flags & KEY)
        return payload, end


def early_direction(ck1, cipher):
    return Direction(cipher, derive(ck1, "early client", b"", 32))
