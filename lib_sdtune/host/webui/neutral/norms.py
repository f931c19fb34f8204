"""The UNet's normalisation computes in float32 but leaves its own weights as they are, which the CPU does not take when they are halves."""

from contextlib import ExitStack, contextmanager
from functools import partial

from torch.nn import functional

from lib_sdtune.host.webui.swap import replaced


@contextmanager
def whole(sd_model):
    with ExitStack() as stack:
        for module in sd_model.model.diffusion_model.modules():
            if type(module).__name__ == "GroupNorm32":
                stack.enter_context(replaced(module, "forward", partial(forward, module)))
        yield


def forward(module, x):
    weight, bias = module.weight.float(), module.bias.float()
    return functional.group_norm(x.float(), module.num_groups, weight, bias, module.eps).type(x.dtype)
