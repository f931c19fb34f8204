"""One measurement of the WebUI's own trainers, of ours, or of the floor, inside the real WebUI; started by
`ti_hypernetwork`.

Runs under the WebUI's Python, with SDTUNE_WEBUI_DIR. A data folder with the embedded model as its only checkpoint is
made for it. The WebUI trains as from its page: without its attention optimization, with its gradient checkpointing.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from einops import rearrange

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ROOT / "lib_sdtune" / "ldm" / "embedded"
FLAGS = ["--skip-torch-cuda-test", "--use-cpu", "all", "--no-half", "--skip-prepare-environment", "--no-hashing",
         "--no-download-sd-model"]
RATES = {"textual_inversion": "0.02", "hypernetwork": "0.002"}
TIMESTEPS = (100, 300, 500, 700, 900)
NAME, SIDE, HELD_OUT = "zwx", 64, 2
CLIP_OFF = {"clip_grad_mode": "disabled", "clip_grad_value": "1"}
NO_PREVIEW = {"preview_from_txt2img": False, "preview_prompt": "", "preview_negative_prompt": "", "preview_steps": 1,
              "preview_sampler_name": "Euler", "preview_cfg_scale": 1, "preview_seed": 1, "preview_width": SIDE,
              "preview_height": SIDE}


def lay_out(folder):
    """A data folder with the embedded model, and its pictures apart: the last two are never trained on."""
    import yaml

    from tools.embedded_sizes import UNET, VAE

    place = folder / "data" / "models" / "Stable-diffusion"
    place.mkdir(parents=True)
    (folder / "data" / "embeddings").mkdir()
    (folder / "data" / "models" / "hypernetworks").mkdir()
    shutil.copy(EMBEDDED / "model.safetensors", place / "embedded.safetensors")
    settings = yaml.safe_load((Path(os.environ["SDTUNE_WEBUI_DIR"]) / "configs" / "v1-inference.yaml").read_text())
    parts = settings["model"]["params"]
    parts["unet_config"]["params"].update(
        model_channels=UNET["model_channels"], channel_mult=list(UNET["channel_mult"]), context_dim=UNET["context_dim"],
        num_res_blocks=UNET["num_res_blocks"], num_heads=UNET["num_heads"],
        attention_resolutions=[2**level for level in UNET["attention_levels"]])
    parts["first_stage_config"]["params"]["ddconfig"].update(
        ch=VAE["ch"], ch_mult=list(VAE["ch_mult"]), num_res_blocks=VAE["num_res_blocks"])
    parts["cond_stage_config"]["params"] = {"version": str(EMBEDDED)}
    (place / "embedded.yaml").write_text(yaml.safe_dump(settings))
    pictures = sorted((ROOT / "examples" / "ron" / "ron").glob("*.png"))
    for number, picture in enumerate(pictures):
        destination = folder / ("held" if number >= len(pictures) - HELD_OUT else "pictures")
        destination.mkdir(exist_ok=True)
        caption = picture.with_suffix(".txt").read_text().replace("ron toy", "toy")
        shutil.copy(picture, destination / picture.name)
        (destination / f"{picture.stem}.txt").write_text(caption)


def start(folder):
    """The WebUI in this process, without its page; its `shared` module."""
    sys.path.insert(0, os.environ["SDTUNE_WEBUI_DIR"])
    os.chdir(os.environ["SDTUNE_WEBUI_DIR"])
    sys.argv = ["launch.py", "--data-dir", str(folder / "data"), *FLAGS]
    from modules import initialize

    initialize.imports()
    initialize.check_versions()
    initialize.initialize()
    from modules import script_callbacks, shared
    from modules.textual_inversion import textual_inversion

    script_callbacks.before_ui_callback()
    assert shared.sd_model is not None
    shared.opts.data.update(save_training_settings_to_txt=False, training_write_csv_every=0, emphasis="No norm")
    textual_inversion.list_textual_inversion_templates()
    return shared


# three things to measure

@contextmanager
def stamps():
    """perf_counter() after every optimizer step."""
    times, step = [], torch.optim.AdamW.step

    def stamped(self, *arguments, **named):
        answer = step(self, *arguments, **named)
        times.append(time.perf_counter())
        return answer

    torch.optim.AdamW.step = stamped
    try:
        yield times
    finally:
        torch.optim.AdamW.step = step


def theirs(method, folder, steps, seed=1):
    """Train with the WebUI's own trainer from a fresh start; seconds of each step but the first."""
    from modules import sd_hijack, shared
    from modules.hypernetworks import hypernetwork
    from modules.textual_inversion import textual_inversion

    torch.manual_seed(seed)
    import random

    random.seed(seed)
    common = {"id_task": "", "learn_rate": RATES[method], "batch_size": 1, "gradient_step": 1,
              "data_root": str(folder / "pictures"),
              "log_directory": str(folder / "log"), "training_width": SIDE, "training_height": SIDE, "varsize": False,
              "steps": steps,
              "shuffle_tags": False, "tag_drop_out": 0, "latent_sampling_method": "random", "use_weight": False,
              "create_image_every": 0,
              "template_filename": "subject_filewords.txt", **CLIP_OFF, **NO_PREVIEW}
    shared.state.interrupted = False
    if method == "textual_inversion":
        textual_inversion.create_embedding(NAME, 2, True, "toy")
        sd_hijack.model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)
    else:
        hypernetwork.create_hypernetwork(NAME, [str(width) for width in widths()], True, "1, 2, 1", "linear", "Normal")
        shared.reload_hypernetworks()
    sd_hijack.undo_optimizations()
    with stamps() as times:
        if method == "textual_inversion":
            textual_inversion.train_embedding(embedding_name=NAME, save_embedding_every=0,
                                              save_image_with_stored_embedding=False, **common)
        else:
            hypernetwork.train_hypernetwork(hypernetwork_name=NAME, save_hypernetwork_every=0, **common)
    shared.loaded_hypernetworks = []
    assert len(times) == steps, "the WebUI's trainer gave up; look above for the reason"
    return differences(times)


def widths():
    from modules import shared

    from lib_sdtune.networks.hypernetwork import context_widths

    return context_widths(shared.sd_model.model.diffusion_model)


def config(method, folder, steps, seed):
    from lib_sdtune.config import Config

    method_settings = {"textual_inversion": {"init_text": "toy", "num_vectors_per_token": 2, "save_model_as": "pt"},
                  "hypernetwork": {}}[method]
    return Config.from_dict({
        "name": NAME, "method": method, "overwrite": True, method: method_settings | {"lr": float(RATES[method])},
        "concepts": [{"images": str(folder / "pictures"), "prompt": "subject_filewords.txt"}],
        "dataset": {"resolution": SIDE, "min_bucket_reso": SIDE},
        "save": {"state_every_n_steps": 0, "precision": "float"}, "sample": {"every_n_steps": 0},
        "train": {"max_train_steps": steps, "seed": seed, "max_grad_norm": 0, "lr_scheduler": "constant"}})


def ours(method, folder, steps, seed=1):
    """The same with ours, through the same door as a user's run."""
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.training.run import run
    from lib_sdtune.training.runs import begin

    host, settings = WebUIHost(), config(method, folder, steps, seed)
    with stamps() as times:
        run(settings, host, begin(settings, host))
    return differences(times)


def floor(method, folder, steps, seed=1):
    """What neither can leave out: frozen forward, and backward through the activations."""
    from lib_sdtune.config import Model
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.training.memory.heap import steady_heap
    from lib_sdtune.training.precision import frozen

    times = []
    with WebUIHost().borrow(Model()) as model, frozen(model), steady_heap(model.device):
        fixed = model.family.encode_text(model, ["a photo of a toy"]).context
        for _ in range(steps):
            context = fixed
            if method == "textual_inversion":
                model.embeddings[NAME] = torch.randn(2, fixed.shape[-1], requires_grad=True)
                context = model.family.encode_text(model, [f"a photo of {NAME}, a red toy on snow"]).context
            noisy = torch.randn(1, 4, SIDE // 8, SIDE // 8, requires_grad=method == "hypernetwork")
            model.unet(noisy, torch.tensor([500]), context=context).square().mean().backward()
            times.append(time.perf_counter())
        model.embeddings.pop(NAME, None)
    return differences(times)


def differences(times):
    return [after - before for before, after in zip(times[1:], times[2:], strict=False)]


WHO = {"floor": floor, "theirs": theirs, "ours": ours}


def measured_time(method, folder, rounds=5, steps=6):
    """Median seconds a step of each, taking turns."""
    times = {name: [] for name in WHO}
    for _ in range(rounds):
        for name, train in WHO.items():
            times[name] += train(method, folder, steps)
    return {name: statistics.median(values) for name, values in times.items()}


def measured_memory(method, folder, who):
    """Growth of the resident set in MB at its peak, over what is there after a picture of ordinary use has been
    encoded.
    """
    from modules import shared

    with torch.no_grad():
        shared.sd_model.get_learned_conditioning(["a toy"])
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    WHO[who](method, folder, 4)
    return resident("VmHWM") - before


def resident(what):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def measured_learning(method, folder, who, steps, seeds):
    """Validation loss of the bare model, and with the file of each seed's training."""
    files = {"before": validation(method, folder, None), "after": []}
    for seed in seeds:
        WHO[who](method, folder, steps, seed)
        files["after"].append(validation(method, folder, NAME))
    return files


def validation(method, folder, name):
    """Mean loss on the held-out pictures at fixed noise and timesteps; the captions speak of the file's word."""
    import numpy
    from PIL import Image

    from lib_sdtune import diffusion
    from lib_sdtune.config import Model
    from lib_sdtune.formats import embedding, hypernetwork
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.networks.hypernetwork import applied_hypernetworks

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
                        noise, at = torch.randn(latents.shape, generator=rng), torch.tensor([timestep])
                        noisy = diffusion.add_noise(latents, noise, at, model.alphas_cumprod)
                        losses.append(float((model.family.predict(model, noisy, at, context) - noise).square().mean()))
        model.embeddings.pop(name, None)
    return statistics.mean(losses)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["time", "memory", "learn"])
    parser.add_argument("method", choices=list(RATES))
    parser.add_argument("who", nargs="?", choices=list(WHO))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lay_out(folder)
        start(folder)
        if arguments.what == "time":
            answer = measured_time(arguments.method, folder)
        elif arguments.what == "memory":
            answer = measured_memory(arguments.method, folder, arguments.who)
        else:
            answer = measured_learning(arguments.method, folder, arguments.who, arguments.steps, arguments.seeds)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
