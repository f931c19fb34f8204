import pytest
import torch

from lib_sdtune import devices
from lib_sdtune.errors import RunError
from lib_sdtune.training import precision
from lib_sdtune.training.precision import FullPrecision
from tests.models import tiny_sd1
from tests.pretended import pretended_cuda


def test_full_precision_lends_float32_and_gives_every_bit_back():
    model = tiny_sd1()
    model.vae.half()
    model.vae.quant_conv.float()
    before = model.vae.state_dict()
    where = {name: tensor.data_ptr() for name, tensor in before.items()}
    try:
        with FullPrecision([model.vae]):
            assert {tensor.dtype for tensor in model.vae.state_dict().values()} == {torch.float32}
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    after = model.vae.state_dict()
    assert all(torch.equal(after[name], before[name]) and after[name].dtype == before[name].dtype for name in before)
    assert {name: tensor.data_ptr() for name, tensor in after.items()} == where


def lent_on_a_card():
    module = torch.nn.Sequential(torch.nn.Conv2d(64, 64, 3), torch.nn.Linear(300, 200)).to("cuda", torch.float16)
    return module.to(memory_format=torch.channels_last)


def what_is_lent(module):
    """Objects, strides, storages, and the values on the CPU."""
    return {name: (tensor, tensor.stride(), tensor.untyped_storage()._cdata, tensor.detach().cpu().clone())
            for name, tensor in module.state_dict(keep_vars=True).items()}


def is_as_it_was(module, before):
    after = module.state_dict(keep_vars=True)
    return all(after[name] is tensor and tensor.is_cuda and tensor.stride() == stride and tensor.untyped_storage()._cdata == storage
               and tensor.dtype == values.dtype and torch.equal(tensor.detach().cpu(), values)
               for name, (tensor, stride, storage, values) in before.items())


def test_a_card_holds_the_weights_once_meanwhile():
    with pretended_cuda() as card:
        module = lent_on_a_card()
        aliases = [parameter.data for parameter in module.parameters()]  # a host knows them
        before = what_is_lent(module)
        card.sweep()
        halves = card.live
        lending = FullPrecision([module])
        with pytest.raises(KeyError), lending:
            card.sweep()
            assert card.live == pytest.approx(2 * halves, rel=0.02)
            assert all(torch.equal(parameter.detach().cpu(), before[name][3].float()) for name, parameter in module.named_parameters())
            with lending.suspended():
                assert is_as_it_was(module, before)
            card.sweep()
            assert card.live == pytest.approx(2 * halves, rel=0.02)
            raise KeyError
        assert is_as_it_was(module, before)
        assert all(alias.data_ptr() == parameter.data_ptr() for alias, parameter in zip(aliases, module.parameters(), strict=True))


def test_other_gpus_hold_the_weights_once_too(monkeypatch):
    """Intel's, which nothing here pretends to be: their tensors are the CPU's."""
    assert devices.frees_storages(torch.device("xpu")) and not devices.frees_storages(torch.device("privateuseone"))
    monkeypatch.setattr(precision, "frees_storages", lambda device: True)
    module = torch.nn.Linear(30, 30).half()
    lent, values = module.weight.data, module.weight.data.clone()
    with FullPrecision([module]):
        assert not lent.untyped_storage().nbytes() and torch.equal(module.weight, values.float())
    assert module.weight.data_ptr() == lent.data_ptr() and torch.equal(lent, values)


def test_weights_that_share_their_memory_are_lent_too():
    with pretended_cuda():
        module = torch.nn.Sequential(torch.nn.Linear(30, 30, bias=False), torch.nn.Linear(30, 10, bias=False)).to("cuda", torch.float16)
        module[1].weight.data = module[0].weight.data[:10]
        before = what_is_lent(module)
        with FullPrecision([module]):
            assert torch.equal(module[1].weight.cpu(), before["0.weight"][3][:10].float())
        assert is_as_it_was(module, before)


def test_no_room_on_the_way_in_gives_everything_back():
    with pretended_cuda() as card:
        module = lent_on_a_card()
        before = what_is_lent(module)
        card.fill(60_000)
        with pytest.raises(torch.cuda.OutOfMemoryError), FullPrecision([module]):
            pass
        card.limit = None
        assert is_as_it_was(module, before)


def test_no_room_on_the_way_back_is_told_and_no_value_is_lost():
    with pretended_cuda() as card:
        module = lent_on_a_card()
        before = what_is_lent(module)
        with pytest.raises(RunError, match="filled by something else"), FullPrecision([module]):
            card.allowance = 0
        assert all(torch.equal(tensor.cpu(), before[name][3]) for name, tensor in module.state_dict().items())
