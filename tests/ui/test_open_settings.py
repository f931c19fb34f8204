"""Settings of another program opened in the tab, in a browser."""

import json

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, opened, type_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

CHOOSE = """(() => {{
    const files = new DataTransfer();
    files.items.add(new File([{text}], 'kohya.json'));
    const picker = document.querySelector('#sdtune_open_files');
    picker.files = files.files;
    picker.dispatchEvent(new Event('change'));
}})()"""
VALUE = "document.querySelector('#sdtune_{} textarea, #sdtune_{} input').value"
LIST = "[...document.querySelectorAll('#sdtune_open_lists details')].find((list) => list.textContent.startsWith('Worth knowing'))"


def open_file(page, **settings):
    text = json.dumps({"LoRA_type": "Standard", "train_batch_size": 3, "network_dim": 24} | settings)
    page.run(CHOOSE.format(text=json.dumps(text)))
    page.until(VALUE.replace("{}", "train_batch_size") + " === '3'")


def test_words_that_a_file_does_not_have_stay_as_they_were_typed(page, url):
    opened(page, url).until(RESTORED + " && !!document.querySelector('#sdtune_open_files')")
    type_in(page, "sdtune_name", "cup")
    type_in(page, "sdtune_concept_prompt", "a photo of ron cat")
    open_file(page)
    assert page.run(VALUE.replace("{}", "concept_prompt")) == "a photo of ron cat"
    assert page.run(VALUE.replace("{}", "name")) == "cup"


def test_a_missing_package_is_said_where_it_is_seen(page, url, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "prodigyopt", None)
    opened(page, url).until(RESTORED + " && !!document.querySelector('#sdtune_open_files')")
    open_file(page, optimizer="Prodigy", seed="5", bucket_no_upscale=True, no_such_thing=1, xformers="xformers")
    page.until(f"!!{LIST}")
    assert "Prodigy" in page.run(f"{LIST}.innerText") and page.run(f"{LIST}.querySelector('li').offsetHeight > 0")
