"""Number fields in a browser, which drops what is in no number: nothing is joined to another number in silence."""

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FIELDS = {"form": "#sdtune_dataset_resolution input", "Prepare": "#sdtune_prepare_resolution"}


def focus(page, field):
    page.until(f"!!document.querySelector('{field}')")
    page.run("document.querySelectorAll('#sdtune_form .label-wrap:not(.open), #sdtune_workshop details:not([open]) > summary').forEach((one) => one.click())")
    page.until(f"document.querySelector('{field}').offsetParent !== null")
    page.run(f"document.querySelector('{field}').focus(), document.querySelector('{field}').select()")


def type_keys(page, text):
    for letter in text:
        page.command("Input.dispatchKeyEvent", type="keyDown", text=letter, unmodifiedText=letter, key=letter)
        page.command("Input.dispatchKeyEvent", type="keyUp", key=letter)
        page.run("new Promise((done) => setTimeout(done, 20))")


def paste(page, text):
    page.command("Input.insertText", text=text)


@pytest.fixture(scope="module", params=FIELDS)
def place(shared_browser, url, request):
    """(a page on which one of the fields is shown, that field)."""
    with shared_browser.page() as page:
        opened(page, url).until(RESTORED)
        if request.param != "form":
            go_to_prepare(page)
        yield page, FIELDS[request.param]


def go_to_prepare(page):
    page.run("[...document.querySelectorAll('#sdtune_pages button')].find((one) => one.textContent.trim() === 'Pictures').click()")
    page.until("!!document.querySelector('#sdtune_workshop').firstChild")
    page.run("sdtune.picturesPage.show('prepare')")


@pytest.fixture
def page(place):
    return place[0]


@pytest.fixture
def field(place):
    """It has the focus, and what it shows is replaced by what is typed."""
    page, field = place
    page.run(f"document.querySelector('{field}').value = '512', document.activeElement.blur()")
    focus(page, field)
    return field


@pytest.mark.parametrize("enter", [type_keys, paste])
def test_a_comma_becomes_the_point_that_was_meant(page, field, enter):
    enter(page, "512,768")
    page.until(f"document.querySelector('{field}').value === '512.768'")


@pytest.mark.parametrize(("enter", "value"), [(type_keys, "512768"), (paste, "")])
def test_what_is_no_number_is_told(page, field, enter, value):
    page.command("Input.dispatchKeyEvent", type="keyDown", key="Backspace", windowsVirtualKeyCode=8)
    enter(page, "512x768")
    page.until("!!document.querySelector('.sdtune-number-note')?.offsetParent")
    assert page.run(f"document.querySelector('{field}').value") == value
    page.run(f"document.querySelector('{field}').blur(), document.querySelector('{field}').focus()")
    page.until("!document.querySelector('.sdtune-number-note')")


@pytest.mark.parametrize("number", ["640", "-3", "1.5", "1e3", " 640 "])
def test_a_number_stays_as_it_is(page, field, number):
    paste(page, number)
    assert page.run(f"document.querySelector('{field}').value") == number.strip()
    assert page.run("document.querySelector('.sdtune-number-note')") is None


@pytest.mark.parametrize("place", ["form"], indirect=True)
def test_a_size_of_two_sides_is_refused_with_a_sentence(page, field):
    type_keys(page, "512,768")
    page.run("document.querySelector('#sdtune_start').click()")
    page.until("document.querySelector('#sdtune_start_message').textContent.includes('must be a whole number, not 512.768')")
