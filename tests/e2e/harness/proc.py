"""What a process holds and does, from /proc and ss(8)."""

import os
import re
import subprocess
from collections import namedtuple

Socket = namedtuple("Socket", "state local peer options")


def descriptors(pid):
    """{number: what it is}, such as {5: 'socket:[12345]'}."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass
    return found


def pipes(pid):
    return [d for d in descriptors(pid).values() if d.startswith("pipe:")]


def sockets(pid):
    return [d for d in descriptors(pid).values() if d.startswith("socket:")]


def rss_bytes(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _tasks(pid, file):
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/{file}") as f:
                yield f.read()
        except (FileNotFoundError, ProcessLookupError):
            pass


def cpu_s(pid):
    """CPU time of all threads; /proc/PID/stat counts in ticks of 10 ms, too coarse here."""
    return sum(int(text.split()[0]) for text in _tasks(pid, "schedstat")) / 1e9


def cpu_s_of_each_thread(pid):
    return [int(text.split()[0]) / 1e9 for text in _tasks(pid, "schedstat")]


def wakeups(pid):
    """How often its threads have gone to sleep of their own accord, so also how often they were woken."""
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.M)[1]) for text in _tasks(pid, "status"))


def status(pid):
    """/proc/PID/status as a dict of strings."""
    with open(f"/proc/{pid}/status") as f:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in f)}


def soft_limit_of_descriptors(pid):
    with open(f"/proc/{pid}/limits") as f:
        return int(re.search(r"^Max open files\s+(\d+)", f.read(), re.M)[1])


def tcp(pid, state="all"):
    """The TCP sockets that the process holds, in an ss(8) state such as close-wait."""
    out = subprocess.run(["ss", "-HtanpoO", "state", state], check=True, capture_output=True, text=True).stdout
    found = []
    for line in out.splitlines():
        if f"pid={pid}," not in line:
            continue
        words = line.split()
        if state != "all":
            words.insert(0, state.upper())
        found.append(Socket(words[0], words[3], words[4], " ".join(words[5:])))
    return found
