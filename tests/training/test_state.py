"""What a state file holds of an optimizer, and how it comes back."""

import json

import torch
from torch import nn

from lib_sdtune.training import state


class Packing(torch.optim.AdamW):
    """Packs tensors of its state into one slot, as bitsandbytes does since 0.49.2; it takes either form back."""

    def state_dict(self):
        packed = super().state_dict()
        packed["state"] = {number: {"step": slots["step"], "__bnb_optimizer_quant_state__": {
            name: tensor for name, tensor in slots.items() if name != "step"}} for number, slots in packed["state"].items()}
        return packed


def test_packed_tensors_of_an_optimizer_are_saved_and_come_back():
    stepped, fresh = (Packing([nn.Parameter(torch.ones(3, 2))]) for _ in range(2))
    stepped.param_groups[0]["params"][0].grad = torch.arange(6.0).view(3, 2)
    stepped.step()
    tensors, plain = state.optimizer_tensors(stepped)
    loaded = {"optimizer": json.loads(json.dumps(plain)),
              "optimizer_tensors": {name.removeprefix("optimizer."): tensor for name, tensor in tensors.items()}}
    state.restore_optimizer(fresh, state.slots(loaded), plain["groups"])
    (before,), (after,) = stepped.state.values(), fresh.state.values()
    assert set(before) == set(after) and all(torch.equal(before[name], after[name]) for name in before)


def test_how_a_device_computes_the_step_is_the_fresh_optimizers_choice():
    """A run that was begun on the CPU of an old torch, or on MPS, goes on with the fused AdamW of a GPU."""
    begun, fresh = (torch.optim.AdamW([nn.Parameter(torch.ones(2))], lr=rate, foreach=foreach)
                    for rate, foreach in ((0.5, False), (0.1, True)))
    _, plain = state.optimizer_tensors(begun)
    state.restore_optimizer(fresh, {}, plain["groups"])
    assert fresh.param_groups[0]["lr"] == 0.5 and fresh.param_groups[0]["foreach"] is True
