"""What a grid is asked for; the same words in JSON, on the command line and in the tab."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_sdtune import prompt_lines
from lib_sdtune.data.captions import trigger_words
from lib_sdtune.declaration import build, option
from lib_sdtune.errors import UserError
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.sections.sample import SampleConfig

if TYPE_CHECKING:
    from lib_sdtune.config import Config

PLACES = ("", " on a beach", " at night", ", close-up")


@dataclass
class EvaluationSettings:
    """A grid: files x weights x prompts x seeds."""

    files: list[str] = option([], "Empty takes every saved file of the run; otherwise file names without ending.")
    prompts: list[str] = option([], "Empty takes the run's sample prompts, or makes some of its trigger words; --n --w "
                                "--h --l --s work.")
    weights: list[float] = option([1.0], "1: how strongly each file is used.", above=0, high=4)
    seeds: list[int] = option([1, 2, 3], "1, 2, 3: every prompt is drawn with each.", low=0, high=2**32 - 1)
    strength: bool = option(True, "Then draw the proposed file at several weights and recommend one.")
    steps: int = option(0, "0 takes the run's.", low=0, high=150)
    cfg_scale: float = option(0.0, "0 takes the run's.", low=0, high=30)
    width: int = option(0, "0 takes the training resolution.", low=0, high=4096, unit="px")
    height: int = option(0, "0 takes the training resolution.", low=0, high=4096, unit="px")
    negative_prompt: str = option("", "For every picture.")
    sampler: str = option("", "Empty takes the host's usual one.")
    sure: bool = option(False, "Make the grid even if it is large.")


def read(data: Mapping[str, Any]) -> EvaluationSettings:
    """Checked `EvaluationSettings` from a plain dict. UserError names the key."""
    settings = build(EvaluationSettings, data)
    for name in ("weights", "seeds"):
        if not getattr(settings, name):
            raise UserError(f'"{name}" is empty, so there would be nothing to draw.')
        setattr(settings, name, list(dict.fromkeys(getattr(settings, name))))
    for name in ("width", "height"):
        if getattr(settings, name) % 8:
            raise UserError(f'"{name}" is {getattr(settings, name)}; it must be a multiple of 8, or 0.')
    for line in prompt_lines.spoken(settings.prompts):
        prompt_lines.parse(line)
    return settings


def lines(settings: EvaluationSettings, config: "Config | None", template_folders: Sequence[Path] = ()) -> list[str]:
    """The prompt lines of the grid."""
    prompts = prompt_lines.spoken(settings.prompts) or prompt_lines.spoken(config.sample.prompts if config else [])
    if prompts or not config:
        return prompts or ["a photo"]
    first = trigger_words(config.concepts[0].prompt, config.word, template_folders) or config.name
    return [first + place for place in PLACES]


def sample_requests(settings: EvaluationSettings, config: "Config | None", suited: Mapping[str, Any],
                    template_folders: Sequence[Path] = ()) -> list[SampleRequest]:
    """One `SampleRequest` a prompt line, without its tag; the seed is the grid's.

    suited: what the host recommends for the model, nested, where no config tells.
    """
    recommended = build(SampleConfig, suited.get("sample", {}), "sample")
    side = config.dataset.resolution if config else suited.get("dataset", {}).get("resolution", 512)
    sample = config.sample if config else replace(recommended, width=0, height=0)
    general = SampleRequest("", settings.negative_prompt, settings.steps or sample.steps,
                            settings.cfg_scale or sample.cfg_scale, 0, settings.width or sample.width or side,
                            settings.height or sample.height or side, settings.sampler)
    return [replace(general, **prompt_lines.parse(line)) for line in lines(settings, config, template_folders)]
