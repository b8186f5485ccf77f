"""The only way to wait here: ask again and again, up to a generous bound."""

import time

from harness.binary import SLOWNESS


def until(condition, what, timeout=10.0):
    """Returns the first true value of condition(); fails, saying what was waited for, when time is up."""
    deadline = time.monotonic() + timeout * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout * SLOWNESS:g} s in vain for {what}")
        time.sleep(0.01)


def any_of(attempts, what):
    """What a busy machine spoils now and then: one of a few attempts, which are functions, has to come true."""
    assert any(attempt() for attempt in attempts), f"none of the attempts: {what}"


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self):
        self.start = time.monotonic()

    @property
    def s(self):
        return time.monotonic() - self.start
