import json

import pytest
import torch

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import architecture
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL
from tests.models import checkpoint_tensors, tiny_sd1


@pytest.fixture(scope="module")
def tensors():
    return checkpoint_tensors(tiny_sd1())


def test_heads(tensors):
    unet, _, (text,) = architecture.build(tensors)
    assert unet.middle_block[1].transformer_blocks[0].attn1.heads == 8
    assert text.text_model.encoder.layers[0].self_attn.num_heads == 4
    metadata = {"sdtune_architecture": json.dumps({"unet": {"num_heads": 2}, "text": {"heads": 8}})}
    unet, _, (text,) = architecture.build(tensors, metadata)
    assert unet.middle_block[1].transformer_blocks[0].attn1.heads == 2
    assert text.text_model.encoder.layers[0].self_attn.num_heads == 8


def test_sizes_of_the_real_ones():
    with torch.device("meta"):
        sd1 = architecture.unet_sizes(UNetModel().state_dict())
        assert UNetModel(**sd1).state_dict().keys() == UNetModel().state_dict().keys()
        assert sd1["transformer_depth"] == (1, 1, 1, 0) and sd1["channel_mult"] == (1, 2, 4, 4) and sd1["context_dim"] == 768
        xl = {"channel_mult": (1, 2, 4), "attention_levels": (1, 2), "transformer_depth": (0, 2, 10), "middle_depth": 10,
              "use_linear": True, "head_channels": 64, "adm_channels": 2816, "context_dim": 2048}
        sizes = architecture.unet_sizes(UNetModel(**xl).state_dict())
        assert {key: sizes[key] for key in xl} == xl
        assert architecture.vae_sizes(AutoencoderKL().state_dict()) == {
            "ch": 128, "ch_mult": (1, 2, 4, 4), "num_res_blocks": 2, "z_channels": 4, "embed_dim": 4}
        assert architecture.text_sizes(CLIPTextModel().state_dict()) == {
            "vocab_size": 49408, "width": 768, "heads": 12, "layers": 12, "positions": 77, "mlp_ratio": 4}


def test_what_is_missing_is_named(tensors):
    for key in ("model.diffusion_model.out.2.bias", "first_stage_model.quant_conv.weight"):
        with pytest.raises(UserError, match=key):
            architecture.build({name: tensor for name, tensor in tensors.items() if name != key})
    with pytest.raises(UserError, match="cond_stage_model"):
        architecture.build({name: tensor for name, tensor in tensors.items() if not name.startswith("cond_stage")})
