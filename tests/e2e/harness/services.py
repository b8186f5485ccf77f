"""Other people's servers, in the foreground and in a directory of the test's own."""

import contextlib
import shutil
import socket
import subprocess

from configs import ANN
from harness import network
from harness.wait import until


def free_port():
    """Free a moment ago; in a network of the test's own nobody else will take it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def is_listening(port, host="127.0.0.1", machine=None):
    with machine.entered() if machine else contextlib.nullcontext(), socket.socket() as sock:
        return sock.connect_ex((host, port)) == 0


def start_sshd(spawn, place, host="127.0.0.1", machine=None):
    """An sshd with fresh keys, in that namespace or here; returns (port, the client's options)."""
    network.need_root()    # sshd changes its user
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    (place / "authorized_keys").write_text((place / "client.pub").read_text())
    port = free_port()
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress {host}\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized_keys\nStrictModes no\n"
        f"UsePAM no\nPermitRootLogin yes\nPidFile none\nPasswordAuthentication no\n")
    subprocess.run(["mkdir", "-p", "/run/sshd"], check=True)
    spawn([*getattr(machine, "prefix", ()), "/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd_config"])
    until(lambda: is_listening(port, host, machine), "sshd")
    return port, ["-F", "none", "-i", place / "client", "-o", f"UserKnownHostsFile={place}/known", "-o", "StrictHostKeyChecking=no",
                  "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-p", port]


def start_nginx(spawn, place, tls=False, more="", host="127.0.0.1", machine=None):
    """Serves place/www, with place/tls.pem and tls.key for TLS, in that namespace or here; returns its port."""
    port = free_port()
    certificate = f"ssl_certificate {place}/tls.pem; ssl_certificate_key {place}/tls.key;" if tls else ""
    (place / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {place}/nginx.pid; error_log stderr; events {{ worker_connections 4000; }}\n"
        f"http {{ access_log off; sendfile on; server {{ listen {host}:{port} {'ssl' if tls else ''}; root {place}/www; "
        f"{certificate} {more} }} }}\n")
    spawn([*getattr(machine, "prefix", ()), "nginx", "-e", "stderr", "-c", place / "nginx.conf", "-p", place])
    until(lambda: is_listening(port, host, machine), "nginx")
    return port


def make_certificate(place, *names):
    """place/tls.pem and place/tls.key, for names such as DNS:origin.test."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
                    "subjectAltName=" + ",".join(names), "-keyout", place / "tls.key", "-out", place / "tls.pem"],
                   check=True, capture_output=True)


def start_websocket(spawn, place):
    """A server that sends back what it is sent; returns its port."""
    (place / "ws.py").write_text(
        "import asyncio, websockets\n"
        "async def echo(ws):\n"
        "    async for text in ws: await ws.send(text)\n"
        "async def main():\n"
        f"    async with websockets.serve(echo, '127.0.0.1', 0) as server:\n"
        f"        open('{place}/ws.new', 'w').write(str(server.sockets[0].getsockname()[1]))\n"
        f"        import os; os.rename('{place}/ws.new', '{place}/ws.port')\n"
        "        await asyncio.Future()\n"
        "asyncio.run(main())\n")
    spawn(["/usr/bin/python3", place / "ws.py"])
    until(lambda: (place / "ws.port").exists(), "the websocket server", timeout=20)
    return int((place / "ws.port").read_text())


# Proxies: start(spawn, place, port), on 127.0.0.1

def start_danted(spawn, place, port):
    network.need_root()
    (place / "danted.conf").write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nsocksmethod: none\nclientmethod: none\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n")
    spawn([shutil.which("danted", path="/usr/sbin:/usr/bin"), "-f", place / "danted.conf"])


def start_microsocks(spawn, place, port):
    spawn(["microsocks", "-i", "127.0.0.1", "-p", port])


def start_microsocks_with_users(spawn, place, port):
    spawn(["microsocks", "-i", "127.0.0.1", "-p", port, "-u", ANN[0], "-P", ANN[1]])


def start_privoxy(spawn, place, port):
    (place / "privoxy.conf").write_text(f"confdir /etc/privoxy\nlogdir {place}\nlisten-address 127.0.0.1:{port}\n")
    spawn([shutil.which("privoxy", path="/usr/sbin:/usr/bin"), "--no-daemon", place / "privoxy.conf"])


def start_tinyproxy(spawn, place, port):
    (place / "tinyproxy.conf").write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nBasicAuth {ANN[0]} {ANN[1]}\n")
    spawn(["tinyproxy", "-d", "-c", place / "tinyproxy.conf"])


def start_squid(spawn, place, port, who="http_access allow all"):
    place.chmod(0o777)    # it changes its user
    (place / "squid.conf").write_text(
        f"http_port 127.0.0.1:{port}\n{who}\ncache deny all\naccess_log none\ncache_log {place}/squid.log\n"
        f"pid_filename {place}/squid.pid\ncoredump_dir {place}\nshutdown_lifetime 0 seconds\npinger_enable off\n")
    spawn([shutil.which("squid", path="/usr/sbin:/usr/bin"), "-N", "-f", place / "squid.conf"])


def start_squid_with_users(spawn, place, port):
    hashed = subprocess.run(["openssl", "passwd", "-apr1", ANN[1]], check=True, capture_output=True, text=True).stdout
    (place / "squid.users").write_text(f"{ANN[0]}:{hashed}")
    start_squid(spawn, place, port, f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {place}/squid.users\n"
                "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all")


_LOGIN_KEYS = {"username": ANN[0], "password": ANN[1]}

# What they are to us: an outbound's type and its keys.
OTHERS = {
    "danted": (start_danted, "socks", {}),
    "microsocks": (start_microsocks, "socks", {}),
    "microsocks-login": (start_microsocks_with_users, "socks", _LOGIN_KEYS),
    "privoxy": (start_privoxy, "http", {}),
    "tinyproxy-login": (start_tinyproxy, "http", _LOGIN_KEYS),
    "squid": (start_squid, "http", {}),
    "squid-login": (start_squid_with_users, "http", _LOGIN_KEYS),
}
