"""SOCKS and HTTP clients out of raw bytes, so that tests can send what no proper client would."""

import base64
import ipaddress
import socket
import struct
from collections import namedtuple

from harness.binary import SLOWNESS

Reply = namedtuple("Reply", "code host port")
HttpReply = namedtuple("HttpReply", "status headers body")

CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
NO_AUTH, GSSAPI, PASSWORD, NONE_ACCEPTED = 0, 1, 2, 255
SOCKS4_GRANTED, SOCKS4_REJECTED = 90, 91


def dial(addr, source=None, timeout=10):
    sock = socket.create_connection(addr, timeout=timeout * SLOWNESS, source_address=(source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive_exactly(sock, n):
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise EOFError(f"closed after {len(data)} of {n} bytes: {data!r}")
        data += part
    return data


def receive_all(sock):
    """Everything up to the end; a reset counts as an end too, for refusals that need not be gentle."""
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def socks5_address(host, port):
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        return b"\x03" + bytes([len(name)]) + name + struct.pack(">H", port)
    return (b"\x01" if ip.version == 4 else b"\x04") + ip.packed + struct.pack(">H", port)


def socks5_request(host, port, command=CONNECT):
    return bytes([5, command, 0]) + socks5_address(host, port)


def login_request(user, password):
    user, password = user.encode(), password.encode()
    return bytes([1, len(user)]) + user + bytes([len(password)]) + password


def receive_socks5_reply(sock):
    version, code, _, kind = receive_exactly(sock, 4)
    assert version == 5
    host = {1: lambda: socket.inet_ntop(socket.AF_INET, receive_exactly(sock, 4)),
            4: lambda: socket.inet_ntop(socket.AF_INET6, receive_exactly(sock, 16))}[kind]()
    return Reply(code, host, struct.unpack(">H", receive_exactly(sock, 2))[0])


def socks5_greet(sock, methods=(NO_AUTH,)):
    """Offers the methods and returns the one that was chosen."""
    sock.sendall(bytes([5, len(methods), *methods]))
    version, method = receive_exactly(sock, 2)
    assert version == 5
    return method


def socks5_login(sock, user, password):
    """RFC 1929; returns its status."""
    assert socks5_greet(sock, (PASSWORD,)) == PASSWORD
    sock.sendall(login_request(user, password))
    version, status = receive_exactly(sock, 2)
    assert version == 1
    return status


def socks5(sock, host, port, login=None, command=CONNECT):
    """The whole handshake; returns the Reply."""
    if login:
        assert socks5_login(sock, *login) == 0
    else:
        assert socks5_greet(sock) == NO_AUTH
    sock.sendall(socks5_request(host, port, command))
    return receive_socks5_reply(sock)


def socks5_at_once(sock, host, port):
    """The whole handshake in one segment, as cheap as it gets; returns the Reply."""
    sock.sendall(b"\x05\x01\x00" + socks5_request(host, port))
    assert receive_exactly(sock, 2) == b"\x05\x00"
    return receive_socks5_reply(sock)


def is_served(addr, host, port, source=None):
    """Whether a new client is given a flow to host and port now."""
    with dial(addr, source, timeout=2) as sock:
        try:
            return socks5_at_once(sock, host, port).code == 0
        except (EOFError, OSError):
            return False


def socks4_request(host, port, user=b"", command=CONNECT):
    """SOCKS4, or 4a where host is a name."""
    try:
        ip, name = ipaddress.IPv4Address(host).packed, b""
    except ValueError:
        ip, name = b"\0\0\0\1", host.encode() + b"\0"
    return struct.pack(">BBH", 4, command, port) + ip + user + b"\0" + name


def socks4(sock, host, port, user=b"", command=CONNECT):
    """Returns the reply's code, 90 or 91."""
    sock.sendall(socks4_request(host, port, user, command))
    reply = receive_exactly(sock, 8)
    assert reply[0] == 0
    return reply[1]


def authority(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connect_request(host, port, login=None):
    lines = [f"CONNECT {authority(host, port)} HTTP/1.1", f"Host: {authority(host, port)}"]
    if login:
        lines.append("Proxy-Authorization: Basic " + base64.b64encode(":".join(login).encode()).decode())
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def receive_http_reply(sock):
    """The head, and the body where Content-Length announces one (after a 200 to CONNECT there is none)."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += receive_exactly(sock, 1)
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    version, status = first.split(" ")[:2]
    assert version in ("HTTP/1.1", "HTTP/1.0")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b"" if status == "200" else receive_exactly(sock, int(headers.get("content-length", 0)))
    return HttpReply(int(status), headers, body.decode())


def http_connect(sock, host, port, login=None):
    sock.sendall(connect_request(host, port, login))
    return receive_http_reply(sock)


def open_flow(sock, protocol, host, port):
    """CONNECT in 'socks4', 'socks5' or 'http'; returns that protocol's code."""
    if protocol == "socks4":
        return socks4(sock, host, port)
    if protocol == "http":
        return http_connect(sock, host, port).status
    return socks5(sock, host, port).code


GRANTED = {"socks4": SOCKS4_GRANTED, "socks5": 0, "http": 200}
