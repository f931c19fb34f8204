"""Prompts of samples, from a file or a text of another program: one a line, in the form of `lib_sdtune.prompt_lines`.

Flags that are not known here, or not within their limits, are taken out and named.
"""

from collections.abc import Iterable
from typing import Any

from lib_sdtune import prompt_lines
from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry

FLAGS = {"negative_prompt": "n", "negative": "n", "width": "w", "height": "h", "seed": "d", "scale": "l", "cfg_scale": "l",
         "sample_steps": "s", "steps": "s", "diffusion_steps": "s"}


def set_prompts(draft: Draft, prompts: Iterable[str], entry: Entry | None) -> None:
    """Set sample.prompts to those lines that ask for a picture."""
    lines = [line for line in (readable(line, draft) for line in prompts) if line]
    draft.assign("sample.prompts", lines)
    if lines and entry:
        draft.origins["sample.prompts"] = entry
        draft.notes.take(entry, "sample.prompts", f"{len(lines)} prompt{'s' if len(lines) > 1 else ''}")


def readable(line: str, draft: Draft) -> str:
    """The line without what a sample here could not do; "" for a line that asks for nothing."""
    line = " ".join(str(line).split())
    if not prompt_lines.spoken([line]):
        return ""
    prompt, *flags = prompt_lines.FLAG.split(line)
    result = prompt.strip()
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        longer = f"{result} --{flag} {value.strip()}".strip()
        try:
            prompt_lines.parse(longer)
        except UserError:
            rounded = multiple_of_8(value) if flag in ("w", "h") else ""
            if not rounded:
                draft.notes.refuse(Entry(f"--{flag}", value.strip()), "a sample here has no such setting, or not of "
                                                                      "that value")
                continue
            longer = f"{result} --{flag} {rounded}"
        result = longer
    return result


def multiple_of_8(value: str) -> str:
    """A side that is none, as the multiple of 8 below it; "" where that is no size."""
    try:
        side = int(float(value)) // 8 * 8
    except (ValueError, OverflowError):
        return ""
    return str(side) if 8 <= side <= 4096 else ""


def from_table(data: Any) -> list[str]:
    """Lines from sd-scripts' TOML ([prompt] with [[prompt.subset]]) or JSON (a list of prompts), or OneTrainer's."""
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict):
        shared = {key: value for key, value in data["prompt"].items() if key != "subset"}
        subsets = data["prompt"].get("subset") or [{}]
        return [line_of({**shared, **subset}) for subset in subsets if isinstance(subset, dict)]
    if isinstance(data, list):
        return [line_of(each) if isinstance(each, dict) else str(each) for each in data]
    return []


def line_of(table: dict[str, Any]) -> str:
    """One prompt with its settings as flags."""
    prompt = str(table.get("prompt") or "").strip()
    if not prompt or table.get("enabled") is False:
        return ""
    flags = [f"--{FLAGS[key]} {value}" for key, value in table.items()
             if key in FLAGS and value not in ("", None) and not (FLAGS[key] == "d" and str(value) == "-1")]
    return " ".join([prompt, *flags])
