"""The best approximation of a matrix of a given rank (Eckart & Young 1936), and which rank keeps how much of it.

The three rules are those of sd-scripts' resize_lora, one more than each needs included.
"""

from collections.abc import Callable

import torch

from lib_sdtune.errors import UserError

MIN_SINGULAR_VALUE = 1e-6  # a first singular value up to this is a matrix of zeros


def decompose(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(U (m, k), S (k,) falling, Vh (k, n)) of a matrix (m, n), k the shorter side."""
    return torch.linalg.svd(matrix, full_matrices=False)


def decompose_product(up: torch.Tensor, down: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`decompose(up @ down)` without ever making the product: only a matrix of the size of its rank is decomposed."""
    left, upper = torch.linalg.qr(up)
    right, lower = torch.linalg.qr(down.T)
    inner, values, outer = decompose(upper @ lower.T)
    return left @ inner, values, outer @ right.T


def sv_ratio(values: torch.Tensor, share: float, sides: int) -> int:
    """Rank of the values that are greater than the first divided by `share`."""
    return 1 + limited(int((values > values[0] / share).sum()), sides)


def sv_cumulative(values: torch.Tensor, share: float, sides: int) -> int:
    """Rank at which the values add up to that share of their sum."""
    return 1 + limited(reached(values, share), sides)


def sv_fro(values: torch.Tensor, share: float, sides: int) -> int:
    """Rank at which the Frobenius norm is that share of the whole."""
    return 1 + limited(reached(values**2, share**2), sides)


RULES: dict[str, Callable[[torch.Tensor, float, int], int]] = {
    "sv_ratio": sv_ratio,
    "sv_cumulative": sv_cumulative,
    "sv_fro": sv_fro,
}


def reached(values: torch.Tensor, share: float) -> int:
    return int(torch.searchsorted(torch.cumsum(values, dim=0) / float(values.sum()), share)) + 1


def limited(index: int, sides: int) -> int:
    return max(1, min(index, sides - 1))


def rank(values: torch.Tensor, most: int, sides: int, rule: str = "", share: float = 0.0) -> int:
    """How many singular values to keep: `most`, or as many as the rule says and at most that.

    sides: the shorter side of the matrix. A matrix of zeros has rank 1.
    """
    if float(values[0]) <= MIN_SINGULAR_VALUE:
        return 1
    chosen = RULES[rule](values, share, sides) if rule else most
    return max(1, min(chosen, most, len(values)))


def check_rule(rule: str, share: float | None) -> None:
    """UserError for a rule that is not there, and for a share that it cannot take."""
    if rule and rule not in RULES:
        raise UserError(f"dynamic_method is {rule!r}; it can be {', '.join(RULES)}, or empty for a fixed rank.")
    if rule == "sv_ratio" and not (share and share >= 1):
        raise UserError(
            "sv_ratio needs dynamic_param, 1 or more: what the largest singular value is divided by, such as 10."
        )
    if rule in ("sv_fro", "sv_cumulative") and not (share and 0 < share <= 1):
        raise UserError(f"{rule} needs dynamic_param between 0 and 1: the share that is to be kept, such as 0.9.")
    if not rule and share is not None:
        raise UserError("dynamic_param is set and dynamic_method is not; say by which rule, such as sv_fro.")


def clamped(up: torch.Tensor, down: torch.Tensor, quantile: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Both with their values cut at that quantile of all of them, as sd-scripts does against single large ones; 1
    cuts nothing.
    """
    if quantile >= 1:
        return up, down
    bound = quantile_of(torch.cat([up.flatten(), down.flatten()]), quantile)
    return up.clamp(-bound, bound), down.clamp(-bound, bound)


def quantile_of(values: torch.Tensor, quantile: float) -> float:
    """With linear interpolation; unlike `torch.quantile`, of any number of values."""
    place = quantile * (len(values) - 1)
    low = int(place)
    first = float(values.kthvalue(low + 1).values)
    second = float(values.kthvalue(min(low + 2, len(values))).values)
    return first + (second - first) * (place - low)
