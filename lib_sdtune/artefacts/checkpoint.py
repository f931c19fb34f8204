"""Whole checkpoints, written under latent diffusion's own names as the WebUI and everybody else read them.

The VAE and the text encoders are in it: the WebUI fills what is missing with zeros. Nothing that a host has hung on the
modules gets into the file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from lib_sdtune.devices import HALVES
from lib_sdtune.errors import UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.ldm.architecture import Part
from lib_sdtune.ldm.checkpoint import read

RESIDUE = ("hyper_k.", "hyper_v.", "network_")  # the WebUI's hypernetworks and LoRAs on their layers
FIRST = 1000  # numbers that tell most tensors apart
WRAPPER = "wrapped."  # the WebUI's shell around a token table


def plain(name: str) -> str:
    """A tensor's name in the file, for its name in a host's module."""
    return name.replace(WRAPPER, "")


def tensors(parts: Iterable[tuple[Part, str, torch.nn.Module]],
            learned: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """Checkpoint name -> tensor.

    parts: (part of a checkpoint, its name, module); learned: "part.name" -> tensor instead of the module's own.
    """
    tensors_by_name: dict[str, torch.Tensor] = {}
    for part, part_name, module in parts:
        own = {plain(name): tensor for name, tensor in module.state_dict().items()
               if not any(residue in f".{name}" for residue in map(".{}".format, RESIDUE))}
        chosen = {name: (learned or {}).get(f"{part_name}.{name}", tensor) for name, tensor in own.items()}
        tensors_by_name |= {part.prefix + name: tensor for name, tensor in part.stored(chosen).items()}
    return tensors_by_name


def unrounded(tensors: Mapping[str, torch.Tensor], path: Path | None) -> dict[str, torch.Tensor]:
    """Those of a host's tensors that are a checkpoint's in half precision, as its file at `path` has them.

    A host may keep what it has loaded in fewer bits than the file: forks of the WebUI hold a VAE in bfloat16, say.
    """
    try:
        stored = read(path)[0] if path else {}
    except (UserError, OSError):  # the file is gone, and what the host has is all there is
        stored = {}
    return {name: stored[name] for name, tensor in tensors.items()
            if name in stored and rounded(tensor.detach().flatten(), stored[name].flatten())}


def rounded(numbers: torch.Tensor, exact: torch.Tensor) -> bool:
    """Whether numbers (n,) are others (n,) in half precision, and not the very same."""
    if numbers.shape != exact.shape or not exact.is_floating_point():
        return False
    return any(all(torch.equal(numbers[:end].cpu().float(), exact[:end].to(half).float()) for end in (FIRST, None))
               for half in HALVES if half != exact.dtype)


def write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str], precision: torch.dtype) -> None:
    """Write the file in `precision` (a torch dtype; whole numbers stay as they are), tensor by tensor."""
    safetensors.write(path, tensors, metadata, precision=precision)
