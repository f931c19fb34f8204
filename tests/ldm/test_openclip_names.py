"""OpenCLIP's encoder under Hugging Face's names: every tensor finds its place in a checkpoint, and the whole folds back."""

import torch

from lib_sdtune.ldm.openclip_names import OpenCLIPTensor, folded, openclip_tensor
from tests.models import tiny_sdxl


def under_other_names(tensors):
    """The same encoder as Hugging Face's libraries and the forks of the WebUI have it, in no order in particular."""
    from tests.standin.forks.sdxl import renamed

    others = dict(renamed(tensors))
    return dict(reversed(others.items())) | {"text_projection.weight": tensors["text_projection"].T, "logit_scale": tensors["logit_scale"],
                                             "text_model.embeddings.position_ids": torch.arange(77)[None]}


def test_an_encoder_folds_back_into_what_a_checkpoint_has():
    stored = tiny_sdxl().text_encoders[1].state_dict()
    others = under_other_names(stored)
    for tensors in (folded(others), folded(stored)):
        assert tensors.keys() == stored.keys() and all(torch.equal(tensors[name], stored[name]) for name in stored)


def test_the_place_of_each_tensor_is_where_its_numbers_are():
    stored = tiny_sdxl().text_encoders[1].state_dict()
    for name, tensor in under_other_names(stored).items():
        where = openclip_tensor(name)
        if where.name in stored:
            there = stored[where.name].T if where.transposed else stored[where.name]
            assert torch.equal(tensor, there if where.third is None else there.chunk(3)[where.third]), name
    assert openclip_tensor("text_model.encoder.layers.31.self_attn.k_proj.bias") == OpenCLIPTensor("transformer.resblocks.31.attn.in_proj_bias", 1)
    assert openclip_tensor("text_projection") == OpenCLIPTensor("text_projection"), "OpenCLIP's own name"
