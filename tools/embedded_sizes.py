"""The embedded model's sizes: SD1's blocks, layer for layer, at a fraction of the width."""

UNET = {"model_channels": 64, "channel_mult": (1, 1, 2, 1), "num_res_blocks": 2, "attention_levels": (0, 1, 2),
        "context_dim": 64, "num_heads": 8}
VAE = {"ch": 64, "ch_mult": (1, 1, 1, 1), "num_res_blocks": 1}
TEXT = {"width": 64, "layers": 4, "heads": 4}
SCALE_FACTOR = 0.18215
