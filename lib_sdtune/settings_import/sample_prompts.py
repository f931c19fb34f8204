"""Prompts of samples, from a file or a text of another program: one a line, in the form of `lib_sdtune.prompt_lines`.

Flags that are not known here, or not within their limits, are taken out and named.
"""

from collections.abc import Iterable
from typing import Any

from lib_sdtune import prompt_lines
from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry

FLAGS = {
    "negative_prompt": "n",
    "negative": "n",
    "width": "w",
    "height": "h",
    "seed": "d",
    "scale": "l",
    "cfg_scale": "l",
    "sample_steps": "s",
    "steps": "s",
    "diffusion_steps": "s",
}


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
    matches = list(prompt_lines.FLAG.finditer(line))
    result = line[:matches[0].start()].strip() if matches else line
    if not can_be_sampled(result):
        draft.notes.refuse(
            Entry("sample prompt", line), "cannot be drawn here as it is; write the words that you want to see"
        )
        return ""
    ends = [*(match.start() for match in matches), len(line)][1:]
    for match, end in zip(matches, ends, strict=True):
        flag = next(filter(None, match.groups()), "")
        value = line[match.end():end].strip()
        rounded = multiple_of_8(value) if flag in ("w", "h") else ""
        candidates = [f"{result} --{flag} {text}".strip() for text in (value, rounded) if text]
        longer = next((candidate for candidate in candidates if can_be_sampled(candidate)), "")
        if not longer:
            draft.notes.refuse(Entry(f"--{flag}", value), "a sample here has no such setting, or not of that value")
        result = longer or result
    return result


def can_be_sampled(line: str) -> bool:
    try:
        prompt_lines.parse(line)
    except UserError:
        return False
    return True


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
        return [line_of(prompt) if isinstance(prompt, dict) else str(prompt) for prompt in data]
    return []


def line_of(table: dict[str, Any]) -> str:
    """One prompt with its settings as flags."""
    prompt = str(table.get("prompt") or "").strip()
    if not prompt or table.get("enabled") is False:
        return ""
    flags = [f"--{FLAGS[key]} {value}" for key, value in table.items()
             if key in FLAGS and value not in ("", None) and not (FLAGS[key] == "d" and str(value) == "-1")]
    return " ".join([prompt, *flags])
