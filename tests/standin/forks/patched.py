"""The stand-in as reForge: A1111's model around parts that are patched and moved whole."""

import enum
import sys
from types import ModuleType

import networks
import torch
from torch import nn

from tests.standin.forks import patcher, sdxl


def install():
    """Turn the stand-in that is up into one of reForge, with its first checkpoint loaded anew."""
    from modules import processing, scripts, sd_models, sd_samplers, shared

    networks.originals.undo()  # reForge leaves torch's own layers alone
    management, lora = ModuleType("ldm_patched.modules.model_management"), ModuleType("ldm_patched.modules.lora")
    base, sampling = ModuleType("ldm_patched.modules.model_base"), ModuleType("ldm_patched.modules.model_sampling")
    base.ModelType, base.model_sampling, sampling.V_PREDICTION = ModelType, model_sampling, Velocity
    management.unload_all_models = patcher.unload_all_models
    lora.model_lora_keys_unet = lambda model, key_map: key_map | patcher.unet_keys(model)
    lora.model_lora_keys_clip = lambda model, key_map: key_map | clip_keys(model)
    packages = {name: ModuleType(name) for name in ("ldm_patched", "ldm_patched.modules")}
    for module in (management, lora, base, sampling):
        setattr(packages["ldm_patched.modules"], module.__name__.rpartition(".")[2], module)
        packages[module.__name__] = module
    sys.modules.update(packages)
    sdxl.write(sd_models.model_path)
    sd_models.list_models()
    patcher.shells(networks, {"load_networks": load_networks})
    load, draw = sd_models.load_model, processing.process_images_inner

    def load_model(checkpoint_info=None, already_loaded_state_dict=None, forced_reload=False):
        info, model = checkpoint_info or sd_models.select_checkpoint(), sd_models.model_data.sd_model
        if model is not None and model.sd_checkpoint_info.filename == info.filename and not forced_reload:
            return model
        patcher.unload_all_models()
        model = load_xl(info) if info.title == sdxl.NAME else load(info)
        unet = torch.nn.Module()
        unet.diffusion_model, unet.model_config = model.model.diffusion_model, None
        unet.model_sampling = model_sampling(unet.model_config, ModelType.EPS)
        model.forge_objects_original = patcher.objects(unet, getattr(model, "encoders", [None])[0] or model.cond_stage_model.wrapped)
        model.forge_objects = model.forge_objects_original.shallow_copy()
        model.forge_objects_after_applying_lora = model.forge_objects_original.shallow_copy()
        model.current_lora_hash = str([])
        return model

    def process_images_inner(p):
        assert p.scripts is not None and p.scripts.alwayson_scripts == []
        with torch.inference_mode():
            return draw(p)

    def select_checkpoint():
        """The first of the list where the option names none, as reForge has it."""
        chosen = sd_models.checkpoint_aliases.get(shared.opts.data.get("sd_model_checkpoint"))
        return chosen or next(iter(sd_models.checkpoints_list.values()))

    def create_sampler(name, model):
        unet = model.forge_objects.unet.model
        return create(name, patcher.sampled(unet, lambda: isinstance(unet.model_sampling, Velocity)))

    create, sd_samplers.create_sampler = sd_samplers.create_sampler, create_sampler
    sd_models.load_model, sd_models.select_checkpoint = load_model, select_checkpoint
    sd_models.reload_model_weights = lambda sd_model=None, info=None, forced_reload=False: load_model(info)
    processing.process_images_inner = process_images_inner
    processing.StableDiffusionProcessing.scripts = scripts.ScriptRunner()
    sd_models.model_data.sd_model = None
    del shared.opts.data["sd_model_checkpoint"]
    load_model()


def load_xl(info):
    from modules import sd_hijack, sd_models

    model = sd_models.model_data.sd_model = StableDiffusionXL(info)
    sd_hijack.model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)
    return model


class StableDiffusionXL(nn.Module):
    """sgm's shell, whose embedders have the parts of `encoders`; those are no part of it."""

    parameterization, scale_factor, latent_channels = "eps", 0.13025, 4
    is_sd1, is_sd2, is_sdxl, is_sd3, lowvram = False, False, True, False, False

    def __init__(self, info):
        from modules.model import LatentDiffusion

        super().__init__()
        unet, self.first_stage_model, first, second, projection = sdxl.built(info.filename)
        self.model = nn.Module()
        self.model.diffusion_model = unet
        encoders = nn.Module()
        encoders.clip_l, encoders.clip_g = sdxl.Encoder(first), sdxl.Encoder(second)
        encoders.clip_g.text_projection = nn.Parameter(projection)
        encoders.requires_grad_(False)
        self.encoders = (encoders,)
        self.conditioner = self.cond_stage_model = Conditioner(encoders)
        self.register_buffer("betas", LatentDiffusion().betas, persistent=False)
        self.alphas_cumprod = self.alphas_cumprod_original = torch.cumprod(1 - self.betas.double(), 0).float()
        self.sd_checkpoint_info, self.sd_model_checkpoint, self.sd_model_hash = info, info.filename, "0123456789"


class Conditioner(nn.Module):
    def __init__(self, encoders):
        super().__init__()
        first, second = nn.Module(), nn.Module()
        first.transformer, second.transformer = encoders.clip_l.transformer, encoders.clip_g.transformer
        second.text_projection = encoders.clip_g.text_projection
        self.embedders = nn.ModuleList([Embedder(first, "clip_l"), Embedder(second, "clip_g")])

    def tokenize(self, texts):
        return self.embedders[0].tokenize(texts)

    def encode_embedding_init_text(self, init_text, nvpt):
        return torch.zeros(nvpt, sum(sdxl.WIDTHS))

    def forward(self, texts):
        first, second = (embedder(texts) for embedder in self.embedders)
        return sdxl.conditioning(first, second, second[1] @ self.embedders[1].wrapped.text_projection)


class Embedder(nn.Module):
    """The WebUI's prompt parser around an encoder; embeddings are put in by their keys."""

    def __init__(self, wrapped, key):
        from modules import sd_hijack

        super().__init__()
        self.wrapped, self.words = wrapped, sdxl.tokenizer()
        self.id_start, self.id_end, self.id_pad = self.words.start, self.words.end, self.words.end if key == "clip_l" else 0
        table = wrapped.transformer.text_model.embeddings
        table.token_embedding = sd_hijack.EmbeddingsWithFixes(table.token_embedding, sd_hijack.model_hijack, key)

    def tokenize(self, texts):
        return [list(self.words(text)) for text in texts]

    def forward(self, texts):
        from modules import sd_hijack

        ids, fixes = sdxl.framed(self, self.tokenize(texts)[0], sd_hijack.model_hijack.embedding_db)
        sd_hijack.model_hijack.fixes = [fixes]
        return sdxl.states(self.wrapped.transformer, ids)


class ModelType(enum.Enum):
    EPS = 1
    V_PREDICTION = 2


class Noise(torch.nn.Module):
    """What turns the UNet's answer into a picture without noise."""

    def __init__(self):
        super().__init__()
        self.register_buffer("sigmas", torch.ones(1000))


class Velocity(Noise):
    pass


def model_sampling(model_config, model_type):
    return Velocity() if model_type == ModelType.V_PREDICTION else Noise()


def load_networks(names, *multipliers):
    from modules import sd_models

    model = sd_models.model_data.sd_model
    objects = model.forge_objects_original
    keys = patcher.unet_keys(objects.unet.model), clip_keys(objects.clip.cond_stage_model)
    patcher.load_networks(networks, model, names, *keys)
    patcher.load_models_gpu([model.forge_objects.unet, model.forge_objects.clip.patcher])


def clip_keys(model):
    if hasattr(model, "clip_g"):
        return sdxl.clip_keys(model)
    return {f"lora_te_{name.removeprefix('transformer.').removesuffix('.weight').replace('.', '_')}": name
            for name, parameter in model.named_parameters() if name.endswith(".weight") and parameter.ndim == 2}
