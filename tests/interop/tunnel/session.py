"""One half of a session (7, 8): streams on top, links by their numbers below.

The application's side: open, answer, write, finish, reset, consume; `events` says what came. The links' side: attach,
pull (the next record's payload), take (a record's payload that came), lose. now_us() is microseconds of any clock.
"""

from collections import deque, namedtuple

from . import Violation, frame
from .frame import NOTHING
from .joins import REACH, JoinNumbers
from .listeners import Listeners
from .stream import FIRST_CREDIT, LEAST_WINDOW, MAX_WINDOW, Stream

PLACES = 65536
MAX_LOST = 256
ACK_AFTER_US, ACK_AT = 25_000, 256 << 10
QUIET = (frame.Ack, frame.Pong, frame.Padding)

Opening = namedtuple("Opening", "id target source kind of")    # somebody wants a stream
Answer = namedtuple("Answer", "id code bound")                 # client: OPENED
Bytes = namedtuple("Bytes", "id data")
Datagram = namedtuple("Datagram", "id address payload")
Finished = namedtuple("Finished", "id")
WasReset = namedtuple("WasReset", "id code")
Pong = namedtuple("Pong", "link token")
Drained = namedtuple("Drained", "seconds")   # the other end takes no more streams
Ended = namedtuple("Ended", "code")
LinkOver = namedtuple("LinkOver", "link clean")                # close its carrier


class LinkBook:
    """What one end remembers of a link that lives."""

    def __init__(self):
        self.sent = deque()          # for each record not acknowledged yet: its tracked frames and slots
        self.n_sent = self.n_acked = self.n_accepted = 0
        self.accepted_at = 0
        self.unacked_bytes, self.asked_at = 0, None
        self.pong = None
        self.stood = False           # the handshake has succeeded
        self.bye_wanted = self.bye_sent = self.bye_received = False


class LostBook:
    """What it remembers of one that is lost, until both know of it."""

    def __init__(self, count, stood):
        self.count, self.stood = count, stood
        self.confirmed = self.own_acked = False


class Ids:
    """The ids of one kind that have been opened: all below a low-water mark, and some of the places above it."""

    def __init__(self):
        self.mark, self.above = 1, set()

    def was_opened(self, stream_id):
        return stream_id >> 1 < self.mark or stream_id >> 1 in self.above

    def open(self, stream_id):
        if stream_id >> 1 >= self.mark + PLACES:
            raise Violation("an id beyond the places")
        self.above.add(stream_id >> 1)
        while self.mark in self.above:
            self.above.remove(self.mark)
            self.mark += 1


class Half:
    def __init__(self, role, now_us):
        self.role, self.now_us = role, now_us
        self.own_bit = 0 if role == "client" else 1
        self.next_id = 2 + self.own_bit
        self.ids = {0: Ids(), 1: Ids()}
        self.streams, self.links, self.lost = {}, {}, {}
        self.queue = deque()         # tracked frames, first those to be sent again
        self.dirty = {}              # slots to be sent, in the order they came to be
        self.pins = {}               # streams whose OPEN or OPENED is not acknowledged: the link it went by
        self.initial = FIRST_CREDIT
        self.events = []
        self.drain = None            # seconds, as DRAIN has told the other end
        self.drained = None          # as it has told us
        self.instance = None         # likewise
        self.ended = None            # END's code, sent or received
        self.ending = False          # ours was said, and the other end's has not come
        self.listeners = Listeners(self)
        self.join_numbers = JoinNumbers()   # the server's are those of the links' session

    # --- the application's side ---

    def open(self, target, source=NOTHING, kind=0, of=0):
        stream_id = self.next_id
        self.next_id += 2
        self.ids[self.own_bit].open(stream_id)
        claim, grant = (0, 0) if kind in frame.DATAGRAM_KINDS else (self.initial, FIRST_CREDIT)
        self.streams[stream_id] = Stream(stream_id, claim, grant, opened=False, kind=kind)
        self.queue.append(frame.Open(stream_id, kind, claim, grant, target, source, of))
        return stream_id

    def associate(self):
        """A stream of datagrams, which send() sends."""
        return self.open(NOTHING, kind=1)

    def relay(self, connection, announced=NOTHING):
        """The client's: what the other end of a connection that a listener has taken sends by UDP to the server."""
        return self.open(announced, kind=3, of=connection)

    def send(self, stream_id, address, payload):
        """A datagram: it may be lost, and the oldest is where many wait."""
        self.streams[stream_id].datagrams.append(frame.Datagram(stream_id, address, payload))

    def answer(self, stream_id, code, bound=NOTHING):
        """The acceptor's answer to Opening; the stream may have been reset meanwhile."""
        if stream_id not in self.streams:
            return
        self.queue.append(frame.Opened(stream_id, code, bound))
        if code == 0:
            self.streams[stream_id].opened = True
        else:
            self._close(stream_id)

    def write(self, stream_id, data):
        self.streams[stream_id].sending.waiting += data

    def finish(self, stream_id):
        self.streams[stream_id].sending.fin_wanted = True

    def reset(self, stream_id, code=0):
        self.queue.append(frame.Reset(stream_id, code, self.streams[stream_id].sending.sent))
        self._close(stream_id)

    def consume(self, stream_id, n):
        """The application has used n of the bytes that it was given."""
        if stream := self.streams.get(stream_id):
            receiving = stream.receiving
            receiving.consumed += n
            if receiving.limit - receiving.consumed <= receiving.window // 2 and receiving.final_size is None:
                receiving.window = max(LEAST_WINDOW, min(2 * receiving.window, MAX_WINDOW))
                receiving.limit = receiving.consumed + receiving.window
                self.dirty["window", stream_id] = True

    def start_to_drain(self, seconds):
        """No more streams are taken, which the other end is told."""
        self.drain = seconds
        self.dirty["drain", None] = True

    def end(self, code):
        if self.ended is None:
            self.ended, self.ending = code, True
            self._drop_streams()
            self.queue = deque([frame.End(code)])

    def _drop_streams(self):
        for stream_id in list(self.streams):
            self.events.append(WasReset(stream_id, 3 if self.ended == 0 else 2))
            self._close(stream_id)

    def _close(self, stream_id):
        self.streams.pop(stream_id, None)
        self.dirty.pop(("window", stream_id), None)

    # --- links ---

    def attach(self, number):
        """A link, from the client's flight 1 on or the server's flight 2."""
        self.links[number] = LinkBook()
        # What never stood and lies so far below is of no use to anybody any more.
        self.lost = {n: book for n, book in self.lost.items() if book.stood or n >= number - REACH}
        for lost, book in self.lost.items():
            if not book.confirmed:
                self.dirty["lost", lost] = True

    def established(self, number, early_accepted=True):
        """Its handshake has succeeded. Early records that were not accepted are as if never sent."""
        if not early_accepted:
            self._send_again(self.links[number])
            self.links[number] = LinkBook()
        self.links[number].stood = True

    def lose(self, number):
        book = self.links.pop(number, None)
        if book is None:
            return
        self._send_again(book)
        self.pins = {i: link for i, link in self.pins.items() if link != number}
        self.dirty.pop(("ack", number), None)
        self.dirty.pop(("pong", number), None)
        self._add_lost(number, book.n_accepted, book.stood)

    def _add_lost(self, number, count, stood=True):
        self.lost[number] = LostBook(count, stood)
        self.dirty["lost", number] = True
        if len(self.lost) > MAX_LOST:
            self.end(3)

    def _send_again(self, book):
        again = []
        for items in book.sent:
            for item in items:
                if isinstance(item, tuple):
                    self.dirty[item] = True
                elif self._still_wanted(item):
                    again.append(item)
        self.queue.extendleft(reversed(again))

    def _still_wanted(self, item):
        if isinstance(item, (frame.Data, frame.Opened)) and item.id not in self.streams:
            return isinstance(item, frame.Opened) and item.code != 0
        if isinstance(item, frame.Listening) and item.code == 0 and item.listener not in self.listeners.there:
            return False             # it was taken back, or is not wanted any more
        return True

    # --- what goes out ---

    def ack_due(self):
        """When an ACK has to go even if nothing else does; None: not before something comes."""
        due = [self._ack_due_of(book) for book in self.links.values()]
        return min((at for at in due if at is not None), default=None)

    def _ack_due_of(self, book):
        if book.bye_sent:
            return None
        if book.unacked_bytes >= ACK_AT:
            return 0
        return None if book.asked_at is None else book.asked_at + ACK_AFTER_US

    def pull(self, number, room=16384):
        """The payload of the next record on a link, or None."""
        book = self.links[number]
        if book.bye_sent:
            return None
        now = self.now_us()
        for link, other in self.links.items():
            due = self._ack_due_of(other)
            if due is not None and due <= now:
                self.dirty["ack", link] = True
        if any(isinstance(f, frame.End) for f in self.queue):
            # Behind what all links have brought, as END closes what is not acknowledged.
            self.dirty |= {("ack", link): True for link in self.links} | {("lost", link): True for link in self.lost}
        out, items = bytearray(), []

        def add(f, item=None):
            out.extend(frame.encode(f))
            if item is not None:
                items.append(item)

        self._pull_slots(number, add)
        self._pull_tracked(number, add, lambda: room - len(out))
        self._pull_datagrams(number, add, lambda n: not out or n <= room - len(out))
        self._pull_streams(number, add, lambda: room - len(out))
        if out:
            self._pull_acks_beside(add)
        elif self.role == "client" and book.n_sent == 0 and book.stood and not book.bye_wanted:
            add(frame.Ping(number))  # the server waits for a first record
        if book.bye_wanted:
            add(frame.Bye())
            book.bye_sent = True
        if not out:
            return None
        book.sent.append(items)
        book.n_sent += 1
        return bytes(out)

    def _pull_slots(self, number, add):
        for key in sorted(self.dirty, key=lambda k: k[0] != "lost"):
            kind, which = key
            if kind == "window" and self.pins.get(which, number) != number or kind == "pong" and which != number:
                continue
            if kind == "window" and self._open_waits(which):
                continue
            del self.dirty[key]
            if kind == "lost" and which in self.lost:
                add(frame.Lost(which, self.lost[which].count), key)
            elif kind == "ack" and which in self.links:
                add(self._ack(which), key)
            elif kind == "window" and which in self.streams:
                add(frame.Window(which, self.streams[which].receiving.limit), key)
            elif kind == "drain":
                add(frame.Drain(self.drain), key)
            elif kind == "pong":
                add(frame.Pong(self.links[which].pong))

    def _open_waits(self, stream_id):
        return any(isinstance(f, frame.Open) and f.id == stream_id for f in self.queue)

    def _ack(self, link):
        book = self.links[link]
        book.unacked_bytes, book.asked_at = 0, None
        return frame.Ack(link, book.n_accepted, max(0, self.now_us() - book.accepted_at))

    def _pull_acks_beside(self, add):
        for link, book in self.links.items():
            if book.asked_at is not None:
                add(self._ack(link), ("ack", link))

    def _pull_tracked(self, number, add, room):
        waiting = deque()
        while self.queue and room() > 64:
            f = self.queue.popleft()
            if self.pins.get(getattr(f, "id", None), number) != number:
                waiting.append(f)
                continue
            if len(frame.encode(f)) > room() and isinstance(f, frame.Data):
                f, rest = split_data(f, room() - 32)
                self.queue.appendleft(rest)
            if isinstance(f, (frame.Open, frame.Opened)):
                self.pins[f.id] = number
            add(f, f)
        self.queue.extendleft(reversed(waiting))

    def _pull_datagrams(self, number, add, fits):
        """Each whole, one that is large in a record of its own. Early records may be refused, and what was in them is
        sent again; datagrams would be lost, so none is in them."""
        waits = {f.id for f in self.queue if isinstance(f, (frame.Open, frame.Opened))}
        for stream in self.streams.values():
            may_go = self.links[number].stood and self.pins.get(stream.id, number) == number and stream.id not in waits
            while may_go and stream.datagrams and (stream.opened or stream.id & 1 == self.own_bit):
                if not fits(len(frame.encode(stream.datagrams[0]))):
                    return
                add(stream.datagrams.popleft())

    def _pull_streams(self, number, add, room):
        if self.queue and any(isinstance(f, (frame.Open, frame.Opened)) for f in self.queue):
            return
        for stream in list(self.streams.values()):
            if self.pins.get(stream.id, number) != number or not (stream.opened or stream.id & 1 == self.own_bit):
                continue
            while room() > 64 and not stream.datagrams and stream.sending.has_something():
                data, offset, fin = stream.sending.take(room() - 32)
                f = (frame.Fin if fin else frame.Data)(stream.id, offset, data)
                add(f, f)

    # --- what comes in ---

    def take(self, number, payload):
        """A record's payload that came on a link. A Violation ends the session."""
        book = self.links.get(number)
        if book is None or book.bye_received:
            return
        asks, end = False, None
        try:
            for f in frame.decode(payload):
                asks = asks or not isinstance(f, QUIET)
                if isinstance(f, frame.End):
                    end = f
                elif self.ended is None or isinstance(f, (frame.Ack, frame.Lost, frame.Bye)):
                    getattr(self, "_on_" + type(f).__name__.lower())(number, f)
            if end is not None:
                self._on_end(end)    # behind all else that its record says
        except Violation:
            self.end(1)
            raise
        if self.ending:
            return                   # it was dropped, and is not to be taken for delivered
        book.n_accepted += 1
        book.accepted_at = self.now_us()
        book.unacked_bytes += len(payload)
        if asks and book.asked_at is None:
            book.asked_at = book.accepted_at

    def _stream_of(self, f):
        """A frame's stream; None if it is closed."""
        if not self.ids[f.id & 1].was_opened(f.id):
            raise Violation("an id that was never opened")
        return self.streams.get(f.id)

    def _on_padding(self, number, f):
        pass

    def _on_auth(self, number, f):
        pass

    def _on_open(self, number, f):
        if f.id & 1 == self.own_bit:
            raise Violation("OPEN with an id of the receiver's")
        ids = self.ids[f.id & 1]
        if ids.was_opened(f.id):
            return
        ids.open(f.id)
        self.streams[f.id] = Stream(f.id, f.grant, f.claim, opened=False, kind=f.kind)
        if f.kind not in frame.DATAGRAM_KINDS:
            self.consume(f.id, 0)    # a claim of nothing has been consumed at once
        if self.drain is not None:
            self.answer(f.id, 1)
        elif f.kind not in ((0, 1, 3) if self.role == "server" else (2,)):
            self.answer(f.id, 7)
        elif not self._has_what_it_is_of(f):
            self.answer(f.id, 1)
        else:
            self.events.append(Opening(f.id, f.target, f.source, f.kind, f.of))

    def _has_what_it_is_of(self, f):
        """Kind 2 belongs to a listener, kind 3 to a stream of kind 2."""
        if f.kind == 2:
            return f.of in self.listeners.there
        return f.kind != 3 or getattr(self.streams.get(f.of), "kind", None) == 2

    def _on_listen(self, number, f):
        self.listeners.take(f)

    _on_listening = _on_unlisten = _on_listen

    def _on_opened(self, number, f):
        if f.id & 1 != self.own_bit:
            raise Violation("OPENED with an id of the sender's")
        stream = self._stream_of(f)
        if stream is None or stream.opened:
            return
        self.events.append(Answer(f.id, f.code, f.bound))
        if f.code:
            self._close(f.id)
        stream.opened = True

    def _on_datagram(self, number, f):
        """One for nobody is lost, as datagrams are."""
        stream = self.streams.get(f.id)
        if stream is not None and stream.kind in frame.DATAGRAM_KINDS:
            self.events.append(Datagram(f.id, f.address, f.payload))

    def _on_data(self, number, f, fin=False):
        stream = self._stream_of(f)
        if stream is None:
            return
        if f.id & 1 == self.own_bit and not stream.opened:
            raise Violation("DATA before OPENED")
        data = stream.receiving.put(f.offset, f.data, fin)
        if data:
            self.events.append(Bytes(f.id, data))
        if stream.receiving.all_delivered() and not stream.fin_delivered:
            stream.fin_delivered = True
            self.events.append(Finished(f.id))
            self._close_if_done(stream)

    def _on_fin(self, number, f):
        self._on_data(number, f, fin=True)

    def _close_if_done(self, stream):
        if stream.fin_delivered and stream.sending.is_done():
            self._close(stream.id)

    def _on_reset(self, number, f):
        stream = self._stream_of(f)
        if stream is None:
            return
        stream.receiving.check_final_size(f.final_size)
        self.events.append(WasReset(f.id, f.code))
        self._close(f.id)

    def _on_window(self, number, f):
        if stream := self._stream_of(f):
            stream.sending.limit = max(stream.sending.limit, f.limit)

    def _on_instance(self, number, f):
        if self.role == "client":
            raise Violation("INSTANCE to a client")
        self.instance = self.instance or f.instance

    def _on_drain(self, number, f):
        if self.drained is None:
            self.events.append(Drained(f.seconds))
        self.drained = f.seconds

    def _on_initial(self, number, f):
        self.initial = f.claim

    def _on_ping(self, number, f):
        self.links[number].pong = f.token
        self.dirty["pong", number] = True

    def _on_pong(self, number, f):
        self.events.append(Pong(number, f.token))

    def _on_ack(self, number, f):
        if book := self.links.get(f.link):
            self._acknowledge(book, f.count)

    def _acknowledge(self, book, count):
        if count > book.n_sent:
            raise Violation("more was acknowledged than was sent")
        while book.n_acked < count:
            book.n_acked += 1
            for item in book.sent.popleft():
                self._acknowledged(item)

    def _acknowledged(self, item):
        if isinstance(item, tuple):
            kind, which = item
            if kind == "lost" and which in self.lost:
                self.lost[which].own_acked = True
                self._forget_if_done(which)
        elif isinstance(item, (frame.Open, frame.Opened)):
            self.pins.pop(item.id, None)
        elif isinstance(item, frame.Data) and (stream := self.streams.get(item.id)):
            stream.sending.acknowledged(len(item.data), isinstance(item, frame.Fin))
            self._close_if_done(stream)
        elif isinstance(item, frame.LISTENERS):
            self.listeners.acknowledged(item)
        elif isinstance(item, frame.End):
            self.events.append(Ended(item.code))

    def _on_lost(self, number, f):
        if book := self.links.get(f.link):
            self._acknowledge(book, max(f.count, book.n_acked))
            self.events.append(LinkOver(f.link, clean=False))
            self.lose(f.link)
        if f.link not in self.lost:
            if self.role == "server":
                if self.join_numbers.is_used(f.link):
                    return
                self.join_numbers.use(f.link)
            self._add_lost(f.link, 0)
        self.lost[f.link].confirmed = True
        self._forget_if_done(f.link)

    def _forget_if_done(self, link):
        if self.lost[link].confirmed and self.lost[link].own_acked:
            del self.lost[link]

    def bye(self, number):
        """This end wants no more of a link."""
        self.links[number].bye_wanted = True

    def _on_bye(self, number, f):
        self.links[number].bye_wanted = self.links[number].bye_received = True
        self.events.append(LinkOver(number, clean=True))

    def _on_end(self, f):
        if self.ended is None:
            self.ended = f.code
            self._drop_streams()
            self.queue.clear()
            self.events.append(Ended(f.code))
        self.ending = False
        for link, book in self.links.items():
            book.bye_wanted = True
            self.dirty["ack", link] = True


def split_data(f, n):
    """A DATA or FIN in two, as the record has no room for all of it."""
    return (frame.Data(f.id, f.offset, f.data[:n]),
            type(f)(f.id, f.offset + n, f.data[n:]))
