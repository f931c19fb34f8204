"""What a user of the running WebUI gets: a LoRA that can be used at once, and a WebUI that noticed nothing."""

import threading
import time

import pytest
from safetensors import safe_open


def tensors(path):
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key).numpy().tobytes() for key in file.keys()}  # noqa: SIM118


def train(webui, config):
    status, answer = webui.tune("/runs", config)
    assert status == 201, answer
    return answer["id"]


def finished(run):
    return run["state"] == "finished"


def test_a_first_lora_is_listed_changes_the_picture_and_leaves_the_rest(webui, config):
    plain = webui.draw("a photo of ron")
    before = webui.memory()
    name = train(webui, {**config, "sample": {"prompts": ["a photo of ron"], "every_n_steps": 4, "steps": 2, "width": 64, "height": 64}})
    webui.until(name, lambda run: run["step"] >= 4)
    during = webui.memory()
    run = webui.until(name, finished)
    assert run["step"] == run["total_steps"] == 8 and run["loss"] > 0 and run["samples"] and run["resumable"] is False
    assert name in [entry["name"] for entry in webui.call("/sdapi/v1/loras")[1]]
    assert webui.draw("a photo of ron") == plain
    assert webui.draw(f"a photo of ron <lora:{name}:1>") != plain
    assert webui.draw("a photo of ron") == plain
    rows = webui.tune(f"/runs/{name}/log?since=5")[1]
    assert [row["step"] for row in rows] == [6, 7, 8]
    print(f"memory before {before / 2**20:.0f} MB, while training {during / 2**20:.0f} MB, after {webui.memory() / 2**20:.0f} MB")


def test_generations_in_between_change_nothing(webui, config):
    expected = webui.draw("a cat")
    quiet = train(webui, {**config, "name": "live quiet"})
    webui.until(quiet, finished)
    busy = train(webui, {**config, "name": "live busy", "train": {"max_train_steps": 8}})
    drawn = []
    users = [threading.Thread(target=lambda: drawn.append(webui.draw("a cat"))) for _ in range(3)]
    for number, user in enumerate(users):
        webui.until(busy, lambda run, n=number: run["step"] >= 1 + 2 * n)
        user.start()
    for user in users:
        user.join()
    webui.until(busy, finished)
    assert drawn == [expected] * 3
    files = [webui.run(name)["artefacts"][-1] for name in (quiet, busy)]
    assert tensors(files[0]) == tensors(files[1])


def test_pause_sample_save_stop_resume(webui, config):
    sample = {"prompts": ["ron"], "steps": 2, "width": 64, "height": 64}
    name = train(webui, {**config, "train": {"max_train_steps": 2000}, "sample": sample})
    webui.until(name, lambda run: run["step"] >= 2)
    assert webui.tune("/runs", {**config, "name": name})[0] == 409
    assert webui.order(f"/runs/{name}/resume")[0] == 409
    assert webui.order(f"/runs/{name}/pause")[0] == 200
    paused = webui.until(name, lambda run: run["state"] == "paused")
    webui.draw("a cat")
    assert webui.run(name)["step"] == paused["step"]
    assert webui.order(f"/runs/{name}/resume")[0] == 200
    webui.until(name, lambda run: run["step"] > paused["step"])
    assert webui.order(f"/runs/{name}/sample")[0] == webui.order(f"/runs/{name}/save")[0] == 200
    webui.until(name, lambda run: run["samples"] and run["artefacts"])
    assert webui.order(f"/runs/{name}/stop")[0] == 200
    stopped = webui.until(name, lambda run: run["state"] == "stopped")
    assert stopped["resumable"] and webui.order(f"/runs/{name}/stop")[0] == 409
    assert webui.order(f"/runs/{name}/resume")[0] == 200
    webui.until(name, lambda run: run["state"] == "training" and run["step"] > stopped["step"])
    assert webui.order(f"/runs/{name}/stop?save=false")[0] == 200
    webui.until(name, lambda run: run["state"] == "stopped")


def test_a_checkpoint_change_waits_for_the_run(webui, config):
    titles = [entry["title"] for entry in webui.call("/sdapi/v1/sd-models")[1]]
    mine = webui.call("/sdapi/v1/options")[1]["sd_model_checkpoint"]
    other = next((title for title in titles if title != mine), None)
    if other is None:
        pytest.skip("the WebUI has one checkpoint only")
    name = train(webui, {**config, "train": {"max_train_steps": 2000}})
    webui.until(name, lambda run: run["step"] >= 1)
    assert webui.call("/sdapi/v1/options", {"sd_model_checkpoint": other})[0] == 200
    assert webui.call("/sdapi/v1/options")[1]["sd_model_checkpoint"] == mine
    waiting = webui.tune("/")[1]
    assert waiting["on"]["id"] == name and [change["state"] for change in waiting["deferred_settings"]] == ["waiting"]
    assert waiting["deferred_settings"][0]["value"] in other
    webui.order(f"/runs/{name}/stop?save=false")
    webui.until(name, lambda run: run["state"] == "stopped")
    for _ in range(100):
        if webui.call("/sdapi/v1/options")[1]["sd_model_checkpoint"] == other:
            break
        webui.draw("a cat")
    assert webui.call("/sdapi/v1/options")[1]["sd_model_checkpoint"] == other
    webui.call("/sdapi/v1/options", {"sd_model_checkpoint": mine})
    webui.draw("a cat")


BAD = {
    "unknown key": ({"tran": {}}, "tran"),
    "wrong type": ({"train": {"max_train_steps": "many"}}, "max_train_steps"),
    "out of range": ({"lora": {"dim": 0}}, "dim"),
    "contradiction": ({"train": {"max_train_steps": 0, "max_train_epochs": 0}}, "max_train_"),
    "no such folder": ({"concepts": [{"images": "/no/such/folder"}]}, "/no/such/folder"),
    "path in the name": ({"name": "../evil"}, "name"),
    "reserved name": ({"name": "NUL"}, "Windows"),
    "long name": ({"name": "x" * 300}, "300"),
    "unknown checkpoint": ({"model": {"checkpoint": "no such.safetensors"}}, "no such.safetensors"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_input_is_one_sentence(webui, config, case):
    changes, named = BAD[case]
    before = len(webui.tune("/runs")[1])
    status, answer = webui.tune("/runs", {**config, **changes})
    assert status == 422 and named in answer["detail"] and "\n" not in answer["detail"], answer
    assert len(webui.tune("/runs")[1]) == before


def test_unknown_runs_and_orders(webui):
    assert webui.tune("/runs/nobody")[0] == webui.order("/runs/nobody/stop")[0] == 404
    assert webui.order("/runs/nobody/dance")[0] == 404
    assert webui.tune("/runs/..%2f..%2fetc")[0] == 404
    assert webui.tune("/runs", b"not json")[0] == 422


def test_other_sites_pages_are_refused(webui, config):
    assert webui.tune("/runs", config, headers={"Origin": "http://evil.example"})[0] == 403
    assert webui.tune("/runs/x/stop", b"", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_reload_ui_and_interrupt_leave_the_run_alone(webui, config):
    name = train(webui, {**config, "train": {"max_train_steps": 5000}})
    before = webui.until(name, lambda run: run["step"] >= 1)
    webui.call("/sdapi/v1/interrupt", {})
    assert press(webui, "settings_restart_gradio")[0] == 200
    after = wait_for_server(webui, name, before["step"])
    assert after["state"] == "training"
    webui.order(f"/runs/{name}/stop?save=false")
    webui.until(name, lambda run: run["state"] == "stopped")


def press(webui, button):
    """A click on a button of the WebUI's page, as gradio's own page sends it."""
    page = webui.call("/config")[1]
    number = next(part["id"] for part in page["components"] if part["props"].get("elem_id") == button)
    clicks = [index for index, event in enumerate(page["dependencies"]) if str(number) in str(event["targets"])]
    return webui.call("/run/predict", {"fn_index": clicks[0], "data": [], "session_hash": "sdtune"})


def wait_for_server(webui, name, step, seconds=300):
    """The run's status once the page is served again and the run has gone on."""
    deadline = time.monotonic() + seconds
    gone = False
    while time.monotonic() < deadline:
        time.sleep(0.5)
        try:
            run = webui.run(name)
        except OSError:
            gone = True
            continue
        if gone and run.get("step", 0) > step:
            return run
    raise AssertionError("the page did not come back")
