"""Noise_NNpsk0_25519_ChaChaPoly_SHA256, revision 34 (3). Both ends mix the same, so one class serves both."""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import Failure
from .keys import mac32

NAME = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def shared_secret(private, public):
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Failure("a shared secret of all zeros") from None


def hkdf(ck, material, n):
    temp = mac32(ck, material)
    outputs = [b""]
    for i in range(1, n + 1):
        outputs.append(mac32(temp, outputs[-1] + bytes([i])))
    return outputs[1:]


class Noise:
    def __init__(self, psk, prologue):
        self.h = self.ck = hashlib.sha256(NAME).digest()
        self.key = None
        self.mix_hash(prologue)
        self.mix_key_and_hash(psk)

    def mix_hash(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, material):
        self.ck, self.key = hkdf(self.ck, material, 2)

    def mix_key_and_hash(self, material):
        self.ck, hashed, self.key = hkdf(self.ck, material, 3)
        self.mix_hash(hashed)

    def mix_e(self, public):
        """The token e, as it is in handshakes with a psk."""
        self.mix_hash(public)
        self.mix_key(public)

    # In this pattern each key seals one payload only: the nonce is always 0.

    def encrypt_and_hash(self, plain):
        sealed = ChaCha20Poly1305(self.key).encrypt(bytes(12), plain, self.h)
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, sealed):
        try:
            plain = ChaCha20Poly1305(self.key).decrypt(bytes(12), sealed, self.h)
        except InvalidTag:
            raise Failure("a payload that does not open") from None
        self.mix_hash(sealed)
        return plain

    def split(self):
        return hkdf(self.ck, b"", 2)
