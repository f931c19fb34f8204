"""Number fields in a browser, which drops what is in no number: nothing is joined to another number in silence."""

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FIELDS = {"form": "#sdtune_dataset_resolution input", "Prepare": "#sdtune_prepare_resolution"}


def focus(page, field):
    page.until(f"!!document.querySelector('{field}')", 10)
    page.run("document.querySelectorAll('#sdtune_form .label-wrap:not(.open), #sdtune_workshop details:not([open]) > summary').forEach((one) => one.click())")
    page.until(f"document.querySelector('{field}').offsetParent !== null", 10)
    page.run(f"document.querySelector('{field}').focus(), document.querySelector('{field}').select()")


def type_keys(page, text):
    for letter in text:
        page.command("Input.dispatchKeyEvent", type="keyDown", text=letter, unmodifiedText=letter, key=letter)
        page.command("Input.dispatchKeyEvent", type="keyUp", key=letter)
        page.run("new Promise((done) => setTimeout(done, 20))")


def paste(page, text):
    page.command("Input.insertText", text=text)


@pytest.fixture(params=FIELDS)
def field(page, url, request):
    opened(page, url).until(RESTORED)
    if request.param != "form":
        page.run("[...document.querySelectorAll('#sdtune_pages button')].find((one) => one.textContent.trim() === 'Pictures').click()")
        page.until("!!document.querySelector('#sdtune_workshop').firstChild")
        page.run("sdtune.picturesPage.show('prepare')")
    focus(page, FIELDS[request.param])
    return FIELDS[request.param]


@pytest.mark.parametrize("enter", [type_keys, paste])
def test_a_comma_becomes_the_point_that_was_meant(page, field, enter):
    enter(page, "512,768")
    page.until(f"document.querySelector('{field}').value === '512.768'", 5)


@pytest.mark.parametrize(("enter", "value"), [(type_keys, "512768"), (paste, "")])
def test_what_is_no_number_is_told(page, field, enter, value):
    page.command("Input.dispatchKeyEvent", type="keyDown", key="Backspace", windowsVirtualKeyCode=8)
    enter(page, "512x768")
    page.until("!!document.querySelector('.sdtune-number-note')?.offsetParent", 5)
    assert page.run(f"document.querySelector('{field}').value") == value
    page.run(f"document.querySelector('{field}').blur(), document.querySelector('{field}').focus()")
    page.until("!document.querySelector('.sdtune-number-note')", 5)


@pytest.mark.parametrize("number", ["640", "-3", "1.5", "1e3", " 640 "])
def test_a_number_stays_as_it_is(page, field, number):
    paste(page, number)
    assert page.run(f"document.querySelector('{field}').value") == number.strip()
    assert page.run("document.querySelector('.sdtune-number-note')") is None


def test_a_size_of_two_sides_is_refused_with_a_sentence(page, url):
    opened(page, url).until(RESTORED)
    focus(page, FIELDS["form"])
    type_keys(page, "512,768")
    page.run("document.querySelector('#sdtune_start').click()")
    page.until("document.querySelector('#sdtune_start_message').textContent.includes('must be a whole number, not 512.768')", 20)
