"""Checkpoints: a file of tensors each, loaded into one model in memory, in place."""

from functools import wraps
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file, save_file

from modules import sd_hijack, shared
from modules.call_queue import queue_lock
from modules.model import LatentDiffusion

model_path = ""
checkpoints_list, checkpoint_aliases = {}, {}
model_data = SimpleNamespace(sd_model=None)


class CheckpointInfo:
    def __init__(self, filename):
        path = Path(filename)
        self.filename, self.title, self.name, self.name_for_extra, self.shorthash = str(path), path.name, path.name, path.stem, None


def queued(function):
    @wraps(function)
    def inside(*args, **kwargs):
        with queue_lock:
            return function(*args, **kwargs)

    return inside


def write_checkpoint(name, seed):
    model, chance = LatentDiffusion(), torch.Generator().manual_seed(seed)
    for key, weight in model.named_parameters():
        centre = 1.0 if weight.ndim == 1 and key.endswith("weight") else 0.0
        weight.data.copy_(centre + torch.randn(weight.shape, generator=chance) * 0.1)
    save_file(dict(model.named_parameters()), Path(model_path) / f"{name}.safetensors")


def list_models():
    checkpoints_list.clear()
    for path in sorted(Path(model_path).glob("*.safetensors")):
        info = CheckpointInfo(path)
        checkpoints_list[info.title] = checkpoint_aliases[info.title] = info


def select_checkpoint():
    return checkpoints_list[shared.opts.sd_model_checkpoint]


def get_closet_checkpoint_match(search_string):
    return checkpoint_aliases.get(search_string) or next((info for info in checkpoints_list.values() if search_string in info.title), None)


def load_model(checkpoint_info=None, already_loaded_state_dict=None):
    info = checkpoint_info or select_checkpoint()
    model = LatentDiffusion()
    fill(model, info)
    sd_hijack.model_hijack.hijack(model)
    model_data.sd_model = model.eval()
    model.is_sd1, model.is_sd2, model.is_sdxl, model.is_sd3, model.lowvram = True, False, False, False, False
    loaded(model)
    return model


def loaded(model):
    """What other parts of the WebUI do when a model is in place."""
    import networks

    networks.assign_network_names_to_compvis_modules(model)
    sd_hijack.model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)


def fill(model, info):
    import networks

    for layer in model.modules():
        if isinstance(layer, networks.KINDS):
            networks.network_reset_cached_weight(layer)  # the extension does so wherever a layer is loaded
    plain = {key.replace(".wrapped", ""): weight for key, weight in model.named_parameters()}
    with torch.no_grad():
        for key, tensor in load_file(info.filename).items():
            plain[key].copy_(tensor)
    model.sd_checkpoint_info, model.sd_model_checkpoint, model.sd_model_hash = info, info.filename, "0123456789"


def reload_model_weights(sd_model=None, info=None, forced_reload=False):
    info, model = info or select_checkpoint(), model_data.sd_model
    if model.sd_model_checkpoint == info.filename and not forced_reload:
        return model
    fill(model, info)
    shared.opts.data["sd_model_checkpoint"] = info.title
    loaded(model)
    return model


def unload_model_weights(sd_model=None, info=None):
    return (sd_model or shared.sd_model).to("cpu")


def apply_token_merging(sd_model, token_merging_ratio):
    sd_model.applied_token_merged_ratio = token_merging_ratio
