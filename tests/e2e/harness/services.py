"""Other people's servers, in the foreground and in a directory of the test's own."""

import socket
import subprocess

from harness.wait import until


def free_port():
    """Free a moment ago; in a network of the test's own nobody else will take it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def is_listening(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def start_nginx(spawn, place, tls=False, more=""):
    """Serves place/www, with place/tls.pem and tls.key for TLS; returns its port."""
    port = free_port()
    certificate = f"ssl_certificate {place}/tls.pem; ssl_certificate_key {place}/tls.key;" if tls else ""
    (place / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {place}/nginx.pid; error_log stderr; events {{ worker_connections 4000; }}\n"
        f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port} {'ssl' if tls else ''}; root {place}/www; "
        f"{certificate} {more} }} }}\n")
    spawn(["nginx", "-e", "stderr", "-c", place / "nginx.conf", "-p", place])
    until(lambda: is_listening(port), "nginx")
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
