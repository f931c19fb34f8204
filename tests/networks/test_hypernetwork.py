from contextlib import ExitStack

import pytest
import torch
from torch.nn import functional as F

from lib_sdtune.networks.applied_hypernetworks import Product, applied_hypernetworks, attentions, context_widths
from lib_sdtune.networks.hypernetwork import ACTIVATIONS, WEIGHT_INITS, HyperModule, Hypernetwork, Structure
from lib_sdtune.training.memory.checkpointing import checkpointed
from tests.models import randomise, tiny_sd1


def x(width=16, seed=3):
    return torch.randn(2, 5, width, generator=torch.Generator().manual_seed(seed))


def test_the_webuis_names_and_order_of_layers():
    module = HyperModule(16, Structure((1, 2, 1.5, 1), "relu", layer_norm=True, activate_output=True, dropout=(0, 0.3, 0, 0)))
    kinds = [type(part).__name__ for part in module.linear]
    assert kinds == ["Linear", "ReLU", "LayerNorm", "Dropout", "Linear", "ReLU", "LayerNorm", "Linear", "ReLU", "LayerNorm"]
    assert module.linear[4].weight.shape == (24, 32)
    assert [type(part).__name__ for part in HyperModule(16, Structure()).linear] == ["Linear", "Linear"]
    assert [type(part).__name__ for part in HyperModule(16, Structure((1, 2, 1), "tanh")).linear] == ["Linear", "Tanh", "Linear"]


def test_maths():
    module = randomise(HyperModule(16, Structure((1, 2, 1), "swish")), size=0.3)
    first, last = module.linear[0], module.linear[2]
    expected = x() + 0.5 * F.linear(F.hardswish(F.linear(x(), first.weight, first.bias)), last.weight, last.bias)
    assert torch.allclose(module(x(), 0.5), expected, atol=1e-6)
    assert not torch.allclose(module(x(), 0.5), x(), atol=1e-2)


@pytest.mark.filterwarnings("ignore:Implicit dimension")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_keeps_the_shape(activation):
    module = randomise(HyperModule(16, Structure((1, 2, 1), activation)), size=0.3)
    answer = module(x())
    assert answer.shape == x().shape and answer.isfinite().all() and not torch.equal(answer, x())


@pytest.mark.parametrize("weight_init", WEIGHT_INITS)
def test_beginnings_have_the_spread_of_their_papers(weight_init):
    module = HyperModule(256, Structure((1, 2, 1), layer_norm=True))
    module.initialize(weight_init, torch.Generator().manual_seed(0))
    std = {"N": 0.01, "X": (2 / 768) ** 0.5, "K": (2 / 256) ** 0.5}[weight_init[0]]
    weight = module.linear[0].weight.detach()
    assert weight.std() == pytest.approx(std, rel=0.02)
    assert (weight.abs().max() < 2 * std) == weight_init.endswith("Uniform")
    assert module.linear[1].weight.detach().std() == pytest.approx(0.01, rel=0.2)
    assert all(not part.bias.any() for part in module.linear)
    again = HyperModule(256, Structure((1, 2, 1), layer_norm=True))
    again.initialize(weight_init, torch.Generator().manual_seed(0))
    assert torch.equal(again.linear[0].weight, weight)


def test_dropout_only_where_gradients_are_recorded():
    module = randomise(HyperModule(16, Structure((1, 2, 1), dropout=(0, 0.5, 0))), size=0.3)
    with torch.no_grad():
        assert torch.equal(module(x()), module(x()))
    assert not torch.equal(module(x()), module(x()))


def test_half_precision_contexts_keep_their_type_and_the_networks_precision():
    module = randomise(HyperModule(16, Structure()), size=0.3)
    answer = module(x().half())
    assert answer.dtype == torch.float16
    assert torch.allclose(answer.float(), module(x().half().float()), rtol=1e-3)


@pytest.fixture(scope="module")
def unet():
    return tiny_sd1().unet


def predict(unet):
    chance = torch.Generator().manual_seed(5)
    noisy, context = torch.randn(1, 4, 16, 16, generator=chance), torch.randn(1, 7, 16, generator=chance)
    with torch.no_grad():
        return unet(noisy, torch.tensor([300]), context=context)


def test_sizes_come_from_the_model(unet):
    assert context_widths(unet) == [16, 32]
    assert len(attentions(unet)) == 32


def test_attached_and_removed_without_trace(unet):
    hypernetwork = randomise(Hypernetwork([16, 32], Structure()), size=0.2)
    own = [dict(vars(attention.to_k)) for attention in attentions(unet)]
    before = predict(unet)
    with applied_hypernetworks(unet, [(hypernetwork, 1.0)]):
        assert not torch.allclose(predict(unet), before, atol=1e-4)
    assert torch.equal(predict(unet), before)
    assert [vars(attention.to_k).keys() for attention in attentions(unet)] == [attributes.keys() for attributes in own]
    with pytest.raises(ZeroDivisionError), applied_hypernetworks(unet, [(hypernetwork, 1.0)]):
        raise ZeroDivisionError
    assert torch.equal(predict(unet), before)


@pytest.mark.parametrize("structure", [Structure((1, 2, 1)), Structure((1, 2, 0.5, 1)), Structure((1, 1))], ids=str)
def test_linear_layers_are_as_good_as_their_product(structure):
    pair = [randomise(HyperModule(16, structure), seed, size=0.3) for seed in (1, 2)]
    assert pair[0].linear_only
    for rounded in (False, True):
        for answer, module in zip(Product(pair, 0.7, rounded)(x()), pair, strict=True):
            assert torch.allclose(answer, module(x(), 0.7), atol=1e-5)
        keys, values = Product(pair, 0.7, rounded)(x().half())
        assert keys.dtype == torch.float16 and torch.allclose(values.float(), pair[1](x().half().float(), 0.7), rtol=1e-3, atol=1e-3)
    assert not HyperModule(16, Structure((1, 2, 1), "relu")).linear_only


def test_the_product_is_made_where_it_is_less_work():
    assert HyperModule(30, Structure((1, 2, 1))).break_even() == pytest.approx(20)  # 2 * 30**3 against 3 * 30**2 a token
    assert HyperModule(30, Structure((1, 1))).break_even() == float("inf")


def heard(unet, hypernetwork, context, shared=True, checkpointing=False):
    """Prediction and gradients with one hypernetwork; `shared` False hides from the layers that all hear the same text."""
    noisy = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    hypernetwork.requires_grad_(True)
    with ExitStack() as stack:
        stack.enter_context(checkpointed(unet, checkpointing))
        stack.enter_context(applied_hypernetworks(unet, [(hypernetwork, 1.0)]))
        if not shared:
            for attention in attentions(unet):
                forward = attention.forward
                attention.forward = lambda x, context=None, forward=forward: forward(x, None if context is None else context.clone())
                stack.callback(vars(attention).pop, "forward")
        answer = unet(noisy, torch.tensor([300, 700]), context=context)
        gradients = torch.autograd.grad(answer.square().mean(), list(hypernetwork.parameters()))
    return answer, gradients


@pytest.mark.parametrize("structure", [Structure(), Structure((1, 2, 1), "swish"), Structure((1, 2, 1), layer_norm=True)], ids=str)
def test_what_is_shared_and_what_is_recomputed_changes_nothing(unet, structure):
    hypernetwork = randomise(Hypernetwork([16, 32], structure), size=0.2)
    context = torch.randn(2, 77, 16, generator=torch.Generator().manual_seed(6))
    plain, expected = heard(unet, hypernetwork, context, shared=False)
    for checkpointing in (False, True):
        answer, gradients = heard(unet, hypernetwork, context, checkpointing=checkpointing)
        assert torch.allclose(answer, plain, atol=1e-5)
        assert all(torch.allclose(a, b, atol=1e-5 * max(1.0, float(b.abs().max()))) for a, b in zip(gradients, expected, strict=True))
    assert all("forward" not in vars(module) for module in unet.modules())


def test_a_class_whose_forward_is_exchanged_meanwhile_is_heard(unet, monkeypatch):
    with applied_hypernetworks(unet, [(Hypernetwork([16], Structure()), 1.0)]):
        monkeypatch.setattr(type(unet), "forward", lambda self, noisy, timesteps, context=None, y=None: "another")
        assert unet(torch.zeros(1, 4, 8, 8), None, context=torch.zeros(1, 2, 16)) == "another"


def test_only_layers_of_its_widths_are_touched(unet):
    with applied_hypernetworks(unet, [(Hypernetwork([16], Structure()), 1.0)]):
        touched = {attention.to_k.in_features for attention in attentions(unet) if "forward" in vars(attention.to_k)}
    assert touched == {16}


def test_a_layer_that_has_a_forward_of_its_own_gets_it_back(unet):
    layer = attentions(unet)[0].to_k
    layer.forward = own = type(layer).forward.__get__(layer)
    with applied_hypernetworks(unet, [(Hypernetwork([layer.in_features], Structure()), 1.0)]):
        assert layer.forward is not own
    assert layer.forward is own
    del layer.forward


def test_keys_and_values_hear_their_own_module_and_several_hypernetworks_the_context_in_turn(unet):
    nearest, outer = (randomise(Hypernetwork([16], Structure((1, 2, 1), "relu")), seed, size=0.3) for seed in (1, 2))
    attention = next(a for a in attentions(unet) if a.to_k.in_features == 16)
    with applied_hypernetworks(unet, [(nearest, 1.0), (outer, 0.5)]):
        keys, values = attention.to_k(x()), attention.to_v(x())
    for answer, layer, i in ((keys, attention.to_k, 0), (values, attention.to_v, 1)):
        assert torch.allclose(answer, layer(outer.pairs[16][i](nearest.pairs[16][i](x()), 0.5)), atol=1e-5)


def test_small_changes_outlive_autocast():
    pair = [HyperModule(16, Structure()) for _ in "kv"]
    for module in pair:
        module.initialize("Normal", torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        keys, _ = Product(pair, 1.0, rounded=True)(x())
    assert torch.allclose((keys - x()).float(), pair[0](x()) - x(), rtol=0.1, atol=1e-4)


def test_values_that_hear_something_else_than_the_keys_before_them(unet):
    hypernetwork = randomise(Hypernetwork([16], Structure()), size=0.3)
    attention = next(a for a in attentions(unet) if a.to_k.in_features == 16)
    noisy, long = torch.zeros(1, 4, 16, 16), torch.zeros(1, 77, 16)
    with applied_hypernetworks(unet, [(hypernetwork, 1.0)]):
        unet(noisy, torch.tensor([300]), context=long)  # from here on there is a product
        attention.to_k(x(seed=4))
        answers = [attention.to_v(x()), attention.to_v(x())]
    for answer in answers:
        assert torch.allclose(answer, attention.to_v(hypernetwork.pairs[16][1](x())), atol=1e-5)
