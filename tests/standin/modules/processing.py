"""Generate: prompt networks on, prompt encoded (and remembered), a few steps, a picture, a trace in the history."""

import re
from pathlib import Path
from types import SimpleNamespace

import networks
import numpy
import torch
from PIL import Image

from modules import paths, sd_models, sd_samplers, shared
from modules.hypernetworks import hypernetwork
from modules.sd_hijack import model_hijack


class StableDiffusionProcessing:
    cached_c, cached_uc = [None, None], [None, None]

    def __init__(self, sd_model=None, prompt="", negative_prompt="", seed=-1, steps=20, cfg_scale=7.0, width=512, height=512,
                 sampler_name=None, scheduler=None, do_not_save_samples=False, do_not_save_grid=False, restore_faces=None, tiling=None,
                 do_not_reload_embeddings=False, override_settings=None):
        self.__dict__.update({key: value for key, value in locals().items() if key not in ("self", "sd_model")})
        self.override_settings = override_settings or {}
        self.cached_c, self.cached_uc = StableDiffusionProcessing.cached_c, StableDiffusionProcessing.cached_uc

    def close(self):
        self.c = self.uc = None

    def cond(self, text, cache, loaded):
        key = text, str(loaded), shared.sd_model.sd_model_checkpoint
        if cache[0] != key:
            cache[:] = [key, shared.sd_model.cond_stage_model([text])]
        return cache[1]


class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    cached_hr_c, cached_hr_uc = [None, None], [None, None]


def create_infotext(p):
    return f"{p.prompt}\nSteps: {p.steps}, Sampler: {p.sampler_name}, CFG scale: {p.cfg_scale}, Seed: {p.seed}, Size: {p.width}x{p.height}"


def process_images(p):
    kept = {key: shared.opts.data.get(key) for key in p.override_settings}
    try:
        if "sd_model_checkpoint" not in p.override_settings:
            sd_models.reload_model_weights()
        for key, value in p.override_settings.items():
            shared.opts.set(key, value, is_api=True, run_callbacks=False)
            if key == "sd_model_checkpoint":
                sd_models.reload_model_weights()
        return process_images_inner(p)
    finally:
        for key, value in kept.items():
            setattr(shared.opts, key, value)


@torch.no_grad()
def process_images_inner(p):
    model_hijack.apply_circular(bool(p.tiling))
    if not p.do_not_reload_embeddings:
        model_hijack.embedding_db.load_textual_inversion_embeddings()
    asked = re.findall(r"<(lora|hypernet):([^:>]+)(?::([^>]*))?>", p.prompt)
    text = re.sub(r"<[^>]*>", "", p.prompt)
    networks.load_networks([name for kind, name, _ in asked if kind == "lora"])
    hypernetwork.load_hypernetworks([name for kind, name, _ in asked if kind == "hypernet"])
    cond, uncond = p.cond(text, p.cached_c, asked), p.cond(p.negative_prompt, p.cached_uc, asked)
    if not shared.cmd_opts.no_prompt_history:
        (Path(paths.data_path) / "params.txt").write_text(create_infotext(p), encoding="utf8")
    if shared.state.interrupted:
        return SimpleNamespace(images=[], infotexts=[])
    model = shared.sd_model
    torch.manual_seed(p.seed)
    x = torch.randn(1, 4, p.height // 8, p.width // 8)
    x = sd_samplers.create_sampler(p.sampler_name, model).sample(p, x, cond, uncond)
    pixels = model.first_stage_model.decode(x)[0].clamp(-1, 1).add(1).mul(127.5).byte().permute(1, 2, 0).numpy()
    shared.state.nextjob()
    info = create_infotext(p)
    return SimpleNamespace(images=[Image.fromarray(numpy.ascontiguousarray(pixels))], infotexts=[info])
