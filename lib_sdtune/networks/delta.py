"""What the tensors of one layer in a LoRA file change in its weight, whichever program made them.

Each network's file registers its `Formula`: how its tensors are told from others, and what they mean. DoRA (arXiv
2402.09353) goes on top of those that add something to the weight.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.networks import registry

Tensors = Mapping[str, torch.Tensor]
Change = Callable[[Tensors, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Formula:
    """change: (tensors, the layer's weight or None) -> the change of the weight at strength 1, all float32.

    tails: those that a layer's tensors may have; needed: of these groups one must be complete; rank: those whose first
    side is the rank, so that alpha / rank is the strength. of_weight: whether `change` is reckoned from the weight.
    axes: how many axes a tail has, where another kind has the same names.
    """

    change: Change
    tails: frozenset[str]
    needed: tuple[frozenset[str], ...]
    rank: tuple[str, ...] = ()
    of_weight: bool = False
    axes: tuple[str, int] | None = None

    def reads(self, tensors: Tensors) -> bool:
        """Whether the tensors are of this kind."""
        tails = set(tensors) - {"dora_scale"}
        if not tails <= self.tails | {"alpha"} or not any(needed <= tails for needed in self.needed):
            return False
        if self.axes and tensors[self.axes[0]].ndim != self.axes[1]:
            return False
        return not (self.of_weight and "dora_scale" in tensors)


FORMULAS: dict[str, Formula] = {}


def formula(name: str, needed: tuple[set[str], ...], more: set[str] = frozenset(), rank: tuple[str, ...] = (),
            of_weight: bool = False, axes: tuple[str, int] | None = None) -> Callable[[Change], Change]:
    """Decorator: file a function as the formula of the network `name`. more: tails beside the needed ones."""

    def enter(change: Change) -> Change:
        tails: frozenset[str] = frozenset().union(more, *needed)
        FORMULAS[name] = Formula(change, tails, tuple(map(frozenset, needed)), rank, of_weight, axes)
        return change

    return enter


@formula("full", needed=({"diff"},))
def full(tensors: Tensors, weight: torch.Tensor | None = None) -> torch.Tensor:
    """The change itself, as LyCORIS' algo=full writes it."""
    return tensors["diff"]


def formulas() -> dict[str, Formula]:
    """All of them, also those of plug-ins."""
    registry.names()  # imports the files
    return FORMULAS


def algorithm(tensors: Tensors) -> str:
    """The network ("lora", "loha", …, or "full") that the tensors of a layer are of; "" for those of none, or with
    something unknown among them.
    """
    return next((name for name, formula_of_name in formulas().items() if formula_of_name.reads(tensors)), "")


def delta(tensors: Tensors, weight: torch.Tensor | None = None) -> torch.Tensor:
    """The change of the weight, float32, in the shape that the tensors tell: (out, in), (out, in, k, k), or (out, in
    k k) of a LoHa, which does not tell the kernel. With `weight` always in its shape. Of float64 tensors it is float64.

    weight: the layer's own, on the tensors' device; it is needed for a DoRA, and for networks that multiply it.
    UserError where that is missing, where shapes do not fit, and for an unknown algorithm.
    """
    name = algorithm(tensors)
    if not name:
        raise UserError(f"{', '.join(sorted(tensors))} are of no kind of LoRA that is known here.")
    if weight is None and needs_weight(tensors):
        kind = "a DoRA" if "dora_scale" in tensors else f"{name}"
        raise UserError(f"{kind} changes a weight by what it is, so the checkpoint that it was made for is needed.")
    exact = {tail: at_least_float32(tensor) for tail, tensor in tensors.items()}
    original = None if weight is None else at_least_float32(weight)
    try:
        change = FORMULAS[name].change(exact, original) * scale(exact)
    except RuntimeError as error:
        against = f" or the layer, which has {shape_text(weight)}" if weight is not None else ""
        raise UserError(f"{', '.join(sorted(tensors))} do not fit each other{against} in size.") from error
    if original is not None:
        if change.numel() != original.numel() or len(change) != len(original):
            raise UserError(f"it has {shape_text(change)} and the layer {shape_text(original)}.")
        change = change.reshape(original.shape)
    if "dora_scale" in exact:
        change = renormalised(original + change, exact["dora_scale"]) - original
    return change


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """As float32, or float64 where it is that."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def needs_weight(tensors: Tensors) -> bool:
    """Whether what they change depends on the checkpoint, so that it is no sum with others."""
    name = algorithm(tensors)
    return "dora_scale" in tensors or bool(name) and FORMULAS[name].of_weight


def shape_text(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def renormalised(weight: torch.Tensor, dora_scale: torch.Tensor) -> torch.Tensor:
    """The weight with its lengths along the axis that `dora_scale` has: input (1, in, …), or output (out, 1, …) as
    newer LyCORIS files.
    """
    axis = 1 if dora_scale.shape[0] == 1 and dora_scale.ndim > 1 else 0
    norm = torch.linalg.vector_norm(weight, dim=[i for i in range(weight.ndim) if i != axis], keepdim=True)
    return weight * (dora_scale.reshape(norm.shape) / norm)


def scale(tensors: Tensors) -> float:
    """What the product is multiplied by: alpha / rank; 1 without an alpha, and where nothing is of low rank."""
    rank = rank_of(tensors)
    return float(tensors["alpha"]) / rank if rank and "alpha" in tensors else 1.0


def rank_of(tensors: Tensors) -> int | None:
    """The rank (dim) of a layer's tensors; None for whole matrices."""
    tails = (tail for formula_of_name in formulas().values() for tail in formula_of_name.rank)
    tail = next((tail for tail in tails if tail in tensors), None)
    return len(tensors[tail]) if tail else None
