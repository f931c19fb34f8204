"""OpenCLIP's text encoder under Hugging Face's names (`CLIPTextModelWithProjection`), and where a checkpoint keeps each
of its tensors: one parameter for queries, keys and values of a layer, and the projection turned round.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$")
OF_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
THIRDS = {"self_attn.q_proj": 0, "self_attn.k_proj": 1, "self_attn.v_proj": 2}
OTHERS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}
COUNTED = "position_ids"  # OpenCLIP counts its places itself


@dataclass(frozen=True)
class OpenCLIPTensor:
    """Where a tensor is in OpenCLIP's encoder. third: which third of the rows of `name` it is, None for all of them.
    transposed: whether rows are columns there.
    """

    name: str
    third: int | None = None
    transposed: bool = False


def openclip_tensor(name: str) -> OpenCLIPTensor:
    """Of a tensor under Hugging Face's name; one that is under OpenCLIP's is where it is."""
    layer = LAYER.match(name)
    if layer is None:
        return OpenCLIPTensor(OTHERS.get(name, name), transposed=name == "text_projection.weight")
    number, path, kind = layer.groups()
    block = f"transformer.resblocks.{number}"
    if path in THIRDS:
        return OpenCLIPTensor(f"{block}.attn.in_proj_{kind}", THIRDS[path])
    return OpenCLIPTensor(f"{block}.{OF_LAYER[path]}.{kind}")


def folded(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An encoder's tensors, under either names, as a checkpoint has them: OpenCLIP's name -> tensor."""
    stored: dict[str, torch.Tensor] = {}
    thirds: dict[str, dict[int, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        where = openclip_tensor(name)
        if where.third is not None:
            stored.setdefault(where.name, tensor)  # keeps the order
            thirds.setdefault(where.name, {})[where.third] = tensor
        elif not name.endswith(COUNTED):
            stored[where.name] = tensor.T.contiguous() if where.transposed else tensor
    return stored | {name: torch.cat([parts[third] for third in sorted(parts)]) for name, parts in thirds.items()}
