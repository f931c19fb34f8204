"""Why a run failed: what an error says to the user, why, and what to change, for the tab's box."""

import errno
import re
from collections.abc import Iterable
from typing import Any

from lib_sdtune.errors import RunError, UserError, one_line

OUT_OF_MEMORY = ("The GPU ran out of memory. In the order of effect: set the batch size to 1, switch gradient "
                 "checkpointing on, lower the resolution, leave the text encoder out (its rate 0), use a smaller dim. "
                 "Then resume; everything up to the last state is kept.")
DIRECTML_OUT_OF_MEMORY = ("The GPU ran out of memory, and DirectML cannot trade time for it. In the order of effect: "
                          "set the batch size to 1, lower the resolution, leave the text encoder out (its rate 0), use "
                          "a smaller dim. Then resume; everything up to the last state is kept.")
RAM_FULL = ("The computer's own memory (RAM) is full. Close other programs or make the swap file larger; less of it is "
            "needed without a running average of the weights (EMA), and, where the processor trains, with batch size 1 "
            "and a lower resolution. Then resume; everything up to the last state is kept.")
RAM_FULL_HERE = ("The computer's own memory (RAM) is full. Close other programs or make the swap file larger, then "
                 "start this again.")
GPU_FULL_HERE = ("The GPU has no room left for this. Close what else uses its memory, take smaller pictures, or start "
                 "the WebUI with --medvram; then start this again.")
NO_ROOM_BACK = ("The GPU's memory was filled by something else, so a part of the model could not go back there; close "
                "that program, then choose another checkpoint and this one again.")
GPU_LOST = ("The GPU has stopped answering this program ({}). Restart the WebUI, or whatever runs this, because "
            "nothing else brings it back; a run then resumes from its last state.")
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
    (r"\(RAM\) is full", "The model, what is kept beside it and other programs need more memory than the computer has.",
     "Close other programs, or make the swap file larger; then resume.", {}),
    (r"GPU has stopped answering", "An error in its driver or in one of its kernels, an unstable clock, or a computer "
     "that slept meanwhile. From then on it refuses everything that the same program asks of it.",
     "Restart the WebUI, then resume.", {}),
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
    if is_gpu_lost(error):
        return GPU_LOST.format(first_line(error))
    if main_memory_is_full(error):
        return RAM_FULL
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
    if is_gpu_lost(error):
        return GPU_LOST.format(first_line(error))
    if main_memory_is_full(error):
        return RAM_FULL_HERE
    if out_of_memory(error):
        return GPU_FULL_HERE
    return f"This is a fault of SD Tune: {type(error).__name__}: {first_line(error)}. The console has the details."


def first_line(error: BaseException) -> str:
    """What an error says in its first line, up to 300 letters, without the full stop."""
    return str(error).strip().split("\n")[0][:300].rstrip(". ")


DIRECTML_WORDS = "not enough gpu video memory"
OUT_OF_MEMORY_WORDS = (
    "out of memory",
    DIRECTML_WORDS,
    "out_of_resources", "out_of_device_memory",  # XPU
    "status_alloc_failed", "cublas_status_not_initialized", "cudnn_status_not_initialized",
    # cuDNN, where each way to convolve ran out of memory; torch keeps that to itself (pytorch#108645)
    "unable to find an engine to execute", "unable to find a valid cudnn algorithm",
)
"""What torch and the libraries of GPUs say."""

RAM_FULL_WORDS = ("defaultcpuallocator", "cannot allocate memory", "not enough memory",
                  "paging file is too small")  # of the CPU's allocator on either system, Linux, Windows
GPU_LOST_WORDS = (
    "illegal memory access", "illegal instruction", "misaligned address", "invalid program counter",
    "unspecified launch failure", "launch timed out", "device-side assert", "hardware stack error",
    "uncorrectable ecc", "cuda error: unknown error", "hip error: unknown error", "gpu is lost",
    "device instance has been suspended", "device lost", "device removed",  # DirectML, XPU
)
"""After any of these a program's context on the GPU is gone (CUDA's "sticky" errors)."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, of CUDA or of Python says that memory ran out, the GPU's or the computer's."""
    if main_memory_is_full(error) or type(error).__name__ == "OutOfMemoryError":
        return True
    return says(error, OUT_OF_MEMORY_WORDS)


def main_memory_is_full(error: BaseException) -> bool:
    """Whether it is the computer's own memory that ran out."""
    if isinstance(error, MemoryError) or isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return says(error, RAM_FULL_WORDS) and DIRECTML_WORDS not in str(error).lower()


def is_gpu_lost(error: BaseException) -> bool:
    """Whether a GPU will answer this program no more, whatever it is asked."""
    return isinstance(error, RuntimeError) and says(error, GPU_LOST_WORDS)


def says(error: BaseException, words: Iterable[str]) -> bool:
    text = str(error).lower()
    return any(each in text for each in words)


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
