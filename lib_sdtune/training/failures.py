"""What went wrong, in a sentence that says what to change."""

from lib_sdtune.errors import RunError, UserError

OUT_OF_MEMORY = ("The GPU ran out of memory. In the order of effect: set the batch size to 1, switch gradient checkpointing on, "
                 "lower the resolution, leave the text encoder out (its rate 0), use a smaller dim. "
                 "Then resume; everything up to the last state is kept.")


def sentence(error):
    """A failure as one line for a user."""
    if isinstance(error, UserError | RunError):
        return str(error)
    if out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno == 28:
        return "The disk is full. Make room and resume; everything up to the last state is kept."
    first = str(error).strip().split("\n")[0][:300].rstrip(". ")
    return f"The run failed with {type(error).__name__}: {first}. run.log in the run folder has the details."


def out_of_memory(error):
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower() or isinstance(error, MemoryError)
