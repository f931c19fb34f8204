"""What the UNet is told at a step: cached answers while the text encoder is as it was, fresh ones where it learns."""

import torch


class Conditioner:
    """Called with captions and the step; answers a `families.base.Conditioning` on the model's device."""

    def __init__(self, config, model, method, cache):
        self.config, self.model, self.method, self.cache = config, model, method, cache

    def __call__(self, captions, step):
        if not self.method.changes_text():
            return self.cache.conditioning(captions).to(self.model.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.method.trains_text(step)):
            return self.model.family.encode_text(self.model, captions, self.config.model.clip_skip)
