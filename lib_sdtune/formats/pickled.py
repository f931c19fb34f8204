"""`.pt` files: written so that the WebUI's checker takes them from every torch, read so that no code in them ever runs.

The WebUI refuses zip members that it does not know (`modules/safe.py`), and torch has written such members since 2.6.
They are hints for the reader and can go.
"""

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats.bounds import refuse_oversized_tensors, refuse_zip_bomb
from lib_sdtune.formats.files import atomic

KNOWN = re.compile(r"[^/]+/(data/\d+|data\.pkl|version|byteorder)")
BIRTHDAY = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes


def write(path: Path, data: object) -> None:
    """Write nested dicts, lists and tensors atomically, readable by `torch.load(path, weights_only=True)` of torch 1.13
    and later.
    """
    plain = io.BytesIO()
    torch.save(data, plain)
    with atomic(path) as unfinished, zipfile.ZipFile(plain) as written, zipfile.ZipFile(unfinished, "w") as cleaned:
        for name in written.namelist():
            if KNOWN.fullmatch(name):
                cleaned.writestr(zipfile.ZipInfo(name, BIRTHDAY), written.read(name))


def read(path: Path) -> Any:
    """The data of a `.pt` or `.bin`, tensors on the CPU.

    UserError if it is damaged, or holds more than numbers and text.
    """
    if not begins_like_torch(path):
        raise damaged(path)
    refuse_zip_bomb(path)
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path.name} holds something other than numbers and text, perhaps code, so it was not opened; "
                        "get it as .safetensors, or from someone you trust.") from error
    except Exception as error:  # whatever a damaged file makes the reader stumble over
        raise damaged(path) from error
    if data is None:  # the WebUI's own loader reports and gives nothing
        raise UserError(f"{path.name} did not pass the WebUI's safety check, so it was not opened.")
    refuse_oversized_tensors(data, path)
    return data


def begins_like_torch(path: Path) -> bool:
    """Whether this is a zip or a bare pickle; torch up to 2.5 runs code in a third kind, tar, also with `weights_only`
    (CVE-2025-32434).
    """
    with open(path, "rb") as file:
        head = file.read(4)
    return head == b"PK\x03\x04" or head[:1] == b"\x80"


def damaged(path: Path) -> UserError:
    return UserError(f"{path.name} is damaged or of another kind than its ending says; copy or download it again.")
