"""sockeye top: on a real terminal, tmux's, and without one."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from harness import client
from harness.binary import BIN
from harness.origin import echo
from harness.program import environment
from harness.services import free_port
from harness.tunnel import KEY
from harness.wait import until


class Terminal:
    """One window of a tmux of its own, in which a command runs behind a line of ours."""

    def __init__(self, place, width=80, height=24):
        self.env = {**environment(place), "TMUX_TMPDIR": str(place), "SHELL": "/bin/sh", "TERM": "screen"}
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "PS1='$ ' exec /bin/sh")
        self.wait_prompt()

    def tmux(self, *args):
        return subprocess.run(["tmux", *args], env=self.env, check=True, capture_output=True, text=True, timeout=30).stdout

    @property
    def text(self):
        return self.tmux("capture-pane", "-p")

    def type(self, *keys):
        self.tmux("send-keys", *keys)

    def run(self, *argv):
        self.type(shlex.join(map(str, argv)), "Enter")

    def wait(self, regex):
        until(lambda: re.search(regex, self.text, re.M), f"/{regex}/ on the screen:\n{self.text}", timeout=20)
        return self.text

    def wait_prompt(self):
        """The shell reads: what is typed now no other program gets."""
        until(lambda: self.text.rstrip().endswith("$"), "the shell's prompt", timeout=20)

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def close(self):
        self.tmux("kill-server")


@pytest.fixture
def terminal(place):
    if not shutil.which("tmux"):
        pytest.fail("no tmux: scripts/setup test", pytrace=False)
    terminal = Terminal(place)
    yield terminal
    terminal.close()


@pytest.fixture
def busy(sockeye, origin, dial, place, far_state):
    """Both ends of a tunnel in one process, a stream through them, and the path of its status socket."""
    port = free_port()
    program = sockeye(f"state: {far_state}\nadmin: {{socket: {place / 'status'}}}\ninbounds:\n"
                      f'  - {{type: tunnel, name: there, listen: "127.0.0.1:{port}", key: "{KEY}", outbound: direct, allow_targets: ["127.0.0.0/8"]}}\n'
                      '  - {type: mixed, name: lan, listen: "127.0.0.1:0", outbound: home}\n'
                      f'outbounds:\n  - {{type: tunnel, name: home, server: "127.0.0.1:{port}", key: "{KEY}"}}\n')
    sock = dial(program.addr("lan"), timeout=30)
    assert client.socks5(sock, *origin(echo).addr).code == 0
    return program, place / "status"


NEAR = r"^near home +1 +1 .* 0$"
FAR = r"^far  there +1 +1 .* 0$"


def test_top_draws_sessions_and_links_and_gives_the_terminal_back(terminal, busy):
    program, status = busy
    terminal.type("echo what stood there before", "Enter")
    terminal.wait("^what stood")
    terminal.wait_prompt()
    terminal.run(BIN, "top", "--socket", status)
    page = terminal.wait(NEAR)
    assert re.search(FAR, page, re.M) and f"pid {program.pid}, up " in page
    assert "tunnels: sessions 2, links 2, streams 2" in page and "q quit" in page
    assert len(re.findall(r"^  127\.0\.0\.1:\d+ .* (?:ms|-) +\d+$", page, re.M)) == 2
    # It is drawn anew.
    up = re.search(r"up ([\d:]+)$", page, re.M)[1]
    until(lambda: re.search(r"up ([\d:]+)$", terminal.text, re.M)[1] != up, "another time on the screen")
    terminal.type("q")
    terminal.wait_prompt()
    assert "\nwhat stood there before\n" in terminal.text
    terminal.type("echo code $?; stty -a", "Enter")
    page = terminal.wait(r"^code 0$")
    assert " icanon" in terminal.wait("icanon") and " echo " in page and "q quit" not in page


def test_top_sorts_hides_links_and_follows_the_size(terminal, busy):
    _, status = busy
    terminal.run(BIN, "top", "--socket", status)
    terminal.wait("sorted by rate$")
    for key, order in (("n", "name"), ("s", "streams"), ("r", "round trip"), ("l", "links lost"), ("b", "rate")):
        terminal.type(key)
        terminal.wait(f"sorted by {order}$")
    terminal.type("n")
    page = terminal.wait("sorted by name$")
    assert page.index("near home") < page.index("far  there")
    terminal.type("k")
    until(lambda: "  127.0.0.1:" not in terminal.text, "no links on the screen")
    terminal.resize(40, 8)
    terminal.wait(r"^and 2 more$")
    assert all(len(line) <= 40 for line in terminal.text.splitlines())
    terminal.resize(100, 30)
    terminal.wait(NEAR)
    terminal.type("q")
    terminal.wait_prompt()


@pytest.mark.parametrize("end", ["C-c", "TERM"])
def test_top_gives_the_terminal_back_when_it_is_interrupted(terminal, busy, end):
    _, status = busy
    terminal.run(BIN, "top", "--socket", status)
    terminal.wait(NEAR)
    if end == "C-c":
        terminal.type(end)
    else:
        shell = terminal.tmux("display-message", "-p", "#{pane_pid}").strip()
        os.kill(int(pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text()), signal.SIGTERM)
    terminal.wait_prompt()
    terminal.type("stty -a", "Enter")
    assert " icanon" in terminal.wait("icanon") and " echo " in terminal.text


def test_top_stops_and_goes_on(terminal, busy):
    _, status = busy
    terminal.run(BIN, "top", "--socket", status)
    terminal.wait(NEAR)
    terminal.type("C-z")
    terminal.wait("Stopped")
    terminal.wait_prompt()
    terminal.type("fg", "Enter")
    terminal.wait(NEAR)
    terminal.type("q")
    terminal.wait_prompt()


def test_top_says_when_nobody_answers_any_more_and_finds_the_next_one(terminal, busy, sockeye, place):
    program, status = busy
    terminal.run(BIN, "top", "--socket", status)
    terminal.wait(NEAR)
    program.stop()
    terminal.wait(f"pid {program.pid}: does not answer any more")
    after = sockeye(f'inbounds: [{{type: mixed, listen: "127.0.0.1:0"}}]\nadmin: {{socket: {status}}}\n')
    terminal.wait(f"pid {after.pid}, up ")
    terminal.type("q")
    terminal.wait_prompt()


def test_top_without_a_terminal_prints_one_page(busy, cli):
    program, status = busy
    result = cli("top", "--socket", status)
    assert result.code == 0 and result.err == "" and "\033" not in result.out
    assert f"pid {program.pid}, up " in result.out
    assert re.search(NEAR, result.out, re.M) and re.search(FAR, result.out, re.M)


def test_top_on_a_dumb_terminal_prints_one_page(terminal, busy):
    program, status = busy
    terminal.run("env", "TERM=dumb", BIN, "top", "--socket", status)
    assert "q quit" not in terminal.wait(NEAR)
    terminal.wait_prompt()


def test_top_without_a_running_program_is_69(cli, place):
    result = cli("top", "--socket", place / "nobody")
    assert result.code == 69 and result.out == "" and "is sockeye running?" in result.err


def test_top_of_another_version_says_so(cli, place):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "status"))
        listener.listen()

        def serve():
            conn, _ = listener.accept()
            with conn:
                conn.recv(100)
                conn.sendall(b"status of another kind\n")
        threading.Thread(target=serve, daemon=True).start()
        result = cli("top", "--socket", place / "status")
    assert result.code == 69 and "another version" in result.err
