"""Our modules against code that is not ours: the same random weights must give the same pictures.

The public `ldm` modules are published in the package stable-diffusion-sdkit (test-only, installed without its dependencies).
"""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lib_sdtune.ldm.text import CLIPTextModel, quick_gelu
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL

WHY = "stable-diffusion-sdkit is not installed (pip install --no-deps stable-diffusion-sdkit==2.1.5)"


def randomise(module, seed=0):
    """Weights of a size that lets differences through, none of them zero."""
    chance = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=chance) * 0.05)
    return module.eval()


def assert_same(ours, theirs, *inputs, **named):
    with torch.no_grad():
        a, b = ours(*inputs, **named), theirs(*inputs, **named)
    assert b.std() > 1e-3
    assert (a - b).abs().max() <= 1e-5 * max(1.0, b.abs().max())


@pytest.mark.parametrize(("mine", "theirs"), [
    ({"num_heads": 8}, {"num_heads": 8}),
    ({"head_channels": 16, "use_linear": True}, {"num_head_channels": 16, "use_linear_in_transformer": True}),
], ids=["SD1", "SD2"])
def test_unet(mine, theirs, monkeypatch):
    for name in ("omegaconf", "omegaconf.listconfig"):  # the public code imports it for one isinstance
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(ListConfig=list))
    public = pytest.importorskip("ldm.modules.diffusionmodules.openaimodel", reason=WHY)
    sizes = {"in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": 2, "channel_mult": (1, 2, 4, 4),
             "context_dim": 24}
    reference = randomise(public.UNetModel(image_size=32, attention_resolutions=[4, 2, 1], use_spatial_transformer=True, legacy=False,
                                           **sizes, **theirs))
    unet = UNetModel(**sizes, **mine).eval()
    unet.load_state_dict(reference.state_dict())
    chance = torch.Generator().manual_seed(1)
    x, context = torch.randn(2, 4, 16, 8, generator=chance), torch.randn(2, 77, 24, generator=chance)
    assert_same(unet, reference, x, torch.tensor([3, 981]), context=context)


def test_vae():
    public = pytest.importorskip("ldm.modules.diffusionmodules.model", reason=WHY)
    sizes = {"ch": 32, "ch_mult": (1, 2, 4, 4), "num_res_blocks": 2, "z_channels": 4}
    extra = {"out_ch": 3, "in_channels": 3, "resolution": 256, "attn_resolutions": [], "double_z": True}
    vae = randomise(AutoencoderKL(**sizes))
    encoder, decoder = public.Encoder(**sizes, **extra), public.Decoder(**sizes, **extra)
    encoder.load_state_dict(vae.encoder.state_dict())
    decoder.load_state_dict(vae.decoder.state_dict())
    chance = torch.Generator().manual_seed(1)
    assert_same(vae.encoder, encoder.eval(), torch.randn(1, 3, 64, 32, generator=chance))
    assert_same(vae.decoder, decoder.eval(), torch.randn(1, 4, 8, 4, generator=chance))


def test_vae_moments_are_the_public_distribution():
    public = pytest.importorskip("ldm.modules.distributions.distributions", reason=WHY)
    vae = randomise(AutoencoderKL(32, (1, 1), 1))
    pixels = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mean, std = vae.encode(pixels)
        reference = public.DiagonalGaussianDistribution(vae.quant_conv(vae.encoder(pixels)))
    assert torch.equal(mean, reference.mean) and torch.equal(std, reference.std)


def test_text_model_is_a_causal_prenorm_transformer():
    """Torch's own encoder layers, with CLIP's activation and mask, are the reference that is always at hand."""
    ours = randomise(CLIPTextModel(vocab_size=100, width=32, layers=3, heads=4))
    text = ours.text_model
    layers = []
    for mine in text.encoder.layers:
        layer = nn.TransformerEncoderLayer(32, 4, 128, dropout=0, activation=quick_gelu, batch_first=True, norm_first=True).eval()
        qkv = [mine.self_attn.q_proj, mine.self_attn.k_proj, mine.self_attn.v_proj]
        layer.load_state_dict({
            "self_attn.in_proj_weight": torch.cat([p.weight for p in qkv]), "self_attn.in_proj_bias": torch.cat([p.bias for p in qkv]),
            "self_attn.out_proj.weight": mine.self_attn.out_proj.weight, "self_attn.out_proj.bias": mine.self_attn.out_proj.bias,
            "linear1.weight": mine.mlp.fc1.weight, "linear1.bias": mine.mlp.fc1.bias,
            "linear2.weight": mine.mlp.fc2.weight, "linear2.bias": mine.mlp.fc2.bias,
            "norm1.weight": mine.layer_norm1.weight, "norm1.bias": mine.layer_norm1.bias,
            "norm2.weight": mine.layer_norm2.weight, "norm2.bias": mine.layer_norm2.bias})
        layers.append(layer)

    def reference(ids):
        x = text.embeddings.token_embedding(ids) + text.embeddings.position_embedding.weight
        mask = torch.full((77, 77), float("-inf")).triu(1)
        for layer in layers:
            x = layer(x, src_mask=mask)
        return text.final_layer_norm(x)

    assert_same(ours, reference, torch.randint(0, 100, (2, 77), generator=torch.Generator().manual_seed(1)))


def test_text_model_is_hugging_faces():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; the test above stands in for it")
    config = transformers.CLIPTextConfig(vocab_size=100, hidden_size=32, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4)
    reference = randomise(transformers.CLIPTextModel(config))
    ours = CLIPTextModel(vocab_size=100, width=32, layers=3, heads=4)
    ours.load_state_dict({k: v for k, v in reference.state_dict().items() if "position_ids" not in k})
    ids = torch.randint(0, 100, (2, 77), generator=torch.Generator().manual_seed(1))
    assert_same(ours, lambda ids: reference(ids).last_hidden_state, ids)
