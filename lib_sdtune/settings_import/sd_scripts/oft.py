"""networks.oft of sd-scripts: OFT of the UNet alone, with as many blocks in every layer, as diag-oft, whose blocks are
of one size. Source: sd-scripts' networks/oft.py at 48d368fa, where network_alpha is the constraint.
"""

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, Entry, flag, fraction, integer

MODULE = "networks.oft"
NARROWEST, NARROWEST_ATTENTION_OF_SDXL = 320, 640  # outputs of a layer
BLOCKS, CONSTRAINT = 4, 1.0  # network_dim and network_alpha where the file has none


def set_oft(draft: Draft, options: Entries, words: dict, entry: Entry) -> None:
    """Set what lora.* has of it. words: the network's arguments; those that are read are taken out."""
    draft.set("lora.network", "diag-oft", entry)
    every_linear, convolutions = (take_switch(words, name) for name in ("enable_all_linear", "enable_conv"))
    dim = set_blocks(draft, options, convolutions)
    set_constraint(draft, options)
    draft.assign("lora.alpha", 1.0)
    draft.assign("lora.conv_alpha", 1.0)
    draft.set("lora.conv_dim", dim if convolutions else 0, convolutions)
    if convolutions and not every_linear:
        draft.set("lora.preset", "attn-mlp", convolutions, "the linear layers of the transformers learn too here")
    else:
        draft.set("lora.preset", "attn-mlp" if every_linear else "attn-only", every_linear)
    if "network_train_unet_only" not in options:
        options.record("network_train_unet_only", True, entry.key, entry.source, entry.words)


def take_switch(words: dict, name: str) -> Entry | None:
    """The argument, if it is switched on; there any text is, even "False"."""
    value, arguments = words.pop(name, (None, None))
    if value is None or value == "":
        return None
    entry = Entry(name, value, arguments.source if arguments else "")
    try:
        return entry if isinstance(value, str) or flag(value) else None
    except ValueError:
        return None


def set_blocks(draft: Draft, options: Entries, convolutions: Entry | None) -> int:
    """Set lora.dim, how large a block is: as large as those of the narrowest layer there; the dim."""
    entry, blocks = options.take("network_dim"), BLOCKS
    try:
        blocks = max(1, integer(entry.value)) if entry else BLOCKS
    except ValueError as error:
        if entry:
            draft.notes.unread(entry, error)
        entry = None
    narrowest = NARROWEST_ATTENTION_OF_SDXL if draft.sdxl and not convolutions else NARROWEST
    dim = max(1, narrowest // blocks)
    draft.set("lora.dim", dim, entry or Entry("network_dim", blocks),
              f"how many blocks a layer has there; here how large one is, in layers of {narrowest} outputs the same")
    return dim


def set_constraint(draft: Draft, options: Entries) -> None:
    """Set lora.constraint."""
    entry = options.take("network_alpha")
    try:
        constraint = fraction(entry.value) if entry else CONSTRAINT
    except ValueError as error:
        if entry:
            draft.notes.unread(entry, error)
        entry, constraint = None, CONSTRAINT
    if entry is None:
        draft.default("lora.constraint", constraint, "network_alpha")
    elif constraint == 0:
        draft.set("lora.constraint", 0.0, entry, "lets nothing turn there; here 0 is no limit")
    else:
        draft.set("lora.constraint", constraint, entry)
