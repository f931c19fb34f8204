"""The YAML of ostris' ai-toolkit (at 27a03a91): a job with processes, of which the first one trains."""

from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.settings_import import families
from lib_sdtune.settings_import.checkpoints import set_checkpoint
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document, flat
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, flag, fraction, integer, number
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.optimizers import pairs, set_arguments, set_optimizer
from lib_sdtune.settings_import.option import Option, apply, name_unknown
from lib_sdtune.settings_import.sample_prompts import set_prompts
from lib_sdtune.settings_import.schedules import set_schedule
from lib_sdtune.settings_import.sd_scripts.files import entries_of
from lib_sdtune.settings_import.sd_scripts.pictures import set_images, sides_of
from lib_sdtune.settings_import.sd_scripts.saving import clean

LEARNING_RATE = 1e-6
METHODS = {"sd_trainer": "lora", "diffusion_trainer": "lora", "textual_inversion_trainer": "textual_inversion",
           "ui_trainer": "lora"}
NETWORKS = {"lora": "lora", "lierla": "lora", "c3lier": "lora", "locon": "lora", "lokr": "lokr", "loha": "loha", "dora": "dora"}
ARCHITECTURES = ("", "sd1", "sd2", "sdxl", "sd", "ssd", "vega")
PRECISIONS = {
    "train.mixed_precision": {"bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "fp32": "no", "float32": "no",
                              "float": "no"},
    "save.precision": {"bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "fp32": "float",
                       "float32": "float", "float": "float"}}
PLACES = "chose folders; where files go is fixed here"
MACHINE = "concerned the machine alone and changes no result"

OPTIONS = [
    Option("train.batch_size", int, 1, "train.batch_size"),
    Option("train.gradient_checkpointing", bool, True, "train.gradient_checkpointing",
           convert=lambda value: "on" if value else "off"),
    Option("train.min_snr_gamma", float, 0.0, "loss.min_snr_gamma"),
    Option("train.noise_offset", float, 0.0, "noise.noise_offset"),
    Option("train.max_denoising_steps", int, 1000, "noise.max_timestep"),
    Option("train.min_denoising_steps", int, 0, "noise.min_timestep"),
    Option("train.max_grad_norm", float, 1.0, "train.max_grad_norm"),
    Option("train.seed", int, None, "train.seed"),
    Option("save.save_every", int, 1000, "save.every_n_steps"),
    Option("save.max_step_saves_to_keep", int, 5, "save.keep_last"),
    Option("sample.width", int, 512, "sample.width"), Option("sample.height", int, 512, "sample.height"),
    Option("sample.guidance_scale", float, 7.0, "sample.cfg_scale"),
    Option("sample.sample_steps", int, 20, "sample.steps"), Option("sample.seed", int, 0, "sample.seed"),
    Option("sample.sampler", str, "ddpm", how="chose the sampler of the samples; here it is the WebUI's"),
    Option("sample.walk_seed", bool, False, how="gave each prompt a seed of its own; here all have one"),
    Option("sample.network_multiplier", float, 1.0, how="was the weight of the LoRA in samples"),
    Option("sample.sample_start_step", int, 0, how="made no samples before that step"),
    Option("sample.format", str, "jpg", how=PLACES), Option("sample.ext", str, "jpg", how=PLACES),
    Option("save.save_format", str, "safetensors", how="the file is safetensors here"),
    Option("save.push_to_hub", bool, False, how="uploaded files; nothing here is sent anywhere"),
    Option("save.hf_repo_id", str, None, how="uploaded files; nothing here is sent anywhere"),
    Option("save.hf_private", bool, False, how="uploaded files; nothing here is sent anywhere"),
    Option("train.skip_first_sample", bool, False, how="made no samples before the first step; here none are made then"),
    Option("train.noise_scheduler", str, "ddpm", how="was another schedule of noise"),
    Option("train.weight_jitter", float, 0.0, how="added noise to the weights"),
    Option("train.xformers", bool, False, how=MACHINE), Option("train.sdp", bool, False, how=MACHINE),
    Option("train.content_or_style", str, "balanced", how="drew some timesteps more often; here all alike"),
    Option("train.linear_timesteps", bool, False, how="belongs to models of another kind"),
    Option("train.timestep_type", str, "sigmoid", how="belongs to models of another kind"),
    Option("train.bypass_guidance_embedding", bool, False, how="belongs to models of another kind"),
    Option("train.cache_text_embeddings", bool, False, how=MACHINE),
    Option("train.unload_text_encoder", bool, False, how=MACHINE),
    *[Option(f"model.{name}", kind, default, how=MACHINE) for name, kind, default in (
        ("quantize", bool, False), ("quantize_te", bool, False), ("low_vram", bool, False), ("qtype", str, None),
        ("qtype_te", str, None), ("dtype", str, None))],
    *[Option(name, str, None, how=PLACES) for name in (
        "training_folder", "device", "log_dir", "sqlite_db_path", "performance_log_every", "output_path")],
]


@registry.register("ai-toolkit")
class AiToolkit(Dialect):
    title, program, order = "ai-toolkit", "ai-toolkit", 15

    @staticmethod
    def recognises(document: Document) -> bool:
        return "job" in document.table and isinstance(document.table.get("config"), dict)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        draft.program = "ai-toolkit"
        Job(document, draft).read()


class Job:
    """The first process of a job: `settings` holds every key, those of groups as "train.lr"."""

    def __init__(self, document: Document, draft: Draft) -> None:
        self.document, self.draft = document, draft
        config = document.table["config"]
        self.process = process_of(document, config, draft)
        self.kind = str(self.process.get("type", ""))
        self.check_kind()
        self.datasets = [table for table in self.process.get("datasets") or [] if isinstance(table, dict)]
        groups = {key: value for key, value in self.process.items() if key not in ("datasets", "type", "logging")}
        self.settings = entries_of(flat(groups, deep=True), document.name)
        self.settings.record("name", config.get("name"), "config.name", document.name)

    def check_kind(self) -> None:
        """UserError for jobs that train no LoRA, model or embedding."""
        name = self.document.name
        if "slider" in self.kind or "slider" in self.process:
            families.refuse(name, "a slider")
        if str(self.document.table["job"]) not in ("extension", "train"):
            raise UserError(f"{name} is a job of ai-toolkit that trains nothing: {self.document.table['job']}.")
        if self.kind not in METHODS:
            raise UserError(f"{name}: the process {self.kind or 'without a type'} of ai-toolkit is not known here.")

    def read(self) -> None:
        draft, settings = self.draft, self.settings
        self.model()
        draft.config["method"] = "lora" if "network" in self.process else METHODS[self.kind] if METHODS[
            self.kind] != "lora" else "dreambooth"
        self.pictures()
        apply(OPTIONS, settings, draft)
        self.network()
        self.rates()
        self.optimizer()
        self.precision()
        self.length()
        self.samples()
        self.embedding()
        self.name()
        self.trigger()
        draft.assign("save.every_n_epochs", 0)
        name_unknown(settings, draft, "ai-toolkit")

    def value(self, name: str, default: Any = None) -> Any:
        entry = self.settings.take(name)
        return entry.value if entry else default

    def is_on(self, name: str, default: bool = False) -> bool:
        try:
            return flag(self.value(name, default))
        except ValueError:
            return default

    def model(self) -> None:
        """The family, the checkpoint and what it predicts. UserError for another family."""
        name = self.document.name
        architecture = str(self.value("model.arch", "")).lower()
        families.check_word(name, architecture)
        if architecture not in ARCHITECTURES:
            families.refuse(name, architecture)
        for key, family in (("is_flux", "FLUX"), ("is_v3", "SD3"), ("is_pixart", "PixArt"), ("is_auraflow", "AuraFlow"),
                            ("is_lumina2", "Lumina")):
            if self.is_on(f"model.{key}"):
                families.refuse(name, family)
        checkpoint = self.settings.take("model.name_or_path")
        if checkpoint:
            families.check_checkpoint(name, str(checkpoint.value))
        if str(self.value("train.noise_scheduler", "")).lower() == "flowmatch":
            families.refuse(name, "a model that is trained by flow matching")
        self.draft.assign("model.checkpoint", "")
        if checkpoint:
            set_checkpoint(self.draft, checkpoint)
        self.draft.sdxl = True if self.is_on("model.is_xl") or architecture in ("sdxl", "ssd", "vega") else None
        self.draft.assign("model.prediction_type", "auto")
        if self.is_on("model.is_v_pred"):
            self.draft.set("model.prediction_type", "v_prediction", self.settings["model.is_v_pred"])
        self.settings.used.update(f"model.{key}" for key in ("is_v2", "is_xl", "is_v_pred"))

    def pictures(self) -> None:
        """A concept for each data set; what the first says of captions and sizes counts for the run."""
        draft, source = self.draft, self.document.name
        draft.config["concepts"] = []
        for index, table in enumerate(self.datasets):
            facts = entries_of(table, source)
            concept: dict[str, Any] = {}
            if folder := facts.take("folder_path"):
                concept["images"] = str(folder.value)
                draft.notes.take(folder, f"concepts[{index}].images", concept["images"])
            concept["repeats"] = 1
            if repeats := facts.take("num_repeats"):
                concept["repeats"] = max(1, int(number(repeats.value)))
                draft.notes.take(repeats, f"concepts[{index}].repeats", concept["repeats"])
            if words := facts.take("default_caption"):
                concept["prompt"] = str(words.value)
                draft.notes.take(words, f"concepts[{index}].prompt", concept["prompt"])
            draft.config["concepts"].append(concept)
            if index == 0:
                self.for_all(facts)
            name_unknown(facts, draft, "ai-toolkit")
        if not self.datasets:
            draft.config["concepts"] = [{"repeats": 1}]
            self.for_all(entries_of({}, source))
        set_images(draft)

    def for_all(self, facts: Any) -> None:
        draft = self.draft
        extension = facts.take("caption_ext")
        ending = str(extension.value) if extension else "txt"
        draft.set("dataset.caption_extension", ending if ending.startswith(".") else f".{ending}", extension)
        apply([Option("caption_dropout_rate", float, 0.0, "dataset.caption_dropout_rate"),
               Option("shuffle_tokens", bool, False, "dataset.shuffle_caption"),
               Option("keep_tokens", int, 0, "dataset.keep_tokens"), Option("buckets", bool, True, "dataset.enable_bucket"),
               Option("random_crop", bool, False, "dataset.random_crop"), Option("flip_x", bool, False, "dataset.flip_aug"),
               Option("token_dropout_rate", float, 0.0, "dataset.caption_tag_dropout_rate"),
               Option("cache_latents_to_disk", bool, False, "dataset.cache_latents")], facts, draft)
        if (cache := facts.take("cache_latents")) and not draft.get("dataset.cache_latents"):
            draft.set("dataset.cache_latents", flag(cache.value), cache)
        entry = facts.take("resolution")
        listed = entry.value if entry and isinstance(entry.value, list) else [entry.value if entry else 512]
        sizes = [side for each in listed for side in sides_of(each)[:1]]
        largest = int(max(sizes, default=512))
        several = len(set(sizes)) > 1
        draft.set("dataset.resolution", largest, entry,
                  "every picture at each of those sizes there; here the largest alone" if several else "")
        draft.assign("dataset.max_bucket_reso", max(1024, 2 * largest))

    def network(self) -> None:
        if self.draft.method != "lora":
            return
        draft = self.draft
        kind = self.settings.take("network.type")
        name = str(kind.value).lower() if kind else "lora"
        if name in NETWORKS:
            draft.set("lora.network", NETWORKS[name], kind)
        else:
            draft.assign("lora.network", "lora")
            draft.notes.refuse(kind or Entry("network.type", name), "cannot be trained here; CONFIG trains a LoRA instead")
        rank, alpha = self.settings.take("network.linear") or self.settings.take("network.rank"), self.settings.take(
            "network.linear_alpha") or self.settings.take("network.alpha")
        for path, entry, default, read in (("lora.dim", rank, 4, integer), ("lora.alpha", alpha, 1.0, fraction)):
            try:
                value = read(entry.value) if entry else default
            except ValueError as error:
                if entry:
                    draft.notes.unread(entry, error)
                entry, value = None, default
            if entry:
                draft.set(path, value, entry)
            else:
                draft.default(path, value, f"network.{path[5:]}")
        conv, conv_alpha = self.settings.take("network.conv"), self.settings.take("network.conv_alpha")
        draft.set("lora.conv_dim", int(number(conv.value)) if conv else 0, conv)
        draft.set("lora.conv_alpha", float(number(conv_alpha.value)) if conv_alpha else float(
            draft.get("lora.conv_dim")) or 1.0, conv_alpha)

    def rates(self) -> None:
        """The UNet is trained and the text encoder is not, unless the file says otherwise."""
        draft, method = self.draft, self.draft.method
        common = self.settings.take("train.lr")
        if method == "textual_inversion":
            self.rate("textual_inversion.lr", self.settings.take("train.embedding_lr") or common)
            return
        self.rate(f"{method}.unet_lr", self.settings.take("train.unet_lr") or common)
        self.rate(f"{method}.text_encoder_lr", self.settings.take("train.text_encoder_lr") or common)
        unet, text = self.settings.take("train.train_unet"), self.settings.take("train.train_text_encoder")
        if not self.is_on("train.train_unet", True):
            draft.set(f"{method}.unet_lr", 0.0, unet, "0 leaves the UNet out here")
        if not self.is_on("train.train_text_encoder", False):
            draft.set(f"{method}.text_encoder_lr", 0.0, text or Entry("train.train_text_encoder", "false by default"),
                      "0 leaves the text encoder out here")

    def rate(self, path: str, entry: Entry | None) -> None:
        try:
            self.draft.set(path, fraction(entry.value) if entry else LEARNING_RATE, entry)
        except ValueError as error:
            self.draft.assign(path, LEARNING_RATE)
            if entry:
                self.draft.notes.unread(entry, error)

    def optimizer(self) -> None:
        draft = self.draft
        entry = self.settings.take("train.optimizer")
        name = str(entry.value) if entry else "adamw"
        optimizer = set_optimizer(draft, name, entry)
        prefix = "train.optimizer_params."
        arguments = {key.removeprefix(prefix): self.value(key) for key in self.settings if key.startswith(prefix)}
        set_arguments(draft, pairs(arguments), optimizer, Entry("train.optimizer_params", arguments, self.document.name))
        schedule = self.settings.take("train.lr_scheduler")
        set_schedule(draft, str(schedule.value) if schedule else "constant", schedule)
        parameters = {key: self.value(key) for key in self.settings if key.startswith("train.lr_scheduler_params.")}
        draft.assign("train.lr_warmup_steps", 0)
        for key, value in parameters.items():
            if key.endswith(("num_warmup_steps", "warmup_steps")):
                draft.set("train.lr_warmup_steps", integer(value), self.settings[key])
            else:
                draft.notes.refuse(self.settings[key], "was an argument of the schedule")

    def precision(self) -> None:
        for name, path, default in (("train.dtype", "train.mixed_precision", "fp32"),
                                    ("save.dtype", "save.precision", "float16")):
            entry = self.settings.take(name)
            value = PRECISIONS[path].get(str(entry.value).lower() if entry else default)
            if value is None and entry:
                self.draft.notes.refuse(entry, "a number format that is not known here")
            elif entry:
                self.draft.set(path, value, entry)
            else:
                self.draft.default(path, value, name)

    def length(self) -> None:
        """Steps are updates with gradient_accumulation, and micro-steps with the older gradient_accumulation_steps."""
        draft = self.draft
        steps, new, old = (self.settings.take(f"train.{name}") for name in (
            "steps", "gradient_accumulation", "gradient_accumulation_steps"))
        total = self.integer(steps, 1000)
        accumulation = self.integer(old, 1)
        if accumulation > 1 and old:
            draft.set("train.gradient_accumulation_steps", accumulation, old)
            draft.set("train.max_train_steps", max(1, total // accumulation), steps,
                      f"micro-steps there: divided by {accumulation}")
        else:
            draft.set("train.gradient_accumulation_steps", self.integer(new, 1), new or old)
            if steps:
                draft.set("train.max_train_steps", total, steps)
            else:
                draft.default("train.max_train_steps", total, "train.steps")
        draft.assign("train.max_train_epochs", 0)

    def integer(self, entry: Entry | None, default: int) -> int:
        try:
            return integer(entry.value) if entry else default
        except ValueError as error:
            if entry:
                self.draft.notes.unread(entry, error)
            return default

    def samples(self) -> None:
        draft = self.draft
        every = self.settings.take("sample.sample_every")
        draft.assign("sample.every_n_epochs", 0)
        if self.is_on("train.disable_sampling"):
            draft.set("sample.every_n_steps", 0, self.settings["train.disable_sampling"])
        elif "sample" in self.process:
            draft.set("sample.every_n_steps", self.integer(every, 100), every)
        prompts = self.settings.take("sample.prompts") or self.settings.take("sample.samples")
        negative = self.settings.take("sample.neg")
        lines = [str(line.get("prompt", "")) if isinstance(line, dict) else str(line)
                 for line in (prompts.value if prompts and isinstance(prompts.value, list) else [])]
        if negative and lines:
            draft.notes.differ(negative, "put behind each prompt as --n")
            lines = [line if " --n " in line else f"{line} --n {negative.value}" for line in lines]
        word = self.settings.get("trigger_word")
        if word and not word.is_unset:
            lines = [line.replace("[trigger]", str(word.value)) for line in lines]
        set_prompts(draft, lines, prompts)

    def embedding(self) -> None:
        if self.draft.method != "textual_inversion":
            return
        for name, path, kind in (("trigger", "token", str), ("init_words", "init_text", str),
                                 ("tokens", "num_vectors_per_token", integer), ("save_format", "save_model_as", str)):
            entry = self.settings.take(f"embedding.{name}")
            if entry:
                self.draft.set(f"textual_inversion.{path}", kind(entry.value), entry)
            elif name == "tokens":
                self.draft.default("textual_inversion.num_vectors_per_token", 4, "embedding.tokens")

    def name(self) -> None:
        entry = self.settings.take("name")
        if self.draft.name:
            self.draft.config["name"] = self.draft.name
        elif entry and (name := clean(str(entry.value))):
            self.draft.set("name", name, entry, "" if name == str(entry.value) else "made fit for a file name")
        average, decay = self.is_on("train.ema_config.use_ema"), self.settings.take("train.ema_config.ema_decay")
        if average and self.draft.method == "dreambooth":
            self.draft.set("dreambooth.ema_decay", fraction(decay.value) if decay else 0.99, decay)
        elif average:
            self.draft.notes.refuse(self.settings["train.ema_config.use_ema"],
                                    "kept an average of the weights; here for a whole model alone")
        elif decay:
            self.draft.notes.off.append(decay.key)

    def trigger(self) -> None:
        """The word is put in front of captions there; captions on the disk stay as they are here."""
        entry = self.settings.take("trigger_word")
        if entry is None:
            return
        for concept in self.draft.config["concepts"]:
            concept.setdefault("prompt", str(entry.value))
        self.draft.notes.differ(entry, "put in front of captions that lack it, and in the place of [trigger]; here captions stay "
                                       "as they are, write it into them", "concepts[].prompt", entry.value)


def process_of(document: Document, config: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """The first process. UserError where there is none."""
    listed = config.get("process")
    processes = [process for process in listed if isinstance(process, dict)] if isinstance(listed, list) else []
    if not processes:
        if str(document.table.get("job")) not in ("extension", "train"):
            raise UserError(f"{document.name} is a job of ai-toolkit that trains nothing: {document.table.get('job')}.")
        raise UserError(f"{document.name} has no process, so it trains nothing.")
    if len(processes) > 1:
        draft.notes.warnings.append(f"{document.name} has {len(processes)} processes; the first is taken alone.")
    return processes[0]
