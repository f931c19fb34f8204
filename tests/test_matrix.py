"""Every method on every family and variant: it learns, only what is its own moves, its file gives the same prediction, and no trace stays.

A new method or family is tested by existing; a family needs a small model in `tests.models`.
"""

from itertools import product

import pytest
import torch
from safetensors.torch import load_file

from lib_sdtune import families, methods, prompts
from lib_sdtune.config import Config
from lib_sdtune.host.embedded import addons
from lib_sdtune.training.precision import frozen
from tests import models
from tests.hosts import bits

MODELS = {"": models.TINY, "inpainting": models.SHALLOW}  # every layer once
PAIRS = list(product(methods.registry.names(), families.registry.names(), ["", "inpainting"]))
RATES = {"lora": {"dim": 4, "alpha": 4, "unet_lr": 0.01, "text_encoder_lr": 0.01}, "dreambooth": {"unet_lr": 0.01, "text_encoder_lr": 0.01},
         "textual_inversion": {"lr": 0.1}, "hypernetwork": {"lr": 0.01, "activation": "swish"}}


def made(method, model):
    settings = {"name": "zwx", "method": method, "concepts": [{"images": "x"}], "save": {"precision": "float"}}
    settings[method] = RATES.get(method, {})
    return methods.registry[method](Config.from_dict(settings), model)


def predict(model, prompt):
    """(1, 4, 16, 16) at one timestep, for a prompt without tags."""
    chance = torch.Generator().manual_seed(7)
    noisy = torch.randn(1, 4, 16, 16, generator=chance)
    return model.family.predict(model, noisy, torch.tensor([400]), model.family.encode_text(model, [prompt]))


def learn(model, method, steps=3):
    target = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(8))
    groups = [{"params": group["params"], "lr": group["lr"]} for group in method.parameter_groups()]
    optimizer = torch.optim.AdamW(groups)
    for _ in range(steps):
        (predict(model, "a photo of zwx") - target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        method.constrain()


@torch.no_grad()
def used(model, method, path, make_model):
    """The prediction that a user of the written file gets: by a tag or a word in the prompt, or by choosing the checkpoint."""
    if method.kind == "checkpoints":
        return predict(with_weights(model, path, make_model), "a photo of zwx")
    tag = method.tag(path.stem)
    prompt, tags = prompts.tags(f"a photo of zwx {tag}" if tag.startswith("<") else f"a photo of {tag}")
    with addons.attached(model, model.folder, tags):
        model.embeddings = addons.embeddings(model, model.folder("embeddings"))
        try:
            return predict(model, prompt.strip())
        finally:
            model.embeddings = {}


def with_weights(model, path, make_model):
    """A fresh model with the weights of a checkpoint."""
    tensors, fresh = load_file(path), make_model(seed=100, variant=model.variant)
    for name, module in fresh.modules():
        prefix = model.family.prefixes[name]
        module.load_state_dict({key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)})
    return fresh


def parameters(method):
    return [p for group in method.parameter_groups() for p in group["params"]]


def test_every_family_has_a_small_model():
    assert all(set(families.registry.names()) <= set(small) for small in MODELS.values())


@pytest.mark.parametrize(("name", "family", "variant"), PAIRS, ids=map("-".join, PAIRS))
def test_method_and_family(name, family, variant, tmp_path):
    make_model = MODELS[variant][family]
    model = make_model(variant=models.VARIANTS.get(variant))
    model.folder = lambda kind: tmp_path / kind
    with torch.no_grad():
        bare, before = predict(model, "a photo of zwx"), bits(model)
    method = made(name, model)
    path = tmp_path / method.kind / f"zwx{method.suffix}"
    with method.prepared(tmp_path), frozen(model), method.attached():
        begun = [p.detach().clone() for p in parameters(method)]
        learn(model, method)
        assert not any(torch.equal(p, was) for p, was in zip(parameters(method), begun, strict=True))
        own = {id(p) for p in parameters(method)}
        others = {f"{part}.{key}": p for part, module in model.modules() for key, p in module.named_parameters() if id(p) not in own}
        assert all(torch.equal(p, before[key]) for key, p in others.items() if key in before)
        with torch.no_grad():
            learned = predict(model, "a photo of zwx")
        kept = {key: tensor.clone() for key, tensor in method.tensors().items()}
        method.export(path, {})
    assert not torch.allclose(learned, bare, atol=1e-4)  # ten times what a file may differ by
    with torch.no_grad():
        assert torch.equal(predict(model, "a photo of zwx"), bare)
    after = bits(model)
    assert after.keys() == before.keys() and all(torch.equal(after[key], tensor) for key, tensor in before.items())

    assert torch.allclose(used(model, method, path, make_model), learned, atol=1e-5)

    again = made(name, model)
    again.load_tensors(kept)
    with again.prepared(tmp_path), frozen(model), again.attached(), torch.no_grad():
        assert torch.equal(predict(model, "a photo of zwx"), learned)
