"""Fixtures: the program, the peers around it, and sockets to it. Everything they give ends with the test."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from configs import inbound
from harness import client, network
from harness.bed import Bed, Machines
from harness.binary import BIN, SANITIZER
from harness.dnsserver import DnsServer
from harness.interop import KEY_OF, FarEnd, Keys, far_end_config
from harness.line import Line
from harness.namespaces import Cable
from harness.origin import Origin
from harness.program import Sockeye, complete, run_cli, write_config
from harness.services import OTHERS, free_port, is_listening
from harness.tunnel import Tunnel
from harness.wait import until


def pytest_configure(config):
    network.isolate()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """So that fixtures know how the test went."""
    outcome = yield
    if call.when == "call":
        item.has_failed = outcome.get_result().failed


def pytest_report_header(config):
    where = "a network namespace of its own" if network.isolated else "the machine's network (not root: some tests are skipped)"
    return (f"program: {BIN}, sanitizer: {SANITIZER or 'none'}, "
            f"backend: {os.environ.get('SOCKEYE_BACKEND') or 'default'}, in {where}")


@pytest.fixture
def place():
    """A directory that every user may enter (pytest's own are closed to all but one)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sockeye-e2e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def clients():
    """The client sockets that a test has opened."""
    opened = []
    yield opened
    for sock in opened:
        sock.close()


@pytest.fixture
def dial(clients):
    """Opens client connections: dial(addr, source=None)."""
    def open_one(addr, source=None, timeout=10):
        clients.append(client.dial(addr, source, timeout))
        return clients[-1]
    return open_one


@pytest.fixture
def sockeye(request, place, clients):
    """Starts the program with a configuration and waits until it is ready; at the end it must stop cleanly.

    One worker, as that is easier to follow, and four in tests marked `workers`.
    """
    if not BIN.is_file():
        pytest.fail(f"no program at {BIN}: build it, or set SOCKEYE_BIN", pytrace=False)
    workers = 4 if request.node.get_closest_marker("workers") else 1
    started = []

    def start(config=None, *, argv=None, program=BIN, ready=True, expect_clean=True, **options):
        if config is not None:
            file = place / f"config-{len(started)}.yaml"
            write_config(file, complete(config, workers))
            argv = ["run", "-c", file]
        started.append((Sockeye([program, *argv], place, **options), expect_clean))
        return started[-1][0].wait_ready() if ready else started[-1][0]
    yield start
    if getattr(request.node, "has_failed", False):
        for program, _ in started:
            print(f"--- {' '.join(map(str, program.process.args))}:", *program.lines[-60:], sep="\n")
    # So that stopping need not wait for flows.
    for sock in clients:
        sock.close()
    try:
        for program, expect_clean in started:
            # What a test has stopped itself, it has judged itself.
            if expect_clean and program.process.poll() is None:
                program.stop()
            elif expect_clean:
                program.assert_no_report()
    finally:
        for program, _ in started:
            program.kill()


@pytest.fixture
def osocks(place):
    """The program's path under the seed's name."""
    path = place / "osocks"
    path.symlink_to(BIN)
    return path


@pytest.fixture
def cli(place):
    """Runs the program to its end: cli("check", "-c", file) -> Result."""
    def run(*args, **options):
        return run_cli(*args, home=place, **options)
    return run


@pytest.fixture
def origin():
    """Starts servers: origin(handler, host="127.0.0.1")."""
    started = []

    def start(handler, host="127.0.0.1", port=0):
        started.append(Origin(handler, host, port))
        return started[-1]
    yield start
    for server in started:
        server.close()


@pytest.fixture
def cable():
    """near and far, joined by a cable."""
    network.need_own_network()
    joined = Cable()
    yield joined
    joined.close()


@pytest.fixture
def line():
    """near and far, joined by an emulated line."""
    network.need_own_network()
    joined = Line()
    yield joined
    joined.close()


@pytest.fixture
def machines():
    """Five of them in a row, and nothing on them."""
    network.need_own_network()
    made = Machines()
    yield made
    made.close()


@pytest.fixture
def bed(machines, sockeye, dial, origin, far_state, place):
    """The same with programs and what goes through them: harness/bed.py."""
    return Bed(machines, sockeye, dial, origin, far_state, place)


@pytest.fixture(scope="session")
def far_state(tmp_path_factory):
    """Kept from test to test: a far end that knows of no flight before refuses all of its first two seconds."""
    return tmp_path_factory.mktemp("far-state")


@pytest.fixture
def tunnel(request, sockeye, origin, dial, place, far_state):
    """Starts both ends of a tunnel and waits until it carries something: tunnel(near={...}, far={...}) -> Tunnel.

    joined is the fixture that joins their networks, cable or line.
    """
    def start(joined="cable", wait=True, private_state=False, **options):
        states = {"near": place / "near-state", "far": place / "far-state" if private_state else far_state}
        for path in states.values():
            path.mkdir(exist_ok=True)
        made = Tunnel(sockeye, request.getfixturevalue(joined), states, **options)
        made.origin, made.open_client = origin, dial
        if wait:
            made.start_far()
            made.start_near()
            made.wait_linked()
        return made
    return start


@pytest.fixture
def far_end(sockeye, far_state):
    """Starts a far end for the second implementation's client: far_end(key=bytes, **its options in YAML) -> FarEnd.

    keys are what the client knows where that is not key alone, options those of its Near.
    """
    def start(key=KEY_OF[32], keys=None, options=None, state=None, **yaml):
        keys = keys or Keys(key)
        state = state or far_state / keys.tag.hex()
        end = FarEnd(sockeye(far_end_config(state, key, **yaml)), keys, options or {})
        until(end.answers, "an answer of the far end", timeout=20)
        return end
    return start


@pytest.fixture
def flow(sockeye, origin, dial):
    """Opens a flow to a server with that handler: flow(handler, config) -> (client socket, origin, proxy)."""
    def start(handler, config=inbound(), protocol="socks5"):
        proxy, server = sockeye(config), origin(handler)
        sock = dial(proxy.addr(), timeout=20)
        assert client.open_flow(sock, protocol, *server.addr) == client.GRANTED[protocol]
        return sock, server, proxy
    return start


@pytest.fixture
def dns():
    """Starts DNS servers: dns({name: Answer(...)})."""
    started = []

    def start(names, host="127.0.0.1", port=0):
        started.append(DnsServer(names, host, port))
        return started[-1]
    yield start
    for server in started:
        server.close()


@pytest.fixture
def spawn(place):
    """Runs other programs beside: spawn(argv, ...) -> Popen, its output in a file beside the test's others."""
    started = []

    def start(argv, **options):
        log = open(place / f"{pathlib.Path(argv[0]).name}-{len(started)}.log", "wb")
        with log:
            started.append(subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options))
        return started[-1]
    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def other(spawn, place):
    """Starts one of services.OTHERS: other(which) -> (type, port, its keys)."""
    def start(which):
        begin, type, keys = OTHERS[which]
        port = free_port()
        begin(spawn, place, port)
        until(lambda: is_listening(port), which)
        return type, port, keys
    return start
