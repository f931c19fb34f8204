"""What a failed step leaves in memory: an exception holds its frames, and they hold tensors."""

import traceback


def free_frames(error: BaseException | None) -> None:
    """Drop what an exception's frames hold: the activations and gradients of a step that failed for lack of memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
