"""Train like this LoRA: the ss_* metadata of a .safetensors file, or the same pasted as JSON.

The plan of the run counts, not the epoch or step at which this file was saved. Sources: sd-scripts' train_network.py;
what Civitai and viewers show of it has parsed values instead of texts.
"""

import json
import re
from pathlib import PurePath
from typing import Any

from lib_sdtune.artefacts import adapter_metadata
from lib_sdtune.artefacts.adapter_metadata import Adapter
from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import documents, families
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.continued_lora import take_network_of_file
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.optimizers import pairs
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images

PLAIN = (  # ss_NAME is what sd-scripts' option NAME was
    "cache_latents", "caption_dropout_rate", "caption_tag_dropout_rate", "caption_dropout_every_n_epochs", "clip_skip",
    "gradient_accumulation_steps", "gradient_checkpointing", "ip_noise_gamma", "learning_rate", "lr_scheduler",
    "lr_warmup_steps", "max_grad_norm", "max_token_length", "max_train_steps", "min_snr_gamma", "mixed_precision",
    "multires_noise_iterations", "multires_noise_discount", "network_alpha", "network_dim", "network_module",
    "network_dropout", "noise_offset", "adaptive_noise_scale", "output_name", "prior_loss_weight", "scale_weight_norms",
    "seed", "text_encoder_lr", "unet_lr", "zero_terminal_snr", "full_fp16", "full_bf16", "lowram", "face_crop_aug_range",
    "training_comment", "debiased_estimation_loss", "loss_type", "huber_schedule", "huber_c", "huber_scale", "fp8_base",
    "noise_offset_random_strength", "ip_noise_gamma_random_strength", "min_timestep", "max_timestep", "weighted_captions")
OF_DATASETS = ("resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_no_upscale", "bucket_reso_steps",
               "keep_tokens", "shuffle_caption", "flip_aug", "random_crop", "color_aug", "caption_extension",
               "caption_prefix", "caption_suffix", "keep_tokens_separator", "secondary_separator", "enable_wildcard",
               "token_warmup_min", "token_warmup_step", "face_crop_aug_range")
SETTINGS = (
    "ss_network_dim",
    "ss_learning_rate",
    "ss_unet_lr",
    "ss_max_train_steps",
    "ss_optimizer",
    "ss_network_module",
    "ss_num_epochs",
    "ss_network_alpha",
)
WRAPPERS = ("__metadata__", "metadata")
CLASS = re.compile(r"^\s*([\w.]+)\s*(?:\((.*)\))?\s*$", re.DOTALL)


@registry.register("LoRA metadata")
class LoraMetadata(Dialect):
    title, order = "the metadata of a trained file", 10

    @staticmethod
    def recognises(document: Document) -> bool:
        table = unwrapped(document.table)
        return document.kind == "safetensors" or any(
            str(key).startswith(("ss_", "modelspec.", "sshs_")) for key in table
        )

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        facts = unwrapped(document.table)
        if "sdtune_config" in facts:
            own_config(facts["sdtune_config"], document, draft)
            take_network_of_file(draft.config.get("lora"), facts, parsed(facts.get("ss_network_args")))
            note_own(facts, document, draft)
            return
        check(facts, document)
        adapters = adapter_metadata.read(facts, document.name)
        if adapters and not any(key in facts for key in SETTINGS):
            of_diffusers(adapters, document, draft)
            return
        draft.program, draft.script = "sd-scripts", "train_network"
        Metadata(facts, document, draft).read()
        unet = adapters.get("unet")
        for name, number in (("network_dim", unet.rank), ("network_alpha", unet.alpha)) if unet else ():
            if name not in draft.options:
                draft.options.record(name, number, adapter_metadata.KEY, document.name)


def unwrapped(table: dict[str, Any]) -> dict[str, Any]:
    """The metadata itself, where a viewer put it into a group of its own."""
    inner = next((table[key] for key in WRAPPERS if isinstance(table.get(key), dict)), None)
    return inner if inner and not any(str(key).startswith("ss_") for key in table) else table


def parsed(value: Any) -> Any:
    """JSON text as what it says; everything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def check(facts: dict[str, Any], document: Document) -> None:
    """UserError for another family, and for metadata that says nothing about a training."""
    families.check_word(document.name, str(facts.get("ss_network_module", "")))
    for key in ("ss_base_model_version", "modelspec.architecture"):
        families.check_word(document.name, str(facts.get(key, "")))
    software = parsed(facts.get("software"))
    program = software.get("name", "") if isinstance(software, dict) else ""
    if not any(key in facts for key in (*SETTINGS, adapter_metadata.KEY)):
        writer = f"; {program} writes none" if program else ""
        raise UserError(f"{document.name} does not say how it was trained: its metadata has no settings{writer}.")


def of_diffusers(adapters: dict[str, Adapter], document: Document, draft: Draft) -> None:
    """A file of diffusers' scripts, which says of its training how large the adapters are."""
    draft.program = "diffusers"
    part, adapter = next(iter(adapters.items()))
    entry = Entry(f"{adapter_metadata.KEY} {part}", f"r {adapter.rank}, lora_alpha {adapter.alpha:g}", document.name)
    draft.set("lora.network", "dora" if adapter.dora else "lora", entry)
    draft.set("lora.dim", adapter.rank, entry)
    alpha = adapter.alpha_of("", adapter.rank)
    draft.set("lora.alpha", alpha, entry, "scaled by the root of the dim there" if adapter.rslora else "")
    if adapter.ranks or adapter.alphas:
        draft.notes.differ(entry, "single layers had other dims and alphas; here all have one")
    if "unet" not in adapters:
        draft.set("lora.unet_lr", 0.0, entry, "the text encoder alone was trained")
    elif len(adapters) == 1:
        draft.set("lora.text_encoder_lr", 0.0, entry, "the UNet alone was trained")
    draft.config["concepts"] = [{"repeats": None}]
    set_images(draft)
    draft.notes.warnings.append(f"{document.name} says of its training how large the LoRA is, and nothing else: all else "
                                "is as SD Tune has it by default.")


def own_config(value: Any, document: Document, draft: Draft) -> None:
    """A file of SD Tune's own: its settings are there whole, but for the folders of the pictures."""
    config = parsed(value)
    if not isinstance(config, dict) or not isinstance(config.get("concepts"), list) or not config["concepts"]:
        raise UserError(f"{document.name} has settings of SD Tune that cannot be read.")
    draft.program = "SD Tune"
    draft.config = {key: value for key, value in config.items() if key != "overwrite"}  # that was asked for one run
    draft.config["concepts"] = [
        {**concept, "images": ""} for concept in config["concepts"] if isinstance(concept, dict)
    ]
    for concept in draft.config["concepts"]:
        if concept.pop("class_images", ""):
            concept.pop("num_class_images", None)
            draft.notes.missing.append("the folder of the class pictures, which the file does not name.")
    draft.config["name"] = draft.name or draft.config.get("name", "")
    if draft.images:
        draft.config["concepts"][0]["images"] = draft.images
    draft.notes.warnings.append(f"{document.name} was trained by SD Tune, with these very settings.")


def note_own(facts: dict[str, Any], document: Document, draft: Draft) -> None:
    """Every setting of a file of SD Tune's own is taken over; all else in its metadata says the same once more."""
    for path, value in documents.flat(draft.config, deep=True).items():
        if path not in ("name", "concepts"):  # whose folders the file does not name
            draft.notes.take(Entry(path, value, document.name), path, value)
    draft.notes.facts += map(str, facts)


class Metadata:
    """The facts of one file, as options of sd-scripts."""

    def __init__(self, facts: dict[str, Any], document: Document, draft: Draft) -> None:
        self.facts, self.document, self.draft = facts, document, draft
        self.used = {"ss_epoch", "ss_steps", "ss_num_epochs", "ss_optimizer", "ss_datasets", "ss_dataset_dirs", "ss_v2",
                     "ss_reg_dataset_dirs", "ss_network_args", "ss_sd_model_name", "ss_base_model_version"}

    def read(self) -> None:
        draft = self.draft
        version = str(self.facts.get("ss_base_model_version", "")) + str(self.facts.get("modelspec.architecture", ""))
        draft.sdxl = True if "xl" in version.lower() else draft.sdxl
        for name in PLAIN:
            key = f"ss_{name}"
            if key in self.facts:
                self.used.add(key)
                self.record(name, self.facts[key], key)
        self.model()
        self.network()
        self.optimizer()
        self.length()
        self.pictures()
        self.name_rest()

    def record(self, name: str, value: Any, key: str) -> None:
        self.draft.options.record(name, parsed(value), key, self.document.name)

    def entry(self, key: str) -> Entry | None:
        entry = Entry(key, self.facts.get(key), self.document.name)
        return None if entry.is_unset else entry

    def model(self) -> None:
        if entry := self.entry("ss_sd_model_name"):
            self.draft.assign("model.checkpoint", "")
            set_checkpoint(self.draft, entry)
        prediction = self.entry("modelspec.prediction_type")
        if prediction and str(prediction.value).strip() in ("v", "v_prediction"):
            self.draft.options.record("v_parameterization", True, prediction.key, self.document.name)
        if "ss_debiased_estimation" in self.facts:
            self.record("debiased_estimation_loss", self.facts["ss_debiased_estimation"], "ss_debiased_estimation")
            self.used.add("ss_debiased_estimation")
        if "ss_clip_skip" not in self.facts and (skip := self.entry("modelspec.encoder_layer")):
            self.record("clip_skip", skip.value, skip.key)

    def network(self) -> None:
        arguments = parsed(self.facts.get("ss_network_args"))
        if isinstance(arguments, dict) and arguments:
            self.record("network_args", arguments, "ss_network_args")

    def optimizer(self) -> None:
        """A class path with its arguments in brackets: prodigyopt.prodigy.Prodigy(decouple=True,betas=(0.9, 0.99))."""
        entry = self.entry("ss_optimizer")
        match = CLASS.match(str(entry.value)) if entry else None
        if entry is None or match is None:
            return
        name = "SGDNesterov" if match[1].endswith(".SGD") else match[1]
        self.draft.options.record("optimizer_type", name, entry.key, self.document.name, name.rpartition(".")[2])
        if match[2]:
            self.draft.options.record("optimizer_args", pairs(match[2]), "ss_optimizer arguments", self.document.name)

    def length(self) -> None:
        """Steps are the safest length: warm-up and schedule refer to them, whatever pictures there are here."""
        epochs = self.entry("ss_num_epochs")
        if epochs and "max_train_steps" in self.draft.options:
            self.draft.notes.differ(
                epochs,
                "the epochs that were planned; the steps count, for an epoch of other pictures has another length",
            )
        elif epochs:
            self.record("max_train_epochs", epochs.value, epochs.key)
        for key, integer in (("ss_epoch", "ss_num_epochs"), ("ss_steps", "ss_max_train_steps")):
            entry = self.entry(key)
            if entry and str(entry.value) != str(self.facts.get(integer)):
                self.draft.notes.differ(entry, f"the file is from the middle of the run; its plan is taken, "
                                               f"{self.facts.get(integer)}")
            elif entry:
                self.draft.notes.off.append(entry.key)

    def pictures(self) -> None:
        """One concept for each folder of the subject; where the pictures are, the file does not say."""
        datasets = parsed(self.facts.get("ss_datasets"))
        datasets = [table for table in datasets if isinstance(table, dict)] if isinstance(datasets, list) else []
        folders = parsed(self.facts.get("ss_dataset_dirs"))
        shared = {key: value for key, value in datasets[0].items() if key in OF_DATASETS} if datasets else {}
        subset = next((part for table in datasets for part in table.get("subsets") or [] if isinstance(part, dict)
                       and not part.get("is_reg")), {})
        shared |= {key: value for key, value in subset.items() if key in OF_DATASETS}
        for key, value in shared.items():
            self.record(key, value, f"ss_datasets {key}")
        self.sizes(datasets, shared)
        batch = next((table.get("batch_size_per_device") for table in datasets), None)
        batch = batch or self.facts.get("ss_batch_size_per_device")
        self.used.add("ss_batch_size_per_device")
        if batch is not None:
            self.record("train_batch_size", batch, "ss_datasets batch_size_per_device")
        self.folders(folders if isinstance(folders, dict) else {}, subset)

    def sizes(self, datasets: list[dict[str, Any]], shared: dict[str, Any]) -> None:
        """Old files say the sizes beside the data sets; several sizes cannot be said here."""
        for name in ("resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_no_upscale",
                     "keep_tokens", "shuffle_caption", "flip_aug", "random_crop", "color_aug"):
            key = f"ss_{name}"
            self.used.add(key)
            if name not in shared and key in self.facts:
                self.record(name, self.facts[key], key)
        if "resolution" not in self.draft.options and (entry := self.entry("modelspec.resolution")):
            self.record("resolution", entry.value, entry.key)
        sizes = {str(table.get("resolution")) for table in datasets}
        if len(sizes) > 1:
            self.draft.notes.differ(
                Entry("ss_datasets resolution", ", ".join(sorted(sizes))), "one size here, the first"
            )

    def folders(self, folders: dict[str, Any], subset: dict[str, Any]) -> None:
        for name, facts in folders.items():
            entries = entries_of({"num_repeats": facts.get("n_repeats", 1) if isinstance(facts, dict) else 1},
                                 self.document.name)
            words = subset.get("class_tokens") if len(folders) == 1 else None
            if words:
                entries.record("class_tokens", words, "ss_datasets class_tokens", self.document.name)
            self.draft.subsets.append(entries)
            self.draft.notes.differ(Entry("ss_dataset_dirs", PurePath(str(name)).name), f"the folder's name alone; "
                                    f"concepts[{len(self.draft.subsets) - 1}].repeats is taken from it")
        classes = parsed(self.facts.get("ss_reg_dataset_dirs"))
        if isinstance(classes, dict) and classes:
            self.draft.notes.missing.append(
                f"class pictures were used ({', '.join(map(str, classes))}); where they are, the "
                "file does not say: give concepts[0].class_images."
            )

    def name_rest(self) -> None:
        """What describes the file and is no setting."""
        self.draft.notes.facts.extend(key for key in self.facts if key not in self.used)

