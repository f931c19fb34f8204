"""Weights in captions: read as the WebUI reads prompts, cached apart from captions that are taken literally."""

import torch

from lib_sdtune.config import Config
from lib_sdtune.training.conditioner import encode_captions
from lib_sdtune.training.encoder_keys import text_key
from tests.hosts import settings
from tests.models import tiny_sd1

CAPTION = "a (cat:1.5) dog"


def contexts(weighted):
    model = tiny_sd1()
    config = Config.from_dict(settings("pictures", dataset={"weighted_captions": weighted}))
    return encode_captions(model, [CAPTION, "a cat dog"], config).context


def test_weights_are_no_words_and_count():
    weighted, plain = contexts(True)
    assert not torch.allclose(weighted, plain)
    tokens = [index for index, ratio in enumerate((weighted / plain).median(dim=1).values.tolist()) if ratio > 1.3]
    assert len(tokens) == 1  # the cat's, but for the common factor that keeps the mean
    assert not torch.allclose(contexts(False)[0], weighted)


def test_a_cache_of_plain_captions_is_not_taken_for_weighted_ones():
    assert text_key(tiny_sd1(), 1, 225, True) != text_key(tiny_sd1(), 1, 225)
