"""What SD Tune cannot train is told by name before anything is translated: other model families, other kinds of
work.
"""

import re
from collections.abc import Mapping

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.entries import Entry, flag

TRAINED = "SD Tune trains SD1, SD2 and SDXL"
FAMILIES = {  # what a script, a network module, an architecture or a file name begins with or holds
    "flux": "FLUX",
    "flex": "Flex",
    "sd3": "SD3",
    "stable_diffusion_3": "SD3",
    "stable-diffusion-3": "SD3",
    "chroma": "Chroma",
    "lumina": "Lumina",
    "wan": "Wan",
    "qwen": "Qwen-Image",
    "hunyuan": "Hunyuan",
    "hidream": "HiDream",
    "anima": "Anima",
    "cogvideo": "CogVideo",
    "sana": "Sana",
    "pixart": "PixArt",
    "wuerstchen": "Wuerstchen",
    "stable_cascade": "Stable Cascade",
    "stable-cascade": "Stable Cascade",
    "kandinsky": "Kandinsky",
    "auraflow": "AuraFlow",
    "zimage": "Z-Image",
    "z_image": "Z-Image",
    "framepack": "FramePack",
    "ltx": "LTX-Video",
    "omnigen": "OmniGen",
    "fpack": "FramePack",
    "kontext": "FLUX",
    "if_": "DeepFloyd IF",
    "leco": "a slider",
    "controlnet": "ControlNet",
    "control_net": "ControlNet",
    "ip_adapter": "an IP-Adapter",
    "xti": "extended textual inversion",
    "inpaint": "an inpainting model (its UNet has 9 channels)",
}
NAMED = re.compile(
    r"flux[._-]?1|flux[._-]?(dev|schnell|kontext)|stable-diffusion-3|sd_?3(\.5)?[_-](medium|large)|qwen[_-]?image"
    r"|wan[_-]?2|chroma1|hunyuan|hidream|inpaint",
    re.IGNORECASE,
)
PATHS = {
    "t5xxl": "FLUX or SD3",
    "clip_g": "SD3",
    "ae": "FLUX",
    "gemma2": "Lumina",
    "qwen3": "Anima",
    "clip_l": "FLUX or SD3",
}


def refuse(document: str, what: str) -> None:
    """UserError: the file is for something that cannot be trained."""
    if what == FAMILIES["inpaint"]:
        raise UserError(f"{document} is for {what}, and such settings are not taken over. To train one, choose an "
                        "inpainting checkpoint and begin with a preset.")
    raise UserError(f"{document} is for {what}, which cannot be trained here; {TRAINED}.")


def check_word(document: str, word: str) -> None:
    """UserError where a script's, module's or architecture's name belongs to another family."""
    bare = word.strip().lower().replace("\\", "/").rpartition("/")[2].removeprefix("networks.").removeprefix("lora_")
    bare = bare.removeprefix("train_").removeprefix("oft_")
    for sign, family in FAMILIES.items():
        if bare.startswith(sign) or f"_{sign}" in bare and sign in ("controlnet", "control_net", "inpaint", "leco"):
            refuse(document, family)


def check_checkpoint(document: str, name: str) -> None:
    """UserError where a checkpoint's name says that it is another family's."""
    base = name.strip().replace("\\", "/").rstrip("/").rpartition("/")[2]
    match = NAMED.search(base)
    if match:
        sign = match[0].lower()
        refuse(document, next((family for key, family in FAMILIES.items() if sign.startswith(key)), "another family"))


def check_options(document: str, options: Mapping[str, Entry]) -> None:
    """UserError where sd-scripts' options, or those of programs around it, belong to another family."""
    switches = {name: is_true(entry.value) for name, entry in options.items() if name.endswith("_checkbox")}
    for name, on in switches.items():
        if on and not name.startswith("sdxl"):
            check_word(document, name)
            refuse(document, name.removesuffix("_checkbox"))
    for name in ("network_module", "model_train_type", "model_type", "LoRA_type", "train_type"):
        if (entry := options.get(name)) and not entry.is_unset:
            check_word(document, str(entry.value))
    if (entry := options.get("pretrained_model_name_or_path")) and not entry.is_unset:
        check_checkpoint(document, str(entry.value))
    if not any(name in switches for name in ("flux1_checkbox", "sd3_checkbox")):
        for name, family in PATHS.items():
            if (entry := options.get(name)) and not entry.is_unset:
                refuse(document, family)


def is_true(value: object) -> bool:
    try:
        return flag(value)
    except ValueError:
        return False
