"""Whatever values a file has: the import gives a CONFIG that `Config` takes, or one sentence, and every key is told."""

import random

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.sd_scripts.kohya_gui import NETWORK_ARGUMENTS, PAGES, RENAMED, TYPES
from lib_sdtune.settings_import.sd_scripts.options import OPTIONS, OTHERS

VALUES = ["", 0, 1, -1, "0", "1", 2.5, "1e-4", "abc", True, False, None, "True", "False", [], ["a=1"], 10**12, -5.5, "512,768",
          "0.1", 0.1, "10%", "cosine", "Prodigy", "nan", float("inf"), "../x", "\u8bad\u7ec3", 100000, [1, 2], "None"]
SD_SCRIPTS = [option.name for option in (*OPTIONS, *OTHERS)]
GUI = [*SD_SCRIPTS, *RENAMED, *NETWORK_ARGUMENTS, *(option.name for option in PAGES), "lr_warmup", "epoch", "additional_parameters"]


@pytest.mark.parametrize("seed", range(60))
def test_any_values(imported, seed):
    rng = random.Random(seed)
    gui = seed % 2
    names = GUI if gui else SD_SCRIPTS
    start = {"LoRA_type": rng.choice(list(TYPES)), "max_resolution": "512,512", "lr_warmup": 5} if gui else {
        "network_module": rng.choice(["networks.lora", "lycoris.kohya", ""]), "train_data_dir": "x", "output_name": "y"}
    settings = {**start, **{name: rng.choice(VALUES) for name in rng.sample(names, 60)}}
    for name in ("flux1_checkbox", "sd3_checkbox"):
        settings[name] = False
    settings.pop("network_module" if gui else "", None)
    try:
        _, text = imported({"a.json": settings})
    except UserError as error:
        assert "\n" not in str(error)
        return
    unmentioned = [key for key in settings if key not in text and not key.endswith("_checkbox")]
    assert unmentioned == []
