from collections import namedtuple

from modules import script_callbacks, shared

SamplerData = namedtuple("SamplerData", ["name", "constructor", "aliases", "options"])


class Sampler:
    def __init__(self, model):
        self.model = model

    def sample(self, p, x, cond, uncond):
        """x (1, 4, h, w) after a few steps towards the picture; each step tells those who listen."""
        import torch

        for number, step in enumerate(reversed(range(p.steps))):
            t = torch.tensor([step * 999 // max(p.steps, 1)])
            params = script_callbacks.SimpleNamespace(x=x, sampling_step=number, total_sampling_steps=p.steps)
            script_callbacks.cfg_denoiser_callback(params)
            answers = [self.model.model.diffusion_model(params.x, t, context=context) for context in (cond, uncond)]
            script_callbacks.cfg_denoised_callback(params)
            params.x = params.x - (answers[1] + p.cfg_scale * (answers[0] - answers[1])) * 0.5
            script_callbacks.cfg_after_cfg_callback(params)
            x = params.x
        return x


def create_sampler(name, model):
    return all_samplers_map[name].constructor(model or shared.sd_model)


all_samplers = [SamplerData(name, Sampler, [], {}) for name in ("Euler", "Euler a")]
all_samplers_map = {entry.name: entry for entry in all_samplers}
