"""Relay inbounds: everything goes to one fixed target."""

import socket

import pytest

from configs import inbound
from harness.client import receive_all
from harness.dnsserver import Answer
from harness.origin import echo, speak_first
from harness.pattern import receive_end, receive_pattern, send_pattern


def relay(port, host="127.0.0.1", **keys):
    return inbound("relay", target=f'"{host}:{port}"', **keys)


def test_a_relay_leads_to_its_target(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(relay(server.port))
    sock = dial(proxy.addr())
    send_pattern(sock, 200_000)
    receive_pattern(sock, 200_000)
    sock.shutdown(socket.SHUT_WR)
    receive_end(sock)
    record = proxy.wait_record(event="flow", end="closed")
    assert record["to"] == f"127.0.0.1:{server.port}"
    assert record["up"] == record["down"] == "200000"


def test_a_relay_to_a_target_that_speaks_first(sockeye, origin, dial):
    server = origin(speak_first(100_000))
    sock = dial(sockeye(relay(server.port)).addr())
    receive_pattern(sock, 100_000)
    receive_end(sock)


def test_a_relay_by_name_and_by_ipv6(sockeye, origin, dns, dial):
    server = origin(echo, "::1")
    names = dns({"target.test": Answer(aaaa=["::1"])})
    proxy = sockeye(relay(server.port, "target.test") + names.yaml)
    sock = dial(proxy.addr())
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)


def test_its_target_is_never_denied(sockeye, origin, dial):
    """The configuration names it: neither deny_targets nor an exposed listener's ban on loopback holds."""
    server = origin(echo)
    proxy = sockeye(relay(server.port, listen='"0.0.0.0:0"', allow='["*"]', deny_targets='["*"]'))
    sock = dial(("127.0.0.1", proxy.port))
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)


def test_acc_51_a_relay_whose_target_refuses_resets_its_client(sockeye, dial):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    proxy = sockeye(relay(port))
    with pytest.raises(ConnectionResetError):
        dial(proxy.addr()).recv(1)    # it may come before dialling is over
    proxy.wait_record(event="flow", end="refused")


def test_a_relay_keeps_to_its_clients(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(relay(server.port, allow='["127.0.0.2"]'))
    assert receive_all(dial(proxy.addr(), "127.0.0.3")) == b""
    sock = dial(proxy.addr(), "127.0.0.2")
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)
