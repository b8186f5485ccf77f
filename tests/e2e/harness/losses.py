"""Ways to lose all carriers that a tunnel has now. Each waits until they are gone at the near end."""

import contextlib
import time

from harness.tunnel import PORT
from harness.wait import until


def killed_here(t):
    with t.losing_all():
        t.joined.near.kill_connections(PORT)


def killed_there(t):
    with t.losing_all():
        t.joined.far.kill_connections(PORT)


def reset_between(t):
    """Whoever next says something is told that there is no connection; so something has to be said."""
    old = until(t.carriers, "a carrier", timeout=60)
    with t.joined.far.resetting(PORT):
        t.wait_lost(old)


def silence(t, seconds=2.5):
    """Nothing gets through for so long, and nobody is told. The carriers may live on."""
    with t.joined.far.dropping(PORT):
        time.sleep(seconds)


@contextlib.contextmanager
def forgotten(t):
    """What a firewall does that has forgotten them: these carriers are dead without a word as long as the block lasts; new ones are not."""
    ports = [here.rpartition(":")[2] for here, _ in t.carriers()]
    with t.joined.near.dropping(*ports):
        yield


def forgotten_for_ever(t):
    """Until they have been given up, for which something has to be said."""
    old = until(t.carriers, "a carrier", timeout=60)
    with forgotten(t):
        t.wait_lost(old)


def moved(t):
    with t.losing_all():
        t.joined.move_near()


WAYS = [killed_here, killed_there, reset_between, silence, forgotten_for_ever, moved]
