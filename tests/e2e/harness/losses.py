"""Ways to lose all carriers that a tunnel has now. Each waits until they are gone at the near end."""

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


def forgotten(t):
    """As long as the block lasts."""
    return t.joined.near.forgetting(PORT)


def forgotten_for_ever(t):
    """Until they have been given up, for which something has to be said."""
    old = until(t.carriers, "a carrier", timeout=60)
    with forgotten(t):
        t.wait_lost(old)


def moved(t):
    with t.losing_all():
        t.joined.move_near()


WAYS = [killed_here, killed_there, reset_between, silence, forgotten_for_ever, moved]
