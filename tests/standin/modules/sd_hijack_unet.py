"""torch as the UNet sees it: `cat` lets tensors of different sizes meet."""

import torch


class TorchHijackForUnet:
    def __getattr__(self, item):
        return self.cat if item == "cat" else getattr(torch, item)

    def cat(self, tensors, *args, **kwargs):
        a, b = tensors
        if a.shape[-2:] != b.shape[-2:]:
            a = torch.nn.functional.interpolate(a, b.shape[-2:], mode="nearest")
        return torch.cat((a, b), *args, **kwargs)


th = TorchHijackForUnet()
