"""Servers that behave as a test says: a handler for each connection, in a thread of its own."""

import queue
import socket
import struct
import threading

from harness.binary import SLOWNESS
from harness.pattern import receive_end, receive_pattern, send_pattern
from harness.wait import until


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Origin:
    """Listens on host and calls handler(connection) for each client.

    What a handler returns or raises is kept for result(). Connections that broke are part of many tests, so
    an OSError that nobody asks for is no failure; any other exception is, at the latest when close() is called.
    """

    def __init__(self, handler, host="127.0.0.1", port=0):
        self.handler = handler
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family, backlog=4096)
        self.addr = self.listener.getsockname()[:2]
        self.port = self.addr[1]
        self.clients = []
        self.results = queue.Queue()
        self._open = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://{self.addr[0]}:{self.port}/"

    @property
    def n_open(self):
        with self._lock:
            return len(self._open)

    def result(self, timeout=10):
        """What the next handler to end returned; raises what it raised."""
        value = self.results.get(timeout=timeout * SLOWNESS)
        if isinstance(value, BaseException):
            raise value
        return value

    def wait_for_clients(self, n):
        until(lambda: len(self.clients) >= n, f"{n} connections at the origin")

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self._lock:
            for conn in self._open:
                try:
                    conn.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        while not self.results.empty():
            value = self.results.get()
            if isinstance(value, BaseException) and not isinstance(value, OSError):
                raise value

    def _accept(self):
        while True:
            try:
                conn, peer = self.listener.accept()
            except OSError:
                return
            self.clients.append(peer[:2])
            conn.settimeout(60 * SLOWNESS)
            with self._lock:
                self._open.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        try:
            value = self.handler(conn)
        except BaseException as e:    # handed to the test, which runs in another thread
            value = e
        with self._lock:
            self._open.discard(conn)
        conn.close()
        self.results.put(value)


def echo(conn):
    """Sends back what comes, until the client's end; then closes."""
    while data := conn.recv(65536):
        conn.sendall(data)


def swallow(conn):
    """Reads to the end and says nothing."""
    n = 0
    while data := conn.recv(65536):
        n += len(data)
    return n


def send_until_stuck(conn):
    """Sends until nothing was taken for most of a second."""
    conn.settimeout(0.7)
    try:
        while True:
            conn.send(bytes(1 << 18))
    except TimeoutError:
        return


def speak_first(n, seed=0):
    """Sends n bytes at once, then closes."""
    def handler(conn):
        send_pattern(conn, n, seed)
    return handler


def answer_after_end(n_request, n_answer, seed=0):
    """Checks n_request bytes and the client's end, and only then answers."""
    def handler(conn):
        receive_pattern(conn, n_request, seed)
        receive_end(conn)
        send_pattern(conn, n_answer, seed + 1)
    return handler


def read_head(conn):
    """An HTTP head with its empty line."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = conn.recv(4096)
        if not data:
            break
        head += data
    return head


def http_page(body):
    """An HTTP server of one page."""
    def handler(conn):
        head = read_head(conn)
        if head:
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return head
    return handler
