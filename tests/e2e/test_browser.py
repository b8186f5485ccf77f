"""A real browser through `mixed`: a page of a hundred objects, and a websocket."""

import urllib.parse

from configs import inbound
from harness.binary import SLOWNESS
from harness.services import start_nginx, start_websocket
from harness.wait import until

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
    ([got, said]) => `got ${{got.filter(x => x).length}} heard ${{said}}`, error => `failed ${{error}}`).then(
    outcome => fetch(`/outcome?${{encodeURIComponent(outcome)}}`));
</script>"""


def test_acc_39_chromium_gets_a_page_of_a_hundred_objects_and_speaks_by_websocket(sockeye, spawn, place):
    ws = start_websocket(spawn, place)
    (place / "www/object").mkdir(parents=True)
    for i in range(N_OBJECTS):
        (place / f"www/object/{i}").write_text("x" * (1000 + i))
    (place / "www/page.html").write_text(PAGE.format(ws=ws, n=N_OBJECTS))
    outcome = place / "outcome"
    port = start_nginx(spawn, place, more=f"types {{ text/html html; }} location /outcome {{ access_log {outcome}; }}")
    proxy = sockeye(inbound())
    # The page itself says when it is done: a browser's own idea of that is another's on a busy machine.
    browser = spawn(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={place}/chromium",
                     f"--proxy-server=http://127.0.0.1:{proxy.port}", "--proxy-bypass-list=<-loopback>", f"http://127.0.0.1:{port}/page.html"])
    until(lambda: outcome.exists() and "outcome?" in outcome.read_text(), "the page's outcome", timeout=180)
    assert f"got {N_OBJECTS} heard hello" in urllib.parse.unquote(outcome.read_text())
    browser.terminate()
    browser.wait(20 * SLOWNESS)

    def page():
        return [line for line in proxy.records(event="flow") if line.get("to") == f"127.0.0.1:{port}"]
    until(lambda: sum(int(line["down"]) for line in page()) > N_OBJECTS * 1000, "the connections' end", timeout=20 * SLOWNESS)
    assert len(page()) < N_OBJECTS / 2, "connections are used again"
