"""Doing two things at once in a test, without losing what went wrong in the other one."""

import threading

from harness.binary import SLOWNESS


def in_thread(function, *args):
    """Runs it beside; join() re-raises what it raised."""
    result = []

    def run():
        try:
            function(*args)
        except BaseException as e:    # re-raised by join() in the test's own thread
            result.append(e)
    thread = threading.Thread(target=run)
    thread.start()

    def join(timeout=60):
        thread.join(timeout * SLOWNESS)
        assert not thread.is_alive(), "still running"
        if result:
            raise result[0]
    return join
