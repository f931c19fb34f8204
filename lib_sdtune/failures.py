"""Why a run failed: what an error says to the user, why, and what to change, for the tab's box."""

import errno
import re
from typing import Any

from lib_sdtune.errors import RunError, UserError, one_line

OUT_OF_MEMORY = ("The GPU ran out of memory. In the order of effect: set the batch size to 1, switch gradient "
                 "checkpointing on, lower the resolution, leave the text encoder out (its rate 0), use a smaller dim. "
                 "Then resume; everything up to the last state is kept.")
DIRECTML_OUT_OF_MEMORY = ("The GPU ran out of memory, and DirectML cannot trade time for it. In the order of effect: "
                          "set the batch size to 1, lower the resolution, leave the text encoder out (its rate 0), use "
                          "a smaller dim. Then resume; everything up to the last state is kept.")
UNFORESEEN = "The run failed with {}: {}. run.log in the run folder has the details."
DISK_FULL = "The disk is full. Make room and resume; everything up to the last state is kept."

KNOWN = [  # what the sentence has in it, why, what to change, and the settings that do it
    (r"DirectML cannot trade time", "The model, the pictures of one batch and the optimizer need more memory than is "
     "free.",
     "Batch size 1; then a lower resolution, the text encoder left out, a smaller dim. Resume afterwards.",
     {"train.batch_size": 1}),
    (r"out of memory", "The model, the pictures of one batch and the optimizer need more memory than is free.",
     "Batch size 1 and gradient checkpointing on; then a lower resolution, the text encoder left out, a smaller dim. "
     "Resume afterwards.",
     {"train.batch_size": 1, "train.gradient_checkpointing": "on"}),
    (r"disk is full|no space left",
     "Resume points, saved files and cached pictures together are larger than what is free.",
     "Make room, or keep fewer files, then resume; everything up to the last resume point is kept.",
     {"save.keep_last": 2}),
    (r"fp16 files (cannot )?hold", "Values are larger than the file's number format holds.",
     "Another number format under Saving, then resume.", {"save.precision": "float"}),
    (r"NaNs was produced.*not enough precision",
     "The WebUI could not draw a picture in half precision, or what was learned so far has run away.",
     "Where the loss stayed low: start the WebUI with --no-half-vae for the VAE, --no-half for the Unet, then resume. "
     "Where it rose: a third of the learning rate.", {}),
    (r"NaNs was produced", "The learning rate is too high, or the WebUI's emphasis of words divides by zero.",
     'Where the loss rose: a third of the learning rate. Where it stayed low: "No norm" as emphasis mode in the '
     "WebUI's settings, then resume.", {}),
    (r"overflows in half precision", "The numbers of this model do not fit into half precision.",
     "Mixed precision off.", {"train.mixed_precision": "no"}),
    (r"lower the learning rate", "The learning rate is too high.",
     "A third of the learning rate; if that changes nothing, mixed precision off.", {"train.mixed_precision": "no"}),
    (r"\bnan\b|non-finite|not finite",
     "The learning rate is too high, or half precision overflows with this model.",
     "A third of the learning rate; if that changes nothing, mixed precision off.", {"train.mixed_precision": "no"}),
    (r"no (usable )?picture|cannot be read|is truncated|not a picture",
     "The folder is not the one that you meant, or its files are damaged.",
     "Press Check: it names every file that cannot be used.", {}),
    (r"exists already|already exists", "A file or a run of that name was made before.",
     'Another name, or "overwrite" under Saving.', {"overwrite": True}),
    (r"lowvram|tensorrt", "Parts of the model are not where training needs them.",
     "Start the WebUI without that option, then start again.", {}),
    (r"not implemented for '?Half", "This version of torch does not calculate with half precision on the processor.",
     "Start the WebUI with --no-half, then start again.", {}),
]


LONGEST_NAME = 255  # bytes, on every usual disk; names alone may be shorter than that and their path too long


def name_too_long(error: BaseException) -> str:
    """What the disk says against the length of a name that somebody gave, in a sentence; "" for any other error."""
    if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
        return ""
    path = str(error.filename)
    longest = max(re.split(r"[/\\]", path), key=len)
    if len(longest.encode("utf-8", "replace")) > LONGEST_NAME:
        return f"{one_line(longest[:60])!r}... is longer than the name of a file or folder can be; shorten it."
    return f"The path {one_line(path[:60])!r}... is longer than a path can be; choose a folder nearer to its beginning."


def sentence(error: BaseException) -> str:
    """What ended a run, as one line for a user."""
    if isinstance(error, UserError | RunError):
        return str(error)
    if too_long := name_too_long(error):
        return too_long
    if out_of_memory(error):
        by_directml = DIRECTML_WORDS in str(error).lower()
        return DIRECTML_OUT_OF_MEMORY if by_directml else OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK_FULL
    return UNFORESEEN.format(type(error).__name__, first_line(error))


def fault(error: BaseException) -> str:
    """An error that nobody foresaw outside a run, as one line for a user; whoever calls logs the traceback."""
    if too_long := name_too_long(error):
        return too_long
    return f"This is a fault of SD Tune: {type(error).__name__}: {first_line(error)}. The console has the details."


def first_line(error: BaseException) -> str:
    """What an error says in its first line, up to 300 letters, without the full stop."""
    return str(error).strip().split("\n")[0][:300].rstrip(". ")


DIRECTML_WORDS = "not enough gpu video memory"
OUT_OF_MEMORY_WORDS = (
    "out of memory", "not enough memory",
    DIRECTML_WORDS,
    "out_of_resources", "out_of_device_memory",  # XPU
    "status_alloc_failed", "cublas_status_not_initialized", "cudnn_status_not_initialized",
    # cuDNN, where each way to convolve ran out of memory; torch keeps that to itself (pytorch#108645)
    "unable to find an engine to execute", "unable to find a valid cudnn algorithm",
)
"""What torch, the CPU's allocator, and the libraries of GPUs say."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, of CUDA or of Python says that memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error).lower() for words in OUT_OF_MEMORY_WORDS)


def explain(message: str, config: dict | None = None) -> dict[str, Any]:
    """{"what", "why", "change", "settings"} for a failed run's sentence.

    settings: {path: value} that the tab can fill in. A sentence of ours that is not in `KNOWN` says itself what to
    change, and why is left empty. config: the run's, as a nested dict, where there is one.
    """
    for pattern, why, change, settings in KNOWN:
        if re.search(pattern, message, re.IGNORECASE):
            slower = a_third_of_the_rates(config or {}) if "learning rate" in why else {}
            return {"what": first_sentence(message), "why": why, "change": change, "settings": slower or settings}
    if message and not message.startswith(UNFORESEEN.partition("{")[0]):
        what = first_sentence(message)
        return {"what": what, "why": "", "change": message.strip()[len(what):].strip(), "settings": {}}
    return {"what": message, "why": "This failure is not one that SD Tune knows.",
            "change": "Copy the report and open an issue with it. "
                      "Resume goes on from the last resume point, if there is one.",
            "settings": {}}


def a_third_of_the_rates(config: dict) -> dict[str, float]:
    """{path: a third of it} of each learning rate that is a plain number."""
    method = config.get("method", "lora")
    rates = {key: value for key, value in config.get(method, {}).items()
             if key.endswith("lr") and isinstance(value, int | float)}
    return {f"{method}.{key}": float(f"{value / 3:.2g}") for key, value in rates.items() if value}


def first_sentence(text: str) -> str:
    """The text up to the first full stop, exclamation or question mark that a blank follows."""
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]
