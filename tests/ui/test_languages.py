"""The tab in another language, in a browser: what no walk over its texts translates."""

import json

import pytest

from lib_sdtune.sentences import coded
from tests.ui.browser import CHROMIUM, RESTORED, opened, type_in
from tests.ui.strings import ROOT

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
CHINESE = "Object.defineProperty(navigator, 'languages', {get: () => ['zh-CN']});"
TABLE = json.loads((ROOT / "localizations" / "zh_CN.json").read_text(encoding="utf-8"))
FIELD = "document.querySelector('#sdtune_preset input').value"
SUBJECT = "Subject · SD1: 10 to 30 pictures of one thing, animal or person"


def test_the_drop_down_of_presets_speaks_the_page_s_language(page, url):
    opened(page, url, CHINESE).until(f"{RESTORED} && {FIELD} === '{TABLE['Defaults']}'")
    page.run("document.querySelector('#sdtune_preset input').scrollIntoView({block: 'center'})")
    x, y = page.run("(() => { const r = document.querySelector('#sdtune_preset input').getBoundingClientRect(); return [r.x + 20, r.y + r.height / 2]; })()")
    for kind in ("mousePressed", "mouseReleased"):
        page.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    options = "[...document.querySelectorAll('#sdtune_preset li')]"
    page.until(f"{options}.length > 1")
    chosen = f"{options}.find((option) => option.textContent.includes('{TABLE[SUBJECT]}'))"
    page.until(f"!!{chosen}")
    page.run(f"{chosen}.dispatchEvent(new MouseEvent('mousedown', {{bubbles: true}}))")
    page.run("document.querySelector('#sdtune_preset input').blur()")
    page.until(f"{FIELD} === '{TABLE[SUBJECT]}'")
    page.until("document.querySelector('#sdtune_save_every_n_steps input').value === '500'")


def test_an_own_preset_is_listed_in_it_too(page, url):
    opened(page, url, CHINESE).until(f"{RESTORED} && !!document.querySelector('#sdtune_preset_new')")
    page.run("document.querySelector('#sdtune_preset_new').value = 'theirs', document.querySelector('#sdtune_preset_save').click()")
    page.until("document.querySelector('#sdtune_presets_note').textContent.includes('theirs')")
    page.command("Emulation.setFocusEmulationEnabled", enabled=True)
    page.run("document.querySelector('#sdtune_preset input').focus()")
    option = "document.querySelector('#sdtune_preset li[data-value=\"Own: theirs\"]')"
    page.until(f"{option}?.textContent.includes('自己的：theirs')")
    page.run(f"{option}.dispatchEvent(new MouseEvent('mousedown', {{bubbles: true}}))")
    page.run("document.querySelector('#sdtune_preset input').blur()")
    page.until(f"{FIELD} === '自己的：theirs'")


def test_what_files_were_compared_by_and_the_parts_for_screen_readers_are_said_in_it(page, url, folder):
    opened(page, url, CHINESE).until(RESTORED)
    answer = {"result": {"measured_by": "the UNet of toy"}}
    encoder = page.run(f"sdtune.spoken({json.dumps({**answer, 'codes': coded(answer)})}).result.measured_by")
    assert encoder == TABLE["the UNet of {1}"].replace("{1}", "toy")
    assert page.run("document.querySelector('#sdtune_status').getAttribute('aria-label')") == TABLE["Run"]
    type_in(page, "sdtune_images", str(folder / "pics"))
    type_in(page, "sdtune_dataset_resolution", "64")  # or the VAE has more to do
    page.run("document.querySelector('#sdtune_check').click()")
    page.until("document.querySelectorAll('#sdtune_report svg [aria-label], #sdtune_report svg[aria-label]').length > 0")
    page.until(f"document.querySelector('#sdtune_report').textContent.includes('{TABLE['Bucket sizes']}')")
    labels = "[...document.querySelectorAll('#sdtune_report [aria-label]')].map((one) => one.getAttribute('aria-label')).join()"
    page.until(f"!{labels}.includes('Bucket sizes')")
