"""What is put on the layers of a fused attention shows in the WebUI's own pictures, too.

The forward of `nn.MultiheadAttention` calls neither its projections nor `out_proj`, so ours takes its place there. The
LoRAs of a prompt are merged into its weights first, as the WebUI does before its own forward: all at once, `out_proj`
included, which must not be asked for a second time when it is called.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from lib_sdtune.host.webui.parts import text_towers
from lib_sdtune.ldm.fused import adapted as is_adapted
from lib_sdtune.ldm.fused import attend
from lib_sdtune.swap import replaced


@contextmanager
def adapted(sd_model: nn.Module) -> Iterator[None]:
    """Inside, attention layers that a training has put something on answer with it."""
    with ExitStack() as stack:
        for tower in text_towers(sd_model):
            for layer in tower.modules():
                if isinstance(layer, nn.MultiheadAttention) and is_adapted(layer):
                    stack.enter_context(replaced(layer, "forward", forward_of(layer)))
                    stack.enter_context(replaced(layer.out_proj, "network_layer_name", None))
        yield


def forward_of(attention: nn.MultiheadAttention) -> Callable:
    """A forward that takes what OpenCLIP gives it: x (n, B, width) as query, key and value, under a causal mask."""
    def forward(query, key=None, value=None, **kwargs):
        networks = sys.modules.get("networks")
        if hasattr(networks, "network_apply_weights"):
            networks.network_apply_weights(attention)
        x = query if attention.batch_first else query.transpose(0, 1)
        output = attend(attention, x)
        return (output if attention.batch_first else output.transpose(0, 1)), None

    return forward
