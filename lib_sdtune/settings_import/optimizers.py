"""Optimizers of other programs: what each is called here, and which of its arguments that one takes."""

import ast
import re
from typing import Any

from lib_sdtune import optim
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entry, number

SAME = {"adamw": "AdamW", "adamw8bit": "AdamW8bit", "lion": "Lion", "prodigy": "Prodigy", "sgdnesterov": "SGDNesterov"}
OPTIONAL = {  # name in small letters, without signs: (name here, the package that it wants)
    "adafactor": ("Adafactor", "transformers"), "came": ("CAME", "came-pytorch"),
    "dadaptadam": ("DAdaptAdam", "dadaptation"), "dadaptlion": ("DAdaptLion", "dadaptation"),
    "dadaptsgd": ("DAdaptSGD", "dadaptation"), "adamwschedulefree": ("AdamWScheduleFree", "schedulefree"),
    "radamschedulefree": ("RAdamScheduleFree", "schedulefree"), "sgdschedulefree": ("SGDScheduleFree", "schedulefree"),
}
PAGED = "which moves its memory out of the graphics card when that is full, is not supported here"
EIGHT_BITS = "with 8-bit states is not supported here"
OWN_RATE = "is not supported here for now; the nearest that finds its rate itself"
NEAREST = {  # name in small letters, without signs: (name here, what is different)
    "lion8bit": ("Lion", EIGHT_BITS), "pagedlion8bit": ("Lion", PAGED), "sgdnesterov8bit": ("SGDNesterov", EIGHT_BITS),
    "pagedadamw8bit": ("AdamW8bit", PAGED), "pagedadamw": ("AdamW", PAGED), "pagedadamw32bit": ("AdamW", PAGED),
    "prodigy8bit": ("Prodigy", EIGHT_BITS), "adam8bit": ("AdamW8bit", "is not supported here"),
}
FAMILIES = {"schedulefree": "AdamW",
            "prodigy": "Prodigy", "dadapt": "Prodigy", "lion": "Lion", "sgd": "SGDNesterov", "8bit": "AdamW8bit"}
ARGUMENTS = {
    "AdamW": {"betas", "eps", "weight_decay", "amsgrad"},
    "AdamW8bit": {"betas", "eps", "weight_decay", "min_8bit_size", "percentile_clipping", "block_wise"},
    "Lion": {"betas", "weight_decay"},
    "Prodigy": {"betas", "beta3", "eps", "weight_decay", "decouple", "use_bias_correction", "safeguard_warmup", "d0",
                "d_coef", "growth_rate"},
    "SGDNesterov": {"momentum", "weight_decay", "dampening", "nesterov"},
    "Adafactor": {"clip_threshold", "decay_rate", "beta1", "weight_decay", "scale_parameter"},
    "CAME": {"clip_threshold", "weight_decay"},
    "DAdaptAdam": {"betas", "weight_decay", "d0", "growth_rate", "decouple", "use_bias_correction"},
    "DAdaptLion": {"betas", "weight_decay", "d0"}, "DAdaptSGD": {"momentum", "weight_decay", "d0", "growth_rate"},
    "AdamWScheduleFree": {"betas", "weight_decay", "eps", "warmup_steps", "r", "weight_lr_power"},
    "RAdamScheduleFree": {"betas", "weight_decay", "eps", "r", "weight_lr_power"},
    "SGDScheduleFree": {"momentum", "weight_decay", "warmup_steps", "r", "weight_lr_power"},
}
RELATIVE = "follows the rate that is set here; without relative_step=False it found its own there"
DEFAULTS = {"dampening": 0, "amsgrad": False, "percentile_clipping": 100, "block_wise": True}


def plain(name: str) -> str:
    """The last part of a class path, in small letters and without signs."""
    return re.sub(r"[^a-z0-9]", "", name.strip().rpartition(".")[2].lower())


def nearest(name: str) -> tuple[str, str]:
    """(name here, what is different; "" where nothing is)."""
    key = plain(name)
    if key in SAME:
        return SAME[key], ""
    if key in NEAREST:
        return NEAREST[key]
    optional, package = OPTIONAL.get(key, ("", ""))
    if optional and optim.available(optional):
        return optional, ""
    optimizer = next((optimizer for part, optimizer in FAMILIES.items() if part in key), "AdamW")
    if optional:
        return optimizer, f"is {optional} here, which needs the package {package}, and that is not there"
    return optimizer, OWN_RATE if optimizer == "Prodigy" else "is not supported here"


def set_optimizer(draft: Draft, name: str, entry: Entry | None = None) -> str:
    """Set the optimizer, or the nearest to it; its name here."""
    optimizer, difference = nearest(name)
    if entry is None:
        draft.default("train.optimizer", optimizer, "optimizer")
    else:
        draft.set("train.optimizer", optimizer, None if difference else entry,
                  RELATIVE if optimizer == "Adafactor" else "")
    if difference:
        original = entry or Entry("optimizer", name)
        draft.origins["train.optimizer"] = original
        draft.notes.refuse(original, f"{name} {difference}; {optimizer} is taken")
    if not optim.available(optimizer):
        draft.notes.warnings.append(f"The package that {optimizer} needs is not there, or does not work here; install "
                                    "it before you train, or choose AdamW.")
    return optimizer


def set_arguments(draft: Draft, arguments: dict[str, Any], optimizer: str, entry: Entry) -> None:
    """Set those arguments that the optimizer takes, and name the others."""
    accepted = {key: value for key, value in arguments.items() if key in ARGUMENTS[optimizer] and fits(key, value)}
    dropped = {key: value for key, value in arguments.items()
               if key not in accepted and value not in (None, False, DEFAULTS.get(key))}
    draft.assign("train.optimizer_args", accepted)
    if accepted:
        draft.set("train.optimizer_args", accepted, entry)
    for key, value in dropped.items():
        draft.notes.refuse(Entry(f"{entry.key} {key}", value), f"an argument that {optimizer} does not take here")


def fits(key: str, value: Any) -> bool:
    """Whether a value can be that argument: two numbers for betas, one or a yes for the others."""
    if key == "betas":
        return isinstance(value, list) and len(value) == 2 and all(is_number(beta) and 0 <= beta < 1 for beta in value)
    return isinstance(value, bool) or (is_number(value) and value >= 0)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def pairs(value: Any) -> dict[str, Any]:
    """Arguments written as ["weight_decay=0.1", ...], as one text of such pairs, or as a table.

    Values are Python's literals; "0.9,0.99" and (0.9, 0.99) are lists.
    """
    if isinstance(value, dict):
        return {str(key): literal(argument) for key, argument in value.items()}
    words = value if isinstance(value, list) else split_pairs(str(value))
    split = (str(word).strip().strip("\"'").partition("=") for word in words)
    return {
        key.strip().strip("\"'"): literal(argument.strip().strip("\"'")) for key, equals, argument in split if equals
    }


def split_pairs(text: str) -> list[str]:
    """`"betas=0.9, 0.99" d0=1e-5` in its pairs: a pair ends where the next name begins."""
    bare = text.replace('"', " ").replace("'", " ")
    starts = [match.start() for match in re.finditer(r"(?<![\w.])[A-Za-z_]\w*\s*=", bare)]
    return [bare[start:end].strip().rstrip(",") for start, end in zip(starts, [*starts, len(bare)][1:], strict=True)]


def literal(value: Any) -> Any:
    """The Python value that a text is; the text itself where it is none; tuples as lists, so that JSON holds them."""
    if isinstance(value, tuple | list):
        return [literal(part) for part in value]
    if not isinstance(value, str):
        return value
    try:
        result = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        try:
            return number(value)
        except ValueError:
            return {"true": True, "false": False, "none": None}.get(value.strip().lower(), value)
    return (
        [literal(part) for part in result]
        if isinstance(result, tuple | list)
        else result
        if is_plain(result)
        else value
    )


def is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


