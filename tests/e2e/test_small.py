"""On small machines."""

import pytest

from harness import client
from harness.beside import in_thread
from harness.binary import SANITIZER, SLOWNESS
from harness.memory import MemoryGroup
from harness.origin import echo
from harness.tunnel import Transfer, two_way

LIMIT = 64 << 20


@pytest.fixture
def groups():
    made = []

    def make():
        made.append(MemoryGroup(LIMIT))
        return made[-1]
    yield make
    for group in made:
        group.close()


def send_for_ever(conn):
    conn.settimeout(None)
    try:
        while True:
            conn.sendall(bytes(1 << 16))
    except OSError:
        pass  # the other end has closed


def echo_many(t, server, n):
    for _ in range(n):
        with t.connect(server) as sock:
            sock.sendall(b"a few bytes")
            assert client.receive_exactly(sock, 11) == b"a few bytes"


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer's own memory is larger than that")
def test_acc_88_both_ends_work_in_64_mb_each(groups, tunnel):
    """Bulk both ways, readers that read nothing and short connections at once; the sockets' buffers count too."""
    t = tunnel(near_limits="memory_mb: 24", far_limits="memory_mb: 24", wait=False)
    ends = {"near": groups(), "far": groups()}
    t.far = t.start(t.configs["far"], prefix=[*t.joined.far.prefix, *ends["far"].prefix])
    t.near = t.start(t.configs["near"], prefix=[*t.joined.near.prefix, *ends["near"].prefix])
    t.wait_linked()
    server, small = t.serve(two_way), t.serve(echo)
    stuck = [t.connect(t.serve(send_for_ever)) for _ in range(4)]
    transfers = [Transfer(t.connect(server), 8_000_000, 8_000_000, seed) for seed in range(12)]
    joins = [in_thread(echo_many, t, small, 100) for _ in range(2)]
    for transfer in transfers:
        transfer.end(120 * SLOWNESS)
    for join in joins:
        join(120)
    assert all(LIMIT / 64 < group.peak_bytes() <= LIMIT for group in ends.values())
    for sock in stuck:
        sock.close()
    for program in (t.near, t.far):
        assert not program.ended
        program.stop()
