"""Time, memory, and what is learned."""

import statistics
from pathlib import Path

import torch
from einops import rearrange

from benchmarks.webui_trainers.trainers import NAME, TRAINERS

TIMESTEPS = (100, 300, 500, 700, 900)


def seconds_per_step(method, folder, rounds=5, steps=6):
    """Median seconds a step of each, taking turns."""
    times = {name: [] for name in TRAINERS}
    for _ in range(rounds):
        for name, train in TRAINERS.items():
            times[name] += train(method, folder, steps)
    return {name: statistics.median(values) for name, values in times.items()}


def memory_growth(method, folder, trainer):
    """Growth of the resident set in MB at its peak, over what is there after a picture of ordinary use has been
    encoded.
    """
    from modules import shared

    with torch.no_grad():
        shared.sd_model.get_learned_conditioning(["a toy"])
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    TRAINERS[trainer](method, folder, 4)
    return resident("VmHWM") - before


def resident(entry):
    """MB that /proc/self/status has under an entry: VmRSS now, VmHWM at the peak."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) / 1024


def validation_losses(method, folder, trainer, steps, seeds):
    """Validation loss of the bare model, and with the file of each seed's training."""
    losses = {"before": validation_loss(method, folder, None), "after": []}
    for seed in seeds:
        TRAINERS[trainer](method, folder, steps, seed)
        losses["after"].append(validation_loss(method, folder, NAME))
    return losses


def validation_loss(method, folder, name):
    """Mean loss on the held-out pictures at fixed noise and timesteps; the captions speak of the file's word."""
    import numpy
    from PIL import Image

    from lib_sdtune import diffusion
    from lib_sdtune.artefacts import embedding, hypernetwork
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.networks.applied_hypernetworks import applied_hypernetworks
    from lib_sdtune.sections.model import Model

    host, losses, rng = WebUIHost(), [], torch.Generator().manual_seed(0)
    with host.borrow(Model()) as model, torch.no_grad():
        networks, word = [], "toy"
        if name and method == "hypernetwork":
            networks = [(hypernetwork.read(hypernetwork.find(host.folder("hypernetworks"), name))[0], 1.0)]
        elif name:
            path, word = embedding.find(host.folder("embeddings"), name), name
            model.embeddings[name] = embedding.read(path, model.family.embedding_keys,
                                                    [model.text_encoders[0].config.hidden_size])
        with applied_hypernetworks(model.unet, networks):
            for path in sorted((folder / "held").glob("*.png")):
                pixels = torch.from_numpy(numpy.asarray(Image.open(path).convert("RGB")))
                pixels = rearrange(pixels, "h w c -> 1 c h w") / 127.5 - 1
                latents, _ = model.family.encode_images(model, pixels)
                caption = f"a photo of a {word}, {path.with_suffix('.txt').read_text()}"
                context = model.family.encode_text(model, [caption])
                for timestep in TIMESTEPS:
                    for _ in range(4):
                        noise, timesteps = torch.randn(latents.shape, generator=rng), torch.tensor([timestep])
                        noisy = diffusion.add_noise(latents, noise, timesteps, model.alphas_cumprod)
                        prediction = model.family.predict(model, noisy, timesteps, context)
                        losses.append(float((prediction - noise).square().mean()))
        model.embeddings.pop(name, None)
    return statistics.mean(losses)
