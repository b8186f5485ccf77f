"""The program under test: started with a configuration or arguments, watched, and always ended."""

import os
import re
import signal
import subprocess
import threading
from collections import namedtuple

from harness import proc
from harness.binary import BIN, REPORTS, SANITIZER, SLOWNESS
from harness.logline import parse
from harness.wait import until

Listener = namedtuple("Listener", "host port type name")
Result = namedtuple("Result", "code out err")

_LISTENING = re.compile(r"^sockeye: listening on (.+):(\d+) \((\w+)(?: ([^)]*))?\)$")


def environment(home, extra=None):
    """Nothing of the caller's that could change what the program does, except what chooses the backend."""
    env = {name: os.environ[name] for name in ("PATH", "SOCKEYE_BACKEND", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                               "TSAN_OPTIONS", "LSAN_OPTIONS") if name in os.environ}
    return {**env, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "TZ": "UTC", **(extra or {})}


def write_config(file, text):
    """Others cannot read it where it has secrets."""
    file.write_text(text)
    file.chmod(0o640 if "key:" in text or "password:" in text else 0o644)


def complete(config, workers):
    """Adds, at the end so that line numbers hold, what tests need and the configuration does not say."""
    if "drain_s" not in config:
        if "\nlimits: {" in "\n" + config:
            config = config.replace("limits: {", "limits: {drain_s: 1, ", 1)
        else:
            config += "\nlimits: {drain_s: 1}"
    for key, value in (("user", "''"), ("workers", workers), ("admin", "{socket: ''}")):
        if not re.search(rf"^{key}:", config, re.M):
            config += f"\n{key}: {value}"
    return config + "\n"


def no_leak_check():
    """The environment for a process that may not be traced, such as one that changed its user: LeakSanitizer needs that."""
    return {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"} if SANITIZER == "address" else {}


class Sockeye:
    """A running program. argv[0] is the program's path (a link for osocks); prefix runs before it in the same process."""

    def __init__(self, argv, home, env=None, prefix=(), pass_fds=()):
        self.home = home
        self.lines = []
        self.listeners = []
        self._reading = threading.Event()
        self._reading.set()
        self._changed = threading.Condition()
        self.process = subprocess.Popen([*prefix, *map(str, argv)], cwd=home, env=environment(home, env),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        pass_fds=pass_fds)
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # Its log

    def _read(self):
        fd, rest = self.process.stderr.fileno(), b""
        while self._reading.wait() and (data := os.read(fd, 65536)):
            *lines, rest = (rest + data).split(b"\n")
            with self._changed:
                self.lines += [line.decode(errors="replace") for line in lines]
                self._changed.notify_all()

    def stop_reading(self):
        """Lets the program's stderr fill up (one read may still be under way)."""
        self._reading.clear()

    def read_on(self):
        self._reading.set()

    @property
    def text(self):
        with self._changed:
            return "\n".join(self.lines)

    @property
    def log(self):
        with self._changed:
            return [record for record in map(parse, self.lines) if record]

    def records(self, **wanted):
        """Log records in which each wanted name has that value; from_='1.2.3.4:5' asks for 'from', which Python reserves."""
        wanted = {name.rstrip("_"): str(value) for name, value in wanted.items()}
        return [r for r in self.log if all(str(r.get(name)) == value for name, value in wanted.items())]

    def wait_record(self, n=1, timeout=10, **wanted):
        """The first n records wanted; the one itself for n=1."""
        until(lambda: len(self.records(**wanted)) >= n or self.ended, f"{n} log lines with {wanted}", timeout)
        found = self.records(**wanted)
        assert len(found) >= n, f"no log line with {wanted} in:\n{self.text}"
        return found[0] if n == 1 else found[:n]

    def wait_text(self, regex, timeout=10):
        until(lambda: re.search(regex, self.text, re.M) or self.ended, f"/{regex}/ on stderr", timeout)
        found = re.search(regex, self.text, re.M)
        assert found, f"no /{regex}/ in:\n{self.text}"
        return found

    # Its life

    @property
    def ended(self):
        if self.process.poll() is None:
            return False
        self._reader.join(5)
        return True

    def wait_ready(self):
        until(lambda: "sockeye: ready" in self.lines or self.ended, "the line 'sockeye: ready'")
        assert "sockeye: ready" in self.lines, f"ended with {self.process.returncode}:\n{self.text}"
        for line in self.lines:
            if found := _LISTENING.match(line):
                host, port, type, name = found.groups()
                self.listeners.append(Listener(host.strip("[]"), int(port), type, name))
        return self

    def addr(self, name=None, host=None):
        """(host, port) of the first listener, or of the first one with that name or address."""
        for listener in self.listeners:
            if name in (None, listener.name) and host in (None, listener.host):
                return listener.host, listener.port
        raise AssertionError(f"no listener {name or host} in {self.listeners}")

    @property
    def port(self):
        return self.addr()[1]

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=15):
        """Waits for its end; returns the exit code."""
        code = self.process.wait(timeout * SLOWNESS)
        self._reader.join(5)
        return code

    def stop(self, number=signal.SIGTERM):
        """A clean end is part of every test: exit code 0 and no sanitizer's report."""
        if self.process.poll() is None:
            self.send_signal(number)
        self.read_on()
        code = self.wait()
        self.assert_no_report()
        assert code == 0, f"exit code {code}; log:\n{self.text[-4000:]}"

    def assert_no_report(self):
        found = [mark for mark in REPORTS if mark in self.text]
        assert not found, f"{found} in the log:\n{self.text[-8000:]}"

    def kill(self):
        self.read_on()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        self.process.stderr.close()

    # What it holds

    def n_descriptors(self):
        return len(proc.descriptors(self.pid))

    def wait_descriptors(self, at_most, timeout=10):
        until(lambda: self.n_descriptors() <= at_most, f"at most {at_most} descriptors (has {self.n_descriptors()})", timeout)


def run_cli(*args, home, env=None, prefix=(), stdin="", timeout=20, program=BIN):
    """Runs the program to its end; Result(code, out, err)."""
    done = subprocess.run([*prefix, str(program), *map(str, args)], cwd=home, env=environment(home, env), input=stdin,
                          capture_output=True, text=True, timeout=timeout * SLOWNESS)
    found = [mark for mark in REPORTS if mark in done.stderr]
    assert not found, f"{found} in:\n{done.stderr[-8000:]}"
    return Result(done.returncode, done.stdout, done.stderr)
