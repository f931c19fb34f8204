"""Which layers get an adapter, under the names of LyCORIS' presets (lycoris/config.py at f49d30d)."""

import re
from typing import Any

from lib_sdtune.families.base import Target
from lib_sdtune.networks.base import Adapter

ATTENTION = re.compile(r"_(attn1|attn2|self_attn)_")
OF_IA3 = re.compile(r"_(to_k|to_v|ff_net_2|k_proj|v_proj|mlp_fc2)$")
OF_FULL = re.compile(r"_(conv_in|conv_out|time_embedding_linear_[12])$")  # by these names SDXL has none
FEED_FORWARD = re.compile(r"_(ff_net_2|mlp_fc2)$")

PRESETS = {  # name -> whether a layer is in it
    "attn-mlp": lambda target: True,  # and, with a conv_dim, the convolutions
    "full": lambda target: bool(target.block or OF_FULL.search(target.key)),  # and layers outside of the UNet's blocks
    "attn-only": lambda target: bool(ATTENTION.search(target.key)),
    "ia3": lambda target: bool(OF_IA3.search(target.key)),
    "unet-convblock-only": lambda target: target.kind == "convolution",
}


def options_of(preset: str, target: Target, network: type[Adapter]) -> dict[str, Any]:
    """What a preset says of a layer's network: (IA)³ scales the inputs of a feed-forward's second layer, as its paper
    does.
    """
    paper = preset == "ia3" and "train_on_input" in network.options and FEED_FORWARD.search(target.key)
    return {"train_on_input": True} if paper else {}
