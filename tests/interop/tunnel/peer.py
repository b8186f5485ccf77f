"""A session's half and its links put together, still without a socket: the client's (Near) and the server's (Far).

A Carrier has receive(data), take_output(), and over() for when its connection has ended; `closing` says that its side
is to send a fin behind what take_output() gave last.
"""

from dataclasses import dataclass

from . import Failure, Violation, frame
from .link import ClientLink, Established, Gone, ServerLink
from .session import Half, LinkOver


@dataclass
class Habits:
    """What a sender may do with its records, whatever the other end thinks of it."""
    room: int = 16384                # bytes of payload
    n_padding: int = 0               # PADDING behind each payload
    change_key: bool = False         # with every record
    empty: bool = False              # a record with nothing before each other


class Carrier:
    def __init__(self, link, habits=Habits()):
        self.link, self.half, self.number = link, None, None
        self.habits = habits
        self.output = bytearray()
        self.closing = False

    def take_output(self):
        """What is to be sent now."""
        if self.link.state == "ESTABLISHED" and self.half and self.number in self.half.links:
            book, habits = self.half.links[self.number], self.habits
            while (payload := self.half.pull(self.number, habits.room)) is not None:
                if habits.empty:
                    book.sent.insert(-1, [])
                    book.n_sent += 1
                    self.output += self.link.seal(b"", habits.change_key)
                self.output += self.link.seal(payload + bytes(habits.n_padding), habits.change_key)
            self.closing = self.closing or book.bye_sent
        output, self.output = self.output, bytearray()
        return bytes(output)

    def take_payload(self, payload):
        try:
            self.half.take(self.number, payload)
        except Violation:
            pass    # END with code 1 waits in the session

    def over(self):
        """The connection has ended or is given up."""
        if self.half:
            self.half.lose(self.number)


# --- near ---------------------------------------------------------------------------------------

class Near:
    """The client: connect() gives a carrier for a new connection, which joins the session if there is one."""

    def __init__(self, keys, *, draw, now_ms, now_us, early=False, habits=Habits(), instance=bytes(16), **options):
        self.keys, self.draw, self.now_ms, self.now_us = keys, draw, now_ms, now_us
        self.early, self.habits, self.options = early, habits, options
        self.session, self.half, self.next_number = None, Half("client", now_us), 0
        self.established, self.instance = None, instance

    def connect(self, records=4, **options):
        """`records`: at most so many early ones, where the flight may have some; `options` are of this link alone."""
        number, self.next_number = self.next_number, self.next_number + 1
        self.half.attach(number)
        early = []
        if self.session or self.early:
            while len(early) < records and (payload := self.half.pull(number, 8192)) is not None:
                early.append(payload)
        link = ClientLink(self.keys, draw=self.draw, now_ms=self.now_ms, early=early, session=self.session,
                          join_number=number if self.session else None, **{**self.options, **options})
        return NearCarrier(self, link, number)


class NearCarrier(Carrier):
    def __init__(self, near, link, number):
        super().__init__(link, near.habits)
        self.near, self.half, self.number = near, near.half, number
        self.output += link.start()

    def receive(self, data):
        for event in self.link.receive(data):
            if isinstance(event, bytes):
                self.take_payload(event)
            elif isinstance(event, Established):
                self._established(event)
            elif isinstance(event, Gone):
                self._gone()

    def _established(self, event):
        self.near.session, self.near.established = event.session, event
        self.half.established(self.number, event.early_accepted or not self.link.early)
        first = self.link.auth() if self.link.identity and event.link == 0 else b""
        self.output += self.link.seal(first + frame.encode(frame.Instance(self.near.instance)))
        book = self.half.links[self.number]
        book.sent.append([])
        book.n_sent += 1

    def _gone(self):
        """The session is over; the carrier goes on with a new one."""
        near = self.near
        near.half.ended = 2
        near.half._drop_streams()
        near.gone, near.session = near.half, None
        near.half = self.half = Half("client", near.now_us)
        near.half.attach(0)
        self.number, near.next_number = 0, 1
        self.output += self.link.start_fresh(near.options.get("ciphers", (3, 4)))


# --- far ----------------------------------------------------------------------------------------

class Far:
    """The server: accept() gives a carrier for a connection. on_event(half, event) is the application."""

    def __init__(self, server, now_us, on_event):
        self.server, self.now_us, self.on_event = server, now_us, on_event
        self.halves, self.carriers = {}, []

    def accept(self):
        self.carriers.append(FarCarrier(self))
        return self.carriers[-1]

    def settle(self):
        """Gives the application its events, until there are none."""
        for half in self.halves.values():
            while half.events:
                event = half.events.pop(0)
                if isinstance(event, LinkOver):
                    self._link_over(half, event)
                else:
                    self.on_event(half, event)

    def _link_over(self, half, event):
        for carrier in self.carriers:
            if carrier.half is half and carrier.number == event.link:
                carrier.closing = True


class FarCarrier(Carrier):
    def __init__(self, far):
        super().__init__(ServerLink(far.server))
        self.far = far
        self.silent = None           # why it has fallen silent

    def receive(self, data):
        try:
            for event in self.link.receive(data):
                if isinstance(event, Established):
                    self._established(event)
                elif isinstance(event, bytes):
                    self.take_payload(event)
        except Failure as failure:
            self.silent = str(failure)
            self.over()
            return
        self.output += self.link.out
        self.link.out.clear()
        self.far.settle()

    def _established(self, event):
        halves = self.far.halves
        if event.session.id not in halves:
            halves[event.session.id] = Half("server", self.far.now_us)
            halves[event.session.id].join_numbers = event.session.joins
        self.half, self.number = halves[event.session.id], event.link
        self.half.attach(self.number)
        self.half.established(self.number)
        # Flight 2 goes before any record.
        self.output += self.link.out
        self.link.out.clear()
