"""What a model file is and what it says about itself, told by its content; nothing in it is executed."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.artefacts import embedding_picture
from lib_sdtune.errors import UserError
from lib_sdtune.families import registry as families
from lib_sdtune.formats import kinds
from lib_sdtune.formats.files import read_json


def about(path: Path) -> dict[str, Any]:
    """A dict for JSON: path, kind, noun, family ("" if unknown), tensors, parameters, dtypes, metadata, and the kind's
    own facts.

    UserError if the file is missing, damaged, carries code, or is none of the known kinds.
    """
    entries, metadata = read(path)
    if not entries:
        raise UserError(f"{path} is empty: there is no tensor in it; copy or download it again.")
    content = kinds.content(entries)
    if not content:
        raise UserError(f"{path} is neither a checkpoint nor a LoRA, embedding or hypernetwork; "
                        f"its first entry is {next(iter(entries))!r}.")
    tensors = dict(flat(entries))
    if content == "checkpoint":
        facts = {"path": str(path), "kind": content, "noun": kinds.noun(content), **checkpoint(path)}
        return facts | sizes(tensors) | {"metadata": metadata or sayings(entries)}
    facts = {"path": str(path), "kind": content, "noun": kinds.noun(content),
             "family": family(content, entries, tensors, metadata) or by_card(path), **sizes(tensors)}
    return (facts | OWN.get(content, lambda entries, tensors: {})(entries, tensors)
            | {"metadata": metadata or sayings(entries)})


def sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {"tensors": len(tensors), "parameters": sum(tensor.numel() for tensor in tensors.values()),
            "dtypes": dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()))}


def checkpoint(path: Path) -> dict[str, Any]:
    """The family and the variant of a checkpoint, as the hosts tell them; or why it cannot be trained."""
    from lib_sdtune.families.detection import detect
    from lib_sdtune.ldm import header, positions

    try:
        file_header = header.read(path)
        family, variant = detect(file_header)
        damage = " ".join(filter(None, map(positions.damage, file_header.position_ids())))
    except UserError as error:
        return {"family": "", "untrainable": str(error)}
    return {
        "family": family.name,
        "prediction_type": variant.prediction_type,
        "resolution": variant.resolution,
        "zero_terminal_snr": variant.zero_terminal_snr,
        "inpainting": variant.inpainting,
        **({"damage": damage} if damage else {}),
    }


def read(path: Path) -> tuple[dict[Any, Any], dict[str, str]]:
    """(name -> value, metadata); pictures may carry an embedding."""
    from lib_sdtune.ldm.checkpoint import read_any

    return ((embedding_picture.read(path), {})
            if path.suffix.lower() in kinds.KINDS["embeddings"].pictures else read_any(path))


def sayings(entries: Mapping[Any, Any]) -> dict[str, str]:
    """What a pickled file says of itself beside its tensors, as metadata."""
    return {name: str(value) for name, value in entries.items()
            if isinstance(name, str) and isinstance(value, str | int | float)}


def flat(entries: dict[Any, Any] | list[Any] | tuple[Any, ...], prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """(dotted name, tensor) of every tensor in nested dicts and lists."""
    for name, value in entries.items() if isinstance(entries, dict) else enumerate(entries):
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, dict | list | tuple):
            yield from flat(value, f"{prefix}{name}.")


def by_card(path: Path) -> str:
    """The family that the WebUI's card beside the file names, or ""."""
    try:
        family = str(read_json(path.with_suffix(".json")).get("sd version", "")).lower()
    except (OSError, ValueError, AttributeError):
        return ""
    return family if family in families.names() else ""


def family(content: str, entries: Mapping[Any, Any], tensors: Mapping[str, torch.Tensor],
           metadata: Mapping[str, str]) -> str:
    """The name of the family by the file's own word, else by its shapes; "" when neither tells."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    version = metadata.get("ss_base_model_version", "")
    for name, cls in families:
        if version and version.startswith(cls.base_model_version):
            return name
    for name, cls in families:
        second = (*(f"{key}_" for key in cls.text_keys[1:]), *cls.embedding_keys[1:])  # of its second text encoder
        if second and any(tensor.startswith(second) for tensor in shapes):
            return name
    names = {cls.context_width: name for name, cls in families if cls.context_width}
    if content == "hypernetwork":
        return next((names[width] for width in sorted(names) if width in entries), "")
    return next((names[shape[-1]] for name, shape in shapes.items()
                 if reads_text(content, name) and shape[-1:] and shape[-1] in names), "")


def reads_text(content: str, name: str) -> bool:
    """Whether a tensor's last side is the width of the text vectors."""
    return (content == "embedding"
            or (content == "lora" and "attn2_to_k" in name and ("down" in name or "lora_A" in name)))


def lora(entries: Mapping[Any, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    layers = {name.split(".")[0] for name in tensors}
    dims = Counter(min(tensor.shape[:2], default=1)
                   for name, tensor in tensors.items() if name.endswith(("lora_down.weight", "lora_A.weight")))
    alphas = Counter(float(tensor) for name, tensor in tensors.items()
                     if name.endswith(".alpha") and tensor.numel() == 1)
    return {"layers": len(layers), "dim": dict(dims), "alpha": dict(alphas),
            "parts": dict(Counter("unet" if "unet" in layer else "text_encoder" for layer in layers))}


def embedding(entries: Mapping[Any, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    tables = [tensor if tensor.ndim > 1 else tensor[None] for tensor in tensors.values()]
    return {"vectors": max((len(table) for table in tables), default=0), "width": [table.shape[-1] for table in tables]}


def hypernetwork(entries: Mapping[Any, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    keys = ("layer_structure", "activation_func", "is_layer_norm", "weight_initialization", "use_dropout", "step",
            "name")
    return {"widths": sorted(key for key in entries if isinstance(key, int)),
            **{key: entries[key] for key in keys if key in entries}}


OWN = {"lora": lora, "embedding": embedding, "hypernetwork": hypernetwork}
