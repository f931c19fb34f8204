"""Options of sd-scripts for what is trained: networks and embeddings."""

from pathlib import PurePath

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options.unneeded import CARD


def stem(path: str) -> str:
    """The name of a file, as the WebUI lists it."""
    return PurePath(path.replace("\\", "/")).stem


NETWORK = [
    Option("network_module", str, None, "lora.network", group="network", scripts="n",
           how="networks.lora is lora, lycoris.kohya the kind that network_args' algo says"),
    Option("network_args", list, None, "lora.network, lora.conv_dim, lora.conv_alpha", group="network", scripts="n",
           how="conv_dim, algo, dropouts, LoKr factor, Tucker, LoRA+ and blocks are known here"),
    Option("network_dim", int, 4, "lora.dim", group="network", scripts="n"),
    Option("network_alpha", float, 1.0, "lora.alpha", group="network", scripts="n", how="0 means the dim there"),
    Option("network_dropout", float, 0.0, "lora.network_dropout", scripts="n"),
    Option("network_weights", str, None, "lora.init_file", "the name of a LoRA in models/Lora; its own dims count",
           stem, scripts="n"),
    Option("dim_from_weights", bool, False, how="took the dim from network_weights, as lora.init_file always does",
           scripts="n"),
    Option("base_weights", list, None, "model.base_loras", group="network", scripts="n",
           how="names of LoRAs in models/Lora"),
    Option("base_weights_multiplier", list, None, "model.base_loras", group="network", scripts="n",
           how="the weight behind each name"),
    Option("scale_weight_norms", float, 0.0, "lora.scale_weight_norms", scripts="n"),
    Option("no_metadata", bool, False, how="left the metadata out of the file; here it is always written", scripts="n"),
    Option("training_comment", str, None, how=CARD, scripts="n"),
]

EMBEDDING = [
    Option("token_string", str, None, "textual_inversion.token", group="embedding", scripts="t"),
    Option("init_word", str, None, "textual_inversion.init_text", group="embedding", scripts="t"),
    Option("num_vectors_per_token", int, 1, "textual_inversion.num_vectors_per_token", group="embedding", scripts="t"),
    Option("weights", str, None, "textual_inversion.init_embedding", group="embedding", scripts="t",
           how="here the name of an embedding in the embeddings folder"),
    Option("use_object_template", bool, False, "concepts[].prompt", group="embedding", scripts="t",
           how="here the template subject.txt"),
    Option("use_style_template", bool, False, "concepts[].prompt", group="embedding", scripts="t",
           how="here the template style.txt"),
]
