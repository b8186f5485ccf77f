"""Transfers through a tunnel whose carriers are lost again and again, in every way there is.

    tests/soak/carriers.py LOSSES [SEED]

Goes on until so many losses have been lived through with this version of the sources: what was done
is added to build/soak/carriers.json, so a run that was stopped is gone on with. Each cycle is two
processes, 16 streams up and down at once, a gigabyte, and LOSSES_A_CYCLE losses on its way; every
byte is checked. At the end of each either process is killed in the middle of more transfers, which
have to be reset, and never to look complete.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from harness import network    # noqa: E402
from harness.losses import WAYS, silence    # noqa: E402
from harness.namespaces import Cable    # noqa: E402
from harness.standalone import Standalone    # noqa: E402
from harness.tunnel import Traffic, Transfer, two_way    # noqa: E402
from harness.wait import until    # noqa: E402

N_STREAMS, STREAM_BYTES = 16, 32 << 20    # each way
LOSSES_A_CYCLE = 10
SILENCE_S = 20
CYCLE_S = 900
STATE = ROOT / "build/soak/carriers.json"


def lose_all(way, t):
    silence(t, SILENCE_S) if way is silence else way(t)


def transfers_with_losses(t, rng):
    """Returns by what the carriers were lost, and how many bytes went through."""
    traffic = Traffic(t, N_STREAMS, STREAM_BYTES, CYCLE_S)
    # Silence takes long and tells little more the second time.
    ways = [*WAYS, *rng.choices([way for way in WAYS if way is not silence], k=LOSSES_A_CYCLE - len(WAYS))]
    rng.shuffle(ways)
    for way in ways:
        traffic.wait_more(int(N_STREAMS * STREAM_BYTES * rng.random() * 1.6 / LOSSES_A_CYCLE))
        lose_all(way, t)
    traffic.end()
    traffic.server.close()
    return [way.__name__ for way in ways], 2 * traffic.n_received


def kill_in_the_middle(t, which):
    """Returns how many bytes have come before. Downloads only: who sends meanwhile may be told of the reset in place of who receives."""
    server = t.serve(two_way)
    transfers = [Transfer(t.connect(server), 0, 1 << 34, seed) for seed in range(4)]
    until(lambda: all(one.n_received > 1 << 20 for one in transfers), "a beginning", CYCLE_S)
    getattr(t, which).kill()
    t.start_near() if which == "near" else t.start_far()
    for one in transfers:
        one.join(60)
        assert not one.is_alive(), "neither reset nor ended"
        # What the kernel says for a near end that is dead is not ours: there only the bytes count.
        cut_off = isinstance(one.error, ConnectionResetError if which == "far" else (ConnectionError, AssertionError))
        assert cut_off and "wrong bytes" not in str(one.error), one.error
    t.wait_linked()
    return sum(one.n_received for one in transfers)


def version():
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD:src"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def add_up(ways, n_bytes):
    STATE.parent.mkdir(parents=True, exist_ok=True)
    state = json.loads(STATE.read_text()) if STATE.is_file() else {}
    mine = state.setdefault(version(), {"losses": {}, "bytes": 0})
    for way in ways:
        mine["losses"][way] = mine["losses"].get(way, 0) + 1
    mine["bytes"] += n_bytes
    STATE.write_text(json.dumps(state, indent=1))
    return sum(mine["losses"].values()), mine["bytes"]


def cycle(rng):
    with tempfile.TemporaryDirectory(prefix="sockeye-soak-") as place:
        world = Standalone(pathlib.Path(place), Cable(), workers=2, near={"keepalive_s": 2})
        try:
            ways, n_bytes = transfers_with_losses(world.tunnel, rng)
            for which in ("near", "far"):
                n_bytes += kill_in_the_middle(world.tunnel, which)
                ways.append(f"{which} end killed")
            return ways, n_bytes
        except BaseException:
            print(world.log(), file=sys.stderr)
            raise
        finally:
            world.close()


def main():
    wanted = int(sys.argv[1])
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.SystemRandom().randrange(1 << 32))
    network.isolate()
    n_lost, n_bytes = add_up([], 0)
    number = 0
    while n_lost < wanted:
        began = time.monotonic()
        n_lost, n_bytes = add_up(*cycle(random.Random(f"{seed}-{number}")))
        print(f"carriers: seed {seed}-{number}, {time.monotonic() - began:.0f} s; {n_lost} losses, {n_bytes / 1e9:.1f} GB in all", flush=True)
        number += 1
    print(f"The carriers' soak has passed: {n_lost} losses, {n_bytes / 1e9:.1f} GB.")


main()
