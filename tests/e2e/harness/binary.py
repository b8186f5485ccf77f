"""Which program is tested, and how much slower than usual it is."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("SOCKEYE_BIN", ROOT / "build/debug/sockeye")).absolute()


def _sanitizer():
    if not BIN.is_file():
        return None
    image = BIN.read_bytes()
    for name, mark in (("address", b"__asan_init"), ("thread", b"__tsan_init")):
        if mark in image:
            return name
    return None


SANITIZER = _sanitizer()

# Every wait and every upper bound on a time is multiplied by this.
SLOWNESS = 4 if SANITIZER else 1

# What a sanitizer, or the C library before abort(), prints when it found something.
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
           "Assertion", "*** stack smashing", "double free", "corrupted")
