"""A run goes on where its folders of pictures have moved, and not with other pictures in their place."""

import json

import pytest

from lib_sdtune.errors import UserError
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.training import state
from lib_sdtune.training.runs import RunFolder
from tests.hosts import TinyHost, pictures, settings, train
from tests.waiting import until


@pytest.fixture
def config(tmp_path):
    """(pictures, pictures that are measured) are in these folders."""
    images, aside = pictures(tmp_path / "here" / "10_ron"), pictures(tmp_path / "here" / "aside", 2, seed=1)
    return settings(images, validation={"images": str(aside), "every_n_steps": 3})


@pytest.fixture
def stopped(host, config):
    def stop(control):
        if control.state == "training" and control.step == 3:
            control.request("interrupt")

    return train(host, config, watch=stop).folder


def elsewhere(tmp_path, config):
    """The settings with both folders in another place."""
    config = json.loads(json.dumps(config).replace(str(tmp_path / "here"), str(tmp_path / "there")))
    assert str(tmp_path / "there") in config["concepts"][0]["images"]
    return config


def test_the_same_pictures_in_another_place_go_on_to_the_same_bytes(tmp_path, host, config, stopped, caplog):
    caplog.set_level("INFO", "sdtune")
    whole = TinyHost(tmp_path / "whole")
    train(whole, config)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = elsewhere(tmp_path, config)
    caplog.clear()
    assert train(host, moved, resume=True).state == "finished"
    files = [safetensors.Stored(each.folder("lora") / "ron.safetensors") for each in (host, whole)]
    assert all(files[0][name].equal(files[1][name]) for name in files[1])
    assert caplog.text.count("the pictures are the same.") == 2 and "10_ron now" in caplog.text
    caplog.clear()
    train(host, {**moved, "overwrite": True}, resume=True)
    assert "the pictures are the same." not in caplog.text


@pytest.mark.parametrize(("change", "key"), [
    (lambda place: (place / "10_ron" / "0.png").unlink(), r"concepts\[0\].images"),
    (lambda place: (place / "aside" / "0.png").unlink(), r"validation.images")])
def test_other_pictures_in_another_place_are_refused_and_the_settings_stay(tmp_path, host, config, stopped, change, key):
    (tmp_path / "here").rename(tmp_path / "there")
    change(tmp_path / "there")
    before = RunFolder(stopped).settings()
    with pytest.raises(UserError, match=f'"{key}" was .*here.* when the run began and is .*there.* now'):
        train(host, elsewhere(tmp_path, config), resume=True)
    assert RunFolder(stopped).settings() == before


def test_a_state_that_does_not_know_its_pictures_is_not_taken_elsewhere(tmp_path, host, config, stopped):
    path = state.newest(stopped)
    stored = safetensors.Stored(path)
    header = json.loads(stored.metadata["sdtune_state"])
    del header["sameness"]
    safetensors.write(path, dict(stored.items()), {"sdtune_state": json.dumps(header)})
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(UserError, match="when the run began"):
        train(host, elsewhere(tmp_path, config), resume=True)


def test_another_prompt_is_refused_also_where_the_folder_has_moved(tmp_path, host, config, stopped):
    (tmp_path / "here").rename(tmp_path / "there")
    moved = elsewhere(tmp_path, config)
    moved["concepts"][0]["prompt"] = "a photo of another cat"
    with pytest.raises(UserError, match='"concepts" was'):
        train(host, moved, resume=True)


def test_the_api_is_told_where_the_pictures_are_now(tmp_path, host, config, stopped):
    """Its sentence says how, before anything is queued; other pictures and other keys are refused there as well."""
    pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from lib_sdtune.api.router import attach
    from lib_sdtune.app import App

    app = App(lambda: host)
    client, address = TestClient(attach(FastAPI(), app), raise_server_exceptions=False), "/sdtune/v1/runs/ron/resume"
    (tmp_path / "here").rename(tmp_path / "there")
    images, aside = str(tmp_path / "there" / "10_ron"), str(tmp_path / "there" / "aside")
    other = str(pictures(tmp_path / "other", 2, seed=2))
    for body, word in (({}, 'concepts[0].images": "PATH"'), ({"images": [images]}, 'validation.images": "PATH"'),
                       ({"images": images}, "list"), ({"images": [images, images]}, "it has 1"), ({"images": [3]}, "path"),
                       ({"image": [images]}, "no folder of the run"), ({"concepts[1].images": images}, "no folder of the run"),
                       ({"images": [other], "validation.images": aside}, "when the run began"),
                       ({"images": [images], "validation.images": other}, "when the run began")):
        answer = client.post(address, json=body)
        assert answer.status_code == 422 and word in answer.json()["detail"], (body, answer.json())
        assert app.jobs.status("ron")["state"] == "stopped" and "here" in RunFolder(stopped).settings()["concepts"][0]["images"]
    answer = client.post(address, json={"images": [images], "validation.images": aside})
    assert answer.status_code == 200, answer.json()
    until(lambda: app.jobs.status("ron")["state"] == "finished")
    assert RunFolder(stopped).settings()["concepts"][0]["images"] == images


def test_folders_outside_of_those_allowed_are_not_named_anew(tmp_path, host, config, stopped):
    from lib_sdtune.access import Access
    from lib_sdtune.app import App

    jobs = App(lambda: host, Access(roots=lambda: [tmp_path / "here"])).jobs
    with pytest.raises(UserError, match="images"):
        jobs.request("ron", "resume", {"images": [str(pictures(tmp_path / "outside"))]})
    assert jobs.status("ron")["state"] == "stopped"
