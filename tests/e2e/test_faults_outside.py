"""What the machine may do to the program: too few descriptors, a log that blocks, pipes that are refused, stray signals."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from configs import inbound
from harness import network, proc
from harness.binary import SANITIZER, SLOWNESS
from harness.client import is_served, receive_exactly, socks5, socks5_greet, socks5_request
from harness.origin import echo, speak_first
from harness.pattern import receive_end, receive_pattern, send_pattern
from harness.program import no_leak_check
from harness.sandbox import NOBODY, as_user, with_descriptors
from harness.wait import until

MB = 1 << 20


def lines_about_descriptors(proxy):
    return [r for r in proxy.log if r["level"] in ("warn", "error") and re.search("descriptor|open files", r["text"])]


@pytest.mark.workers
def test_acc_66_out_of_descriptors_no_spin_and_service_again_as_soon_as_there_is_room(sockeye, origin, dial):
    proxy, server = sockeye(inbound() + "limits: {handshake_ms: 60000}", prefix=with_descriptors(80)), origin(echo)
    warnings_at_start = len(lines_about_descriptors(proxy))
    served, waiting = [], []
    # More clients than there are descriptors; those that fit get a flow, the others wait in the kernel or are turned away.
    for _ in range(120):
        sock = dial(proxy.addr())
        sock.settimeout(3 * SLOWNESS if not waiting else 0.01)
        try:
            sock.sendall(b"\x05\x01\x00" + socks5_request(*server.addr))
            if receive_exactly(sock, 12)[3] == 0:
                sock.settimeout(10 * SLOWNESS)
                served.append(sock)
        except TimeoutError:
            waiting.append(sock)
        except (EOFError, OSError):
            pass
    assert 10 <= len(served) <= 40
    for i, sock in enumerate(served):
        send_pattern(sock, 1000, seed=i)
        receive_pattern(sock, 1000, seed=i)
    cpu = proc.cpu_s(proxy.pid)
    time.sleep(1)    # the time over which its CPU is counted
    assert proc.cpu_s(proxy.pid) - cpu < 0.1 * SLOWNESS
    until(lambda: len(lines_about_descriptors(proxy)) > warnings_at_start, "a line that says what ran out")
    assert len(lines_about_descriptors(proxy)) - warnings_at_start <= 8, "the limit is said once, not for each connection"
    for sock in served + waiting:
        sock.close()

    until(lambda: is_served(proxy.addr(), *server.addr), "service again")


def test_acc_66_who_waited_is_served_when_another_one_leaves(sockeye, origin, dial):
    proxy, server = sockeye(inbound() + "limits: {handshake_ms: 60000}", prefix=with_descriptors(64)), origin(echo)
    holders = [dial(proxy.addr()) for _ in range(200)]
    until(lambda: lines_about_descriptors(proxy), "descriptors to run out")
    for sock in holders:
        sock.close()
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr).code == 0


def test_acc_71_the_soft_limit_is_raised(sockeye):
    proxy = sockeye(inbound(), prefix=with_descriptors(256, 4096))
    assert proc.soft_limit_of_descriptors(proxy.pid) == 4096


def test_acc_71_a_low_hard_limit_is_warned_of_with_the_connections_it_allows(sockeye):
    proxy = sockeye(inbound(), prefix=with_descriptors(200, 200))
    warning = proxy.wait_record(level="warn")["text"]
    assert any(50 <= int(n) <= 100 for n in re.findall(r"(\d+) connections", warning)), warning


def test_acc_71_no_warning_where_there_is_no_need(sockeye):
    proxy = sockeye(inbound(), prefix=with_descriptors(1024, 16384))
    proxy.stop()
    assert not [r for r in proxy.log if r["level"] in ("warn", "error") and "descriptor" in r["text"]]


@pytest.mark.workers
def test_acc_67_a_log_that_blocks_stops_no_worker_and_what_was_dropped_is_said(sockeye, origin, dial):
    """stderr is a pipe that nobody reads: 4 KiB of room against megabytes of lines."""
    proxy, server = sockeye(inbound() + "log: {level: trace}"), origin(speak_first(1000))
    fcntl.fcntl(proxy.process.stderr.fileno(), fcntl.F_SETPIPE_SZ, 4096)
    proxy.stop_reading()

    def session():
        sock = dial(proxy.addr())
        assert socks5(sock, *server.addr).code == 0
        receive_pattern(sock, 1000)
        receive_end(sock)
        sock.close()
    for _ in range(2000):
        session()
    proxy.read_on()

    def dropped():
        session()    # a line to follow the gap
        return any(re.search(r"drop|lost", r["text"]) and re.search(r"\d+", r["text"]) for r in proxy.log if r["event"] != "flow")
    until(dropped, "the line that counts what was dropped")


def test_acc_67_a_log_whose_reader_is_gone_stops_nothing(sockeye, origin, dial):
    """EPIPE and SIGPIPE on stderr."""
    proxy, server = sockeye(inbound(), expect_clean=False), origin(echo)
    proxy.stop_reading()
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr).code == 0
    sock.close()
    proxy.wait_record(event="flow")    # the reader's last read is over
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, proxy.process.stderr.fileno())    # closes the pipe's only reading end
    os.close(null)
    for _ in range(20):
        sock = dial(proxy.addr())
        assert socks5(sock, *server.addr).code == 0
        sock.close()
    proxy.process.terminate()
    assert proxy.process.wait(10 * SLOWNESS) == 0


def test_a_log_file_on_a_full_disk_stops_nothing(sockeye, origin, dial, place):
    network.need_own_network()
    server = origin(echo)
    proxy = sockeye(inbound() + "log: {to: /dev/full}")
    for _ in range(20):
        sock = dial(proxy.addr())
        assert socks5(sock, *server.addr).code == 0
        sock.sendall(b"x")
        assert receive_exactly(sock, 1) == b"x"
        sock.close()


_EAT_PIPE_PAGES = """
import fcntl, os, sys, time
held = []
try:
    while len(held) < 4000:
        held.append(os.pipe())
        fcntl.fcntl(held[-1][0], fcntl.F_SETPIPE_SZ, 1 << 20)
except OSError:
    pass
print(len(held), flush=True)
sys.stdin.read()
"""


def test_acc_69_as_nobody_with_pipe_pages_exhausted_bulk_is_still_carried(sockeye, origin, dial):
    network.need_root()
    eater = subprocess.Popen([*as_user(), sys.executable, "-c", _EAT_PIPE_PAGES], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert int(eater.stdout.readline()) < 4000, "the pages did not run out"
        n = 8 * MB
        proxy, server = sockeye(inbound() + "user: nobody", env=no_leak_check()), origin(speak_first(n))
        assert proc.status(proxy.pid)["Uid"].split() == [str(NOBODY)] * 4
        socks = [dial(proxy.addr()) for _ in range(12)]
        for sock in socks:
            assert socks5(sock, *server.addr).code == 0
        for sock in socks:    # one after the other: all the others are stuck meanwhile
            receive_pattern(sock, n)
            receive_end(sock)
    finally:
        eater.communicate()


def test_acc_70_stray_signals_and_stops_lose_nothing(sockeye, origin, dial):
    n = 16 * MB
    proxy, server = sockeye(inbound()), origin(speak_first(n))
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr).code == 0
    for at, number in zip(range(0, n, MB), [signal.SIGPIPE, signal.SIGSTOP, signal.SIGCONT, signal.SIGCHLD, signal.SIGWINCH] * 4):
        proxy.send_signal(number)
        if number == signal.SIGSTOP:
            proxy.send_signal(signal.SIGCONT)
        receive_pattern(sock, MB, start=at)
    receive_end(sock)


def test_a_client_that_sends_nothing_more_after_its_greeting_holds_no_other_up(sockeye, origin, dial):
    proxy, server = sockeye(inbound() + "limits: {handshake_ms: 60000}"), origin(echo)
    for _ in range(200):
        socks5_greet(dial(proxy.addr()))
    sock = dial(proxy.addr())
    assert socks5(sock, *server.addr).code == 0
    send_pattern(sock, 1000)
    receive_pattern(sock, 1000)


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer needs its shadow memory")
def test_acc_70_out_of_memory_ends_connections_and_not_the_program(sockeye, origin, dial):
    """An address space with little to spare: some clients may be refused, the program lives and serves afterwards."""
    proxy, server = sockeye(inbound()), origin(echo)
    pages = int(open(f"/proc/{proxy.pid}/statm").read().split()[0])
    subprocess.run(["prlimit", f"--pid={proxy.pid}", f"--as={pages * os.sysconf('SC_PAGE_SIZE') + 65536}:"], check=True)
    for _ in range(1500):
        sock = dial(proxy.addr())
        sock.settimeout(0.2)
        try:
            socks5(sock, *server.addr)
        except (EOFError, OSError):
            break
    assert proxy.process.poll() is None
    subprocess.run(["prlimit", f"--pid={proxy.pid}", "--as=unlimited:"], check=True)

    until(lambda: is_served(proxy.addr(), *server.addr), "service again")
