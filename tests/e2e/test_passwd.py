"""`sockeye passwd`: lines for a users_file."""

import os
import pty
import signal
import subprocess
import termios

import pytest

from harness.binary import BIN, SLOWNESS
from harness.wait import until


def is_right(password, hash):
    """By another program's reading of crypt(5)."""
    code = "use utf8; binmode STDIN; my ($p, $h) = @ARGV; exit(crypt($p, $h) eq $h ? 0 : 1)"
    return subprocess.run(["perl", "-e", code, password, hash], check=False).returncode == 0


def test_a_line_holds_the_name_and_a_strong_hash_with_a_salt_of_its_own(cli):
    lines = set()
    for _ in range(2):
        result = cli("passwd", "ann", stdin="s3cret\n")
        assert result.code == 0 and result.err == ""
        name, hash = result.out.rstrip("\n").split(":", 1)
        assert name == "ann" and hash.startswith("$y$") and "s3cret" not in result.out
        assert is_right("s3cret", hash) and not is_right("s3cret2", hash)
        lines.add(result.out)
    assert len(lines) == 2


@pytest.mark.parametrize("password", ["x", "with spaces : and # $y$", " ", "\u00e4\u20ac", "x" * 255])
def test_any_password_will_do(cli, password):
    result = cli("passwd", "ann", stdin=password + "\n")
    assert result.code == 0 and is_right(password, result.out.rstrip("\n").split(":", 1)[1])


def test_the_end_of_the_input_ends_the_line_too(cli):
    assert is_right("s3cret", cli("passwd", "ann", stdin="s3cret").out.rstrip("\n").split(":", 1)[1])


@pytest.mark.parametrize("password", ["", "\n", "x" * 256 + "\n", "a\0b\n", "x" * 100000], ids=["nothing", "empty", "256", "zero", "huge"])
def test_what_is_no_password_is_65_and_prints_no_line(cli, password):
    result = cli("passwd", "ann", stdin=password)
    assert result.code == 65 and result.out == "" and result.err.count("\n") == 1


def test_a_hash_in_the_place_of_a_password_is_warned_of(cli, place):
    hash = cli("passwd", "ann", stdin="s3cret\n").out.rstrip("\n").split(":", 1)[1]
    users = f"[{{name: ann, password: '{hash}'}}, {{name: bob, password: '$ecret'}}]"
    (place / "c.yaml").write_text(f"inbounds:\n  - {{type: mixed, listen: 1080, users: {users}}}\n")
    result = cli("check", "-c", place / "c.yaml")
    assert result.code == 0 and hash not in result.err
    assert [line for line in result.err.splitlines() if "is taken for the password itself" in line and "c.yaml:2:" in line]
    assert result.err.count("the password itself") == 1


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a\x7fb", "\x1b[2J", "#ann", " #ann", "x" * 256], ids=repr)
def test_what_is_no_name_is_64(cli, name):
    result = cli("passwd", name, stdin="s3cret\n")
    assert result.code == 64 and result.out == "" and "\x1b" not in result.err


@pytest.mark.parametrize("words", [[], ["ann", "bob"], ["--fly", "ann"]], ids=" ".join)
def test_wrong_words_are_64(cli, words):
    assert cli("passwd", *words, stdin="s3cret\n").code == 64


class Terminal:
    """The program at a terminal: what it says there, what it prints, and whether typing is shown."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.text = b""
        self.process = subprocess.Popen([BIN, *args], stdin=slave, stderr=slave, stdout=subprocess.PIPE, start_new_session=True,
                                        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
        os.set_blocking(self.master, False)

    def has(self, text):
        try:
            self.text += os.read(self.master, 4096)
        except BlockingIOError:
            pass
        return text in self.text

    def answer(self, prompt, line):
        until(lambda: self.has(prompt) and not self.echoes(), f"the prompt {prompt}")
        os.write(self.master, line)

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def end(self):
        out, _ = self.process.communicate(timeout=20 * SLOWNESS)
        self.has(b"")
        return self.process.returncode, out.decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    started = []

    def start(*args):
        started.append(Terminal(*args))
        return started[-1]
    yield start
    for one in started:
        one.close()


def test_at_a_terminal_it_asks_twice_and_shows_nothing_of_it(terminal):
    at = terminal("passwd", "ann")
    at.answer(b"Password: ", b"s3cret\n")
    at.answer(b"Again: ", b"s3cret\n")
    code, out = at.end()
    assert code == 0 and is_right("s3cret", out.rstrip("\n").split(":", 1)[1])
    assert b"s3cret" not in at.text
    assert at.echoes(), "the terminal is as it was"


def test_two_different_passwords_are_refused(terminal):
    at = terminal("passwd", "ann")
    at.answer(b"Password: ", b"s3cret\n")
    at.answer(b"Again: ", b"S3cret\n")
    code, out = at.end()
    assert code == 65 and out == "" and at.has(b"different")


@pytest.mark.parametrize("key,number", [(b"\x03", signal.SIGINT), (None, signal.SIGTERM)], ids=["ctrl-c", "SIGTERM"])
def test_a_signal_ends_it_at_once_and_typing_is_shown_again(terminal, key, number):
    at = terminal("passwd", "ann")
    at.answer(b"Password: ", b"s3c")
    if key:
        os.write(at.master, key)
    else:
        at.process.send_signal(number)
    code, out = at.end()
    assert code == -number and out == "" and at.echoes()
