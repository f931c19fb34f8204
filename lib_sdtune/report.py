"""What a bug report needs, as text to paste: versions, hardware, settings, the last lines of the log. Paths are shortened."""

import json
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "gradio", "fastapi", "safetensors", "transformers", "Pillow", "lion-pytorch", "bitsandbytes", "prodigyopt")
LINES = 200


def report(folder, status):
    """The report of one `RunFolder`, given its snapshot."""
    facts = {key: status[key] for key in ("id", "method", "state", "step", "total_steps", "message")}
    parts = [("Run", json.dumps(facts, ensure_ascii=False)), ("Machine", machine()), ("Packages", packages()),
             ("Flags", " ".join(sys.argv[1:]) or "none"), ("Settings", json.dumps(folder.settings(), ensure_ascii=False)),
             ("Log", tail(folder.path / "run.log"))]
    return shortened("\n\n".join(f"### {title}\n{text}" for title, text in parts))


def machine():
    import torch

    if not torch.cuda.is_available():
        return f"{platform.platform()}, Python {platform.python_version()}, no CUDA GPU"
    properties = torch.cuda.get_device_properties(0)
    return f"{platform.platform()}, Python {platform.python_version()}, {properties.name}, {properties.total_memory / 2**30:.0f} GB"


def packages():
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} -")
    return ", ".join(found)


def tail(path):
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:])
    except OSError:
        return "none"


def shortened(text):
    """Without the user's folders and passwords."""
    text = re.sub(r"(--(?:api|gradio)-auth[= ])\S+", r"\1***", text)
    return text.replace(str(Path.home()), "~").replace(str(Path.cwd()), ".")
