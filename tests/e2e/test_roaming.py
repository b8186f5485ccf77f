"""A near end on the move, two hops before its target: another address, a network that vanishes, a machine that sleeps, lines that get worse.

Whoever is connected notices a pause and nothing else. How long it is, is printed: a frame each way every 30 ms, as a remote desktop sends them.
"""

import contextlib
import signal
import time

import pytest

from harness.bed import PORT, Frames, patient_echo
from harness.binary import SLOWNESS
from harness.tunnel import Transfer, two_way
from harness.wait import any_of, until

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


def in_time(what, seconds):
    """seconds() does it and says for how long nothing came. What a busy machine spoils may be tried again."""
    def is_in_time():
        s = seconds()
        print(f"{what}: {s * 1000:.0f} ms")
        return s < 3 * SLOWNESS
    any_of([is_in_time] * 3, f"{what}, and frames come again within 3 s")


def pauses_in_time(frames, what, while_this):
    in_time(f"worst pause, {what}", lambda: frames.pause_s(while_this))


def back_in_time(frames, what, out):
    """out() is a block at whose beginning all may go on; it has the number of a frame that was sent while nothing could."""
    def seconds():
        frames.wait_more()
        with out() as number:
            over = time.monotonic()
            until(lambda: len(frames.came) > number, "the frame", timeout=60)
            return frames.came[number] - over
    in_time(f"frames again behind the end, {what}", seconds)


def pass_time(frames, seconds):
    """Returns the number of a frame that is sent while it passes."""
    time.sleep(0.2)
    number = frames.n_sent + 1
    time.sleep(seconds - 0.2)
    return number


def test_a_lost_carrier_of_each_hop(desk):
    bed, frames = desk()
    pauses_in_time(frames, "carriers of the first hop killed", lambda: bed.near.kill_connections(PORT))
    pauses_in_time(frames, "carriers of the second hop killed", lambda: bed.far.kill_connections(PORT))
    pauses_in_time(frames, "all carriers killed", lambda: [machine.kill_connections(PORT) for machine in (bed.near, bed.middle)])


def test_links_that_are_replaced_by_others_all_the_time(desk):
    """A handover's pause, again and again, of the first hop's links and of those inside it."""
    bed, frames = desk(more=", handover: {every: 1s-2s}")
    near = bed.programs["near"]

    def handovers():
        for out in ("a", "b"):
            near.wait_record(len(near.records(event="link", out=out, is_="up")) + 3, timeout=60, event="link", out=out, is_="up")
    pauses_in_time(frames, "handovers", handovers)
    assert not near.records(event="link", is_="cut")


def test_another_address_in_the_middle_of_a_transfer(desk):
    bed, frames = desk()
    for _ in range(2):
        pauses_in_time(frames, "another address", bed.near_line.move_near)


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_a_network_that_vanishes_and_comes_back(desk, seconds):
    bed, frames = desk()

    @contextlib.contextmanager
    def vanished():
        with bed.near_line.frozen():
            number = pass_time(frames, seconds)
        yield number
    back_in_time(frames, f"the network had vanished for {seconds} s", vanished)


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_a_plug_that_is_out_for_a_while(desk, seconds):
    bed, frames = desk()

    @contextlib.contextmanager
    def unplugged():
        bed.near_line.set_up(False)
        number = pass_time(frames, seconds)
        bed.near_line.set_up(True)
        yield number
    back_in_time(frames, f"the plug was out for {seconds} s", unplugged)


@contextlib.contextmanager
def cut(bed):
    """Whoever was at the other end is told."""
    for machine in (bed.near, bed.middle):
        machine.kill_connections(PORT)
    yield


def forgotten(bed):
    """By whatever is between the first two machines, without a word."""
    return bed.near.forgetting(PORT)


@contextlib.contextmanager
def forgotten_all_the_way(bed):
    with bed.near.forgetting(PORT), bed.middle.forgetting(PORT):
        yield


@pytest.mark.parametrize("what", [cut, forgotten, forgotten_all_the_way])
@pytest.mark.parametrize("seconds,keep_s", [(6, 3), pytest.param(600, 400, marks=pytest.mark.soak)])
def test_a_sleep_over_which_the_carriers_are_lost(desk, seconds, keep_s, what):
    """Longer than what the near end's keep_s says, which counts from when it finds out; the far ends keep twice that."""
    bed, frames = desk(keep_s)
    near = bed.programs["near"]

    @contextlib.contextmanager
    def slept():
        near.send_signal(signal.SIGSTOP)
        number = pass_time(frames, seconds / 2)
        with what(bed):
            time.sleep(seconds / 2)
            near.send_signal(signal.SIGCONT)
            yield number
    back_in_time(frames, f"the near end had slept for {seconds} s", slept)


def test_packets_out_of_order_and_a_line_that_gets_slow(desk):
    bed, frames = desk()

    def get_worse(**options):
        bed.near_line.set(**options)
        frames.wait_more(30)
    pauses_in_time(frames, "a fifth of the packets 5 ms late", lambda: get_worse(reorder=0.2, reorder_ms=5))
    assert bed.near_line.counts()["up"]["reordered"] > 0
    pauses_in_time(frames, "4 Mbit/s", lambda: get_worse(reorder=0, rate_mbit=4, queue_kb=50))
