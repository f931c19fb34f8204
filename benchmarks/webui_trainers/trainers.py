"""Three ways to take a number of steps: the WebUI's trainer, ours, and the floor, which is what neither can leave out.

The WebUI trains as from its page: without its attention optimization, with its gradient checkpointing.
"""

import random
import time
from contextlib import contextmanager

import torch

RATES = {"textual_inversion": "0.02", "hypernetwork": "0.002"}
NAME, SIDE = "zwx", 64
CLIP_OFF = {"clip_grad_mode": "disabled", "clip_grad_value": "1"}
NO_PREVIEW = {"preview_from_txt2img": False, "preview_prompt": "", "preview_negative_prompt": "", "preview_steps": 1,
              "preview_sampler_name": "Euler", "preview_cfg_scale": 1, "preview_seed": 1, "preview_width": SIDE,
              "preview_height": SIDE}


@contextmanager
def stamps():
    """Inside, perf_counter() after every optimizer step is added to the list that it gives."""
    times, step = [], torch.optim.AdamW.step

    def stamped(self, *arguments, **named):
        result = step(self, *arguments, **named)
        times.append(time.perf_counter())
        return result

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
    """Those that the loaded model's hypernetworks have."""
    from modules import shared

    from lib_sdtune.networks.applied_hypernetworks import context_widths

    return context_widths(shared.sd_model.model.diffusion_model)


def config(method, folder, steps, seed):
    """Our settings for what the WebUI's trainer does."""
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
    """The same with our trainer, started as a user's run is."""
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.training.run import run
    from lib_sdtune.training.runs import begin

    host, settings = WebUIHost(), config(method, folder, steps, seed)
    with stamps() as times:
        run(settings, host, begin(settings, host))
    return differences(times)


def floor(method, folder, steps, seed=1):
    """What neither can leave out: frozen forward, and backward through the activations."""
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.sections.model import Model
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
    """Seconds of each step but the first, which warms up."""
    return [after - before for before, after in zip(times[1:], times[2:], strict=False)]


TRAINERS = {"floor": floor, "theirs": theirs, "ours": ours}
