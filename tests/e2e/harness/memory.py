"""A memory group: as much memory as a small router has, whatever the machine has."""

import pathlib
import uuid

import pytest

ROOT = pathlib.Path("/sys/fs/cgroup")


class MemoryGroup:
    def __init__(self, n_bytes):
        """Of cgroups of either version, wherever we may make one."""
        has_v1 = (ROOT / "memory").is_dir()
        self.path = (ROOT / "memory" if has_v1 else ROOT) / f"sockeye-{uuid.uuid4().hex[:8]}"
        self.limit, self.peak = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if has_v1 else ("memory.max", "memory.peak")
        try:
            self.path.mkdir()
            (self.path / self.limit).write_text(str(n_bytes))
        except OSError as error:
            self.close()
            pytest.skip(f"no memory group can be made here: {error}")

    @property
    def prefix(self):
        """What starts a program in it."""
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh"]

    def peak_bytes(self):
        return int((self.path / self.peak).read_text())

    def close(self):
        """Its programs have ended."""
        if self.path.is_dir():
            self.path.rmdir()
