"""SIGHUP: the configuration is read again under way, and comes into force as a whole or not at all."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from configs import USERS, inbound
from harness import client, network, proc
from harness.binary import SANITIZER, SLOWNESS
from harness.client import dial as connect, is_served, receive_all, receive_exactly, socks5, socks5_at_once, socks5_login
from harness.dnsserver import Answer
from harness.origin import echo, http_page, speak_first
from harness.pattern import receive_end, receive_pattern, send_pattern
from harness.program import complete, no_leak_check
from harness.sandbox import NOBODY, with_descriptors, with_private
from harness.services import free_port
from harness.tunnel import KEY
from harness.wait import Stopwatch, until
from test_clients import sshd    # noqa: F401  (a fixture)
from test_tunnel_reload import OTHER_KEY

MADE = "reloaded: the new configuration is in force"
REFUSED = "reload refused"
MB = 1 << 20


def listening_at(*ports, host="127.0.0.1", **keys):
    return inbound(listen="[" + ", ".join(f'"{host}:{port}"' for port in ports) + "]", **keys)


def count(proxy, what):
    return proxy.text.count(what)


@pytest.fixture
def rewrite(place, request):
    """Writes the configuration that the first program was started with anew."""
    workers = 4 if request.node.get_closest_marker("workers") else 1

    def write(config):
        new = place / "config-0.yaml.new"
        new.write_text(complete(config, workers))
        new.rename(place / "config-0.yaml")
    return write


@pytest.fixture
def reload(rewrite):
    """Has the program read a new configuration: reload(proxy, config, MADE or REFUSED)."""
    def do(proxy, config=None, outcome=MADE, timeout=10):
        if config is not None:
            rewrite(config)
        before = count(proxy, MADE) + count(proxy, REFUSED)
        n = count(proxy, outcome)
        proxy.send_signal(signal.SIGHUP)
        until(lambda: count(proxy, MADE) + count(proxy, REFUSED) > before or proxy.ended, "the end of the reload", timeout)
        assert count(proxy, outcome) == n + 1, proxy.text[-3000:]
    return do


def is_open(port, host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        return sock.connect_ex((host, port)) == 0


def wait_closed(port, host="127.0.0.1"):
    """One that goes empties its backlog first."""
    until(lambda: not is_open(port, host), f"{host}:{port} to be closed")


def ports_of(proxy):
    """What was ever listened on, in order."""
    return [int(port) for port in re.findall(r"\blistening on 127\.0\.0\.1:(\d+) \(", proxy.text)]


def open_echo(dial, addr, server, login=None):
    sock = dial(addr, timeout=20)
    assert socks5(sock, *server.addr, login).code == 0
    return sock


def assert_echoes(sock, what=b"still there"):
    sock.sendall(what)
    assert receive_exactly(sock, len(what)) == what


# What a reload keeps

class Load:
    """New connections without a pause, each of which must be served; and a ping-pong whose longest pause is kept."""

    def __init__(self, addr, server):
        self.addr, self.server = addr, server
        self.n, self.failures, self.worst_s = 0, [], 0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.come_and_go, self.come_and_go, self.ping)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def come_and_go(self):
        while not self.stop.is_set():
            try:
                with connect(self.addr, timeout=10) as sock:
                    assert socks5_at_once(sock, *self.server.addr).code == 0
                    assert_echoes(sock)
                self.n += 1
            except Exception as e:    # judged by the test
                self.failures.append(e)

    def ping(self):
        try:
            with connect(self.addr, timeout=20) as sock:
                assert socks5_at_once(sock, *self.server.addr).code == 0
                while not self.stop.is_set():
                    watch = Stopwatch()
                    assert_echoes(sock, b"x")
                    self.worst_s = max(self.worst_s, watch.s)
        except Exception as e:
            self.failures.append(e)


@pytest.mark.workers
def test_acc_62_a_hundred_reloads_lose_no_connection_and_no_byte(sockeye, origin, dial, reload):
    """A listener comes and goes beside the one that stays, whose name and type change; a long download and an echo go on."""
    n_reloads, n_bytes = (100, 48 * MB) if not SANITIZER else (30, 8 * MB)
    go_on = threading.Event()

    def slow_download(conn):
        done = 0
        while done < n_bytes:
            part = min(n_bytes // 200, n_bytes - done)
            send_pattern(conn, part, start=done)
            done += part
            go_on.wait(0.05)
    port, others, server, source = free_port(), [free_port(), free_port()], origin(echo), origin(slow_download)
    configs = [listening_at(port), listening_at(port, others[0], name="renamed", type="socks"),
               listening_at(port, others[1], users=USERS)]
    proxy = sockeye(configs[0])
    download = open_echo(dial, ("127.0.0.1", port), source)
    talk = open_echo(dial, ("127.0.0.1", port), server)
    received = []

    def receive():
        receive_pattern(download, n_bytes)
        receive_end(download)
        received.append(n_bytes)
    receiver = threading.Thread(target=receive, daemon=True)
    receiver.start()
    with Load(("127.0.0.1", port), server) as load:
        for i in range(n_reloads):
            reload(proxy, configs[i % 2])
            assert_echoes(talk, b"%d" % i)
            if i % 2 == 1:
                assert is_open(others[0])
            else:
                wait_closed(others[0])
    reload(proxy, configs[2])
    go_on.set()
    receiver.join(60 * SLOWNESS)
    assert received == [n_bytes]
    assert_echoes(talk)
    assert not load.failures, load.failures[:3]
    assert load.n > n_reloads // 10
    assert count(proxy, MADE) == n_reloads + 1
    assert client.socks5_greet(dial(("127.0.0.1", port))) == client.NONE_ACCEPTED, "now it has users"


def test_acc_62_ssh_goes_on_through_reloads(sockeye, sshd, reload):    # noqa: F811
    proxy = sockeye(inbound())
    data = bytes(range(256)) * 16384
    ssh = subprocess.Popen(["ssh", *map(str, sshd[1]), "-o", f"ProxyCommand=nc -X 5 -x 127.0.0.1:{proxy.port} %h %p",
                            "root@127.0.0.1", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    back = []
    reader = threading.Thread(target=lambda: back.append(ssh.stdout.read()), daemon=True)
    reader.start()
    for i in range(20):
        ssh.stdin.write(data[i * len(data) // 20:(i + 1) * len(data) // 20])
        ssh.stdin.flush()
        reload(proxy, inbound(deny='["127.0.0.7"]') if i % 2 else inbound())
    ssh.stdin.close()
    reader.join(30 * SLOWNESS)
    assert ssh.wait(10) == 0 and back == [data]


@pytest.mark.workers
def test_acc_62_listeners_come_go_and_stay(sockeye, origin, reload):
    server, (kept, gone, come) = origin(echo), [free_port() for _ in range(3)]
    proxy = sockeye(listening_at(kept, gone))
    reload(proxy, listening_at(kept, come, name="other"))
    assert is_open(kept) and is_open(come)
    wait_closed(gone)
    assert is_served(("127.0.0.1", kept), *server.addr) and is_served(("127.0.0.1", come), *server.addr)
    assert {r["in"] for r in proxy.wait_record(2, event="flow")} == {"other"}
    assert ports_of(proxy) == [kept, gone, come], "what is kept is not opened again"


@pytest.mark.workers
def test_port_0_stays_what_it_was(sockeye, origin, reload):
    server = origin(echo)
    proxy = sockeye(inbound(listen="0"))
    n = len(proxy.listeners)
    reload(proxy, inbound(listen="0", name="renamed"))
    assert is_served(proxy.addr(), *server.addr)
    reload(proxy, listening_at(proxy.port))
    reload(proxy, listening_at(proxy.port, 0))
    assert is_served(proxy.addr(), *server.addr)
    new = ports_of(proxy)[-1]
    assert new != proxy.port and len(ports_of(proxy)) == (2 if n else 0)
    assert is_served(("127.0.0.1", new), *server.addr)


@pytest.mark.workers
@pytest.mark.parametrize("user", ["''", "nobody"])
def test_an_address_may_become_a_wildcard_on_the_same_port_and_back(sockeye, origin, reload, place, user):
    """Our own old socket is then in the way of the new one, for another user too."""
    network.need_root()
    server, port = origin(echo), free_port()
    place.chmod(0o777)
    common = f"user: {user}\n"
    lan = {"allow": '["127.0.0.0/8"]', "allow_targets": '["127.0.0.0/8"]'}
    proxy = sockeye(listening_at(port, **lan) + common, env=no_leak_check())
    for host in ("0.0.0.0", "127.0.0.1"):
        reload(proxy, listening_at(port, host=host, **lan) + common)
        assert is_served(("127.0.0.1", port), *server.addr)
        if host == "0.0.0.0":
            assert is_open(port, "127.0.0.2")
        else:
            wait_closed(port, "127.0.0.2")


def test_acc_62_who_waits_in_the_backlog_of_a_listener_that_goes_is_served(sockeye, origin, dial, reload):
    """Descriptors have run out, so that connections wait; then the listener is taken away; then there is room again."""
    server, ports = origin(echo), [free_port(), free_port()]
    proxy = sockeye(listening_at(ports[0]), prefix=with_descriptors(80))
    served, waiting = [], []
    for _ in range(60):
        sock = dial(("127.0.0.1", ports[0]), timeout=20)
        sock.sendall(b"\x05\x01\x00")
        sock.settimeout(0.3 * SLOWNESS)
        try:
            assert receive_exactly(sock, 2) == b"\x05\x00"
            served.append(sock)
        except TimeoutError:
            waiting.append(sock)
            if len(waiting) == 5:
                break
    assert served and len(waiting) == 5
    reload(proxy, listening_at(ports[1]))
    for sock in served:
        sock.close()
    for sock in waiting:
        sock.settimeout(10 * SLOWNESS)
        assert receive_exactly(sock, 2) == b"\x05\x00"
        sock.sendall(client.socks5_request(*server.addr))
        assert client.receive_socks5_reply(sock).code == 0
        assert_echoes(sock)
    wait_closed(ports[0])
    assert is_open(ports[1])


def test_a_kept_http_connection_out_of_the_backlog_of_a_listener_that_goes_has_one_answer(sockeye, origin, dial, reload):
    page, ports = origin(http_page(b"page")), [free_port(), free_port()]
    proxy = sockeye(listening_at(ports[0]), prefix=with_descriptors(80))
    taken = [dial(("127.0.0.1", ports[0]), timeout=20) for _ in range(60)]
    sock = dial(("127.0.0.1", ports[0]), timeout=20)
    sock.sendall(f"GET http://127.0.0.1:{page.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode())
    reload(proxy, listening_at(ports[1]))
    for other in taken:
        other.close()
    sock.settimeout(10 * SLOWNESS)
    assert receive_all(sock).endswith(b"page")


@pytest.mark.workers
def test_the_listener_that_is_kept_is_the_same_socket(sockeye, reload):
    def inodes():
        return {os.readlink(f"/proc/{proxy.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{proxy.pid}/fd")
                if os.readlink(f"/proc/{proxy.pid}/fd/{fd}").startswith("socket:")}
    proxy = sockeye(inbound())
    before = inodes()
    for _ in range(5):
        reload(proxy)
    assert inodes() == before


# What is refused

@pytest.mark.workers
@pytest.mark.parametrize("wrong,said", [
    ("inbounds:\n  - {type: mixd, listen: 1080}\n", "mixd"),
    ("inbounds: [", "config-0.yaml:"),
    ("", "inbounds"),
    (inbound(users_file="/no/such/file"), "/no/such/file"),
    (inbound() + "log: {to: /no/such/directory/log}\n", "/no/such/directory/log"),
    (inbound(listen='"203.0.113.77:0"', allow='["*"]'), "203.0.113.77"),
    (inbound(listen='["127.0.0.1:0", "unix:/no/such/directory/socket"]'), "/no/such/directory/socket"),
], ids=["type", "yaml", "empty", "users_file", "log", "address", "unix"])
def test_acc_62_a_bad_configuration_is_refused_whole_and_the_old_one_stays(sockeye, origin, dial, reload, wrong, said):
    server = origin(echo)
    proxy = sockeye(inbound())
    talk, descriptors = open_echo(dial, proxy.addr(), server), proxy.n_descriptors()
    reload(proxy, wrong, REFUSED)
    assert said in proxy.text
    assert_echoes(talk)
    assert is_served(proxy.addr(), *server.addr)
    proxy.wait_descriptors(descriptors)    # what was opened for it is closed
    reload(proxy, inbound(deny='["127.0.0.2"]'))


@pytest.mark.workers
def test_acc_62_a_port_that_is_taken_refuses_the_whole_reload(sockeye, origin, reload):
    server, free = origin(echo), free_port()
    proxy = sockeye(inbound())
    reload(proxy, listening_at(free, server.port), REFUSED)
    assert f"127.0.0.1:{server.port}" in proxy.text and "port is taken" in proxy.text
    assert not is_open(free) and is_served(proxy.addr(), *server.addr)


def test_a_configuration_that_is_gone_is_refused(sockeye, origin, reload, place):
    server = origin(echo)
    proxy = sockeye(inbound())
    (place / "config-0.yaml").unlink()
    reload(proxy, outcome=REFUSED)
    assert is_served(proxy.addr(), *server.addr)


def test_what_takes_a_restart_is_warned_of(sockeye, reload, place):
    proxy = sockeye(inbound())
    reload(proxy, inbound() + f"workers: 3\nuser: nobody\nstate: {place}\nadmin: {{socket: {place}/admin}}\n")
    for key in ("workers", "user", "state", "admin.socket"):
        assert re.search(rf" warn .*`{key}` has changed.*restart", proxy.text), key
    assert not (place / "admin").exists()


def test_what_takes_a_restart_is_warned_of_until_it_is_as_it_was(sockeye, reload):
    proxy = sockeye(inbound())
    warned = []
    for more in ("workers: 3\nuser: nobody\n", "workers: 3\n", ""):
        reload(proxy, inbound() + more)
        warned.append([count(proxy, f"`{key}` has changed") for key in ("workers", "user")])
    assert warned == [[1, 1], [2, 1], [2, 1]]


def test_a_port_that_was_drawn_for_two_families_is_not_shared_by_two_inbounds(sockeye, reload):
    """Which are known by their places: the first keeps what it wants of it, so that the second draws another."""
    network.need_own_network()
    proxy = sockeye("inbounds: [{type: mixed, listen: 0}]\n")
    reload(proxy, 'inbounds: [{type: mixed, listen: "127.0.0.1:0"}, {type: mixed, listen: 0}]\n')
    listening = dict(re.findall(r"listening on (\S+):(\d+) \(mixed mixed-2\)", proxy.text))
    assert set(listening) == {"127.0.0.1", "[::1]"} and len(set(listening.values())) == 1
    assert str(proxy.port) not in listening.values()


# What changes

def test_users_change_for_new_connections_alone(sockeye, origin, dial, reload):
    server = origin(echo)
    proxy = sockeye(inbound(users=USERS))
    talk = open_echo(dial, proxy.addr(), server, ("ann", "open-sesame"))
    halfway = dial(proxy.addr())
    assert client.socks5_greet(halfway, (client.PASSWORD,)) == client.PASSWORD
    reload(proxy, inbound(users="[{name: ann, password: other}]"))
    assert_echoes(talk)
    assert socks5_login(dial(proxy.addr()), "ann", "open-sesame") != 0
    assert socks5_login(dial(proxy.addr()), "bob", "builder") != 0
    assert socks5_login(dial(proxy.addr()), "ann", "other") == 0
    # Admitted under the old rules, it goes on by them.
    halfway.sendall(client.login_request("bob", "builder"))
    assert receive_exactly(halfway, 2) == b"\x01\x00"


def test_a_users_file_is_read_again(sockeye, dial, reload, place):
    (place / "users").write_text("ann:one\n")
    proxy = sockeye(inbound(users_file=f"{place}/users"))
    assert socks5_login(dial(proxy.addr()), "ann", "one") == 0
    (place / "users").write_text("ann:two\n")
    assert socks5_login(dial(proxy.addr()), "ann", "one") == 0
    reload(proxy)
    assert socks5_login(dial(proxy.addr()), "ann", "two") == 0
    (place / "users").unlink()
    reload(proxy, outcome=REFUSED)
    assert socks5_login(dial(proxy.addr()), "ann", "two") == 0


@pytest.mark.workers
def test_acc_35_rules_change(sockeye, origin, dial, reload):
    server = origin(echo)
    proxy = sockeye(inbound())
    talk = open_echo(dial, proxy.addr(), server)
    reload(proxy, inbound(deny='["127.0.0.1"]'))
    assert_echoes(talk)
    assert receive_all(dial(proxy.addr())) == b""
    reload(proxy, inbound(deny_targets='["127.0.0.0/8"]'))
    assert socks5(dial(proxy.addr()), *server.addr).code == 2
    reload(proxy, inbound())
    assert is_served(proxy.addr(), *server.addr)


@pytest.mark.workers
@pytest.mark.parametrize("limit", ["connections", "per_client"])
def test_acc_50_what_is_there_counts_towards_the_limits_after_a_reload(sockeye, origin, dial, reload, limit):
    server = origin(echo)
    proxy = sockeye(inbound(**{limit: 2}))
    first, second = [open_echo(dial, proxy.addr(), server) for _ in range(2)]
    reload(proxy, inbound(**{limit: 2}, deny='["127.0.0.2"]'))
    assert receive_all(dial(proxy.addr())) == b""
    reload(proxy, inbound(**{limit: 3}))
    third = open_echo(dial, proxy.addr(), server)
    assert receive_all(dial(proxy.addr())) == b""
    first.close(), second.close()
    until(lambda: is_served(proxy.addr(), *server.addr), "room after two have gone")
    assert_echoes(third)


def test_times_change_for_those_who_are_there_too(sockeye, origin, dial, reload):
    server = origin(echo)
    proxy = sockeye(inbound())
    talk = open_echo(dial, proxy.addr(), server)
    watch = Stopwatch()
    reload(proxy, inbound() + "limits: {idle_ms: 500}")
    with pytest.raises(ConnectionResetError):
        assert talk.recv(1) != b""
    assert 0.4 < watch.s < 15 * SLOWNESS
    assert proxy.wait_record(event="flow")["end"] == "idle"


@pytest.mark.workers
def test_dns_servers_change(sockeye, origin, dns, dial, reload):
    right, wrong = origin(speak_first(3, seed=1)), origin(speak_first(3, seed=2), host="127.0.0.2")
    old = dns({"name.test": Answer(a=["127.0.0.3"], ttl=3600)})
    new = dns({"name.test": Answer(a=["127.0.0.1"], ttl=3600)})
    proxy = sockeye(inbound() + old.yaml)
    assert socks5(dial(proxy.addr()), "name.test", right.port).code == 5, "nobody listens there"
    reload(proxy, inbound() + new.yaml)
    for _ in range(40):    # so that every worker is met
        sock = dial(proxy.addr())
        assert socks5(sock, "name.test", right.port).code == 0
        receive_pattern(sock, 3, seed=1)
    assert wrong.n_open == 0


def n_flow_lines(path):
    return path.read_text().count("flow") if path.exists() else 0


@pytest.mark.workers
def test_acc_56_the_log_changes_its_place_form_and_level(sockeye, origin, reload, place):
    server, files = origin(echo), [place / "one.log", place / "two.log"]
    proxy = sockeye(inbound() + f"log: {{to: {files[0]}}}\n")
    assert is_served(proxy.addr(), *server.addr)
    until(lambda: n_flow_lines(files[0]) == 1, "the line in the first file")
    reload(proxy, inbound() + f"log: {{to: {files[1]}, format: json}}\n")
    assert is_served(proxy.addr(), *server.addr)
    until(lambda: n_flow_lines(files[1]) == 1, "the line in the second file")
    record = next(r for r in map(json.loads, files[1].read_text().splitlines()) if r.get("event") == "flow")
    assert record["in"] == "lan" and n_flow_lines(files[0]) == 1
    reload(proxy, inbound() + f"log: {{to: {files[1]}, access: false}}\n")
    assert is_served(proxy.addr(), *server.addr)
    reload(proxy, inbound() + "log: {to: stderr, level: debug}\n")
    assert is_served(proxy.addr(), *server.addr)
    assert proxy.wait_record(event="flow")["in"] == "lan"
    assert n_flow_lines(files[1]) == 1
    assert not any(str(f) in os.readlink(f"/proc/{proxy.pid}/fd/{fd}") for f in files for fd in os.listdir(f"/proc/{proxy.pid}/fd"))


def test_status_says_how_often_it_was_reloaded(sockeye, cli, reload, place):
    admin = f"admin: {{socket: {place}/admin}}\n"
    proxy = sockeye(inbound() + admin)

    def status():
        return json.loads(cli("status", "--json", "--socket", place / "admin").out)
    first = status()
    assert first["reloads"] == 0 and abs(first["config_read_ms"] / 1000 - time.time()) < 60
    reload(proxy, inbound(name="renamed") + admin)
    second = status()
    assert second["reloads"] == 1 and second["config_read_ms"] >= first["config_read_ms"]
    assert second["inbounds"][0]["name"] == "renamed" and second["inbounds"][0]["addresses"] == [f"127.0.0.1:{proxy.port}"]
    reload(proxy, "nonsense", REFUSED)
    assert status()["reloads"] == 1
    assert re.search(r"^configuration read \d{4}-.*Z, reloads: 1$", cli("status", "--socket", place / "admin").out, re.M)


def test_socks_without_a_configuration_goes_on_after_sighup(sockeye, origin, dial):
    server = origin(echo)
    proxy = sockeye(argv=["socks", "-p", "0", "-n", "3"])
    talk = open_echo(dial, proxy.addr(), server)
    for i in range(3):
        proxy.send_signal(signal.SIGHUP)
        until(lambda: count(proxy, MADE) == i + 1, "the reload")
    assert_echoes(talk)
    assert is_served(proxy.addr(), *server.addr)
    assert len(ports_of(proxy)) == 1


# Under way

@pytest.mark.workers
def test_signals_upon_signals_end_well(sockeye, origin, dial, rewrite):
    """A reload during a reload is made after it, and the last word is what holds."""
    server, ports = origin(echo), [free_port(), free_port()]
    proxy = sockeye(listening_at(ports[0]))
    talk = open_echo(dial, ("127.0.0.1", ports[0]), server)
    for i in range(200):
        if i % 5 == 0:
            rewrite(listening_at(*ports[:1 + i // 5 % 2]))
        proxy.send_signal(signal.SIGHUP)
    rewrite(listening_at(*ports))
    proxy.send_signal(signal.SIGHUP)
    until(lambda: is_open(ports[1]) and count(proxy, "SIGHUP") >= 2, "the last configuration in force")
    assert_echoes(talk)
    assert REFUSED not in proxy.text, proxy.text


@pytest.mark.workers
@pytest.mark.parametrize("pause_s", [0, 0.001, 0.003, 0.01, 0.05])
def test_sigterm_during_a_reload_ends_with_0(sockeye, rewrite, pause_s, place):
    (place / "set").write_text("".join(f"host{i}.test\n" for i in range(10000 if SANITIZER else 100000)))
    proxy = sockeye(inbound())
    rewrite(listening_at(0, 0) + f'routes: ["DOMAIN-SET,{place}/set,direct"]\n')
    proxy.send_signal(signal.SIGHUP)
    time.sleep(pause_s)
    proxy.send_signal(signal.SIGTERM)
    assert proxy.wait() == 0
    proxy.assert_no_report()


@pytest.mark.skipif(bool(SANITIZER), reason="a reading that hangs is left behind")
def test_a_reading_that_hangs_keeps_nobody_and_ends_with_the_program(sockeye, origin, dial, place, rewrite):
    """A named pipe nobody writes to, as a dead network drive would be."""
    server = origin(echo)
    proxy = sockeye(inbound())
    talk = open_echo(dial, proxy.addr(), server)
    os.mkfifo(place / "users")
    rewrite(inbound(users_file=f"{place}/users"))
    proxy.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert_echoes(talk)
    assert is_served(proxy.addr(), *server.addr)
    talk.close()
    proxy.send_signal(signal.SIGTERM)
    watch = Stopwatch()
    assert proxy.wait() == 0
    assert watch.s < 15


def test_a_long_list_is_read_while_five_thousand_flows_go_on(sockeye, origin, reload, place, capsys):
    """The longest pause of a ping-pong in the meantime; the bound is wide, the figure is printed (pytest -s)."""
    is_slow = SANITIZER or os.environ.get("SOCKEYE_BACKEND") == "poll"
    n_flows, n_names = (500, 50000) if is_slow else (5000, 1000000)
    (place / "set").write_text("".join(f"host{i}.example.test\n" for i in range(n_names)))
    server = origin(echo)
    rules = f'routes: ["DOMAIN-SET,{place}/set,block"]\n'
    proxy = sockeye(inbound(), prefix=with_descriptors(2 * n_flows + 1000))
    socks = []
    try:
        held = origin(lambda conn: conn.recv(1))
        for _ in range(n_flows):
            sock = socket.create_connection(proxy.addr(), timeout=20 * SLOWNESS)
            socks.append(sock)
            assert socks5_at_once(sock, *held.addr).code == 0
    except OSError as e:
        pytest.skip(f"no {n_flows} connections to be had here: {e}")
    with Load(proxy.addr(), server) as load:
        time.sleep(0.5)
        quiet_s, load.worst_s = load.worst_s, 0
        reload(proxy, inbound() + rules, timeout=60)
        reload(proxy, inbound(), timeout=60)
    for sock in socks:
        sock.close()
    with capsys.disabled():
        print(f"\nlongest pause with {n_flows} flows: {quiet_s * 1000:.1f} ms before, {load.worst_s * 1000:.1f} ms in two reloads")
    assert not load.failures
    assert load.worst_s < 2 * SLOWNESS


# Rights

def test_acc_55_a_low_port_can_be_had_by_reload_where_the_start_had_one(sockeye, origin, reload, place):
    network.need_own_network()
    server = origin(echo)
    place.chmod(0o755)
    proxy = sockeye(listening_at(998) + "user: nobody\n", env=no_leak_check())
    assert proc.status(proxy.pid)["Uid"].split() == [str(NOBODY)] * 4
    reload(proxy, listening_at(998, 999) + "user: nobody\n")
    assert is_served(("127.0.0.1", 999), *server.addr)


def test_acc_55_a_low_port_without_the_right_refuses_the_reload(sockeye, origin, reload):
    network.need_own_network()
    server = origin(echo)
    proxy = sockeye(inbound() + "user: nobody\n", env=no_leak_check())
    reload(proxy, listening_at(999) + "user: nobody\n", REFUSED)
    assert re.search(r"127\.0\.0\.1:999.*CAP_NET_BIND_SERVICE", proxy.text)
    assert is_served(proxy.addr(), *server.addr)


def test_acc_55_the_start_warns_of_what_cannot_be_read_again(sockeye, origin, reload, place):
    network.need_root()
    (place / "users").write_text("ann:one\n")
    (place / "users").chmod(0o600)
    proxy = sockeye(inbound(users_file=f"{place}/users") + "user: nobody\n", env=no_leak_check())
    proxy.wait_text(rf" warn .*cannot read {place}/users again")
    assert not re.search(r"cannot read \S+config-0.yaml", proxy.text)
    reload(proxy, outcome=REFUSED)


def test_acc_55_a_reload_keeps_its_state_where_root_has_begun_it(sockeye, reload, place):
    """Not where the user would have it whom root has become."""
    network.need_root()
    place.chmod(0o755)
    (place / "lib").mkdir()

    def far_end(key):
        return inbound("tunnel", key=key) + "user: nobody\n"
    proxy = sockeye(far_end(f'"{KEY}"'), prefix=with_private("/var/lib", place / "lib"), env=no_leak_check())
    reload(proxy, far_end(f'["{OTHER_KEY}", "{KEY}"]'))
    assert len(list((place / "lib/sockeye").glob("replay-*"))) == 2
    assert "in memory only" not in proxy.text
