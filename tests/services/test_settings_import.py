"""Settings files of other programs, sent as texts: a CONFIG and what was done with each setting."""

import json

import pytest

from lib_sdtune.config import Config

TOML = '[network_arguments]\nnetwork_dim = 8\n[optimizer_arguments]\nunet_lr = 1e-4\nmax_grad_norm = 0.0\nwandb_api_key = "hushed"\n'


def test_a_config_and_the_lists(ask, images):
    answer = ask("/import", {"files": [{"name": "a.toml", "text": TOML}], "images": str(images), "name": "ron"})
    config = Config.from_dict(answer["config"])
    assert (config.name, config.lora.dim, config.lora.alpha, config.concepts[0].images) == ("ron", 8, 1, str(images))
    assert any("network_dim" in line for line in answer["taken"]) and not answer["missing"]
    assert any(line.startswith("wandb_api_key") for line in answer["unsupported"]) and "hushed" not in json.dumps(answer)


def test_what_is_said_of_a_setting_is_told_apart_from_the_setting(ask, images):
    """So that a page says it in another language, and leaves the setting as it stands in the file."""
    answer = ask("/import", {"files": [{"name": "a.toml", "text": 'network_dim = 8\ncolor_aug = true\nmin_snr_gamma = "many"\n'}], "images": str(images)})
    codes = {line.split(" ")[0]: answer["codes"][line]["values"] for line in answer["unsupported"] if line in answer["codes"]}
    assert codes["color_aug"]["2"]["code"].startswith("changed colours") and codes["color_aug"]["1"].startswith("color_aug")
    assert codes["min_snr_gamma"]["2"] == {"code": "{1}; the default stands instead", "values": {"1": {"code": "not a number", "values": {}}}}


def test_a_loras_metadata(ask):
    metadata = {"ss_network_module": "networks.lora", "ss_network_dim": "12", "ss_network_alpha": "6", "ss_output_name": "hat"}
    answer = ask("/import", {"files": [{"name": "C:\\loras\\hat.safetensors", "text": json.dumps(metadata)}]})
    assert answer["config"]["lora"]["dim"] == 12 and answer["config"]["name"] == "hat"


def test_nothing_on_this_machine_is_read(ask, tmp_path, monkeypatch):
    """Neither a file that a text names nor a folder, whose numbered folders would give words."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.toml").write_text("[[datasets]]\n", encoding="utf-8")
    (tmp_path / "reg" / "1_secret words").mkdir(parents=True)
    text = f'train_data_dir = "x"\nnetwork_dim = 4\ndataset_config = "data.toml"\nreg_data_dir = "{tmp_path.as_posix()}/reg"\n'
    answer = ask("/import", {"files": [{"name": "../a.toml", "text": text}]})
    assert "secret words" not in json.dumps(answer) and any("data.toml" in line for line in answer["missing"])


@pytest.mark.parametrize("body, words", [
    ({}, '"files"'), ({"files": []}, '"files"'), ({"files": [3]}, "files[0]"), ({"files": [{"name": "a.json"}] * 99}, "20"),
    ({"files": [{"name": "", "text": ""}]}, "name"), ({"files": [{"name": "a.json", "text": "{"}]}, "a.json is not valid JSON"),
    ({"files": [{"name": "a.json", "text": 3}]}, '"text" must be text'), ({"files": [{"name": "a.ckpt", "text": ""}]}, "a.ckpt"),
    ({"files": [{"name": "a.txt", "text": "hello"}]}, "no settings file"), ({"file": []}, '"file"')])
def test_what_is_refused(ask, body, words):
    assert words in ask("/import", body, wrong=422)
