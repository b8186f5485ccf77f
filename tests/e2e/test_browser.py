"""A real browser through `mixed`: a page of a hundred objects, and a websocket."""

import subprocess

from configs import inbound
from harness.binary import SLOWNESS
from harness.services import start_nginx, start_websocket

N_OBJECTS = 100

PAGE = """<!doctype html><title>objects</title><body>waiting<script>
const get = i => fetch(`/object/${{i}}`).then(r => r.text()).then(text => text.length == 1000 + i);
const say = () => new Promise((done, failed) => {{
    const socket = new WebSocket('ws://127.0.0.1:{ws}/');
    socket.onopen = () => socket.send('hello');
    socket.onmessage = event => done(event.data);
    socket.onerror = failed;
}});
const objects = Promise.all([...Array({n}).keys()].map(get));
Promise.all([objects, say()]).then(
    ([got, said]) => document.body.textContent = `got ${{got.filter(x => x).length}} heard ${{said}}`,
    error => document.body.textContent = `failed ${{error}}`);
</script>"""


def test_acc_39_chromium_gets_a_page_of_a_hundred_objects_and_speaks_by_websocket(sockeye, spawn, place):
    ws = start_websocket(spawn, place)
    (place / "www/object").mkdir(parents=True)
    for i in range(N_OBJECTS):
        (place / f"www/object/{i}").write_text("x" * (1000 + i))
    (place / "www/page.html").write_text(PAGE.format(ws=ws, n=N_OBJECTS))
    port, proxy = start_nginx(spawn, place, more="types { text/html html; }"), sockeye(inbound())
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={place}/chromium",
         f"--proxy-server=http://127.0.0.1:{proxy.port}", "--proxy-bypass-list=<-loopback>", "--virtual-time-budget=20000", "--dump-dom",
         f"http://127.0.0.1:{port}/page.html"], capture_output=True, text=True, timeout=120 * SLOWNESS)
    assert f"got {N_OBJECTS} heard hello" in done.stdout, (done.stdout, done.stderr[-2000:])
    page = [line for line in proxy.records(event="flow") if line["to"] == f"127.0.0.1:{port}"]
    assert page and sum(int(line["down"]) for line in page) > 100 * 1000
    assert len(page) < N_OBJECTS / 2, "connections are used again"
