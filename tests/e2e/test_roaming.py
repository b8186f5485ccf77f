"""A near end on the move, two hops before its target: another address, a network that vanishes, a machine that sleeps, lines that get worse.

Whoever is connected notices a pause and nothing else. How long it is, is printed: a frame each way every 30 ms, as a remote desktop sends them.
"""

import signal
import time

import pytest

from harness.bed import PORT, Frames, patient_echo
from harness.binary import SLOWNESS
from harness.tunnel import Transfer, two_way

KEEP = ", keep_s: {0}"


@pytest.fixture
def desk(bed):
    """A remote desktop's frames and a transfer beside them, which outlive what happens: desk(keep_s, more) -> (bed, frames). Neither may
    end early; more are further keys of both tunnels."""
    used = []

    def start(keep_s=60, more=""):
        bed.near_line.set(delay_ms=10, rate_mbit=20, queue_kb=50)
        bed.far_line.set(delay_ms=10)
        bed.start_via(*[KEEP.format(keep_s) + more] * 2)
        frames = Frames(bed.connect(bed.serve(patient_echo)))
        transfer = Transfer(bed.connect(bed.serve(two_way)), 8_000_000, 8_000_000, 1)
        frames.wait_more()
        used.append((frames, transfer))
        return bed, frames
    yield start
    for frames, transfer in used:
        frames.end()
        transfer.end(60 * SLOWNESS)


def cut_all(bed):
    for machine in (bed.near, bed.middle):
        machine.kill_connections(PORT)


def test_a_lost_carrier_of_each_hop(desk):
    bed, frames = desk()
    with frames.worst_pause("carriers of the first hop killed"):
        bed.near.kill_connections(PORT)
    with frames.worst_pause("carriers of the second hop killed"):
        bed.far.kill_connections(PORT)
    with frames.worst_pause("all carriers killed"):
        cut_all(bed)


def test_links_that_are_replaced_by_others_all_the_time(desk):
    """A handover's pause, again and again, of the first hop's links and of those inside it."""
    bed, frames = desk(more=", handover: {every: 1s-2s}")
    near = bed.programs["near"]
    with frames.worst_pause("handovers"):
        for out in ("a", "b"):
            near.wait_record(4, timeout=60, event="link", out=out, is_="up")
    assert not near.records(event="link", is_="cut")


def test_another_address_in_the_middle_of_a_transfer(desk):
    bed, frames = desk()
    for _ in range(2):
        with frames.worst_pause("another address"):
            bed.near_line.move_near()


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_a_network_that_vanishes_and_comes_back(desk, seconds):
    bed, frames = desk()
    with bed.near_line.frozen():
        time.sleep(seconds)
        back = time.monotonic()
    frames.wait_more()
    said_back(frames, back, f"the network had vanished for {seconds} s")


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_a_plug_that_is_out_for_a_while(desk, seconds):
    bed, frames = desk()
    bed.near_line.set_up(False)
    time.sleep(seconds)
    back = time.monotonic()
    bed.near_line.set_up(True)
    frames.wait_more()
    said_back(frames, back, f"the plug was out for {seconds} s")


@pytest.mark.parametrize("seconds,keep_s", [(30, 12), pytest.param(600, 400, marks=pytest.mark.soak)])
def test_a_sleep_over_which_the_carriers_are_forgotten(desk, seconds, keep_s):
    """Longer than what the near end's keep_s says, which counts from when it finds out; the far ends keep twice that."""
    bed, frames = desk(keep_s)
    near = bed.programs["near"]
    near.send_signal(signal.SIGSTOP)
    time.sleep(seconds / 2)
    cut_all(bed)
    time.sleep(seconds / 2)
    back = time.monotonic()
    near.send_signal(signal.SIGCONT)
    frames.wait_more()
    said_back(frames, back, f"the near end had slept for {seconds} s")


def said_back(frames, back, what):
    """The first frame that came behind it."""
    first = next(at for at in frames.came if at > back)
    print(f"{what}: frames again {(first - back) * 1000:.0f} ms behind its end")
    assert first - back < 15 * SLOWNESS


def test_packets_out_of_order_and_a_line_that_gets_slow(desk):
    bed, frames = desk()
    with frames.worst_pause("a fifth of the packets 5 ms late"):
        bed.near_line.set(reorder=0.2, reorder_ms=5)
        frames.wait_more(30)
    assert bed.near_line.counts()["up"]["reordered"] > 0
    with frames.worst_pause("4 Mbit/s"):
        bed.near_line.set(reorder=0, rate_mbit=4, queue_kb=50)
        frames.wait_more(30)
