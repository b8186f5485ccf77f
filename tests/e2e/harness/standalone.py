"""A tunnel in a network of its own, without pytest: for the soak and the bench."""

from harness import client
from harness.binary import BIN
from harness.origin import Origin
from harness.program import Sockeye, complete, write_config
from harness.tunnel import Tunnel


class Standalone:
    """Both ends and what is around them, in a directory; joined is the Cable or Line between them."""

    def __init__(self, place, joined, workers=1, **options):
        self.place, self.joined, self.workers = place, joined, workers
        self.programs, self.socks, self.origins = [], [], []
        states = {name: place / name for name in ("near", "far")}
        for path in states.values():
            path.mkdir()
        self.tunnel = Tunnel(self._start, joined, states, **options)
        self.tunnel.origin, self.tunnel.open_client = self._origin, self._dial
        self.tunnel.start_far()
        self.tunnel.start_near()
        self.tunnel.wait_linked()

    def _start(self, config, **options):
        file = self.place / f"config-{len(self.programs)}.yaml"
        write_config(file, complete(config, self.workers))
        self.programs.append(Sockeye([BIN, "run", "-c", file], self.place, **options))
        return self.programs[-1].wait_ready()

    def _origin(self, handler, host="127.0.0.1", port=0):
        self.origins.append(Origin(handler, host, port))
        return self.origins[-1]

    def _dial(self, addr, timeout):
        self.socks.append(client.dial(addr, timeout=timeout))
        return self.socks[-1]

    def log(self):
        return "\n".join("\n".join(program.lines[-30:]) for program in self.programs)

    def close(self):
        for sock in self.socks:
            sock.close()
        for program in self.programs:
            program.kill()
        self.joined.close()
