"""The layers of a latent diffusion model by name, for whatever trains them.

The walk needs only the checkpoint's attribute names, so it runs our modules and the public ones in the WebUI alike.
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Layer:
    """`path` is the checkpoint's name (input_blocks.1.1.proj_in); `diffusers` the other one
    (down_blocks_0_attentions_0_proj_in).
    """

    path: str
    diffusers: str
    module: nn.Module
    kind: str  # "attention" | "convolution", as in families.base.Target
    block: str  # "IN00" ... "MID" ... "OUT11"


RESNET = {"in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.3": "conv2",
          "skip_connection": "conv_shortcut"}


def unet_layers(unet):
    """Every `Layer` of the transformers, residual blocks and samplers, from the input to the output."""
    for i, block in enumerate(unet.input_blocks):
        if i:  # the first is the convolution that everything starts with
            level, j = divmod(i - 1, 3)
            yield from block_layers(block, f"input_blocks.{i}", f"IN{i:02}", f"down_blocks_{level}", j)
    yield from block_layers(unet.middle_block, "middle_block", "MID", "mid_block", 0)
    for i, block in enumerate(unet.output_blocks):
        level, j = divmod(i, 3)
        yield from block_layers(block, f"output_blocks.{i}", f"OUT{i:02}", f"up_blocks_{level}", j)


def block_layers(block, path, name, diffusers, index):
    resnet = index
    for i, module in enumerate(block):
        here = f"{path}.{i}"
        if hasattr(module, "transformer_blocks"):
            for tail, layer in module.named_modules():
                if weighted(layer):
                    yield Layer(f"{here}.{tail}", f"{diffusers}_attentions_{index}_{flat(tail)}", layer, "attention",
                                name)
        elif hasattr(module, "in_layers"):
            for tail, other in RESNET.items():
                if weighted(layer := module.get_submodule(tail)):
                    yield Layer(f"{here}.{tail}", f"{diffusers}_resnets_{resnet}_{other}", layer, "convolution", name)
            resnet += 1
        else:
            tail = "op" if hasattr(module, "op") else "conv"
            sampler = "downsamplers" if tail == "op" else "upsamplers"
            yield Layer(f"{here}.{tail}", f"{diffusers}_{sampler}_0_conv", getattr(module, tail), "convolution", name)


def weighted(layer):
    return isinstance(layer, nn.Linear | nn.Conv2d)


def flat(path):
    return path.replace(".", "_")
