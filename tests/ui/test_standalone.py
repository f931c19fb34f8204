"""The tab on its own server: page, API and pictures, and the page once in a real browser."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from lib_sdtune.app import App
from lib_sdtune.ui import page, standalone
from lib_sdtune.ui.context import TabContext
from tests.hosts import TinyHost, pictures, settings, train

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Jobs with one finished run whose caption would like to be markup."""
    base = tmp_path_factory.mktemp("standalone")
    host = TinyHost(base / "data")
    config = settings(pictures(base / "pics"), sample={"every_n_steps": 3, "prompts": ["<b id=\"evil\">hat</b>"], "steps": 1})
    train(host, config)
    return App(lambda: host)


@pytest.fixture(scope="module")
def client(app):
    return TestClient(standalone.serve(TabContext(app)), base_url="http://localhost:7870")


def test_the_page_carries_our_scripts_and_fetches_nothing_from_elsewhere(client):
    html = client.get("/").text
    assert "window.sdtune = window.sdtune" in html and "#sdtune_columns" in html
    assert re.findall(r'<(?:script|link)[^>]+(?:src|href)="https?://', html) == []


def test_scripts_cannot_end_their_tag_early():
    assert "</script" not in page.harmless("x = '</script>'")


def test_the_tab_and_the_api_live_on_one_server(client):
    ids = {component["props"].get("elem_id") for component in client.get("/config").json()["components"]}
    assert {"sdtune_name", "sdtune_start"} <= ids
    run = client.get("/sdtune/v1/runs/ron").json()
    assert (run["state"], run["step"]) == ("finished", 6)
    assert len(client.get("/sdtune/v1/runs/ron/log?since=4").json()) == 2


def test_samples_are_served_and_nothing_else_is(client, app):
    file = Path(client.get("/sdtune/v1/runs/ron").json()["samples"][0]).name
    assert client.get(f"/sdtune/v1/runs/ron/samples/{file}").headers["content-type"] == "image/png"
    for bad in ("config.json", "..%2Fconfig.json", "%2e%2e/config.json", ""):
        assert client.get(f"/sdtune/v1/runs/ron/samples/{bad}").status_code == 404


ADDRESSES = [("GET", "/config"), ("POST", "/sdtune/v1/runs/ron/resume"), ("POST", "/run/predict"), ("POST", "/upload"),
             ("GET", "/sdtune/v1/runs"), ("GET", "/file=README.md")]


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example:7870"}])
@pytest.mark.parametrize(("method", "address"), ADDRESSES)
def test_a_page_from_elsewhere_gets_no_leave_to_read_or_start(client, method, address, headers):
    answer = client.request(method, address, headers=headers)
    assert answer.status_code == 403 and answer.json()["detail"].endswith(".")


def test_a_person_may_follow_a_link_to_the_tab(client):
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize("address", ["/file=README.md", "/file/README.md", "/file=/etc/passwd", "/proxy=http://localhost:1/"])
def test_the_server_hands_out_no_files_but_what_the_tab_shows(client, address):
    assert client.get(address).status_code == 404


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_run_and_no_markup_of_others(app, tmp_path):
    import uvicorn

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(standalone.serve(TabContext(app)), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        dom = seen(f"http://127.0.0.1:{port}/", tmp_path)
    finally:
        server.should_exit = True
        thread.join(10)
    assert re.search(r'id="sdtune_state"[^>]*>Finished<', dom)
    assert re.search(r'id="sdtune_tag"[^>]*>&lt;lora:ron:1&gt;', dom)
    assert re.search(r'class="sdtune-smooth" d="M[^L"]+(L[^L"]+){5}"', dom)  # six steps, each once
    assert '<b id="evil"' not in dom and '&lt;b id="evil"' in dom


def seen(url, profile):
    """The page's DOM after its scripts had some seconds."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--virtual-time-budget=15000", "--dump-dom"]
    return subprocess.run([BROWSER, *flags, url], capture_output=True, text=True, timeout=90, check=True).stdout


def test_every_script_is_read_by_the_page():
    scripts, style = page.head()
    for path in (page.ROOT / "javascript").glob("*.js"):
        assert path.read_text(encoding="utf-8")[:60] in scripts
    assert json.loads(re.search(r"sdtune_languages = (.*?)</script>", scripts).group(1))["zh_CN"]["Name"] == "名称"
    assert style.startswith("<style>")
