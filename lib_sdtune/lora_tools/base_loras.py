"""LoRAs that stay on the model while something else is trained on top of it (sd-scripts' base_weights)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lib_sdtune.artefacts import lora
from lib_sdtune.declaration import Weighted
from lib_sdtune.formats import hashes
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.loaded_model import LoadedModel, ModelSpec
from lib_sdtune.lora_tools import layers
from lib_sdtune.lora_tools.on_model import adapters, refuse_other_family
from lib_sdtune.networks.base import Adapter, applied


def check(base_loras: Sequence[Weighted], folder: Callable[[str], Path], spec: ModelSpec | None) -> None:
    """UserError for files that are not there, are no LoRAs, or are for another family."""
    for name, _ in base_loras:
        file = lora.read(find(name, folder))
        layers.check(file)
        if spec is not None:
            refuse_other_family(file, spec)


def find(name: str, folder: Callable[[str], Path]) -> Path:
    """The file that a name means."""
    return KINDS["lora"].find(folder("lora"), name)


def digest(base_loras: Sequence[Weighted], folder: Callable[[str], Path]) -> str:
    """What tells these files and weights from others; "" for none."""
    return "".join(f"-{hashes.content(find(name, folder))[:12]}x{weight:g}" for name, weight in base_loras)


class BaseLoras:
    """A context manager that can be entered again and again: inside, the model answers with the LoRAs on it.

    base_loras: (name, weight) of each. UserError for what does not fit the model.
    """

    def __init__(self, base_loras: Sequence[Weighted], model: LoadedModel) -> None:
        self.applied: list[tuple[list[tuple[Any, Adapter]], float]] = []
        self.stack = ExitStack()
        for name, weight in base_loras:
            path = find(name, model.folder)
            pairs = [(target.layer, adapter) for target, adapter in adapters(model, lora.read(path))]
            self.applied.append((pairs, weight))

    def __enter__(self) -> "BaseLoras":
        with ExitStack() as stack:
            for pairs, weight in self.applied:
                stack.enter_context(applied(pairs, weight))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.close()

    def networks(self) -> Iterator[Adapter]:
        """Those that it puts on layers."""
        return (adapter for pairs, _ in self.applied for _, adapter in pairs)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The model without them, for somebody else to use."""
        self.stack.close()
        try:
            yield
        finally:
            self.__enter__()
