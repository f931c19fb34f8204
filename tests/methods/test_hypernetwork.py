"""Hypernetworks on a tiny model: what learns, what is written, and what is refused."""

import pytest
import torch

from lib_sdtune.artefacts import hypernetwork as file
from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.formats import pickled
from lib_sdtune.methods.hypernetwork import HypernetworkMethod
from lib_sdtune.networks.hypernetwork import Hypernetwork, Structure
from tests.formats.webui_rules import check_pt
from tests.hosts import bits, resumed, settings, train
from tests.models import randomise


def config(images, **changes):
    own = {"lr": 1e-2} | changes.pop("hypernetwork", {})
    return settings(images, method="hypernetwork", hypernetwork=own, **changes)


def method(host, seed=0, **settings):
    return HypernetworkMethod(Config.from_dict({"name": "ron", "method": "hypernetwork", "concepts": [{"images": "x"}], "train": {"seed": seed},
                                                "hypernetwork": settings}), host.model)


def folder(host):
    return host.folder("hypernetworks")


def test_a_run_learns_and_leaves_the_model_as_it_was(host, images):
    before = bits(host.model)
    control = train(host, config(images, hypernetwork={"activation": "swish"}, save={"every_n_steps": 4}))
    assert control.snapshot()["state"] == "finished"
    check_pt(folder(host) / "ron.pt")
    assert (folder(host) / "ron-step00000004.pt").exists() and (folder(host) / "ron.json").exists()
    learned, facts = file.read(folder(host) / "ron.pt")
    assert facts == file.Facts("ron", 6, "0" * 10, "tiny")
    assert list(learned.pairs) == [16, 32] and learned.structure == Structure((1, 2, 1), "swish")
    begun = method(host, activation="swish").tensors()
    assert all(not torch.equal(tensor, begun[name]) for name, tensor in learned.tensors().items())
    after = bits(host.model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all("forward" not in module.__dict__ for _, part in host.model.modules() for module in part.modules())
    assert [artefact.tag for artefact in host.published] == ["<hypernet:ron:1>"]


def test_settings_reach_the_structure(host):
    hypernetwork = method(host, layer_structure=[1, 2, 2, 1], activation="tanh", use_layer_norm=True, activate_output=True, dropout=True,
                  weight_init="KaimingUniform", enable_sizes=[16]).hypernetwork
    assert hypernetwork.structure == Structure((1, 2, 2, 1), "tanh", True, True, (0, 0.3, 0.3, 0))
    assert list(hypernetwork.pairs) == [16]
    assert method(host, dropout=True, dropout_structure=[0, 0.1, 0]).hypernetwork.structure.dropout == (0, 0.1, 0)


def test_the_seed_decides_the_beginning(host):
    first, second = method(host).tensors(), method(host).tensors()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["16.k.linear.0.weight"], first["16.v.linear.0.weight"])
    assert not torch.equal(first["16.k.linear.0.weight"], method(host, seed=1).tensors()["16.k.linear.0.weight"])


def test_going_on_from_a_file_takes_its_structure(host, images):
    begun = randomise(Hypernetwork([32], Structure((1, 1.5, 1), "relu")), size=0.1)
    file.write(folder(host) / "old.pt", begun, file.Facts("old", 100))
    train(host, config(images, hypernetwork={"init_hypernetwork": "old", "lr": 1e-4}))
    learned, facts = file.read(folder(host) / "ron.pt")
    assert facts.step == 106, "the WebUI counts on from what the file says"
    assert learned.structure == begun.structure and list(learned.pairs) == [32]
    moved = [(learned.tensors()[name] - tensor).abs().max() for name, tensor in begun.tensors().items()]
    assert 0 < max(moved) < 1e-3


@pytest.mark.parametrize("changes", [{}, {"hypernetwork": {"dropout": True, "activation": "relu", "lr": 1e-2}}])
def test_stopping_and_resuming_gives_the_same_bytes(images, tmp_path, changes):
    whole, broken = resumed(tmp_path, config(images, **changes))
    assert (folder(whole) / "ron.pt").read_bytes() == (folder(broken) / "ron.pt").read_bytes()


def test_precision_of_the_file(host, images):
    train(host, config(images, save={"precision": "fp16"}))
    assert torch.load(folder(host) / "ron.pt", weights_only=True)[16][0]["linear.0.weight"].dtype == torch.float16


@pytest.mark.parametrize(("changes", "says"), [
    ({"name": ""}, '"name" is empty'),
    ({"name": "..\\ron"}, '"name"'),
    ({"hypernetwork": {"layer_structure": [1, 2]}}, '"hypernetwork.layer_structure" must begin and end with 1'),
    ({"hypernetwork": {"activation": "relus"}}, '"hypernetwork.activation" is .relus. .did you mean .relu'),
    ({"hypernetwork": {"weight_init": "Zero"}}, '"hypernetwork.weight_init"'),
    ({"hypernetwork": {"dropout": True, "dropout_structure": [0, 0]}}, '"hypernetwork.dropout_structure" must have 3 entries'),
    ({"hypernetwork": {"enable_sizes": [768]}}, '"hypernetwork.enable_sizes" has the size 768, .* its sizes are 16, 32'),
    ({"hypernetwork": {"layer_structure": [1, 0.01, 1]}}, '"hypernetwork.layer_structure" makes layers of no width'),
    ({"hypernetwork": {"init_hypernetwork": "nobody"}}, "There is no hypernetwork called 'nobody'"),
])
def test_wrong_input_is_one_sentence_and_leaves_nothing(host, images, changes, says):
    with pytest.raises(UserError, match=says) as caught:
        train(host, config(images, **changes))
    assert "\n" not in str(caught.value)
    assert not [path for path in host.data_dir.rglob("*") if path.is_file() and "runs" not in path.parts and "cache" not in path.parts]


def test_a_file_whose_sizes_do_not_fit(host, images):
    file.write(folder(host) / "sd2.pt", Hypernetwork([16, 1024], Structure()), file.Facts("sd2"))
    with pytest.raises(UserError, match=r"sd2\.pt has the size 1024, and no attention layer of this model listens to that width"):
        train(host, config(images, hypernetwork={"init_hypernetwork": "sd2"}))
    assert [path.name for path in folder(host).iterdir()] == ["sd2.pt"]


def test_a_file_that_is_none_is_refused_before_a_run_folder_is_made(host, images):
    folder(host).mkdir(parents=True)
    pickled.write(folder(host) / "other.pt", {"a": 1})
    with pytest.raises(UserError, match=r"other\.pt is not a hypernetwork"):
        train(host, config(images, hypernetwork={"init_hypernetwork": "other"}))
    assert not (host.folder("sdtune") / "runs" / "ron").exists()
