"""The stand-in as Forge: an engine that is no module, around parts of its own that were made in inference mode.

Its linear layers are plain modules, its transformer blocks add in place, its text encoder is kept in half precision, and
nothing is loaded before the first picture.
"""

import re
import sys
from types import ModuleType, SimpleNamespace

import networks
import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tests.standin.forks import patcher, sdxl, text_processing
from tests.standin.forks.text_processing import TextProcessing


def install():
    """Turn the stand-in that is up into one of Forge; nothing is loaded in it."""
    from modules import processing, sd_hijack, sd_models

    networks.originals.undo()  # Forge leaves torch's own layers alone
    names = ("backend", "backend.memory_management", "backend.text_processing", "backend.text_processing.textual_inversion")
    sys.modules.update({name: ModuleType(name) for name in names})
    sys.modules["backend"].memory_management = sys.modules["backend.memory_management"]
    sys.modules["backend.memory_management"].unload_all_models = patcher.unload_all_models
    sys.modules["backend.text_processing.textual_inversion"].Embedding = text_processing.textual_inversion().Embedding
    patcher.shells(networks, {"load_networks": load_networks})
    for name in ("network_apply_weights", "network_restore_weights_from_backup", "network_reset_cached_weight"):
        delattr(networks, name)
    networks.model_lora_keys_unet = lambda model, key_map: patcher.unet_keys(model)
    networks.model_lora_keys_clip = lambda model, key_map: clip_keys(model)
    sdxl.write(sd_models.model_path)
    sd_models.list_models()
    sd_models.model_data = SimpleNamespace(sd_model=SimpleNamespace(cond_stage_model=None), forge_hash="", forge_loading_parameters={
        "checkpoint_info": next(iter(sd_models.checkpoints_list.values())), "additional_modules": [], "unet_storage_dtype": None})
    sd_models.forge_model_reload = processing.forge_model_reload = forge_model_reload
    sd_models.reload_model_weights = sd_models.load_model = lambda *arguments, **kwargs: None
    sd_models.unload_model_weights = lambda *arguments, **kwargs: patcher.unload_all_models()
    processing.process_images_inner = process_images_inner
    processing.StableDiffusionProcessing.cached_c = [None, None, None]
    sd_hijack.model_hijack = SimpleNamespace()  # a shell


@torch.inference_mode()
def process_images_inner(p):
    from modules import processing, sd_samplers, shared

    engine, _ = processing.forge_model_reload()
    lora_names = re.findall(r"<lora:([^:>]+)", p.prompt)
    networks.load_networks(lora_names)
    cond, uncond = (engine.get_learned_conditioning(re.sub(r"<[^>]*>", "", text)) for text in (p.prompt, p.negative_prompt))
    torch.manual_seed(p.seed)
    x = torch.randn(1, 4, p.height // 8, p.width // 8)
    unet = engine.forge_objects.unet.model
    model = patcher.sampled(unet, lambda: unet.predictor.prediction_type == "v_prediction")
    x = sd_samplers.create_sampler(p.sampler_name, model).sample(p, x, cond, uncond)
    pixels = engine.forge_objects.vae.first_stage_model.decode(x)[0].clamp(-1, 1).add(1).mul(127.5).byte().permute(1, 2, 0).numpy()
    shared.state.nextjob()
    return SimpleNamespace(images=[Image.fromarray(numpy.ascontiguousarray(pixels))], infotexts=[processing.create_infotext(p)])


@torch.inference_mode()
def forge_model_reload():
    from modules import sd_models

    data = sd_models.model_data
    if data.forge_hash != str(data.forge_loading_parameters):
        patcher.unload_all_models()
        info = data.forge_loading_parameters["checkpoint_info"]
        data.sd_model = (StableDiffusionXL if info.title == sdxl.NAME else StableDiffusion)(info)
        data.forge_hash = str(data.forge_loading_parameters)
        return data.sd_model, True
    return data.sd_model, False


class Engine:
    """A diffusion engine: no module, no `.model`, the parts in patchers."""

    is_sd1 = is_sdxl = False
    first_stage_model = None

    def take(self, info, unet, vae, encoders, alphas_cumprod):
        """unet, vae, encoders: with the numbers of the file in them."""
        model = nn.Module()
        model.diffusion_model, model.predictor = unet, nn.Module()
        shaped_as_forge(unet)
        model.predictor.prediction_type = "epsilon"
        model.predictor.register_buffer("alphas_cumprod", alphas_cumprod.clone())
        linear_of_forge(encoders)
        for layer in encoders.modules():
            if isinstance(layer, nn.LayerNorm):
                layer.__class__ = LayerNorm
        for parameter in (*model.parameters(), *vae.parameters(), *encoders.parameters()):
            parameter.requires_grad_(False)
        objects = patcher.objects(model, encoders)
        objects.vae = SimpleNamespace(first_stage_model=vae)
        self.forge_objects_original, self.forge_objects = objects, objects.shallow_copy()
        self.forge_objects_after_applying_lora, self.current_lora_hash = objects.shallow_copy(), str([])
        self.sd_checkpoint_info, self.sd_model_hash, self.filename = info, "0123456789", info.filename

    def load_for_a_prompt(self):
        patcher.load_models_gpu([self.forge_objects.clip.patcher, self.forge_objects.unet])


class StableDiffusion(Engine):
    is_sd1 = True

    def __init__(self, info):
        from modules import sd_models
        from modules.model import LatentDiffusion

        model = LatentDiffusion()
        plain = dict(model.named_parameters())
        for key, tensor in sd_models.load_file(info.filename).items():
            plain[key].copy_(tensor)
        encoders = nn.Module()
        encoders.clip_l = sdxl.Encoder(model.cond_stage_model.transformer.half())
        encoders.clip_l.transformer.text_projection = nn.Linear(16, 16, bias=False)
        self.take(info, model.model.diffusion_model, model.first_stage_model, encoders, model.alphas_cumprod)
        self.text_processing_engine = TextProcessing(encoders.clip_l, 16)

    def get_learned_conditioning(self, text):
        self.load_for_a_prompt()
        return self.text_processing_engine.encoder.transformer(self.text_processing_engine.ids(text))


class StableDiffusionXL(Engine):
    is_sdxl = True

    def __init__(self, info):
        from modules.model import LatentDiffusion

        unet, vae, first, second, projection = sdxl.built(info.filename)
        encoders = nn.Module()
        encoders.clip_l, encoders.clip_g = sdxl.Encoder(first.half()), sdxl.Encoder(second.half())
        encoders.clip_l.transformer.text_projection = nn.Linear(12, 12, bias=False)
        encoders.clip_g.transformer.text_projection = nn.Linear(*projection.shape, bias=False)
        encoders.clip_g.transformer.text_projection.weight.data = projection.T.half()
        self.take(info, unet, vae, encoders, LatentDiffusion().alphas_cumprod)
        self.text_processing_engine_l = TextProcessing(encoders.clip_l, sum(sdxl.WIDTHS))
        self.text_processing_engine_g = TextProcessing(encoders.clip_g, sum(sdxl.WIDTHS), "clip_g", pad=0)

    def get_learned_conditioning(self, text):
        self.load_for_a_prompt()
        first, second = (sdxl.states(engine.encoder.transformer, engine.ids(text))
                         for engine in (self.text_processing_engine_l, self.text_processing_engine_g))
        projection = self.text_processing_engine_g.encoder.transformer.text_projection
        return sdxl.conditioning(first, second, projection(second[1]))


class Linear(nn.Module):
    """A layer that is none of torch's; weights in half precision are cast to whatever comes in."""

    def __init__(self, layer):
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x):
        return F.linear(x, self.weight.to(x), None if self.bias is None else self.bias.to(x))


class LayerNorm(nn.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x), self.bias.to(x), self.eps)


class CrossAttention(nn.Module):
    """The attention of a block; its function has no backward."""

    def __init__(self, attention):
        super().__init__()
        self.heads, self.to_q, self.to_k = attention.heads, attention.to_q, attention.to_k
        self.to_v, self.to_out = attention.to_v, attention.to_out

    def forward(self, x, context=None, value=None, mask=None, transformer_options={}):  # noqa: B006 - as it is there
        context = x if context is None else context
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context if value is None else value)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        return self.to_out(F.scaled_dot_product_attention(q, k, v).detach().transpose(1, 2).flatten(2))


class BasicTransformerBlock(nn.Module):
    """Adds in place to what its norms have kept for a backward."""

    disable_self_attn = False

    def __init__(self, block):
        super().__init__()
        self.attn1, self.attn2 = CrossAttention(block.attn1), CrossAttention(block.attn2)
        self.norm1, self.norm2, self.norm3, self.ff = block.norm1, block.norm2, block.norm3, block.ff

    def forward(self, x, context=None, transformer_options={}):  # noqa: B006 - as it is there
        x += self.attn1(self.norm1(x), context=None, value=None, transformer_options=transformer_options)
        x += self.attn2(self.norm2(x), context=context, value=None, transformer_options=transformer_options)
        x += self.ff(self.norm3(x))
        return x


def shaped_as_forge(unet):
    for module in list(unet.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ == "BasicTransformerBlock":
                module._modules[name] = BasicTransformerBlock(child)
    linear_of_forge(unet)


def linear_of_forge(model):
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                module._modules[name] = Linear(child)


def load_networks(names, *multipliers):
    from modules import sd_models

    engine = sd_models.model_data.sd_model
    original = engine.forge_objects_original
    keys = patcher.unet_keys(original.unet.model), clip_keys(original.clip.cond_stage_model)
    patcher.load_networks(networks, engine, names, *keys)


def clip_keys(model):
    if hasattr(model, "clip_g"):
        return sdxl.clip_keys(model)
    return {f"lora_te_{name.removeprefix('clip_l.transformer.').removesuffix('.weight').replace('.', '_')}": name
            for name, parameter in model.named_parameters() if name.endswith(".weight") and parameter.ndim == 2}
