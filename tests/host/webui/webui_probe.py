"""What the tests do with a WebUI, the stand-in or the real one, through names that both have."""

import hashlib
import random
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

SIZE, STEPS = 64, 2


def draw(prompt="a cat", seed=1, **overrides):
    """The pixels of one picture, as a user's Generate makes it, lock and all."""
    from modules import processing, shared
    from modules.call_queue import queue_lock

    with queue_lock:
        p = processing.StableDiffusionProcessingTxt2Img(
            sd_model=shared.sd_model, prompt=prompt, seed=seed, steps=STEPS, width=SIZE, height=SIZE, cfg_scale=4, sampler_name="Euler",
            scheduler="Automatic", do_not_save_samples=True, do_not_save_grid=True, override_settings=overrides)
        try:
            return numpy.asarray(processing.process_images(p).images[0]).copy()
        finally:
            p.close()


def fingerprint():
    """Everything about the WebUI's model and process that a training could leave changed."""
    from modules import devices, processing, sd_hijack, sd_models, sd_unet, shared

    model = shared.sd_model
    seen = {f"weights {name}": digest(tensor) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    for name, tensor in model.named_parameters():
        seen[f"flags {name}"] = tensor.requires_grad, tensor.grad is None, tensor.device, tensor.dtype, id(tensor)
    for name, module in model.named_modules():
        own = vars(module)
        seen[f"module {name}"] = (type(module).__name__, module.training, own.get("forward"), len(module._forward_hooks),
                                  len(module._forward_pre_hooks), list(module._modules), own.get("padding_mode"),
                                  own.get("use_checkpoint"), own.get("network_current_names", ()))
    seen["attention"] = sys.modules["ldm.modules.attention"].CrossAttention.forward
    seen["lora"] = sys.modules["networks"].network_apply_weights, [net.name for net in sys.modules["networks"].loaded_networks]
    seen["models"] = (sd_models.reload_model_weights, sd_models.unload_model_weights, id(model), model.sd_checkpoint_info.filename,
                      getattr(model, "applied_token_merged_ratio", 0))
    seen["unet"] = sd_unet.current_unet_option
    seen["devices"] = devices.unet_needs_upcast, devices.dtype_unet, devices.dtype_vae
    seen["tiling"] = sd_hijack.model_hijack.circular_enabled
    seen["embeddings"] = sorted(sd_hijack.model_hijack.embedding_db.word_embeddings)
    seen["options"] = {key: shared.opts.data_labels[key].onchange for key in ("sd_model_checkpoint", "sd_vae")}
    seen["state"] = shared.state.dict() | {"interrupted": shared.state.interrupted}
    seen["hypernetworks"] = [hypernetwork.name for hypernetwork in shared.loaded_hypernetworks]
    seen["cudnn"] = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    seen["chance"] = random.getstate(), digest(torch.get_rng_state()), numpy.random.get_state()[1].tobytes()
    seen["history"] = getattr(shared.cmd_opts, "no_prompt_history", False)
    assert processing.StableDiffusionProcessing.cached_c is not None
    return seen


def digest(tensor):
    return hashlib.blake2b(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes(), digest_size=8).hexdigest()


def differences(before, after):
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def free():
    """Whether the queue lock can be had."""
    from modules.call_queue import queue_lock

    if not queue_lock.acquire(blocking=False):
        return False
    queue_lock.release()
    return True


def layers_of_transformers():
    """How many layers with weights the UNet's transformers have, norms aside: SD1's 192."""
    from modules import shared

    transformers = [module for module in shared.sd_model.model.diffusion_model.modules() if type(module).__name__ == "SpatialTransformer"]
    return sum(isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)) for each in transformers for layer in each.modules())


def weight(name="diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k"):
    from modules import shared

    return shared.sd_model.model.get_submodule(name)


def make_lora(name, seed=0):
    """A LoRA on two layers, put where the WebUI finds it."""
    from modules import shared

    chance = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, layer in (("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", weight()),
                       ("lora_te_text_model_encoder_layers_0_mlp_fc1", text().encoder.layers[0].mlp.fc1)):
        tensors[f"{key}.lora_down.weight"] = torch.randn(2, layer.in_features, generator=chance)
        tensors[f"{key}.lora_up.weight"] = torch.randn(layer.out_features, 2, generator=chance)
        tensors[f"{key}.alpha"] = torch.tensor(2.0)
    folder = Path(shared.cmd_opts.lora_dir)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / f"{name}.safetensors", {"ss_output_name": name})
    sys.modules["networks"].list_available_networks()


def text():
    from modules import shared

    return shared.sd_model.cond_stage_model.wrapped.transformer.text_model


def make_hypernetwork(name):
    from modules import shared
    from modules.hypernetworks.hypernetwork import Hypernetwork

    torch.manual_seed(0)
    hypernetwork = Hypernetwork(name=name, enable_sizes=[weight().in_features], layer_structure=[1, 2, 1], activation_func="linear",
                        weight_init="Normal")
    for layer in hypernetwork.weights():
        torch.nn.init.normal_(layer, std=0.3)
    Path(shared.cmd_opts.hypernetwork_dir).mkdir(parents=True, exist_ok=True)
    hypernetwork.save(str(Path(shared.cmd_opts.hypernetwork_dir) / f"{name}.pt"))
    shared.reload_hypernetworks()


def make_embedding(name, vectors=2):
    from modules import shared
    from modules.sd_hijack import model_hijack

    width = text().embeddings.position_embedding.weight.shape[1]
    folder = Path(shared.cmd_opts.embeddings_dir)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"emb_params": torch.randn(vectors, width, generator=torch.Generator().manual_seed(5))}, folder / f"{name}.safetensors")
    model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)
