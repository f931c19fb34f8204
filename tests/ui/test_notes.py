"""What the pages Pictures and LoRA tools say goes when it is no longer so."""

import pytest

from tests.hosts import pictures
from tests.ui.browser import CHROMIUM, RESTORED, SEEN, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
NOTE = "document.querySelector('#sdtune_{}').textContent"
TAB = "[...document.querySelectorAll('#sdtune_pages .tab-nav button')].find((tab) => tab.textContent.trim() === '{}').click()"


def at(page, url, tab, seen):
    opened(page, url).until(RESTORED)
    page.run(TAB.format(tab))
    page.until(SEEN.format(seen))


def change(page, control, value):
    page.run(f"""(() => {{
        const control = document.querySelector('#sdtune_{control}');
        control.value = '{value}';
        for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind, {{bubbles: true}}));
    }})()""")


def click(page, name):
    page.run(f"document.querySelector('{name}').click()")


def test_a_refusal_names_its_fields_within_the_sentence_and_goes_with_them(page, url):
    note = NOTE.format("lora_tool_note")
    at(page, url, "LoRA tools", "#sdtune_lora_tool_start_resize")
    click(page, "#sdtune_lora_tool_start_resize")
    page.until(f"{note}.startsWith('These settings are empty')")
    lines = "Math.round(document.querySelector('#sdtune_lora_tool_note').offsetHeight / 24)"
    assert page.run(lines) <= 2  # one line and its frame
    change(page, "lora_tool_resize_name", "small")
    page.until(f"{note} === ''")


def test_what_one_tool_said_does_not_stand_below_another(page, url):
    note = NOTE.format("lora_tool_note")
    at(page, url, "LoRA tools", "#sdtune_lora_tool_start_resize")
    click(page, "#sdtune_lora_tool_start_resize")
    page.until(f"{note} !== ''")
    click(page, "[data-tool=merge]")
    page.until(f"{note} === ''")


def test_what_was_taken_back_is_not_said_to_be_unsaved(page, url, tmp_path):
    folder = pictures(tmp_path / "undone", count=2)
    at(page, url, "Pictures", "#sdtune_captions_load")
    change(page, "captions_folder", folder)
    click(page, "#sdtune_captions_load")
    page.until(SEEN.format("#sdtune_captions_apply"))
    change(page, "captions_words", "snow")
    click(page, "#sdtune_captions_apply")
    page.until(NOTE.format("captions_edit_note") + ".includes('not saved yet')")
    page.until("!document.querySelector('#sdtune_captions_undo').disabled")
    click(page, "#sdtune_captions_undo")
    page.until(NOTE.format("captions_edit_note") + " === ''")
    assert page.run(NOTE.format("captions_changes")) == ""


def test_fields_of_a_row_stand_side_by_side(page, url):
    at(page, url, "LoRA tools", "#sdtune_lora_tool_resize_file")
    bottom = "document.querySelector('#sdtune_lora_tool_resize_{}').getBoundingClientRect().bottom"
    assert abs(page.run(bottom.format("file")) - page.run(bottom.format("dynamic_param"))) < 1.5
