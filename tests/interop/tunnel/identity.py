"""Identities and their signatures (3.6)."""

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (Encoding, PublicFormat, load_der_public_key,
                                                          load_pem_private_key)

from . import Failure

PADDING = PSS(MGF1(SHA256()), 32)
NO_SPKI_HASH = bytes(32)


def signed_text(side, h, own_spki, peer_spki):
    """What `side` ("server" or "client") signs; peer_spki is None where there is none to name."""
    peer = hashlib.sha256(peer_spki).digest() if peer_spki is not None else NO_SPKI_HASH
    return f"sockeye-v1 {side}".encode() + h + hashlib.sha256(own_spki).digest() + peer


class Identity:
    def __init__(self, private_key):
        self._key = private_key
        self.spki = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @staticmethod
    def load(path):
        with open(path, "rb") as f:
            return Identity(load_pem_private_key(f.read(), None))

    def sign(self, text):
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(text)
        return self._key.sign(text, PADDING, SHA256())


def verify(spki, signature, text):
    try:
        key = load_der_public_key(spki)
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, text)
        elif isinstance(key, RSAPublicKey) and key.key_size >= 3072:
            key.verify(signature, text, PADDING, SHA256())
        else:
            raise Failure("a public key of another kind")
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise Failure("a signature that is not good") from None
