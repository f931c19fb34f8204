"""sd-scripts' options, put together from all files that name some, as CONFIG."""

from collections.abc import Callable

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, abridged, plain, text
from lib_sdtune.settings_import.optimizers import pairs, set_arguments, set_optimizer
from lib_sdtune.settings_import.option import apply, name_unknown
from lib_sdtune.settings_import.schedules import set_schedule
from lib_sdtune.settings_import.sd_scripts import lengths, model, pictures, samples, saving
from lib_sdtune.settings_import.sd_scripts.embedding import set_embedding
from lib_sdtune.settings_import.sd_scripts.networks import set_network
from lib_sdtune.settings_import.sd_scripts.options import OPTIONS, OTHERS
from lib_sdtune.settings_import.sd_scripts.rates import set_rates

PER_SUBSET = {  # what a dataset TOML says of single folders, and the CONFIG key that it is here, "" for none
    "image_dir": "concepts[].images", "num_repeats": "concepts[].repeats", "class_tokens": "concepts[].prompt",
    "is_reg": "concepts[].class_images", "conditioning_data_dir": "concepts[].conditioning_data_dir",
    "metadata_file": "", "name": "", "custom_attributes": "", "cache_info": ""}
MADE_BY_RECIPE = ("network_", "unet_lr", "text_encoder_lr")
EMBEDDING = ("token_string", "init_word", "num_vectors_per_token", "use_object_template", "use_style_template")


def translate(draft: Draft, total_steps: Callable[[Draft], int | None]) -> None:
    """Compose `draft.config` from `draft.options` and `draft.subsets`.

    total_steps(draft): how many steps the run has, None where nobody can know yet.
    """
    options = draft.options
    share_subsets(draft)
    draft.config.setdefault("method", method_of(draft))
    model.set_model(draft, options)
    pictures.set_concepts(draft, options)
    pictures.set_images(draft)
    pictures.set_resolution(draft, options)
    pictures.set_cache(draft, options)
    pictures.set_captions(draft, options)
    if draft.method == "lora":
        set_network(draft, options)
    elif draft.method == "textual_inversion":
        set_embedding(draft, options)
    set_rates(draft, options)
    set_optimizer_and_schedule(draft)
    saving.set_name(draft, options.take("output_name"))
    model.set_precision(draft, options)
    model.set_seed(draft, options.take("seed"))
    model.name_processes(draft, options)
    model.set_attention(draft, options)
    apply([*OPTIONS, *OTHERS], options, draft)
    saving.set_saving(draft, options)
    samples.set_samples(draft, options)
    samples.set_validation(draft, options)
    total = total_steps(draft)
    lengths.set_steps(draft, options, "lr_warmup_steps", total)
    lengths.set_steps(draft, options, "lr_decay_steps", total)
    lengths.set_stop(draft, options, total)
    for name in ("config_file", "dataset_config", "sample_prompts", "noise_offset_type"):
        options.used.add(name)
    name_unneeded(draft, options)


def share_subsets(draft: Draft) -> None:
    """What subsets of a dataset TOML say of captions and sizes counts for the whole run here: the first one's.

    The folders of a subject go before those of class pictures. A subset that says nothing of a setting has what the
    options say, or the program's default, and so has the run where that subset is the first.
    """
    subsets = sorted(draft.subsets, key=lambda subset: bool(subset.take_switch("is_reg")))
    defaults = {option.name: option.default for option in (*OPTIONS, *OTHERS)} | draft.defaults
    for name in dict.fromkeys(name for subset in subsets for name in subset if name not in PER_SUBSET):
        option = {"batch_size": "train_batch_size"}.get(name, name)
        first, outside = subsets[0].get(name), draft.options.get(option)
        if first and outside and not outside.agrees(first):
            draft.notes.warnings.append(f"{outside} of {outside.source} and {first} of {first.source} contradict "
                                        "each other; the dataset file's counts, as in sd-scripts.")
        chosen = first or outside
        value = chosen.value if chosen else defaults.get(option)
        others = [subset[name] for subset in subsets[1:] if name in subset]
        differing = [entry for entry in others if plain(entry.value) != plain(value)]
        if chosen is None and value is None:  # such as a resolution, which some of the datasets alone have
            chosen = next(subset[name] for subset in subsets if name in subset)
            differing = [entry for entry in differing if not entry.agrees(chosen)]
        elif first and any(name not in subset for subset in subsets[1:]) and plain(first.value) != plain(
                outside.value if outside else defaults.get(option)):
            draft.notes.differ(first, "one value for all folders here, also for those that do not say it")
        for entry in differing:
            kept = abridged(chosen.value if chosen else value)
            draft.notes.differ(entry, f"one value for all folders here, the first: {kept}")
        if chosen or not differing:
            draft.options[option] = chosen or next(subset[name] for subset in subsets if name in subset)


def method_of(draft: Draft) -> str:
    """The method that the script, or the kind of options, belongs to."""
    if draft.script:
        if "textual_inversion" in draft.script:
            return "textual_inversion"
        return "lora" if "network" in draft.script else "dreambooth"
    names = [name for name, entry in draft.options.items() if not entry.is_unset]
    if any(name.startswith(MADE_BY_RECIPE) for name in names):
        return "lora"
    if "token_string" in names:
        return "textual_inversion"
    has_model = any(name in names for name in ("pretrained_model_name_or_path", "learning_rate", "optimizer_type"))
    return "dreambooth" if has_model else "lora"


def set_optimizer_and_schedule(draft: Draft) -> None:
    options = draft.options
    chosen, eight_bits, lion = (options.take("optimizer_type"), options.take_switch("use_8bit_adam"),
                                options.take_switch("use_lion_optimizer"))
    if chosen and (lion or eight_bits):
        draft.notes.warnings.append(f"{chosen} and {lion or eight_bits} contradict each other; the first counts.")
    elif lion and eight_bits:
        draft.notes.warnings.append(f"{lion} and {eight_bits} contradict each other: sd-scripts stops at that; Lion is "
                                    "taken, for the other is on by default.")
    entry = chosen or lion or eight_bits
    name = text(chosen.value) if chosen else "Lion" if lion else "AdamW8bit" if eight_bits else (
        draft.default_of("optimizer_type", "AdamW"))
    optimizer = set_optimizer(draft, name, entry)
    draft.assign("train.optimizer_args", {})
    if arguments := options.take("optimizer_args"):
        set_arguments(draft, pairs(arguments.value), optimizer, arguments)
    kind, schedule = options.take("lr_scheduler_type"), options.take("lr_scheduler")
    if kind and schedule:
        draft.notes.differ(schedule, f"lr_scheduler_type counts instead: {text(kind.value)}")
    named = kind or schedule
    set_schedule(draft, text(named.value) if named else draft.default_of("lr_scheduler", "constant"), named)
    if arguments := options.take("lr_scheduler_args"):
        draft.notes.refuse(arguments, "were the arguments of lr_scheduler_type")


def name_unneeded(draft: Draft, options: Entries) -> None:
    """Options of other methods than the one that is trained did nothing; unknown ones are named."""
    by_name = {option.name: option for option in (*OPTIONS, *OTHERS)}
    for name, entry in list(options.unused()):
        option = by_name.get(name)
        if option is None:
            continue
        options.used.add(name)
        if entry.is_unset or not entry.value or entry.value in ("0", "False", "false"):
            draft.notes.off.append(entry.key)
        else:
            draft.notes.differ(entry, f"has no meaning for {draft.method.replace('_', ' ')}")
    name_unknown(options, draft, draft.program or "sd-scripts")
