"""Two machines in one: the namespaces near and far, joined by a cable or an emulated line, and what may happen to it.

Each is a network namespace inside the test run's own; a program runs there by its prefix, and what a
test opens `with far.entered():` belongs there for good.
"""

import contextlib
import ctypes
import os
import subprocess
import threading

from harness import network

NUMBER = 77
NEAR4, FAR4 = f"10.{NUMBER}.0.1", f"10.{NUMBER}.0.2"
NEAR6, FAR6 = f"fd{NUMBER}::1", f"fd{NUMBER}::2"
# Where the near end is after it has moved.
MOVED4, MOVED6 = f"10.{NUMBER}.0.9", f"fd{NUMBER}::9"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


class Namespace:
    """Lives as long as its descriptor is open here, or a process in it runs."""

    def __init__(self):
        failed = []

        def make():    # a thread may have a network of its own
            try:
                _check(_libc.unshare(network.CLONE_NEWNET), "unshare")
                self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            except OSError as error:
                failed.append(error)
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.prefix = ["nsenter", f"--net={self.path}", "--"]
        self.run("ip", "link", "set", "lo", "up")
        # The usual BBR paces, and so hides what a test is about.
        self.write("net/ipv4/tcp_congestion_control", "reno")

    def run(self, *command, stdin=None):
        """Runs a command there to its end; returns what it said."""
        done = subprocess.run([*self.prefix, *command], input=stdin, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
        return done.stdout

    def write(self, name, value):
        """Sets a sysctl, such as net/ipv4/tcp_congestion_control."""
        self.run("sh", "-c", f"echo '{value}' > /proc/sys/{name}")

    @contextlib.contextmanager
    def entered(self):
        """Moves this thread there: for opening sockets."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _check(_libc.setns(self.fd, network.CLONE_NEWNET), "setns")
            try:
                yield self
            finally:
                _check(_libc.setns(home, network.CLONE_NEWNET), "setns")
        finally:
            os.close(home)

    def close(self):
        os.close(self.fd)

    # Its firewall: rules about TCP connections with one of those ports at either end, until the block is left.

    @contextlib.contextmanager
    def _ruled(self, ports, verdict):
        ports = "{ " + ", ".join(map(str, ports)) + " }"
        chains = "".join(f"chain {hook} {{ type filter hook {hook} priority 0;\n"
                         f"tcp dport {ports} {verdict}\ntcp sport {ports} {verdict}\n}}\n" for hook in ("input", "output"))
        self.run("nft", "-f", "-", stdin=f"table inet test {{\n{chains}}}\n")
        try:
            yield
        finally:
            self.run("nft", "delete", "table", "inet", "test")

    def resetting(self, *ports):
        """Whoever sends a segment of such a connection gets a reset."""
        # Not the resets themselves, which leave by the output chain too.
        return self._ruled(ports, "tcp flags & rst == 0 reject with tcp reset")

    def dropping(self, *ports):
        return self._ruled(ports, "drop")

    def forgetting(self, port):
        """What a firewall does that has forgotten the connections from here to that port: they are dead without a word, and new ones are not."""
        return self.dropping(*(here.rpartition(":")[2] for here, there in self.connections(port) if there.endswith(f":{port}")))

    def connections(self, port):
        """(local, peer) of the connections with that port that a program has; not of those that it is making."""
        out = self.run("ss", "-Htan", f"( sport = :{port} or dport = :{port} )")
        rows = [line.split() for line in out.splitlines()]
        return {(row[3], row[4]) for row in rows if row[0] in ("ESTAB", "CLOSE-WAIT")}

    def kill_connections(self, port):
        """Ends them as if an administrator did: their owner finds ECONNABORTED and the other side gets a reset.
        Returns how many it were."""
        out = self.run("ss", "-HtnK", f"( sport = :{port} or dport = :{port} )")
        return len(out.splitlines())


class Cable:
    """near and far, joined by a veth pair: `wire` in both.

    Either may be a namespace that is there, so that several cables meet in it; each is then a network of its own, by its number.
    """

    made_as = "wire"

    def __init__(self, near=None, far=None, number=NUMBER):
        self.near, self.far = near or Namespace(), far or Namespace()
        self.near4, self.far4, self.moved4 = (f"10.{number}.0.{host}" for host in (1, 2, 9))
        self.near6, self.far6, self.moved6 = (f"fd{number}::{host}" for host in (1, 2, 9))
        self.network4 = f"10.{number}.0.0/24"
        self.device = self.made_as if number == NUMBER else f"{self.made_as}{number}"
        self.join()
        for side, ip4, ip6 in ((self.near, self.near4, self.near6), (self.far, self.far4, self.far6)):
            if self.device != self.made_as:
                side.run("ip", "link", "set", self.made_as, "name", self.device)
            side.run("ip", "link", "set", self.device, "addrgenmode", "none", "up")
            self._address(side, "add", ip4, ip6)

    def join(self):
        self.near.run("ip", "link", "add", self.made_as, "type", "veth", "peer", "name", self.made_as, "netns", self.far.path)

    def _address(self, side, verb, ip4, ip6):
        side.run("ip", "address", verb, f"{ip4}/24", "dev", self.device)
        side.run("ip", "address", verb, f"{ip6}/64", "dev", self.device, *["nodad"] * (verb == "add"))

    def move_near(self):
        """Another network: the near machine's addresses are gone and it has others; again moves it back."""
        addresses = [(self.near4, self.near6), (self.moved4, self.moved6)]
        if self.near4 not in self.near.run("ip", "address", "show", "dev", self.device):
            addresses.reverse()
        self._address(self.near, "delete", *addresses[0])
        self._address(self.near, "add", *addresses[1])

    def set_up(self, up):
        """The near machine's plug, in or out."""
        self.near.run("ip", "link", "set", self.device, "up" if up else "down")
        if up:    # going down it has lost its IPv6 address
            found = self.near.run("ip", "address", "show", "dev", self.device)
            ip6 = self.near6 if self.near4 in found else self.moved6
            self.near.run("ip", "address", "replace", f"{ip6}/64", "dev", self.device, "nodad")

    def close(self):
        self.near.close()
        self.far.close()
