"""Every network on every kind of layer: it starts at zero, is what its weights say, and survives its own file."""

import pytest
import torch
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.networks import registry
from lib_sdtune.networks.base import WeightAdapter, applied
from lib_sdtune.networks.delta import delta
from lib_sdtune.networks.dropout import Dropouts
from lib_sdtune.networks.lokr import split
from lib_sdtune.networks.orthogonal import turns

LAYERS = {
    "linear": (lambda: nn.Linear(12, 8), (2, 5, 12)),
    "linear without bias": (lambda: nn.Linear(12, 8, bias=False), (2, 12)),
    "1x1": (lambda: nn.Conv2d(12, 8, 1), (2, 12, 6, 6)),
    "3x3": (lambda: nn.Conv2d(12, 8, 3, padding=1), (2, 12, 6, 6)),
    "3x3 stride 2": (lambda: nn.Conv2d(12, 8, 3, stride=2, padding=1), (2, 12, 6, 6)),
}


OPTIONS = {"use_tucker": True, "factor": 2, "train_on_input": True, "constraint": 0.05, "rescaled": True}
FORMS = [(name, None) for name in registry.names()] + [
    (name, option) for name in registry.names() for option in registry[name].options]


@pytest.fixture(params=[(*form, kind) for form in FORMS for kind in LAYERS], ids=lambda p: " on ".join(map(str, p)))
def setting(request):
    name, option, kind = request.param
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer = make()
    network = registry[name]
    if option:
        network = Optioned(network, {option: OPTIONS[option]})
    return layer, network, torch.randn(shape)


class Optioned:
    """A network with one of its options."""

    def __init__(self, network, options):
        self.network, self.arguments = network, options

    def __call__(self, *arguments):
        return self.network(*arguments, **self.arguments)

    def __getattr__(self, name):
        return getattr(self.network, name)


def stirred(network, layer):
    adapter = network(layer, 4, 2.0, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for p in adapter.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    return adapter


def test_a_new_bend_changes_nothing(setting):
    layer, network, x = setting
    adapter = network(layer, 4, 2.0, torch.Generator().manual_seed(1))
    straight = layer(x)
    with applied([(layer, adapter)]):
        assert torch.equal(layer(x), straight)
    assert not adapter.delta_weight().count_nonzero()


def test_a_bent_layer_is_the_layer_with_its_delta_added_to_the_weight(setting):
    layer, network, x = setting
    adapter = stirred(network, layer)
    with applied([(layer, adapter)], multiplier=0.7):
        bent_answer = layer(x)
    with torch.no_grad():
        layer.weight += 0.7 * adapter.delta_weight()
    assert torch.allclose(bent_answer, layer(x), atol=1e-5)
    assert adapter.delta_weight().count_nonzero()


def test_tensors_round_trip(setting):
    layer, network, _ = setting
    adapter = stirred(network, layer)
    fresh = network(layer, 4, 1.0, torch.Generator().manual_seed(9))
    fresh.load_tensors({tail: tensor.clone() for tail, tensor in adapter.tensors().items()})
    assert torch.equal(fresh.delta_weight(), adapter.delta_weight())
    assert [name for name, each in registry if each.reads(adapter.tensors())] == [network.name]
    again = network.from_tensors(layer, adapter.tensors())  # whatever options it was made with
    assert torch.equal(again.delta_weight(), adapter.delta_weight())
    assert {tail: tensor.shape for tail, tensor in again.tensors().items()} == {
        tail: tensor.shape for tail, tensor in adapter.tensors().items()}


def test_files_mean_what_the_adapter_does(setting):
    """`networks.delta`, which reads every program's files, and the adapter itself are of one opinion."""
    layer, network, _ = setting
    adapter = stirred(network, layer)
    with torch.no_grad():
        assert torch.allclose(delta(adapter.tensors(), layer.weight), adapter.delta_weight(), atol=1e-6)


def test_dropouts_work_where_gradients_are_recorded_and_come_again_with_the_seed(setting):
    layer, network, x = setting
    adapter = stirred(network, layer)
    with applied([(layer, adapter)]), torch.no_grad():
        everything = layer(x)
    for dropouts in (Dropouts(rank=0.5), Dropouts(module=0.5)):
        adapter.dropouts = dropouts
        with applied([(layer, adapter)]):
            answers = []
            for seed in (3, 3, 4, 5, 6, 7):
                torch.manual_seed(seed)
                answers.append(layer(x).detach())
            with torch.no_grad():
                assert torch.equal(layer(x), everything)
        assert torch.equal(answers[0], answers[1]) and any(not torch.equal(answers[0], answer) for answer in answers)
        if dropouts.module:
            assert all(torch.equal(answer, layer(x)) or torch.allclose(answer, everything) for answer in answers)


def test_lora_dropouts_are_sd_scripts(monkeypatch):
    """up(dropout(down(x)) * mask / (1 - rank)) * scale, by hand: values at the rank are dropped, then whole ranks of
    an example.
    """
    layer, x = nn.Linear(12, 8), torch.randn(3, 5, 12)
    adapter = stirred(registry["lora"], layer)
    adapter.dropouts = Dropouts(network=0.25, rank=0.4)
    torch.manual_seed(0)
    values = torch.nn.functional.dropout(x @ adapter.down.T, 0.25)
    mask = (torch.rand(3, 1, 4) >= 0.4).float()
    expected = (values * mask / 0.6) @ adapter.up.T * 0.5
    torch.manual_seed(0)
    assert torch.allclose(adapter(x), expected, atol=1e-6)


def test_of_a_convolution_whole_channels_of_an_example_are_left_out():
    layer, x = nn.Conv2d(12, 8, 3, padding=1), torch.randn(3, 12, 6, 6)
    adapter = stirred(registry["lora"], layer)
    adapter.dropouts = Dropouts(rank=0.4)
    torch.manual_seed(0)
    mask = (torch.rand(3, 4, 1, 1) >= 0.4).float()
    expected = nn.functional.conv2d(nn.functional.conv2d(x, adapter.down, padding=1) * mask / 0.6, adapter.up) * 0.5
    torch.manual_seed(0)
    assert torch.allclose(adapter(x), expected, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: nn.Linear(12, 32), lambda: nn.Conv2d(12, 32, 3, padding=1)], ids=["linear", "3x3"])
@pytest.mark.parametrize("name", [name for name, network in registry if issubclass(network, WeightAdapter)])
def test_of_a_change_made_as_a_weight_outputs_are_left_out_each_by_itself(name, make):
    """As LyCORIS leaves them out: those that stay are as they were."""
    layer = make()
    adapter = stirred(registry[name], layer)
    with torch.no_grad():
        whole = adapter(torch.ones(1, 12, *[6, 6][:layer.weight.ndim - 2]))
    adapter.dropouts = Dropouts(rank=0.5)
    torch.manual_seed(0)
    some = adapter(torch.ones(1, 12, *[6, 6][:layer.weight.ndim - 2])).detach()
    gone = [not some[:, output].any() for output in range(32)]
    assert 4 < sum(gone) < 28
    assert all(torch.allclose(some[:, output], whole[:, output], atol=1e-6) for output in range(32) if not gone[output])


@pytest.mark.parametrize(("side", "factor", "expected"), [
    (320, -1, (16, 20)), (320, 8, (8, 40)), (320, 6, (5, 64)), (1280, -1, (32, 40)),
    (768, 4, (4, 192)), (7, 4, (1, 7)), (12, 6, (2, 6))])
def test_lokr_splits_sides_as_lycoris(side, factor, expected):
    assert split(side, factor) == expected


def test_tucker_starts_as_in_lycoris():
    adapter = registry["loha"](nn.Conv2d(64, 64, 3), 16, 8.0, torch.Generator().manual_seed(0), use_tucker=True)
    names = "hada_t1", "hada_t2", "hada_w1_a", "hada_w1_b"
    spreads = [float(getattr(adapter, name).detach().std()) for name in names]
    assert spreads == pytest.approx([0.1, 0.1, 0.1, 1.0], rel=0.1)
    assert adapter.hada_w1_a.shape == (16, 64) and adapter.hada_t1.shape == (16, 16, 3, 3)


def test_the_same_generator_draws_the_same_bend(setting):
    layer, network, _ = setting
    first, second = (network(layer, 4, 2.0, torch.Generator().manual_seed(5)).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_gradients_reach_the_bend_and_not_the_layer(setting):
    layer, network, x = setting
    layer.requires_grad_(False)
    adapter = stirred(network, layer)
    with applied([(layer, adapter)]):
        layer(x).square().mean().backward()
    assert layer.weight.grad is None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())


def test_the_layer_is_bare_again_after_an_exception(setting):
    layer, network, x = setting
    straight = layer(x)
    with pytest.raises(ZeroDivisionError), applied([(layer, stirred(network, layer))]):
        raise ZeroDivisionError
    assert torch.equal(layer(x), straight) and "forward" not in layer.__dict__


def test_loha_starts_as_in_lycoris():
    """Normal with spread 0.1 and 1, and zero: `LohaModule` of lycoris/modules/loha.py."""
    adapter = registry["loha"](nn.Linear(320, 320), 16, 8.0, torch.Generator().manual_seed(0))
    spreads = [float(getattr(adapter, name).detach().std()) for name in ("hada_w1_a", "hada_w1_b", "hada_w2_b")]
    assert spreads == pytest.approx([0.1, 1.0, 1.0], rel=0.05) and not adapter.hada_w2_a.count_nonzero()


def cayley(block):
    skew = block - block.T
    identity = torch.eye(len(skew), dtype=skew.dtype)
    return (identity + skew) @ torch.linalg.inv(identity - skew)


def test_oft_turns_the_outputs_by_an_orthogonal_matrix():
    """The formula of the paper, by hand: a matrix of blocks on the diagonal, transposed as LyCORIS applies it."""
    layer = nn.Linear(6, 24)
    adapter = stirred(registry["diag-oft"], layer)
    turn = torch.block_diag(*[cayley(block) for block in adapter.oft_blocks.detach().double()])
    assert adapter.oft_blocks.shape == (6, 4, 4)
    assert torch.allclose(turn @ turn.T, torch.eye(24, dtype=torch.double), atol=1e-9)
    expected = (turn.T @ layer.weight.double()) - layer.weight.double()
    assert torch.allclose(adapter.delta_weight().double(), expected, atol=1e-6)


def test_oft_turns_no_further_than_its_constraint():
    """LyCORIS': the length of all skew parts together, over the number of outputs."""
    adapter = Optioned(registry["diag-oft"], {"constraint": 0.001})(nn.Linear(6, 24), 4, 1.0)
    free = registry["diag-oft"](adapter.layer[0], 4, 1.0)
    for each in (adapter, free):
        each.oft_blocks.data.normal_(generator=torch.Generator().manual_seed(1))
    skew = adapter.oft_blocks.data - adapter.oft_blocks.data.transpose(1, 2)
    free.oft_blocks.data *= 0.001 * 24 / skew.norm()
    assert torch.allclose(adapter.delta_weight(), free.delta_weight(), atol=1e-6)
    assert float(adapter.tensors()["alpha"]) == pytest.approx(0.001)


def test_turns_within_the_constraint_are_not_lengthened_to_it():
    blocks = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.01
    assert torch.equal(turns(blocks, 5.0), turns(blocks))
    length = torch.linalg.vector_norm(blocks - blocks.transpose(-1, -2))
    assert torch.allclose(turns(blocks * 100, float(length)), turns(blocks), atol=1e-6)


def test_boft_reaches_every_output_in_its_levels():
    """8 outputs in blocks of 2: three levels, after which one output depends on all; and lengths stay."""
    layer = nn.Linear(5, 8)
    adapter = stirred(Optioned(registry["boft"], {}), layer)
    wide = registry["boft"](layer, 2, 1.0)
    assert adapter.oft_blocks.shape == (2, 2, 4, 4) and wide.oft_blocks.shape == (3, 4, 2, 2)
    wide.oft_blocks.data.normal_(generator=torch.Generator().manual_seed(1))
    layer.weight.data = torch.eye(8)[:, :5]
    turned = wide.delta_weight() + layer.weight
    assert turned.abs().gt(1e-4).all()
    assert torch.allclose(turned.norm(dim=0), torch.ones(5), atol=1e-5)


def test_boft_says_which_dim_it_could_have():
    with pytest.raises(UserError, match='set "lora.dim" to 10 or more'):
        registry["boft"](nn.Linear(8, 320), 8, 1.0)
    with pytest.raises(UserError, match='"diag-oft"'):
        registry["boft"](nn.Linear(8, 7), 8, 1.0)


def test_ia3_of_a_convolution_multiplies_its_inputs():
    """As the WebUI can read it: factors of outputs would be multiplied along another axis there."""
    adapter = registry["ia3"](nn.Conv2d(12, 8, 3), 4, 1.0)
    adapter.weight.data.normal_()
    tensors = adapter.tensors()
    assert tensors["weight"].shape == (1, 12, 1, 1) and tensors["on_input"] == 1 and set(tensors) == {"weight", "on_input"}
    assert torch.equal(adapter.delta_weight(), adapter.layer[0].weight * tensors["weight"])


@pytest.mark.parametrize("name", registry.names())
def test_numbers_that_learn_are_counted(name):
    for shape, layer in (((64, 24), nn.Linear(24, 64)), ((64, 24, 3, 3), nn.Conv2d(24, 64, 3))):
        adapter = registry[name](layer, 8, 1.0)
        assert registry[name].count(shape, 8) == sum(parameter.numel() for parameter in adapter.parameters())


@pytest.mark.parametrize("copies, dtype", [(torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32)])
def test_inputs_are_rounded_only_where_the_copies_are_computed_with(copies, dtype):
    """A host can draw a sample in another half precision than the run trains in."""
    from lib_sdtune.networks.lora import LoRA

    adapter = LoRA(torch.nn.Linear(4, 4), 2, 2.0)
    adapter.copies = adapter.down.detach().to(copies), adapter.up.detach().to(copies)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert adapter.prepare_input(torch.randn(1, 4)).dtype == dtype
