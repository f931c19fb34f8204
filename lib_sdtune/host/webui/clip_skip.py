"""The WebUI's own clip skip, which its pictures follow, beside a training's."""

import logging
from typing import Any

from modules import shared

from lib_sdtune.families.base import Family

log = logging.getLogger("sdtune")


def webui_clip_skip() -> int:
    """Layers of the text encoder that the WebUI's pictures stop at, counted from the end; 1 is the last."""
    return int(getattr(shared.opts, "CLIP_stop_at_last_layers", 1) or 1)


def with_webui_clip_skip(family: Family, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings for a family, a nested dict, with the WebUI's clip skip among them where the family follows one."""
    if not family.reads_clip_skip:
        return settings
    return settings | {"model": {"clip_skip": webui_clip_skip(), **settings.get("model", {})}}


def warn_of_difference(family: Family, model_settings: Any) -> None:
    """Warn of a training whose prompts are encoded otherwise than the WebUI's pictures, samples included."""
    trained = getattr(model_settings, "clip_skip", None)
    if family.reads_clip_skip and trained is not None and trained != webui_clip_skip():
        log.warning("The training's clip skip is %s and the WebUI's is %s, which samples follow too; set Clip skip in "
                    "its settings to %s for pictures as they were learned.", trained, webui_clip_skip(), trained)
