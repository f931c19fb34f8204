"""The measures must tell apart what differs and hold on to what they know, on drawings and on what an autoencoder makes of them."""

import random

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lib_sdtune import toyworld
from lib_sdtune.toyworld import measures


def scenes(n, seed=0, **fixed):
    rng = random.Random(seed)
    return [toyworld.random_scene(rng, **fixed) for _ in range(n)]


def drawn(shown):
    return [toyworld.draw(scene) for scene in shown]


@pytest.mark.parametrize("form", toyworld.FORMS)
def test_every_form_is_recognised_wherever_it_is(form):
    shown = scenes(6, form=form)
    seen = [measures.recognise(picture) for picture in drawn(shown)]
    assert [(s.form, s.colour, s.background) for s in seen] == [(t.form, t.colour, t.background) for t in shown]


@pytest.mark.parametrize("subject", toyworld.SUBJECTS)
def test_a_subject_is_not_taken_for_a_shape_nor_a_shape_for_a_subject(subject):
    assert measures.subject_fidelity(drawn(scenes(6, form=subject)), subject) == 1
    assert measures.subject_fidelity(drawn(scenes(16)), subject) == 0


def test_blur_and_noise_are_forgiven_but_not_everything():
    rng = np.random.default_rng(0)
    pictures = drawn(scenes(24, form="mushroom"))
    blurred = [p.filter(ImageFilter.GaussianBlur(1)) for p in pictures]
    noisy = [Image.fromarray((np.asarray(p) + rng.normal(0, 4, (64, 64, 3))).clip(0, 255).astype(np.uint8)) for p in blurred]
    lost = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(4)]
    assert measures.subject_fidelity(noisy, "mushroom") >= 0.9
    assert {measures.recognise(p).form for p in lost} == {"none"}


def test_an_empty_picture_shows_nothing():
    assert measures.recognise(Image.new("RGB", (64, 64), toyworld.BACKGROUNDS["sand"])).form == "none"


def test_prompt_fidelity_counts_each_property_for_itself():
    shown = scenes(8, form="star", colour="red", background="snow")
    asked = [toyworld.Scene("star", "blue", None)] * 8
    figures = measures.prompt_fidelity(drawn(shown), asked)
    assert (figures["form"], figures["colour"]) == (1, 0)
    assert np.isnan(figures["background"])


def test_variety_orders_a_class_above_a_single_subject():
    free, mushrooms = drawn(scenes(16)), drawn(scenes(16, form="mushroom"))
    copies = [mushrooms[0]] * 16
    assert measures.variety(free) > measures.variety(mushrooms) + 0.05 > measures.variety(copies) + 0.1
    assert measures.kinds(free) > 4 > 1.5 > measures.kinds(mushrooms)


def test_a_world_is_a_function_of_its_seed():
    assert [toyworld.caption(random.Random(3), t) for t in scenes(5)] == [toyworld.caption(random.Random(3), t) for t in scenes(5)]
    assert np.array_equal(drawn(scenes(1, seed=4))[0], drawn(scenes(1, seed=4))[0])


@pytest.fixture(scope="module")
def reconstruct():
    """Pictures through the embedded model's autoencoder and back."""
    import torch

    from lib_sdtune.host.embedded import EMBEDDED
    from lib_sdtune.ldm import architecture, checkpoint

    _, vae, _ = architecture.build(*checkpoint.read(EMBEDDED))

    @torch.no_grad()
    def there_and_back(pictures):
        pixels = torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2) / 127.5 - 1
        decoded = ((vae.decode(vae.encode(pixels)[0]).clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(p) for p in decoded]

    return there_and_back


def test_what_the_autoencoder_leaves_is_recognised(reconstruct):
    shown = [t for form in toyworld.SHAPES for t in scenes(2, form=form)]
    assert min(measures.prompt_fidelity(reconstruct(drawn(shown)), shown).values()) >= 0.9


def test_an_unseen_subject_survives_the_autoencoder(reconstruct):
    assert measures.subject_fidelity(reconstruct(drawn(scenes(10, form="mushroom"))), "mushroom") >= 0.9
