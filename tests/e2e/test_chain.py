"""Chains: three hops between five machines (harness/bed.py), what each of them sees, and what becomes of transfers when any line fails."""

import threading
import time

import pytest

from harness.bed import FAR, FAR_OUT, MIDDLE, MIDDLE_OUT, NEAR_OUT, PORT, TARGET, Capture, Frames
from harness.binary import SLOWNESS
from harness.origin import echo
from harness.pattern import pattern
from harness.tunnel import Transfer, two_way
from harness.wait import until

WAYS = {"carriers that are streams": "start_via", "a tunnel behind a tunnel": "start_hops"}


@pytest.fixture(params=WAYS)
def chain(request, bed):
    return getattr(bed, WAYS[request.param])()


def test_acc_40_each_of_three_hops_sees_its_neighbours_only(chain):
    """Neither addresses of others, nor a byte of what goes through."""
    secrets = (bytes(pattern(100, 40, 5)), bytes(pattern(100, 40, 6)))
    seen = {line.device: Capture(chain.middle if line.near is chain.middle else line.far, line.device, secrets)
            for line in (chain.near_line, chain.far_line, chain.back)}
    server = chain.serve(two_way)
    Transfer(chain.connect(server), 300_000, 300_000, 5).end(60 * SLOWNESS)
    pairs = [(NEAR_OUT, MIDDLE), (MIDDLE_OUT, FAR), (FAR_OUT, TARGET)]
    for capture, pair in zip(seen.values(), pairs):
        assert capture.end().pairs == {frozenset(pair)}
    hidden = [capture.found for capture in seen.values()]
    assert hidden[:2] == [set(), set()] and hidden[2], "only behind the last hop it can be read"
    for machine, peers in ((chain.near, {MIDDLE}), (chain.middle, {NEAR_OUT, FAR}), (chain.far, {MIDDLE_OUT})):
        assert {peer.rpartition(":")[0] for _, peer in machine.connections(PORT)} == peers


def test_acc_40_links_of_the_middle_hop_die_at_any_time_and_nothing_is_lost(chain):
    server = chain.serve(two_way)
    chain.near_line.set(delay_ms=5)
    chain.far_line.set(delay_ms=5)
    transfers = [Transfer(chain.connect(server), 3_000_000, 3_000_000, seed) for seed in range(4)]
    over = threading.Event()
    n_killed = 0
    for turn in range(8):
        due = sum(one.n_received for one in transfers) + 1_000_000
        until(lambda: over.is_set() or sum(one.n_received for one in transfers) >= min(due, 11_900_000), "more bytes", timeout=60)
        killed = chain.middle.kill_connections(PORT) if turn % 3 == 2 else (chain.near, chain.far)[turn % 3].kill_connections(PORT)
        n_killed += killed > 0
    for one in transfers:
        one.end(60 * SLOWNESS)
    assert n_killed >= 5
