"""What these tests do with a fork and see of it."""

import hashlib
from contextlib import contextmanager
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

SIZE, STEPS = 64, 1
LAYERS = {"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k": (16, 64),
          "lora_te_text_model_encoder_layers_0_mlp_fc1": (16, 64)}


def draw(prompt="a cat", seed=1, **overrides):
    """The pixels of one picture, as a user's Generate makes it, lock and all."""
    from modules import processing, scripts, shared
    from modules.call_queue import queue_lock

    with queue_lock:
        p = processing.StableDiffusionProcessingTxt2Img(
            sd_model=shared.sd_model, prompt=prompt, seed=seed, steps=STEPS, width=SIZE, height=SIZE, cfg_scale=4, sampler_name="Euler",
            scheduler="Automatic", do_not_save_samples=True, do_not_save_grid=True, override_settings=overrides)
        p.scripts = scripts.ScriptRunner()
        return numpy.asarray(processing.process_images(p).images[0]).copy()


@contextmanager
def chosen(fork, title):
    """That checkpoint in the drop-down; the one before comes back with the next picture."""
    from modules import sd_models, shared

    info = sd_models.checkpoints_list[title]
    if fork == "backend":
        data = sd_models.model_data
        before = data.forge_loading_parameters
        data.forge_loading_parameters = before | {"checkpoint_info": info}
        yield
        data.forge_loading_parameters = before
    else:
        before, loaded = shared.opts.data.get("sd_model_checkpoint"), shared.sd_model.sd_checkpoint_info
        shared.opts.data["sd_model_checkpoint"] = title
        sd_models.load_model(info)
        yield
        shared.opts.data["sd_model_checkpoint"] = before
        sd_models.load_model(loaded)


def free():
    """Whether the queue lock can be had."""
    from modules.call_queue import queue_lock

    if not queue_lock.acquire(blocking=False):
        return False
    queue_lock.release()
    return True


def parts():
    """{name: module} of the WebUI's own UNet, VAE and text encoder."""
    from modules import shared

    objects = shared.sd_model.forge_objects_original
    vae = getattr(objects, "vae", None)
    return {"unet": objects.unet.model, "text": objects.clip.cond_stage_model,
            "vae": vae.first_stage_model if vae else shared.sd_model.first_stage_model}


def objects():
    """{name: parameter or buffer}, the very objects that stand in the WebUI's modules."""
    return {f"{part}.{name}": tensor for part, module in parts().items()
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]}


def bits(tensors):
    return {name: hashlib.sha256(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
            for name, tensor in tensors.items()}


def make_lora(name, seed=0):
    """A LoRA on a layer of the UNet and one of the text encoder, put where the WebUI finds it."""
    import networks
    from modules import shared

    chance, tensors = torch.Generator().manual_seed(seed), {}
    for key, (inputs, outputs) in LAYERS.items():
        tensors[f"{key}.lora_down.weight"] = torch.randn(2, inputs, generator=chance)
        tensors[f"{key}.lora_up.weight"] = torch.randn(outputs, 2, generator=chance)
        tensors[f"{key}.alpha"] = torch.tensor(2.0)
    save_file(tensors, Path(shared.cmd_opts.lora_dir) / f"{name}.safetensors")
    networks.list_available_networks()
