"""A method, a network, an optimizer and a captioner, each one file outside the package: chosen, trained with, shown in the tab."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from safetensors import safe_open

from tests.test_architecture import ROOT

METHOD = '''
"""An offset on the UNet's answer."""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from lib_sdtune.declaration import Rate, option
from lib_sdtune.errors import require
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.methods import registry
from lib_sdtune.methods.base import Method, MethodSettings


@dataclass
class OffsetConfig(MethodSettings):
    """An offset for every channel."""

    lr: Rate = option(1e-2, "1e-2: how fast it learns.", low=0, high=10)
    start: float = option(0.0, "0: where it begins.", label="Offset at the start", low=-1, high=1)

    def check(self, config):
        require(self.start != 1, '"offset.start" is 1, which is nonsense; choose another.')


@registry.register("offset")
class Offset(Method):
    title = "Offset"
    Settings = OffsetConfig
    kind = "lora"

    def __init__(self, config, model):
        super().__init__(config, model)
        self.offset = nn.Parameter(torch.full((4, 1, 1), config.offset.start, device=model.device))

    def parameter_groups(self):
        return [{"name": "offset", "params": [self.offset], "lr": self.config.offset.lr}]

    def trains_text(self, step):
        return False

    def changes_text(self):
        return False

    @contextmanager
    def attached(self):
        hook = self.model.unet.register_forward_hook(lambda unet, inputs, answer: answer + self.offset.to(answer.dtype))
        try:
            yield
        finally:
            hook.remove()

    def tensors(self):
        return {"offset": self.offset.detach()}

    def load_tensors(self, tensors):
        self.offset.data.copy_(tensors["offset"])

    def export(self, path, metadata):
        safetensors.write(path, self.tensors(), metadata)
'''

NETWORK = '''
"""A full difference of the weight."""

import torch

from lib_sdtune.networks import registry
from lib_sdtune.networks.base import WeightAdapter, zero_parameter


@registry.register("full")
class Full(WeightAdapter):
    def __init__(self, layer, dim, alpha, generator=None):
        super().__init__(layer, dim, alpha, generator)
        self.difference = zero_parameter(self.shape, layer)

    def delta_weight(self):
        return self.difference

    def tensors(self):
        return {"diff": self.difference.data}

    def load_tensors(self, tensors):
        self.difference.data.copy_(tensors["diff"])

    @staticmethod
    def reads(tensors):
        return set(tensors) == {"diff"}

    @classmethod
    def dim_of(cls, tensors):
        return 1
'''

OPTIMIZER = '''
"""Steps by the gradient's sign alone."""

import torch

from lib_sdtune.optim import registry


@registry.register("SignSGD")
class SignSGD(torch.optim.Optimizer):
    bytes = 0

    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad.sign(), alpha=float(group["lr"]))
'''

CAPTIONER = '''
"""The width of a picture."""

from dataclasses import dataclass

from lib_sdtune.data.captioners import Captioner, registry
from lib_sdtune.declaration import option


@registry.register("width")
class Width(Captioner):
    label = "Width (a number)"

    @dataclass
    class Options:
        """How it is written."""

        unit: str = option("pixels", "pixels.", label="Unit of the width")

    def describe(self, image):
        return f"{image.width} {self.options.unit}"
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the plug-ins, pictures and a CONFIG."""
    folder = tmp_path_factory.mktemp("plugins")
    for kind, name, text in [("methods", "offset", METHOD), ("networks", "full", NETWORK), ("optim", "signsgd", OPTIMIZER),
                             ("captioners", "width", CAPTIONER)]:
        (folder / "own" / kind).mkdir(parents=True)
        (folder / "own" / kind / f"{name}.py").write_text(text)
    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(2):
        Image.effect_noise((64, 64), 50 + i).convert("RGB").save(pictures / f"{i}.png")
    (folder / "run.json").write_text(json.dumps({
        "name": "ron", "concepts": [{"images": "pictures", "prompt": "a photo of ron"}], "dataset": {"resolution": 64},
        "train": {"max_train_steps": 2, "lr_scheduler": "constant", "lr_warmup_steps": 0}, "save": {"precision": "float"}}))
    return folder


def python(place, plugins, code, *arguments):
    environment = {**os.environ, "SDTUNE_PLUGINS": str(place / plugins)}
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True)


SESSION = """
import contextlib, html, io, json, re, sys
from lib_sdtune.__main__ import main

def verb(*argv):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(argv))
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}

def tab():
    from lib_sdtune.ui.context import TabContext
    from lib_sdtune.ui.tab import build

    blocks = list(build(TabContext()).blocks.values())
    ids = {block.elem_id: block for block in blocks if getattr(block, "elem_id", None)}
    text = " ".join(str(block.value) for block in blocks if type(block).__name__ == "HTML")
    facts = {name: json.loads(html.unescape(re.search(f'data-{name}="([^"]*)"', text).group(1))) for name in ("facts", "methods")}
    return {"methods": ids["sdtune_method"].choices, "lr": ids["sdtune_offset_lr"].value, "start": ids["sdtune_offset_start"].label,
            "group": next(block.elem_classes for block in blocks if getattr(block, "label", "") == "Offset settings"),
            "networks": ids["sdtune_lora_network"].choices, "optimizers": ids["sdtune_train_optimizer"].choices,
            "scripts": facts["methods"]["offset"], "captioners": facts["facts"]["captioners"]}

config, data, pictures, out = sys.argv[1:]
train = ["train", config, "--data-dir", data, "--set"]
print(json.dumps({
    "lists": "".join(verb("list", kind)["out"] for kind in ("methods", "networks", "optimizers")),
    "schema": json.loads(verb("schema")["out"]),
    "method": verb(*train, "name=moved", "method=offset", "offset.lr=0.1"),
    "network": verb(*train, "name=signed", "lora.network=full", "train.optimizer=SignSGD", "lora.unet_lr=1e-3", "lora.text_encoder_lr=0"),
    "refused": verb(*train, "method=offset", "offset.start=1"),
    "captioner": verb("prepare", pictures, out, "--caption", "width"),
    "tab": tab() if __import__("importlib.util").util.find_spec("gradio") else None}))
"""


@pytest.fixture(scope="module")
def session(place):
    """What each verb and the tab say in one process that has the plug-ins."""
    done = python(place, "own", SESSION, place / "run.json", place / "data", place / "pictures", place / "out")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def artefact(outcome):
    assert outcome["code"] == 0, outcome["err"]
    return outcome["out"].splitlines()[-1]


def test_they_are_listed_and_declared(session):
    for words in ("offset               An offset on the UNet's answer.", "full                 A full difference of the weight.",
                  "SignSGD              Steps by the gradient's sign alone."):
        assert words in session["lists"]
    properties = session["schema"]["properties"]
    assert "offset" in properties["method"]["enum"] and "full" in properties["lora"]["properties"]["network"]["enum"]
    assert "SignSGD" in properties["train"]["properties"]["optimizer"]["enum"]
    assert properties["offset"]["properties"]["start"]["maximum"] == 1


def test_the_method_trains_to_a_file(place, session):
    with safe_open(artefact(session["method"]), "pt") as file:
        assert file.get_tensor("offset").abs().min() > 0.01 and file.metadata()["ss_output_name"] == "moved"
    assert json.loads((place / "data" / "sdtune" / "runs" / "moved" / "config.json").read_text())["offset"] == {"lr": 0.1, "start": 0.0}


def test_the_network_and_the_optimizer_train_to_a_file(session):
    with safe_open(artefact(session["network"]), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    assert all(name.endswith(".diff") for name in tensors)
    assert max(float(tensor.abs().max()) for tensor in tensors.values()) == pytest.approx(2e-3, rel=1e-3)


def test_the_methods_own_check_refuses(session):
    assert session["refused"]["code"] == 2
    assert session["refused"]["err"] == '"offset.start" is 1, which is nonsense; choose another.\n'


def test_the_captioner_writes_captions(place, session):
    assert session["captioner"]["code"] == 0
    assert {path.read_text().strip() for path in (place / "out").glob("*.txt")} == {"512 pixels"}


def test_the_tab_shows_them(session):
    tab = session["tab"]
    if tab is None:
        pytest.skip("gradio is not installed")
    assert tab["methods"][-1] == ["Offset", "offset"] and (tab["lr"], tab["start"]) == ("0.01", "Offset at the start")
    assert "sdtune-method-offset" in tab["group"]
    assert "full" in str(tab["networks"]) and "SignSGD" in str(tab["optimizers"])
    assert tab["scripts"] == {"title": "Offset", "tag": "lora", "cards": "lora", "word": False, "usable": True}
    captioner = next(entry for entry in tab["captioners"] if entry["name"] == "width")
    assert captioner["label"] == "Width (a number)" and [field["label"] for field in captioner["fields"]] == ["Unit of the width"]


LIST = "import sys; from lib_sdtune.__main__ import main; sys.exit(main(['list', 'networks']))"


@pytest.mark.parametrize("name, text, words", [("broken", "import nothing_of_that_name", ["broken.py", "nothing_of_that_name"]),
                                               ("lora", "", ["lora.py", "another name"])])
def test_a_plugin_that_cannot_be_used_is_named(place, name, text, words):
    folder = place / f"wrong-{name}"
    (folder / "networks").mkdir(parents=True)
    (folder / "networks" / f"{name}.py").write_text(text)
    done = python(place, folder.name, LIST)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and all(word in done.stderr for word in words)


def test_a_folder_of_plugins_that_is_not_there_is_named(place):
    done = python(place, "nowhere", LIST)
    assert done.returncode == 2 and "SDTUNE_PLUGINS" in done.stderr and "nowhere" in done.stderr
