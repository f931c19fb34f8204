"""The line of what was changed, in a browser."""

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, opened, type_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def test_class_pictures_are_among_what_was_changed_and_the_run_s_own_name_is_not(page, url):
    opened(page, url).until(RESTORED)
    for field, text in (("name", "cup"), ("images", "pics"), ("concept_class_prompt", "a photo of a cat"), ("concept_class_images", "/reg/1_cat"), ("lora_dim", "48")):
        type_in(page, f"sdtune_{field}", text)
    line = "document.querySelector('#sdtune_changes_line')?.textContent"
    page.until(f"({line} || '').includes('lora.dim=48')")
    changes = page.run(line)
    assert '"concepts.0.class_prompt=a photo of a cat"' in changes and "concepts.0.class_images=/reg/1_cat" in changes
    assert "cup" not in changes and "pics" not in changes


def test_many_changes_are_one_line_until_they_are_unfolded(page, url):
    opened(page, url).until(RESTORED)
    type_in(page, "sdtune_concept_class_prompt", "a cat, " * 200)
    count = "document.querySelector('#sdtune_changes_count')?.textContent"
    page.until(f"{count} === 'Settings changed: 1'")
    height = "document.querySelector('#sdtune_changes').offsetHeight"
    assert 0 < page.run(height) < 60
    page.run("document.querySelector('#sdtune_changes button').click()")
    page.until(f"{height} > 100")
