"""Captions as the model's text encoders read them: from the cache, or anew where the encoders learn."""

from collections.abc import Sequence

import torch

from lib_sdtune.config import Config
from lib_sdtune.data.caption_length import CaptionLimit
from lib_sdtune.data.text_cache import TextCache
from lib_sdtune.families.base import Conditioning
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.methods.base import Method
from lib_sdtune.prompts import emphasis


def encode_captions(model: LoadedModel, captions: Sequence[str], config: Config) -> Conditioning:
    """Captions as they are written, or with (word:1.2) as weights, as the WebUI reads prompts."""
    clip_skip = config.model.clip_skip
    if not config.dataset.weighted_captions:
        return model.family.encode_text(model, list(captions), clip_skip)
    return model.family.encode_prompts(model, [emphasis(caption) for caption in captions], clip_skip)


class Conditioner:
    """Called with captions and the step; answers a `families.base.Conditioning` on the model's device."""

    def __init__(self, config: Config, model: LoadedModel, method: Method, cache: TextCache) -> None:
        self.config, self.model, self.method, self.cache = config, model, method, cache
        self.limit = CaptionLimit(model.tokenizer, config.dataset.max_token_length)

    def __call__(self, captions: list[str], step: int) -> Conditioning:
        if not self.method.changes_text():
            return self.cache.conditioning(captions).on(self.model.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.method.trains_text(step)):
            return encode_captions(self.model, self.limit(captions), self.config)
