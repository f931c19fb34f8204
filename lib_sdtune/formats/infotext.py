"""The WebUI's infotext: what a picture was made from, as text that its PNG carries under "parameters"."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from PIL import Image

from lib_sdtune.formats.files import atomic

PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def write(prompt: str, negative_prompt: str, parameters: Mapping[str, object]) -> str:
    """Three lines: the prompt, the negative prompt if any, and "Steps: 20, Sampler: Euler a, ..." without the Nones."""
    facts = ", ".join(f"{key}: {quote(value)}" for key, value in parameters.items() if value is not None)
    negative = f"\nNegative prompt: {negative_prompt}" if negative_prompt else ""
    return f"{prompt}{negative}\n{facts}".strip()


def quote(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ",\n:") else text


def unquote(value: str) -> str:
    """A quoted value as the text that it means; as it stands where it means none."""
    with suppress(ValueError):
        return str(json.loads(value)) if value[:1] == '"' else value
    return value


def read(text: str) -> tuple[str, str, dict[str, str]]:
    """(prompt, negative prompt, parameters str -> str) of an infotext."""
    *lines, facts = text.strip().split("\n")
    if len(PARAMETER.findall(facts)) < 3:
        lines, facts = [*lines, facts], ""
    prompt, _, negative = "\n".join(lines).partition("Negative prompt: ")
    parameters = {key: unquote(value) for key, value in PARAMETER.findall(facts)}
    return prompt.strip(), negative.strip(), parameters


def of_picture(path: Path) -> str:
    """The infotext of a picture file; "" where it has none, or cannot be read."""
    with suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
        return str(image.info.get("parameters", "")).strip()
    return ""


def save(image: Image.Image, path: str | Path) -> None:
    """Write a PIL image as PNG with the infotext, if any, of its `.info["parameters"]`."""
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    if image.info.get("parameters"):
        info.add_text("parameters", image.info["parameters"])
    with atomic(path) as unfinished:
        image.save(unfinished, format="PNG", pnginfo=info)
