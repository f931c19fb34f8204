"""A pretended GPU, so that what happens on a card can be tested without one.

    with pretended_cuda(total=6 * 2**30) as card:
        model.to("cuda")                 # its tensors now say cuda:0; their numbers are computed on the CPU
        with card.counting() as counts:  # launches, syncs, copies
            ...

The card's memory is a set of tensor storages (`card.py`). A dispatch mode (`dispatch.py`) sees every operator: results of
operators on the card are on the card, operators that mix devices or generators raise as they do on a GPU, and each is
counted. A function mode (`functions.py`) answers what C++ would decide by a device that it cannot see: moves, autocast,
attention. `kernels.py` has what CUDA's kernels do differently from the CPU's, `shapes.py` what is known of
results without numbers; `runtime.py` is `torch.cuda`, `graphs.py` its graphs.

backing="meta" computes nothing: shapes alone, for counting the steps of a full-size model.
Works with torch 2.1 and later. What it cannot tell: speed, and numbers that differ by a GPU's rounding.
"""

from contextlib import ExitStack, contextmanager

from tests.pretended.card import Card
from tests.pretended.dispatch import Dispatch
from tests.pretended.functions import Functions
from tests.pretended.graphs import recordable
from tests.pretended.runtime import installed


@contextmanager
def pretended_cuda(total=24 * 2**30, limit=None, capability=(8, 6), name="Pretended GPU", backing="cpu", count=1):
    """A card of `total` bytes; `limit` (bytes, `total` by default) is where an allocation fails.

    count: how many such cards torch is told of; tensors are on the first. Everything is undone on exit."""
    card = Card(total, limit, capability, name, backing, count)
    with ExitStack() as stack:
        stack.enter_context(installed(card))
        stack.enter_context(recordable(card))
        stack.enter_context(Dispatch(card))
        stack.enter_context(Functions(card))
        yield card
