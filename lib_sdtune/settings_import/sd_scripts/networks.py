"""network_module and network_args of sd-scripts and LyCORIS: which network that is here.

Sources: sd-scripts' networks/lora.py; LyCORIS' lycoris/kohya.py (KohakuBlueleaf/LyCORIS at f49d30d).
"""

from typing import Any

from lib_sdtune.declaration import weighted
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, flag, fraction, integer, is_on
from lib_sdtune.settings_import.optimizers import pairs
from lib_sdtune.settings_import.sd_scripts import oft
from lib_sdtune.settings_import.sd_scripts.options.network import stem

KINDS = {"lora": "lora", "locon": "lora", "loha": "loha", "lokr": "lokr", "ia3": "ia3", "diag-oft": "diag-oft",
         "boft": "boft"}
OF_MODULES = {"networks.lora": "lora", "networks.loha": "loha", "networks.lokr": "lokr"}
MAX_DIM = 1024
LYCORIS = ("lycoris.kohya", "locon.locon_kohya", "lycoris.locon_kohya")
UNSUPPORTED = {
    "networks.lora_fa": "LoRA-FA, of which only the second half learns", "networks.dylora": "DyLoRA",
    "glora": "GLoRA",
    "glokr": "GLoKr", "dylora": "DyLoRA", "full": "training of the layers themselves", "tlora": "T-LoRA",
    "abba": "ABBA"}
WITHOUT_CONVOLUTIONS = ("attn-mlp", "attn-only", "unet-transformer-only", "ia3")
OWN_PRESETS = ("full", "attn-only", "ia3", "unet-convblock-only")  # the others are those of attn-mlp, or more
PRESETS = {
    "full": "the same layers",
    "full-lin": "trains every linear layer",
    "attn-mlp": "the layers of networks.lora without convolutions",
    "attn-only": "the same attention layers",
    "ia3": "the same layers",
    "unet-only": "trains the UNet alone; set lora.text_encoder_lr to 0",
    "unet-transformer-only": "trains the UNet's transformers alone; set lora.text_encoder_lr to 0",
    "unet-convblock-only": "the same convolutions; the linear layers of ResNet blocks stay as they are",
}
ARGUMENTS = {  # what they did
    "rank_dropout_scale": "made up for rank_dropout", "use_scalar": "had one more factor that learns",
    "train_norm": "also trained the norm layers, which is known of LyCORIS alone",
    "bypass_mode": "computed the network beside the layer",
    "rs_lora": "scaled by the root of the dim", "decompose_both": "also split the small matrix of LoKr",
    "full_matrix": "did not split the large matrix of LoKr", "unbalanced_factorization": "chose other factors of LoKr",
    "block_size": "was the block size of another kind of network", "constraint": "belonged to OFT",
    "rescaled": "belonged to OFT", "unit": "belonged to DyLoRA",
    "train_on_input": "is read from a preset alone there, and did nothing",
    "wd_on_output": "chose along which side DoRA's lengths are"}
OF_NETWORKS = {"factor": ("lokr",), "constraint": ("diag-oft", "boft"), "rescaled": ("diag-oft", "boft")}
OF_LYCORIS = ("train_norm",)
OFF = {"factor": (-1,), "unit": (1,), "wd_on_output": (True,), "loraplus_lr_ratio": (0, 1)}


def set_network(draft: Draft, options: Entries) -> None:
    """Set lora.network, dim, alpha, conv_dim and conv_alpha."""
    module, arguments = options.take("network_module"), options.take("network_args")
    words = {key: (value, arguments) for key, value in pairs(arguments.value).items()} if arguments else {}
    name = str(module.value).strip() if module else "networks.lora"
    lycoris = name in LYCORIS
    kind = name if not lycoris else str(words.pop("algo", ("lora", None))[0]).lower()
    preset = str(words.get("preset", ("full", None))[0]) if lycoris else ""
    network = (KINDS if lycoris else OF_MODULES).get(kind)
    described = (module.words if module else "") or (f"{name} (algo={kind})" if lycoris else name)
    entry = Entry(module.key if module else "network_module", name, words=described)
    if name == oft.MODULE:
        oft.set_oft(draft, options, words, entry)
        set_base_loras(draft, options)
        name_arguments(draft, words)
        return
    if network is None:
        what = UNSUPPORTED.get(kind, f"a kind of network called {kind}")
        draft.notes.refuse(entry, f"{what} cannot be trained here; CONFIG trains a LoRA instead")
        module, network = None, "lora"
    if is_on(words.pop("dora_wd", (False, None))[0]):
        if network == "lora":
            network = "dora"
        else:
            draft.notes.refuse(Entry("dora_wd", True), f"split lengths off as DoRA does; not with {network} here")
    draft.set("lora.network", network, entry if module else None)
    dim = set_dim(draft, options)
    alpha = set_alpha(draft, options, dim)
    set_convolutions(draft, words, lycoris, preset, dim, alpha)
    name_preset(draft, words.pop("preset", None), lycoris)
    set_base_loras(draft, options)
    set_arguments(draft, words, network, lycoris)
    name_arguments(draft, words)


def set_dim(draft: Draft, options: Entries) -> int:
    """Set lora.dim; the dim as the file has it."""
    entry = options.take("network_dim")
    try:
        dim = integer(entry.value) if entry else draft.default_of("network_dim", 4)
    except ValueError as error:
        if entry and str(entry.value).strip().lower() == "dynamic":
            draft.notes.differ(entry, "the file was resized, each layer to a dim of its own", "lora.dim", 16)
            draft.assign("lora.dim", 16)
            return 16
        if entry:
            draft.notes.unread(entry, error)
        entry, dim = None, draft.default_of("network_dim", 4)
    if entry and dim > MAX_DIM:
        draft.set(
            "lora.dim",
            MAX_DIM,
            entry,
            "LyCORIS means matrices that are not split at all; the largest dim is "
            "as near as it gets, and for LoKr the same",
        )
    elif entry:
        draft.set("lora.dim", dim, entry)
    else:
        draft.default("lora.dim", dim, "network_dim")
    return dim


def set_alpha(draft: Draft, options: Entries, dim: int) -> float:
    """Set lora.alpha; the alpha as the file means it."""
    entry = options.take("network_alpha")
    try:
        alpha = fraction(entry.value) if entry else draft.default_of("network_alpha", 1.0)
    except ValueError as error:
        if entry:
            draft.notes.unread(entry, error)
        entry, alpha = None, 1.0
    if entry and alpha == 0:
        draft.set("lora.alpha", float(dim), entry, "0 means the dim there")
        return float(dim)
    if entry:
        draft.set("lora.alpha", alpha, entry)
    else:
        draft.default("lora.alpha", alpha, "network_alpha")
    return alpha


def set_convolutions(draft: Draft, words: dict, lycoris: bool, preset: str, dim: int, alpha: float) -> None:
    """Set lora.conv_dim and lora.conv_alpha: LyCORIS takes network_dim where there is none, networks.lora takes none.
    """
    conv_dim, conv_alpha = number_of(draft, words, "conv_dim"), number_of(draft, words, "conv_alpha")
    if lycoris and preset in WITHOUT_CONVOLUTIONS:
        draft.assign("lora.conv_dim", 0)
        draft.assign("lora.conv_alpha", 1.0)
        if conv_dim[1]:
            draft.notes.differ(conv_dim[1], f"the preset {preset} leaves the convolutions out", "lora.conv_dim", 0)
        return
    how = {"conv_dim": "", "conv_alpha": ""}
    if lycoris:
        if not conv_dim[0]:
            conv_dim = dim, conv_dim[1] or Entry("conv_dim", "not set")
            how["conv_dim"] = "LyCORIS takes network_dim then"
        if not conv_alpha[0]:
            conv_alpha = alpha, conv_alpha[1] or Entry("conv_alpha", "not set")
            how["conv_alpha"] = "LyCORIS takes network_alpha then"
    draft.set("lora.conv_dim", min(MAX_DIM, int(conv_dim[0] or 0)), conv_dim[1], how["conv_dim"])
    draft.set("lora.conv_alpha", float(conv_alpha[0] or (dim if conv_alpha[0] == 0 and conv_alpha[1] else 1.0)),
              conv_alpha[1], how["conv_alpha"])


def number_of(draft: Draft, words: dict, key: str) -> tuple[float | None, Entry | None]:
    value, arguments = words.pop(key, (None, None))
    if value is None or value == "":
        return None, None
    entry = Entry(key, value, arguments.source if arguments else "")
    try:
        return fraction(value), entry
    except ValueError as error:
        draft.notes.unread(entry, error)
        return None, None


def name_preset(draft: Draft, preset: tuple | None, lycoris: bool) -> None:
    if not lycoris:
        return
    value = str(preset[0]) if preset and preset[0] else "full"
    what = PRESETS.get(value, "is a file that chooses layers; here the layers of networks.lora learn")
    if value in OWN_PRESETS:
        draft.set("lora.preset", value, Entry("preset", value), what)
    else:
        draft.notes.differ(Entry("preset", value), what)


def set_base_loras(draft: Draft, options: Entries) -> None:
    """Set model.base_loras: the name and the weight of each."""
    files, weights = options.take("base_weights"), options.take("base_weights_multiplier")
    if files is None:
        return
    names = [stem(str(file)) for file in (files.value if isinstance(files.value, list) else [files.value])]
    numbers = weights.value if weights and isinstance(weights.value, list) else [weights.value] if weights else []
    weights_text = [f":{number}" for number in numbers] + [""] * len(names)
    base_loras = [weighted(name + weight) or [name, 1.0] for name, weight in zip(names, weights_text, strict=False)]
    draft.set("model.base_loras", base_loras, files, "the names of LoRAs in models/Lora")
    if weights:
        draft.notes.take(weights, "model.base_loras", base_loras)


def set_arguments(draft: Draft, words: dict, network: str, lycoris: bool) -> None:
    """Set what of network_args has a setting of its own here; what that kind of network lacks, or who made it, is told
    later.
    """
    for key, (path, read) in SETTINGS.items():
        value, arguments = words.get(key, (None, None))
        if value in (None, "", "None", []) or network not in OF_NETWORKS.get(key, (network,)):
            continue
        if key in OF_LYCORIS and not lycoris:
            continue
        try:
            number = read(value)
        except (ValueError, TypeError):
            continue  # a preset's name, say, is told as not known
        words.pop(key)
        draft.set(path, number, Entry(key, value, arguments.source if arguments else ""))


def numbers_of(value: Any) -> list[float]:
    """The numbers of "1,0.5,0", or of a list. ValueError where one is none."""
    parts = value if isinstance(value, list) else str(value).split(",")
    return [fraction(part) for part in parts]


def integers_of(value: Any) -> list[int]:
    return [int(number) for number in numbers_of(value)]


def ratio(value: Any) -> float:
    """Of LoRA+; 0 means that it is off, which is 1."""
    return fraction(value) or 1.0


SETTINGS = {  # argument -> (path here, how it is read)
    "dropout": ("lora.network_dropout", fraction),
    "rank_dropout": ("lora.rank_dropout", fraction),
    "module_dropout": ("lora.module_dropout", fraction),
    "factor": ("lora.factor", integer),
    "constraint": ("lora.constraint", fraction),
    "rescaled": ("lora.rescaled", flag),
    "train_norm": ("lora.train_norm", flag),
    "use_tucker": ("lora.use_tucker", flag),
    "use_cp": ("lora.use_tucker", flag),
    "use_conv_cp": ("lora.use_tucker", flag),
    "loraplus_lr_ratio": ("lora.loraplus_lr_ratio", ratio),
    "down_lr_weight": ("lora.down_lr_weight", numbers_of),
    "mid_lr_weight": ("lora.mid_lr_weight", numbers_of),
    "up_lr_weight": ("lora.up_lr_weight", numbers_of),
    "block_dims": ("lora.block_dims", integers_of),
    "block_alphas": ("lora.block_alphas", numbers_of),
    "conv_block_dims": ("lora.conv_block_dims", integers_of),
    "conv_block_alphas": ("lora.conv_block_alphas", numbers_of),
}


def name_arguments(draft: Draft, words: dict) -> None:
    """Those that nothing has taken."""
    for key, (value, _) in words.items():
        name_argument(draft, key, value)


def name_argument(draft: Draft, key: str, value: Any) -> None:
    """An argument that is not known here, unless it does nothing as it stands."""
    if value in (None, "", False, 0, "0", "False", "None") or value in OFF.get(key, ()):
        draft.notes.off.append(key)
    elif key.startswith("loraplus"):
        draft.notes.refuse(Entry(key, value), "LoRA+ of one part; lora.loraplus_lr_ratio is for all here")
    elif key.endswith(("_lr_weight", "_lr")) or key == "block_lr_zero_threshold":
        draft.notes.refuse(Entry(key, value), "gave each block a rate of its own; here all have one")
    elif key.endswith(("dims", "alphas")):
        draft.notes.refuse(Entry(key, value), "gave each block a dim of its own; here all have one")
    else:
        draft.notes.refuse(Entry(key, value), ARGUMENTS.get(key, "an argument of the network that is not known here"))
