"""What stands in the fields is the config, both ways, for every declared setting."""

import dataclasses

import pytest

from lib_sdtune import presets
from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.ui import components, fields, form
from lib_sdtune.ui.labels import methods
from lib_sdtune.ui.layout import TOP, arrange

EVERY, METHODS = fields.declared(), set(methods())
OTHER = {"auto": 7, "text": "something", "int": 7, "float": 0.25, "bool": None, "rate": "5e-4:200, 1e-4", "optional": 3, "choice": None,
         "lines": ["one", "two, <b>three</b>"], "weighted": [["style", 0.5]], "numbers": [1.0, 0.5, 1.0], "json": {"weight_decay": 0.01},
         "json_list": [{"images": "b", "prompt": "ein Käse"}]}


def other(field):
    """A value that is not the default."""
    if field.kind == "bool":
        return not field.default
    if field.kind == "choice":
        return next((choice for choice in field.choices if choice != field.default), field.default)
    return OTHER[field.kind]


def test_every_setting_of_the_config_has_a_field():
    expected = {"name", "method", "overwrite", "concept.images", fields.FURTHER}
    for section in dataclasses.fields(Config):
        if "section" in section.metadata:
            expected |= {f"{section.name}.{setting.name}" for setting in dataclasses.fields(section.metadata["section"])}
    paths = [field.path for field in EVERY]
    assert expected <= set(paths)
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("field", EVERY, ids=lambda field: field.path)
def test_a_changed_field_is_the_only_thing_that_the_config_says(field):
    method = field.section if field.section in METHODS else "lora"
    values = form.initial() | {"name": "ron", "concept.images": "pics", "method": method}
    values[field.path] = form.to_text(field, other(field))
    config = form.to_config(values)
    assert form.from_config(config).get(field.path, form.initial()[field.path]) == values[field.path]
    untouched = form.to_config(form.initial() | {"name": "ron", "concept.images": "pics", "method": method})
    changed = {path for path, shown in form.from_config(config).items() if form.from_config(untouched).get(path) != shown}
    assert changed <= {field.path}


def test_a_fresh_form_with_name_and_folder_is_a_whole_config():
    config = form.to_config(form.initial() | {"name": "ron", "concept.images": "pics"})
    assert config == {"name": "ron", "method": "lora", "concepts": [{"images": "pics"}]}
    assert Config.from_dict(config).train.max_train_steps == 1500


def test_everything_that_was_set_survives_the_round_trip_of_a_whole_config():
    whole = Config.from_dict({"name": "ron", "concepts": [{"images": "a", "prompt": "x", "repeats": 4}, {"images": "b"}], "method": "lora",
                              "lora": {"unet_lr": "5e-4:200, 1e-4", "dim": 32}, "sample": {"prompts": ["a", "b"]}}).to_dict()
    values = form.initial() | form.from_config(whole)
    config = form.to_config(values)
    assert Config.from_dict(config).to_dict() == whole


def test_only_the_chosen_methods_settings_are_sent_and_none_is_cleared():
    values = form.initial() | {"name": "n", "concept.images": "p", "lora.dim": 64, "textual_inversion.init_text": "cat"}
    assert form.to_config(values | {"method": "textual_inversion"})["textual_inversion"] == {"init_text": "cat"}
    assert "lora" not in form.to_config(values | {"method": "textual_inversion"})
    assert form.to_config(values)["lora"] == {"dim": 64}


def test_what_stands_where_the_host_puts_it_is_left_to_the_host():
    host = {"dataset": {"resolution": 64}, "lora": {"unet_lr": 2e-3}}
    values = form.initial(host) | {"name": "n", "concept.images": "p"}
    assert values["dataset.resolution"] == 64
    assert values["lora.unet_lr"] == "0.002" or float(values["lora.unet_lr"]) == 2e-3
    assert set(form.to_config(values, host)) == {"name", "method", "concepts"}
    assert form.to_config(values | {"dataset.resolution": 512}, host)["dataset"] == {"resolution": 512}


@pytest.mark.parametrize("path, text", [("train.batch_size", "two"), ("train.optimizer_args", "{1"), ("train.optimizer_args", "[1]"),
                                         ("hypernetwork.layer_structure", "1, x"), ("concept.repeats", "many"), ("further_concepts", "{}")])
def test_what_cannot_be_read_is_named_by_its_label(path, text):
    method = "hypernetwork" if path.startswith("hyper") else "lora"
    field = next(field for field in EVERY if field.path == path)
    with pytest.raises(UserError, match=f'^"{field.label}" cannot be read'):
        form.to_config(form.initial() | {"name": "n", "method": method, path: text})


@pytest.mark.parametrize("emptied", [None, "", " "])
def test_a_number_that_was_deleted_is_said_to_be_empty(emptied):
    with pytest.raises(UserError, match='^"Batch size" is empty'):
        form.to_config(form.initial() | {"name": "n", "train.batch_size": emptied})


@pytest.mark.parametrize("value, text", [(1e-4, "1e-4"), (5e-5, "5e-5"), (2.5e-6, "2.5e-6"), (0, "0"), (1.0, "1"), (0.05, "0.05"),
                                         ("5e-3:200, 1e-3", "5e-3:200, 1e-3")])
def test_rates_read_as_people_write_them(value, text):
    assert form.rate_text(value) == text
    assert form.read_rate(text) == value


@pytest.mark.parametrize("name", presets.names())
def test_presets_name_fields_that_exist(name):
    settings = presets.load(name)["settings"]
    count = sum(len(section) if isinstance(section, dict) else 1 for section in settings.values())
    assert len(form.from_config(settings)) == count


def test_every_field_stands_in_one_place():
    accordions, expert = arrange(EVERY)
    placed = [field.path for members in (*accordions.values(), *expert.values()) for field in members]
    assert sorted([*placed, *TOP]) == sorted(field.path for field in EVERY)
    assert [field.path for field in accordions["Network"]][0] == "lora.network"


def test_a_section_nobody_placed_lands_in_expert():
    stray = fields.Field("novelty.thing", "int", 0, "Thing", "")
    assert arrange([stray])[1]["More"] == [stray]


@pytest.mark.parametrize("field", [field for field in EVERY if field.kind in ("int", "auto", "optional")], ids=lambda field: field.path)
def test_no_whole_number_is_rounded_or_joined(field):
    shown = components.component(field, form.to_text(field, field.default))
    assert [form.parse(field, shown.preprocess(typed)) for typed in (1.5, "1.5")] == [1.5, 1.5]
    for typed in ("1,5", "512,768"):
        with pytest.raises(UserError, match='" takes one number, with a point'):
            form.parse(field, shown.preprocess(typed))


@pytest.mark.parametrize("path", ["train.max_train_steps", "dataset.resolution", "concept.repeats"])
def test_a_fraction_where_a_whole_number_belongs_is_refused(path):
    with pytest.raises(UserError, match="must be a whole number.*, not 1.5"):
        Config.from_dict(form.to_config(form.initial() | {"name": "n", "concept.images": "p", path: 1.5}))


def test_a_comma_in_a_number_is_named():
    with pytest.raises(UserError, match='^"Weight of class pictures" takes one number, with a point'):
        form.to_config(form.initial() | {"name": "n", "loss.prior_loss_weight": "0,5"})


def test_text_in_a_number_s_field_is_named():
    """The page's memory may hold it; gradio alone would say "Error"."""
    field = next(field for field in fields.declared() if field.path == "train.max_train_steps")
    number = components.component(field, 1500)
    assert (number.preprocess(7), number.preprocess("many"), number.get_block_name()) == (7, "many", "number")
    with pytest.raises(UserError, match=r'"Steps" cannot be read: .many.'):
        form.parse(field, number.preprocess("many"))
