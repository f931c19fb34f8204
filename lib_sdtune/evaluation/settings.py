"""What a grid is asked for; the same words in JSON, on the command line and in the tab."""

from dataclasses import dataclass, replace

from lib_sdtune import prompt_lines
from lib_sdtune.declaration import build, option
from lib_sdtune.errors import UserError
from lib_sdtune.host.base import SampleRequest

PLACES = ("", " on a beach", " at night", ", close-up")


@dataclass
class EvaluationSettings:
    """A grid: files x weights x prompts x seeds."""

    files: list[str] = option([], "Empty takes every saved file of the run; otherwise file names without ending.")
    prompts: list[str] = option([], "Empty takes the run's sample prompts, or makes some of its trigger words; --n --w --h --l --s work.")
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


def read(data):
    """Checked `EvaluationSettings` from a plain dict. UserError names the key."""
    wishes = build(EvaluationSettings, data)
    for name in ("weights", "seeds"):
        if not getattr(wishes, name):
            raise UserError(f'"{name}" is empty, so there would be nothing to draw.')
        setattr(wishes, name, list(dict.fromkeys(getattr(wishes, name))))
    for name in ("width", "height"):
        if getattr(wishes, name) % 8:
            raise UserError(f'"{name}" is {getattr(wishes, name)}; it must be a multiple of 8, or 0.')
    for line in prompt_lines.spoken(wishes.prompts):
        prompt_lines.parse(line)
    return wishes


def lines(wishes, config):
    """The prompt lines of the grid."""
    given = prompt_lines.spoken(wishes.prompts) or prompt_lines.spoken(config.sample.prompts if config else [])
    if given or not config:
        return given or ["a photo"]
    first = config.concepts[0].prompt or config.name
    return [first + place for place in PLACES]


def requests(wishes, config, side=512):
    """One `SampleRequest` a prompt line, without its tag; the seed is the grid's. side: pixels, where no config tells."""
    side = config.dataset.resolution if config else side
    own = config.sample if config else None
    general = SampleRequest("", wishes.negative_prompt, wishes.steps or (own.steps if own else 20),
                            wishes.cfg_scale or (own.cfg_scale if own else 7.0), 0,
                            wishes.width or (own.width if own else 0) or side, wishes.height or (own.height if own else 0) or side,
                            wishes.sampler)
    return [replace(general, **prompt_lines.parse(line)) for line in lines(wishes, config)]
