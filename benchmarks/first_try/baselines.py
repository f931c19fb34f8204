"""Settings that the defaults are measured beside, as overlays of a config."""

SCALE = 20  # the embedded model's rates against those of real ones
LION = SCALE / 10  # Lion takes a third to a tenth of AdamW's rates (Chen et al. 2023); at 20 it drew nothing
PLAIN = {"dataset": {"describe": [], "trigger_words_rate": 0.0},
         "loss": {"prior_preservation": "pictures", "debiased_estimation": False}}
BASELINES = {
    "defaults": {},
    # the tutorial that many begin with: ten repeats, ten epochs
    "tutorial": PLAIN | {"concepts": [{"repeats": 10, "class_prompt": ""}],
                 "lora": {"dim": 32, "alpha": 32, "conv_dim": 0, "unet_lr": 1e-4 * LION,
                          "text_encoder_lr": 1e-5 * LION},
                 "train": {"max_train_epochs": 10, "max_train_steps": 0, "batch_size": 1, "optimizer": "Lion",
                           "lr_scheduler": "cosine_with_restarts"}},
    # what its own program does where nothing is said
    "sd-scripts": PLAIN | {"concepts": [{"class_prompt": ""}], "lora": {"dim": 4, "alpha": 1, "conv_dim": 0,
                   "unet_lr": 2e-6 * SCALE, "text_encoder_lr": 2e-6 * SCALE},
                   "train": {"max_train_steps": 1600, "batch_size": 1, "lr_scheduler": "constant"}},
}
