"""The keyboard's focus after what had it is gone."""

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
RUNS = """
const answers = window.fetch;
const run = (id) => ({id, method: 'lora', state: 'finished', step: 9, total_steps: 9, artefacts: [], samples: [], message: '', updated: {three: 3, two: 2, one: 1}[id]});
window.sdtune_pretended = ['three', 'two', 'one'].map(run);
window.fetch = (address, options, ...others) => {
    const place = String(address).split('/sdtune/v1/')[1] || '';
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    const named = window.sdtune_pretended.find((run) => place === 'runs/' + run.id);
    if (options && options.method === 'DELETE') {
        window.sdtune_pretended = window.sdtune_pretended.filter((run) => place !== 'runs/' + run.id);
        return answer({});
    }
    if (place === 'runs') return answer(window.sdtune_pretended);
    if (place.includes('/log?')) return answer([]);
    return named ? answer(named) : answers(address, options, ...others);
};
"""
LATER = "new Promise((done) => setTimeout(done, 800))"  # than the second click of a double click
FOCUSED = "document.activeElement?.closest('[data-run]')?.dataset.run"


def delete(page, run):
    button = f"document.querySelector('[data-run={run}] [data-act=Delete]')"
    page.run(f"{button}.focus(), {button}.click()")
    page.run(LATER)
    page.run("document.activeElement.click()")
    page.until(f"document.querySelector('[data-run={run}]') === null")


def test_after_a_run_is_deleted_the_next_one_has_the_focus_and_after_the_last_the_table(page, url):
    opened(page, url, RUNS).until("document.querySelectorAll('[data-run]').length === 3")
    delete(page, "two")
    page.until(f"{FOCUSED} === 'one' && document.activeElement.dataset.act === 'Show'")
    delete(page, "one")
    page.until(f"{FOCUSED} === 'three'")
    delete(page, "three")
    page.until("document.activeElement?.id === 'sdtune_runs'")


def test_after_chosen_runs_are_deleted_the_focus_is_in_the_table(page, url):
    opened(page, url, RUNS).until("document.querySelectorAll('[data-run]').length === 3")
    page.run("document.querySelector('[data-tick=two]').click(), document.querySelector('#sdtune_runs_delete').focus()")
    page.run("document.activeElement.click()")
    page.run(LATER)
    page.run("document.activeElement.click()")
    page.until("document.querySelectorAll('[data-run]').length === 2")
    page.until("document.querySelector('#sdtune_runs').contains(document.activeElement)")


def test_after_a_concept_is_removed_the_next_one_has_the_focus(page, url):
    opened(page, url).until(RESTORED + " && !!document.querySelector('#sdtune_concepts button')")
    page.run("document.querySelectorAll('#sdtune_form .label-wrap:not(.open)').forEach((one) => one.click())")
    page.until("document.querySelector('#sdtune_concepts button').offsetParent !== null")
    for _ in range(2):
        page.run("[...document.querySelectorAll('#sdtune_concepts > button')].pop().click()")
    for left, tag in ((1, "INPUT"), (0, "BUTTON")):
        page.run("document.querySelector('#sdtune_concepts legend button').focus(), document.activeElement.click()")
        page.until(f"document.querySelectorAll('#sdtune_concepts fieldset').length === {left}")
        page.until(f"document.activeElement.tagName === '{tag}' && !!document.activeElement.closest('#sdtune_concepts')")


@pytest.mark.parametrize("left", [1, 0])
def test_after_a_preset_is_deleted_the_next_one_has_the_focus(page, url, folder, left):
    presets = folder / "data" / "sdtune" / "presets"
    presets.mkdir(parents=True, exist_ok=True)
    for name in ("a", "b")[: left + 1]:
        (presets / f"{name}.json").write_text('{"settings": {}}')
    opened(page, url).until(RESTORED + f" && document.querySelectorAll('#sdtune_presets_list > *').length === {left + 1}")
    page.run("document.querySelector('#sdtune_presets summary').click()")
    page.run("[...document.querySelector('#sdtune_presets_list > *').querySelectorAll('button')].pop().focus(), document.activeElement.click()")
    page.run(LATER)
    page.run("document.activeElement.click()")
    page.until(f"document.querySelectorAll('#sdtune_presets_list > *').length === {left}")
    place = "#sdtune_presets_list" if left else "#sdtune_presets details"
    page.until(f"document.querySelector('{place}').contains(document.activeElement)")
    for path in presets.glob("*.json"):
        path.unlink()
