"""What a whole model learned, written once more as a LoRA."""

import logging
from collections.abc import Iterable
from pathlib import Path

import torch

from lib_sdtune.artefacts.lora import rounded
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.lora_tools.low_rank import extract
from lib_sdtune.methods.base import Artefact

log = logging.getLogger("sdtune")


def write(path: Path, differences: Iterable[tuple[str, torch.Tensor, torch.Tensor]], dim: int, precision: str,
          checkpoint: Artefact) -> Artefact | None:
    """A LoRA of rank `dim` of (kohya's key, trained weight, original weight); None where it would hold nothing.

    precision: "fp16", "bf16" or "float". checkpoint: whose metadata it takes over.
    """
    facts = checkpoint.metadata | {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(dim),
        "ss_network_alpha": str(dim),
        "modelspec.architecture": checkpoint.metadata["modelspec.architecture"] + "/lora",
    }
    dtype = safetensors.PRECISIONS[precision]
    tensors = {name: rounded(name, tensor, dtype) for name, tensor in extract(differences, dim).items()}
    if not any(torch.count_nonzero(tensor) for name, tensor in tensors.items() if name.endswith(".lora_up.weight")):
        log.warning('The extra LoRA was not written: all of it would be 0 in %s; set "save.precision" to "float".',
                    precision)
        return None
    safetensors.write(path, tensors, facts | safetensors.hashes(tensors, facts))
    return Artefact(path, "lora", KINDS["lora"].prompt_tag(path.stem), checkpoint.activation_text, facts)
