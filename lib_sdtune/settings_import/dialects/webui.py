"""The WebUI's own training: settings-….json beside its logs, for embeddings and hypernetworks; and SD.Next's
train.json.

Source: modules/textual_inversion/saving_settings.py, textual_inversion.py and hypernetwork.py of the WebUI 1.10.
"""

from pathlib import PurePath
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, fraction, integer, text
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.option import Option, apply, name_unknown
from lib_sdtune.settings_import.sample_prompts import line_of, set_prompts
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images, set_sides, side_of
from lib_sdtune.settings_import.sd_scripts.saving import clean

RATES = {"textual_inversion": 5e-3, "hypernetwork": 1e-5}
OPTIONS = [
    Option("batch_size", int, 1, "train.batch_size"),
    Option("gradient_step", int, 1, "train.gradient_accumulation_steps"),
    Option("steps", int, 1000, "train.max_train_steps"),
    Option("shuffle_tags", bool, False, "dataset.shuffle_caption"),
    Option("tag_drop_out", float, 0.0, "dataset.caption_tag_dropout_rate"),
    Option("latent_sampling_method", str, "once", "dataset.latent_sampling"),
    Option("varsize", bool, False, "dataset.enable_bucket"),
    Option("create_image_every", int, 0, "sample.every_n_steps", convert=lambda value: max(0, value)),
    Option("preview_steps", int, 20, "sample.steps"),
    Option("preview_cfg_scale", float, 7.0, "sample.cfg_scale"),
    Option("preview_width", int, 0, "sample.width"),
    Option("preview_height", int, 0, "sample.height"),
    Option("log_directory", str, None, how="chose folders; where files go is fixed here"),
    Option("save_image_with_stored_embedding", bool, False, how="put the embedding into pictures too"),
    Option("preview_from_txt2img", bool, False, how="took the samples' settings from the txt2img tab"),
    Option("preview_sampler_index", str, None, how="chose the sampler of the samples"),
    Option("preview_sampler_name", str, None, how="chose the sampler of the samples"),
    Option("initial_step", int, 0, how="went on from that step; a run here begins at 0"),
    Option("use_weight", bool, False, how="weighted the loss by transparency; dataset.alpha_mask does here"),
    Option("id_task", str, None, how=""),
    Option("datetime", str, None, how="says when it was"),
    Option("num_of_dataset_images", int, None, how="says how many pictures there were"),
    Option("optimizer_state_dict", str, None, how=""),
]
FACTS = ("datetime", "num_of_dataset_images", "id_task")


@registry.register("WebUI training")
class WebuiTraining(Dialect):
    title, program, order = "the WebUI's training", "the WebUI", 14

    @staticmethod
    def recognises(document: Document) -> bool:
        keys = set(document.table)
        return (
            "learn_rate" in keys and bool({"embedding_name", "hypernetwork_name"} & keys) or "train_embedding" in keys
        )

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "the WebUI"
        Training(document, settings_of(document), draft).read()


def settings_of(document: Document) -> dict[str, Any]:
    """The keys of the training: the whole file, or SD.Next's group for the embedding or the hypernetwork."""
    table = document.table
    if "train_embedding" not in table:
        return table
    created = table.get("create_embedding") if isinstance(table.get("create_embedding"), dict) else {}
    embedding, hypernetwork = table.get("train_embedding"), table.get("train_hypernetwork")
    if isinstance(embedding, dict) and embedding:
        specific = {key: created[key] for key in ("num_vectors_per_token", "init_text") if key in created}
        name = embedding.get("embedding_name") or created.get("name", "")
        return {**specific, **embedding, "embedding_name": name, "model_name": table.get("training_model", "")}
    if isinstance(hypernetwork, dict) and hypernetwork:
        return {**hypernetwork, "model_name": table.get("training_model", "")}
    raise UserError(f"{document.name} has the settings of no training.")


class Training:
    """One training of the WebUI."""

    def __init__(self, document: Document, table: dict[str, Any], draft: Draft) -> None:
        self.document, self.draft = document, draft
        self.settings = entries_of(table, document.name)

    def read(self) -> None:
        draft, settings = self.draft, self.settings
        embedding = "hypernetwork_name" not in settings
        draft.config["method"] = "textual_inversion" if embedding else "hypernetwork"
        for name in FACTS:
            if entry := settings.take(name):
                draft.notes.facts.append(entry.key)
        self.model()
        self.pictures()
        apply([option for option in OPTIONS if option.name not in FACTS], settings, draft)
        self.rate(f"{draft.method}.lr")
        self.clipping()
        for name in ("save_embedding_every", "save_hypernetwork_every"):
            if entry := draft.readable(settings.take(name), integer):
                draft.set("save.every_n_steps", max(0, integer(entry.value)), entry)
        draft.assign("train.lr_scheduler", "constant")
        draft.assign("train.max_train_epochs", 0)
        draft.assign("train.optimizer_args", {})
        draft.assign("dataset.caption_extension", ".txt")
        if embedding:
            self.embedding()
        else:
            self.hypernetwork()
        self.samples()
        self.name("embedding_name" if embedding else "hypernetwork_name")
        name_unknown(settings, draft, "the WebUI")

    def model(self) -> None:
        self.draft.assign("model.checkpoint", "")
        name, digest = self.settings.take("model_name"), self.settings.take("model_hash")
        if name:
            set_checkpoint(self.draft, name, is_name=True)
        if digest:
            self.draft.notes.facts.append(digest.key)

    def pictures(self) -> None:
        concept: dict[str, Any] = {"repeats": 1}
        if folder := self.settings.take("data_root"):
            concept["images"] = text(folder.value)
            self.draft.notes.take(folder, "concepts[0].images", concept["images"])
        template = self.settings.take("template_file") or self.settings.take("template_filename")
        if template:
            concept["prompt"] = PurePath(text(template.value).replace("\\", "/")).name
            self.draft.notes.take(template, "concepts[0].prompt", concept["prompt"])
        self.draft.config["concepts"] = [concept]
        set_images(self.draft)
        width, height = (self.draft.readable(self.settings.take(f"training_{side}"), side_of)
                         for side in ("width", "height"))
        sides = [float(side_of(entry.value)) for entry in (width, height) if entry] or [512.0]
        if width:
            words = f"{sides[0]:g} x {sides[-1]:g}"
            set_sides(self.draft, sides, Entry("training_width and training_height", words, self.document.name))
        else:
            self.draft.assign("dataset.resolution", int(sides[0]))

    def rate(self, path: str) -> None:
        """A number or the WebUI's own schedule, which is the same here; -1 stands for none."""
        entry = self.settings.take("learn_rate")
        value = entry.value if entry else -1
        if entry is None or str(value).strip().startswith("-"):
            self.draft.assign(path, RATES[self.draft.method])
            if entry:
                self.draft.notes.differ(entry, "none was set", path, RATES[self.draft.method])
            return
        try:
            self.draft.set(path, fraction(value), entry)
        except ValueError:
            self.draft.set(path, text(value), entry)

    def clipping(self) -> None:
        mode, limit = self.settings.take("clip_grad_mode"), self.settings.take("clip_grad_value")
        kind = text(mode.value) if mode else "disabled"
        self.draft.assign("train.max_grad_norm", 0.0)
        if kind == "norm" and limit:
            try:
                self.draft.set("train.max_grad_norm", fraction(limit.value), limit)
            except ValueError:
                self.draft.notes.refuse(limit, "was a schedule; here one number")
        elif kind == "value" and mode:
            self.draft.notes.refuse(mode, "clipped each number by itself; here the length of all is clipped")
        elif mode:
            self.draft.set("train.max_grad_norm", 0.0, mode)
            if limit:
                self.draft.notes.off.append(limit.key)

    def embedding(self) -> None:
        self.draft.assign("textual_inversion.num_vectors_per_token", 1)
        if count := self.draft.readable(self.settings.take("num_vectors_per_token"), integer):
            self.draft.set("textual_inversion.num_vectors_per_token", integer(count.value), count)
        if start := self.settings.take("init_text"):
            self.draft.set("textual_inversion.init_text", text(start.value), start)
        self.draft.assign("textual_inversion.save_model_as", "pt")

    def hypernetwork(self) -> None:
        for name, key in (
            ("layer_structure", "layer_structure"),
            ("activation_func", "activation"),
            ("weight_init", "weight_init"),
            ("add_layer_norm", "use_layer_norm"),
            ("use_dropout", "dropout"),
            ("dropout_structure", "dropout_structure"),
            ("activate_output", "activate_output"),
        ):
            if entry := self.settings.take(name):
                self.draft.set(f"hypernetwork.{key}", entry.value, entry)

    def samples(self) -> None:
        self.draft.assign("sample.every_n_epochs", 0)
        prompt, negative = self.settings.take("preview_prompt"), self.settings.take("preview_negative_prompt")
        seed = self.draft.readable(self.settings.take("preview_seed"), integer)
        if prompt:
            set_prompts(
                self.draft, [line_of({"prompt": prompt.value, "negative": negative.value if negative else ""})], prompt
            )
        if seed and str(seed.value) not in ("-1", "-1.0"):
            self.draft.set("sample.seed", integer(seed.value), seed)
        elif seed:
            self.draft.notes.off.append(seed.key)

    def name(self, key: str) -> None:
        entry = self.settings.take(key)
        if self.draft.name:
            self.draft.config["name"] = self.draft.name
        elif entry and (name := clean(text(entry.value))):
            self.draft.set("name", name, entry)
