import torch

from lib_sdtune.training.encoder_keys import text_key, vae_key
from tests.models import tiny_sd1


def test_the_keys_follow_the_weights_and_nothing_else():
    model, same, other = tiny_sd1(), tiny_sd1(), tiny_sd1(seed=5)
    same.hash = same.name = "renamed"
    assert vae_key(model) == vae_key(same) != vae_key(other) and text_key(model, 1, 225) == text_key(same, 1, 225) != text_key(other, 1, 225)
    assert text_key(model, 1, 225) != text_key(model, 2, 225)
    other.vae = model.vae
    assert vae_key(other) == vae_key(model)
    model.vae.decoder.conv_in.weight.data += 1
    assert vae_key(model) == vae_key(same)
    model.vae.quant_conv.weight.data += 1e-3
    assert vae_key(model) != vae_key(same) != vae_key(tiny_half())


def test_a_few_rows_of_the_token_table_are_another_encoder():
    keys = []
    for row in (None, 3, 77, -1):
        model = tiny_sd1()
        table = next(value for name, value in model.text_encoders[0].named_parameters() if "token_embedding" in name)
        if row is not None:
            table.data[row, 0] += 1e-3
        keys.append(text_key(model, 1, 225))
    assert len(set(keys)) == 4


def test_one_value_of_an_embedding_is_another_word():
    vectors = torch.zeros(8, 16)
    changed = vectors.clone()
    changed[5, 3] = 1e-3
    assert text_key(tiny_sd1({"ron": vectors}), 1, 225) != text_key(tiny_sd1({"ron": changed}), 1, 225)


def tiny_half():
    model = tiny_sd1()
    model.vae.half()
    return model


def test_a_retrained_embedding_changes_the_words():
    keys = [text_key(tiny_sd1({name: torch.full((2, 16), value)}), 1, 225) for name, value in (("ron", 1.0), ("ron", 2.0), ("bob", 1.0))]
    assert len({*keys, text_key(tiny_sd1(), 1, 225)}) == 4
