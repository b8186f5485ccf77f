"""The emulated line between near and far (tests/emulator): slow, long, lossy, or dead for a while."""

import contextlib
import json
import subprocess

from harness.binary import BIN
from harness.namespaces import Cable

EMULATOR = BIN.parent / "tests/emulator/emulator"


class Line(Cable):
    """As set() says from now on; in the beginning it takes no time and loses nothing.

    Keys are delay_ms (one way), rate_mbit, queue_kb, loss, reorder, reorder_ms, frozen: tests/emulator/emulator.c.
    """

    made_as = "line"

    def __init__(self, *sides, **options):
        super().__init__(*sides)
        # Long fat lines need more than the tests' usual buffers.
        for side in (self.near, self.far):
            side.write("net/ipv4/tcp_rmem", "4096 131072 16777216")
            side.write("net/ipv4/tcp_wmem", "4096 65536 16777216")
            # What the line loses is lost on the line, not where packets wait for a busy machine's emulator.
            side.run("ip", "link", "set", self.device, "txqueuelen", "20000")
            # What most machines have; Reno takes minutes to fill such a line again.
            side.run("ip", "route", "replace", self.network4, "dev", self.device, "congctl", "cubic")
        if options:
            self.set(**options)

    def join(self):
        self.process = subprocess.Popen([EMULATOR, self.near.path, self.far.path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "the emulator does not start"

    def _ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def set(self, direction="both", **options):
        """direction is up (from near to far), down or both."""
        command = " ".join([direction, *(f"{key} {value}" for key, value in options.items())])
        answer = self._ask(command)
        assert answer == "ok", f"{command}: {answer}"

    def counts(self):
        """{'up': {'received': packets, 'delivered':, 'bytes':, 'lost':, 'overflowed':, 'frozen':, 'reordered':}, 'down': ...}"""
        return json.loads(self._ask("counts"))

    @contextlib.contextmanager
    def frozen(self, direction="both"):
        self.set(direction, frozen=1)
        try:
            yield
        finally:
            self.set(direction, frozen=0)

    def end(self):
        """The line is gone; its ends stay."""
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def close(self):
        self.end()
        super().close()
