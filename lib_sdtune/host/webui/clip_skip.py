"""The WebUI's own clip skip, which its pictures follow, beside the one that a training is told."""

import logging

from modules import shared

log = logging.getLogger("sdtune")


def of_webui():
    """Layers of the text encoder that the WebUI's pictures stop at, counted from the end; 1 is the last."""
    return int(getattr(shared.opts, "CLIP_stop_at_last_layers", 1) or 1)


def laid_under(family, settings):
    """Settings for a family, a nested dict, with the WebUI's clip skip among them where the family follows one."""
    if not family.reads_clip_skip:
        return settings
    return settings | {"model": {"clip_skip": of_webui(), **settings.get("model", {})}}


def tell(family, model_settings):
    """Warn of a training whose prompts are encoded otherwise than the WebUI's pictures, samples included."""
    trained = getattr(model_settings, "clip_skip", None)
    if family.reads_clip_skip and trained is not None and trained != of_webui():
        log.warning("The training's clip skip is %s and the WebUI's is %s, which samples follow too; set Clip skip in its "
                    "settings to %s for pictures as they were learned.", trained, of_webui(), trained)
