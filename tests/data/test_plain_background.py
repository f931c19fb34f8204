import random

import numpy as np
import pytest
from PIL import Image

from lib_sdtune import toyworld
from lib_sdtune.data.plain_background import APART, DARK, recoloured


def ground_of(image):
    pixels = np.asarray(image, np.float32)
    return np.median(np.concatenate([pixels[0], pixels[-1]]), axis=0)


@pytest.mark.parametrize("form", ["ring", "cross", "cat"])
@pytest.mark.parametrize("colour, ground", [("red", "snow"), ("yellow", "night"), ("brown", "stone")])
def test_only_the_ground_changes_with_holes_and_the_softened_edge(form, colour, ground):
    scene = toyworld.Scene(form, colour, ground)
    changed = recoloured(toyworld.draw(scene), random.Random(1), dark=ground != "night")
    expected = toyworld.paint(toyworld.silhouette(form), toyworld.COLOURS[colour], ground_of(changed))
    assert np.abs(np.asarray(changed, int) - np.asarray(expected, int)).max() <= 3
    assert np.linalg.norm(ground_of(changed) - toyworld.BACKGROUNDS[ground]) > 10


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("colour", toyworld.COLOURS)
def test_grounds_are_dark_or_bright_as_asked_and_never_near_the_subjects_colour(colour, dark):
    picture = toyworld.draw(toyworld.Scene("star", colour, "sand"))
    grounds = [ground_of(recoloured(picture, random.Random(number), dark)) for number in range(40)]
    assert {bool(ground.mean() < DARK) for ground in grounds} == {dark}
    assert min(np.linalg.norm(ground - toyworld.COLOURS[colour]) for ground in grounds) > APART - 20


def test_grain_of_a_plain_background_goes_with_it():
    picture = np.asarray(toyworld.draw(toyworld.Scene("square", "red", "stone")), np.float32)
    noisy = Image.fromarray((picture + np.random.default_rng(0).normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8))
    changed = np.asarray(recoloured(noisy, random.Random(3), True), np.float32)
    assert np.abs(changed[:8] - ground_of(changed)).max() < 20


@pytest.mark.parametrize("size", [(1, 1), (3, 90), (64, 64)])
def test_what_has_no_plain_background_stays_as_it_is(size):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    even = Image.new("RGB", size, (90, 90, 90))
    assert recoloured(even, random.Random(0), True) is even
    if size[0] > 1:
        assert recoloured(noise, random.Random(0), True) is noise
