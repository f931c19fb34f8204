import torch

from lib_sdtune.training.precision import FullPrecision
from tests.models import tiny_sd1


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
