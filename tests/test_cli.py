"""The command line: how settings come in, and what each verb prints. Runs themselves are in test_end_to_end.py."""

import json
import logging
import os
import subprocess
import sys

import pytest

from lib_sdtune.__main__ import VERBS, main, parser
from lib_sdtune.cli.console import speak
from lib_sdtune.cli.presets import own_presets, settings_of
from lib_sdtune.cli.settings import absolute, assign, read
from lib_sdtune.cli.train import checked_config, settings
from lib_sdtune.errors import UserError
from tests.test_architecture import ROOT


@pytest.mark.parametrize("change, place, value", [
    ("train.seed=7", ("train", "seed"), 7),
    ("lora.alpha=4", ("lora", "alpha"), 4),
    ("lora.unet_lr=1e-3", ("lora", "unet_lr"), 1e-3),
    ("lora.unet_lr=1e-3:20, 1e-4", ("lora", "unet_lr"), "1e-3:20, 1e-4"),
    ("dataset.flip_aug=True", ("dataset", "flip_aug"), True),
    ("name=123", ("name",), "123"),
    ("concepts.0.prompt=true", ("concepts", 0, "prompt"), "true"),
    ("concepts[0].repeats=null", ("concepts", 0, "repeats"), None),
    ("concepts.1.images=a b=c", ("concepts", 1, "images"), "a b=c"),
    ("sample.prompts=a cat, red", ("sample", "prompts"), ["a cat, red"]),
    ('sample.prompts=["a", "b"]', ("sample", "prompts"), ["a", "b"]),
    ("hypernetwork.layer_structure=1, 2, 1", ("hypernetwork", "layer_structure"), [1, 2, 1]),
    ('train.optimizer_args={"weight_decay": 0.1}', ("train", "optimizer_args"), {"weight_decay": 0.1}),
    ("train.seed=seven", ("train", "seed"), "seven"),
    ("train.optimizer_args.weight_decay=0.1", ("train", "optimizer_args", "weight_decay"), 0.1),
    ("train.optimizer_args.betas=[0.9, 0.99]", ("train", "optimizer_args", "betas"), [0.9, 0.99]),
    ("train.optimizer_args.decouple=True", ("train", "optimizer_args", "decouple"), True),
    ("train.optimizer_args.mode=norm", ("train", "optimizer_args", "mode"), "norm"),
    ("model.base_loras=ron:0.5", ("model", "base_loras"), ["ron:0.5"]),
    ('model.base_loras="ron:0.5", "tom"', ("model", "base_loras"), ["ron:0.5", "tom"]),
    ("model.base_loras=", ("model", "base_loras"), []),
    ("model.base_loras=12", ("model", "base_loras"), ["12"]),
    ('model.base_loras=[["ron", 0.5], "tom"]', ("model", "base_loras"), [["ron", 0.5], "tom"]),
    ("model.base_loras=[old] ron", ("model", "base_loras"), ["[old] ron"]),
    ("hypernetwork.layer_structure=1, x", ("hypernetwork", "layer_structure"), ["1, x"]),
])
def test_set_types_its_text_as_declared(change, place, value):
    data = {"concepts": [{"images": "x"}]}
    assign(data, change)
    for part in place:
        data = data[part]
    assert data == value and type(data) is type(value)


@pytest.mark.parametrize("change", ["train.seed", "=7", "...=7", "concepts.7.images=x", "name.x=1", "concepts.first=x"])
def test_set_refuses_a_place_that_is_none(change):
    with pytest.raises(UserError, match="--set"):
        assign({"name": "ron", "concepts": [{"images": "x"}]}, change)


@pytest.mark.parametrize("argv", [["run.json", "--set", "train.seed=7", "name=b"], ["run.json", "--set", "train.seed=7", "--set", "name=b"],
                                  ["--set", "train.seed=7", "name=b", "run.json"]])
def test_set_may_stand_anywhere(tmp_path, monkeypatch, argv):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text('{"name": "a"}')
    assert settings(parser(["train"]).parse_args(["train", *argv])) == {"name": "b", "train": {"seed": 7}}


def test_paths_are_relative_to_the_config_file(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "model.safetensors").touch()
    (tmp_path / "deep" / "run.toml").write_text(
        'name = "ron"\n[[concepts]]\nimages = "../pictures"\nclass_images = "/abs/reg"\nprompt = "a cat"\n'
        '[model]\ncheckpoint = "model.safetensors"\n')
    data = read(tmp_path / "deep" / "run.toml")
    assert data["concepts"][0] == {"images": str(tmp_path / "pictures"), "class_images": "/abs/reg", "prompt": "a cat"}
    assert data["model"]["checkpoint"] == str(tmp_path / "deep" / "model.safetensors")
    assert absolute({"model": {"checkpoint": "a name"}}, tmp_path)["model"]["checkpoint"] == "a name"


@pytest.mark.parametrize("file, text, words", [
    ("run.json", '{"name": "ron",}', ["line 1"]),
    ("run.json", "[]", ["group of settings"]),
    ("run.json", '{"name": "a", "name": "b"}', ['"name"', "twice"]),
    ("run.json", "[" * 100_000, ["nested"]),
    ("run.toml", "name = ", ["TOML"]),
    ("run.toml", 'name = 2024-05-01\n[[concepts]]\nimages = "x"', ['"name" must be text, not 2024-05-01.']),
    ("run.json", b"\xff\xfe\x00", ["UTF-8"]),
])
def test_a_file_that_is_no_config_is_refused(tmp_path, file, text, words, capsys):
    path = tmp_path / file
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["train", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(path) in error or '"name"' in error
    assert all(word in error for word in words)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "run.json").write_bytes(b"\xef\xbb\xbf" + b'{"name": "ron"}')
    assert read(tmp_path / "run.json") == {"name": "ron"}


@pytest.mark.parametrize("kind, expected", [("methods", "lora"), ("networks", "lora"), ("optimizers", "Lion"), ("families", "sd1"),
                                            ("presets", "subject-sd1")])
def test_list_names_what_can_be_chosen(kind, expected, capsys):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert expected in [line.split()[0] for line in lines] and all(len(line.split()) > 1 for line in lines)
    assert kind == "presets" or all(line.endswith(".") for line in lines)  # whole sentences


@pytest.mark.parametrize("rank, spoken", [("0", "told\nwarned\n"), ("1", "warned\n")])
def test_of_several_processes_the_first_one_speaks(monkeypatch, capsys, rank, spoken):
    monkeypatch.setenv("RANK", rank)
    log = logging.getLogger("sdtune.spoken")
    with speak(log):
        log.info("told")
        log.warning("warned")
    assert capsys.readouterr().out == spoken


def test_presets_saved_in_the_tab_are_known_by_name(tmp_path, capsys):
    data_dir = tmp_path / "data"
    saved = own_presets(str(data_dir))
    saved.save({"name": "my cats", "settings": {"method": "lora", "lora": {"dim": 3}, "train": {"max_train_steps": 7}}})
    assert main(["list", "presets", "--data-dir", str(data_dir)]) == 0 and "my cats" in capsys.readouterr().out
    data = {"name": "ron", "concepts": [{"images": "x"}], "train": {"max_train_steps": 9}}
    config, _ = checked_config(data, str(data_dir), preset="my cats")
    assert (config.lora.dim, config.train.max_train_steps) == (3, 9)
    (saved.folder / "broken.json").write_text("{")
    for name, words in (("my cat", "did you mean 'my cats'"), ("broken", "damaged")):
        with pytest.raises(UserError, match=words):
            checked_config(data, str(data_dir), preset=name)


def test_an_own_preset_goes_before_a_built_in_one_and_says_so(tmp_path, capsys):
    own_presets(str(tmp_path)).save({"name": "subject-sd1", "settings": {"lora": {"dim": 3}}})
    assert settings_of("subject-sd1", str(tmp_path)) == {"lora": {"dim": 3}}
    assert "subject-sd1.json, not the built-in" in capsys.readouterr().err
    settings_of("subject-sd2", str(tmp_path))
    assert capsys.readouterr().err == ""


def test_a_preset_for_another_family_is_told(tmp_path, capsys):
    data = {"name": "ron", "concepts": [{"images": "x"}]}
    checked_config(data, str(tmp_path), preset="character-sdxl")
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1 and all(word in warning for word in ("'character-sdxl'", "SDXL", "sdtune-embedded", "SD1", "character-sd1,"))
    own_presets(str(tmp_path)).save({"name": "mine", "settings": {"lora": {"dim": 3}}})
    for suited in ("character-sd1", "mine", ""):
        checked_config(data, str(tmp_path), preset=suited)
        assert capsys.readouterr().err == ""


def test_schema_is_json_and_nothing_else(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["required"] == ["name", "concepts"]


def test_import_replaces_nothing_but_an_earlier_config(tmp_path, capsys):
    theirs, mine, new = (tmp_path / name for name in ("theirs.toml", "mine.json", "new.json"))
    theirs.write_text('network_module = "networks.lora"\nunet_lr = 1e-3\n')
    mine.write_text("{}")
    for out, word in ((theirs, "exists already"), (mine, "exists already"), (tmp_path, "folder")):
        before = [path.read_bytes() for path in (theirs, mine)]
        assert main(["import", str(theirs), "--out", str(out)]) == 2
        printed = capsys.readouterr()
        assert str(out) in printed.err and word in printed.err and printed.err.count("\n") == 1
        assert [path.read_bytes() for path in (theirs, mine)] == before
    for _ in range(2):  # a CONFIG that was imported before can be imported again
        assert main(["import", str(theirs), "--out", str(new)]) == 0 and json.loads(new.read_text())["lora"]["unet_lr"] == 1e-3
    assert main(["compare", "one", "other", "--data-dir", str(tmp_path), "--out", str(mine)]) == 2
    assert str(mine) in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows makes no links without a privilege")
def test_a_link_that_leads_nowhere_is_refused_before_any_work(pictures, tmp_path, capsys):
    """A disk that is not mounted: nothing could be written at the end."""
    import torch
    from safetensors.torch import save_file

    gone = tmp_path / "gone"
    gone.symlink_to(tmp_path / "disk")
    data = tmp_path / "data"
    (data / "models").mkdir(parents=True)
    (data / "models" / "Lora").symlink_to(tmp_path / "disk" / "Lora")
    save_file({"lora_unet_x.alpha": torch.tensor(1.0)}, tmp_path / "a.safetensors")
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"name": "ron", "concepts": [{"images": str(pictures), "prompt": "a cat"}], "train": {"max_train_steps": 1}}))
    for command, link in ((["train", str(run), "--data-dir", str(data)], data / "models" / "Lora"),
                          (["train", str(run), "--data-dir", str(gone)], gone),
                          (["sample", "--prompt", "a", "--out", str(gone)], gone),
                          (["class-pictures", str(run), "--data-dir", str(tmp_path / "new"), "--set", "concepts.0.class_images=" + str(gone),
                            "concepts.0.class_prompt=a cat", "concepts.0.num_class_images=2"], gone),
                          (["lora", "resize", str(tmp_path / "a.safetensors"), str(gone / "b.safetensors"), "--dim", "1"], gone)):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert str(link) in error and "link" in error and error.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([verb, "--help"])
    assert leaving.value.code == 0 and "usage:" in capsys.readouterr().out


def test_a_smaller_resolution_keeps_the_pictures_shapes(tmp_path, capsys):
    from PIL import Image

    (tmp_path / "wide").mkdir()
    Image.linear_gradient("L").resize((400, 200)).save(tmp_path / "wide" / "a.png")
    assert main(["inspect", str(tmp_path / "wide"), "--json", "--set", "dataset.resolution=256"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"][0]["bucket"] == [320, 192]
    assert main(["prepare", str(tmp_path / "wide"), str(tmp_path / "out"), "--resolution", "256"]) == 0
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (320, 192)


def test_what_suits_the_model_counts_before_settings_contradict_each_other(tmp_path, monkeypatch):
    from lib_sdtune.host.embedded import EmbeddedHost

    suited = {"dataset": {"resolution": 1024, "min_bucket_reso": 512, "max_bucket_reso": 2048}}
    monkeypatch.setattr(EmbeddedHost, "defaults", lambda host, model_settings: suited)
    data = {"name": "ron", "concepts": [{"images": "x"}], "dataset": {"min_bucket_reso": 640}}
    assert checked_config(data, str(tmp_path))[0].dataset.min_bucket_reso == 640


@pytest.mark.parametrize("argv, word", [([], "VERB"), (["trian"], "'trian'"), (["train"], "CONFIG"), (["list", "method"], "methods"),
                                        (["sample", "--prompt", "x", "--out", "o", "--steps", "many"], "--steps"),
                                        (["train", "c.json", "--rseume"], "--rseume")])
def test_wrong_arguments_are_one_sentence(argv, word, capsys):
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and word in printed.err


def test_the_process_exits_with_the_code_and_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "lib_sdtune", "train", str(tmp_path / "none.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "none.json" in done.stderr


def test_a_python_without_docstrings_runs_the_verbs():
    command = [sys.executable, "-OO", "-m", "lib_sdtune", "list", "presets"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "subject-sd1" in done.stdout


def test_debug_shows_the_traceback(tmp_path, capsys):
    assert main(["train", str(tmp_path / "none.json"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path):
    from PIL import Image

    folder = tmp_path / "10_ron"
    folder.mkdir()
    for i in range(3):
        Image.linear_gradient("L").rotate(90 * i).save(folder / f"{i}.png")
    (folder / "0.txt").write_text("ron, a grey slope")
    (folder / "broken.png").write_bytes(b"\x89PNG")
    return folder


def test_inspect_a_folder(pictures, capsys):
    assert main(["inspect", str(pictures)]) == 0
    text = capsys.readouterr().out
    assert "3 pictures, 1 with a caption" in text and "512x512" in text and "broken.png" in text and "a grey slope" in text
    assert main(["inspect", str(pictures), "--json", "--set", "dataset.resolution=256"]) == 0
    inspection = json.loads(capsys.readouterr().out)
    assert (inspection["images"], inspection["captions"], inspection["buckets"]) == (3, 1, {"256x256": 3})


@pytest.mark.parametrize("path, word", [("nowhere", "nowhere"), ("10_ron/0.png", "folder"), ("10_ron/0.txt", "0.txt"), (".", "")])
def test_inspect_refuses_in_one_sentence(pictures, capsys, path, word):
    where = pictures.parent / path if path != "." else pictures.parent / "empty"
    where.mkdir() if path == "." else None
    assert main(["inspect", str(where), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and word in printed.err and "concepts" not in printed.err


def test_templates_of_the_data_folder_count(pictures, tmp_path, capsys):
    templates = tmp_path / "data" / "textual_inversion_templates"
    templates.mkdir(parents=True)
    (templates / "mine.txt").write_text("a nice [name]")
    settings = {"name": "zwxq", "method": "textual_inversion", "concepts": [{"images": str(pictures), "prompt": "mine.txt"}],
             "train": {"max_train_steps": 1}}
    (tmp_path / "run.json").write_text(json.dumps(settings))
    assert main(["train", str(tmp_path / "run.json"), "--data-dir", str(tmp_path / "data")]) == 0
    assert (tmp_path / "data" / "embeddings" / "zwxq.safetensors").is_file()


def test_prepare_makes_a_folder_that_trains(pictures, capsys):
    out = pictures.parent / "out"
    command = ["prepare", str(pictures), str(out), "--resolution", "128", "--folder", "5_ron", "--trigger", "ron", "--flip"]
    assert main([*command, "--replace", "a grey slope=fog"]) == 0
    text = capsys.readouterr().out
    assert "broken.png" in text and len(list(out.rglob("*.png"))) == 6
    assert "ron, fog" in {path.read_text().strip() for path in out.rglob("*.txt")}
    assert main(["inspect", str(out), "--json", "--set", "dataset.resolution=128"]) == 0
    assert json.loads(capsys.readouterr().out)["folders"]["5_ron"] == {"images": 6, "repeats": 5, "is_class": False}
    name = next(path.name for path in sorted(pictures.iterdir()) if path.suffix == ".png" and path.name != "broken.png")
    assert main([*command, "--crop-box", f"{name}=0,0,.5,1"]) == 0
    assert "cropped by hand" in (out / "manifest.json").read_text()
    capsys.readouterr()
    assert main(command) == 0
    assert "0 removed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, word", [
    (["--crop", "middle"], "crop"),
    (["--resolution", "1"], "resolution"),
    (["--resolution", "big"], "resolution"),
    (["--caption", "blip"], "WebUI"),
    (["--caption", "blop"], "'blip'"),
    (["--replace", "x"], "OLD=NEW"),
    (["--replace-regex", "(=x"], "("),
    (["--crop-box", "a.png"], "FILE="),
    (["--crop-box", "a.png=1,2"], "four numbers"),
    (["--crop-box", "nobody.png=0,0,1,1"], "no such picture"),
])
def test_prepare_refuses_in_one_sentence(pictures, capsys, arguments, word):
    assert main(["prepare", str(pictures), str(pictures.parent / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and word in error and not (pictures.parent / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
@pytest.mark.parametrize("verb", [["schema"], ["list", "presets"], ["--help"]])
def test_a_reader_that_has_gone_is_no_error(verb):
    command = f"{sys.executable} -u -m lib_sdtune {' '.join(verb)} | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 1, "")


@pytest.mark.parametrize(("asked", "drawn_with"), [([], "Steps: 20, Sampler: Euler a, CFG scale: 2.0"),
                                                   (["--cfg-scale", "5", "--steps", "3"], "Steps: 3, Sampler: Euler a, CFG scale: 5.0")])
def test_pictures_are_drawn_with_what_suits_the_checkpoint(tmp_path, asked, drawn_with):
    from PIL import Image

    folder = tmp_path / "out"
    assert main(["sample", "--prompt", "a red star", "--out", str(folder), "--data-dir", str(tmp_path), *asked]) == 0
    assert drawn_with in Image.open(folder / "00000.png").text["parameters"]
