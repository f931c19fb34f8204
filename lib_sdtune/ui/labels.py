"""The words on the fields: constant English, unique in the tab, sentence case; translations hang on them."""

LABELS = {
    "name": "Name",
    "method": "Method",
    "overwrite": "Replace a file of that name",
    "concept.images": "Pictures",
    "concept.prompt": "Trigger words",
    "concept.repeats": "Repeats",
    "concept.class_images": "Regularisation pictures",
    "concept.class_prompt": "Class prompt",
    "concept.num_class_images": "Number of regularisation pictures",
    "further_concepts": "Further concepts",
    "model.checkpoint": "Checkpoint",
    "model.clip_skip": "Training clip skip",
    "dataset.resolution": "Training resolution",
    "dataset.enable_bucket": "Keep picture shapes (buckets)",
    "dataset.min_bucket_reso": "Shortest bucket side",
    "dataset.max_bucket_reso": "Longest bucket side",
    "dataset.bucket_reso_steps": "Bucket steps",
    "dataset.bucket_no_upscale": "Never enlarge pictures",
    "dataset.caption_extension": "Caption file ending",
    "dataset.shuffle_caption": "Shuffle tags",
    "dataset.keep_tokens": "Keep first tags",
    "dataset.caption_dropout_rate": "Caption dropout",
    "dataset.caption_tag_dropout_rate": "Tag dropout",
    "dataset.flip_aug": "Mirror pictures",
    "dataset.random_crop": "Random crop",
    "dataset.alpha_mask": "Ignore transparent parts",
    "dataset.cache_latents": "Cache latents",
    "lora.network": "Network type",
    "lora.dim": "Dim (rank)",
    "lora.alpha": "Alpha",
    "lora.conv_dim": "Convolution dim",
    "lora.conv_alpha": "Convolution alpha",
    "lora.unet_lr": "UNet learning rate",
    "lora.text_encoder_lr": "Text encoder learning rate",
    "dreambooth.unet_lr": "DreamBooth UNet learning rate",
    "dreambooth.text_encoder_lr": "DreamBooth text encoder learning rate",
    "dreambooth.weights": "Training weights",
    "dreambooth.ema_decay": "DreamBooth EMA decay",
    "dreambooth.lora_dim": "Rank of an extra LoRA",
    "textual_inversion.token": "Embedding word",
    "textual_inversion.init_text": "Initial words",
    "textual_inversion.num_vectors_per_token": "Vectors per token",
    "textual_inversion.lr": "Embedding learning rate",
    "textual_inversion.init_embedding": "Continue embedding",
    "textual_inversion.preserve_norm": "Keep vector length",
    "textual_inversion.save_model_as": "Embedding file format",
    "hypernetwork.layer_structure": "Layer structure",
    "hypernetwork.activation": "Activation",
    "hypernetwork.use_layer_norm": "Layer norm",
    "hypernetwork.dropout": "Dropout",
    "hypernetwork.activate_output": "Activate output",
    "hypernetwork.dropout_structure": "Dropout structure",
    "hypernetwork.enable_sizes": "Context widths",
    "hypernetwork.init_hypernetwork": "Continue hypernetwork",
    "hypernetwork.weight_init": "Weight initialisation",
    "hypernetwork.lr": "Hypernetwork learning rate",
    "train.seed": "Training seed",
    "train.max_train_steps": "Steps",
    "train.max_train_epochs": "Epochs",
    "train.gradient_accumulation_steps": "Gradient accumulation",
    "train.lr_scheduler": "Learning rate schedule",
    "train.lr_warmup_steps": "Warm-up",
    "train.lr_scheduler_num_cycles": "Restarts",
    "train.max_grad_norm": "Gradient clipping",
    "train.stop_text_encoder_training": "Stop text encoder at step",
    "noise.multires_noise_iterations": "Multi-resolution noise",
    "noise.ip_noise_gamma": "Input perturbation",
    "noise.min_timestep": "Lowest timestep",
    "noise.max_timestep": "Highest timestep",
    "noise.zero_terminal_snr": "Zero terminal SNR",
    "loss.prior_loss_weight": "Weight of regularisation",
    "loss.min_snr_gamma": "Min-SNR gamma",
    "save.every_n_epochs": "Save every so many epochs",
    "save.every_n_steps": "Save every so many steps",
    "save.keep_last": "Keep only the last",
    "save.precision": "File precision",
    "save.state_every_n_steps": "Resume point every so many steps",
    "sample.every_n_epochs": "Sample every so many epochs",
    "sample.every_n_steps": "Sample every so many steps",
    "sample.prompts": "Sample prompts",
    "sample.steps": "Steps of a sample",
    "sample.cfg_scale": "Sample CFG scale",
    "sample.seed": "Sample seed",
    "sample.width": "Sample width",
    "sample.height": "Sample height",
    "validation.split": "Validation share",
    "validation.images": "Validation pictures",
    "validation.every_n_steps": "Validate every so many steps",
}

METHODS = {"lora": "LoRA", "dreambooth": "DreamBooth", "textual_inversion": "Embedding", "hypernetwork": "Hypernetwork"}

SECTIONS = {"train": "Training", "noise": "Noise", "loss": "Loss", "save": "Saving", "sample": "Samples",
            "validation": "Validation", "dataset": "Pictures and captions", "model": "Model"} | METHODS

WORDS = {"lr": "learning rate", "unet": "UNet", "reso": "resolution", "snr": "SNR", "ema": "EMA", "num": "number of", "vae": "VAE",
         "cfg": "CFG", "clip": "CLIP"}


def label(path, taken=()):
    """The label of `section.field`: the table's, else made of the key; the section stands in front where that is taken."""
    known = LABELS.get(path)
    if known:
        return known
    section, _, key = path.rpartition(".")
    words = sentence(" ".join(WORDS.get(word, word) for word in key.split("_")))
    return words if words not in taken else f"{SECTIONS.get(section, sentence(section))}: {words[0].lower()}{words[1:]}"


def sentence(text):
    return text[:1].upper() + text[1:]
