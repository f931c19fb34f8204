"""What an optimizer step reports: gradient norm, whether it was applied, whether only the loss scale was too large."""

from typing import NamedTuple

import torch


class Outcome(NamedTuple):
    """Numbers, or tensors of one number on the device where nobody has waited for them.

    finite: whether the gradients were, and so were applied; excused: whether only the loss scale was too large for
    them.
    """

    norm: float | torch.Tensor
    finite: bool | torch.Tensor
    excused: bool | torch.Tensor = False

    @property
    def is_known_to_be_skipped(self) -> bool:
        """Whether nothing was applied, as far as is known without waiting."""
        return not isinstance(self.finite, torch.Tensor) and not self.finite
