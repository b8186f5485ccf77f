"""Messages, many of them damaged: what arrives behind us is what h11 reads out of what was sent, or less.

A server that h11 reads for must not see a request that h11 does not see where the client sent it, nor another body. A client must
not see another answer than the server's, nor a part of one for the whole. That we refuse more than h11 does is as it should be.
"""

import pathlib
import random
import re
import socket
import sys

import h11
import pytest

from configs import inbound
from harness.client import receive_all
from harness.origin import read_head

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "differential"))
import http1

# Bytes that h11 knows in no target, for those that it does: no length changes.
IN_ASCII = bytes(range(0x80)) + b"x" * 0x80


def first_request(data):
    """(method, target, body), and what follows it; None, None where it is not whole. Raises h11.RemoteProtocolError."""
    # A connection of its own: whether one is kept open is not what is compared.
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    peer.receive_data(data.removeprefix(b"\r\n"))
    request, body = None, b""
    while True:
        event = peer.next_event()
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return (request.method, request.target, body), peer.trailing_data[0]
        else:
            return None, None


class Server:
    """Answers what h11 reads, and keeps it."""

    def __init__(self):
        self.requests = []

    def __call__(self, conn):
        data = b""
        while part := conn.recv(65536):
            data += part.translate(IN_ASCII)
            while data:
                request, rest = first_request(data)
                if request is None:
                    break
                self.requests.append(request)
                data = rest
                is_to_head = request[0] == b"HEAD"
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if is_to_head else b"ok"))


def sent_to(prefix, stream):
    """The requests in what a client sends that are for this server, as it should get them."""
    out, data = [], stream.translate(IN_ASCII)
    while data:
        try:
            request, data = first_request(data)
        except h11.RemoteProtocolError:
            break
        if request is None:
            break
        method, target, body = request
        path = target.removeprefix(prefix)
        if path != target and path[:1] in (b"", b"/", b"?"):
            root = b"*" if method == b"OPTIONS" and not path else b"" if path[:1] == b"/" else b"/"
            out.append((method, root + path, body))
    return out


def made(rng, url, i, j):
    """The stream's jth message; it says which it is, and what of a body looks like a request says so too."""
    message = http1.made(rng, http1.REQUEST)
    head, end, rest = message.partition(b"\r\n\r\n")
    method, _, after = head.split(b" ", 2)
    return b"%s %s/%d/%d %s" % (method, url, i, j, after) + end + rest.replace(b"http://c/", url + b"/behind/")


def damaged(rng, message):
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        message = http1.damaged(rng, message)
    return message


def send_in_two_pieces(sock, stream, at):
    sock.sendall(stream[:at])
    try:
        sock.sendall(stream[at:])
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass    # it has been refused before it was through


@pytest.mark.parametrize("type", ["http", "mixed"])
def test_acc_74_a_server_sees_no_request_that_is_none(sockeye, origin, dial, type):
    proxy, rng = sockeye(inbound(type)), random.Random(7474)
    n_sent = n_seen = 0
    for i in range(300):
        server = Server()    # one for each, so that nothing comes late
        url = b"http://127.0.0.1:%d" % origin(server).port
        stream = b"".join(damaged(rng, made(rng, url, i, j)) for j in range(rng.randrange(1, 5)))
        sock = dial(proxy.addr())
        send_in_two_pieces(sock, stream, rng.randrange(len(stream) + 1))
        receive_all(sock)
        sock.close()
        seen, sent = list(server.requests), sent_to(url, stream)
        assert seen == sent[:len(seen)], f"stream {i}: {stream!r}"
        n_sent += len(sent)
        n_seen += len(seen)
    # Were all refused, this would say nothing.
    assert n_seen > n_sent / 3, f"{n_seen} of {n_sent}"


def answer_in(data, method):
    """(status, body, whether it is whole) of the final answer; None where h11 sees none."""
    peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    peer.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(data)
    peer.receive_data(b"")
    status, body = None, b""
    while True:
        try:
            event = peer.next_event()
        except h11.RemoteProtocolError:
            return status and (status, body, False)
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, body, True
        elif not isinstance(event, h11.InformationalResponse):
            return status and (status, body, False)


def is_read_alike(message):
    """h11 judges what stands in trailers and lengths in several spellings, which we send on as one, or not at all."""
    head, _, rest = message.partition(b"\r\n\r\n")
    is_framing = re.compile(rb"\n(content-length|transfer-encoding):", re.I)
    return not is_framing.search(b"\n" + rest) and len(is_framing.findall(head)) < 2


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_acc_74_a_client_sees_the_servers_answer_whole_or_sees_that_it_is_not(sockeye, origin, dial, method):
    proxy, rng = sockeye(inbound("http")), random.Random(4747)
    answers = {}

    def serve(conn):
        head = read_head(conn)
        conn.sendall(answers[int(head.split()[1][1:])])

    server = origin(serve)
    n_whole = n_refused = 0
    for i in range(300):
        answers[i] = damaged(rng, http1.made(rng, http1.RESPONSE))
        if not is_read_alike(answers[i]):
            continue
        sock = dial(proxy.addr())
        sock.sendall(b"%s http://127.0.0.1:%d/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (method, server.port, i))
        seen, sent = answer_in(receive_all(sock), method), answer_in(answers[i], method)
        sock.close()
        if seen is not None and seen[0] == 502:
            n_refused += 1
        elif seen is not None and seen[2]:
            assert seen == sent, f"answer {i}: {answers[i]!r}"
            n_whole += 1
    assert n_whole > 100 and n_refused > 20, (n_whole, n_refused)
