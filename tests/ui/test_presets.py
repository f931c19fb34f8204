"""Own presets in a browser: saving is told, and one that is there is replaced after one question."""

import json

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, SEEN, opened, type_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
NOTE = "document.querySelector('#sdtune_presets_note').textContent"
REPLACE = SEEN.format("#sdtune_preset_replace")


def save(page, name):
    page.run(f"document.querySelector('#sdtune_preset_new').value = {json.dumps(name)}, document.querySelector('#sdtune_preset_save').click()")


def kept(folder, name):
    return json.loads((folder / "data" / "sdtune" / "presets" / f"{name}.json").read_text(encoding="utf-8"))["settings"]


def begin(page, url):
    opened(page, url).until(RESTORED + " && !!document.querySelector('#sdtune_preset_file')")


def test_saving_is_told_and_replacing_asked_once(page, url, folder):
    begin(page, url)
    type_in(page, "sdtune_lora_dim", "48")
    save(page, "mine")
    page.until(f"{NOTE} === 'Saved as the preset mine.'")
    type_in(page, "sdtune_lora_dim", "24")
    page.until("document.querySelector('#sdtune_presets_list input')?.value === 'mine'")
    save(page, "Mine")
    page.until(f"{REPLACE} && {NOTE}.includes('mine already')")
    assert kept(folder, "mine")["lora"]["dim"] == 48
    page.run("document.querySelector('#sdtune_preset_replace').click()")
    page.until(f"{NOTE} === 'Saved as the preset Mine.' && !({REPLACE})")
    assert kept(folder, "Mine")["lora"]["dim"] == 24


def test_an_imported_one_replaces_another_too_and_another_name_takes_the_question_back(page, url, folder):
    begin(page, url)
    imported = """(() => {
        const [picker, files] = [document.querySelector('#sdtune_preset_file'), new DataTransfer()];
        files.items.add(new File(['{"title": "faces", "settings": {"lora": {"dim": %d}}}'], 'faces.json'));
        picker.files = files.files;
        picker.dispatchEvent(new Event('change'));
    })()"""
    page.run(imported % 3)
    page.until(f"{NOTE} === 'Saved as the preset faces.'")
    page.run(imported % 5)
    page.until(f"{REPLACE} && {NOTE}.includes('already')")
    page.run("document.querySelector('#sdtune_preset_new').dispatchEvent(new Event('input'))")
    page.until(f"!({REPLACE}) && {NOTE} === ''")
    page.run(imported % 5)
    page.until(REPLACE)
    page.run("document.querySelector('#sdtune_preset_replace').click()")
    page.until(f"{NOTE} === 'Saved as the preset faces.'")
    assert kept(folder, "faces")["lora"]["dim"] == 5


DIM = "document.querySelector('#sdtune_lora_dim input').value"
OPTIONS = "[...document.querySelectorAll('#sdtune_preset li')]"


def list_presets(page):
    """Open the drop-down, as a click does."""
    page.run("document.querySelector('#sdtune_preset input').focus()")
    page.until(f"{OPTIONS}.length > 1")


@pytest.mark.parametrize("press", ["option.dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))",
                                   "option.closest('.sdtune-field').querySelector('input')"
                                   ".dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"],
                         ids=["mouse", "keyboard"])
def test_a_preset_that_is_chosen_already_can_be_chosen_again(page, url, press):
    begin(page, url)
    type_in(page, "sdtune_lora_dim", "48")
    page.command("Emulation.setFocusEmulationEnabled", enabled=True)
    list_presets(page)
    page.run(f"(() => {{ const option = {OPTIONS}.find((one) => one.dataset.value === 'Defaults'); {press}; }})()")
    page.until(f"{DIM} === '16'")
