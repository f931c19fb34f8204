"""What a bug report needs, as text to paste: versions, hardware, settings, the end of the log; no paths of the user."""

import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from lib_sdtune import __version__
from lib_sdtune.training.runs import RunFolder

PACKAGES = ("torch", "gradio", "fastapi", "safetensors", "transformers", "Pillow", "lion-pytorch", "bitsandbytes",
            "prodigyopt")
LINES = 200  # of the log
SECRET = {"--api-auth", "--gradio-auth", "--ngrok", "--ngrok-options"}  # flags of the WebUI whose values are passwords


def report(folder: RunFolder, status: dict) -> str:
    """The report of a run, given its snapshot."""
    facts = {key: status[key] for key in ("id", "method", "state", "step", "total_steps", "message")}
    settings = folder.problem() or json.dumps(folder.settings(), ensure_ascii=False)
    parts = [("Run", json.dumps(facts, ensure_ascii=False)), ("SD Tune", __version__), ("Machine", machine()),
             ("Packages", packages()), ("Flags", " ".join(shown_flags(sys.argv[1:])) or "none"), ("Settings", settings),
             ("Log", last_lines(folder.path / "run.log"))]
    return anonymous("\n\n".join(f"### {title}\n{text}" for title, text in parts))


def machine() -> str:
    """Operating system, Python and GPU."""
    import torch

    system = f"{platform.platform()}, Python {platform.python_version()}"
    if not torch.cuda.is_available():
        return f"{system}, no CUDA GPU"
    cards = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return ", ".join([system, *(f"{card.name} with {card.total_memory / 2**30:.0f} GB" for card in cards)])


def packages() -> str:
    """The versions of `PACKAGES`; "-" for those that are not installed."""
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "-"


def last_lines(path: Path) -> str:
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:])
    except OSError:
        return "none"


def shown_flags(arguments: Sequence[str]) -> Iterator[str]:
    """The command line without passwords."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        flag, equals, _ = argument.partition("=")
        if before in SECRET:
            yield "***"
        else:
            yield f"{flag}=***" if equals and flag in SECRET else argument


def anonymous(text: str) -> str:
    """Without the user's folders."""
    return hidden(hidden(text, os.path.expanduser("~"), "~"), os.getcwd(), ".")


def hidden(text: str, folder: str, sign: str) -> str:
    """`sign` for a folder, however the text separates its parts: JSON has Windows' backslashes doubled. Not for the
    root, the home of containers, which every path begins with.
    """
    parts = list(map(re.escape, re.split(r"[\\/]+", folder.rstrip("\\/"))))
    if len(parts) < 2:
        return text
    pattern = r"(?<![\w.~-])" + r"[\\/]+".join(parts) + r"(?!\w)"
    return re.sub(pattern, sign, text, flags=re.IGNORECASE if os.name == "nt" else 0)
