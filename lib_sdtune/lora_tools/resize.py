"""A LoRA of another rank, as sd-scripts' resize_lora.py: what is lost is the least that can be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lib_sdtune.artefacts import lora
from lib_sdtune.artefacts.lora import LoraFile
from lib_sdtune.errors import UserError
from lib_sdtune.lora_tools import layers, output
from lib_sdtune.lora_tools.singular_values import check_rule, decompose, decompose_product, rank
from lib_sdtune.networks.delta import algorithm, needs_weight, scale
from lib_sdtune.networks.norm import is_norm
from lib_sdtune.progress import Progress

PLAIN = {"lora_down.weight", "lora_up.weight"}


@dataclass
class Resized:
    """dims: rank -> number of layers. norm_kept: the share of the Frobenius norm that is left, of every layer that
    had any.
    """

    path: Path
    dims: Counter = field(default_factory=Counter)
    norm_kept: list[float] = field(default_factory=list)


@torch.no_grad()
def resize(
    source: Path,
    target: Path,
    dim: int,
    conv_dim: int | None = None,
    dynamic_method: str = "",
    dynamic_param: float | None = None,
    save_precision: str = "",
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = lambda done, total, text: None,
) -> Resized:
    """Write the LoRA `source` to `target` with `dim`, and `conv_dim` for convolutions (None: `dim`).

    dynamic_method: "sv_ratio" | "sv_cumulative" | "sv_fro", which chooses the rank of every layer by `dynamic_param`,
    at most `dim`. LoHa and LoKr become a LoRA; a DoRA keeps its lengths. UserError before anything is written.
    """
    check_rule(dynamic_method, dynamic_param)
    if dim < 1 or (conv_dim is not None and conv_dim < 1):
        raise UserError("dim and conv_dim must be 1 or more.")
    output.check_target(target, "lora", [source], overwrite)
    file = lora.read(source)
    layers.check(file)
    refuse_without_rank(file)
    result, tensors, alphas = Resized(target), dict(file.embeddings), []
    for done, key in enumerate(file.layers):
        progress(done, len(file.layers), "resizing")
        if is_norm(file.layers[key]):  # it has no rank
            tensors |= {f"{key}.{tail}": tensor for tail, tensor in file.layers[key].items()}
            continue
        (u, values, vh), shape, strength = decomposed(file, key, device)
        most = dim if len(shape) == 2 or conv_dim is None else conv_dim
        r = rank(values, most, min(shape[0], vh.shape[1]), dynamic_method, dynamic_param or 0.0)
        halves = layers.halves(u[:, :r] * values[:r], vh[:r], shape)
        alphas.append(strength * r)
        tensors |= {f"{key}.{tail}": tensor for tail, tensor in halves.items()}
        tensors[f"{key}.alpha"] = torch.tensor(alphas[-1])
        if "dora_scale" in file.layers[key]:
            tensors[f"{key}.dora_scale"] = file.layers[key]["dora_scale"]
        result.dims[r] += 1
        if norm := float(torch.linalg.vector_norm(values)):
            result.norm_kept.append(float(torch.linalg.vector_norm(values[:r])) / norm)
    progress(len(file.layers), len(file.layers), "writing")
    facts = metadata(file, target, dim, conv_dim, dynamic_method, dynamic_param, alphas, result.dims)
    output.write_lora(target, tensors, facts, output.precision_of(save_precision, file.dtype))
    return result


def refuse_without_rank(file: LoraFile) -> None:
    """UserError for layers that multiply the checkpoint's weight: what they add is of full rank."""
    for tensors in file.layers.values():
        if needs_weight(tensors) and "dora_scale" not in tensors:
            raise UserError(f"{file.path.name} is of the kind {algorithm(tensors)}, which has no rank to change.")


def decomposed(file: LoraFile, key: str, device: str
              ) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Size, float]:
    """((U, S, Vh), the layer's shape, what the product is multiplied by). A LoRA's own alpha stays outside, as
    sd-scripts keeps it.
    """
    tensors = {tail: tensor for tail, tensor in file.layers[key].items() if tail != "dora_scale"}
    if set(tensors) - {"alpha"} == PLAIN:
        up, down = (tensors[tail].to(device, torch.float32) for tail in ("lora_up.weight", "lora_down.weight"))
        shape = torch.Size((len(up), *down.shape[1:]))
        return decompose_product(up.flatten(1), down.flatten(1)), shape, scale(tensors)
    change = layers.change_of(LoraFile(file.path, {key: tensors}, family=file.family), key, device=device)
    return decompose(change.flatten(1)), change.shape, 1.0


def old_dim(file: LoraFile) -> int:
    """The largest rank in the file, 0 for kinds that have none."""
    ranks = [len(tensors["lora_down.weight"]) for tensors in file.layers.values() if algorithm(tensors) == "lora"]
    return max(ranks, default=0)


def metadata(file: LoraFile, target: Path, dim: int, conv_dim: int | None, dynamic_method: str | None,
             dynamic_param: float | None, alphas: Sequence[float], ranks: Sequence[int]) -> dict[str, str]:
    """The file's own, with what resizing changes; the comment says what was done, in the words of sd-scripts' tool."""
    comment, before = (
        file.metadata.get("ss_training_comment", ""),
        old_dim(file) or file.metadata.get("ss_network_dim", "?"),
    )
    if dynamic_method:
        action = f"Dynamic resize with {dynamic_method}: {dynamic_param} from {before}"
        network = output.network_facts(["Dynamic"], ["Dynamic"])
    else:
        convolutions = f" (conv: {conv_dim})" if conv_dim not in (None, dim) else ""
        action = f"dimension is resized from {before} to {dim}{convolutions}"
        arguments = {"conv_dim": str(conv_dim), "conv_alpha": str(float(conv_dim))} if convolutions else None
        written = min(dim, max(ranks, default=dim))  # no layer of a smaller file gets more
        network = output.network_facts([written], [Counter(alphas).most_common(1)[0][0]], arguments)
    inherited = {key: value for key, value in file.metadata.items() if key != "ss_network_args"}
    return (
        inherited
        | output.base_of_files([file])
        | network
        | output.named(target)
        | {"ss_training_comment": "; ".join(filter(None, (action, comment)))}
    )
