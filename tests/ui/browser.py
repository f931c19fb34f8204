"""A real browser on the tab's own server, driven through its debugging port: what a test needs of it and no more."""

import json
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1300,900"]


@contextmanager
def served(server):
    """The address of a FastAPI app on a free port of this machine."""
    import uvicorn

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = uvicorn.Server(uvicorn.Config(server, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        running.should_exit = True
        thread.join(60)


class Page:
    """One page of the browser. `run` evaluates JavaScript, awaits a promise, and gives its value."""

    def __init__(self, socket):
        self.socket, self.number = socket, 0

    def command(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=60))
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url, before=""):
        """Go to `url`; the script `before` runs in the page ahead of its own."""
        self.command("Page.enable")
        if before:
            self.command("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.command("Page.navigate", url=url)

    def run(self, expression):
        answer = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression, seconds=60):
        """Wait until JavaScript is true, and give its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run(expression)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"still not so after {seconds} s: {expression}")


class Browser:
    """A running browser, which `page` asks for pages that know nothing of each other."""

    def __init__(self, address, socket):
        self.address, self.own = address, Page(socket)

    @contextmanager
    def page(self):
        """A `Page` with storage of its own, as in a private window; it is closed in the end."""
        from websockets.sync.client import connect

        private = self.own.command("Target.createBrowserContext")["browserContextId"]
        try:
            target = self.own.command("Target.createTarget", url="about:blank", browserContextId=private)["targetId"]
            with connect(f"{self.address}/devtools/page/{target}", max_size=None) as socket:
                yield Page(socket)
        finally:
            self.own.command("Target.disposeBrowserContext", browserContextId=private)


@contextmanager
def browser(profile, *flags):
    """A fresh `Browser` whose files are in the folder `profile`, started with further `flags`."""
    from websockets.sync.client import connect

    process = subprocess.Popen([CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL)
    try:
        port_file = Path(profile) / "DevToolsActivePort"
        end = time.monotonic() + 60
        while not (port_file.exists() and len(port_file.read_text().split()) == 2):
            assert time.monotonic() < end and process.poll() is None, "the browser does not start"
            time.sleep(0.1)
        port, path = port_file.read_text().split()
        address = f"ws://127.0.0.1:{port}"
        with connect(address + path, max_size=None) as socket:
            yield Browser(address, socket)
    finally:
        process.terminate()
        process.wait(60)


def opened(page, url, before=""):
    page.open(url, before)
    page.until("document.querySelector('#sdtune_panel') !== null")
    return page


def type_in(page, field, text):
    """Type into a field of the form as a person does."""
    page.run(f"""(() => {{
        const area = document.querySelector('#{field} textarea, #{field} input');
        area.value = {json.dumps(text)};
        area.dispatchEvent(new Event('input', {{bubbles: true}}));
    }})()""")


SEEN = "(document.querySelector('{}')?.offsetHeight || 0) > 0"
RESTORED = "document.querySelector('#sdtune_base textarea').value !== ''"
