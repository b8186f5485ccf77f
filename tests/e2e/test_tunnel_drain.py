"""An end that takes no more: what is there goes on until it is over, and what is new goes by another session at once."""

import signal
import time

import pytest

from harness import proc
from harness.binary import SLOWNESS
from harness.origin import echo
from harness.pattern import exchange
from harness.tunnel import Transfer, two_way
from harness.wait import until

N = 8 << 20
DRAIN_S = int(60 * SLOWNESS)


def sessions(program, what):
    return [record for record in program.records(event="session") if record["is"] == what]


def test_a_far_end_is_replaced_by_another_process_under_running_transfers(tunnel, place):
    t = tunnel(far={"reuse_port": "true"}, private_state=True, wait=False)
    t.configs["far"] = t.configs["far"].replace("drain_s: 1", f"drain_s: {DRAIN_S}")
    t.start_far()
    t.start_near()
    t.wait_linked()
    server, small = t.serve(two_way), t.serve(echo)
    old, first = t.connect(small), t.far
    transfers = [Transfer(t.connect(server), N, N, seed) for seed in range(4)]
    state = place / "far-state"
    state.rename(place / "old-state")    # which the first goes on with
    state.mkdir()
    t.start_far()
    # The second takes no flights yet, as it has no memory, so it tells nobody that the first one's session is gone: on a machine
    # where that is late for seconds it would be believed, unless the near end knows that the first drains.
    first.send_signal(signal.SIGTERM)
    until(lambda: sessions(t.near, "drained"), "what the near end says of it", timeout=30)
    time.sleep(2.5)
    for _ in range(50):
        exchange(t.connect(small))
    until(lambda: sessions(t.far, "begun"), "the line of the new session")
    exchange(old)
    for transfer in transfers:
        transfer.end(timeout=DRAIN_S)
    assert first.process.poll() is None, "it ends behind its last connection"
    exchange(old)
    old.close()
    first.wait()
    assert "warn" not in t.near.text, t.near.text
    exchange(t.connect(small))


def test_a_near_end_that_drains_tells_the_far_end(tunnel):
    t = tunnel()
    t.near.stop()
    t.configs["near"] = t.configs["near"].replace("drain_s: 1", f"drain_s: {DRAIN_S}")
    t.start_near()
    sock = t.connect(t.serve(echo))
    t.near.send_signal(signal.SIGTERM)
    until(lambda: sessions(t.far, "drained"), "what the far end says of it", timeout=30)
    exchange(sock)
    sock.close()
    t.near.wait()
    assert "why" not in t.near.wait_record(event="link", is_="closed")


@pytest.mark.parametrize("end", ["far", "near"])
def test_an_end_that_waits_for_the_last_connection_costs_no_cpu(tunnel, end):
    t = tunnel(wait=False)
    t.configs[end] = t.configs[end].replace("drain_s: 1", f"drain_s: {DRAIN_S}")
    t.start_far()
    t.start_near()
    t.wait_linked()
    program, sock = getattr(t, end), t.connect(t.serve(echo))
    exchange(sock)
    program.send_signal(signal.SIGTERM)
    time.sleep(1.5)    # the first second is for what was under way
    before = proc.cpu_s(program.pid)
    time.sleep(1)
    assert proc.cpu_s(program.pid) - before < 0.1 * SLOWNESS
    exchange(sock)
    sock.close()
    program.wait()
