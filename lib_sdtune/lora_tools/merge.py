"""Several LoRAs as one: their changes, each times its ratio, added up."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from lib_sdtune.artefacts import lora
from lib_sdtune.artefacts.lora import LoraFile
from lib_sdtune.errors import UserError
from lib_sdtune.lora_tools import layers, output
from lib_sdtune.lora_tools.approximation import Approximation, by_layer, named
from lib_sdtune.networks.delta import algorithm, needs_weight, scale
from lib_sdtune.networks.norm import TAILS, is_norm
from lib_sdtune.progress import Progress

PLAIN = {"lora_down.weight", "lora_up.weight", "alpha"}


@torch.no_grad()
def merge(
    sources: Sequence[Path],
    ratios: Sequence[float],
    target: Path,
    dim: int = 0,
    conv_dim: int = 0,
    clamp_quantile: float = 0.99,
    save_precision: str = "",
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = lambda done, total, text: None,
) -> int:
    """Write the sum of the LoRAs to `target`; the number of its layers.

    dim 0 puts them side by side: exact, and as large as all together. Otherwise the sum is brought to that rank
    (`conv_dim` for 3x3 convolutions, 0: `dim`) by its singular values, as sd-scripts' svd_merge_lora.py, single large
    values cut at `clamp_quantile`. UserError before anything is written.
    """
    approximation = Approximation(dim, conv_dim, clamp_quantile)
    approximation.check(least=0)
    check(sources, ratios)
    output.check_target(target, "lora", sources, overwrite)
    files = [lora.read(path) for path in sources]
    for file in files:
        layers.check(file)
        refuse_unmergeable(file, dim)
    output.refuse_other_families(files)
    together = embeddings(files)
    parts_by_key: dict[str, list[tuple[LoraFile, float]]] = {}
    for file, ratio in zip(files, ratios, strict=True):
        for key in file.layers:
            parts_by_key.setdefault(key, []).append((file, ratio))

    def merged(key: str, parts: list[tuple[LoraFile, float]]) -> dict[str, torch.Tensor]:
        if is_norm(parts[0][0].layers[key]):
            return sum_of_norms(parts, key)
        return approximation.of(total(parts, key, device)) if dim else concatenated(parts, key)

    tensors = by_layer(parts_by_key, merged, "merging", progress)
    network = approximation.facts() if dim else output.network_facts(
        [len(layer["lora_down.weight"]) for layer in tensors.values() if not is_norm(layer)],
        [float(layer["alpha"]) for layer in tensors.values() if not is_norm(layer)])
    facts = output.base_of_files(files) | network | output.named(target, sources)
    output.write_lora(target, together | named(tensors), facts, output.precision_of(save_precision, widest(files)))
    return len(tensors)


def check(sources: Sequence[Path], ratios: Sequence[float]) -> None:
    """UserError unless there is a ratio for each of one or more, and each is a number."""
    if not sources:
        raise UserError("There is no LoRA to merge; name one or more.")
    if len(sources) != len(ratios):
        raise UserError(f"LoRAs: {len(sources)}, ratios: {len(ratios)}; give one ratio for each LoRA.")
    for source, ratio in zip(sources, ratios, strict=True):
        if not math.isfinite(ratio):
            raise UserError(f"The weight of {source.name} is {ratio}; give a number, such as 0.8.")


def refuse_unmergeable(file: LoraFile, dim: int) -> None:
    """A DoRA, an (IA)³ or an OFT is no sum: what it changes hangs on the checkpoint's weight. Others than LoRA have no
    ranks to put together.
    """
    for key, tensors in file.layers.items():
        if needs_weight(tensors):
            kind = "a DoRA" if "dora_scale" in tensors else f"of the kind {algorithm(tensors)}"
            raise UserError(
                f"{file.path.name} is {kind}, whose change depends on the checkpoint, so it does not add up with "
                "others; merge it into a checkpoint."
            )
        if not dim and not set(tensors) <= PLAIN and not is_norm(tensors):
            raise UserError(
                f"{file.path.name} is no plain LoRA at {key}, so it cannot be put beside others as it is; give a "
                "dim to which the sum is brought."
            )


def widest(files: Sequence[LoraFile]) -> torch.dtype:
    """float32 where the files differ, so that nothing is lost."""
    different = {file.dtype for file in files}
    return different.pop() if len(different) == 1 else torch.float32


def embeddings(files: Sequence[LoraFile]) -> dict[str, torch.Tensor]:
    """Those that lie in the files. UserError where two have one name."""
    together: dict[str, torch.Tensor] = {}
    for file in files:
        duplicate = next((name for name in file.embeddings if name in together), None)
        if duplicate:
            raise UserError(f"{file.path.name} and another file both hold an embedding called {duplicate}.")
        together |= file.embeddings
    return together


def concatenated(parts: Sequence[tuple[LoraFile, float]], key: str) -> dict[str, torch.Tensor]:
    """The layer's halves side by side. What each is multiplied by goes into its up part, the largest of them into
    alpha.
    """
    downs, ups, strengths = [], [], []
    for file, ratio in parts:
        tensors = file.layers[key]
        downs.append(tensors["lora_down.weight"].float())
        ups.append(tensors["lora_up.weight"].float())
        strengths.append(ratio * scale(tensors))
    most = max(strengths, key=abs) or 1.0
    refuse_other_shapes(parts, key, [(len(up), *down.shape[1:]) for up, down in zip(ups, downs, strict=True)])
    # some programs keep 1x1 convolutions as matrices
    wide = max(down.ndim for down in downs)
    downs = [down.reshape(*down.shape, *[1] * (wide - down.ndim)) for down in downs]
    ups = [
        up.reshape(*up.shape[:2], *[1] * (wide - 2)) * (strength / most)
        for up, strength in zip(ups, strengths, strict=True)
    ]
    down = torch.cat(downs)
    return {
        "lora_down.weight": down,
        "lora_up.weight": torch.cat(ups, dim=1),
        "alpha": torch.tensor(most * len(down)),
    }


def sum_of_norms(parts: Sequence[tuple[LoraFile, float]], key: str) -> dict[str, torch.Tensor]:
    """A norm layer's changes added up, which have no rank."""
    tensors = [file.layers[key] for file, _ in parts]
    refuse_other_shapes(parts, key, [tuple(layer_tensors["w_norm"].shape) for layer_tensors in tensors])
    return {tail: torch.stack([layer_tensors[tail].float() * ratio
                               for layer_tensors, (_, ratio) in zip(tensors, parts, strict=True)]).sum(0)
            for tail in TAILS}


def total(parts: Sequence[tuple[LoraFile, float]], key: str, device: str) -> torch.Tensor:
    """The sum of the layer's changes, float32, in the shape of a convolution where one of them is."""
    changes = [layers.change_of(file, key, device=device) for file, _ in parts]
    refuse_other_shapes(parts, key, [tuple(change.shape) for change in changes])
    shape = max((change.shape for change in changes), key=len)
    added = torch.zeros(shape, device=device)
    for change, (_, ratio) in zip(changes, parts, strict=True):
        added += change.reshape(shape) * ratio
    return added


def refuse_other_shapes(parts: Sequence[tuple[LoraFile, float]], key: str, shapes: Sequence[tuple]) -> None:
    """UserError unless all are of one shape, matrices being 1x1 convolutions too."""
    squared = [shape if len(shape) == 4 else (*shape, 1, 1) for shape in shapes]
    for (file, _), shape in zip(parts, squared, strict=True):
        if shape != squared[0]:
            first = parts[0][0].path.name
            raise UserError(
                f"{first} and {file.path.name} are for models of different sizes: {key} is "
                f"{'x'.join(map(str, shapes[0]))} and {'x'.join(map(str, shape))}."
            )
