"""BIND: one connection is awaited from the peer that the client names, and from nobody else."""

import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from configs import inbound
from harness import network
from harness.binary import SLOWNESS
from harness.client import (BIND, SOCKS4_GRANTED, SOCKS4_REJECTED, dial as open_client, receive_all, receive_exactly,
                            receive_socks5_reply, socks4, socks5)
from harness.dnsserver import Answer
from harness.pattern import receive_end, receive_pattern, send_pattern
from harness.wait import until

ON = "{enabled: true}"


def listening_ports():
    """Of this network, all that listen by IPv4."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(line.split()[1].split(":")[1], 16) for line in lines if line.split()[3] == "0A"}


def bind_for(sock, peer, port=0):
    """Asks for a connection from the peer; returns where it shall connect to."""
    reply = socks5(sock, peer, port, command=BIND)
    assert reply.code == 0
    assert reply.port != 0
    return reply.host, reply.port


def exchange(client, peer):
    send_pattern(client, 100_000, 1)
    receive_pattern(peer, 100_000, 1)
    client.shutdown(socket.SHUT_WR)
    receive_end(peer)
    send_pattern(peer, 100_000, 2)
    peer.close()
    receive_pattern(client, 100_000, 2)
    receive_end(client)


@pytest.mark.parametrize("type", ["socks", "mixed"])
def test_acc_60_bind_answers_twice_and_relays(sockeye, dial, type):
    proxy = sockeye(inbound(type, bind=ON))
    client = dial(proxy.addr())
    where = bind_for(client, "127.0.0.2")
    assert where[0] == "127.0.0.1"    # by which the client has reached the proxy
    peer = dial(where, "127.0.0.2")
    second = receive_socks5_reply(client)
    assert second.code == 0
    assert (second.host, second.port) == peer.getsockname()
    exchange(client, peer)
    record = proxy.wait_record(event="flow", end="closed")
    assert record["addr"] == "%s:%d" % (second.host, second.port)
    assert record["up"] == record["down"] == "100000"


def test_acc_60_bind_of_socks4_answers_twice(sockeye, dial):
    proxy = sockeye(inbound(bind=ON))
    client = dial(proxy.addr())
    client.sendall(b"\x04\x02\x00\x00" + socket.inet_aton("127.0.0.2") + b"\0")
    first = receive_exactly(client, 8)
    assert first[1] == SOCKS4_GRANTED
    port = int.from_bytes(first[2:4], "big")
    peer = dial(("127.0.0.1", port), "127.0.0.2")
    second = receive_exactly(client, 8)
    assert second[1] == SOCKS4_GRANTED
    assert socket.inet_ntoa(second[4:8]) == "127.0.0.2"
    exchange(client, peer)


def test_acc_60_bind_by_ipv6(sockeye, dial):
    proxy = sockeye(inbound(listen='"[::1]:0"', bind=ON))
    client = dial(proxy.addr())
    where = bind_for(client, "::1")
    assert where[0] == "::1"
    peer = dial(where)
    assert receive_socks5_reply(client).host == "::1"
    exchange(client, peer)


def test_acc_60_bind_takes_the_named_peer_only(sockeye, dial):
    proxy = sockeye(inbound(bind=ON))
    client = dial(proxy.addr())
    where = bind_for(client, "127.0.0.2", 4711)    # the port is not what it will come from
    for _ in range(3):
        assert receive_all(dial(where, "127.0.0.3")) == b""
    peer = dial(where, "127.0.0.2")
    assert receive_socks5_reply(client).host == "127.0.0.2"
    exchange(client, peer)


def test_bind_takes_anyone_where_no_peer_is_named(sockeye, dial):
    proxy = sockeye(inbound(bind=ON))
    client = dial(proxy.addr())
    peer = dial(bind_for(client, "0.0.0.0"), "127.0.0.9")
    assert receive_socks5_reply(client).host == "127.0.0.9"
    exchange(client, peer)


def test_bind_takes_one_connection_only(sockeye, dial):
    proxy = sockeye(inbound(bind=ON))
    client = dial(proxy.addr())
    where = bind_for(client, "127.0.0.2")
    dial(where, "127.0.0.2")
    receive_socks5_reply(client)
    assert where[1] not in listening_ports()


def test_bind_for_a_peer_by_name(sockeye, dial, dns):
    names = dns({"peer.test": Answer(a=["127.0.0.4", "127.0.0.5"])})
    proxy = sockeye(inbound(bind=ON) + names.yaml)
    client = dial(proxy.addr())
    where = bind_for(client, "peer.test")
    assert receive_all(dial(where, "127.0.0.6")) == b""
    peer = dial(where, "127.0.0.5")
    assert receive_socks5_reply(client).host == "127.0.0.5"
    exchange(client, peer)


def test_acc_51_bind_for_a_name_that_does_not_resolve(sockeye, dial, dns):
    names = dns({})
    proxy = sockeye(inbound(bind=ON) + names.yaml)
    assert socks5(dial(proxy.addr()), "nobody.test", 0, command=BIND).code == 4


@pytest.mark.parametrize("keys", [{}, {"bind": "{enabled: false}"}])
def test_acc_51_bind_that_is_off_is_an_unknown_command(sockeye, dial, keys):
    proxy = sockeye(inbound(**keys))
    assert socks5(dial(proxy.addr()), "127.0.0.1", 0, command=BIND).code == 7
    assert socks4(dial(proxy.addr()), "127.0.0.1", 0, command=BIND) == SOCKS4_REJECTED


def test_bind_for_a_denied_peer(sockeye, dial):
    proxy = sockeye(inbound(bind=ON, deny_targets='["127.0.0.2"]'))
    assert socks5(dial(proxy.addr()), "127.0.0.2", 0, command=BIND).code == 2
    client = dial(proxy.addr())
    where = bind_for(client, "0.0.0.0")
    assert receive_all(dial(where, "127.0.0.2")) == b""    # the rules hold for whoever comes, too
    dial(where, "127.0.0.3")
    assert receive_socks5_reply(client).host == "127.0.0.3"


def test_bind_keeps_to_its_ports_and_tells_the_advertised_address(sockeye, dial):
    proxy = sockeye(inbound(bind='{enabled: true, ports: "40000-40001", advertise: 192.0.2.1}'))
    ports = set()
    for _ in range(2):
        host, port = bind_for(dial(proxy.addr()), "127.0.0.2")
        assert host == "192.0.2.1"
        ports.add(port)
    assert ports == {40000, 40001}
    assert socks5(dial(proxy.addr()), "127.0.0.2", 0, command=BIND).code == 1    # all are taken


def test_an_address_of_the_other_family_is_not_advertised(sockeye, dial):
    proxy = sockeye(inbound(listen='"[::1]:0"', bind="{enabled: true, advertise: 192.0.2.1}"))
    client = dial(proxy.addr())
    dial(bind_for(client, "::1"))
    assert receive_socks5_reply(client).host == "::1"


def test_what_begins_with_a_zero_is_not_anyone(sockeye, dial):
    proxy = sockeye(inbound(bind=ON))
    assert socks5(dial(proxy.addr()), "0.0.0.1", 0, command=BIND).code == 2


def test_a_client_that_leaves_frees_the_port(sockeye):
    proxy = sockeye(inbound(bind=ON))
    client = open_client(proxy.addr())
    _, port = bind_for(client, "127.0.0.2")
    assert port in listening_ports()
    client.close()
    until(lambda: port not in listening_ports(), "the port to be free again")
    proxy.wait_record(event="flow", end="reset")


FTP = """
listen=YES
listen_address=127.0.0.1
listen_port=%(port)d
anonymous_enable=YES
anon_root=%(root)s
no_anon_password=YES
port_enable=YES
connect_from_port_20=NO
secure_chroot_dir=%(empty)s
seccomp_sandbox=NO
xferlog_enable=NO
one_process_model=NO
background=NO
"""

SOCKSIFY = """
route {
    from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = %d
    protocol: tcp
    command: bind connect
    proxyprotocol: socks_v5
    method: none
}
"""


def test_acc_60_an_active_ftp_transfer(sockeye, spawn, place):
    """vsftpd connects back to where curl, by way of dante's client, has it told to: BIND's address."""
    network.need_root()
    proxy = sockeye(inbound(bind=ON))
    root, empty = place / "ftp", place / "empty"
    root.mkdir()
    empty.mkdir()
    content = os.urandom(3_000_000)
    (root / "file").write_bytes(content)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (place / "vsftpd.conf").write_text(FTP % {"port": port, "root": root, "empty": empty})
    (place / "socks.conf").write_text(SOCKSIFY % proxy.port)
    spawn([shutil.which("vsftpd", path="/usr/sbin:/usr/bin"), place / "vsftpd.conf"])
    until(lambda: port in listening_ports(), "vsftpd")
    done = subprocess.run(["socksify", "curl", "--silent", "--show-error", "--ftp-port", "-", "--disable-eprt",
                           "--max-time", str(20 * SLOWNESS), f"ftp://127.0.0.1:{port}/file"],
                          capture_output=True, env={**os.environ, "SOCKS_CONF": str(place / "socks.conf")})
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == content
    data = proxy.wait_record(event="flow", to="0.0.0.0:0", end="closed")
    assert data["down"] == str(len(content))
