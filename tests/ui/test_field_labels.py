"""What a page of the tab is refused names the fields that stand there, not the keys of settings."""

import json
import re

import pytest

from lib_sdtune.ui import lora_tools_page, pictures_page
from lib_sdtune.ui.field_labels import with_labels
from lib_sdtune.ui.fields import declared
from tests.ui.browser import CHROMIUM, RESTORED, opened, type_in

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
LABELS = {"train.seed": "Seed", "concept.images": "Pictures", "model.base_loras": "LoRAs that are in the model"}


@pytest.mark.parametrize(("sentence", "expected"), [
    ('"train.seed" is odd.', '"Seed" is odd.'),
    ('"model.base_loras[1]" must be text.', '"LoRAs that are in the model" (entry 2) must be text.'),
    ('"concepts[0].images" is empty.', '"Pictures" is empty.'),
    ('"concepts[1].images" is empty.', '"Pictures" of concept 2 is empty.'),
    ('"ron" and "train.ron" are no fields.', '"ron" and "train.ron" are no fields.')])
def test_the_form_s_sentences_name_its_fields(sentence, expected):
    assert with_labels(sentence, LABELS) == expected


def goto(page, name):
    page.run(f"[...document.querySelectorAll('#sdtune_pages button')].find((one) => one.textContent.trim() === '{name}').click()")


def click(page, name):
    page.until(f"!!document.querySelector('#sdtune_{name}')")
    page.run(f"document.querySelector('#sdtune_{name}').click()")


def enter(page, field, value):
    page.until(f"!!document.querySelector('#sdtune_{field}')")
    page.run(f"sdtune.controls.set('{field}', {json.dumps(value)})")


@pytest.fixture(scope="module")
def one_page(shared_browser, url):
    """For tests that leave its fields as they were."""
    with shared_browser.page() as page:
        opened(page, url).until(RESTORED)
        yield page


@in_a_browser
@pytest.mark.parametrize(("page_name", "typed", "button", "note", "label"), [
    ("LoRA tools", {"lora_tool_resize_dim": "0"}, "lora_tool_start_resize", "lora_tool_note", '"New rank" is 0'),
    ("LoRA tools", {"lora_tool_resize_name": "a/b"}, "lora_tool_start_resize", "lora_tool_note", '"Name of the resized LoRA"'),
    ("LoRA tools", {"lora_tool_merge_name": "two", "lora_tool_merge_files": ":"}, "lora_tool_start_merge", "lora_tool_note",
     '"LoRAs to merge" (entry 1)'),
    ("Pictures", {"prepare_source": ""}, "prepare_start", "prepare_note", '"Folder of originals"'),
    ("Pictures", {"prepare_format": "jpg", "prepare_alpha": "true"}, "prepare_start", "prepare_note", '"Keep it transparent"'),
    ("Pictures", {"captions_folder": ""}, "captions_load", "captions_note", '"Folder of pictures"'),
    ("Train", {"loose_seeds": "1, x"}, "loose_start", "loose_progress", '"Seeds" (entry 2)'),
    ("Train", {"loose_name": "a:b"}, "loose_start", "loose_progress", '"Name of the comparison"'),
    ("Train", {"choice_weights": "0"}, "choice_start", "choice_progress", '"Weights" is 0')])
def test_every_page_s_refusals_name_its_fields(one_page, page_name, typed, button, note, label):
    page, before = one_page, {}
    goto(page, page_name)
    for field, value in typed.items():
        page.until(f"!!document.querySelector('#sdtune_{field}')")
        before[field] = page.run(f"['value', 'checked'].map((name) => document.querySelector('#sdtune_{field}')[name])")
        enter(page, field, value)
        page.run(f"(() => {{ const box = document.querySelector('#sdtune_{field}'); if (box.type === 'checkbox') box.checked = true; }})()")
    if button == "loose_start":
        page.run("document.querySelector('#sdtune_loose_files').innerHTML = '', sdtune.call = ((call) => (path, method, body) =>"
                 " call(path, method, body && body.of ? {...body, of: ['ron']} : body))(sdtune.call)")
    told = f"document.querySelector('#sdtune_{note}').textContent.includes({json.dumps(label)})"
    assert not page.run(told)
    click(page, button)
    page.until(told)
    for field, (value, checked) in before.items():
        page.run(f"Object.assign(document.querySelector('#sdtune_{field}'), {{value: {json.dumps(value)}, checked: {json.dumps(checked)}}})")


HELD = """{ const ask = window.fetch, address = new RegExp(%s);
    window.held = [];
    window.fetch = (url, request) => (request && request.method && request.method !== 'GET') || !address.test(url) ? ask(url, request)
        : new Promise((answer) => held.push(() => answer(%s || ask(url, request)))); }"""
STOPPED = "Response.json({work: {state: 'stopped'}})"


@in_a_browser
@pytest.mark.parametrize(("page_name", "field", "value", "button", "note", "address", "answer"), [
    ("Train", "choice_weights", "0", "choice_start", "choice_progress", "/choose$", "null"),
    ("LoRA tools", "lora_tool_resize_dim", "0", "lora_tool_start_resize", "lora_tool_note", "/lora-tools$", STOPPED),
    ("Pictures", "prepare_source", "", "prepare_start", "prepare_note", "/prepare$", STOPPED)])
def test_a_refusal_outlasts_an_answer_that_was_asked_for_before_it(page, url, page_name, field, value, button, note, address, answer):
    opened(page, url, HELD % (json.dumps(address), answer)).until(RESTORED)
    goto(page, page_name)
    enter(page, field, value)
    page.until("held.length > 0")
    click(page, button)
    page.until(f"document.querySelector('#sdtune_{note}').textContent !== ''")
    refusal = page.run(f"document.querySelector('#sdtune_{note}').textContent")
    page.run("held.splice(0).forEach((release) => release()), new Promise((done) => setTimeout(done, 300))")
    assert page.run(f"document.querySelector('#sdtune_{note}').textContent") == refusal


@in_a_browser
def test_a_preset_s_name_is_not_taken_for_the_run_s(page, url):
    opened(page, url).until(RESTORED)
    enter(page, "preset_new", "a/b")
    click(page, "preset_save")
    page.until("document.querySelector('#sdtune_preset_message').textContent.includes('\"name of the preset\"')")


@in_a_browser
@pytest.mark.parametrize(("button", "place"), [("sdtune_start", "sdtune_start_message"), ("sdtune_check", "sdtune_report")])
def test_who_may_replace_a_file_is_told_which_box_to_tick(page, url, folder, button, place):
    opened(page, url).until(RESTORED)
    type_in(page, "sdtune_images", str(folder / "pics"))
    type_in(page, "sdtune_name", "ron")
    type_in(page, "sdtune_dataset_resolution", "64")  # or the VAE has more to do
    page.run(f"document.querySelector('#{button}').click()")
    page.until(f"!!document.querySelector('#{place} .sdtune-red')")
    message = page.run(f"document.querySelector('#{place} .sdtune-red').textContent")
    box = page.run("document.querySelector('#sdtune_overwrite label').textContent.trim()")
    assert f'"{box}"' in message and "overwrit" not in message


@in_a_browser
def test_the_advice_on_a_field_names_other_fields_by_their_labels(page, url):
    opened(page, url).until(RESTORED)
    goto(page, "Pictures")
    page.until("!!document.querySelector('#sdtune_prepare_flip')")
    advice = page.run("['flip', 'alpha'].map((name) => document.querySelector('#sdtune_prepare_' + name).closest('label').textContent)")
    labels = page.run("['flip_aug', 'alpha_mask'].map((name) => document.querySelector('#sdtune_dataset_' + name + ' label').textContent.trim())")
    assert all(f'"{label}"' in text for label, text in zip(labels, advice, strict=True))


def test_no_advice_names_a_key_without_quotes():
    facts = pictures_page.facts()
    others = [field for group in (facts["prepare"], *lora_tools_page.facts().values()) for field in group]
    advice = [*(field.info for field in declared()), *(field["info"] for field in others)]
    keys = {key for field in declared() if "_" in (key := field.path.rpartition(".")[2])}
    assert [text for text in advice if keys & set(re.findall(r"(?<![\w.\"])\w+(?![\w\"])", text))] == []
