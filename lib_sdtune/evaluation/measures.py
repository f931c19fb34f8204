"""Numbers about sets of pictures, from their features.

All are compared with the bare model's pictures of the same prompts and seeds.
"""

import math
from collections.abc import Sequence

import torch

COPY = 0.6  # of the usual distance between training pictures: nearer than that to one of them is a copy
KNOWS = 0.6  # how surely the bare model's pictures must tell its prompts apart before straying from them can be told


def direction(bare: torch.Tensor, trained: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(axis, middle) for `subject`: from the bare model's pictures (N, D) to the training pictures (M, D), each feature
    by its spread.
    """
    spread = torch.cat([bare - bare.mean(0), trained - trained.mean(0)]).std(0) + 1e-6
    away = (trained.mean(0) - bare.mean(0)) / spread
    return away / spread / away.square().sum().clamp(min=1e-12), bare.mean(0)


def subject(features: torch.Tensor, axis: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """(N,) how far each picture went from what the bare model draws (0) to what the training pictures show (1)."""
    return (features - middle) @ axis


def recognised(scores: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    """(N,) the share of the other prompts that each picture's own prompt beats: 1 follows its words, 0.5 is chance.

    scores: (N, P), the higher the better a prompt fits; rows: each picture's own prompt.
    """
    own_scores = scores.gather(1, torch.tensor(rows)[:, None])
    beaten = (own_scores > scores).float() + 0.5 * (own_scores == scores).float()
    return (beaten.sum(1) - 0.5) / (scores.shape[1] - 1)


def margins(scores: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    """(N,) how much better each picture's own prompt fits it than the other prompts do on average; 0 is chance."""
    own_scores = scores.gather(1, torch.tensor(rows)[:, None])[:, 0]
    return own_scores - (scores.sum(1) - own_scores) / (scores.shape[1] - 1)


def adherence(margin: float, usual: float) -> float:
    """What is left of the bare model's margin, 0..1 (1: the pictures tell their prompts apart as well as the bare
    model's).
    """
    return min(1.0, max(0.0, margin / usual)) if usual > 0 else 0.0


def variety(latents: torch.Tensor, rows: Sequence[int]) -> float:
    """Mean distance between pictures of one prompt, or nan where each prompt has one."""
    gaps = [float((latents[i] - latents[j]).square().mean().sqrt())
            for i in range(len(rows)) for j in range(i) if rows[i] == rows[j]]
    return sum(gaps) / len(gaps) if gaps else math.nan


def copies(latents: torch.Tensor, trained: torch.Tensor) -> float:
    """The share of pictures that are nearer to a single training picture than those are to each other."""
    gaps = torch.cdist(latents.flatten(1), trained.flatten(1))
    if len(trained) < 2:
        return 0.0
    between = torch.cdist(trained.flatten(1), trained.flatten(1))
    between.fill_diagonal_(math.inf)
    return float((gaps.min(1).values < COPY * between.min(1).values.median()).float().mean())
