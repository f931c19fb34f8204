"""The tab in a real browser: what only a page with its scripts running can show."""

import json
import shutil
from pathlib import Path

import pytest

from lib_sdtune.sentences import coded
from lib_sdtune.ui import standalone
from tests.hosts import pictures
from tests.ui.browser import CHROMIUM, RESTORED, SEEN, opened, type_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


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
const published = {file: 'ron', path: '/models/ron.safetensors', weight: 1};
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


TXT2IMG = """
document.addEventListener('DOMContentLoaded', () => document.body.insertAdjacentHTML('beforeend', `
    <div id="txt2img_prompt"><textarea>a hat</textarea></div>
    <div id="txt2img_width"><input type="number" value="WIDTH"></div>
    <div id="txt2img_height"><input type="number" value="HEIGHT"></div>`));
"""


@pytest.mark.parametrize(("here", "sent"), [(("512", "512"), ["128", "128"]), (("160", "96"), ["160", "96"])],
                         ids=["far", "near"])
def test_a_file_goes_to_txt2img_with_a_size_like_the_one_it_was_trained_with(page, url, here, sent):
    script = TXT2IMG.replace("WIDTH", here[0]).replace("HEIGHT", here[1])
    opened(page, url, script).until("!!document.querySelector('#sdtune_send')")
    page.run("document.querySelector('#sdtune_send').click()")
    values = "[...document.querySelectorAll('#txt2img_width input, #txt2img_height input')].map((field) => field.value)"
    assert page.run(values) == sent
    assert page.run("document.querySelector('#txt2img_prompt textarea').value").startswith("a hat <lora:")


@pytest.mark.parametrize(("prompt", "sent"), [
    ("a Ron  cat, <lora:cup:0.6>", ""), ("<lora:cup:1>", " ron cat"), ("an iron cat <lora:ron cat:1>", " <lora:cup:1> ron cat"),
    ("ron cat", " <lora:cup:1>"), ("", "<lora:cup:1> ron cat")])
def test_what_the_prompt_has_already_is_not_sent_again(page, url, prompt, sent):
    opened(page, url, TXT2IMG.replace("WIDTH", "8").replace("HEIGHT", "8")).until("!!window.sdtune?.send")
    value = page.run(f"""(() => {{
        const area = document.querySelector('#txt2img_prompt textarea');
        area.value = {json.dumps(prompt)};
        sdtune.send.controls(['<lora:cup:1>', 'ron cat'], '')[0].click();
        return area.value;
    }})()""")
    assert value == prompt + sent


TRAINING = """
const answers = window.fetch;
const run = {id: 'ron', method: 'lora', state: 'training', step: 3, total_steps: 9, artefacts: [], samples: [], message: ''};
window.sdtune_calls = [];
window.fetch = (address, ...others) => {
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    if (String(address).endsWith('/runs')) return answer([run]);
    if (String(address).endsWith('/runs/ron')) return answer(run);
    const [, order] = String(address).match(/\\/runs\\/ron\\/(pause|stop|save|sample)/) || [];
    if (order) {
        window.sdtune_calls.push(order);
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
    disabled = "['pause', 'stop', 'save'].map((verb) => document.querySelector('#sdtune_' + verb).disabled)"
    assert page.run(disabled) == [True, False, False]  # a run can be stopped whatever it was asked for before
    page.run("window.sdtune_pretended.state = 'paused'")
    page.until("document.querySelector('#sdtune_promise').hidden")
    assert page.run("window.sdtune_calls") == ["pause"]
    page.run("document.querySelector('#sdtune_stop').click()")
    page.until(disabled + ".every(Boolean)")
    assert page.run("document.querySelector('#sdtune_discard').disabled") is False


def test_only_what_was_asked_for_rests_until_it_is_done(page, url):
    """Somebody who asked for samples can still ask for a file, and whoever asked for both waits for both."""
    opened(page, url, TRAINING).until("document.querySelector('#sdtune_save').offsetParent !== null")
    resting = "['sample', 'save', 'pause', 'stop'].filter((verb) => document.querySelector('#sdtune_' + verb).disabled)"
    page.run("document.querySelector('#sdtune_sample').click()")
    assert page.until(resting + ".length && " + resting) == ["sample"]
    page.run("document.querySelector('#sdtune_save').click()")
    page.run("sdtune.refresh()")
    assert page.run(resting) == ["sample", "save"] and page.run("window.sdtune_calls") == ["sample", "save"]
    assert page.run("document.querySelector('#sdtune_promise').textContent") == "Saving after this step."


def test_what_stops_start_is_brought_before_the_eye_and_goes_when_a_field_changes(page, url):
    opened(page, url).until(RESTORED)
    page.run("document.querySelector('#sdtune_start').scrollIntoView(); document.querySelector('#sdtune_start').click()")
    problem = "#sdtune_start_message .sdtune-red"
    page.until(f"document.activeElement === document.querySelector('{problem}')")
    above = "document.querySelector('{}').getBoundingClientRect().top < document.querySelector('#sdtune_start').getBoundingClientRect().top"
    assert page.run(above.format(problem))
    type_in(page, "sdtune_name", "cup")
    page.until("!" + SEEN.format(problem))
    type_in(page, "sdtune_name", "")
    page.run("document.querySelector('#sdtune_start').click()")
    page.until(SEEN.format(problem))


def test_check_s_report_goes_when_what_it_speaks_of_changes(page, url, folder):
    opened(page, url).until(RESTORED)
    type_in(page, "sdtune_images", str(folder / "pics"))
    type_in(page, "sdtune_dataset_resolution", "64")  # or the VAE has more to do
    page.run("document.querySelector('#sdtune_check').click()")
    page.until(SEEN.format("#sdtune_report .sdtune-check") + " && !document.querySelector('#sdtune_check').disabled")
    type_in(page, "sdtune_name", "cup")
    page.until("localStorage.sdtune_form.includes('cup')")
    assert page.run(SEEN.format("#sdtune_report .sdtune-check"))
    type_in(page, "sdtune_dataset_resolution", "256")
    page.until("!(" + SEEN.format("#sdtune_report .sdtune-check") + ")")


def test_a_field_that_was_changed_is_marked_and_goes_back_with_one_click(page, url):
    opened(page, url).until(RESTORED)
    type_in(page, "sdtune_lora_dim", "48")
    page.until("document.querySelector('#sdtune_lora_dim .sdtune-back') !== null")
    assert page.run("document.querySelector('#sdtune_group_network .label-wrap span').dataset.changed") == "1"
    button = "document.querySelector('#sdtune_lora_dim .sdtune-back')"
    page.run(f"{button}.closest('.sdtune-group').querySelector('.label-wrap').click()")
    page.until(f"{button}.clientWidth > 0")
    page.run(f"{button}.scrollIntoView({{block: 'center'}})")
    for x, y in ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9)):  # a mouse reaches all of it
        assert page.run(f"(() => {{ const r = {button}.getBoundingClientRect(); return document.elementFromPoint(r.x + {x} * r.width,"
                        f" r.y + {y} * r.height) === {button}; }})()"), (x, y)
    page.run(f"{button}.focus(); {button}.click()")
    page.until("document.activeElement === document.querySelector('#sdtune_lora_dim input')")
    page.until("document.querySelector('#sdtune_lora_dim input').value === '16'")
    page.until("document.querySelector('.sdtune-differs') === null")


@pytest.mark.parametrize("field", ["lora_dim", "dataset_caption_extension", "sample_prompts"])
def test_a_mouse_takes_a_changed_field_back(page, url, field):
    opened(page, url).until(RESTORED)
    area = f"document.querySelector('#sdtune_{field} :is(input, textarea)')"
    button = f"document.querySelector('#sdtune_{field} .sdtune-back')"
    recommended = page.run(f"{area}.value")
    page.run(f"[{area}.closest('.sdtune-group')?.querySelector('.label-wrap:not(.open)')].forEach((header) => header && header.click())")
    page.until(f"{area}.clientWidth > 0")
    type_in(page, f"sdtune_{field}", "7")
    page.until(f"{button} !== null")
    page.run(f"{button}.scrollIntoView({{block: 'center'}})")
    x, y = page.run(f"(() => {{ const r = {button}.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
    assert page.run(f"document.elementFromPoint({x}, {y}) === {button}")
    for kind in ("mousePressed", "mouseReleased"):
        page.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    page.until(f"{button} === null")
    assert page.run(f"{area}.value") == recommended and page.run(f"document.activeElement === {area}")


def test_samples_keep_their_size_while_another_page_is_looked_at(page, url):
    opened(page, url).until("document.querySelectorAll('.sdtune-step').length > 4")
    columns = "document.querySelector('.sdtune-strip').style.getPropertyValue('--in-view')"
    before = page.run(columns)
    page.run("""(() => {
        document.querySelector('#sdtune_panel').style.display = 'none';
        sdtune.gallery.draw({...sdtune.view.run, samples: sdtune.view.run.samples.slice(1)});
        sdtune.gallery.draw = () => {};  // the next poll would draw it anew, and hide what this left
        window.dispatchEvent(new Event('resize'));
        document.querySelector('#sdtune_panel').style.display = '';
    })()""")
    page.until(f"{columns} === '{before}'")
    assert int(before) > 1


def test_a_name_that_holds_words_of_the_table_is_never_translated(page, url):
    """The WebUI looks at each piece of text by itself: "ron" is in some tables, and so is its tail "on"."""
    opened(page, url).until(RESTORED)
    page.run("window.localization = {ron: 'x', on: 'y', r: 'z', ro: 'w', n: 'v', a: 'u', cat: 't'}")
    for text in ("ron", "on", "a", "cat"):
        pieces = page.run(f"[...sdtune.el('p', {{}}, '{text}').childNodes].map((node) => node.data)")
        assert not [piece for piece in pieces if page.run(f"{piece.strip()!r} in window.localization")], pieces
        assert "".join(pieces).replace("\u2060", "") == text
        title = page.run(f"sdtune.el('p', {{title: '{text}'}}).title")
        assert not page.run(f"{title.strip()!r} in window.localization") and title.replace("\u2060", "") == text


def test_a_sample_that_is_clicked_is_the_one_that_is_enlarged(page, url):
    """Also after polls, each of which brings the same samples anew."""
    opened(page, url, TRAINING).until("document.querySelector('#sdtune_pause').offsetParent !== null")
    page.run("window.sdtune_pretended.samples = [1, 2, 3].map((step) => `/runs/r/samples/step0000000${step}-00.png`)")
    page.until("document.querySelectorAll('#sdtune_gallery button.sdtune-shot').length === 3")
    page.run("sdtune.gallery.draw(sdtune.view.run)")
    page.run("document.querySelector('#sdtune_gallery button.sdtune-shot').click()")
    assert "step00000001" in page.until("document.querySelector('dialog.sdtune-dialog img')?.src")


def test_a_run_that_somebody_chose_stays_when_the_next_one_begins(page, url):
    opened(page, url, QUEUE).until("document.querySelector('#sdtune_runs [data-run=old]') !== null")
    page.run("sdtune.choose('old')")
    page.until("sdtune.view.run && sdtune.view.run.id === 'old'")
    page.run("window.sdtune_pretended[0].state = 'finished'; window.sdtune_pretended[1].state = 'training'")
    page.until("sdtune.view.on === 'two'")
    page.run("sdtune.refresh()")
    assert page.run("sdtune.view.chosen") == "old" and page.run("sdtune.view.run.id") == "old"


def test_accordions_open_by_keyboard(page, url):
    opened(page, url).until(RESTORED)
    header = "document.querySelector('#sdtune_group_saving .label-wrap')"
    page.run(f"{header}.focus()")
    page.command("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r")
    page.until(f"document.activeElement === {header} && {header}.getAttribute('aria-expanded') === 'true'")


QUEUE = """
const answers = window.fetch;
const run = (id, state, more) => ({id, method: 'lora', state, step: 3, total_steps: 9, artefacts: [], samples: [], message: '',
                                   updated: 1, elapsed_seconds: 75, ...more});
window.sdtune_pretended = [run('one', 'training'), run('two', 'queued', {place: 1, waiting_runs: 2}),
                           run('three', 'queued', {place: 2, waiting_runs: 2}), run('old', 'finished')];
window.sdtune_calls = [];
window.fetch = (address, options, ...others) => {
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    const place = String(address).split('/sdtune/v1/')[1] || '';
    const named = window.sdtune_pretended.find((run) => place === 'runs/' + run.id);
    if (options && options.method && options.method !== 'GET' && place.startsWith('runs/')) {
        window.sdtune_calls.push(options.method + ' ' + place);
        return answer({});
    }
    if (place === 'runs') return answer(window.sdtune_pretended);
    if (place.includes('/log?')) return answer([]);
    return named ? answer(named) : answers(address, options, ...others);
};
"""
BUTTON = "document.querySelector('[data-run={}] [data-act={}]')"
SHOWN = "document.querySelector('#sdtune_title').textContent === '{}'"


def test_the_panel_stays_with_the_run_that_ended_until_the_next_one_is_asked_for(page, url):
    opened(page, url, QUEUE).until(SHOWN.format("one"))
    page.run("sdtune_pretended[0].state = 'finished'; sdtune_pretended[1].state = 'training'; sdtune.refresh()")
    page.until("document.querySelector('#sdtune_next').textContent.includes('two has begun meanwhile.')")
    assert page.run(SHOWN.format("one")) and "took 1 min 15 s" in page.run("document.querySelector('#sdtune_pace').textContent")
    page.run("document.querySelector('#sdtune_next_show').click()")
    page.until(SHOWN.format("two") + " && document.querySelector('#sdtune_next').hidden")


def test_the_queue_is_ordered_and_left_from_the_table_whose_focus_stays(page, url):
    opened(page, url, QUEUE).until(f"!!{BUTTON.format('three', 'Earlier')}")
    assert page.run(f"{BUTTON.format('two', 'Earlier')} === null && {BUTTON.format('three', 'Later')} === null")
    assert page.run("[...document.querySelectorAll('[data-run]')].map((line) => line.dataset.run)") == ["one", "two", "three", "old"]
    page.run(f"{BUTTON.format('three', 'Earlier')}.click()")
    page.run(f"{BUTTON.format('two', 'Cancel')}.focus(); sdtune_pretended[0].step = 4; sdtune_pretended[1].updated = 5; sdtune.refresh()")
    page.until("document.querySelector('[data-run=one]').textContent.includes('4 / 9')")
    assert page.run(f"document.activeElement === {BUTTON.format('two', 'Cancel')}")
    page.run("document.activeElement.click()")
    page.until("sdtune_calls.length === 2")
    assert page.run("sdtune_calls") == ["POST runs/three/move?to=1", "POST runs/two/stop?save=false"]


def test_the_focus_stays_in_the_row_of_a_run_whose_button_has_done_its_work(page, url):
    opened(page, url, QUEUE).until(f"!!{BUTTON.format('three', 'Earlier')}")
    page.run(f"{BUTTON.format('three', 'Earlier')}.focus()")
    page.run("sdtune_pretended[1].place = 2; sdtune_pretended[2].place = 1; sdtune.refresh()")
    page.until(f"{BUTTON.format('three', 'Earlier')} === null")
    assert page.run(f"document.activeElement === {BUTTON.format('three', 'Later')}")
    page.run("sdtune_pretended[2].place = 0; sdtune_pretended[2].state = 'stopped'; sdtune.refresh()")
    page.until(f"{BUTTON.format('three', 'Later')} === null")
    assert page.run(f"document.activeElement === {BUTTON.format('three', 'Show')}")


@pytest.mark.parametrize("width", [420, 780, 900, 1300])
def test_every_button_of_a_run_is_on_the_page_however_narrow_it_is(page, url, width):
    page.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    opened(page, url, QUEUE).until(f"!!{BUTTON.format('old', 'Delete')}")
    page.run("Object.assign(sdtune_pretended[3], {id: 'a_run_whose_name_is_rather_long', resumable: true}); sdtune.refresh()")
    page.until("document.querySelectorAll('[data-run^=a_run] .sdtune-actions > *').length === 6")
    outside = """[...document.querySelectorAll('#sdtune_runs .sdtune-actions > *')].filter((button) => {
        const {left, right} = button.getBoundingClientRect();
        return left < 0 || right > document.documentElement.clientWidth;
    }).map((button) => button.textContent)"""
    assert page.run(outside) == []


def import_preset(page, text):
    """Choose a file mine.json that holds `text`, as the button Import does."""
    page.run(f"""(() => {{
        const [picker, files] = [document.querySelector('#sdtune_preset_file'), new DataTransfer()];
        files.items.add(new File([{json.dumps(text)}], 'mine.json'));
        picker.files = files.files;
        picker.dispatchEvent(new Event('change'));
    }})()""")


def test_an_error_of_saving_a_preset_goes_when_one_is_imported(page, url):
    opened(page, url).until("!!document.querySelector('#sdtune_preset_file')")
    page.run("document.querySelector('#sdtune_preset_save').click()")
    page.until("document.querySelector('#sdtune_preset_message').textContent.includes('no name')")
    import_preset(page, '{"title": "mine", "settings": {"lora": {"dim": 3}}}')
    page.until("document.querySelector('#sdtune_preset_message').classList.contains('sdtune-stale')")
    page.run("document.querySelector('#sdtune_preset_save').click()")
    page.until("!document.querySelector('#sdtune_preset_message').classList.contains('sdtune-stale')")


def test_an_error_of_saving_a_preset_goes_when_a_wrong_file_is_imported(page, url):
    opened(page, url).until("!!document.querySelector('#sdtune_preset_file')")
    page.run("document.querySelector('#sdtune_preset_save').click()")
    page.until("document.querySelector('#sdtune_preset_message').textContent.includes('no name')")
    import_preset(page, 'no JSON')
    page.until("document.querySelector('#sdtune_presets_note').textContent.includes('mine.json is no JSON file')")
    assert page.run("document.querySelector('#sdtune_preset_message').offsetHeight") == 0
    page.run("document.querySelector('#sdtune_preset_save').click()")
    page.until("document.querySelector('#sdtune_preset_message').offsetHeight > 0")
    assert page.run("document.querySelector('#sdtune_presets_note').textContent") == ""


LATER = "new Promise((done) => setTimeout(done, 800))"  # than the second click of a double click


def test_chosen_runs_are_deleted_together_after_a_second_click(page, url):
    opened(page, url, QUEUE).until(f"!!{BUTTON.format('old', 'Delete')}")
    page.run("document.querySelector('#sdtune_runs_every').click()")
    page.until("document.querySelector('#sdtune_runs_delete').textContent === 'Delete chosen runs: 1'")
    page.run("document.querySelector('#sdtune_runs_delete').click()")
    assert page.run("sdtune_calls") == []
    page.run(LATER)
    page.run("document.querySelector('#sdtune_runs_delete').click()")
    page.until("sdtune_calls.includes('DELETE runs/old')")


def test_the_second_click_of_a_double_click_is_no_answer(page, url):
    opened(page, url)
    assert page.run("(window.asking = document.createElement('button')) && [sdtune.sure(asking), sdtune.sure(asking)]") == [False, False]
    page.run(LATER)
    assert page.run("sdtune.sure(asking)") is True


CONTRAST = (Path(__file__).with_name("contrast.js")).read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_what_lies_behind_it(page, url, theme):
    """WCAG's level AA for small text; what is switched off is left out, as there."""
    opened(page, url + f"?__theme={theme}", QUEUE).until(f"!!{BUTTON.format('old', 'Delete')} && {RESTORED}")
    page.run("document.querySelectorAll('#sdtune_form .label-wrap:not(.open)').forEach((header) => header.click())")
    page.run("document.querySelectorAll('#sdtune_loose details').forEach((part) => (part.open = true))")
    page.until("document.querySelectorAll('#sdtune_form .label-wrap:not(.open)').length === 0")
    page.until("!document.querySelector('.progress-text')")  # gradio's own, which fades in and out
    texts = page.run(CONTRAST)
    assert len(texts) > 200 and [text for text in texts if text[0] < 4.5] == []


def test_a_dropped_folder_is_a_set_whose_captions_stay_with_their_pictures(page, url, folder, tmp_path):
    for name, captions in (("a", 0), ("b", 2)):
        for path in pictures(tmp_path / "cats" / name, count=2).glob("*.txt"):
            path.write_text(name, encoding="utf-8") if captions else path.unlink()
    opened(page, url).until("!!document.querySelector('#sdtune_picture_set')")
    at = page.run("(() => {const box = document.querySelector('#sdtune_images').getBoundingClientRect(); return [box.left + 9, box.top + 9]})()")
    data = {"items": [], "files": [str(tmp_path / "cats")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.command("Input.dispatchDragEvent", type=kind, x=at[0], y=at[1], data=data)
    page.until("document.querySelector('#sdtune_picture_set').textContent.includes('cats (4)')")
    page.until("document.querySelector('#sdtune_images textarea, #sdtune_images input').value.endsWith('cats')")
    names = sorted(path.name for path in (folder / "data").rglob("pictures/cats/*"))
    assert names == ["a-0.png", "a-1.png", "b-0.png", "b-0.txt", "b-1.png", "b-1.txt"]


def test_masks_of_two_dropped_folders_stay_with_their_pictures(page, url, folder, tmp_path):
    for name in ("red", "Blue"):
        (pictures(tmp_path / name, count=1) / "0.txt").write_text(name, encoding="utf-8")
        shutil.copyfile(tmp_path / name / "0.png", tmp_path / name / "0.mask.png")
        (tmp_path / name / "notes.docx").write_text("")
    opened(page, url).until("!!document.querySelector('#sdtune_picture_set')")
    at = page.run("(() => {const box = document.querySelector('#sdtune_images').getBoundingClientRect(); return [box.left + 9, box.top + 9]})()")
    data = {"items": [], "files": [str(tmp_path / "red"), str(tmp_path / "Blue")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.command("Input.dispatchDragEvent", type=kind, x=at[0], y=at[1], data=data)
    page.until("document.querySelector('#sdtune_picture_set').textContent.includes('(2)')")
    page.until("document.querySelector('#sdtune_report').textContent.includes('notes.docx')")
    captions = {path.name: path.read_text(encoding="utf-8") for path in (folder / "data").rglob("pictures/red/*.txt")}
    assert captions == {"red-0.txt": "red", "Blue-0.txt": "Blue"}
    assert sorted(path.name for path in (folder / "data").rglob("pictures/red/*.png")) == [
        "Blue-0.mask.png", "Blue-0.png", "red-0.mask.png", "red-0.png"]


def test_repeats_of_folders_in_a_dropped_one_are_not_lost_in_silence(page, url, tmp_path):
    for name in ("10_ron", "plain"):
        pictures(tmp_path / "cats" / name, count=1)
    opened(page, url).until("!!document.querySelector('#sdtune_picture_set')")
    at = page.run("(() => {const box = document.querySelector('#sdtune_images').getBoundingClientRect(); return [box.left + 9, box.top + 9]})()")
    data = {"items": [], "files": [str(tmp_path / "cats")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.command("Input.dispatchDragEvent", type=kind, x=at[0], y=at[1], data=data)
    note = "document.querySelector('#sdtune_picture_sets_note')"
    page.until(f"{note}.offsetParent && {note}.textContent.includes('10_ron') && !{note}.textContent.includes('plain')")


@pytest.mark.parametrize("text, translated", [
    ("ron.pt is a LoRA, not a checkpoint; choose a model of the folder models/Stable-diffusion.",
     "ron.pt 是 LoRA，不是模型；请选择 models/Stable-diffusion 文件夹里的模型。"),
    ("text.jpg is not a picture that can be read (a web page); save it again as PNG or JPEG, or remove it.",
     "text.jpg 不是可以读取的图片（网页）；请重新存为 PNG 或 JPEG，或删除它。"),
    ("a.png is animated; only its first frame is used. b.png has 16 bits a pixel; they are reduced to 8.",
     "a.png 是动图；只用第一帧。b.png 每像素 16 位；会降为 8 位。")])
def test_what_the_server_says_is_said_in_the_page_s_language(page, url, text, translated):
    table = (Path(standalone.__file__).parents[2] / "localizations" / "zh_CN.json").read_text(encoding="utf-8")
    opened(page, url).until("!!window.sdtune.form && !!document.querySelector('#sdtune_report')")
    page.run(f"window.localization = {table}, null")
    assert page.run(f"sdtune.said({json.dumps(text)}, {json.dumps(coded([text]))})") == translated


STARTED_ELSEWHERE = """
const answers = window.fetch;
window.sdtune_work = null;
const wait = window.setTimeout;
window.setTimeout = (act, time, ...others) => wait(act, time / 5, ...others);
window.fetch = (address, ...others) => {
    const choice = {work: window.sdtune_work, result: null, files: [{file: 'ron', label: 'end', step: 1}], published: null};
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    return String(address).endsWith('/choose') ? answer(choice) : answers(address, ...others);
};
"""


def test_a_comparison_that_was_started_elsewhere_is_seen_and_nothing_else_is_wiped_meanwhile(page, url):
    visible = "document.querySelector('#sdtune_choice_{}')?.offsetParent"
    opened(page, url, STARTED_ELSEWHERE).until(f"!!{visible.format('start')}")
    page.run("sdtune.text('sdtune_choice_progress', 'refused')")
    page.run("new Promise((done) => setTimeout(done, 11000))")  # fifths, as the page's own
    assert page.run("document.querySelector('#sdtune_choice_progress').textContent") == "refused"
    page.run("window.sdtune_work = {state: 'working', done: 1, total: 2, text: 'drawing pictures', message: ''}")
    page.until(f"!!{visible.format('stop')} && !{visible.format('start')}")


def test_what_was_typed_for_a_comparison_is_there_after_a_reload(page, url):
    values = "['prompts', 'seeds', 'weights'].map((name) => document.querySelector('#sdtune_choice_' + name)?.value)"
    typed = ["a hat\na cup", "3, 4", "0.8"]
    shown = "document.querySelector('#sdtune_choice_prompts')?.offsetParent"
    opened(page, url).until(f"!!{shown}")
    for name, text in zip(("prompts", "seeds", "weights"), typed, strict=True):
        page.run(f"""(() => {{
            const field = document.querySelector('#sdtune_choice_{name}');
            field.value = {json.dumps(text)};
            field.dispatchEvent(new Event('input', {{bubbles: true}}));
        }})()""")
    opened(page, url + "?again").until(f"!!{shown}")
    assert page.run(values) == typed


DEFERRED = """
const answers = window.fetch;
window.sdtune_calls = [];
window.sdtune_about = {model: 'toy', family: 'SD1', title: 'toy', on: {id: 'q3', model: '<b>toy'}, deferred_settings: [
    {setting: 'sd_model_checkpoint', label: 'Stable Diffusion checkpoint', value: 'db', checkpoint: true, asked: 1e9, state: 'waiting'}]};
window.fetch = (address, options, ...others) => {
    const place = String(address).split('/sdtune/v1/')[1] ?? 'elsewhere';
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    if (options && options.method === 'DELETE') {
        window.sdtune_calls.push(place);
        window.sdtune_about.deferred_settings = [];
    }
    return place === '' || place.startsWith('deferred-settings/') ? answer(window.sdtune_about) : answers(address, options, ...others);
};
"""


def test_a_checkpoint_chosen_during_a_run_is_announced_and_can_be_dropped(page, url):
    """Beside the model that is trained, whatever run is shown; and said again when it has been loaded."""
    sentence = "document.querySelector('#sdtune_deferred').textContent"
    opened(page, url, DEFERRED).until(f"{sentence}.includes('q3 trains <b>toy; db is loaded when it has ended.')")
    page.run("document.querySelector('#sdtune_deferred button').click()")
    page.until(f"{sentence} === ''")
    assert page.run("sdtune_calls") == ["deferred-settings/sd_model_checkpoint"]
    page.run("""sdtune_about.deferred_settings = [{setting: 'sd_model_checkpoint', label: '', value: 'db', checkpoint: true,
        asked: new Date(2026, 1, 1, 10, 45).getTime() / 1000, state: 'done'}]""")
    page.until(f"/db has been loaded, as asked at 10:45/.test({sentence})")


DREAMBOOTH = """
const answers = window.fetch;
const run = {id: 'db', method: 'dreambooth', state: 'finished', step: 9, total_steps: 9, samples: [], message: '', trigger: 'ron',
             artefacts: [{path: '/models/db.safetensors', name: 'db'}]};
window.sdtune_about = {model: 'toy', title: 'toy.safetensors', OTHERS};
window.fetch = (address, ...others) => {
    const place = String(address).split('/sdtune/v1/')[1] ?? 'elsewhere';
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    if (place === 'runs' || place.includes('/log?')) return answer(place === 'runs' ? [run] : []);
    return place === '' ? answer(window.sdtune_about) : place === 'runs/db' ? answer(run) : answers(address, ...others);
};
window.switch_to_txt2img = () => (window.sdtune_switched = true);
window.selectCheckpoint = (name) => setTimeout(() => { SELECTED }, 300);
document.addEventListener('DOMContentLoaded', () => document.body.insertAdjacentHTML('beforeend', `
    <div id="txt2img_prompt"><textarea></textarea></div><div id="setting_sd_model_checkpoint"><input value="toy.safetensors [0123456789]"></div>`));
"""
SENT = "document.querySelector('#sdtune_send_note').textContent"


def test_a_checkpoint_that_waits_for_another_run_is_not_taken_for_chosen(page, url):
    waiting = """on: {id: 'q3', model: 'toy'}, deferred_settings: [{setting: 'sd_model_checkpoint', label: '', value: 'db', checkpoint: true,
                 asked: 1, state: 'waiting'}]"""
    opened(page, url, DREAMBOOTH.replace("OTHERS", waiting)).until("!!document.querySelector('#sdtune_send')")
    page.run("document.querySelector('#sdtune_send').click()")
    page.until(f"{SENT} === 'db is chosen when q3 has ended; the prompt is in txt2img.'")
    assert page.run("!window.sdtune_switched && document.querySelector('#txt2img_prompt textarea').value === 'ron'")


def test_txt2img_is_shown_when_the_drop_down_shows_the_checkpoint(page, url):
    selected = "document.querySelector('#setting_sd_model_checkpoint input').value = name + '.safetensors [0123456789]';"
    opened(page, url, DREAMBOOTH.replace("OTHERS", "").replace("SELECTED", selected)).until("!!document.querySelector('#sdtune_send')")
    page.run("document.querySelector('#sdtune_send').click()")
    assert page.run("!window.sdtune_switched")
    page.until(f"window.sdtune_switched && {SENT} === ''")


def test_a_drop_down_that_does_not_show_the_checkpoint_is_told(page, url):
    hurry = "window.sdtune_timeout = 1500;\n"
    opened(page, url, hurry + DREAMBOOTH.replace("OTHERS", "").replace("SELECTED", "")).until("!!document.querySelector('#sdtune_send')")
    page.run("document.querySelector('#sdtune_send').click()")
    page.until(f"{SENT}.includes('does not show db')")
    assert page.run("!window.sdtune_switched")


DROP_DOWN = "document.querySelector('#setting_sd_model_checkpoint input').value"
SELECT = """window.sdtune_selected = []; window.selectCheckpoint = (name) => { sdtune_selected.push(name);
    document.querySelector('#setting_sd_model_checkpoint input').value = name };
"""


@pytest.mark.parametrize("facts, shown", [("selected: 'db.safetensors'", "db.safetensors"),
                                          ("selected: 'db.safetensors', on: {id: 'q3', model: 'toy'}", "toy.safetensors [0123456789]"),
                                          ("selected: 'toy.safetensors'", "toy.safetensors [0123456789]")])
def test_the_drop_down_shows_what_is_selected_when_the_tab_is_opened(page, url, facts, shown):
    """A run that has ended by then had held another checkpoint when the page was loaded."""
    opened(page, url, DREAMBOOTH.replace("OTHERS", facts).replace("SELECTED", "") + SELECT).until("!!document.querySelector('#sdtune_send')")
    page.until(f"{DROP_DOWN} === '{shown}'")
    assert page.run("sdtune_selected") == [shown] * (shown == "db.safetensors")


def test_the_drop_down_follows_another_checkpoint_whatever_its_hash(page, url):
    opened(page, url, DREAMBOOTH.replace("OTHERS", "").replace("SELECTED", "") + SELECT).until("!!document.querySelector('#sdtune_send')")
    page.run("sdtune_about.title = 'db.safetensors [abcdef0123]'")
    page.until(f"{DROP_DOWN} === 'db.safetensors [abcdef0123]'")


CHINESE = f"window.localization = {(Path(__file__).parents[2] / 'localizations/zh_CN.json').read_text(encoding='utf-8')};"


@pytest.mark.parametrize("before", ["", CHINESE], ids=["English", "Chinese"])
def test_an_error_leads_to_the_field_that_it_names(page, url, folder, before):
    """Into a group that is folded away, of some 150 fields."""
    opened(page, url, before).until(RESTORED)
    type_in(page, "sdtune_name", "cup")
    type_in(page, "sdtune_images", str(folder / "pics"))
    type_in(page, "sdtune_train_batch_size", "-3")
    page.until("localStorage.sdtune_form.includes('-3')")
    page.run("document.querySelector('#sdtune_start').click()")
    page.until("!!document.querySelector('#sdtune_start_message button')")
    group = "document.querySelector('#sdtune_train_batch_size').closest('.sdtune-group').querySelector('.label-wrap.open')"
    assert page.run(f"{group} === null")
    message = page.run("document.querySelector('#sdtune_start_message').textContent")
    assert f'"{page.run("sdtune.form.label(`train.batch_size`)")}"' in message and "-3" in message
    page.run("document.querySelector('#sdtune_start_message button').click()")
    page.until(f"!!{group} && document.activeElement === document.querySelector('#sdtune_train_batch_size input')")


def test_a_link_to_a_field_is_made_of_text_alone(page, url):
    opened(page, url).until(RESTORED)
    page.run("""(() => {
        const place = document.querySelector('#sdtune_start_message');
        place.textContent = '"<b>x" is no name; "Name" is, "constructor" is not; "Pictures" of concept 2, "Batch size".';
        sdtune.linkFields(place);
    })()""")
    assert page.run("[...document.querySelectorAll('#sdtune_start_message *')].map((part) => part.textContent)") == ["Name", "Batch size"]


def test_sizes_of_the_form_are_what_prepare_can_do_and_a_refused_field_is_seen(page, url, folder):
    opened(page, url).until(RESTORED)
    type_in(page, "sdtune_dataset_bucket_reso_steps", "1")
    page.until("localStorage.sdtune_form.includes('bucket_reso_steps')")
    page.run("[...document.querySelectorAll('#sdtune_pages button')].find((tab) => tab.textContent.trim() === 'Pictures').click()")
    page.until("!!document.querySelector('#sdtune_prepare_bucket_reso_steps')")
    page.run("document.querySelector('[data-half=prepare]').click()")
    page.until("document.querySelector('#sdtune_prepare_bucket_reso_steps').value === '8'")
    page.run(f"document.querySelector('#sdtune_prepare_source').value = {json.dumps(str(folder / 'pics'))}")
    page.run("document.querySelector('#sdtune_prepare_bucket_reso_steps').value = '4'; document.querySelector('#sdtune_prepare_start').click()")
    page.until("document.querySelector('#sdtune_prepare_note button')?.textContent === 'Sides in steps of'")
    assert page.run("document.querySelector('#sdtune_prepare_bucket_reso_steps').closest('details').open")


def test_a_lora_to_merge_can_be_chosen_from_a_list(page, url):
    lora = "sdtune.byId('sdtune_lora_tool_merge_add').options[1].value"
    opened(page, url).until(RESTORED)
    page.run("document.querySelectorAll('#sdtune_pages > .tab-nav > button')[2].click()")
    page.until("sdtune.byId('sdtune_lora_tool_merge_add')?.options.length > 1")
    page.run("""(() => {
        const [lines, choices] = ['files', 'add'].map((name) => sdtune.byId('sdtune_lora_tool_merge_' + name));
        lines.value = 'ron:0.8 ';
        choices.selectedIndex = 1;
        choices.dispatchEvent(new Event('change'));
    })()""")
    assert page.run("sdtune.byId('sdtune_lora_tool_merge_files').value") == f"ron:0.8\n{page.run(lora)}"
    assert page.run("sdtune.controls.stored().lora_tool_merge_files").startswith("ron:0.8")


def test_a_lora_tool_names_every_empty_field_by_its_label(page, url):
    opened(page, url).until(RESTORED)
    page.run("document.querySelectorAll('#sdtune_pages > .tab-nav > button')[2].click()")
    page.until("!!document.querySelector('#sdtune_lora_tool_start_resize')")
    page.run("document.querySelector('#sdtune_lora_tool_start_resize').click()")
    note = "document.querySelector('#sdtune_lora_tool_note').textContent"
    page.until(f"{note} === 'These settings are empty: \"LoRA\", \"Name of the resized LoRA\".'")
    page.until("!!document.querySelector('#sdtune_lora_tool_note button')")
    page.run("document.querySelector('#sdtune_lora_tool_note button').click()")
    page.until("document.activeElement.id === 'sdtune_lora_tool_resize_file'")
