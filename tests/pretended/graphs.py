"""CUDA graphs on the pretended card: what is captured is a list of operators on the same tensors, run again by `replay`.

A capture that waits for the card, or copies from the computer's memory, fails as a GPU's does: its end raises, too, and
its memory stays taken up for it, so that nobody can empty the allocator's cache any more. As there, results lie where
they lay at the capture, and whoever holds one sees it change.
"""

from contextlib import contextmanager
from unittest import mock

import torch
from torch.utils._pytree import tree_map

from tests.pretended import kernels


class Stream:
    """A queue, of which the card has one."""

    def __init__(self, *_, **__):
        pass

    def wait_stream(self, other):
        pass


@contextmanager
def recordable(card):
    """Inside, `torch.cuda.graph` records what `card` is asked for."""
    class OnStream:
        """As torch's: whoever is not left does not put the stream back."""

        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            self.before, card.stream = card.stream, self.stream

        def __exit__(self, *error):
            card.stream = self.before

    class Graph:
        def __init__(self, *_, **__):
            self.operators, self.failed = [], False

        def capture_begin(self, *_, capture_error_mode="global", **__):
            card.recording = self
            card.capture_modes.append(capture_error_mode)

        def capture_end(self):
            card.recording = None
            if self.failed:
                card.failed_captures += 1
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

        def replay(self):
            card.launched += 1
            card.note("launches", "graph")
            card.below += 1
            try:
                for func, name, args, kwargs, results in self.operators:
                    again(func, name, args, kwargs, results)
            finally:
                card.below -= 1

    streams = {"CUDAGraph": Graph, "Stream": Stream, "stream": OnStream, "current_stream": lambda *_: card.stream, "graph_pool_handle": lambda: (0, 1)}
    with (mock.patch.multiple(torch.cuda, **streams),
          mock.patch.object(torch.cuda.graphs, "graph_pool_handle", streams["graph_pool_handle"]),
          mock.patch.object(torch._C, "_host_emptyCache", lambda: None, create=True),
          mock.patch.object(torch.cuda.graph, "default_capture_stream", Stream())):
        yield


def again(func, name, args, kwargs, results):
    """Run an operator, and put its results where they were."""
    with torch.no_grad(), torch._C.DisableTorchFunction():
        fresh = kernels.answer(func, name, args, kwargs)
        for place, value in zip(tensors(results), tensors(fresh), strict=True):
            if place.data_ptr() != value.data_ptr():
                place.copy_(value)


def memory_of(arguments):
    """The same tensors, that stay where they are: a graph reads there, wherever their owners lie since."""
    with torch._C.DisableTorchFunction():
        return tree_map(lambda leaf: leaf.detach() if isinstance(leaf, torch.Tensor) else leaf, arguments)


def tensors(results):
    every = results if isinstance(results, list | tuple) else [results]
    return [each for each in every if isinstance(each, torch.Tensor)]
