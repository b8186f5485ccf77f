"""What somebody reads who has recorded a connection and got hold of keys: the test of forward secrecy."""

from dataclasses import dataclass, field

from tunnel import Failure, flight, noise
from tunnel.flight import Head1, Head2, Payload1, Payload2
from tunnel.record import Direction, early_direction


@dataclass
class Read:
    payload1: bytes | None = None
    payload2: bytes | None = None
    early: list = field(default_factory=list)
    up: list = field(default_factory=list)
    down: list = field(default_factory=list)


def read_capture(keys, up, down, e_private=None, resume=None, server_e_private=None):
    """Opens all of one connection that these keys open. Without an ephemeral key all that their holder has is tried
    in place of the Diffie-Hellman's secret, and none at all (None): records must depend on it."""
    read = Read()
    head1, head2 = Head1.read(keys, bytes(up[:flight.N_HEAD1])), Head2.read(keys, bytes(down[:flight.N_HEAD2]))
    end1, end2 = 103 + head1.n_payload + 16, 75 + head2.n_payload + 16
    state = noise.Noise(keys.join_psk(resume) if resume else keys.psk, head1.prologue())
    state.mix_e(head1.e)
    try:
        read.payload1 = state.decrypt_and_hash(bytes(up[103:end1 - 16]))
    except Failure:
        return read
    if head1.n_early:
        cipher = Payload1.read(read.payload1).ciphers[0]
        read.early = opened(early_direction(state.ck, cipher), up[end1:end1 + head1.n_early])
    guesses = [keys.S, keys.U, keys.psk, bytes(32), None]
    if e_private:
        guesses = [noise.shared_secret(e_private, head2.e)]
    if server_e_private:
        guesses = [noise.shared_secret(server_e_private, head1.e)]
    for secret in guesses:
        after = copy_of(state)
        after.mix_e(head2.e)
        if secret is not None:
            after.mix_key(secret)
        sealed = bytes(down[75:end2 - 16])
        try:
            read.payload2 = after.decrypt_and_hash(sealed)
            ciphers = [Payload2.read(read.payload2).cipher]
        except Failure:
            after.mix_hash(sealed)
            ciphers = [c for c in (1, 2, 3, 4) if keys.fits(c)]
        k1, k2 = after.split()
        for cipher in ciphers:
            read.up += opened(Direction(cipher, k1), up[end1 + head1.n_early:])
            read.down += opened(Direction(cipher, k2), down[end2:])
    return read


def copy_of(state):
    copy = noise.Noise.__new__(noise.Noise)
    copy.__dict__.update(state.__dict__)
    return copy


def opened(direction, wire):
    """The payloads up to the first that does not open."""
    out = []
    try:
        while (record := direction.open(wire)) is not None:
            out.append(record[0])
            wire = wire[record[1]:]
    except Failure:
        pass
    return out
