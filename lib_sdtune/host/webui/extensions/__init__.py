"""What other extensions have left on the model or in the code that runs it: put aside while the model is lent.

Many extensions change the model for one picture and take the change back at its end, which a picture that fails or is
interrupted does not reach. All of it is back in its place afterwards. What cannot be put aside is refused, with the
module's name.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from lib_sdtune.host.webui.extensions import (
    hijack_points,
    hooks,
    instance_functions,
    picture_callbacks,
    refusals,
    sampler_tables,
)
from lib_sdtune.host.webui.extensions.ownership import Change


@contextmanager
def put_aside(sd_model: nn.Module) -> Iterator[list[Change]]:
    """Inside, nothing of another extension acts in the model; gives the list of `ownership.Change` that were put aside.

    UserError for a change that cannot be put aside.
    """
    refusals.refuse(sd_model)
    with ExitStack() as stack:
        changes = [change for concern in (hooks.put_aside, instance_functions.put_aside)
                   for change in stack.enter_context(concern(sd_model))]
        changes += stack.enter_context(hijack_points.put_aside(hijack_points.of_model()))
        yield changes


@contextmanager
def pictures_alone() -> Iterator[None]:
    """Inside, this thread's pictures are drawn by the WebUI alone, as with nothing ticked."""
    functions = hijack_points.of_pictures()
    with picture_callbacks.put_aside(), sampler_tables.put_aside(), hijack_points.put_aside(functions):
        yield


def sentences(changes: Iterable[Change]) -> Iterator[str]:
    """One sentence for each extension that something was put aside of."""
    by_owner = defaultdict(lambda: defaultdict(list))
    for change in changes:
        by_owner[change.owner][change.kind].append(change.place)
    for owner, kinds in sorted(by_owner.items()):
        details = "; ".join(f"{kind} of {shortened(places)}" for kind, places in kinds.items())
        yield f"Put aside while this run has the model: what {owner} left there ({details}). It is back afterwards."


def shortened(places: list[str]) -> str:
    return places[0] + (f" and {len(places) - 1} more" if places[1:] else "")


def silenced() -> Iterator[str]:
    """A sentence on the extensions whose callbacks do not see our pictures, where there are any."""
    if names := [f'"{name}"' for name in picture_callbacks.owners()]:
        several = len(names) > 1
        yield (
            f"Samples are drawn without the extension{'s' if several else ''} {', '.join(names)}, which would change "
            f"them as {'their' if several else 'its'} last picture told {'them' if several else 'it'} to."
        )
