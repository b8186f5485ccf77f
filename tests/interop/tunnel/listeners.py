"""Listeners of a session (7, "Listening"), at either end: who asked for what, and what is still to be said of it."""

from collections import namedtuple

from . import Violation, frame
from .frame import NOTHING

MOST, MOST_REFUSED, PLACES = 64, 1024, 65536

Wanted = namedtuple("Wanted", "number kind address")           # server: LISTEN
Listening = namedtuple("Listening", "number code bound")       # client: LISTENING
Unwanted = namedtuple("Unwanted", "number")                    # server: UNLISTEN


class Listeners:
    """The client's numbers grow from 1; the server knows which were used."""

    def __init__(self, half):
        self.half = half
        self.there, self.newest = {}, 0      # numbers to kinds
        self.known, self.unwanted = set(), set()     # client: LISTEN was acknowledged; UNLISTEN waits for that
        self.mark, self.used = 1, set()      # server
        self.refused = set()                 # server: of which that is not acknowledged

    # --- the application's side ---

    def listen(self, address, kind=0):
        self.newest += 1
        self.there[self.newest] = kind
        self.half.queue.append(frame.Listen(self.newest, kind, address))
        return self.newest

    def unlisten(self, number):
        if self.there.pop(number, None) is None:
            return
        if number in self.known:
            self.half.queue.append(frame.Unlisten(number))
        else:
            self.unwanted.add(number)

    def answer(self, number, code, bound=NOTHING):
        """The server's answer, or that it takes it back."""
        if number not in self.there:
            return
        self.half.queue.append(frame.Listening(number, code, bound))
        if code:
            del self.there[number]
            self.refused.add(number)

    # --- what comes, and what is acknowledged ---

    def take(self, f):
        if isinstance(f, frame.Listening) != (self.half.role == "client"):
            raise Violation("a listener's frame that is not for this end")
        if isinstance(f, frame.Listen):
            self._take_listen(f)
        elif isinstance(f, frame.Unlisten):
            if self.there.pop(f.listener, None) is not None:
                self.half.events.append(Unwanted(f.listener))
        elif f.listener in self.there:
            if f.code:
                del self.there[f.listener]
            self.half.events.append(Listening(f.listener, f.code, f.bound))

    def _take_listen(self, f):
        if f.listener < self.mark or f.listener in self.used:
            return
        if f.listener >= self.mark + PLACES:
            raise Violation("a listener's number beyond the places")
        self.used.add(f.listener)
        while self.mark in self.used:
            self.used.remove(self.mark)
            self.mark += 1
        if len(self.there) >= MOST or len(self.refused) >= MOST_REFUSED:
            self.half.end(3)
            return
        self.there[f.listener] = f.kind
        self.half.events.append(Wanted(f.listener, f.kind, f.at))

    def acknowledged(self, f):
        if isinstance(f, frame.Listen):
            self.known.add(f.listener)
            if f.listener in self.unwanted:
                self.unwanted.remove(f.listener)
                self.half.queue.append(frame.Unlisten(f.listener))
        elif isinstance(f, frame.Listening) and f.code:
            self.refused.discard(f.listener)
