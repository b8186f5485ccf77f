"""`sockeye keygen` and `sockeye init`: keys, and configurations that hold one."""

import base64
import os
import re
import resource
import signal
import socket
import stat
import subprocess

import pytest

from harness import network
from harness.binary import BIN
from harness.client import receive_exactly, socks5
from harness.origin import echo
from harness.program import environment


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def key_of(text):
    return base64.b64decode(text.removesuffix("\n"), validate=True)


# keygen

@pytest.mark.parametrize("bits", [128, 192, 256, None])
def test_acc_77_a_key_has_as_many_bits_as_asked_for(cli, bits):
    result = cli("keygen", *(["--bits", bits] if bits else []))
    assert result.code == 0 and result.err == "" and result.out.count("\n") == 1
    assert len(key_of(result.out)) * 8 == (bits or 256)


def test_acc_30_no_key_is_made_twice(cli):
    assert len({cli("keygen").out for _ in range(20)}) == 20


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_acc_30_a_key_file_is_for_its_owner_alone(cli, place, umask):
    before = os.umask(umask)
    try:
        result = cli("keygen", "-o", "tunnel.key")
    finally:
        os.umask(before)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert mode_of(place / "tunnel.key") == 0o600
    assert len(key_of((place / "tunnel.key").read_text())) == 32


def test_a_key_file_is_what_key_file_reads(cli, place):
    cli("keygen", "--bits", "192", "--output", place / "tunnel.key")
    (place / "sockeye.yaml").write_text("inbounds: [{type: tunnel, listen: 4194, key_file: tunnel.key}]\n")
    result = cli("check", "-v", "-c", "sockeye.yaml")
    assert result.code == 0 and 'key_file: "tunnel.key"' in result.out
    assert (place / "tunnel.key").read_text().strip() not in result.out


@pytest.mark.parametrize("kind", ["file", "link to a file", "link to nothing", "folder"])
def test_what_is_there_is_never_overwritten(cli, place, kind):
    target, other = place / "tunnel.key", place / "other"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("dear to me")
    else:
        target.symlink_to(other)
    if kind == "link to a file":
        other.write_text("dear to me")
    result = cli("keygen", "-o", target)
    assert result.code == 73 and result.out == "" and str(target) in result.err
    assert kind == "folder" or kind == "link to nothing" or target.read_text() == "dear to me"
    assert kind != "link to nothing" or not other.exists()


@pytest.mark.parametrize("words", [["--bits", "129"], ["--bits", "0256"], ["--bits", ""], ["--bits"], ["-o"], ["stray"], ["-x"]], ids=" ".join)
def test_keygen_with_wrong_words_is_64_and_makes_nothing(cli, place, words):
    before = set(place.iterdir())
    result = cli("keygen", *words)
    assert result.code == 64 and result.out == "" and result.err and set(place.iterdir()) == before


def test_a_folder_that_is_not_there_is_73(cli, place):
    assert cli("keygen", "-o", place / "no" / "tunnel.key").code == 73


def on_a_full_disk():
    """Files end after 10 bytes, and writing more is an error, no signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


@pytest.mark.parametrize("words", [["keygen", "-o", "tunnel.key"], ["init"]], ids=lambda words: words[0])
def test_half_a_file_is_not_left_behind(place, words):
    before = set(place.iterdir())
    done = subprocess.run([BIN, *words], cwd=place, env=environment(place, None), capture_output=True, text=True, timeout=60,
                          preexec_fn=on_a_full_disk)
    assert done.returncode == 74 and done.stderr.startswith("sockeye: ")
    assert set(place.iterdir()) == before


def test_a_key_that_cannot_be_printed_is_74(place):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BIN, "keygen"], cwd=place, env=environment(place, None), stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 74 and done.stderr


# keygen --identity

def openssl(*args, **options):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, text=True, timeout=60, **options).stdout


IDENTITIES = {"ed25519": "ED25519 Private-Key", "rsa": "Private-Key: (3072 bit, 2 primes)"}


@pytest.mark.parametrize("kind", IDENTITIES)
def test_acc_30_a_pair_of_keys_is_one_by_openssls_reading(cli, place, kind):
    result = cli("keygen", "--identity", kind, "-o", "server", timeout=60)
    assert (result.code, result.out, result.err) == (0, "", "")
    private, public = place / "server.key", place / "server.pub"
    assert mode_of(private) == 0o600
    assert private.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")    # PKCS#8
    assert IDENTITIES[kind] in openssl("pkey", "-in", private, "-noout", "-text")
    assert openssl("pkey", "-in", private, "-pubout") == public.read_text()
    assert "PRIVATE" not in public.read_text()


def test_acc_30_no_pair_is_made_twice(cli, place):
    for name in ("a", "b", "c"):
        assert cli("keygen", "--identity", "ed25519", "-o", name).code == 0
    assert len({(place / f"{name}.{end}").read_text() for name in ("a", "b", "c") for end in ("key", "pub")}) == 6


@pytest.mark.parametrize("there", ["server.key", "server.pub"])
def test_a_pair_overwrites_neither_and_makes_none_alone(cli, place, there):
    (place / there).write_text("dear to me")
    before = set(place.iterdir())
    result = cli("keygen", "--identity", "ed25519", "-o", "server")
    assert result.code == 73 and there in result.err
    assert (place / there).read_text() == "dear to me" and set(place.iterdir()) == before


@pytest.mark.parametrize("words", [["--identity", "dsa", "-o", "x"], ["--identity", "ed25519"], ["--identity"], ["-o", ""],
                                   ["--identity", "rsa", "--bits", "256", "-o", "x"]], ids=" ".join)
def test_an_identity_with_wrong_words_is_64_and_makes_nothing(cli, place, words):
    before = set(place.iterdir())
    assert cli("keygen", *words).code == 64 and set(place.iterdir()) == before


def test_identities_are_checked_with_the_configuration(cli, place):
    for name, kind in (("server", "ed25519"), ("ann", "rsa")):
        assert cli("keygen", "--identity", kind, "-o", name, timeout=60).code == 0
    (place / "sockeye.yaml").write_text("""
inbounds:
  - {type: tunnel, listen: 4194, identity: server.key, peers: [ann.pub]}
outbounds:
  - {type: tunnel, name: home, server: "192.0.2.1:4194", identity: ann.key, peer: server.pub}
""")
    result = cli("check", "-v", "-c", "sockeye.yaml")
    assert result.code == 0 and result.err == ""
    assert 'identity: "server.key"' in result.out and 'peers: ["ann.pub"]' in result.out
    assert not any(line in result.out for line in (place / "server.key").read_text().splitlines() if not line.startswith("-"))


def test_keys_that_are_no_identity_are_told_with_their_place(cli, place):
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", place / "short.key")
    openssl("genpkey", "-algorithm", "X25519", "-out", place / "other.key")
    (place / "broken.pub").write_text("-----BEGIN PUBLIC KEY-----\nQUJD\n-----END PUBLIC KEY-----\n")
    for key, said in (("identity: short.key", "3072"), ("identity: other.key", "Ed25519"), ("peers: broken.pub", "PEM")):
        name = key.split()[1]
        (place / "sockeye.yaml").write_text(f"inbounds: [{{type: tunnel, listen: 4194, key: {'QUJD' * 8}, {key}}}]\n")
        (place / "sockeye.yaml").chmod(0o600)
        result = cli("check", "-c", "sockeye.yaml")
        assert result.code == 78 and result.err.count("\n") == 1, result.err
        assert result.err.startswith("sockeye.yaml:1:") and name in result.err and said in result.err, result.err


# init

def both(place):
    return (place / "server.yaml").read_text(), (place / "client.yaml").read_text()


def keys_in(text):
    return [line.split('"')[1] for line in text.splitlines() if line.strip().startswith("key:")]


def test_init_makes_two_ends_that_fit_and_says_how_to_use_them(cli, place):
    result = cli("init", "--server", "far.example.com:2222")
    assert result.code == 0 and result.err == ""
    server, client = both(place)
    assert keys_in(server) == keys_in(client) and len(key_of(keys_in(server)[0])) == 32
    assert '"*:2222"' in server and '"far.example.com:2222"' in client
    for word in ("server.yaml", "client.yaml", "sockeye run -c", "curl", "far.example.com", "2222"):
        assert word in result.out, word
    assert keys_in(server)[0] not in result.out
    state, = (place / "state").iterdir()
    assert mode_of(place / "state") == 0o700 and mode_of(state) == 0o600
    for name in ("server.yaml", "client.yaml"):
        assert mode_of(place / name) == 0o600
        checked = cli("check", "-c", name)
        assert checked.code == 0 and checked.err == ""


def test_acc_30_each_init_has_a_key_of_its_own(cli, place):
    keys = set()
    for folder in ("a", "b", "c"):
        assert cli("init", "-o", folder).code == 0
        keys.update(keys_in(both(place / folder)[0]))
    assert len(keys) == 3


def test_init_without_a_server_is_for_this_machine_and_says_what_to_change(cli, place):
    result = cli("init", "-o", "ends")
    assert result.code == 0 and "127.0.0.1" in result.out and "4194" in result.out
    server, client = both(place / "ends")
    assert mode_of(place / "ends") == 0o700
    assert '"*:4194"' in server and '"127.0.0.1:4194"' in client and '"127.0.0.1:1080"' in client


@pytest.mark.parametrize("server,written", [("192.0.2.1:5", "192.0.2.1:5"), ("[2001:db8::1]:5", "[2001:db8::1]:5"), ("2001:db8::1", "[2001:db8::1]:4194"), ("[2001:db8::1]", "[2001:db8::1]:4194"),
                                            ("far.example.com", "far.example.com:4194")])
def test_init_takes_any_server(cli, place, server, written):
    assert cli("init", "--server", server).code == 0
    assert f'server: "{written}"' in both(place)[1]
    assert cli("check", "-c", "client.yaml").code == 0


@pytest.mark.parametrize("server", ["", "x:", "x:0", "x:65536", "x:1:2", "a b:1", 'a"b:1', "$" + "{HOME}:1", "http://x:1", "127.1:1", "[x]", "[]"])
def test_init_refuses_what_is_no_server(cli, place, server):
    before = set(place.iterdir())
    result = cli("init", "--server", server)
    assert result.code == 64 and "HOST:PORT" in result.err and set(place.iterdir()) == before


def test_what_init_makes_carries_data_at_once(cli, place, sockeye, origin, dial):
    network.need_own_network()
    server = origin(echo, network.OWN4)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert cli("init", "--server", f"127.0.0.1:{port}", "-o", place / "ends").code == 0
    far = sockeye(argv=["run", "-c", place / "ends" / "server.yaml"])
    client = place / "ends" / "client.yaml"
    client.write_text(client.read_text().replace("127.0.0.1:1080", "127.0.0.1:0"))
    near = sockeye(argv=["run", "-c", client])
    sock = dial(near.addr())
    assert socks5(sock, *server.addr).code == 0
    sock.sendall(b"hello")
    assert receive_exactly(sock, 5) == b"hello"
    assert not re.search(r" warn flight\b", far.text), "with its state the server knows that nobody repeats this flight"


@pytest.mark.parametrize("there", ["server.yaml", "client.yaml"])
def test_init_overwrites_neither_and_makes_none_alone(cli, place, there):
    (place / there).write_text("dear to me")
    before = set(place.iterdir())
    result = cli("init")
    assert result.code == 73 and result.out == "" and there in result.err
    assert (place / there).read_text() == "dear to me" and set(place.iterdir()) == before
