"""A DNS server with scripted answers, over UDP and TCP on one port; it notes what it was asked."""

import socket
import struct
import threading
import time
from collections import namedtuple
from dataclasses import dataclass, field

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, A, DNSRecord

Query = namedtuple("Query", "name type transport time")


@dataclass
class Answer:
    """What a name gets. Without addresses and rcode: an answer without records (NODATA)."""
    a: list = field(default_factory=list)
    aaaa: list = field(default_factory=list)
    cname: str = ""
    ttl: int = 60
    rcode: str = "NOERROR"
    delay_s: float = 0        # before the answer to any type
    delay_aaaa_s: float = 0   # and this before AAAA
    silent: bool = False      # no answer at all
    truncated: bool = False   # over UDP: TC and no records
    tcp_bytewise: bool = False


class Turning:
    """Names that have one address for who asks first and another from then on."""

    def __init__(self, server):
        self.server = server

    def get(self, name, default):
        return Answer(a=["127.0.0.2" if len(self.server.asked(name, "A")) <= 1 else "127.0.0.1"], ttl=0)


class DnsServer:
    def __init__(self, names, host="127.0.0.1", port=0):
        self.names = dict(names)
        self.queries = []
        self.tcp = socket.create_server((host, port), family=socket.AF_INET, backlog=128)
        self.host, self.port = self.tcp.getsockname()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, self.port))
        for loop in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    @property
    def yaml(self):
        """The configuration's dns key for it."""
        return f'dns: {{servers: ["{self.host}:{self.port}"]}}'

    def asked(self, name, type=None, transport=None):
        return [q for q in self.queries if q.name == name and type in (None, q.type) and transport in (None, q.transport)]

    def close(self):
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()
        # A datagram of one byte wakes the thread, which then finds the socket shut.
        self._closed = True
        self.udp.sendto(b"\0", (self.host, self.port))

    _closed = False

    def _serve_udp(self):
        while True:
            data, peer = self.udp.recvfrom(4096)
            if self._closed:
                self.udp.close()
                return
            threading.Thread(target=self._answer_udp, args=(data, peer), daemon=True).start()

    def _serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._answer_tcp, args=(conn,), daemon=True).start()

    def _answer_udp(self, data, peer):
        wire, _ = self._answer(data, "udp")
        if wire:
            try:
                self.udp.sendto(wire, peer)
            except OSError:
                pass    # closed in the meantime

    def _answer_tcp(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with conn, conn.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                wire, answer = self._answer(stream.read(struct.unpack(">H", head)[0]), "tcp")
                if not wire:
                    continue
                wire = struct.pack(">H", len(wire)) + wire
                try:
                    for i in range(0, len(wire), 1 if answer.tcp_bytewise else len(wire)):
                        conn.sendall(wire[i:i + 1] if answer.tcp_bytewise else wire)
                        if answer.tcp_bytewise:
                            time.sleep(0.001)    # so that each byte is a segment of its own
                except OSError:
                    return

    def _answer(self, data, transport):
        query = DNSRecord.parse(data)
        name, type = str(query.q.qname).rstrip(".").lower(), QTYPE[query.q.qtype]
        self.queries.append(Query(name, type, transport, time.monotonic()))
        answer = self.names.get(name, Answer(rcode="NXDOMAIN"))
        time.sleep(answer.delay_s + (answer.delay_aaaa_s if type == "AAAA" else 0))
        if answer.silent:
            return None, answer
        reply = query.reply()
        reply.header.rcode = getattr(RCODE, answer.rcode)
        if answer.truncated and transport == "udp":
            reply.header.tc = 1
            return reply.pack(), answer
        owner = query.q.qname
        if answer.cname:
            reply.add_answer(RR(owner, QTYPE.CNAME, rdata=CNAME(answer.cname), ttl=answer.ttl))
            owner = answer.cname
            answer = self.names[answer.cname]
        if type == "A":
            for ip in answer.a:
                reply.add_answer(RR(owner, QTYPE.A, rdata=A(ip), ttl=answer.ttl))
        if type == "AAAA":
            for ip in answer.aaaa:
                reply.add_answer(RR(owner, QTYPE.AAAA, rdata=AAAA(ip), ttl=answer.ttl))
        return reply.pack(), answer
