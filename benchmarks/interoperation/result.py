"""What a file was found to mean on both sides, and the table of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

COLUMNS = "program", "family", "network", "file", "layers", "keys left over", "layers compared", "largest difference"
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


NAMES_ONLY = "names only"


@dataclass(frozen=True)
class Result:
    """file: whose it is, "ours" or "theirs". left_over: keys that the reader does not know, as far as they are listed.
    difference: the largest of any compared change of a weight, as a share of the change's largest number, both reckoned
    in float64 from the float32 numbers of the file.
    """

    program: str
    family: str
    network: str
    file: str
    layers: int
    left_over: tuple[str, ...] = ()
    compared: int = 0
    difference: float | None = None
    remark: str = ""

    @property
    def agrees(self) -> bool:
        return not self.left_over and self.remark in ("", NAMES_ONLY) and (self.difference or 0.0) <= 1e-5

    def row(self) -> str:
        left_over = f"{len(self.left_over)}, such as {self.left_over[0]}" if self.left_over else "0"
        difference = self.remark or ("" if self.difference is None else f"{self.difference:.1e}")
        cells = (self.program, self.family, self.network, self.file, self.layers, left_over, self.compared, difference)
        return f"| {' | '.join(map(str, cells))} |"


def table(results: Iterable[Result]) -> str:
    """All results in Markdown."""
    return "\n".join([HEAD, *(result.row() for result in results)])


def difference(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> float:
    """The largest difference of two changes of the same layer, as a share of the layer's largest number; infinite where
    a layer is missing or has another size.
    """
    worst = 0.0
    for key, change in ours.items():
        other = theirs.get(key)
        if other is None or other.numel() != change.numel():
            return float("inf")
        apart = (other.detach().double().reshape(change.shape) - change).abs().max()
        worst = max(worst, float(apart / change.abs().max().clamp(min=1e-12)))
    return worst
