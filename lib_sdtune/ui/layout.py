"""Which field stands where: what most people never open is folded away, the rest in Expert."""

from collections.abc import Iterable, Mapping

from lib_sdtune.ui.fields import Field

TOP = ("method", "name", "concept.prompt", "concept.images", "further_concepts")

GROUPS = {
    "Pictures and captions": ("concept", "dataset"),
    "Training": ("train",),
    "Samples": ("sample", "validation"),
    "Saving": ("save", "overwrite"),
}

EXPERT = {
    "Model": ("model",),
    "Captions": ("dataset.keep_tokens_separator", "dataset.secondary_separator", "dataset.enable_wildcard",
                 "dataset.weighted_captions",
                 "dataset.caption_prefix", "dataset.caption_suffix", "dataset.token_warmup_min",
                 "dataset.token_warmup_step", "dataset.caption_dropout_every_n_epochs"),
    "Noise": ("noise",),
    "Loss": ("loss",),
    "Buckets and cache": ("dataset.min_bucket_reso", "dataset.max_bucket_reso", "dataset.bucket_reso_steps",
                          "dataset.bucket_no_upscale", "dataset.random_crop", "dataset.alpha_mask",
                          "dataset.masked_loss",
                          "dataset.cache_latents", "dataset.latent_sampling", "dataset.caption_extension"),
    "Optimizer": ("train.optimizer_args", "train.lr_scheduler_num_cycles", "train.lr_scheduler_power",
                  "train.lr_scheduler_min_lr_ratio", "train.lr_decay_steps", "train.lr_scheduler_timescale",
                  "train.max_grad_norm",
                  "train.gradient_accumulation_steps", "train.stop_text_encoder_training",
                  "train.gradient_checkpointing", "train.mixed_precision", "train.cuda_graphs"),
    "Network options": ("lora.init_file", "lora.preset", "lora.network_dropout", "lora.rank_dropout",
                        "lora.module_dropout", "lora.scale_weight_norms", "lora.loraplus_lr_ratio", "lora.factor",
                        "lora.use_tucker", "lora.train_on_input", "lora.constraint", "lora.rescaled",
                        "lora.down_lr_weight", "lora.mid_lr_weight", "lora.up_lr_weight", "lora.block_dims",
                        "lora.block_alphas", "lora.conv_block_dims", "lora.conv_block_alphas"),
    "More": (),
}


def groups() -> dict[str, tuple[str, ...]]:
    """`GROUPS`, with one more for each method's own settings behind the pictures."""
    from lib_sdtune.methods import in_order

    (first, members), *groups_after = GROUPS.items()
    methods = {method.settings_title or f"{method.title} settings": (method.name,) for method in in_order()}
    return {first: members} | methods | dict(groups_after)


def arrange(fields: Iterable[Field]) -> tuple[dict[str, list[Field]], dict[str, list[Field]]]:
    """(accordions, expert): {title: [fields]} twice. A new section's fields land in Expert under "More"."""
    often = groups()
    accordions: dict[str, list[Field]] = {title: [] for title in often}
    expert: dict[str, list[Field]] = {title: [] for title in EXPERT}
    for field in fields:
        if field.path in TOP:
            continue
        title = place(field, EXPERT, exact=True) or place(field, often) or place(field, EXPERT)
        (accordions if title in accordions else expert)[title or "More"].append(field)
    return accordions, expert


def place(field: Field, groups: Mapping[str, tuple[str, ...]], exact: bool = False) -> str | None:
    paths = (field.path,) if exact else (field.path, field.section)
    return next((title for title, members in groups.items() if set(paths) & set(members)), None)


def method_of(fields: Iterable[Field]) -> str:
    """The method that a group of fields belongs to, or ""."""
    from lib_sdtune.methods import registry

    sections = {field.section for field in fields}
    return sections.pop() if len(sections) == 1 and sections <= set(registry.names()) else ""
