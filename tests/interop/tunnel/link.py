"""One carrier's two ends as bytes in, events out: handshake, early records, records (3 to 6, the tables of 11).

receive(data) gives a list of events: Established, Gone, and the payloads of records as bytes. What is to be sent comes
back from start() and seal(), or stands in `out`. A Failure leaves the link in FAILED; what follows from that is the
caller's.
"""

import hmac
from dataclasses import dataclass, field

from . import Failure, flight, frame, noise
from .flight import Head1, Head2, Payload1, Payload2
from .identity import signed_text, verify
from .joins import JoinNumbers
from .keys import CIPHERS, derive, mac16
from .record import Direction, N_HEADER, N_TAG, early_direction


@dataclass
class Session:
    """What both ends keep of a session for joining it."""
    id: bytes
    resume: bytes
    cipher: int
    keep_s: int = 0
    user: bytes = b""
    joins: JoinNumbers = field(default_factory=JoinNumbers)
    authenticated: bool = True

    def take_join_number(self, number):
        """Check 9 of 3.3."""
        if self.joins.is_used(number) or number >= 1 << 62:
            raise Failure("a join number that was used")
        self.joins.use(number)


@dataclass
class Established:
    session: Session
    link: int
    early_accepted: bool
    server_time: int = 0
    peer_spki: bytes | None = None


class Gone:
    """Flight 2 of kind gone (client), or a join that was answered so (server)."""


class Link:
    def __init__(self):
        self.state = "NEW"
        self.buffer = bytearray()
        self.out = bytearray()
        self.sending = self.receiving = None

    def seal(self, payload, change_key=False):
        return self.sending.seal(payload, change_key)

    def receive(self, data):
        if self.state == "FAILED":
            return []
        self.buffer += data
        events = []
        try:
            while (event := self._step()) is not None:
                events.append(event)
        except Failure:
            self.state = "FAILED"
            self.buffer.clear()
            raise
        return events

    def _take(self, n):
        taken = bytes(self.buffer[:n])
        del self.buffer[:n]
        return taken

    def _record(self, direction):
        opened = direction.open(self.buffer)
        if opened is None:
            return None
        self._take(opened[1])
        return opened[0]


def check_mac(key, data, mac, which):
    if not hmac.compare_digest(mac16(key, data), mac):
        raise Failure(f"{which} is wrong")


# --- client -------------------------------------------------------------------------------------

class ClientLink(Link):
    def __init__(self, keys, *, draw, now_ms, ciphers=(3, 4), keep_s=600, server_spki=None,
                 identity=None, session=None, join_number=None, early=(), most_up=0, most_down=0, is_own=False):
        """`early` are payloads of early records; a join has session and join_number, and may be a stream's own link."""
        super().__init__()
        self.keys, self.draw, self.now_ms = keys, draw, now_ms
        self.server_spki, self.identity, self.session = server_spki, identity, session
        self.number = join_number or 0
        self.offer = Payload1([session.cipher] if session else list(ciphers), keep_s, join_number,
                              most_up, most_down, is_own)
        self.early = list(early)

    def start(self):
        """Flight 1 and the early records."""
        self.e_private = self.draw(32)
        psk = self.keys.join_psk(self.session.resume) if self.session else self.keys.psk
        n_early = sum(N_HEADER + len(p) + N_TAG for p in self.early)
        head = Head1(self.draw(16), noise.public_of(self.e_private), self.keys.tag, self.now_ms(),
                     self.session.id if self.session else flight.ZEROS, 0, n_early)
        plain = self.offer.plain(int.from_bytes(self.draw(2), "big") % (flight.MAX_PADDING + 1))
        wire, self.noise, self.mac2 = flight.make1(self.keys, head, psk, plain)
        self.state = "AWAITING"
        if not self.early:
            return wire
        early = early_direction(self.noise.ck, self.offer.ciphers[0])
        return wire + b"".join(early.seal(p) for p in self.early)

    def _step(self):
        if self.state == "ESTABLISHED":
            return self._record(self.receiving)
        if len(self.buffer) < flight.N_HEAD2 + 16:
            return None
        head_wire = bytes(self.buffer[:flight.N_HEAD2])
        head = Head2.read(self.keys, head_wire)
        mac_key = self.keys.mac_key("server", head.salt)
        check_mac(mac_key, self.mac2 + head_wire, self.buffer[59:75], "MAC 1")
        if head.kind not in (flight.ACCEPTED, flight.GONE):
            raise Failure("flight 2 of an unknown kind")
        end = 75 + head.n_payload + 16
        if head.n_payload < flight.N_LEAST2 or end > flight.MAX_FLIGHT:
            raise Failure("n_payload is out of its bounds")
        if len(self.buffer) < end:
            return None
        check_mac(mac_key, self.mac2 + self.buffer[:end - 16], self.buffer[end - 16:end], "MAC 2")
        sealed = self._take(end)[75:-16]
        return self._gone() if head.kind == flight.GONE else self._accepted(head, sealed)

    def _gone(self):
        if not self.session:
            raise Failure("gone, in answer to a fresh flight")
        self.state = "GONE"
        return Gone()

    def start_fresh(self, ciphers):
        """Behind gone: a fresh flight 1 on the same carrier."""
        assert self.state == "GONE"
        self.session, self.number, self.early = None, 0, []
        self.offer = Payload1(list(ciphers), self.offer.keep_s, None, self.offer.most_up,
                              self.offer.most_down)
        return self.start()

    def _accepted(self, head, sealed):
        state = self.noise
        state.mix_e(head.e)
        state.mix_key(noise.shared_secret(self.e_private, head.e))
        self.h = state.h
        answer = Payload2.read(state.decrypt_and_hash(sealed))
        if answer.cipher not in self.offer.ciphers or not self.keys.fits(answer.cipher):
            raise Failure("a cipher that was not offered")
        self._check_session(answer)
        self.peer_spki = answer.spki
        k1, k2 = state.split()
        self.sending, self.receiving = Direction(answer.cipher, k1), Direction(answer.cipher, k2)
        if not self.session:
            self.session = Session(answer.session_id, derive(state.ck, "resume", b"", 32), answer.cipher, answer.keep_s)
        self.state = "ESTABLISHED"
        return Established(self.session, self.number, answer.early_accepted and bool(self.early), head.time, answer.spki)

    def _check_session(self, answer):
        if self.session:
            if answer.session_id != self.session.id:
                raise Failure("another session than the one to join")
            return
        if answer.session_id == flight.ZEROS:
            raise Failure("a session without an id")
        if self.server_spki is not None:
            if answer.spki != self.server_spki:
                raise Failure("not the server whose public key we have")
            verify(answer.spki, answer.signature, signed_text("server", self.h, answer.spki, None))

    def auth(self):
        """The frame AUTH, which begins the first record of a new session."""
        text = signed_text("client", self.h, self.identity.spki, self.peer_spki)
        return frame.encode(frame.Auth(self.identity.spki, self.identity.sign(text)))


# --- server -------------------------------------------------------------------------------------

class Server:
    """What a server's carriers share: keys, sessions, the replay set."""

    def __init__(self, all_keys, *, draw, now_ms, skew_ms=60_000, identity=None, peers=None, early_data="none",
                 keep_s=600):
        self.by_tag = {keys.tag: keys for keys in all_keys}
        self.keys = all_keys[0]
        self.draw, self.now_ms, self.skew_ms = draw, now_ms, skew_ms
        self.identity, self.peers, self.early_data, self.keep_s = identity, peers, early_data, keep_s
        self.sessions, self.salts = {}, {}

    def check_time_and_replay(self, head):
        now = self.now_ms()
        if abs(head.time - now) > self.skew_ms:
            raise Failure("a wrong time")
        self.salts = {salt: until for salt, until in self.salts.items() if until >= now}
        if head.salt in self.salts:
            raise Failure("a flight that was here before")
        self.salts[head.salt] = head.time + self.skew_ms

    def takes_early(self, session, ciphers):
        if session:
            return True
        return (self.early_data != "none" and not self.keys.public_only and self.peers is None and
                ciphers[0] in CIPHERS)


class ServerLink(Link):
    def __init__(self, server):
        super().__init__()
        self.server = server
        self.state, self.skip, self.early = "READING", 0, None
        self.n_early = 0
        self.only_fresh = False

    def _step(self):
        if self.skip:
            skipped = min(self.skip, len(self.buffer))
            self._take(skipped)
            self.skip -= skipped
        if self.skip:
            return None
        if self.state == "ESTABLISHED":
            return self._established_record()
        head = self._head()
        return head and self._flight(head)

    def _established_record(self):
        if self.n_early == 0:
            payload = self._record(self.receiving)
            return payload if payload is None else self._checked(payload)
        before = len(self.buffer)
        opened = self.early.open(self.buffer)
        if opened is None:
            if before >= self.n_early:
                raise Failure("an early record that reaches beyond their end")
            return None
        if opened[1] > self.n_early:
            raise Failure("an early record that reaches beyond their end")
        self._take(opened[1])
        self.n_early -= opened[1]
        return opened[0]

    def _head(self):
        """Checks 1 to 3 of 3.3."""
        if len(self.buffer) < 103:
            return None
        wire = bytes(self.buffer[:flight.N_HEAD1])
        head = Head1.read(self.server.keys, wire)
        self.keys = self.server.by_tag.get(head.tag)
        mac_key = self.keys.mac_key("client", head.salt) if self.keys else self.server.draw(32)
        check_mac(mac_key, wire, self.buffer[87:103], "MAC 1, or the tag,")
        if head.version != flight.VERSION:
            raise Failure(f"version {head.version}")
        n_least = flight.n_least1(head.session_id != flight.ZEROS)
        if head.n_payload < n_least or 103 + head.n_payload + 16 > flight.MAX_FLIGHT:
            raise Failure("n_payload is out of its bounds")
        if head.n_early > flight.MAX_EARLY:
            raise Failure("n_early is out of its bounds")
        return head

    def _flight(self, head):
        """Checks 4 to 9."""
        end = 103 + head.n_payload + 16
        if len(self.buffer) < end:
            return None
        mac_key = self.keys.mac_key("client", head.salt)
        check_mac(mac_key, self.buffer[:end - 16], self.buffer[end - 16:end], "MAC 2")
        self.server.check_time_and_replay(head)
        wire = self._take(end)
        session = None
        if head.session_id != flight.ZEROS:
            if self.only_fresh:
                raise Failure("a second flight that joins")
            session = self.server.sessions.get(head.session_id)
            if session is None or session.user != self.keys.tag or not session.authenticated:
                return self._answer_gone(head, wire[-16:])
        return self._accept(head, wire, session)

    def _answer_gone(self, head, mac2):
        draw = self.server.draw
        answer = Head2(draw(16), flight.GONE, self.server.now_ms(), draw(32), 0)
        random = draw(flight.N_LEAST2 + self._n_padding())
        self.out += flight.make2(self.keys, answer, mac2, random)
        self.skip, self.only_fresh = head.n_early, True
        return Gone()

    def _n_padding(self):
        return int.from_bytes(self.server.draw(2), "big") % (flight.MAX_PADDING + 1)

    def _read_payload1(self, head, wire, session):
        psk = self.keys.join_psk(session.resume) if session else self.keys.psk
        self.noise = noise.Noise(psk, head.prologue())
        self.noise.mix_e(head.e)
        offer = Payload1.read(self.noise.decrypt_and_hash(wire[103:-16]))
        if (offer.join_number is not None) != (session is not None):
            raise Failure("the flag and the session id do not agree")
        if not flight.offer_fits(self.keys, offer.ciphers):
            raise Failure("a cipher that does not fit")
        if session:
            if offer.ciphers != [session.cipher]:
                raise Failure("another cipher than the session's")
            session.take_join_number(offer.join_number)
        return offer

    def _accept(self, head, wire, session):
        server = self.server
        offer = self._read_payload1(head, wire, session)
        cipher = next(c for c in offer.ciphers if c in CIPHERS)
        takes_early = server.takes_early(session, offer.ciphers) and head.n_early > 0
        early = early_direction(self.noise.ck, offer.ciphers[0]) if takes_early else None
        self.e_private = server.draw(32)
        answer = Head2(server.draw(16), flight.ACCEPTED, server.now_ms(), noise.public_of(self.e_private), 0)
        self.noise.mix_e(answer.e)
        self.noise.mix_key(noise.shared_secret(self.e_private, head.e))
        self.h = self.noise.h
        session_id = session.id if session else b"\0" + server.draw(15)
        payload = Payload2(cipher, session_id, 2 * min(offer.keep_s, server.keep_s), takes_early)
        if server.identity and not session:
            payload.spki = server.identity.spki
            payload.signature = server.identity.sign(signed_text("server", self.h, payload.spki, None))
        room = flight.MAX_FLIGHT - 75 - 16 - len(payload.plain()) - 16
        sealed = self.noise.encrypt_and_hash(payload.plain(min(self._n_padding(), room)))
        self.out += flight.make2(self.keys, answer, wire[-16:], sealed)

        k1, k2 = self.noise.split()
        self.receiving, self.sending = Direction(cipher, k1), Direction(cipher, k2)
        self.early, self.n_early, self.skip = ((early, head.n_early, 0) if takes_early else (None, 0, head.n_early))
        self.state = "ESTABLISHED"
        self.awaits_auth = server.peers is not None and not session
        if not session:
            session = Session(session_id, derive(self.noise.ck, "resume", b"", 32), cipher, payload.keep_s,
                              self.keys.tag, authenticated=not self.awaits_auth)
            server.sessions[session_id] = session
        self.session, self.number = session, offer.join_number or 0
        return Established(session, self.number, takes_early)

    def _checked(self, payload):
        """The first record of a new session has to bring AUTH where there are peers."""
        if self.awaits_auth:
            try:
                first = next(frame.decode(payload), None)
            except frame.Violation:
                first = None
            own = self.server.identity.spki if self.server.identity else None
            if not isinstance(first, frame.Auth) or first.spki not in self.server.peers:
                del self.server.sessions[self.session.id]
                raise Failure("not one of the peers")
            try:
                verify(first.spki, first.signature, signed_text("client", self.h, first.spki, own))
            except Failure:
                del self.server.sessions[self.session.id]
                raise
            self.awaits_auth = False
            self.session.authenticated = True
        return payload
