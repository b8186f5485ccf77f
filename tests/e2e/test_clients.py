"""Real clients: curl, python3-socks, ssh, proxychains, ab."""

import re
import subprocess
import sys

import pytest

from configs import ANN, USERS, inbound
from harness.binary import SLOWNESS
from harness.dnsserver import Answer
from harness.origin import http_page
from harness.services import make_certificate, start_nginx, start_sshd

PAGE = b"a page of the origin\n" * 5000


@pytest.fixture
def names(dns):
    return dns({"origin.test": Answer(a=["127.0.0.1"])})


def run(*argv, check=True, **options):
    done = subprocess.run([str(a) for a in argv], capture_output=True, timeout=60 * SLOWNESS, **options)
    if check:
        assert done.returncode == 0, (done.args, done.stderr.decode(errors="replace"))
    return done


# curl's --socks4 and --socks5 look names up themselves; socks4a and socks5h leave that to us.
@pytest.mark.parametrize("scheme,host", [("socks4", "127.0.0.1"), ("socks4a", "origin.test"), ("socks5", "127.0.0.1"),
                                         ("socks5h", "origin.test"), ("socks5", "[::1]"), ("socks5h", "[::1]")])
def test_acc_27_curl_through_socks(sockeye, origin, names, scheme, host):
    proxy, server = sockeye(inbound() + names.yaml), origin(http_page(PAGE), "::1" if "::" in host else "127.0.0.1")
    done = run("curl", "-sS", "-x", f"{scheme}://127.0.0.1:{proxy.port}", f"http://{host}:{server.port}/")
    assert done.stdout == PAGE
    assert bool(names.asked("origin.test")) == (host == "origin.test")


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_acc_27_acc_34_curl_with_a_password(sockeye, origin, names, scheme):
    proxy, server = sockeye(inbound(users=USERS) + names.yaml), origin(http_page(PAGE))
    url = f"http://origin.test:{server.port}/"
    good = run("curl", "-sS", "-p", "-x", f"{scheme}://{':'.join(ANN)}@127.0.0.1:{proxy.port}", url)
    assert good.stdout == PAGE
    for login in ("ann:wrong@", ""):
        bad = run("curl", "-sS", "-p", "-x", f"{scheme}://{login}127.0.0.1:{proxy.port}", url, check=False)
        assert bad.returncode in (56, 97) and bad.stdout == b""
    assert len(server.clients) == 1


def test_acc_39_curl_through_http_connect(sockeye, origin, names):
    proxy, server = sockeye(inbound() + names.yaml), origin(http_page(PAGE))
    done = run("curl", "-sS", "-p", "-x", f"http://127.0.0.1:{proxy.port}", f"http://origin.test:{server.port}/")
    assert done.stdout == PAGE


@pytest.fixture
def tls_web(place, spawn):
    """nginx with a certificate of its own and a page; returns its port."""
    make_certificate(place, "DNS:origin.test", "IP:127.0.0.1")
    (place / "www").mkdir()
    (place / "www/page").write_bytes(PAGE)
    return start_nginx(spawn, place, tls=True)


@pytest.mark.parametrize("scheme", ["http", "socks5h", "socks4a"])
def test_acc_39_curl_https(sockeye, names, tls_web, place, scheme):
    proxy = sockeye(inbound() + names.yaml)
    done = run("curl", "-sS", "--cacert", place / "tls.pem", "-x", f"{scheme}://127.0.0.1:{proxy.port}",
               f"https://origin.test:{tls_web}/page")
    assert done.stdout == PAGE


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_ab_64_at_a_time_without_one_error(sockeye, place, spawn, kind):
    """ab knows no SOCKS, and no CONNECT either; proxychains gives it both."""
    (place / "www").mkdir()
    (place / "www/page").write_bytes(PAGE)
    proxy, port = sockeye(inbound()), start_nginx(spawn, place)
    (place / "proxychains.conf").write_text(f"strict_chain\nquiet_mode\n[ProxyList]\n{kind} 127.0.0.1 {proxy.port}\n")
    report = run("proxychains4", "-f", place / "proxychains.conf", "ab", "-q", "-n", "400", "-c", "64",
                 f"http://127.0.0.1:{port}/page").stdout.decode()
    assert re.search(r"Complete requests:\s+400\b", report) and re.search(r"Failed requests:\s+0\b", report), report
    assert re.search(rf"HTML transferred:\s+{400 * len(PAGE)} bytes", report), report


_PYSOCKS = """
import socks, sys
kind, proxy_port, host, port, login = sys.argv[1:6]
s = socks.socksocket()
user, password = login.split(":") if login else (None, None)
s.set_proxy(getattr(socks, kind), "127.0.0.1", int(proxy_port), rdns=True, username=user, password=password)
s.settimeout(30)
s.connect((host, int(port)))
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
data = b""
while part := s.recv(65536):
    data += part
sys.stdout.buffer.write(data.split(b"\\r\\n\\r\\n", 1)[1])
"""


@pytest.mark.parametrize("kind", ["SOCKS4", "SOCKS5", "HTTP"])
@pytest.mark.parametrize("host", ["127.0.0.1", "origin.test"])
def test_acc_27_python3_socks(sockeye, origin, names, kind, host):
    proxy, server = sockeye(inbound() + names.yaml), origin(http_page(PAGE))
    assert run(sys.executable, "-c", _PYSOCKS, kind, proxy.port, host, server.port, "").stdout == PAGE


def test_acc_34_python3_socks_with_a_password(sockeye, origin):
    proxy, server = sockeye(inbound(users=USERS)), origin(http_page(PAGE))
    assert run(sys.executable, "-c", _PYSOCKS, "SOCKS5", proxy.port, "127.0.0.1", server.port, ":".join(ANN)).stdout == PAGE
    assert b"SOCKS5AuthError" in run(sys.executable, "-c", _PYSOCKS, "SOCKS5", proxy.port, "127.0.0.1", server.port, "ann:x",
                                     check=False).stderr


def test_proxychains_with_curl(sockeye, origin, place):
    proxy, server = sockeye(inbound()), origin(http_page(PAGE))
    for kind in ("socks4", "socks5", "http"):
        (place / "proxychains.conf").write_text(f"strict_chain\nquiet_mode\n[ProxyList]\n{kind} 127.0.0.1 {proxy.port}\n")
        done = run("proxychains4", "-f", place / "proxychains.conf", "curl", "-sS", server.url)
        assert done.stdout == PAGE
    assert len(proxy.wait_record(3, event="flow")) == 3


@pytest.fixture
def sshd(place, spawn):
    """(port, the client's options)"""
    return start_sshd(spawn, place)


@pytest.mark.parametrize("command", ["nc -X 5 -x 127.0.0.1:{port} %h %p", "nc -X 4 -x 127.0.0.1:{port} %h %p",
                                     "nc -X connect -x 127.0.0.1:{port} %h %p", "ncat --proxy-type socks5 --proxy 127.0.0.1:{port} %h %p",
                                     "ncat --proxy-type http --proxy 127.0.0.1:{port} %h %p"])
def test_ssh_through_a_proxycommand(sockeye, sshd, command):
    """Two megabytes there, and what arrived comes back; nc is netcat-openbsd."""
    proxy = sockeye(inbound())
    data = bytes(range(256)) * 8192
    done = run("ssh", *sshd[1], "-o", "ProxyCommand=" + command.format(port=proxy.port), "root@127.0.0.1", "cat", input=data)
    assert done.stdout == data


def test_curl_parallel_downloads(sockeye, origin, place):
    proxy, server = sockeye(inbound()), origin(http_page(PAGE))
    urls = "".join(f'url = "{server.url}"\noutput = "{place}/out-{i}"\n' for i in range(50))
    (place / "urls").write_text(urls)
    run("curl", "-sS", "-Z", "--parallel-max", "50", "-x", f"socks5h://127.0.0.1:{proxy.port}", "-K", place / "urls")
    for i in range(50):
        assert (place / f"out-{i}").read_bytes() == PAGE
