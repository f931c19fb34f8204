"""Files compared in a real browser: what is asked for, and what is said of it before."""

import pytest

from tests.ui.browser import CHROMIUM, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

TOTAL = "document.querySelector('#sdtune_choice_total')?.textContent || ''"
SHOWN = "!!document.querySelector('#sdtune_choice_prompts')?.offsetParent"


def test_what_the_pictures_are_for_is_said_and_the_strength_can_be_left_out(page, url):
    """One file and the bare model of one prompt and three seeds; the file at five further weights with two of them."""
    opened(page, url).until(f"{TOTAL}.includes('Pictures to draw: 16') && {TOTAL}.includes('6 for the ranking, 10 for the best strength')")
    page.run("document.querySelector('#sdtune_choice_strength').click()")
    page.until(f"{TOTAL}.includes('Pictures to draw: 6') && !{TOTAL}.includes('strength')")
    page.run("window.sent = [], window.ask = window.fetch, window.fetch = (address, ...others) => (sent.push(others[0]?.body), ask(address, ...others)), null")
    page.run("document.querySelector('#sdtune_choice_start').click()")
    page.until("sent.some((body) => body && JSON.parse(body).strength === false)")


def test_prompts_are_those_of_the_run_that_they_were_typed_for(page, url):
    prompts = "document.querySelector('#sdtune_choice_prompts').value"
    opened(page, url).until(SHOWN)
    page.run("""(() => {
        const field = document.querySelector('#sdtune_choice_prompts');
        field.value = 'a ron hat';
        field.dispatchEvent(new Event('input', {bubbles: true}));
    })()""")
    draw = "sdtune.evaluation.draw({id: '%s', state: 'finished'})"
    page.run(draw % "q3")
    assert page.run(prompts) == ""
    page.run(draw % "ron")
    assert page.run(prompts) == "a ron hat"
