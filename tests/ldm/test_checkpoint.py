import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import architecture, checkpoint
from tests.models import checkpoint_tensors, tiny_sd1


@pytest.fixture(scope="module")
def model():
    return tiny_sd1()


@pytest.fixture(scope="module")
def tensors(model):
    return {name: tensor.clone() for name, tensor in checkpoint_tensors(model).items()}


def same(model, built):
    unet, vae, (text,) = built
    for mine, theirs in ((model.unet, unet), (model.vae, vae), (model.text_encoders[0], text)):
        mine, theirs = mine.state_dict(), theirs.state_dict()
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_modules_come_back_from_safetensors(model, tensors, tmp_path):
    path = tmp_path / "m.ckpt"  # the ending lies, and does not matter
    save_file(tensors | {"model_ema.x": torch.zeros(1)}, path, metadata={"a": "b"})
    read, metadata = checkpoint.read(path)
    assert metadata == {"a": "b"} and read.keys() == tensors.keys()
    same(model, architecture.build(read, metadata))
    shapes, metadata = checkpoint.header(path)
    assert metadata == {"a": "b"} and shapes["model.diffusion_model.out.2.weight"] == (4, 32, 3, 3)


@pytest.mark.parametrize("zipped", [True, False])
def test_modules_come_back_from_pickles(model, tensors, tmp_path, zipped):
    path = tmp_path / "m.safetensors"
    torch.save({"state_dict": tensors, "global_step": 7}, path, _use_new_zipfile_serialization=zipped)
    read, _ = checkpoint.read(path)
    same(model, architecture.build(read))
    assert checkpoint.header(path)[0].keys() == tensors.keys()


def test_weights_are_copies_in_the_asked_dtype(tensors, tmp_path):
    path = tmp_path / "m.safetensors"
    save_file({name: tensor.half() for name, tensor in tensors.items()}, path)
    read, _ = checkpoint.read(path)
    unet, _, _ = architecture.build(read)
    assert unet.out[2].weight.dtype == torch.float32 and not unet.training and not unet.out[2].weight.requires_grad
    unet.out[2].weight.add_(1)
    again, _ = checkpoint.read(path)
    assert torch.equal(again["model.diffusion_model.out.2.weight"], tensors["model.diffusion_model.out.2.weight"].half())


def test_early_names_and_matrices_are_understood(model, tensors):
    old = {name.replace("transformer.text_model.", "transformer."): tensor for name, tensor in tensors.items()}
    old = {checkpoint.rename(name): tensor for name, tensor in old.items()}
    key = "first_stage_model.decoder.mid.attn_1.q.weight"
    same(model, architecture.build(old | {key: old[key][:, :, 0, 0]}))


class Code:
    def __reduce__(self):
        return os.system, ("touch pickled-code-ran",)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_a_trainer_left_in_a_checkpoint_is_passed_over(model, tensors, tmp_path, monkeypatch, zipped):
    lightning = types.ModuleType("pytorch_lightning")
    lightning.Callback = type("Callback", (), {"__module__": "pytorch_lightning"})
    left = lightning.Callback()
    left.best = np.float64(0.5)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", lightning)
    torch.save({"state_dict": tensors, "callbacks": {lightning.Callback: left}, "loss": np.float32(2)}, tmp_path / "m.ckpt",
               _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, "pytorch_lightning")
    same(model, architecture.build(checkpoint.read(tmp_path / "m.ckpt")[0]))


def not_a_checkpoint(path, what, tensors):
    if what == "web page":
        path.write_text("<!DOCTYPE html><html>not found</html>")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "truncated":
        save_file(tensors, path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif what == "truncated header":
        save_file(tensors, path)
        path.write_bytes(path.read_bytes()[:500])
    elif what == "LoRA":
        save_file({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.zeros(1)}, path)
    elif what == "embedding":
        save_file({"emb_params": torch.zeros(1, 8)}, path)
    elif what == "old embedding":
        torch.save({"string_to_param": {"*": torch.zeros(1, 8)}, "name": "x"}, path)
    elif what == "VAE":
        save_file({name.removeprefix("first_stage_model."): t for name, t in tensors.items() if name.startswith("first_stage")}, path)
    elif what == "other tensors":
        save_file({"a": torch.zeros(1), "b": torch.zeros(1)}, path)
    elif what == "code":
        torch.save({"state_dict": tensors, "x": Code()}, path)
    elif what == "plain pickled code":
        path.write_bytes(pickle.dumps(Code()))
    elif what == "truncated ckpt":
        torch.save({"state_dict": tensors}, path)
        path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(("what", "says"), [
    ("web page", "neither"), ("empty", "neither"), ("truncated", "damaged"), ("truncated header", "damaged"),
    ("LoRA", "is a LoRA, not a checkpoint"), ("embedding", "is an embedding, not"), ("old embedding", "is an embedding, not"),
    ("VAE", "VAE without"), ("other tensors", "not a Stable Diffusion checkpoint"), ("code", "perhaps code"),
    ("plain pickled code", "perhaps code"), ("truncated ckpt", "damaged"), ("missing", "There is no file")])
def test_what_is_no_checkpoint_is_refused_in_a_sentence(tmp_path, monkeypatch, tensors, what, says):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.safetensors"
    not_a_checkpoint(path, what, tensors)
    for reading in (checkpoint.read, checkpoint.header):
        with pytest.raises(UserError, match=says) as caught:
            reading(path)
        assert "m.safetensors" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "pickled-code-ran").exists()


def attack(name):
    """A pickle that gives the class or function `name` an attribute, then ends with an empty dictionary."""
    module, attribute = name.rsplit(".", 1)
    return (b"\x80\x02c" + module.encode() + b"\n" + attribute.encode() + b"\n"
            + b"N}X\x05\x00\x00\x00splitK\x07s\x86b0}.")  # state (None, {"split": 7}), BUILD, POP, {}


@pytest.mark.parametrize("name", ["torch.UntypedStorage", "torch.FloatStorage", "torch.storage.UntypedStorage", "torch._utils._rebuild_tensor_v2",
                                  "torch._utils._rebuild_parameter", "collections.OrderedDict", "lightning.Callback"])
def test_a_pickle_changes_nothing_of_torch(tmp_path, name):
    import importlib

    try:
        parent = importlib.import_module(name.rsplit(".", 1)[0])
        before = dict(vars(getattr(parent, name.rsplit(".", 1)[1])))
    except ImportError:
        parent = None
    with zipfile.ZipFile(tmp_path / "m.ckpt", "w") as file:
        file.writestr("m/data.pkl", attack(name))
        file.writestr("m/version", "3\n")
    with pytest.raises(UserError, match=r"m\.ckpt"):
        checkpoint.read(tmp_path / "m.ckpt")
    assert parent is None or dict(vars(getattr(parent, name.rsplit(".", 1)[1]))) == before
