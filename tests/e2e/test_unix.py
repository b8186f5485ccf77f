"""Unix sockets to listen on."""

import re
import socket
import stat
import subprocess

import pytest

from configs import ANN, USERS, inbound
from harness import network
from harness.client import http_connect, receive_all, receive_exactly, socks5, socks5_login
from harness.origin import answer_after_end, echo, http_page
from harness.pattern import receive_end, receive_pattern, send_and_end
from harness.program import complete
from harness.sandbox import as_user
from test_reload import REFUSED, assert_echoes, reload, rewrite    # noqa: F401  (fixtures too)

MB = 1 << 20


@pytest.fixture
def path(place):
    return place / "proxy.sock"


@pytest.fixture
def dial_unix(clients):
    def open_one(path):
        sock = socket.socket(socket.AF_UNIX)
        clients.append(sock)
        sock.settimeout(20)
        sock.connect(str(path))
        return sock
    return open_one


def at(*paths, **keys):
    return inbound(listen="[" + ", ".join(f'"unix:{path}"' for path in paths) + "]", **keys)


@pytest.mark.workers
def test_acc_87_a_unix_socket_serves_as_a_port_does(sockeye, origin, path, dial_unix):
    server = origin(answer_after_end(MB, 4 * MB))
    proxy = sockeye(at(path))
    proxy.wait_text(rf"^sockeye: listening on unix:{path} \(mixed lan\)$")
    for ask in (lambda s: socks5(s, *server.addr).code == 0, lambda s: http_connect(s, *server.addr).status == 200):
        for _ in range(4):
            sock = dial_unix(path)
            assert ask(sock)
            send_and_end(sock, MB)
            receive_pattern(sock, 4 * MB, seed=1)
            receive_end(sock)
    lines = proxy.wait_record(8, event="flow")
    assert all(line["from"] == "unix" and line["in"] == "lan" and line["end"] == "closed" for line in lines)


def test_acc_87_curl_by_a_unix_socket(sockeye, path, origin):
    server = origin(http_page(b"a page"))
    sockeye(at(path))
    done = subprocess.run(["curl", "-sS", "-x", f"socks5h://localhost{path}", server.url], capture_output=True)
    assert done.stdout == b"a page", done.stderr


def test_acc_87_a_stale_socket_is_removed_and_a_live_one_is_not(sockeye, cli, place, path, dial_unix):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    sockeye(at(path))
    dial_unix(path)
    (place / "second.yaml").write_text(complete(at(path), 1))
    second = cli("run", "-c", place / "second.yaml")
    assert second.code == 69 and f"unix:{path}" in second.err and "ready" not in second.err
    dial_unix(path)


def test_acc_87_a_file_that_is_no_socket_is_left_alone(cli, place, path):
    path.write_text("precious")
    (place / "c.yaml").write_text(complete(at(path), 1))
    assert cli("run", "-c", place / "c.yaml").code == 69
    assert path.read_text() == "precious"


@pytest.mark.workers
def test_a_unix_socket_is_for_its_user_alone_and_gone_at_the_end(sockeye, path, place):
    network.need_root()
    proxy = sockeye(at(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tried = subprocess.run([*as_user(), "nc", "-U", "-z", path], capture_output=True, text=True)
    assert tried.returncode != 0
    proxy.stop()
    assert not path.exists()


def test_another_ones_socket_is_not_removed_at_the_end(sockeye, path):
    proxy = sockeye(at(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        proxy.stop()
        assert path.exists()


def test_a_directory_that_is_missing_is_said(cli, place):
    (place / "c.yaml").write_text(complete(at(place / "missing/proxy.sock"), 1))
    result = cli("run", "-c", place / "c.yaml")
    assert result.code == 69 and "no such directory" in result.err


@pytest.mark.parametrize("keys,served", [
    ({"allow": '["127.0.0.0/8"]'}, True), ({"allow": '["192.0.2.0/24"]'}, False), ({"deny": '["127.0.0.1"]'}, False),
    ({"per_client": 1}, True)], ids=str)
def test_acc_35_a_client_of_a_unix_socket_is_one_of_this_machine(sockeye, origin, path, dial_unix, keys, served):
    server = origin(echo)
    proxy = sockeye(at(path, **keys))
    first, second = dial_unix(path), dial_unix(path)
    if not served:
        assert receive_all(first) == b""
        assert proxy.wait_record(event="flow", from_="unix")["end"] == "denied"
        return
    for sock in (first, second):
        assert socks5(sock, *server.addr).code == 0
        assert_echoes(sock)


def test_users_of_a_unix_socket_log_in(sockeye, path, dial_unix):
    proxy = sockeye(at(path, users=USERS))
    assert socks5_login(dial_unix(path), *ANN) == 0
    assert socks5_login(dial_unix(path), "ann", "wrong") != 0
    assert proxy.wait_record(event="login")["from"] == "unix"


def test_udp_is_refused_where_there_is_no_address_to_send_from(sockeye, path, dial_unix):
    sockeye(at(path, udp="{enabled: true}"))
    sock = dial_unix(path)
    sock.sendall(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0")
    assert receive_exactly(sock, 4)[2:] == b"\x05\x07"


@pytest.mark.workers
def test_acc_62_unix_sockets_are_kept_added_and_removed_by_reload(sockeye, origin, place, dial_unix, reload):    # noqa: F811
    server = origin(echo)
    kept, gone, come = [place / name for name in ("kept", "gone", "come")]
    proxy = sockeye(at(kept, gone))
    talk = [dial_unix(path) for path in (kept, gone)]
    for sock in talk:
        assert socks5(sock, *server.addr).code == 0
    before = kept.stat().st_ino
    reload(proxy, at(kept, come, name="renamed"))
    assert kept.stat().st_ino == before and not gone.exists()
    for sock in talk:
        assert_echoes(sock)
    for path in (kept, come):
        sock = dial_unix(path)
        assert socks5(sock, *server.addr).code == 0
    # One whose file somebody has removed is made anew.
    kept.unlink()
    reload(proxy, at(kept, come))
    assert socks5(dial_unix(kept), *server.addr).code == 0
    reload(proxy, at(kept, place / "missing/directory"), REFUSED)
    assert socks5(dial_unix(kept), *server.addr).code == 0
    assert kept.exists() and come.exists()


def test_status_names_unix_sockets(sockeye, cli, path, place):
    sockeye(at(path) + f"admin: {{socket: {place}/admin}}\n")
    assert re.search(rf"lan \(mixed\).* unix:{path}$", cli("status", "--socket", place / "admin").out, re.M)
