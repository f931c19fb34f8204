"""Weights that are stepped together: as many as make a step's launches few, and few enough for their float32 gradients.

A group is neighbours of the model, counted from its end, because that is how a backward pass comes to them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

LARGEST_WEIGHTS = 2  # a group has at most as many values as so many of the largest weight


class WeightGroup(NamedTuple):
    """An optimizer of its own, the numbers of its weights in its order, and that of their parameter group."""

    optimizer: torch.optim.Optimizer
    indices: list[int]
    group_index: int


def capacity(sizes: Sequence[int]) -> int:
    """How many values a group may have."""
    return LARGEST_WEIGHTS * max(sizes, default=0)


def partition(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Numbers of neighbours with at most `most` values together, from the last group to the first."""
    groups: list[list[int]] = []
    filled = most
    for index in reversed(range(len(sizes))):
        if filled + sizes[index] > most:
            groups.append([])
            filled = 0
        groups[-1].append(index)
        filled += sizes[index]
    return groups


def largest_group(sizes: Sequence[int]) -> int:
    """The values of the largest group."""
    return max((sum(sizes[index] for index in group) for group in partition(sizes, capacity(sizes))), default=0)
