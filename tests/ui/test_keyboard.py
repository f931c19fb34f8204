"""What a mouse does in the tab, the keyboard does too, and what is seen is also said to a screen reader."""

import json

import pytest

from tests.hosts import pictures
from tests.ui.browser import CHROMIUM, RESTORED, SEEN, opened, type_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "Delete": 46, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
SHIFT = 8
SAID = "document.querySelector('#sdtune_said')?.textContent || ''"
SHARES = """['left', 'top', 'width', 'height'].map((side) =>
    Math.round(parseFloat(document.querySelector('#sdtune_prepare_before .sdtune-crop').style[side])))"""
CROPPED = "document.querySelector('#sdtune_prepare_before .sdtune-crop').hidden === false"


def press(page, key, modifiers=0):
    for kind in ("rawKeyDown", "keyUp"):
        page.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=CODES[key], modifiers=modifiers)


def look_at_one(page, url, source):
    opened(page, url).until(RESTORED)
    page.run("[...document.querySelectorAll('#sdtune_pages .tab-nav button')].find((tab) => tab.textContent.trim() === 'Pictures').click()")
    page.until("!!document.querySelector('#sdtune_prepare_look')")
    page.run("[...document.querySelectorAll('#sdtune_page_pictures button, #sdtune_workshop button')].find((half) => half.textContent.startsWith('Resize')).click()")
    page.run(f"document.querySelector('#sdtune_prepare_source').value = {json.dumps(str(source))}; document.querySelector('#sdtune_prepare_look').click()")
    page.until("(document.querySelector('#sdtune_prepare_before img').src || '').length > 100")
    page.run("document.querySelector('#sdtune_prepare_before').focus()")
    page.until("document.activeElement?.id === 'sdtune_prepare_before'")


def test_a_crop_is_framed_moved_and_sized_with_keys(page, url, tmp_path):
    look_at_one(page, url, pictures(tmp_path / "one", count=1))
    press(page, "Enter")
    page.until(CROPPED)
    assert page.run(SHARES) == [10, 10, 80, 80]
    for _ in range(3):
        press(page, "ArrowRight")
    press(page, "ArrowDown")
    assert page.run(SHARES) == [13, 11, 80, 80]
    for _ in range(20):
        press(page, "ArrowLeft", SHIFT)
    press(page, "ArrowUp", SHIFT)
    assert page.run(SHARES) == [13, 11, 60, 79]
    for _ in range(50):
        press(page, "ArrowLeft")  # at the edge it stays as large as it is
    assert page.run(SHARES) == [0, 11, 60, 79]
    page.until(f"({SAID}).includes('60')")
    page.until("document.querySelector('#sdtune_prepare_uncrop').offsetParent !== null")
    page.until("[...document.querySelectorAll('#sdtune_prepare_after figcaption')].some((one) => one.textContent.includes('cropped'))")
    assert page.run("document.activeElement.id") == "sdtune_prepare_before"
    press(page, "Delete")
    page.until(f"!({CROPPED})")


def test_keys_that_are_not_for_the_frame_stay_the_page_s(page, url, tmp_path):
    look_at_one(page, url, pictures(tmp_path / "one", count=1))
    press(page, "ArrowDown")
    assert not page.run(CROPPED)
    press(page, "Tab")
    page.until("document.activeElement?.id !== 'sdtune_prepare_before'")


def test_start_has_the_focus_again_when_it_has_answered(page, url):
    opened(page, url).until(RESTORED)
    type_in(page, "sdtune_images", "/nowhere/at/all")
    page.run("document.querySelector('#sdtune_check').focus(), document.activeElement.click()")
    page.until("document.querySelector('#sdtune_report [role=alert]') !== null")
    page.until("document.activeElement?.id === 'sdtune_check'")


def test_a_focus_that_went_elsewhere_meanwhile_is_not_taken_back(page, url):
    opened(page, url).until(RESTORED)
    type_in(page, "sdtune_images", "/nowhere/at/all")
    page.run("document.querySelector('#sdtune_check').focus(), document.activeElement.click()")
    page.run("new Promise((done) => setTimeout(() => (document.querySelector('#sdtune_name textarea, #sdtune_name input').focus(), done()), 10))")
    page.until("document.querySelector('#sdtune_report [role=alert]') !== null")
    page.until("!document.querySelector('#sdtune_check').disabled")
    assert page.run("!!document.activeElement.closest('#sdtune_name')")


def test_what_check_finds_is_said_to_a_screen_reader(page, url, folder):
    opened(page, url).until(RESTORED)
    assert page.run("document.querySelector('#sdtune_said').getAttribute('role')") == "status"
    type_in(page, "sdtune_images", str(folder / "pics"))
    type_in(page, "sdtune_dataset_resolution", "64")  # or the VAE has more to do
    page.run("document.querySelector('#sdtune_check').click()")
    page.until(f"/\\d+ pictures/.test({SAID})")


RUN = """
const answers = window.fetch;
window.sdtune_state = 'training';
window.fetch = (address, ...others) => {
    const place = String(address).split('/sdtune/v1/')[1] || '';
    const answer = (data) => Promise.resolve(new Response(JSON.stringify(data), {headers: {'Content-Type': 'application/json'}}));
    const run = {id: 'cat', method: 'lora', state: window.sdtune_state, step: 3, total_steps: 9, artefacts: [], samples: [], message: '', updated: 1};
    if (place === 'runs') return answer([run]);
    if (place.includes('/log?')) return answer([]);
    if (/^runs\\/cat\\/(pause|resume|stop)/.test(place)) return answer({});
    return place === 'runs/cat' ? answer(run) : answers(address, ...others);
};
"""


def test_what_becomes_of_a_run_is_said_and_what_was_so_at_first_is_not(page, url):
    opened(page, url, RUN).until("document.querySelector('#sdtune_title').textContent === 'cat'")
    assert page.run(SAID) == ""
    page.run("window.sdtune_state = 'finished'")
    page.until(f"({SAID}) === 'cat: Finished'")


def test_pause_and_resume_hand_the_focus_to_each_other_and_never_to_what_ends_the_run(page, url):
    has = "document.activeElement?.id"
    opened(page, url, RUN).until("document.querySelector('#sdtune_pause').offsetParent !== null")
    page.run("document.querySelector('#sdtune_pause').focus(), document.activeElement.click()")
    page.run("new Promise((done) => setTimeout(done, 300))")  # the browser takes the focus from what is off
    assert page.run("document.querySelector('#sdtune_pause').disabled") and page.run(has) != "sdtune_stop"
    page.run("window.sdtune_state = 'paused'")
    page.until(f"{has} === 'sdtune_resume'")
    page.run("document.activeElement.click()")
    page.run("window.sdtune_state = 'training'")
    page.until(f"{has} === 'sdtune_pause'")
    page.run("document.querySelector('#sdtune_stop').focus(), document.activeElement.click()")
    page.run("window.sdtune_state = 'stopped'")
    page.until(f"{has} === 'sdtune_status'")


def test_progress_bars_have_names_and_numbers(page, url):
    opened(page, url, RUN).until("document.querySelector('#sdtune_title').textContent === 'cat'")
    page.until("document.querySelector('#sdtune_progress').getAttribute('aria-valuenow') === '33'")
    assert page.run("document.querySelector('#sdtune_progress').getAttribute('aria-label')")
    page.run("document.body.append(sdtune.controls.bar('pretended_bar'))")
    page.run("sdtune.controls.progress('pretended_bar', {state: 'working', text: 'reading pictures', done: 1, total: 4})")
    shown = "['aria-label', 'aria-valuenow', 'aria-valuemax'].map((name) => document.querySelector('#sdtune_pretended_bar').getAttribute(name))"
    assert page.run(shown) == ["reading pictures", "1", "4"]
    page.run("sdtune.controls.progress('pretended_bar', {state: 'working', text: 'reading pictures'})")
    assert page.run(shown) == ["reading pictures", None, None]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_control_of_the_form_shows_that_it_has_the_focus(page, url, theme):
    opened(page, url + f"?__theme={theme}").until(RESTORED)
    page.run("document.querySelectorAll('#sdtune_form .label-wrap:not(.open)').forEach((header) => header.click())")
    page.until("document.querySelectorAll('#sdtune_form .label-wrap:not(.open)').length === 0")
    page.command("Emulation.setFocusEmulationEnabled", enabled=True)
    page.run("document.querySelector('#sdtune_method input').focus()")
    unmarked, seen = set(), 0
    for _ in range(60):
        press(page, "Tab")
        look = page.run("""(() => {
            const has = document.activeElement;
            if (has === document.body) return null; // after the page's last control
            const around = [has, has.closest('label'), has.closest('.wrap'), has.closest('.wrap-inner')].filter(Boolean);
            const styles = around.map((one) => getComputedStyle(one));
            const outlined = styles.some((style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1);
            const looks = () => around.map((one) => (({boxShadow, borderColor}) => boxShadow + borderColor)(getComputedStyle(one))).join();
            const before = looks();
            has.style.transition = 'none';
            has.blur();
            const marked = outlined || before !== looks();
            has.focus();
            return [has.closest('[id]')?.id + ' ' + has.type, marked];
        })()""")
        if look is None:
            break
        seen += 1
        if not look[1]:
            unmarked.add(look[0])
    assert seen > 25 and not unmarked


def test_a_method_shows_that_it_has_the_focus(page, url):
    opened(page, url).until(RESTORED + " && " + SEEN.format("#sdtune_method"))
    page.command("Emulation.setFocusEmulationEnabled", enabled=True)
    page.run("[...document.querySelectorAll('#sdtune_pages .tab-nav button')].pop().focus()")
    press(page, "Tab")
    assert page.run("document.activeElement.type") == "radio"
    assert page.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2 && getComputedStyle(document.activeElement).outlineStyle") == "solid"
