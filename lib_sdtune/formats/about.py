"""What a model file is and what it says about itself, told by its content; nothing in it is executed."""

from collections import Counter

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import embedding_picture, kinds
from lib_sdtune.formats.files import read_json

WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}  # of the vectors that the UNet's cross-attention reads


def about(path):
    """A dict for JSON: path, kind, noun, family ("" if unknown), tensors, parameters, dtypes, metadata, and the kind's own facts.

    UserError if the file is missing, damaged, carries code, or is none of the known kinds.
    """
    held, metadata = read(path)
    sort = kinds.content(held)
    if not sort:
        raise UserError(f"{path} is neither a checkpoint nor a LoRA, embedding or hypernetwork; "
                        f"its first entry is {next(iter(held), 'missing')!r}.")
    tensors = dict(flat(held))
    facts = {"path": str(path), "kind": sort, "noun": kinds.noun(sort),
             "family": family(sort, held, tensors, metadata) or by_card(path), "tensors": len(tensors),
             "parameters": sum(tensor.numel() for tensor in tensors.values()),
             "dtypes": dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()))}
    return facts | OWN.get(sort, lambda held, tensors: {})(held, tensors) | {"metadata": metadata or sayings(held)}


def read(path):
    """(name -> value, metadata); pictures may carry an embedding."""
    from lib_sdtune.ldm.checkpoint import read_any

    return (embedding_picture.read(path), {}) if path.suffix.lower() in kinds.KINDS["embeddings"].pictures else read_any(path)


def sayings(held):
    """What a pickled file says of itself beside its tensors, as metadata."""
    return {name: str(value) for name, value in held.items() if isinstance(name, str) and isinstance(value, str | int | float)}


def flat(held, prefix=""):
    """(dotted name, tensor) of every tensor in nested dicts and lists."""
    entries = held.items() if isinstance(held, dict) else enumerate(held)
    for name, value in entries:
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, dict | list | tuple):
            yield from flat(value, f"{prefix}{name}.")


def by_card(path):
    """The family that the WebUI's card beside the file names, or ""."""
    try:
        said = str(read_json(path.with_suffix(".json")).get("sd version", "")).lower()
    except (OSError, ValueError, AttributeError):
        return ""
    return said if said in WIDTHS.values() else ""


def family(sort, held, tensors, metadata):
    """The name of the family by the file's own word, else by its shapes; "" when neither tells."""
    from lib_sdtune.families import registry

    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    said = metadata.get("ss_base_model_version", "")
    for name, cls in registry:
        if (sort == "checkpoint" and cls().recognises(shapes)) or (said and said.startswith(cls.base_model_version)):
            return name
    if sort == "checkpoint":
        return ""
    if any(name.startswith(("lora_te2_", "clip_g")) for name in shapes):
        return "sdxl"
    if sort == "hypernetwork":
        return next((WIDTHS[width] for width in WIDTHS if width in held), "")
    return next((WIDTHS[shape[-1]] for name, shape in shapes.items() if reads_text(sort, name) and shape[-1:] and shape[-1] in WIDTHS), "")


def reads_text(sort, name):
    """Whether a tensor's last side is the width of the text vectors."""
    return sort == "embedding" or (sort == "lora" and "attn2_to_k" in name and ("down" in name or "lora_A" in name))


def lora(held, tensors):
    layers = {name.split(".")[0] for name in tensors}
    dims = Counter(min(tensor.shape[:2]) for name, tensor in tensors.items() if name.endswith(("lora_down.weight", "lora_A.weight")))
    alphas = Counter(float(tensor) for name, tensor in tensors.items() if name.endswith(".alpha") and tensor.numel() == 1)
    return {"layers": len(layers), "dim": dict(dims), "alpha": dict(alphas),
            "parts": dict(Counter("unet" if "unet" in layer else "text_encoder" for layer in layers))}


def embedding(held, tensors):
    tables = [tensor if tensor.ndim > 1 else tensor[None] for tensor in tensors.values()]
    return {"vectors": max((len(table) for table in tables), default=0), "width": [table.shape[-1] for table in tables]}


def hypernetwork(held, tensors):
    known = ("layer_structure", "activation_func", "is_layer_norm", "weight_initialization", "use_dropout", "step", "name")
    return {"widths": sorted(key for key in held if isinstance(key, int)), **{key: held[key] for key in known if key in held}}


OWN = {"lora": lora, "embedding": embedding, "hypernetwork": hypernetwork}
