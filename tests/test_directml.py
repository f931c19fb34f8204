"""What torch cannot do with DirectML, whose devices it calls "privateuseone"."""

from types import SimpleNamespace

import pytest
import torch

from lib_sdtune import failures
from lib_sdtune.config import Config
from lib_sdtune.devices import can_recompute
from lib_sdtune.errors import UserError
from lib_sdtune.training.refusals import refuse_unsuited_model
from tests.hosts import settings

FULL = "Could not allocate tensor with 8388608 bytes. There is not enough GPU video memory available!"


def test_recomputing_by_name_is_refused():
    model = SimpleNamespace(prediction_type="epsilon", device=torch.device("privateuseone"))
    config = Config.from_dict(settings("x", train={"gradient_checkpointing": "on"}))
    with pytest.raises(UserError, match="DirectML"):
        refuse_unsuited_model(config, model, None)


def test_recomputing_is_not_advised():
    sentence = failures.sentence(RuntimeError(FULL))
    advice = failures.explain(sentence)
    assert "out of memory" in sentence and "checkpointing" not in sentence + advice["change"]
    assert advice["settings"] == {"train.batch_size": 1}
    assert "train.gradient_checkpointing" in failures.explain(failures.OUT_OF_MEMORY)["settings"]


@pytest.mark.parametrize(("name", "can"), [("cpu", True), ("cuda", True), ("mps", True), ("privateuseone", False)])
def test_torch_recomputes_where_it_has_a_module_of_that_name(name, can):
    assert can_recompute(torch.device(name)) == can
