"""The tab in a real browser: what only a page with its scripts running can show."""

import pytest

from lib_sdtune.app import App
from lib_sdtune.ui import standalone
from lib_sdtune.ui.context import TabContext
from tests.hosts import TinyHost, pictures, settings, train
from tests.ui.browser import CHROMIUM, browser, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def url(folder):
    """The address of a tab with one finished run."""
    host = TinyHost(folder / "data")
    host.about = lambda: {"model": "tiny", "family": "SD1"}
    train(host, settings(pictures(folder / "pics"), sample={"every_n_steps": 1, "prompts": ["a hat"], "steps": 1}))
    with served(standalone.serve(TabContext(App(lambda: host)))) as address:
        yield address


@pytest.fixture
def page(tmp_path):
    with browser(tmp_path / "profile") as page:
        yield page


def opened(page, url, before=""):
    page.open(url, before)
    page.until("document.querySelector('#sdtune_panel') !== null")
    return page


FAILING = """
const answers = window.fetch;
let failed = 0;
window.fetch = (address, ...others) => {
    if (String(address).includes('/sdtune/v1/') && ++failed <= 3) return OUTCOME;
    return answers(address, ...others);
};
"""
SILENCE = "new Promise((_, reject) => others[0].signal?.addEventListener('abort', () => reject(others[0].signal.reason)))"


def test_no_id_is_on_the_page_twice(page, url):
    opened(page, url).until("!!document.querySelector('#sdtune_done code')")
    ids = page.run("[...document.querySelectorAll('[id^=sdtune]')].map((element) => element.id)")
    assert len(ids) > 80 and sorted(name for name in set(ids) if ids.count(name) > 1) == []


@pytest.mark.parametrize("outcome", ["Promise.reject(new TypeError('Failed to fetch'))",
                                     "Promise.resolve(new Response('busy', {status: 503}))", SILENCE],
                         ids=["unreachable", "busy", "never answers"])
def test_requests_that_failed_are_tried_again_by_themselves(page, url, outcome):
    hurry = "window.sdtune_timeout = 1500;\n"
    opened(page, url, hurry + FAILING.replace("OUTCOME", outcome))
    page.until("document.querySelector('#sdtune_state').textContent === 'Finished'", 90)
    page.until("document.querySelector('#sdtune_model').textContent.startsWith('Trains')", 90)


@pytest.mark.parametrize("width", [420, 900, 1130, 1300])
def test_samples_are_never_cut_at_the_left_edge(page, url, width):
    page.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    opened(page, url).until("document.querySelectorAll('.sdtune-step').length > 4")
    cut = """(() => {
        const strip = document.querySelector('.sdtune-strip'), left = strip.getBoundingClientRect().left;
        strip.scrollLeft = strip.scrollWidth;
        return strip.scrollWidth > strip.clientWidth && [...strip.querySelectorAll('.sdtune-step')].filter((step) => {
            const {left: start, right: end} = step.getBoundingClientRect();
            return start < left - 1 && end > left + 1;
        }).map((step) => step.textContent);
    })()"""
    assert page.run(cut) == []


TAKEN_BACK = """
const answers = window.fetch;
const published = {file: 'ron', name: 'ron', weight: 1};
const choice = {work: null, result: null, files: [{file: 'ron', label: 'end', step: 1}], published};
window.fetch = (address, ...others) => {
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    if (String(address).endsWith('/unpublish')) return answer({files: ['ron.safetensors'], kept: ['ron.json', 'ron.preview.png']});
    if (String(address).endsWith('/choose')) return answer(choice);
    return answers(address, ...others);
};
"""


def test_what_a_publication_taken_back_leaves_is_named(page, url):
    opened(page, url, TAKEN_BACK).until("!!document.querySelector('#sdtune_unpublish')")
    page.run("document.querySelector('#sdtune_unpublish').click()")
    page.until("document.querySelector('#sdtune_choice').textContent.includes('changed it since: ron.json, ron.preview.png')")


def test_check_s_button_takes_prompt_syntax_out_and_leaves_saving_to_the_user(page, url, tmp_path):
    folder = pictures(tmp_path / "syntax", count=2)
    (folder / "0.txt").write_text("a (red:1.3) hat", encoding="utf-8")
    opened(page, url).until("!!document.querySelector('#sdtune_report')")
    button = f'<button class="sdtune-plain-captions" data-folder="{folder}" data-extension=".txt"></button>'
    page.run(f"document.querySelector('#sdtune_report').insertAdjacentHTML('beforeend', `{button}`)")
    page.run("document.querySelector('.sdtune-plain-captions').click()")
    page.until("[...document.querySelectorAll('#sdtune_captions_pictures textarea')].some((area) => area.value === 'a red hat')")
    page.until("document.querySelector('#sdtune_captions_note').textContent.includes('1; not saved yet')")
    assert (folder / "0.txt").read_text(encoding="utf-8") == "a (red:1.3) hat"


TRAINING = """
const answers = window.fetch;
const run = {id: 'ron', method: 'lora', state: 'training', step: 3, total_steps: 9, artefacts: [], samples: [], message: ''};
window.sdtune_calls = [];
window.fetch = (address, ...others) => {
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    if (String(address).endsWith('/runs')) return answer([run]);
    if (String(address).endsWith('/runs/ron')) return answer(run);
    if (String(address).endsWith('/runs/ron/pause')) {
        window.sdtune_calls.push('pause');
        return answer(run);
    }
    return answers(address, ...others);
};
window.sdtune_pretended = run;
"""


def test_an_order_is_acknowledged_until_it_is_done(page, url):
    opened(page, url, TRAINING).until("document.querySelector('#sdtune_pause').offsetParent !== null")
    page.run("document.querySelector('#sdtune_pause').click()")
    page.until("document.querySelector('#sdtune_promise').textContent === 'Pausing after this step.'")
    assert page.run("document.querySelector('#sdtune_stop').disabled && document.querySelector('#sdtune_save').disabled")
    page.run("window.sdtune_pretended.state = 'paused'")
    page.until("document.querySelector('#sdtune_promise').hidden && !document.querySelector('#sdtune_stop').disabled")
    assert page.run("window.sdtune_calls") == ["pause"]
