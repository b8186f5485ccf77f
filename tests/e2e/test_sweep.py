"""The seed's own test: ab, privoxy in front, the proxy, nginx; 64 at a time and not one error."""

import os
import re
import subprocess

import pytest

from harness import proc
from harness.binary import SLOWNESS
from harness.services import free_port, is_listening, start_nginx
from harness.wait import until

KB, MB = 1 << 10, 1 << 20
# (bytes, requests); under a sanitizer without the largest, which is 17 of the 23 GB
SWEEP = [(32, 2000), (1 * KB, 1000), (32 * KB, 500), (256 * KB, 256), (1 * MB, 128), (4 * MB, 64), (16 * MB, 64),
         (64 * MB, 64), *([(256 * MB, 64)] if SLOWNESS == 1 else [])]


@pytest.fixture
def chain(place, spawn, sockeye, osocks):
    """Starts them all; returns (osocks, privoxy's port, nginx's port)."""
    (place / "www").mkdir()
    for size, _ in SWEEP:
        (place / f"www/{size}").write_bytes(os.urandom(size))
    web_port, port = start_nginx(spawn, place), free_port()
    proxy = sockeye(argv=["-l", "127.0.0.1", "-p", "0"], program=osocks)
    (place / "privoxy.conf").write_text(
        f"listen-address 127.0.0.1:{port}\nforward-socks5 / 127.0.0.1:{proxy.port} .\nmax-client-connections 512\n"
        f"socket-timeout 120\nlogdir {place}\nconfdir /etc/privoxy\n")
    spawn(["privoxy", "--no-daemon", place / "privoxy.conf"])
    until(lambda: is_listening(port), "privoxy")
    return proxy, port, web_port


def test_acc_58_the_size_sweep_64_at_a_time_ends_with_zero_errors(chain):
    proxy, front, origin = chain
    before = len(proc.sockets(proxy.pid))
    for size, n in SWEEP:
        done = subprocess.run(["ab", "-q", "-s", "120", "-n", str(n), "-c", "64", "-X", f"127.0.0.1:{front}",
                               f"http://127.0.0.1:{origin}/{size}"], capture_output=True, text=True, timeout=300 * SLOWNESS)
        assert done.returncode == 0, done.stderr
        report = done.stdout
        assert re.search(rf"Complete requests:\s+{n}\b", report) and re.search(r"Failed requests:\s+0\b", report), report
        assert "Non-2xx" not in report and re.search(rf"HTML transferred:\s+{n * size} bytes", report), report
    until(lambda: len(proc.sockets(proxy.pid)) <= before, "every session to end", timeout=30)
    assert len(proc.pipes(proxy.pid)) < 2 * 64, "a few spare pipes, not one for each session"
    flows = proxy.wait_record(sum(n for _, n in SWEEP), event="flow")
    assert {r["end"] for r in flows} == {"closed"}
