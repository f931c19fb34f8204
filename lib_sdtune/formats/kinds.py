"""What a model file is, told by the names in it and never by its ending."""

NOUNS = {"checkpoint": "a checkpoint", "lora": "a LoRA", "embedding": "an embedding", "hypernetwork": "a hypernetwork",
         "vae": "a VAE without the rest of the model"}
LORA_TAILS = (".lora_down.weight", ".lora_up.weight", ".hada_w1_a", ".lokr_w1", ".lokr_w1_a", ".lora_A.weight", ".oft_blocks", ".oft_diag",
              ".dora_scale", ".diff", ".w_norm", ".on_input", ".a1.weight")


def kind(names):
    """"checkpoint" | "lora" | "embedding" | "hypernetwork" | "vae" | "" for the top-level names of a file, state_dict unwrapped."""
    names = list(names)
    text = [name for name in names if isinstance(name, str)]
    if any(name.startswith("model.diffusion_model.") for name in text):
        return "checkpoint"
    if any(name.startswith(("lora_", "oft_unet", "lycoris_")) or name.endswith(LORA_TAILS) for name in text):
        return "lora"
    if "string_to_param" in text or {"clip_l", "clip_g"} <= set(text):
        return "embedding"
    if any(isinstance(name, int) for name in names) and "layer_structure" in text:
        return "hypernetwork"
    if any(name.removeprefix("first_stage_model.").startswith("decoder.conv_in.") for name in text):
        return "vae"
    return "embedding" if len(names) == len(text) == 1 else ""  # a single table under any name
