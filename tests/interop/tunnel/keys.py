"""Keys and ciphers (1, 2)."""

import hashlib
import hmac
from collections import namedtuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

RecordCipher = namedtuple("RecordCipher", "name aead key_bytes")

CIPHERS = {
    1: RecordCipher("AES-128-GCM", AESGCM, 16),
    2: RecordCipher("AES-192-GCM", AESGCM, 24),
    3: RecordCipher("AES-256-GCM", AESGCM, 32),
    4: RecordCipher("ChaCha20-Poly1305", ChaCha20Poly1305, 32),
}


def mac32(key, data):
    return hmac.digest(key, data, "sha256")


def mac16(key, data):
    return mac32(key, data)[:16]


def extract(salt, key):
    return mac32(salt or bytes(32), key)


def expand(prk, info, n):
    out = block = b""
    count = 1
    while len(out) < n:
        block = mac32(prk, block + info + bytes([count]))
        out += block
        count += 1
    return out[:n]


def derive(prk, label, context, n):
    """E of section 1."""
    return expand(prk, b"sockeye-v1 " + label.encode() + b"\0" + context, n)


def chacha20(key, nonce, data):
    """XOR with the stream of RFC 8439 from block 0; the library takes the block's number before the nonce."""
    return Cipher(algorithms.ChaCha20(key, bytes(4) + nonce), None).encryptor().update(data)


class Keys:
    """What follows from the server's secret S and the user's key U; `side` is who sends the flight."""

    def __init__(self, server_key=None, user_key=None, server_spki=None):
        self.public_only = server_key is None
        self.S = hashlib.sha256(server_spki).digest() if self.public_only else server_key
        self.U = user_key or self.S
        self.prk_s = extract(b"", self.S)
        self.prk_u = extract(b"", self.U)
        self.tag = derive(self.prk_u, "tag", b"", 8)
        self.psk = derive(self.prk_u, "psk", b"", 32)

    def join_psk(self, resume):
        return derive(extract(resume, self.psk), "join psk", b"", 32)

    def mask(self, side, salt):
        return derive(self.prk_s, f"mask {side}", salt, 44)

    def masked(self, side, salt, data):
        mask = self.mask(side, salt)
        return chacha20(mask[:32], mask[32:], data)

    def mac_key(self, side, salt):
        return derive(self.prk_u, f"mac {side}", salt, 32)

    def fits(self, cipher):
        return cipher in CIPHERS and CIPHERS[cipher].key_bytes == len(self.U)
