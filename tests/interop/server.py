"""A far end for tests: each connection has a thread, all share one Far. No command, no limits, no dialling."""

import select
import socket
import struct
import threading
import time


class Recorded:
    """What went over a connection, either way."""

    def __init__(self, carrier):
        self.carrier, self.up, self.down = carrier, bytearray(), bytearray()


class TestServer:
    """dial() gives the client's end of a new connection; listen() takes them at a TCP port, which it returns.

    cut_after: the bytes sent after which the connections, one after the other, are reset.
    pause: (n, an Event): a connection over which something has been sent n times sends nothing more before the event.
    """

    __test__ = False    # no test of pytest's

    def __init__(self, far, cut_after=(), pause=None):
        self.far, self.cut_after, self.pause = far, list(cut_after), pause
        self.lock, self.stopping = threading.Lock(), False
        self.threads, self.n_cut, self.recordings = [], 0, []

    def dial(self):
        ours, theirs = socket.socketpair()
        self._start(ours)
        return theirs

    def listen(self):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.1)
        self._run(self._accept, listener)
        return listener.getsockname()[1]

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def _run(self, function, *args):
        self.threads.append(threading.Thread(target=function, args=args))
        self.threads[-1].start()

    def _accept(self, listener):
        with listener:
            while not self.stopping:
                try:
                    self._start(listener.accept()[0])
                except TimeoutError:
                    pass

    def _start(self, sock):
        with self.lock:
            carrier = self.far.accept()
        self._run(self._serve, sock, carrier)

    def _serve(self, sock, carrier):
        cut, n_sent, n_times = self.cut_after.pop(0) if self.cut_after else None, 0, 0
        recorded = Recorded(carrier)
        self.recordings.append(recorded)
        with sock:
            try:
                while not self.stopping:
                    with self.lock:
                        output = b"" if self._pauses(n_times) else carrier.take_output()
                    n_times += bool(output)
                    if cut is not None and n_sent + len(output) >= cut:
                        self._send(sock, output[:cut - n_sent])
                        self.n_cut += 1
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        break
                    recorded.down += output
                    self._send(sock, output)
                    n_sent += len(output)
                    if carrier.closing or not self._receive(sock, carrier, recorded):
                        break
            except OSError:
                pass
        with self.lock:
            carrier.over()

    def _pauses(self, n_times):
        return self.pause is not None and n_times >= self.pause[0] and not self.pause[1].is_set()

    @staticmethod
    def _send(sock, output):
        sock.settimeout(5)
        sock.sendall(output)

    def _receive(self, sock, carrier, recorded):
        if not select.select([sock], [], [], 0.01)[0]:
            return True
        data = sock.recv(1 << 16)
        recorded.up += data
        with self.lock:
            carrier.receive(data)
        return bool(data)


def monotonic_us():
    return time.monotonic_ns() // 1000
