"""Reverse, when an end is lost and comes back: whose the ports are then, from when on, and who does not get them meanwhile."""

import signal
import time

import pytest

from harness.binary import SLOWNESS
from harness.losses import forgotten
from harness.origin import echo
from harness.pattern import exchange, receive_reset
from harness.program import Sockeye
from harness.tunnel import KEY, SERVER4
from harness.wait import Stopwatch, until
from test_tunnel_reload import OTHER_KEY, reload    # noqa: F401
from test_tunnel_reverse import OTHER, RELAY, dial, is_open, relay, reverse, wait_listener, wait_open    # noqa: F401

# So soon an end that is back is of use again.
BACK_S = 5
KEEP_S = 2
DRAIN_S = int(60 * SLOWNESS)
RIVAL = b"the rival"


def serves(t):
    """Whether who connects to the port now has an echo."""
    try:
        exchange(dial(t, timeout=1))
        return True
    except (OSError, AssertionError):
        return False


def wait_back(t, within=BACK_S):
    until(lambda: serves(t), "an answer by the port", timeout=within)


@pytest.fixture
def rival(place):
    """Starts another near end that wants the same port: rival(t)."""
    def start(t):
        (place / "rival").mkdir()
        with t.joined.near.entered():
            other = t.origin(lambda conn: conn.sendall(RIVAL), "127.0.0.1")
        return t.start(f"state: {place}/rival\nlimits: {{drain_s: 1}}\ninbounds:\n{relay(other)}outbounds:\n"
                       f'  - {{type: tunnel, name: home, server: "{SERVER4}", key: "{KEY}"}}\n', prefix=t.joined.near.prefix)
    return start


@pytest.mark.parametrize("way", [Sockeye.kill, Sockeye.stop])
def test_acc_42_ports_are_back_when_the_far_end_is(reverse, way):
    """Again and again; and of what it carried nothing is left in the near network."""
    t = reverse({RELAY: echo, OTHER: echo})
    for _ in range(2):
        wait_open(t, RELAY, OTHER)
        exchange(dial(t, OTHER))
        way(t.far)
        t.start_far()
        wait_back(t)
        until(lambda: t.servers[OTHER].n_open == 0, "the end of what was carried")


def test_acc_42_ports_are_back_when_the_far_end_is_that_had_vanished_without_a_word(reverse):
    """The near end finds that out by its signs of life: one in 4 seconds at the latest, and again as long where the link was not idle."""
    t = reverse({RELAY: echo}, near={"keepalive_s": 1})
    wait_open(t, RELAY)
    with forgotten(t):
        t.far.kill()
        t.start_far()
        wait_back(t, within=2 * 4 + BACK_S)


def test_acc_42_ports_go_to_the_far_end_that_takes_the_place_of_one_that_drains(reverse, place):
    """What the first carries goes on, and it ends behind that."""
    t = reverse({RELAY: echo}, far={"reuse_port": "true"}, private_state=True)
    t.far.stop()
    t.configs["far"] = t.configs["far"].replace("drain_s: 1", f"drain_s: {DRAIN_S}")
    t.start_far()
    wait_open(t, RELAY)
    sock, first = dial(t), t.far
    exchange(sock)
    (place / "far-state").rename(place / "old-state")    # which the first goes on with
    (place / "far-state").mkdir()
    t.start_far()
    time.sleep(2.5)    # it takes no flights before, as it has no memory
    first.send_signal(signal.SIGTERM)
    t.near.wait_record(event="session", is_="drained", timeout=30)
    wait_back(t)
    wait_listener(t.far, RELAY, "listening", timeout=BACK_S)
    exchange(sock)
    assert first.process.poll() is None
    sock.close()
    first.wait()
    exchange(dial(t))


def test_acc_42_ports_are_back_at_once_when_the_near_end_has_vanished_without_a_word(reverse, rival):
    """The far end has a session that looks alive, and it is the same peer who comes anew: so long nobody else gets the port."""
    t = reverse({RELAY: echo})
    wait_open(t, RELAY)
    with forgotten(t):
        t.near.kill()
        second = rival(t)
        t.far.wait_record(2, timeout=60, event="listener", is_="refused")
        assert t.far.records(event="link", is_="up") and not t.far.records(event="session", is_="ended")
        t.start_near()
        wait_listener(t.far, RELAY, "listening", 2, timeout=BACK_S)
        wait_back(t)
        replaced = t.far.wait_record(event="session", is_="ended")
        assert "another session of the same peer's" in replaced["why"]
    assert not second.records(event="listener", is_="listening")


def test_acc_42_a_rival_has_the_port_when_tcp_finds_that_the_near_end_has_vanished_and_not_before(reverse, rival):
    t = reverse({RELAY: echo}, far_limits="keepalive_s: 1")
    for name, n in (("tcp_keepalive_probes", 1), ("tcp_retries2", 2)):    # so that it takes seconds
        t.joined.far.write(f"net/ipv4/{name}", n)
    wait_open(t, RELAY)
    with forgotten(t):
        t.near.kill()
        second = rival(t)
        second.wait_record(event="listener", is_="refused", timeout=30)
        second.wait_record(event="listener", is_="listening", timeout=60)
        assert t.far.wait_record(event="link", is_="cut")["why"] == "timed out"
        assert dial(t).recv(100) == RIVAL


def test_acc_42_a_port_is_freed_when_keep_s_is_over_and_not_before(reverse, rival):
    """The far end's half lives twice as long; who comes meanwhile waits for it, and is reset when it is over."""
    t = reverse({RELAY: echo}, near={"keep_s": KEEP_S})
    wait_open(t, RELAY)
    exchange(dial(t))
    clock = Stopwatch()
    t.near.kill()
    waiting = dial(t)
    until(lambda: not is_open(t), "the end of the port", timeout=15)
    assert clock.s > 2 * KEEP_S - 0.1
    receive_reset(waiting)
    second = rival(t)
    second.wait_record(event="listener", is_="listening", timeout=BACK_S)
    assert dial(t).recv(100) == RIVAL and not second.records(event="listener", is_="refused")


def test_acc_42_ports_are_back_when_the_key_was_changed(reverse, reload):
    """By the session of the new key, and what the one of the old key carries goes on."""
    t = reverse({RELAY: echo})
    wait_open(t, RELAY)
    sock = dial(t)
    exchange(sock)
    reload(t, "far", f'key: "{KEY}"', f'key: ["{OTHER_KEY}", "{KEY}"]')
    time.sleep(2.5)    # a key that is new is refused before
    reload(t, "near", KEY, OTHER_KEY)
    wait_listener(t.far, RELAY, "listening", 2, timeout=BACK_S)
    wait_back(t)
    exchange(sock)
