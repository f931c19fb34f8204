"""A host whose model is on the pretended card, as small as it can be with every kind of layer."""

import torch

from lib_sdtune.diffusion import alphas_cumprod
from lib_sdtune.families.sd1 import SD1
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL
from lib_sdtune.loaded_model import LoadedModel
from tests.hosts import TinyHost, bits
from tests.models import randomise, tokenizer


def small_sd1(dtype=torch.float32, layout=torch.contiguous_format, width=32):
    """Two levels of a residual block each and a transformer between them, on the card. width: the UNet's channels."""
    unet = randomise(UNetModel(model_channels=width, channel_mult=(1, 1), num_res_blocks=1, attention_levels=(),
                               context_dim=16, num_heads=4))
    vae, words = randomise(AutoencoderKL(32, (1, 1, 1, 1), 1), 1), tokenizer()
    text = randomise(CLIPTextModel(len(words), 16, 2, 4), 2)
    model = LoadedModel(SD1(), unet, vae, [text], words, alphas_cumprod(), "small", "0" * 10)
    for _, module in model.modules():
        module.to("cuda", dtype, memory_format=layout)
    return model


class CardHost(TinyHost):
    """Between two steps a generation borrows the model wherever `yields` says so; samples look at the weights."""

    def __init__(self, data_dir, dtype=torch.float32, layout=torch.contiguous_format, width=32):
        super().__init__(data_dir, lambda: small_sd1(dtype, layout, width))
        self.bare, self.yields, self.while_lent = bits(self.model), False, lambda: None

    def yield_to_queue(self, detached, waiting=lambda whom: None):
        if self.yields:
            with detached():
                self.while_lent()
                assert self.untouched()

    def untouched(self):
        """Whether every weight has the bits that were lent."""
        now = {f"{part}.{name}": tensor for part, module in self.model.modules() for name, tensor in module.state_dict().items()}
        return all(now[name].dtype == tensor.dtype and torch.equal(now[name].to(tensor.device), tensor) for name, tensor in self.bare.items())
