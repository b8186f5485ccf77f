"""A far end for tests of the client: each connection has a thread, all share one Far. No command, no limits, no dialling."""

import select
import socket
import threading
import time


class TestServer:
    """dial() gives the client's end of a new connection."""

    __test__ = False    # no test of pytest's

    def __init__(self, far):
        self.far, self.lock = far, threading.Lock()
        self.stopping = False
        self.threads = []

    def dial(self):
        ours, theirs = socket.socketpair()
        with self.lock:
            carrier = self.far.accept()
        self.threads.append(threading.Thread(target=self._serve, args=(ours, carrier)))
        self.threads[-1].start()
        return theirs

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def _serve(self, sock, carrier):
        with sock:
            try:
                while not self.stopping and self._turn(sock, carrier):
                    pass
            except OSError:
                pass
        with self.lock:
            carrier.over()

    def _turn(self, sock, carrier):
        with self.lock:
            output = carrier.take_output()
        if output:
            sock.settimeout(5)
            sock.sendall(output)
        if carrier.closing:
            return False
        if not select.select([sock], [], [], 0.01)[0]:
            return True
        data = sock.recv(1 << 16)
        with self.lock:
            carrier.receive(data)
        return bool(data)


def monotonic_us():
    return time.monotonic_ns() // 1000
