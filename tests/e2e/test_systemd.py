"""What a service manager is told, and the sockets it hands over. The manager is the test."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import struct
import time

import pytest

from configs import inbound
from harness import network
from harness.binary import SLOWNESS
from harness.client import is_served, receive_exactly, socks5
from harness.origin import echo
from harness.program import no_leak_check
from harness.services import free_port
from test_reload import MADE, REFUSED, assert_echoes, listening_at, reload, rewrite    # noqa: F401
from test_unix import dial_unix    # noqa: F401

# Notifications


class Manager:
    """Listens as systemd would."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(name)
        self.sock.settimeout(10 * SLOWNESS)
        self.env = {"NOTIFY_SOCKET": name.replace("\0", "@")}

    def receive(self):
        """The next message as a dict, and who sent it."""
        data, ancillary, _, _ = self.sock.recvmsg(4096, 256)
        pid = struct.unpack("iii", ancillary[0][2])[0]
        return dict(line.split("=", 1) for line in data.decode().splitlines()), pid

    def expect(self, **fields):
        message, _ = self.receive()
        assert fields.items() <= message.items(), message
        return message


@pytest.fixture(params=["path", "abstract"])
def manager(request, place):
    manager = Manager(str(place / "notify") if request.param == "path" else f"\0sockeye-test-{os.getpid()}-{time.time_ns()}")
    yield manager
    manager.sock.close()


def test_the_manager_is_told_of_start_reload_refusal_and_end(sockeye, manager, reload):    # noqa: F811
    proxy = sockeye(inbound(), env=manager.env)
    message, pid = manager.receive()
    assert message["READY"] == "1" and "1 inbounds" in message["STATUS"] and pid == proxy.pid
    for config, outcome in ((inbound(name="other"), MADE), ("nonsense", REFUSED)):
        before_us = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        reload(proxy, config, outcome)
        message = manager.expect(RELOADING="1")
        assert before_us <= int(message["MONOTONIC_USEC"]) <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        message = manager.expect(READY="1")
        assert re.match("Reloaded; " if outcome == MADE else "Reload refused: .*config-0.yaml:", message["STATUS"])
    proxy.send_signal(signal.SIGTERM)
    manager.expect(STOPPING="1")
    assert proxy.wait() == 0


def test_readiness_is_told_after_root_was_given_up_and_when_clients_can_come(sockeye, manager, origin):
    network.need_root()
    server = origin(echo)
    proxy = sockeye(inbound() + "user: nobody\n", env={**manager.env, **no_leak_check()})
    manager.expect(READY="1")
    assert is_served(proxy.addr(), *server.addr)


@contextlib.contextmanager
def stopped(thread):
    """As a debugger stops one thread."""
    attach, detach, any_kind = 16, 17, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.ptrace(attach, thread, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(thread, any_kind)
    try:
        yield
    finally:
        libc.ptrace(detach, thread, None, None)


@pytest.mark.workers
def test_the_watchdog_is_fed_while_all_loops_turn_and_starves_when_they_do_not(sockeye, manager):
    began = time.monotonic()    # of what came when, a busy machine tells us too late
    proxy = sockeye(inbound(), env={**manager.env, "WATCHDOG_USEC": "400000"})
    manager.expect(READY="1")
    for _ in range(11):
        manager.expect(WATCHDOG="1")
    assert time.monotonic() - began > 10 * 0.15, "twice in each interval"
    # One worker's thread alone stands still.
    worker = max(int(task) for task in os.listdir(f"/proc/{proxy.pid}/task")
                 if pathlib.Path(f"/proc/{proxy.pid}/task/{task}/comm").read_text() == "sockeye\n" and int(task) != proxy.pid)
    with stopped(worker):
        manager.sock.settimeout(1 * SLOWNESS)
        with pytest.raises(TimeoutError):
            for _ in range(30):    # what was under way while we were not looking
                manager.expect(WATCHDOG="1")
    manager.sock.settimeout(10 * SLOWNESS)
    manager.expect(WATCHDOG="1")


@pytest.mark.workers
def test_pings_under_way_at_the_end_reach_nobody_who_is_gone(sockeye, manager):
    for _ in range(10):
        proxy = sockeye(inbound(), env={**manager.env, "WATCHDOG_USEC": "2000"})
        with contextlib.suppress(TimeoutError):
            while manager.receive()[0].get("WATCHDOG") != "1":
                pass
        proxy.stop()


def test_the_watchdog_of_another_process_is_not_ours(sockeye, manager):
    sockeye(inbound(), env={**manager.env, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    manager.expect(READY="1")
    manager.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        manager.receive()


@pytest.mark.parametrize("name", ["/no/such/socket", "nonsense", "@", "/" + 200 * "x"])
def test_a_manager_that_cannot_be_told_is_no_reason_not_to_start(sockeye, origin, name):
    server = origin(echo)
    proxy = sockeye(inbound(), env={"NOTIFY_SOCKET": name})
    assert re.search(r"^sockeye: warning: cannot notify", proxy.text, re.M)
    assert is_served(proxy.addr(), *server.addr)


def test_a_manager_that_does_not_read_keeps_nobody_waiting(sockeye, origin, manager, dial, reload):    # noqa: F811
    """Its queue is full of what others have said."""
    server = origin(echo)
    proxy = sockeye(inbound(), env=manager.env)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        filler.connect(manager.env["NOTIFY_SOCKET"].replace("@", "\0"))
        try:
            while True:
                filler.send(b"X=1")
        except BlockingIOError:
            pass
        sock = dial(proxy.addr())
        assert socks5(sock, *server.addr).code == 0
        reload(proxy, inbound(name="other"))
        assert_echoes(sock)
    # And is told at last: whoever asked for the reload waits for it.
    while (message := manager.receive()[0]) == {"X": "1"} or "Running" in message.get("STATUS", ""):
        pass
    assert message["READY"] == "1" and message["STATUS"].startswith("Reloaded")


# Socket activation

def activated(*socks, names="", pid="self"):
    """A prefix that hands sockets over as descriptors 3, 4..., in the process that becomes the program."""
    script = (f"import os, sys\n"
              f"fds = {[sock.fileno() for sock in socks]!r}\n"
              f"high = [os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]\n"
              f"[os.dup2(fd, 3 + i) for i, fd in enumerate(high)]\n"
              f"os.closerange(3 + len(fds), 256)\n"
              f"os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES={names!r},"
              f" LISTEN_PID={'str(os.getpid())' if pid == 'self' else repr(pid)})\n"
              f"os.execvp(sys.argv[1], sys.argv[1:])\n")
    for sock in socks:
        os.set_inheritable(sock.fileno(), True)
    return {"prefix": ["/usr/bin/python3", "-c", script], "pass_fds": [sock.fileno() for sock in socks]}


def listening_socket(host="127.0.0.1", port=0, dual=False):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
    sock.bind((host, port))
    sock.listen()
    return sock


@pytest.fixture
def given(clients):
    """Sockets that the manager has opened."""
    def make(*args, **options):
        clients.append(listening_socket(*args, **options))
        return clients[-1]
    return make


@pytest.mark.workers
def test_sockets_are_told_apart_by_address_and_every_worker_serves_them(sockeye, origin, given, cli, place):
    server, first, second = origin(echo), given(), given()
    ports = [sock.getsockname()[1] for sock in (first, second)]
    proxy = sockeye(listening_at(ports[0], name="one") + f'  - {{type: socks, name: two, listen: "127.0.0.1:{ports[1]}"}}\n'
                    + f"admin: {{socket: {place}/admin}}\n", **activated(second, first, names="wrong:names"))
    for _ in range(40):
        for port in ports:
            assert is_served(("127.0.0.1", port), *server.addr)
    lines = proxy.wait_record(80, event="flow")
    assert sorted(line["in"] for line in lines) == ["one"] * 40 + ["two"] * 40
    workers = json.loads(cli("status", "--json", "--socket", place / "admin").out)["workers"]
    assert sum(worker["flows_total"] for worker in workers) == 80


def test_what_waited_before_the_start_is_served(sockeye, origin, given, dial):
    server, sock = origin(echo), given()
    waiting = dial(sock.getsockname())
    waiting.sendall(b"\x05\x01\x00")
    sockeye(listening_at(sock.getsockname()[1]), **activated(sock))
    assert receive_exactly(waiting, 2) == b"\x05\x00"


@pytest.mark.workers
def test_one_dual_socket_serves_both_families(sockeye, origin, given):
    server, sock = origin(echo), given("::", dual=True)
    port = sock.getsockname()[1]
    proxy = sockeye(inbound(listen=f'"*:{port}"', allow='["127.0.0.0/8", "::1"]', allow_targets='["127.0.0.0/8"]'), **activated(sock))
    assert {(listener.host, listener.port) for listener in proxy.listeners} == {("0.0.0.0", port), ("::", port)}
    for host in ("127.0.0.1", "::1"):
        assert is_served((host, port), *server.addr)


def test_a_dual_socket_for_ipv6_alone_is_warned_of(sockeye, given):
    sock = given("::", dual=True)
    proxy = sockeye(inbound(listen=f'"[::]:{sock.getsockname()[1]}"', allow='["::1"]'), **activated(sock))
    assert re.search(r"warning: the socket for \[::\]:\d+ .*takes in IPv4 too", proxy.text)


@pytest.mark.workers
def test_a_unix_socket_may_be_given_and_is_not_removed(sockeye, origin, place, clients, dial_unix):    # noqa: F811
    server, sock, path = origin(echo), socket.socket(socket.AF_UNIX), place / "given"
    clients.append(sock)
    sock.bind(str(path))
    path.chmod(0o666)
    sock.listen()
    proxy = sockeye(inbound(listen=f'"unix:{path}"'), **activated(sock))
    for _ in range(8):
        assert socks5(dial_unix(path), *server.addr).code == 0
    assert path.stat().st_mode & 0o777 == 0o666
    proxy.stop()
    assert path.exists()


def test_sockets_that_nobody_listens_on_are_closed_with_a_warning(sockeye, given, clients):
    wanted, unwanted = given(), given()
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    clients.append(datagram)
    proxy = sockeye(listening_at(wanted.getsockname()[1]), **activated(unwanted, datagram, wanted))
    assert re.search(rf"warning: no inbound listens on 127\.0\.0\.1:{unwanted.getsockname()[1]}", proxy.text)
    assert re.search(r"warning: descriptor 4, .* no stream socket", proxy.text)
    inodes = {os.readlink(f"/proc/{proxy.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{proxy.pid}/fd")}
    for sock, is_kept in ((wanted, True), (unwanted, False), (datagram, False)):
        assert (f"socket:[{os.fstat(sock.fileno()).st_ino}]" in inodes) == is_kept


def test_sockets_for_another_process_are_not_taken(sockeye, given):
    sock = given()
    proxy = sockeye(inbound(), **activated(sock, pid="1"))
    assert "warning" not in proxy.text
    assert proxy.port != sock.getsockname()[1]


@pytest.mark.workers
def test_acc_62_a_given_socket_is_kept_by_reload(sockeye, origin, given, dial, reload):    # noqa: F811
    server, sock = origin(echo), given()
    port = sock.getsockname()[1]
    proxy = sockeye(listening_at(port), **activated(sock))
    talk = dial(("127.0.0.1", port))
    assert socks5(talk, *server.addr).code == 0
    reload(proxy, listening_at(port, name="renamed"))
    assert_echoes(talk)
    assert is_served(("127.0.0.1", port), *server.addr)
    other = free_port()
    reload(proxy, listening_at(other))
    assert_echoes(talk)
    assert is_served(("127.0.0.1", other), *server.addr)
