from collections import OrderedDict

import pytest
import torch

from lib_sdtune.artefacts import hypernetwork as file
from lib_sdtune.errors import UserError
from lib_sdtune.formats import pickled
from lib_sdtune.networks.hypernetwork import Hypernetwork, Structure
from tests.formats.webui_rules import check_pt
from tests.models import randomise

FACTS = file.Facts("ron", 500, "1a2b3c4d5e", "tiny")
DEEP = Structure((1, 2, 2, 1), "swish", layer_norm=True, activate_output=True, dropout=(0, 0.3, 0, 0), weight_init="XavierNormal")


def made(structure=None, widths=(8, 16)):
    return randomise(Hypernetwork(widths, structure or Structure()), size=0.2)


def test_the_file_is_the_webuis_to_the_key(tmp_path):
    file.write(tmp_path / "ron.pt", made(DEEP), FACTS)
    check_pt(tmp_path / "ron.pt")
    data = torch.load(tmp_path / "ron.pt", weights_only=True)
    weights = {key: data.pop(key) for key in (8, 16)}
    assert data == {
        "step": 500, "name": "ron", "layer_structure": [1, 2, 2, 1], "activation_func": "swish", "is_layer_norm": True,
        "weight_initialization": "XavierNormal", "sd_checkpoint": "1a2b3c4d5e", "sd_checkpoint_name": "tiny", "activate_output": True,
        "use_dropout": True, "dropout_structure": [0, 0.3, 0, 0], "last_layer_dropout": False, "optional_info": None}
    keys, values = weights[16]
    assert list(keys) == list(values) == [f"linear.{i}.{kind}" for i in (0, 2, 4, 6, 7, 9) for kind in ("weight", "bias")]
    assert keys["linear.0.weight"].shape == (32, 16) and keys["linear.0.weight"].dtype == torch.float32


@pytest.mark.parametrize("structure", [Structure(), DEEP, Structure((1, 2, 1), "prelu")], ids=["plain", "deep", "prelu"])
def test_comes_back(tmp_path, structure):
    written = made(structure)
    file.write(tmp_path / "ron.pt", written, FACTS)
    back, facts = file.read(tmp_path / "ron.pt")
    assert facts == FACTS and back.structure == structure and back.structure.weight_init == structure.weight_init
    assert back.tensors().keys() == written.tensors().keys()
    assert all(torch.equal(back.tensors()[name], tensor) for name, tensor in written.tensors().items())


def test_half_precision(tmp_path):
    file.write(tmp_path / "ron.pt", made(), FACTS, torch.float16)
    check_pt(tmp_path / "ron.pt")
    assert torch.load(tmp_path / "ron.pt", weights_only=True)[8][0]["linear.0.weight"].dtype == torch.float16
    back, _ = file.read(tmp_path / "ron.pt")
    assert back.tensors()["8.k.linear.0.weight"].dtype == torch.float32


def test_reads_files_from_before_there_were_settings(tmp_path):
    old = [OrderedDict({"linear1.weight": torch.ones(16, 8), "linear1.bias": torch.zeros(16),
                        "linear2.weight": torch.ones(8, 16), "linear2.bias": torch.zeros(8)}) for _ in "kv"]
    torch.save({8: tuple(old)}, tmp_path / "old.pt")
    back, facts = file.read(tmp_path / "old.pt")
    assert facts.name == "old" and back.structure == Structure((1, 2, 1), "linear", activate_output=True)
    assert torch.equal(back.pairs[8][0](torch.ones(1, 8)), torch.full((1, 8), 1.0 + 16 * 8))


def test_dropout_of_files_that_only_say_yes(tmp_path):
    assert file.usual_dropout((1, 2, 2, 1)) == (0, 0.3, 0.3, 0)
    assert file.usual_dropout((1, 2, 2, 1), last=False) == (0, 0.3, 0, 0)
    data = {8: tuple(module.state_dict() for module in made(Structure(dropout=(0, 0.3, 0)), [8]).pairs[8])}
    data |= {"use_dropout": True, "last_layer_dropout": True}
    torch.save(data, tmp_path / "a.pt")
    assert file.read(tmp_path / "a.pt")[0].structure.dropout == (0, 0.3, 0)


STATE = made(widths=[8]).pairs[8][0].state_dict()


@pytest.mark.parametrize(("data", "says"), [
    ({"string_to_param": {"*": torch.zeros(1, 8)}}, "is not a hypernetwork"),
    ([1], "is not a hypernetwork"),
    ({8: (STATE, STATE), "layer_structure": [1, 3, 1]}, "do not fit its own layer structure"),
    ({8: (STATE,)}, "do not fit its own layer structure"),
    ({8: (STATE, STATE), "activation_func": "multiheadattention"}, "wants the activation 'multiheadattention'"),
])
def test_what_is_no_hypernetwork(tmp_path, data, says):
    pickled.write(tmp_path / "bad.pt", data)
    with pytest.raises(UserError, match=says) as caught:
        file.read(tmp_path / "bad.pt")
    assert "bad.pt" in str(caught.value) and "\n" not in str(caught.value)


def test_none_is_not_listed(tmp_path):
    for name in ("None.pt", "ron.pt", "ron.safetensors"):
        (tmp_path / name).write_bytes(b"")
    assert file.listed(tmp_path) == {"ron": tmp_path / "ron.pt"}
