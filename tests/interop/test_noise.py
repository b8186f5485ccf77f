"""Our Noise beside a packaged library's (python3-dissononce): the same messages, hash and keys, either way round."""

import pytest
from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.private import PrivateKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.hash.sha256 import SHA256Hash
from dissononce.processing.handshakepatterns.interactive.NN import NNHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState
from dissononce.processing.modifiers.psk import PSKPatternModifier

from tunnel import Failure
from tunnel.noise import NAME, Noise, public_of, shared_secret
from draw import fixed

PSK, PROLOGUE = fixed("psk", 32), b"a prologue"
E1, E2 = fixed("e1", 32), fixed("e2", 32)


class FixedDH(X25519DH):
    def __init__(self, private):
        super().__init__()
        self.private = private

    def generate_keypair(self, privatekey=None):
        return super().generate_keypair(PrivateKey(self.private))


def library(private, initiator):
    state = HandshakeState(SymmetricState(CipherState(ChaChaPolyCipher()), SHA256Hash()), FixedDH(private))
    state.initialize(PSKPatternModifier(0).modify(NNHandshakePattern()), initiator, PROLOGUE, psks=[PSK])
    assert state.protocol_name.encode() == NAME
    return state


def split_keys(pair):
    return [state._key for state in pair]


def test_the_librarys_initiator_agrees_with_our_responder():
    theirs, ours = library(E1, True), Noise(PSK, PROLOGUE)
    message = bytearray()
    theirs.write_message(b"payload 1", message)
    ours.mix_e(bytes(message[:32]))
    assert ours.decrypt_and_hash(bytes(message[32:])) == b"payload 1"

    ours.mix_e(public_of(E2))
    ours.mix_key(shared_secret(E2, bytes(message[:32])))
    read = bytearray()
    keys = theirs.read_message(public_of(E2) + ours.encrypt_and_hash(b"payload 2"), read)
    assert read == b"payload 2"
    assert split_keys(keys) == ours.split()
    assert theirs.symmetricstate.get_handshake_hash() == ours.h


def test_our_initiator_agrees_with_the_librarys_responder():
    theirs, ours = library(E2, False), Noise(PSK, PROLOGUE)
    ours.mix_e(public_of(E1))
    read = bytearray()
    theirs.read_message(public_of(E1) + ours.encrypt_and_hash(b"payload 1"), read)
    assert read == b"payload 1"

    message = bytearray()
    keys = theirs.write_message(b"payload 2", message)
    ours.mix_e(bytes(message[:32]))
    ours.mix_key(shared_secret(E1, bytes(message[:32])))
    assert ours.decrypt_and_hash(bytes(message[32:])) == b"payload 2"
    assert split_keys(keys) == ours.split()
    assert theirs.symmetricstate.get_handshake_hash() == ours.h


def test_a_low_order_point_is_a_failure():
    with pytest.raises(Failure):
        shared_secret(E1, bytes(32))
