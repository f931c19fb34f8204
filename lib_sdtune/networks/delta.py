"""What the tensors of one layer in a LoRA file change in its weight, whichever program made them.

Formulas by the papers and by the readers of such files: LoRA and LoCon (arXiv 2106.09685), LoHa (2108.06098), LoKr
(2309.14859), their Tucker convolutions as LyCORIS has them, and DoRA (2402.09353) on top of any of these.
"""

from collections.abc import Mapping

import torch

from lib_sdtune.errors import UserError

Tensors = Mapping[str, torch.Tensor]
TAILS = {
    "lora": {"lora_down.weight", "lora_up.weight", "lora_mid.weight"},
    "loha": {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"},
    "lokr": {"lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"},
    "full": {"diff"},
}
NEEDED = {
    "lora": ({"lora_down.weight", "lora_up.weight"},),
    "loha": ({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"},),
    "lokr": ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"}),
    "full": ({"diff"},),
}


def algorithm(tensors: Tensors) -> str:
    """ "lora", "loha", "lokr" or "full" for the tensors of a layer; "" for those of none, or with something unknown
    among them.
    """
    tails = set(tensors) - {"alpha", "dora_scale"}
    fits = (
        name
        for name, all_tails in TAILS.items()
        if tails <= all_tails and any(needed <= tails for needed in NEEDED[name])
    )
    return next(fits, "")


def delta(tensors: Tensors, weight: torch.Tensor | None = None) -> torch.Tensor:
    """The change of the weight, float32, in the shape that the tensors tell: (out, in), (out, in, k, k), or (out, in
    k k) of a LoHa, which does not tell the kernel. With `weight` always in its shape.

    weight: the layer's own, which a DoRA needs; on the tensors' device. UserError where that is missing, where shapes
    do not fit, and for an unknown algorithm.
    """
    name = algorithm(tensors)
    if not name:
        raise UserError(f"{', '.join(sorted(tensors))} are of no kind of LoRA that is known here.")
    exact = {tail: tensor.float() for tail, tensor in tensors.items()}
    try:
        change = FORMULAS[name](exact) * scale(exact)
    except RuntimeError as error:
        raise UserError(f"{', '.join(sorted(tensors))} do not fit each other in size.") from error
    if weight is not None:
        if change.numel() != weight.numel() or len(change) != len(weight):
            raise UserError(f"it has {shape_text(change)} and the layer {shape_text(weight)}.")
        change = change.reshape(weight.shape)
    if "dora_scale" not in exact:
        return change
    if weight is None:
        raise UserError("a DoRA changes a weight by its length, so the checkpoint that it was made for is needed.")
    return renormalised(weight.float() + change, exact["dora_scale"]) - weight.float()


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
    tail = next((tail for tail in RANKS if tail in tensors), None)
    return len(tensors[tail]) if tail else None


RANKS = ("lora_down.weight", "hada_w1_b", "lokr_w2_b", "lokr_w1_b")  # their first side is it


def lora(tensors: Tensors) -> torch.Tensor:
    down, up = tensors["lora_down.weight"], tensors["lora_up.weight"]
    if "lora_mid.weight" in tensors:
        return torch.einsum("or,rshw,si->oihw", up.flatten(1), tensors["lora_mid.weight"], down.flatten(1))
    return (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


def loha(tensors: Tensors) -> torch.Tensor:
    return factor(tensors, 1) * factor(tensors, 2)


def factor(tensors: Tensors, number: int) -> torch.Tensor:
    """One of the two matrices that a LoHa multiplies element by element."""
    a, b = tensors[f"hada_w{number}_a"], tensors[f"hada_w{number}_b"]
    core = tensors.get(f"hada_t{number}")
    return a @ b if core is None else torch.einsum("rshw,ro,si->oihw", core, a, b)


def lokr(tensors: Tensors) -> torch.Tensor:
    first = tensors["lokr_w1"] if "lokr_w1" in tensors else tensors["lokr_w1_a"] @ tensors["lokr_w1_b"]
    second = second_factor(tensors)
    change = torch.kron(first, second.flatten(1))
    return change.reshape(len(change), -1, *second.shape[2:])


def second_factor(tensors: Tensors) -> torch.Tensor:
    """The larger of the two matrices that a LoKr multiplies; it has the kernel."""
    if "lokr_w2" in tensors:
        return tensors["lokr_w2"]
    a, b = tensors["lokr_w2_a"], tensors["lokr_w2_b"]
    return torch.einsum("rshw,ro,si->oihw", tensors["lokr_t2"], a, b) if "lokr_t2" in tensors else a @ b


def full(tensors: Tensors) -> torch.Tensor:
    return tensors["diff"]


FORMULAS = {"lora": lora, "loha": loha, "lokr": lokr, "full": full}
