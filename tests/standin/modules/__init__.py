"""A stand-in of the WebUI's `modules`, version 1.10.1: only what SD Tune touches, behaving like the real one.

tests/host/webui runs on this in CI and on the real WebUI where there is one, so that it cannot drift. Own words throughout:
names, signatures and effects are the WebUI's, the code is not.
"""

import sys
from types import SimpleNamespace


def start(data):
    """Put up a small WebUI over the folder `data`, with two checkpoints and a model in memory."""
    from modules import devices, options, paths, paths_internal, shared, shared_state

    remember()
    paths.data_path, paths.models_path = str(data), str(data / "models")
    paths_internal.extensions_dir = str(data / "extensions")
    flags = {"lora_dir": data / "models/Lora", "embeddings_dir": data / "embeddings", "hypernetwork_dir": data / "models/hypernetworks",
             "textual_inversion_templates_dir": data / "textual_inversion_templates"}
    shared.cmd_opts = SimpleNamespace(**{name: str(folder) for name, folder in flags.items()}, ckpt_dir=None, lowvram=False, medvram=False,
                                      api_auth=None, webui_is_non_local=False, hide_ui_dir_config=False, freeze_settings=False,
                                      freeze_settings_in_sections=None, freeze_specific_settings=None, no_prompt_history=False)
    shared.opts, shared.state = options.Options(), shared_state.State()
    shared.config_filename = str(data / "config.json")
    for folder in (*flags.values(), data / "models/Stable-diffusion"):
        folder.mkdir(parents=True, exist_ok=True)

    import lora_patches
    import networks

    from modules import sd_hijack, sd_models

    sd_models.model_path = str(data / "models/Stable-diffusion")
    for seed, name in enumerate(("one", "two")):
        sd_models.write_checkpoint(name, seed)
    sd_models.list_models()
    networks.originals = lora_patches.LoraPatches()
    shared.opts.onchange("sd_model_checkpoint", sd_models.queued(lambda: sd_models.reload_model_weights()))
    shared.opts.data["sd_model_checkpoint"] = "one.safetensors"
    sd_hijack.model_hijack.embedding_db.add_embedding_dir(shared.cmd_opts.embeddings_dir)
    sd_models.load_model()
    assert devices.device.type == "cpu"


def stop():
    """Torch and ldm as they were, for the tests that come after."""
    import networks
    from ldm.modules.attention import CrossAttention
    from ldm.modules.diffusionmodules import openaimodel

    if "ldm_patched" not in sys.modules and "backend" not in sys.modules:
        networks.originals.undo()
    CrossAttention.forward, openaimodel.th = originals
    for name in [name for name in sys.modules if belongs(name)]:
        del sys.modules[name]


def belongs(name):
    """Whether a module is part of the stand-in, or was made for the one that is going."""
    return name.partition(".")[0] in (
        "modules", "networks", "lora_patches", "omegaconf", "ldm_patched", "backend") or name.startswith(("lib_sdtune.host.webui", "lib_sdtune.extension", "tests.standin.forks"))


def remember():
    global originals
    from ldm.modules.attention import CrossAttention
    from ldm.modules.diffusionmodules import openaimodel

    originals = CrossAttention.forward, openaimodel.th
