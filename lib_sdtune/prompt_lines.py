"""A sample prompt with its settings behind it, as in sd-scripts' prompt files: `a cat --n blurry --w 512 --h 768 --d 7
--l 5 --s 28`.

--n negative prompt, --w width, --h height, --d seed, --l guidance (CFG) scale, --s steps, --ss sampler. Lines that are
empty or begin with # say nothing. --w=512 and a single long dash, which editors make of two, are understood too.
Source: sd-scripts' train_util.py, line_to_prompt_dict.
"""

import re
from collections.abc import Iterable
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.sentences import phrase

PLACEHOLDERS = ("[filewords]", "[name]")  # of prompt templates
WHOLE, FRACTION, TEXT = phrase("a whole number"), phrase("a number"), "text"
FLAGS = {"n": ("negative_prompt", TEXT, None, None), "w": ("width", WHOLE, 8, 4096), "h": ("height", WHOLE, 8, 4096),
         "d": ("seed", WHOLE, 0, 2**32 - 1), "l": ("cfg_scale", FRACTION, 1, 30), "s": ("steps", WHOLE, 1, 150),
         "ss": ("sampler", TEXT, None, None)}
DASHES = "\u2013\u2014\u2015\u2212"  # what editors make of two
FLAG = re.compile(rf"(?:^|\s)(?:--(\w+)|[{DASHES}]{{1,2}}({'|'.join(FLAGS)}))(?:\s*=\s*|\s+|$)")


def parse(line: str) -> dict[str, Any]:
    """{"prompt": ..., "seed": ...}: the prompt and what the line sets besides. UserError naming what cannot be read."""
    prompt, *flags = FLAG.split(line.strip())
    settings: dict[str, Any] = {"prompt": prompt.strip()}
    for placeholder in PLACEHOLDERS:
        if placeholder in prompt:
            raise UserError(f'"sample.prompts": {placeholder} in {shortened(line)} would be drawn as letters, because '
                            "only captions are filled from templates; write the words that you want to see.")
    for dashed, mended, text in zip(flags[::3], flags[1::3], flags[2::3], strict=True):
        flag = dashed or mended
        if flag not in FLAGS:
            names = ", ".join("--" + name for name in FLAGS)
            raise UserError(f'"sample.prompts": --{flag} is not known in {shortened(line)}; there are {names}.')
        name, kind, low, high = FLAGS[flag]
        settings[name] = value(flag, text.strip(), kind, low, high, line)
    return settings


def value(flag: str, text: str, kind: str, low: float | None, high: float | None, line: str) -> str | float:
    """What stands behind a flag. UserError where it is not of its kind, or out of bounds."""
    if kind is TEXT:
        return text
    try:
        number = int(text) if kind is WHOLE else float(text)
    except ValueError:
        raise UserError(f'"sample.prompts": --{flag} wants {kind} in {shortened(line)}, not {text!r}.') from None
    assert low is not None and high is not None  # as of every number
    if not low <= number <= high:  # not-a-number fails this too
        raise UserError(f'"sample.prompts": --{flag} is {text} in {shortened(line)}; it can be {low} to {high}.')
    if flag in "wh" and number % 8:
        raise UserError(f'"sample.prompts": --{flag} is {text} in {shortened(line)}; it must be a multiple of 8.')
    return number


def spoken(lines: Iterable[str]) -> list[str]:
    """The lines that ask for a picture."""
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def shortened(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")
