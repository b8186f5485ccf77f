"""An HTTP/1.1 server that takes only what h11 takes, and answers as the path says."""

import hashlib
import threading

import h11

STRICT_VERSION = b"1.1"


class Web:
    """The handler of an Origin. Keeps each request: (method, target, headers, sha256 of the body, its length).

    /length/N and /chunked/N answer N bytes of a pattern, /close/N the same up to the connection's end, /last/N the
    same by length with Connection: close, /digest the request's body's digest, /early 413 before the body is read.
    """

    def __init__(self):
        self.requests = []
        self._lock = threading.Lock()

    def __call__(self, sock):
        conn = h11.Connection(h11.SERVER)
        while True:
            request = self._next(conn, sock)
            if not isinstance(request, h11.Request):
                return
            assert request.http_version == STRICT_VERSION
            if request.target == b"/early":
                self._keep(request, hashlib.sha256(), 0)
                sock.sendall(conn.send(h11.Response(status_code=413, headers=[("Content-Length", "5")])))
                sock.sendall(conn.send(h11.Data(data=b"large")) + conn.send(h11.EndOfMessage()))
                return
            digest, n = hashlib.sha256(), 0
            while True:
                if conn.they_are_waiting_for_100_continue:
                    sock.sendall(conn.send(h11.InformationalResponse(status_code=100, headers=[])))
                event = self._next(conn, sock)
                if isinstance(event, h11.EndOfMessage):
                    break
                assert isinstance(event, h11.Data), event
                digest.update(event.data)
                n += len(event.data)
            self._keep(request, digest, n)
            self._answer(conn, sock, request, digest)
            if conn.our_state is h11.MUST_CLOSE:
                return
            conn.start_next_cycle()

    def _next(self, conn, sock):
        while (event := conn.next_event()) is h11.NEED_DATA:
            conn.receive_data(sock.recv(65536))
        return event

    def _keep(self, request, digest, n):
        with self._lock:
            headers = {name.decode(): value.decode() for name, value in request.headers}
            self.requests.append((request.method.decode(), request.target.decode(), headers, digest.hexdigest(), n))

    def _answer(self, conn, sock, request, digest):
        kind, _, size = request.target.decode()[1:].partition("/")
        body = digest.hexdigest().encode() if kind == "digest" else body_of(int(size))
        headers = [("Server", "web")]
        if kind in ("length", "last", "digest"):
            headers.append(("Content-Length", str(len(body))))
        if kind == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        if kind in ("close", "last"):
            headers.append(("Connection", "close"))
        if kind == "close":
            sock.sendall(b"HTTP/1.0 200 OK\r\nServer: web\r\n\r\n" + (b"" if request.method == b"HEAD" else body))
            sock.shutdown(1)
            conn.send_failed()
            raise ConnectionResetError    # the way out of the handler: there is no next request
        sock.sendall(conn.send(h11.Response(status_code=200, headers=headers)))
        if request.method != b"HEAD":
            for at in range(0, len(body), 50_000):
                sock.sendall(conn.send(h11.Data(data=body[at:at + 50_000])))
        sock.sendall(conn.send(h11.EndOfMessage()))


def body_of(n):
    line = b"".join(b"%09d\n" % i for i in range(1000))
    return (line * (n // len(line) + 1))[:n]
