#!/usr/bin/python3
"""http1.py READER: our HTTP/1 beside h11 and http_parser (Node's, by python3-httptools).

Whatever we take as a message, they must take as the same one: method, target, fields, body, and where
it ends. And so must they take what we would send on. That we refuse more than they do is as it should
be. The messages are the fuzz corpora, and many that are made of the grammar and then damaged, the same
ones in every run.
"""
import collections
import copy
import json
import pathlib
import random
import re
import struct
import subprocess
import sys

import h11
import httptools

ROOT = pathlib.Path(__file__).resolve().parents[2]
N_MADE = 8000

REQUEST, RESPONSE, TO_HEAD = b"q", b"r", b"h"


# --- messages ---------------------------------------------------------------------------------

def corpus(name):
    return [path.read_bytes() for path in sorted((ROOT / "fuzz" / "corpus" / name).iterdir())]


def from_corpora():
    for message in corpus("http1"):
        yield REQUEST, message
    for message in corpus("http1_response"):
        yield RESPONSE, message
        yield TO_HEAD, message
    for body in corpus("http1_body"):
        yield REQUEST, b"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body[2:]
        yield RESPONSE, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body[2:]


METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"X-OWN"]
TARGETS = [b"http://a/", b"http://example.com", b"http://example.com:8080/a?b=c", b"http://[::1]/x",
           b"http://192.0.2.1?q", b"http://a/%20//b\xc3\xbc"]
FIELDS = [b"Host: a", b"Accept: */*", b"Connection: close", b"Connection: keep-alive, X-A", b"X-A: 1",
          b"Proxy-Connection: keep-alive", b"Proxy-Authorization: Basic YTpi", b"Keep-Alive: timeout=5",
          b"Expect: 100-continue", b"TE: trailers", b"Cookie: a=b; c=\xc3\xa9", b"X-Empty:", b"X-Tab:\ta\t",
          b"Upgrade: websocket\r\nConnection: Upgrade", b"Set-Cookie: a=b", b"Trailer: ETag", b"Via: 1.1 x"]
STATUSES = [b"200 OK", b"200", b"204 No Content", b"304 Not Modified", b"404 ", b"100 Continue",
            b"101 Switching Protocols", b"500 Caf\xe9", b"206 Partial Content", b"426 Upgrade Required"]
# What a message is damaged with.
BITS = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"\v", b":", b",", b";", b"_", b"\xff", b"0", b"5", b"-", b"+", b"\"",
        b"chunked", b"identity", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 6\r\n",
        b"Host: b\r\n", b"0\r\n\r\n", b"\r\n\r\n", b";ext=1", b"HTTP/1.0", b"#", b"@", b"GET http://b/ HTTP/1.1\r\n\r\n"]


def chunked(rng, body):
    out = b""
    while body:
        n = rng.randrange(1, len(body) + 1)
        size = b"%x" % n if rng.random() < 0.7 else b"%04X" % n
        out += size + rng.choice([b"", b"", b"", b";a=b", b";a=\"b\""]) + b"\r\n" + body[:n] + b"\r\n"
        body = body[n:]
    return out + b"0\r\n" + rng.choice([b"", b"", b"ETag: x\r\n", b"Content-Length: 9\r\nX-T: y\r\n"]) + b"\r\n"


def made(rng, kind):
    """A message as it should be, and mostly more behind it."""
    version = rng.choice([b"1.1"] * 5 + [b"1.0"])
    if kind == REQUEST:
        first = b"%s %s HTTP/%s" % (rng.choice(METHODS), rng.choice(TARGETS), version)
    else:
        first = b"HTTP/%s %s" % (version, rng.choice(STATUSES))
    fields = rng.sample(FIELDS[1:], rng.randrange(6))
    if kind == REQUEST:
        fields.insert(rng.randrange(len(fields) + 1), FIELDS[0])
    body = bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
    framing = rng.randrange(3)
    if framing == 0:
        fields.append(b"Content-Length: %d" % len(body))
    elif framing == 1 and version == b"1.1":
        fields.append(b"Transfer-Encoding: " + rng.choice([b"chunked", b"Chunked", b" chunked "]))
        body = chunked(rng, body)
    rng.shuffle(fields)
    head = b"\r\n".join([first] + fields) + b"\r\n\r\n"
    return head + body + rng.choice([b"", b"GET http://c/ HTTP/1.1\r\nHost: c\r\n\r\n"])


def damaged(rng, message):
    at = rng.randrange(len(message) + 1)
    match rng.randrange(5):
        case 0:
            return message[:at] + rng.choice(BITS) + message[at:]
        case 1:
            return message[:at] + message[at + rng.randrange(1, 5):]
        case 2:
            return message[:at] + bytes([rng.randrange(256)]) + message[at + 1:]
        case 3:
            lines = message.split(b"\r\n")
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            return b"\r\n".join(lines)
        case _:
            # Between lines, where a field may begin.
            at = rng.choice([match.end() for match in re.finditer(b"\r\n", message)] or [0])
            return message[:at] + rng.choice(BITS + FIELDS) + message[at:]


def all_messages():
    yield from from_corpora()
    rng = random.Random(74)
    for _ in range(N_MADE):
        kind = rng.choice([REQUEST, REQUEST, RESPONSE, RESPONSE, TO_HEAD])
        message = made(rng, kind)
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            message = damaged(rng, message)
        yield kind, message


# --- what came of them ------------------------------------------------------------------------

# What says how long a body is may be written in several ways that mean the same; the body itself is compared.
FRAMING = {b"content-length", b"transfer-encoding"}


class Message:
    def __init__(self, method=b"", target=b"", status=0, fields=(), body=b"", is_whole=False):
        self.method, self.target, self.status = method, target, status
        self.fields = [(name.lower(), value) for name, value in fields if name.lower() not in FRAMING]
        self.body, self.is_whole = body, is_whole

    def parts(self):
        return self.method, self.target, self.status, self.fields, self.body, self.is_whole

    def replaced(self, **parts):
        other = copy.copy(self)
        vars(other).update(parts)
        return other

    def __str__(self):
        return str(self.parts())


class Ours:
    """What the reader says of one message."""

    def __init__(self, line):
        said = json.loads(line)
        self.error = said.get("error")
        if self.error is not None:
            return
        hexed = lambda key, of=said: bytes.fromhex(of[key])
        fields = [(hexed("name", field), hexed("value", field)) for field in said["fields"]]
        self.message = Message(hexed("method"), hexed("target"), said["status"], fields, hexed("body"), said["is_whole"])
        self.written = hexed("written")
        self.n_lengths = sum(name.lower() == b"content-length" for name, _ in fields)
        self.minor, self.n_head, self.has_host = said["minor"], said["head"], said["has_host"]
        self.by_close, self.upgrades = said["by_close"], said["upgrades"]


def read_ours(reader, messages):
    frames = b"".join(kind + struct.pack("<I", len(message)) + message for kind, message in messages)
    run = subprocess.run([reader], input=frames, stdout=subprocess.PIPE, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == len(messages), f"{len(messages)} messages, {len(lines)} verdicts"
    return [Ours(line) for line in lines]


def read_by_h11(kind, message, at_end):
    """As h11 sees it. Raises h11.RemoteProtocolError."""
    if kind == REQUEST:
        peer = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    else:
        peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        method = b"HEAD" if kind == TO_HEAD else b"GET"
        peer.send(h11.Request(method=method, target=b"/", headers=[
            (b"Host", b"a"), (b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]))
        peer.send(h11.EndOfMessage())
    peer.receive_data(message)
    if at_end:
        peer.receive_data(b"")
    out, body = None, b""
    while True:
        event = peer.next_event()
        if isinstance(event, h11.Request):
            out = Message(event.method, event.target, 0, event.headers)
        elif isinstance(event, (h11.Response, h11.InformationalResponse)):
            out = Message(b"", b"", event.status_code, event.headers)
            if event.status_code < 200:
                out.is_whole = True
                return out
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            out.body = body
            out.is_whole = isinstance(event, h11.EndOfMessage)
            return out


class Events:
    """What http_parser calls back."""

    def __init__(self):
        self.target, self.fields, self.body = b"", [], b""
        self.is_in_trailers, self.is_whole = False, False

    def on_url(self, url):
        self.target += url

    def on_header(self, name, value):
        if not self.is_in_trailers:
            self.fields.append((name, (value or b"").rstrip(b" \t")))

    def on_headers_complete(self):
        self.is_in_trailers = True

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.is_whole = True


def read_by_http_parser(kind, message, at_end):
    """As http_parser sees it. Raises httptools.HttpParserError."""
    events = Events()
    parser = (httptools.HttpRequestParser if kind == REQUEST else httptools.HttpResponseParser)(events)
    # Byte by byte, to stop in time before what follows the message.
    for i in range(len(message)):
        try:
            parser.feed_data(message[i:i + 1])
        except httptools.HttpParserUpgrade:
            break
        if events.is_whole:
            break
    if at_end:
        parser.feed_data(b"")
    method = parser.get_method() if kind == REQUEST else b""
    status = parser.get_status_code() if kind != REQUEST else 0
    return Message(method, events.target, status, events.fields, events.body, events.is_whole)


# --- comparing --------------------------------------------------------------------------------

# All methods are alike to us; http_parser knows some, and no others.
KNOWN_METHODS = {method for method in METHODS if b"X-" not in method}
# Both read in trailers what says how long a body is. We send none of it on.
FRAMING_IN_TRAILERS = re.compile(rb"\n(content-length|transfer-encoding):", re.I)
# http_parser takes a name that only begins like this one for it, at times.
NEARLY_TRANSFER_ENCODING = re.compile(rb"\ntransfer-encoding[^:\r\n]+:", re.I)


class Tally:
    def __init__(self):
        self.counts, self.faults = collections.Counter(), []

    def compare(self, what, message, ours, read):
        self.counts[what] += 1
        try:
            theirs = read(message)
        except (h11.RemoteProtocolError, httptools.HttpParserError) as error:
            self.fault(what + " refuses what we take", message, ours, repr(error))
            return
        if theirs.parts() != ours.parts():
            self.fault(what + " sees another message", message, ours, theirs)

    def fault(self, what, message, ours, theirs):
        self.faults.append(f"{what}\n    message {message!r}\n    ours    {ours}\n    theirs  {theirs}")


def with_target_in_ascii(message, said):
    """Neither h11 nor http_parser has room for bytes from 0x80 in a target: other bytes take their place."""
    target = bytes(c if c < 0x80 else ord("x") for c in said.target)
    start = message.index(b" ") + 1
    return message[:start] + target + message[start + len(target):], said.replaced(target=target)


def compare_with_h11(tally, kind, message, ours, said):
    if kind == REQUEST and ours.minor > 0 and not ours.has_host:
        return  # refused where the target is read, if it is for a proxy at all
    tally.compare("h11", message, said, lambda bytes_: read_by_h11(kind, bytes_, ours.by_close))


def compare_with_http_parser(tally, kind, message, ours, said):
    """Not where it leaves it to its user whether there is a body."""
    if kind == TO_HEAD or said.status in (204, 304) or 100 <= said.status < 200:
        return
    # It sees no body behind an Upgrade, so we send none on with one.
    if (said.body or not said.is_whole) and any(name == b"upgrade" for name, _ in said.fields):
        return
    if NEARLY_TRANSFER_ENCODING.search(message):
        return
    if kind == REQUEST and said.method not in KNOWN_METHODS:
        message, said = b"POST" + message[len(said.method):], said.replaced(method=b"POST")
    tally.compare("http_parser", message, said, lambda bytes_: read_by_http_parser(kind, bytes_, ours.by_close))


def compare_with_peers(tally, kind, message, ours):
    if ours.n_lengths > 1 or FRAMING_IN_TRAILERS.search(message, ours.n_head - 1):
        return  # a length may be repeated in several spellings, which we send on as one
    message, said = message.removeprefix(b"\r\n"), ours.message
    if kind == REQUEST:
        message, said = with_target_in_ascii(message, said)
    compare_with_h11(tally, kind, message, ours, said)
    # It judges the targets of requests too: only of those that are to go on.
    if kind != REQUEST or ours.written:
        compare_with_http_parser(tally, kind, message, ours, said)


def check_written(tally, kind, ours, written):
    """What is sent on says the same as what came, and nothing of what was for us."""
    tally.counts["sent on"] += 1
    if written.error is not None:
        tally.fault("we refuse what we sent on", ours.written, ours.message, written.error)
        return
    if written.message.body != ours.message.body or written.message.is_whole != ours.message.is_whole:
        tally.fault("another body was sent on", ours.written, ours.message, written.message)
    if any(name.startswith(b"proxy-") for name, _ in written.message.fields):
        tally.fault("what is for a proxy was sent on", ours.written, ours.message, written.message)
    # A request in origin form has nowhere to go on to; to the peers it is one like others.
    written.written = ours.written
    compare_with_peers(tally, kind, ours.written, written)


def judge(tally, reader, messages):
    taken = []
    for (kind, message), ours in zip(messages, read_ours(reader, messages)):
        if ours.error is not None:
            tally.counts["refused"] += 1
            continue
        tally.counts["taken"] += 1
        compare_with_peers(tally, kind, message, ours)
        if ours.written:
            taken.append((kind, ours))
    for (kind, ours), written in zip(taken, read_ours(reader, [(kind, ours.written) for kind, ours in taken])):
        check_written(tally, kind, ours, written)


def main():
    messages = list(all_messages())
    tally = Tally()
    judge(tally, sys.argv[1], messages)
    for fault in tally.faults[:20]:
        print(fault)
    print(len(messages), "messages:", ", ".join(f"{n} {what}" for what, n in sorted(tally.counts.items())))
    # Were most of them refused, the rest would say little.
    is_telling = tally.counts["taken"] >= N_MADE // 3 and tally.counts["refused"] >= N_MADE // 3
    print(len(tally.faults), "faults" if is_telling else "faults, but too few messages of one kind")
    return 0 if is_telling and not tally.faults else 1


if __name__ == "__main__":
    sys.exit(main())
