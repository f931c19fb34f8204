"""What well-known extensions do to the model for a picture, each by a name, and without the care of taking it back.

`start(mode)` does it; `stop()` takes everything back, as their `postprocess` would. Written for tests; nothing is taken from them.
"""

import functools
import sys
from contextlib import suppress

import torch
from modules import script_callbacks, sd_hijack_unet, sd_samplers, shared

undo, active = [], set()
CATEGORIES = ("cfg_denoiser", "cfg_denoised", "cfg_after_cfg", "extra_noise", "before_image_saved", "image_saved", "image_grid")


def unet():
    return shared.sd_model.model.diffusion_model


def text_encoder():
    return shared.sd_model.cond_stage_model.wrapped.transformer


def louder(module, args, output):
    return tuple(part * 1.05 for part in output) if isinstance(output, tuple) else output * 1.05


def louder_with_kwargs(module, args, kwargs, output):
    return louder(module, args, output)


def quieter(module, args):
    return tuple(part * 0.95 if torch.is_tensor(part) and part.is_floating_point() else part for part in args)


def classes(path, name):
    """The classes of that name in both of the WebUI's model packages."""
    return [kind for package in ("ldm", "sgm") if (kind := getattr(sys.modules.get(f"{package}.{path}"), name, None)) is not None]


def exchange(owner, name, value):
    """`owner.name = value`, noted for `stop`."""
    before = vars(owner).get(name)
    setattr(owner, name, value)
    undo.append((lambda: delattr(owner, name)) if before is None else (lambda: setattr(owner, name, before)))


def wrap(owner, name, factor=1.05):
    original = getattr(owner, name)

    @functools.wraps(original)  # the WebUI reads the signatures of samplers
    def wrapper(*args, **kwargs):
        return louder(None, None, original(*args, **kwargs))

    exchange(owner, name, wrapper)


def hooks_unet():
    undo.append(unet().middle_block.register_forward_hook(louder).remove)
    undo.append(unet().input_blocks[1].register_forward_hook(louder_with_kwargs, with_kwargs=True).remove)
    undo.append(unet().out.register_forward_pre_hook(quieter).remove)
    undo.append(unet().output_blocks[0].register_full_backward_hook(lambda module, grad_in, grad_out: None).remove)


def hooks_vae():
    for part in (shared.sd_model.first_stage_model.encoder, shared.sd_model.first_stage_model.decoder):
        undo.append(part.register_forward_hook(louder_with_kwargs, with_kwargs=True).remove)


def hooks_text():
    undo.append(text_encoder().text_model.final_layer_norm.register_forward_hook(lambda module, args, output: output * 3).remove)


def hooks_everywhere():
    from torch.nn.modules.module import register_module_forward_hook

    undo.append(register_module_forward_hook(lambda module, args, output: output * 1.01 if type(module) is torch.nn.SiLU else None).remove)


def cat():
    original = sd_hijack_unet.th.cat
    exchange(sd_hijack_unet.th, "cat", lambda tensors, *args, **kwargs: original([part * 1.05 for part in tensors], *args, **kwargs))


def attention_class():
    for kind in classes("modules.attention", "CrossAttention"):
        wrap(kind, "forward")


def block_class():
    for kind in classes("modules.attention", "BasicTransformerBlock") + classes("modules.diffusionmodules.openaimodel", "ResBlock"):
        wrap(kind, "_forward")


def layer_class():
    wrap(torch.nn.Linear, "forward")
    wrap(torch.nn.SiLU, "forward")


def torch_function():
    wrap(torch.nn.functional, "scaled_dot_product_attention")
    wrap(torch.nn.functional, "group_norm", 1.02)


def instances():
    wrap(unet(), "forward")
    wrap(unet().middle_block[1].transformer_blocks[0].attn1, "forward")
    wrap(unet().middle_block[0], "_forward")
    wrap(shared.sd_model.first_stage_model.decoder, "forward")
    wrap(text_encoder().text_model.encoder.layers[0].mlp, "forward")


def vae_class():
    for kind in classes("modules.diffusionmodules.model", "Encoder") + classes("modules.diffusionmodules.model", "Decoder"):
        wrap(kind, "forward")


def text_class():
    for kind in {type(module) for module in text_encoder().modules()}:
        if kind.__name__ in ("CLIPMLP", "LayerNorm"):
            wrap(kind, "forward")


def sampler():
    original = sd_samplers.create_sampler

    def create_sampler(name, model):
        sampler = original(name, model)
        sample = sampler.sample
        sampler.sample = lambda *args, **kwargs: sample(*args, **kwargs) * 1.05
        return sampler

    exchange(sd_samplers, "create_sampler", create_sampler)


def scaled_steps():
    active.add("scale")
    undo.append(lambda: active.discard("scale"))


def sampler_entry():
    table, name = sd_samplers.all_samplers_map, "Euler"
    before = table[name]

    def constructor(model):
        sampler = before.constructor(model)
        sample = sampler.sample
        sampler.sample = lambda *args, **kwargs: sample(*args, **kwargs) * 1.05
        return sampler

    table[name] = before._replace(constructor=constructor)
    undo.append(lambda: table.__setitem__(name, before))


def sampler_function():
    sampling = sys.modules.get("k_diffusion.sampling")
    wrap(*((sampling, "sample_euler") if sampling is not None else (sd_samplers.Sampler, "sample")))


def parameter_at_each_picture():
    """Not at the picture that asks for it, but at all that come after (`asked`), whoever draws them."""
    active.update(("parameter", "first picture"))
    undo.append(active.clear)


def asked():
    """The picture that asked for a mode is over."""
    active.discard("first picture")


def exchange_parameter():
    layer = next(module for module in unet().modules() if isinstance(module, torch.nn.Linear))
    before = layer._parameters["weight"]
    layer._parameters["weight"] = torch.nn.Parameter(before.detach() * 1.3, requires_grad=False)
    undo.append(lambda: layer._parameters.__setitem__("weight", before))


def scale_in_place(tensors, factor=1.1):
    """As loaders of LoRAs do that keep no backup of their own on the layer."""
    before = [tensor.detach().clone() for tensor in tensors]
    for tensor in tensors:
        tensor.data.mul_(factor).add_(0.001)
    undo.append(lambda: [tensor.data.copy_(numbers) for tensor, numbers in zip(tensors, before, strict=True)])


def merged_in_place():
    scale_in_place([module.weight for path, module in unet().named_modules() if path.endswith(("to_q", "to_k", "to_v"))])


def merged_in_text_encoder():
    scale_in_place([module.weight for path, module in text_encoder().named_modules() if path.endswith("fc1")])


def merged_in_vae():
    scale_in_place([shared.sd_model.first_stage_model.decoder.conv_in.weight])


def one_bias():
    scale_in_place([next(module.bias for path, module in unet().named_modules() if path.endswith("emb_layers.1"))])


def exchange_buffer():
    embeddings = text_encoder().text_model.embeddings
    before = embeddings._buffers["position_ids"]
    embeddings._buffers["position_ids"] = before.flip(-1)
    undo.append(lambda: embeddings._buffers.__setitem__("position_ids", before))


def exchange_schedule():
    before = shared.sd_model.alphas_cumprod_original
    shared.sd_model.alphas_cumprod_original = before * 0.9
    undo.append(lambda: setattr(shared.sd_model, "alphas_cumprod_original", before))


class LouderLinear(torch.nn.Linear):
    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs) * 1.05


def layer_of_its_own():
    attention = unet().middle_block[1].transformer_blocks[0].attn1
    before = attention._modules["to_q"]
    layer = LouderLinear(before.in_features, before.out_features, before.bias is not None)
    layer.weight = before.weight
    attention._modules["to_q"] = layer
    undo.append(lambda: attention._modules.__setitem__("to_q", before))


def another_class():
    layer = unet().middle_block[1].transformer_blocks[0].attn1.to_k
    before = type(layer)
    layer.__class__ = LouderLinear
    undo.append(lambda: setattr(layer, "__class__", before))


def added_layer():
    attention = unet().middle_block[1].transformer_blocks[0].attn1
    attention.add_module("lora_extra", torch.nn.Linear(4, 4))
    undo.append(lambda: attention._modules.pop("lora_extra"))


def inference_tensor():
    layer = unet().time_embed[0]
    before = layer._parameters["weight"]
    with torch.inference_mode():
        layer._parameters["weight"] = torch.nn.Parameter(before.detach().clone(), requires_grad=False)
    undo.append(lambda: layer._parameters.__setitem__("weight", before))


PUT_ASIDE = {function.__name__: function for function in (
    hooks_unet, hooks_vae, hooks_text, hooks_everywhere, cat, attention_class, block_class, layer_class, torch_function, instances, vae_class,
    text_class, sampler, sampler_entry, sampler_function, scaled_steps, parameter_at_each_picture)}
REFUSED = {function.__name__: function for function in (
    exchange_parameter, merged_in_place, merged_in_text_encoder, merged_in_vae, one_bias, layer_of_its_own, another_class, added_layer,
    inference_tensor, exchange_buffer, exchange_schedule)}
MODES = PUT_ASIDE | REFUSED


def start(mode):
    MODES[mode]()


def stop():
    while undo:
        with suppress(AttributeError, KeyError):
            undo.pop()()


def on_step(params):
    if "scale" in active:
        params.x.mul_(1.02)
    if "parameter" in active and "first picture" not in active and params.sampling_step == 0:
        active.discard("parameter")
        exchange_parameter()


def register():
    for category in CATEGORIES:
        getattr(script_callbacks, f"on_{category}")(on_step if category == "cfg_denoiser" else on_others)


def on_others(params):
    if "scale" in active and getattr(params, "x", None) is not None:
        params.x.mul_(1.02)
