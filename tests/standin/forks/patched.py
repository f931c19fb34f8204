"""The stand-in as reForge: A1111's model around parts that are patched and moved whole."""

import enum
import sys
from types import ModuleType

import networks
import torch

from tests.standin.forks import patcher


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
    patcher.shells(networks, {"load_networks": load_networks})
    load, draw = sd_models.load_model, processing.process_images_inner

    def load_model(checkpoint_info=None, already_loaded_state_dict=None, forced_reload=False):
        info, model = checkpoint_info or sd_models.select_checkpoint(), sd_models.model_data.sd_model
        if model is not None and model.sd_checkpoint_info.filename == info.filename and not forced_reload:
            return model
        patcher.unload_all_models()
        model = load(info)
        unet = torch.nn.Module()
        unet.diffusion_model, unet.model_config = model.model.diffusion_model, None
        unet.model_sampling = model_sampling(unet.model_config, ModelType.EPS)
        model.forge_objects_original = patcher.objects(unet, model.cond_stage_model.wrapped)
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
    unet = model.forge_objects_original.unet.model
    patcher.load_networks(networks, model, names, patcher.unet_keys(unet), clip_keys(model.cond_stage_model.wrapped))
    patcher.load_models_gpu([model.forge_objects.unet, model.forge_objects.clip.patcher])


def clip_keys(model):
    return {f"lora_te_{name.removeprefix('transformer.').removesuffix('.weight').replace('.', '_')}": name
            for name, parameter in model.named_parameters() if name.endswith(".weight") and parameter.ndim == 2}
