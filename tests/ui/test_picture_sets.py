"""Uploaded sets in a browser: renamed, with the form going along, and deleted after a second click."""

import json

import pytest

from tests.hosts import pictures
from tests.ui.browser import CHROMIUM, RESTORED, opened, type_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
LATER = "new Promise((done) => setTimeout(done, 800))"  # than the second click of a double click
ROW = "document.querySelector('#sdtune_sets_list .sdtune-line')"


@pytest.fixture
def sets(folder):
    sets = folder / "data" / "sdtune" / "pictures"
    pictures(sets / "cats", count=2)
    return sets


def rename(page, to):
    page.run(f"(() => {{ const field = {ROW}.querySelector('input'); field.value = {json.dumps(to)}; field.dispatchEvent(new Event('change')); }})()")


def test_a_set_is_renamed_and_deleted(page, url, sets):
    opened(page, url).until(RESTORED + f" && !!{ROW}")
    type_in(page, "sdtune_images", str(sets / "cats"))
    page.until("sdtune.form.value('concept.images').endsWith('cats')")
    rename(page, "a:b")
    page.until("document.querySelector('#sdtune_sets_note').textContent.startsWith('\"name of the set\"')")
    rename(page, "10_ron")
    page.until("document.querySelector('#sdtune_images textarea, #sdtune_images input').value.endsWith('10_ron')")
    assert (sets / "10_ron").is_dir() and page.run(f"{ROW}.textContent").startswith("Pictures: 2")
    button = f"{ROW}.querySelector('button')"
    page.until(f"{ROW}.querySelector('input').value === '10_ron'")
    page.run(f"{button}.click()")
    page.run(LATER)
    assert (sets / "10_ron").is_dir()
    page.run(f"{button}.click()")
    page.until("document.querySelector('#sdtune_sets').hidden")
    assert not (sets / "10_ron").exists()


def test_pictures_dropped_beside_the_form_become_a_set_too(page, url, folder, tmp_path):
    cats = pictures(tmp_path / "strays", count=2)
    opened(page, url).until(RESTORED + " && !!document.querySelector('#sdtune_picture_set')")
    at = page.run("(() => {const box = document.querySelector('#sdtune_status').getBoundingClientRect(); return [box.left + 9, box.top + 9]})()")
    data = {"items": [], "files": [str(cats)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.command("Input.dispatchDragEvent", type=kind, x=at[0], y=at[1], data=data)
        if kind == "dragOver":
            assert page.run("document.querySelector('#sdtune_form').classList.contains('sdtune-dropping')")
    page.until("document.querySelector('#sdtune_images textarea, #sdtune_images input').value.endsWith('strays')")
    assert not page.run("document.querySelector('#sdtune_form').classList.contains('sdtune-dropping')")
    assert len(list((folder / "data" / "sdtune" / "pictures" / "strays").glob("*.png"))) == 2
