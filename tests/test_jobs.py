"""The queue of runs: states, wishes, and what is left after the process ended."""

import shutil
import time
from unicodedata import normalize

import pytest

from lib_sdtune.access import Access
from lib_sdtune.errors import NameTaken, NotFound, UserError, WrongState
from lib_sdtune.formats.files import read_json, write_json
from lib_sdtune.jobs import Jobs
from lib_sdtune.services.context import ServiceContext
from tests.hosts import TinyHost, pictures, settings
from tests.waiting import until


@pytest.fixture
def host(tmp_path):
    return TinyHost(tmp_path / "data")


@pytest.fixture
def jobs(host):
    jobs = Jobs(ServiceContext(lambda: host))
    yield jobs
    for name in list(jobs.controls):
        if jobs.is_live(name):
            jobs.request(name, "stop_without_saving")
    until(lambda: jobs.queue.idle)


@pytest.fixture
def images(tmp_path):
    return pictures(tmp_path / "10_ron", count=2)


def state(jobs, name):
    return jobs.status(name)["state"]


def long(images, name="ron"):
    return settings(images, name, train={"max_train_steps": 5000})


def test_a_run_is_the_one_that_the_disk_shows_however_it_spells_it(jobs, images, host, monkeypatch):
    """Disks of Windows and macOS find "RON" as "ron", and some write an accent as a letter and a mark."""
    name = jobs.submit(long(images, "Jürgen"))
    folder, spelled = jobs.folder(name).path, normalize("NFD", "Jürgen")
    until(lambda: state(jobs, name) == "training")
    folder.with_name(spelled).symlink_to(folder)  # stands for the one folder under both
    monkeypatch.setattr("os.listdir", lambda path: [spelled])
    assert jobs.folder(name).path.name == spelled and jobs.is_live(spelled)
    with pytest.raises(WrongState, match="stop it first"):
        jobs.delete(spelled)
    assert jobs.status(spelled)["state"] == jobs.status(name)["state"] != "stopped"


def test_two_runs_that_a_disk_tells_apart_stay_two(jobs, images, host):
    jobs.submit(long(images, "ron"))
    other = jobs.folder("ron").path.with_name("Ron")
    shutil.copytree(jobs.folder("ron").path, other, ignore=shutil.ignore_patterns("*.tmp"))
    assert not jobs.is_live("Ron") and jobs.is_live("ron")
    jobs.delete("Ron")
    assert jobs.is_live("ron")


def test_runs_wait_for_each_other(jobs, images):
    first, second = jobs.submit(long(images, "one")), jobs.submit(settings(images, "two", train={"max_train_steps": 1}))
    until(lambda: jobs.status(first)["step"] >= 1)
    assert state(jobs, second) == "queued"
    jobs.request(first, "stop")
    until(lambda: state(jobs, second) == "finished")
    assert state(jobs, first) == "stopped" and jobs.status(first)["artefacts"]
    assert [run["id"] for run in jobs.runs()] == [first, second]


def test_validation_pictures_that_cannot_be_measured_are_refused_before_it_waits(jobs, images, tmp_path):
    same = shutil.copytree(images, tmp_path / "same")
    for folder, why in ((tmp_path / "nope", "there is no folder"), (same, "trained on as well")):
        with pytest.raises(UserError, match=rf'"validation\.images": .*{why}'):
            jobs.submit(settings(images, validation={"images": str(folder)}))
    assert not jobs.runs()


def test_a_name_in_use_is_refused(jobs, images):
    jobs.submit(long(images))
    with pytest.raises(NameTaken, match="ron is"):
        jobs.submit(long(images))


def test_pause_resume_sample_save(jobs, host, images):
    name = jobs.submit({**long(images), "sample": {"prompts": ["ron"], "every_n_steps": 0}})
    until(lambda: jobs.status(name)["step"] >= 1)
    with pytest.raises(WrongState, match="is training"):
        jobs.request(name, "resume")
    jobs.request(name, "pause")
    until(lambda: state(jobs, name) == "paused")
    step = jobs.status(name)["step"]
    time.sleep(0.2)
    assert jobs.status(name)["step"] == step
    with pytest.raises(WrongState, match="is paused"):
        jobs.request(name, "pause")
    jobs.request(name, "sample")
    jobs.request(name, "save")
    until(lambda: jobs.status(name)["samples"] and jobs.status(name)["artefacts"])
    until(lambda: state(jobs, name) == "paused")
    assert jobs.status(name)["step"] == step and len(jobs.status(name)["artefacts"]) == len(jobs.status(name)["samples"]) == 1
    jobs.request(name, "resume")
    until(lambda: jobs.status(name)["step"] > step)
    jobs.request(name, "sample")
    jobs.request(name, "save")
    until(lambda: len(jobs.status(name)["samples"]) == len(jobs.status(name)["artefacts"]) == 2)
    assert jobs.sample(name, jobs.status(name)["samples"][0].replace("\\", "/").split("/")[-1]).exists()


def test_a_paused_run_stops_where_it_is(jobs, images):
    name = jobs.submit({**long(images), "sample": {"prompts": ["ron"], "every_n_steps": 1}})
    until(lambda: jobs.status(name)["step"] >= 1)
    jobs.request(name, "pause")
    until(lambda: state(jobs, name) == "paused")
    step, shown = jobs.status(name)["step"], jobs.status(name)["samples"]
    jobs.request(name, "stop_without_saving")
    until(lambda: state(jobs, name) == "stopped")
    assert jobs.status(name)["step"] == step and jobs.status(name)["samples"] == shown and len(set(shown)) == len(shown) == step


def test_a_waiting_run_can_be_taken_back_and_put_in_again(jobs, images):
    jobs.submit(long(images, "one"))
    waiting = jobs.submit(settings(images, "two", train={"max_train_steps": 1}))
    with pytest.raises(WrongState, match="is queued"):
        jobs.request(waiting, "sample")
    jobs.request(waiting, "stop")
    assert state(jobs, waiting) == "stopped"
    jobs.request("one", "stop_without_saving")
    until(lambda: state(jobs, "one") == "stopped")
    with pytest.raises(WrongState, match="is stopped"):
        jobs.request("one", "pause")


def test_a_stopped_run_goes_on(jobs, images):
    name = jobs.submit(settings(images, train={"max_train_steps": 400}, save={"state_every_n_steps": 1},
                                sample={"prompts": ["ron"], "every_n_steps": 2}))
    until(lambda: jobs.status(name)["step"] >= 2 and jobs.status(name)["samples"])
    jobs.request(name, "stop_without_saving")
    until(lambda: state(jobs, name) == "stopped")
    stopped = jobs.status(name)
    assert stopped["resumable"] and not stopped["artefacts"]
    jobs.request(name, "resume")
    assert jobs.status(name)["samples"][:len(stopped["samples"])] == stopped["samples"]
    until(lambda: jobs.status(name)["step"] > stopped["step"] or state(jobs, name) == "finished")


def test_what_a_killed_process_leaves_is_listed_and_goes_on(jobs, host, images):
    name = jobs.submit(settings(images, train={"max_train_steps": 6}))
    until(lambda: state(jobs, name) == "finished")
    folder = jobs.folder(name)
    (host.folder("lora") / "ron.safetensors").unlink()
    for file in sorted((folder.path / "state").glob("*"))[1:]:
        file.unlink()
    write_json(folder.path / "status.json", {**read_json(folder.path / "status.json"), "state": "training", "step": 4, "artefacts": []})

    again = Jobs(ServiceContext(lambda: host))  # as after a restart
    assert again.status(name)["state"] == "stopped" and again.status(name)["resumable"] and "resume" in again.status(name)["message"]
    again.request(name, "resume")
    until(lambda: again.status(name)["state"] == "finished")
    assert again.status(name)["step"] == 6 and (host.folder("lora") / "ron.safetensors").exists()


def test_an_end_that_is_not_on_the_disk_yet_is_an_end(jobs, images):
    name = jobs.submit(settings(images))
    until(lambda: state(jobs, name) == "finished")
    until(lambda: jobs.queue.current is None)
    file = jobs.folder(name).path / "status.json"
    write_json(file, read_json(file) | {"state": "training"})
    assert state(jobs, name) == "finished"


def test_a_run_cut_off_before_its_first_state_begins_anew(host, images):
    name = Jobs(ServiceContext(lambda: host)).submit(settings(images, "late", train={"max_train_steps": 1}))
    folder = Jobs(ServiceContext(lambda: host)).folder(name)
    until(lambda: folder.status().get("state") == "finished")
    for file in [*host.folder("lora").iterdir(), *(folder.path / "state").iterdir()]:
        file.unlink()
    write_json(folder.path / "status.json", {**folder.status(), "state": "queued", "artefacts": []})
    again = Jobs(ServiceContext(lambda: host))
    assert again.status(name)["resumable"]
    again.request(name, "resume")
    until(lambda: again.status(name)["state"] == "finished")


def test_a_failed_run_tells_why_and_the_next_one_works(jobs, host, images, monkeypatch):
    def no_memory(*args, **kwargs):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr("lib_sdtune.training.objective.Objective.predict", no_memory)
        name = jobs.submit(settings(images, "greedy"))
        until(lambda: state(jobs, name) == "failed")
    seen = jobs.status(name)
    assert [seen["message"].index(word) for word in ("batch size", "gradient checkpointing", "resolution", "dim")] == sorted(
        seen["message"].index(word) for word in ("batch size", "gradient checkpointing", "resolution", "dim"))
    assert seen["failure"]["settings"] and (jobs.folder(name).path / "run.log").read_text()
    assert "greedy" in jobs.report(name) and "out of memory" in jobs.report(name)
    modest = jobs.submit(settings(images, "modest", train={"max_train_steps": 1}))
    until(lambda: state(jobs, modest) == "finished")


def test_giving_up_while_the_model_is_not_free(host, images):
    class Busy(TinyHost):
        def borrow(self, model_settings, method=None):
            while True:
                self.on_wait()
                time.sleep(0.01)

    jobs = Jobs(ServiceContext(lambda: Busy(host.data_dir)))
    name = jobs.submit(settings(images, "patient"))
    until(lambda: "waiting for the model" in jobs.status(name)["message"])
    jobs.request(name, "stop")
    until(lambda: state(jobs, name) == "stopped")


@pytest.mark.parametrize("name", ["nobody", "../ron", "", "a/b", "NUL"])
def test_unknown_runs(jobs, name):
    for ask in (jobs.status, jobs.config, jobs.log, jobs.delete, lambda name: jobs.request(name, "stop")):
        with pytest.raises(NotFound):
            ask(name)


def test_only_its_samples_are_shown(jobs, host, images):
    name = jobs.submit(settings(images, train={"max_train_steps": 1}))
    until(lambda: state(jobs, name) == "finished")
    for file in ("../config.json", "config.json", "/etc/passwd", ""):
        with pytest.raises(NotFound):
            jobs.sample(name, file)


def test_deleting_takes_the_run_folder_and_leaves_the_file(jobs, host, images, monkeypatch):
    name = jobs.submit(settings(images, train={"max_train_steps": 1}))
    monkeypatch.setattr(host, "free_memory", lambda: time.sleep(0.3) or (jobs.folder(name).path / "late.txt").write_text("last words"), raising=False)
    until(lambda: state(jobs, name) == "finished")
    jobs.delete(name)
    assert not (host.folder("sdtune") / "runs" / name).exists() and jobs.queue.current is None
    assert (host.folder("lora") / "ron.safetensors").exists()
    with pytest.raises(NotFound):
        jobs.status(name)


def test_folders_outside_the_allowed_ones_are_refused_and_nothing_is_written(host, images, tmp_path):
    jobs = Jobs(ServiceContext(lambda: host, Access(roots=lambda: [tmp_path / "elsewhere"])))
    with pytest.raises(UserError, match="allowed"):
        jobs.submit(settings(images))
    assert not (host.data_dir / "sdtune").exists()


def test_a_dataset_toml_cannot_lead_outside_the_allowed_folders(host, images, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "set.toml").write_text(f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = '{images}'\n", encoding="utf-8")
    jobs = Jobs(ServiceContext(lambda: host, Access(roots=lambda: [allowed])))
    with pytest.raises(UserError, match="allowed"):
        jobs.submit(settings(allowed / "set.toml"))
    with pytest.raises(UserError, match=r'"validation\.images" is outside the folders'):
        jobs.submit(settings(pictures(allowed / "ron"), validation={"images": str(allowed / "set.toml")}))
    assert not (host.data_dir / "sdtune").exists()


def test_wrong_input_writes_nothing(jobs, host, tmp_path):
    (tmp_path / "empty").mkdir()
    for images in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(UserError, match=images.name):
            jobs.submit(settings(images))
    assert jobs.runs() == [] and not (host.data_dir / "sdtune").exists()


DAMAGED = {  # what is in the copied folder of a finished run, and a word of the reason that is shown
    "ron (2)": ({}, "ron"), "ron (Copy)": ({}, "ron"), "not json": ({"config.json": ""}, "damaged"), "null": ({"config.json": "null"}, "damaged"),
    "half": ({"config.json": "{}"}, "damaged"), "no concepts": ({"config.json": '{"name": "no concepts", "concepts": []}'}, "damaged"),
    "odd concepts": ({"config.json": '{"name": "odd concepts", "concepts": [3]}'}, "damaged"), "gone": ({"config.json": None}, "damaged"),
    "list": ({"status.json": "[]"}, "status.json"), "void": ({"status.json": "null"}, "status.json"), "cut": ({"status.json": '{"state":'}, "status.json"),
    "nothing": ({"status.json": '{"state": "finished", "artefacts": null, "samples": 3, "step": "x", "message": null}'}, ""),
    "odd state": ({"status.json": '{"state": ["finished"]}'}, ""), "binary": ({"status.json": b"\xff\xfe\x00"}, "status.json"),
    "journal": ({"published.json": "null"}, ""), "journal 2": ({"published.json": '[3, {"published": 4}]'}, ""), "log": ({"log.csv": b"\x00\xff"}, ""),
}


@pytest.fixture(scope="module")
def one_finished(tmp_path_factory):
    """The data folder of a host with one finished run."""
    place = tmp_path_factory.mktemp("finished")
    host = TinyHost(place / "data")
    jobs = Jobs(ServiceContext(lambda: host))
    name = jobs.submit(settings(pictures(place / "10_ron", count=2), train={"max_train_steps": 1}))
    until(lambda: state(jobs, name) == "finished" and jobs.queue.idle)
    return place / "data"


@pytest.fixture
def finished(one_finished, jobs, host):
    """The folder of that run, in the folder of the test's own host."""
    shutil.copytree(one_finished, host.data_dir)
    return jobs.folder("ron").path


@pytest.mark.parametrize("name", DAMAGED)
def test_a_copied_or_damaged_run_folder_is_shown_with_its_reason_beside_the_others(jobs, finished, name):
    files, reason = DAMAGED[name]
    folder = finished.with_name(name)
    shutil.copytree(finished, folder)
    if not reason.startswith("ron"):
        write_json(folder / "config.json", {**read_json(folder / "config.json"), "name": name})
    for file, content in files.items():
        (folder / file).unlink(missing_ok=True)
        if content is not None:
            (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    runs = {run["id"]: run for run in jobs.runs()}
    assert set(runs) == {"ron", name} and runs["ron"]["state"] == "finished" and not runs["ron"]["problem"]
    assert reason in runs[name]["problem"] and bool(reason) == bool(runs[name]["problem"])
    assert runs[name]["state"] in ("finished", "stopped", "failed")
    assert not (runs[name]["resumable"] and reason and reason != "status.json")
    assert isinstance(runs[name]["artefacts"], list) and isinstance(runs[name]["samples"], list) and isinstance(runs[name]["step"], int)
    assert jobs.log(name) is not None and name in jobs.report(name)
    if reason and reason != "status.json":
        with pytest.raises(UserError, match="damaged|copied"):
            jobs.ended(name)
    jobs.delete(name)
    assert not folder.exists() and [run["id"] for run in jobs.runs()] == ["ron"] and state(jobs, "ron") == "finished"


def test_what_is_no_run_folder_is_not_listed(jobs, finished):
    (finished.parent / ".trash").mkdir()
    (finished.parent / "notes.txt").write_text("mine")
    (finished.parent / "empty").mkdir()
    (finished.parent / "mine").mkdir()
    (finished.parent / "mine/picture.png").write_text("mine")
    (finished.parent / ".hidden/state").mkdir(parents=True)
    assert [run["id"] for run in jobs.runs()] == ["ron"]
    for name in (".trash", ".hidden", "notes.txt", "empty", "mine", "..", ".", "ron/state"):
        with pytest.raises(NotFound):
            jobs.delete(name)


def test_a_fault_while_one_run_is_read_leaves_the_others(jobs, finished, monkeypatch):
    shutil.copytree(finished, finished.with_name("odd"))
    snapshot = jobs.snapshot
    monkeypatch.setattr(jobs, "snapshot", lambda folder: 1 / 0 if folder.path.name == "odd" else snapshot(folder))
    runs = {run["id"]: run for run in jobs.runs()}
    assert runs["ron"]["state"] == "finished" and "ZeroDivisionError" in runs["odd"]["problem"]


def test_a_run_that_failed_is_tried_again_with_its_settings(jobs, host, images, monkeypatch):
    broken = host.borrow
    monkeypatch.setattr(host, "borrow", lambda *args: (_ for _ in ()).throw(RuntimeError("the list was being read")))
    name = jobs.submit(settings(images, train={"max_train_steps": 2}))
    until(lambda: state(jobs, name) == "failed")
    assert not jobs.status(name)["resumable"]
    monkeypatch.setattr(host, "borrow", broken)
    jobs.request(name, "retry")
    until(lambda: state(jobs, name) == "finished")
    with pytest.raises(WrongState, match="nothing to try again"):
        jobs.request(name, "retry")


def test_a_run_that_was_cancelled_in_the_queue_says_so_and_is_queued_again(jobs, images):
    first, second = jobs.submit(long(images, "one")), jobs.submit(settings(images, "two", train={"max_train_steps": 2}))
    until(lambda: jobs.status(first)["step"] >= 1)
    jobs.request(second, "stop_without_saving")
    status = jobs.status(second)
    assert (status["state"], status["cancelled"], status["resumable"]) == ("stopped", True, False)
    assert Jobs(jobs.context).status(second)["cancelled"], "also after a restart"
    jobs.request(second, "retry")
    assert state(jobs, second) == "queued" and "cancelled" not in jobs.status(second)
    jobs.request(first, "stop_without_saving")
    until(lambda: state(jobs, second) == "finished")
    assert "cancelled" not in jobs.status(first) and "cancelled" not in jobs.status(second)


def test_a_run_is_tried_again_where_its_pictures_are_now(jobs, images):
    first, second = jobs.submit(long(images, "one")), jobs.submit(settings(images, "two", train={"max_train_steps": 2}))
    until(lambda: jobs.status(first)["step"] >= 1)
    for name in (second, first):
        jobs.request(name, "stop_without_saving")
    until(lambda: state(jobs, first) == "stopped")
    moved = images.rename(images.with_name("moved"))
    with pytest.raises(UserError, match="/runs/two/retry with the body"):
        jobs.request(second, "retry")
    jobs.request(second, "retry", {"images": [str(moved)]})
    until(lambda: state(jobs, second) == "finished")


def test_a_run_s_log_says_nothing_of_others(jobs, images):
    first, second = jobs.submit(long(images, "one")), jobs.submit(long(images, "two"))
    until(lambda: jobs.status(first)["step"] >= 1)
    jobs.request(second, "stop")
    jobs.request(first, "stop_without_saving")
    until(lambda: state(jobs, first) == "stopped" and jobs.queue.idle)
    text = (jobs.folder(first).path / "run.log").read_text()
    assert "Recipe:" in text and "before it began" not in text


def test_queued_runs_have_places_that_can_be_changed(jobs, images):
    first = jobs.submit(long(images, "on"))
    until(lambda: jobs.status(first)["step"] >= 1)
    for name in "abc":
        jobs.submit(settings(images, name, train={"max_train_steps": 1}))
    places = {run["id"]: (run["place"], run["waiting_runs"]) for run in jobs.runs() if "place" in run}
    assert places == {"a": (1, 3), "b": (2, 3), "c": (3, 3)}
    jobs.move("c", 1)
    jobs.request("a", "stop_without_saving")
    assert {run["id"]: run["place"] for run in jobs.runs() if "place" in run} == {"c": 1, "b": 2}
    with pytest.raises(WrongState, match="no place in the queue"):
        jobs.move(first, 1)
    jobs.request(first, "stop_without_saving")
    until(lambda: state(jobs, "b") == "finished")
    ended = [jobs.status(name)["updated"] for name in ("c", "b")]
    assert ended == sorted(ended) and state(jobs, "a") == "stopped"
    assert 0 < jobs.status("b")["elapsed_seconds"] < 600
