"""The tab as gradio has it: ids that do not move, nothing that breaks it, nothing that is not escaped."""

import json
import re
import sys
from html import unescape

import gradio as gr
import pytest
from fastapi import FastAPI, HTTPException, Request
from gradio.helpers import special_args

from lib_sdtune import failures
from lib_sdtune.access import LOOPBACK, Access
from lib_sdtune.errors import UserError
from lib_sdtune.ui import presets
from lib_sdtune.ui.boxes import box, listing
from lib_sdtune.ui.context import TabContext
from lib_sdtune.ui.fields import declared
from lib_sdtune.ui.tab import build

FIXED = {"sdtune_name", "sdtune_method", "sdtune_images", "sdtune_start", "sdtune_stop", "sdtune_pause", "sdtune_status",
         "sdtune_loss_plot", "sdtune_gallery"}


class Queue:
    """Takes configs as `App` does."""

    def __init__(self, refusal=None):
        self.jobs, self.taken, self.refusal, self.access = self, [], refusal, Access()
        self.presets, self.own = self, []

    def submit(self, config):
        if self.refusal:
            raise self.refusal
        self.taken.append(config)
        return {"id": config["name"], "model": "tiny"}

    def list(self):
        return {"presets": self.own}

    def save(self, data):
        if not data["name"]:
            raise UserError("The preset has no name.")
        self.own.append(data)
        return data

    def config(self, name):
        return {"name": name, "lora": {"dim": 48}, "concepts": [{"images": "x"}], "unknown": 1}


@pytest.fixture
def queue():
    return Queue()


def page(tab):
    ids = {block.elem_id for block in tab.blocks.values() if block.elem_id}
    html = "".join(str(block.value) for block in tab.blocks.values() if isinstance(block, gr.HTML))
    return ids, html


def fire(tab, elem_id, *values, trigger="click", **headers):
    """Run the server's part of the event of a component; its outputs."""
    block = next(block for block in tab.blocks.values() if block.elem_id == elem_id)
    event = next(dependency for dependency in tab.dependencies if block._id in dependency["targets"] and dependency["trigger"] == trigger and dependency["backend_fn"])
    function = tab.fns[tab.dependencies.index(event)].fn
    return function(*special_args(function, list(values), request(**headers), None)[0])


def request(**headers):
    """What gradio hands an event of a page at localhost."""
    pairs = {"host": "localhost:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"type": "http", "method": "POST", "path": "/run/predict", "query_string": b"", "app": FastAPI(),
             "headers": [(name.encode(), value.encode()) for name, value in pairs.items()]}
    return gr.Request(Request(scope))


def values(**changes):
    from lib_sdtune.ui.form import initial

    start = initial() | {"name": "ron", "concept.images": "pics"} | changes
    return [start[field.path] for field in declared()]


def test_fixed_ids_are_there_and_all_ids_are_ours(queue):
    ids, html = page(build(TabContext(queue)))
    known = ids | set(re.findall(r'id="(\w+)"', html))
    assert known >= FIXED
    assert all(elem_id.startswith("sdtune_") for elem_id in known)
    assert len(re.findall(r'id="(\w+)"', html)) == len(set(re.findall(r'id="(\w+)"', html)))


def test_a_method_whose_files_no_picture_would_show_is_not_in_the_choice(queue):
    tab = build(TabContext(queue, why_unusable=lambda kind: "no" * (kind == "hypernetworks")))
    radio = next(block for block in tab.blocks.values() if block.elem_id == "sdtune_method")
    assert [name for _, name in radio.choices] == ["lora", "dreambooth", "textual_inversion"]
    declared = json.loads(unescape(re.search(r'data-methods="([^"]*)"', page(tab)[1])[1]))
    assert {name for name, method in declared.items() if not method["usable"]} == {"hypernetwork"}


def test_the_version_is_shown_as_it_stands_in_the_package(queue, monkeypatch):
    monkeypatch.setattr("lib_sdtune.ui.tab.__version__", "7.8.9")
    assert '<p id="sdtune_version">SD Tune 7.8.9</p>' in page(build(TabContext(queue)))[1]


def test_start_hands_over_the_form_and_names_the_run(queue):
    message, started = fire(build(TabContext(queue)), "sdtune_start", *values(**{"train.batch_size": 2}))
    assert started == "ron" and ">The run ron trains tiny.<" in message
    assert queue.taken == [{"name": "ron", "method": "lora", "concepts": [{"images": "pics"}], "train": {"batch_size": 2}}]


def test_a_refusal_is_a_red_sentence_with_the_fields_label():
    queue = Queue(UserError('"train.batch_size" is 0; "concepts[0].images" <script>alert(1)</script>'))
    message, started = fire(build(TabContext(queue)), "sdtune_start", *values())
    assert started == ""
    assert "sdtune-red" in message and "&quot;Batch size&quot; is 0; &quot;Pictures&quot;" in message
    assert "<script>" not in message


class Classes:
    """Takes configs as `App.class_pictures` does."""

    access = Access()

    def __init__(self, refusal=None):
        self.class_pictures, self.taken, self.refusal = self, [], refusal

    def start(self, config):
        if self.refusal:
            raise self.refusal
        self.taken.append(config)
        return {"work": None}


def test_class_pictures_are_asked_for_with_the_form():
    classes = Classes()
    message = fire(build(TabContext(classes)), "sdtune_class_draw", *values(**{"concept.num_class_images": 20}))
    assert message == "" and classes.taken[0]["concepts"] == [{"images": "pics", "num_class_images": 20}]


def test_class_pictures_that_cannot_be_are_told_by_the_fields_label():
    message = fire(build(TabContext(Classes(UserError('"concepts[0].class_prompt" is empty')))), "sdtune_class_draw", *values())
    assert "&quot;Class prompt&quot; is empty" in message


def test_the_page_for_pictures_has_every_setting_of_preparing(queue):
    import html

    from lib_sdtune.data.prepare import PrepareConfig

    _, markup = page(build(TabContext(queue)))
    facts = json.loads(html.unescape(re.search(r'data-facts="([^"]*)"', markup).group(1)))
    assert {field["name"] for field in facts["prepare"]} == set(PrepareConfig.__dataclass_fields__)
    assert {captioner["name"] for captioner in facts["captioners"]} == {"blip", "deepbooru", "wd14"}
    labels = [field["label"] for field in facts["prepare"]]
    assert len(set(labels)) == len(labels)


def test_a_fault_of_ours_is_told_and_not_thrown(caplog):
    message, started = fire(build(TabContext(Queue(ZeroDivisionError("<i>")))), "sdtune_start", *values())
    assert "ZeroDivisionError: &lt;i&gt;" in message and started == ""
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


def test_use_settings_fills_what_the_run_says_and_nothing_else(queue):
    filled = dict(zip([field.path for field in declared()], fire(build(TabContext(queue)), "sdtune_use_button", "cup"), strict=True))
    assert (filled["name"], filled["lora.dim"], filled["concept.images"]) == ("cup", 48, "x")
    assert filled["train.batch_size"] == gr.update()


def test_a_preset_fills_its_settings_and_keeps_what_is_yours(queue):
    title = next(iter(presets.built_in()))
    filled = dict(zip([field.path for field in declared()], fire(build(TabContext(queue)), "sdtune_preset", title, trigger="input"), strict=True))
    assert filled["name"] == filled["concept.images"] == filled["concept.prompt"] == gr.update()
    assert filled["train.max_train_steps"] == presets.built_in()[title]["train"]["max_train_steps"]


def test_the_form_is_saved_as_a_preset_and_chosen_again(queue):
    tab = build(TabContext(queue))
    message, _ = fire(tab, "sdtune_save_preset_button", '{"name": ""}', *values(**{"lora.dim": 48}))
    assert "no name" in message and not queue.own
    message, listed = fire(tab, "sdtune_save_preset_button", '{"name": "mine"}', *values(**{"lora.dim": 48}))
    assert not message and queue.own[0]["settings"]["lora"] == {"dim": 48} and listed["choices"][:2] == ["Defaults", "Own: mine"]
    filled = dict(zip([field.path for field in declared()], fire(tab, "sdtune_preset", "Own: mine", trigger="input"), strict=True))
    assert filled["lora.dim"] == 48 and filled["lora.alpha"] == 8 and fire(tab, "sdtune_list_presets_button") == listed


def test_the_page_learns_what_the_host_recommends(queue):
    tab = build(TabContext(queue, defaults=lambda: {"dataset": {"resolution": 1024}}))
    known = json.loads(fire(tab, "sdtune_restore_button", "Defaults")[0])["fields"]
    assert known["dataset.resolution"] == [512, 1024] and known["lora.dim"] == [16, 16]


@pytest.mark.parametrize(("family", "others"), [("SD1", ("SDXL", "SD2")), ("SDXL", ("SD1", "SD2"))])
def test_presets_of_families_that_are_not_loaded_are_not_offered(queue, family, others):
    queue.host = queue
    queue.about = lambda: {"family": family}
    chosen = next(iter(presets.built_in(others[0])))
    offered = fire(build(TabContext(queue)), "sdtune_restore_button", chosen)[1]
    assert offered["value"] == "Defaults" and len(offered["choices"]) == 4
    assert not [title for title in offered["choices"] if any(f"{other}:" in title for other in others)]
    assert len(presets.built_in()) == 9


def test_a_host_that_cannot_be_asked_does_not_break_the_form(queue, capsys):
    tab = build(TabContext(queue, defaults=lambda: 1 / 0))
    assert json.loads(fire(tab, "sdtune_restore_button", "Defaults")[0])["fields"]["dataset.resolution"] == [512, 512]


def test_the_webui_is_not_given_one_models_values_to_keep_as_defaults(queue):
    tab = build(TabContext(queue, defaults=lambda: {"dataset": {"resolution": 1024}}))
    assert next(block.value for block in tab.blocks.values() if block.elem_id == "sdtune_dataset_resolution") == 512


def test_a_broken_torch_side_leaves_a_tab_that_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "lib_sdtune.methods", None)
    ids, html = page(build(TabContext()))
    assert ids == {"sdtune_problem"}
    assert "cannot train here" in html
    assert "no &lt;GPU&gt;" in page(build(TabContext(problem="no <GPU>")))[1]


def test_only_the_webui_has_a_txt2img_to_take_from(queue):
    assert "sdtune_from_txt2img" in page(build(TabContext(queue, home="webui")))[0]
    assert "sdtune_from_txt2img" not in page(build(TabContext(queue)))[0]


def test_transient_boxes_are_not_saved_as_defaults(queue):
    tab = build(TabContext(queue))
    for name in ("sdtune_started", "sdtune_wanted", "sdtune_base", "sdtune_preset", "sdtune_use_button"):
        assert next(block for block in tab.blocks.values() if block.elem_id == name).do_not_save_to_config


def test_boxes_escape_every_word():
    assert box("red", "<b>") == '<div class="sdtune-box sdtune-red" role="alert"><p>&lt;b&gt;</p></div>'
    assert box("plain", "") == ""
    assert "<img" not in listing("<img>", ["<img>"])


@pytest.mark.parametrize("message, settings", [("The GPU ran out of memory. In the order of effect: …", {"train.batch_size": 1}),
                                               ("The disk is full. Make room.", {"save.keep_last": 2}),
                                               ("The run failed with TypeError: Something odd.", {})])
def test_failures_are_explained_with_settings_that_exist(message, settings):
    explanation = failures.explain(message)
    assert explanation["settings"].items() >= settings.items()
    assert explanation["what"] == message.split(". ")[0].rstrip(".") + "." and explanation["why"] and explanation["change"]
    assert {path for _, _, _, settings_of_failure in failures.KNOWN for path in settings_of_failure} <= {field.path for field in declared()}


def test_halves_on_a_processor_that_does_not_know_them_are_explained():
    error = RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'")
    assert "--no-half" in failures.explain(failures.sentence(error))["change"]


@pytest.mark.parametrize("part", ["Unet", "VAE"])
def test_what_the_webui_is_started_with_already_is_no_advice(part):
    """The WebUI says what its flags leave out: where halves are off, nothing about precision."""
    said = f"The run failed with NansException: A tensor with NaNs was produced in {part}."
    halves = f"{said} This could be because there's not enough precision to represent the picture. Try adding"
    at_full = failures.explain(f"{said} Use --disable-nan-check commandline argument to disable this check.")
    assert "--no-half" in failures.explain(halves)["change"]
    assert "--no-half" not in str(at_full) and "emphasis" in at_full["change"]


def test_a_sentence_of_ours_says_itself_what_to_change():
    explanation = failures.explain("The model learned nothing: every weight is as it was. Raise the learning rate or the number of steps.")
    assert explanation == {"what": "The model learned nothing: every weight is as it was.", "why": "",
                    "change": "Raise the learning rate or the number of steps.", "settings": {}}


def test_what_overflowed_is_started_with_a_third_of_its_rates():
    config = {"method": "lora", "lora": {"unet_lr": 1e-4, "text_encoder_lr": 0.0, "dim": 8}, "dreambooth": {"unet_lr": 1e-6}}
    overflowed = "10 steps in a row gave numbers that overflowed. Lower the learning rate."
    assert failures.explain(overflowed, config)["settings"] == {"lora.unet_lr": 3.3e-5}
    config["lora"]["unet_lr"] = "1e-3:100, 1e-4"
    assert failures.explain(overflowed, config)["settings"] == {"train.mixed_precision": "no"}


class Wizard(Classes):
    """Takes configs as `App.memory` does."""

    access = Access()

    @property
    def memory(self):
        return self

    def estimate(self, config):
        self.taken.append(config)
        return {"sentence": "Estimated", "fits": True}


def test_the_memory_line_is_asked_for_before_there_are_pictures():
    wizard = Wizard()
    facts = fire(build(TabContext(wizard)), "sdtune_estimate_button", *values(**{"concept.images": "", "train.batch_size": 4}))
    assert json.loads(facts)["fits"] and wizard.taken[0]["train"] == {"batch_size": 4} and wizard.taken[0]["concepts"][0]["images"]


def test_settings_that_cannot_be_read_leave_the_memory_line_empty(queue):
    assert fire(build(TabContext(queue)), "sdtune_estimate_button", *values(**{"dreambooth.unet_lr": "often"})) == "{}"


def test_measuring_takes_the_form_and_tells_a_refusal():
    wizard = Wizard()
    assert fire(build(TabContext(wizard)), "sdtune_measure", *values(**{"train.batch_size": 2})) == ""
    assert wizard.taken[0]["train"] == {"batch_size": 2}
    message = fire(build(TabContext(Wizard(UserError('"concepts[1].images" is empty')))), "sdtune_measure", *values())
    assert "&quot;Pictures&quot; of concept 2 is empty" in message


def test_further_concepts_reach_the_run(queue):
    fire(build(TabContext(queue)), "sdtune_start", *values(further_concepts='[{"images": "cups", "prompt": "a photo of my cup", "repeats": 2}]'))
    assert queue.taken[0]["concepts"] == [{"images": "pics"}, {"images": "cups", "prompt": "a photo of my cup", "repeats": 2}]


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}, {"host": "evil.example"}])
@pytest.mark.parametrize("button", ["sdtune_start", "sdtune_check", "sdtune_measure", "sdtune_class_draw"])
def test_a_page_from_elsewhere_can_press_no_button(queue, button, headers):
    queue.access = Access(hosts=lambda: LOOPBACK)
    answer = fire(build(TabContext(queue)), button, *values(), **headers)
    assert ("another site" in str(answer) or "not this machine" in str(answer)) and not queue.taken


@pytest.mark.parametrize("button", ["sdtune_start", "sdtune_check", "sdtune_measure", "sdtune_class_draw"])
def test_strangers_can_press_no_button(queue, button):
    queue.access = Access(closed="Log in first.")
    assert "Log in first." in str(fire(build(TabContext(queue)), button, *values())) and not queue.taken


def test_the_settings_of_a_run_are_not_for_strangers(queue):
    queue.access = Access(closed="Log in first.")
    with pytest.raises(HTTPException):
        fire(build(TabContext(queue)), "sdtune_use_button", "ron")


def test_no_event_goes_through_gradio_s_queue(queue):
    """There the event knows nothing of the request, so whoever asks could not be let in; the WebUI queues by default."""
    tab = build(TabContext(queue))
    assert [event["targets"] for event in tab.dependencies if event["backend_fn"] and event["queue"] is not False] == []
    block = next(block for block in tab.blocks.values() if block.elem_id == "sdtune_start")
    event = next(event for event in tab.dependencies if block._id in event["targets"] and event["backend_fn"])
    queued = gr.Request(None, headers={"host": "localhost:7860"})
    message, started = tab.fns[tab.dependencies.index(event)].fn(queued, *values())
    assert "reload the page" in message and not started and queue.taken == []
