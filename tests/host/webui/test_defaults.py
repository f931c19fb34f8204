"""What suits the loaded checkpoint is what the form and a run begin with."""

from dataclasses import replace

from lib_sdtune.host.embedded import EMBEDDED, EmbeddedHost
from lib_sdtune.ldm import header
from lib_sdtune.sections.model import Model


def test_the_embedded_model_has_its_settings_in_the_webui_too(host, monkeypatch, tmp_path):
    general = host.defaults(Model())
    monkeypatch.setattr(host, "header", lambda model: header.read(EMBEDDED))
    settings, suited = host.defaults(Model()), EmbeddedHost(tmp_path).defaults(Model())
    assert "lora" in suited and suited["train"]["max_train_steps"] != general.get("train", {}).get("max_train_steps")
    assert {section: settings[section] for section in ("lora", "train", "loss", "dataset")} == {
        section: suited[section] for section in ("lora", "train", "loss", "dataset")}
    assert settings.get("sample") == general.get("sample"), "samples are drawn as the WebUI's own pictures begin"
    assert settings["model"] == general["model"], "the WebUI's clip skip stays"


def test_settings_in_a_stranger_s_checkpoint_are_not_followed(host, monkeypatch):
    general = host.defaults(Model())
    foreign = {"sdtune_defaults": '{"train": {"max_train_steps": 7}}'}
    monkeypatch.setattr(host, "header", lambda model: replace(header.read(EMBEDDED), metadata=foreign))
    assert host.defaults(Model()) == general
