"""Hypernetworks as the WebUI hangs them on attention layers: `layer.hyper_k`, `layer.hyper_v`, and never taken off again."""

import torch
from torch import nn

from modules import shared


class HypernetworkModule(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.linear, self.multiplier = nn.Sequential(nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)), 1.0

    def forward(self, x):
        return x + self.linear(x) * self.multiplier


class Hypernetwork:
    def __init__(self, name=None, enable_sizes=None, layer_structure=None, activation_func=None, weight_init=None, **kwargs):
        self.name = name
        self.layers = {size: (HypernetworkModule(size), HypernetworkModule(size)) for size in enable_sizes or []}

    def weights(self):
        return [weight for pair in self.layers.values() for module in pair for weight in module.parameters()]

    def save(self, filename):
        states = {size: tuple(module.state_dict() for module in pair) for size, pair in self.layers.items()}
        torch.save({"name": self.name, **states}, filename)

    def load(self, filename):
        held = torch.load(filename)
        self.name = held.pop("name")
        self.layers = {size: tuple(HypernetworkModule(size) for _ in states) for size, states in held.items() if isinstance(size, int)}
        for size, pair in self.layers.items():
            for module, state in zip(pair, held[size], strict=True):
                module.load_state_dict(state)


def load_hypernetworks(names, multipliers=None):
    known = {loaded.name: loaded for loaded in shared.loaded_hypernetworks if loaded.name in names}
    shared.loaded_hypernetworks.clear()
    for name in names:
        if name not in known and name in shared.hypernetworks:
            known[name] = Hypernetwork()
            known[name].load(shared.hypernetworks[name])
        if name in known:
            shared.loaded_hypernetworks.append(known[name])


def attention_CrossAttention_forward(self, x, context=None, mask=None, **kwargs):
    context = x if context is None else context
    k = v = context
    for hypernetwork in shared.loaded_hypernetworks:
        pair = hypernetwork.layers.get(context.shape[2])
        if pair:
            self.hyper_k, self.hyper_v = pair
            k, v = pair[0](k), pair[1](v)
    q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (self.to_q(x), self.to_k(k), self.to_v(v)))
    weights = (q @ k.transpose(-1, -2) * self.scale).softmax(-1)
    return self.to_out((weights @ v).transpose(1, 2).flatten(2))
