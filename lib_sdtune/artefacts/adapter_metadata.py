"""`lora_adapter_metadata` in the header of a LoRA by diffusers: PEFT's configuration of each part of the model.

There "unet.lora_alpha" is the alpha of the UNet's layers, for which the file has no tensors, and
"unet.alpha_pattern" has those of single layers (diffusers' loaders/lora_base.py; peft's LoraConfig).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib_sdtune.errors import UserError

KEY = "lora_adapter_metadata"
PARTS = ("unet", "text_encoder", "text_encoder_2")
NAME = re.compile(r"\^?(?:[\w-]|\\?\.)+\$?")


@dataclass(frozen=True)
class Adapter:
    """PEFT's configuration of a part. ranks, alphas: of layers whose names end so, a ^ in front for the whole name."""

    rank: int
    alpha: float
    ranks: dict[str, float] = field(default_factory=dict)
    alphas: dict[str, float] = field(default_factory=dict)
    rslora: bool = False
    dora: bool = False

    def alpha_of(self, layer: str, rank: int) -> float:
        """The alpha of a layer by its dotted name, so that alpha / rank is the strength."""
        alpha = next((alpha for name, alpha in self.alphas.items() if matches(name, layer)), self.alpha)
        return alpha * rank**0.5 if self.rslora else alpha


def matches(name: str, layer: str) -> bool:
    plain = name.removeprefix("^").removesuffix("$").replace("\\.", ".")
    return layer == plain or not name.startswith("^") and layer.endswith(f".{plain}")


def read(metadata: Mapping[str, Any], file: str) -> dict[str, Adapter]:
    """Part ("unet", "text_encoder", "text_encoder_2") -> its configuration, of those that are there.

    UserError where it cannot be read, with the name of the file.
    """
    value = metadata.get(KEY)
    if not value:
        return {}
    try:
        facts = json.loads(value) if isinstance(value, str) else value
        parts = [part for part in PARTS if f"{part}.lora_alpha" in facts or f"{part}.r" in facts]
        return {part: adapter(facts, part) for part in parts}
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UserError(f"{file} has a {KEY} in its header that cannot be read ({error}).") from error


def adapter(facts: Mapping[str, Any], part: str) -> Adapter:
    """ValueError or TypeError for numbers that are none."""
    rank = int(facts.get(f"{part}.r") or 8)  # PEFT's own
    alpha = facts.get(f"{part}.lora_alpha")
    ranks, alphas = (pattern(facts.get(f"{part}.{name}_pattern") or {}) for name in ("rank", "alpha"))
    return Adapter(rank, float(rank if alpha is None else alpha), ranks, alphas, bool(facts.get(f"{part}.use_rslora")),
                   bool(facts.get(f"{part}.use_dora")))


def pattern(entries: Mapping[str, Any]) -> dict[str, float]:
    expressions = [name for name in entries if not NAME.fullmatch(name)]
    if expressions:
        raise ValueError(f"{expressions[0]!r} is an expression, and only names of layers are read")
    return {name: float(number) for name, number in entries.items()}
