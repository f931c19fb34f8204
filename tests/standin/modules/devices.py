from contextlib import nullcontext

import torch

device = cpu = torch.device("cpu")
dtype = dtype_unet = dtype_vae = torch.float32
unet_needs_upcast = False


def torch_gc():
    pass


def autocast(disable=False):
    return nullcontext()
