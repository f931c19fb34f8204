"""Parameters of ours over the memory of the WebUI's own, in their places while a model is lent.

ComfyUI's way of handling a model, which the forks took over, puts new parameters into the modules for each LoRA, and
loads and moves them in torch's inference mode, which leaves tensors that no gradient can go through. Assigning to
`.data` does not always cure those: one that was born so stays so. A tensor set onto the same storage is a normal one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

ParameterSlot = tuple[dict[str, Any], str]
"""A module's table of parameters or buffers, and a name in it."""


def alias(tensor: torch.Tensor) -> torch.Tensor:
    """A normal tensor over the memory of any other: same numbers, shape, strides, device."""
    same = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return same.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())


class LentParameters:
    """The parameters and buffers that a run gets of one model: the same objects at every `lent`, since optimizers hold
    on to them, over the numbers that the WebUI has at that time.
    """

    def __init__(self) -> None:
        self.lent_tensors: dict[tuple[int, str], torch.Tensor] = {}  # by the table's identity and the name in it
        self.tables: dict[int, dict[str, Any]] = {}  # kept, so that no other gets the identity of one that is gone
        self.webui_tensors: list[tuple[ParameterSlot, torch.Tensor]] = []

    @contextmanager
    def lent(self, sd_model: nn.Module) -> Iterator[None]:
        """Inside, ours are in the places of the WebUI's own, which are back afterwards with the numbers of ours."""
        with torch.inference_mode(False):
            self.webui_tensors = [(slot, tensor) for slot in parameter_slots(sd_model)
                                  if (tensor := slot[0][slot[1]]) is not None]
            self.put_in_place()
            try:
                yield
            finally:
                self.give_back()

    def settle(self) -> None:
        """After a picture, which may have moved, cast or exchanged any of them: ours are in their places again, and
        take a gradient.
        """
        with torch.inference_mode(False):
            for (table, name), _ in self.webui_tensors:
                current, ours = table[name], self.lent_tensors[id(table), name]
                if current is not ours or ours.is_inference():
                    ours.data = alias(current)
                table[name] = ours
            self.point_webui_tensors_at_ours()

    def put_in_place(self) -> None:
        by_tensor: dict[int, torch.Tensor] = {}  # one that stands in two places is one of ours, too
        for (table, name), tensor in self.webui_tensors:
            self.tables[id(table)] = table
            key = id(table), name
            ours = by_tensor.get(id(tensor)) if id(tensor) in by_tensor else self.lent_tensors.get(key)
            if ours is None:
                ours = alias(tensor)
                if isinstance(tensor, nn.Parameter):
                    ours = nn.Parameter(ours, requires_grad=tensor.requires_grad and tensor.is_floating_point())
            elif id(tensor) not in by_tensor:
                ours.data = alias(tensor)
            by_tensor[id(tensor)] = table[name] = self.lent_tensors[key] = ours

    def give_back(self) -> None:
        self.point_webui_tensors_at_ours()
        for (table, name), tensor in self.webui_tensors:
            table[name] = tensor
        self.webui_tensors = []

    def point_webui_tensors_at_ours(self) -> None:
        """The WebUI's own have the memory of ours, wherever that has gone since."""
        for (table, name), tensor in self.webui_tensors:
            ours = self.lent_tensors[id(table), name]
            if tensor.data_ptr() != ours.data_ptr() or tensor.device != ours.device or tensor.dtype != ours.dtype:
                with torch.inference_mode(tensor.is_inference()):
                    tensor.data = alias(ours)


def parameter_slots(sd_model: nn.Module) -> list[ParameterSlot]:
    """Of every parameter and buffer, those that stand in several places as often as they do."""
    return [(table, name) for module in sd_model.modules() for table in (module._parameters, module._buffers)
            for name in table]
