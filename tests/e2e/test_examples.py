"""The configurations that doc/features.md shows for tunnels, started as they stand there but for their addresses."""

import re

import pytest

from harness import client
from harness.bed import FAR, MIDDLE, TARGET
from harness.binary import ROOT, SLOWNESS
from harness.origin import echo
from harness.tunnel import Transfer, two_way
from harness.wait import until

# The far end is on the middle machine, the second one on the far one.
MACHINES = {"near": "near", "far": "middle", "second": "far"}
ADDRESSES = {"203.0.113.5": MIDDLE, "198.51.100.7": FAR}


def examples():
    """{its name: {machine: configuration}}"""
    text = (ROOT / "doc/features.md").read_text()
    found = {}
    for name, end, config in re.findall(r"^```yaml\n# (\w+): (\w+)\.yaml\n(.*?)^```$", text, re.M | re.S):
        found.setdefault(name, {})[MACHINES[end]] = config
    return found


EXAMPLES = examples()


@pytest.fixture
def keys(cli, place):
    for name in ("tunnel", "second"):
        assert cli("keygen", "-o", place / f"{name}.key").code == 0
    for name in ("server", "ann"):
        assert cli("keygen", "--identity", "ed25519", "-o", place / name).code == 0


def adapted(config, port):
    """At our addresses, and to a mail server that is somewhere else."""
    for documented, ours in ADDRESSES.items():
        config = config.replace(documented, ours)
    for inside in ("127.0.0.1:25", "127.0.0.1:3389"):
        config = config.replace(inside, f"127.0.0.1:{port}")
    return config.replace("198.51.100.0/24", "*")


def test_what_is_said_of_the_log_is_what_the_log_says():
    section = (ROOT / "doc/configuration.md").read_text().split("### When a tunnel does not work")[1].split("\n## ")[0]
    quoted = re.findall(r'`"(.+?)…?"`', section)
    source = re.sub(r'"\s*"', "", "".join(path.read_text() for path in (ROOT / "src").rglob("*.c")))
    assert len(quoted) > 10 and not [words for words in quoted if f'"{words}' not in source]


def test_the_documentation_has_them():
    assert set(EXAMPLES) == {"service", "identities", "aggregated", "distributed", "reverse", "hops", "behind"}
    assert all("near" in example and "middle" in example for example in EXAMPLES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_of_a_tunnel(bed, keys, name):
    """A transfer both ways goes through it: to the target's machine, or to where the last end's own network has it."""
    example = EXAMPLES[name]
    last = "far" if "far" in example else "middle"
    # By a relay to a service at the other end; else by the proxy to wherever.
    client_at, port_at, service_at = {"service": (bed.near, ("127.0.0.1", 2525), bed.middle),
                                      "reverse": (bed.middle, (MIDDLE, 8888), bed.near)}.get(name, (bed.near, ("127.0.0.1", 1080), None))
    host = "127.0.0.1" if service_at else {"far": TARGET, "middle": FAR}[last]
    with {"127.0.0.1": service_at, TARGET: bed.target, FAR: bed.far}[host].entered():
        echoing, server = bed.origin(echo, host), bed.origin(two_way, host)
    port = echoing.port
    for machine in reversed([machine for machine in MACHINES.values() if machine in example]):
        bed.start(machine, adapted(example[machine], port), private=True)

    def connect(target):
        with client_at.entered():
            sock = bed.open_client(port_at)
        if not service_at:
            assert client.socks5(sock, *target.addr).code == 0
        return sock

    def is_open():
        try:
            sock = connect(echoing)
            sock.settimeout(2)
            sock.sendall(b"hello")
            return client.receive_exactly(sock, 5) == b"hello"
        except (OSError, EOFError, AssertionError):
            return False
    until(is_open, "a way through it", timeout=40)
    if not service_at:
        Transfer(connect(server), 1_000_000, 1_000_000, 1).end(60 * SLOWNESS)
