"""Forks keep the VAE in bfloat16 where a GPU has it, and text encoders in float16, which compute in the precision of
their embeddings. What a picture or a prompt is for the UNet is worked out once, and shall not be rounded so.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from lib_sdtune.host.webui.parts import text_towers


@contextmanager
def in_float32(sd_model: nn.Module) -> Iterator[None]:
    modules = [sd_model.first_stage_model, *(tower.text_model.embeddings for tower in text_towers(sd_model))]
    before = [(tensor, tensor.dtype) for module in modules for tensor in module.parameters()
              if tensor.dtype != torch.float32]
    try:
        for tensor, _ in before:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in before:
            tensor.data = tensor.data.to(dtype)
