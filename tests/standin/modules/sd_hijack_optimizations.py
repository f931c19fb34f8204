"""Ways to compute attention, one of which the settings choose."""

import ldm.modules.attention

from modules.hypernetworks import hypernetwork


def split_attention(self, x, context=None, mask=None, **kwargs):
    """An attention that was chosen for speed: hypernetworks act, but are not hung on the layer."""
    answer = hypernetwork.attention_CrossAttention_forward(self, x, context, mask)
    for name in ("hyper_k", "hyper_v"):
        self._modules.pop(name, None)
    return answer


class SdOptimization:
    def apply(self):
        pass

    def undo(self):
        ldm.modules.attention.CrossAttention.forward = hypernetwork.attention_CrossAttention_forward


class SdOptimizationSplit(SdOptimization):
    name = "split"

    def apply(self):
        ldm.modules.attention.CrossAttention.forward = split_attention
