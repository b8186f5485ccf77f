"""One stream's two directions as numbers and bytes (7, Data and Credit)."""

from collections import deque

from . import Violation

FIRST_CREDIT = 65536
LEAST_WINDOW, MAX_WINDOW = 4096, 1 << 20
MAX_DATAGRAMS = 256


class Sending:
    def __init__(self, limit):
        self.limit = limit
        self.waiting = bytearray()   # written by the application, in no frame yet
        self.sent = 0                # the offset of waiting[0]
        self.n_acked = 0             # each byte is in one frame that counts, so none twice
        self.fin_wanted = self.fin_sent = self.fin_acked = False

    def has_something(self):
        return not self.fin_sent and bool(self.waiting and self.sent < self.limit or
                                          self.fin_wanted and not self.waiting)

    def take(self, room):
        """The next bytes, their offset, and whether the stream ends with them."""
        n = min(room, len(self.waiting), self.limit - self.sent)
        data, offset = bytes(self.waiting[:n]), self.sent
        del self.waiting[:n]
        self.sent += n
        self.fin_sent = self.fin_wanted and not self.waiting
        return data, offset, self.fin_sent

    def acknowledged(self, n, fin):
        self.n_acked += n
        self.fin_acked = self.fin_acked or fin

    def is_done(self):
        return self.fin_acked and self.n_acked == self.sent


class Receiving:
    def __init__(self, limit):
        self.limit = self.window = limit
        self.delivered = self.consumed = self.highest = 0
        self.final_size = None
        self.pieces = {}             # offset: bytes; they do not overlap

    def put(self, offset, data, fin):
        """Takes a frame's bytes; returns those that are whole now."""
        end = offset + len(data)
        if end > self.limit and (data or fin):
            raise Violation("a byte beyond the credit")
        if self.final_size is not None and (end > self.final_size or fin and end != self.final_size):
            raise Violation("another final size")
        if fin:
            if end < self.highest:
                raise Violation("a final size below what has come")
            self.final_size = end
        self.highest = max(self.highest, end if data else 0)
        self._keep(offset, data)
        whole = bytearray()
        while (piece := self.pieces.pop(self.delivered, None)) is not None:
            whole += piece
            self.delivered += len(piece)
        return bytes(whole)

    def _keep(self, offset, data):
        """What is there already stays: of an overlap the first copy counts."""
        at, end = max(offset, self.delivered), offset + len(data)
        for start in sorted(self.pieces):
            if at < min(start, end):
                self.pieces[at] = data[at - offset:min(start, end) - offset]
            at = max(at, start + len(self.pieces[start]))
        if at < end:
            self.pieces[at] = data[at - offset:]

    def all_delivered(self):
        return self.delivered == self.final_size

    def check_final_size(self, size):
        """Of a RESET."""
        if size < self.highest or size > self.limit or self.final_size not in (None, size):
            raise Violation("a reset's final size")


class Stream:
    def __init__(self, stream_id, credit, granted, opened, kind=0):
        self.id = stream_id
        self.sending, self.receiving = Sending(credit), Receiving(granted)
        self.kind = kind
        self.datagrams = deque(maxlen=MAX_DATAGRAMS)     # that wait
        self.opened = opened         # OPENED with code 0 was sent or received
        self.fin_delivered = False
