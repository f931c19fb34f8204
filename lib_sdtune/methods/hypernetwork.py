"""Hypernetworks: small networks in front of the keys and values of every attention layer learn; the model stays as it
is.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lib_sdtune.artefacts import hypernetwork as file
from lib_sdtune.declaration import Rate, option
from lib_sdtune.errors import UserError, require
from lib_sdtune.formats.tensors import PRECISIONS
from lib_sdtune.loaded_model import LoadedModel, ModelSpec
from lib_sdtune.methods import registry
from lib_sdtune.methods.base import FolderOf, Method, MethodSettings
from lib_sdtune.networks.applied_hypernetworks import applied_hypernetworks, context_widths
from lib_sdtune.networks.hypernetwork import ACTIVATIONS, OVER_THE_BATCH, WEIGHT_INITS, Hypernetwork, Structure
from lib_sdtune.randomness import generator
from lib_sdtune.sections.general import GeneralConfig
from lib_sdtune.sentences import phrase, plural

log = logging.getLogger("sdtune")


@dataclass
class HypernetworkConfig(MethodSettings):
    """A hypernetwork."""

    fewest_examples = most_examples = 10_000  # as the WebUI's own trainer is used

    layer_structure: list[float] = option(
        [1, 2, 1], "1, 2, 1: layer widths as multiples; the first and the last are 1.",
        label="Layer structure", above=0, high=16)
    activation: str = option("linear", "linear, or swish and the like for deeper structures.",
                             label="Activation", choices=[name for name in ACTIVATIONS if name not in OVER_THE_BATCH])
    activate_output: bool = option(False, "Activate the last layer too.", label="Activate output")
    use_layer_norm: bool = option(False, "Normalise between layers.", label="Layer norm")
    dropout: bool = option(False, "Leave out values at random while training.", label="Dropout")
    dropout_structure: list[float] = option(
        [], "Empty leaves out 0.3 after each hidden layer; otherwise a share per layer, first and last 0.",
        label="Dropout structure", low=0, high=0.99)
    weight_init: str = option("Normal", "Normal; Xavier or Kaiming for relu-like activations.",
                              label="Weight initialisation", choices=list(WEIGHT_INITS))
    enable_sizes: list[int] = option(
        [], "Empty takes every context width of the model; 768 alone leaves SD1's self-attention as it is.",
        label="Context widths", low=1, high=65536)
    init_hypernetwork: str = option(
        "", "Empty starts anew; otherwise the hypernetwork to go on from, by its name. Its own structure counts "
            "then.",
        label="Continue hypernetwork")
    lr: Rate = option(1e-5, "1e-5, or a schedule such as 5e-5:1000, 1e-5.",
                      label="Hypernetwork learning rate", low=0, high=10)

    def ineffective(self) -> Iterable[tuple[str, str]]:
        if self.init_hypernetwork:
            why = phrase('"hypernetwork.init_hypernetwork" has a structure of its own')
            keys = (
                "layer_structure",
                "activation",
                "activate_output",
                "use_layer_norm",
                "dropout",
                "dropout_structure",
                "weight_init",
                "enable_sizes",
            )
            yield from ((key, why) for key in keys)
        elif not self.dropout:
            yield "dropout_structure", phrase('"hypernetwork.dropout" is off')

    def check(self, config: GeneralConfig) -> None:
        layout, dropout = self.layer_structure, self.dropout_structure
        require(len(layout) > 1 and layout[0] == layout[-1] == 1,
                '"hypernetwork.layer_structure" must begin and end with 1, such as [1, 2, 1].')
        require(not dropout or len(dropout) == len(layout) and dropout[0] == dropout[-1] == 0,
                f'"hypernetwork.dropout_structure" must have {len(layout)} entries, one per layer, '
                "the first and the last 0; or none.")


@registry.register("hypernetwork")
class HypernetworkMethod(Method):
    """`hypernetwork` is what learns; its sizes are the context widths found in the model's own attention layers."""

    title, order = "Hypernetwork", 4
    Settings = HypernetworkConfig
    kind = "hypernetworks"
    suffix = ".pt"

    @classmethod
    def check(cls, config: GeneralConfig, folder: FolderOf) -> None:
        if config.hypernetwork.init_hypernetwork:
            file.read(file.find(folder(cls.kind), config.hypernetwork.init_hypernetwork))

    @classmethod
    def check_model(cls, config: GeneralConfig, folder: FolderOf, spec: ModelSpec) -> None:
        settings = config.hypernetwork
        model_widths = sorted(
            {shape[1] for name, shape in spec.shapes["unet"].items() if name.endswith("to_k.weight")}
        )
        if settings.init_hypernetwork:
            path = file.find(folder(cls.kind), settings.init_hypernetwork)
            refuse_unknown(file.read(path)[0].pairs, model_widths, path.name)
        else:
            refuse_unknown(settings.enable_sizes, model_widths, '"hypernetwork.enable_sizes"')

    def __init__(self, config: GeneralConfig, model: LoadedModel) -> None:
        super().__init__(config, model)
        self.steps_before = 0
        network = self.continued() if config.hypernetwork.init_hypernetwork else self.new()
        self.hypernetwork = network.to(model.device).requires_grad_(True)
        self.start = self.file_digest()

    def new(self) -> Hypernetwork:
        settings = self.config.hypernetwork
        structure = Structure(tuple(settings.layer_structure), settings.activation, settings.use_layer_norm,
                              settings.activate_output, dropout_of(settings), settings.weight_init)
        model_widths = context_widths(self.model.unet)
        refuse_unknown(settings.enable_sizes, model_widths, '"hypernetwork.enable_sizes"')
        widths = settings.enable_sizes or model_widths
        if int(min(widths) * min(structure.layers)) < 1:
            raise UserError(
                '"hypernetwork.layer_structure" makes layers of no width, because the smallest context of the model '
                f"is {min(widths)} wide; use larger multiples."
            )
        network = Hypernetwork(widths, structure)
        for width, pair in network.pairs.items():
            for part, module in zip("kv", pair, strict=True):
                module.initialize(settings.weight_init, generator(self.config.train.seed, "init", width, part))
        return network

    def continued(self) -> Hypernetwork:
        path = file.find(self.model.folder(self.kind), self.config.hypernetwork.init_hypernetwork)
        network, facts = file.read(path)
        refuse_unknown(network.pairs, context_widths(self.model.unet), path.name)
        self.steps_before = facts.step or 0
        log.info("Going on from %s, which has learned for %s; its own layer structure counts.", path.name,
                 plural(facts.step or 0, "step"))
        return network

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [
            {"name": "hypernetwork", "params": list(self.hypernetwork.parameters()), "lr": self.config.hypernetwork.lr}
        ]

    def trains_text(self, step: int) -> bool:
        return False

    def changes_text(self) -> bool:
        return False

    @contextmanager
    def attached(self) -> Iterator[None]:
        with applied_hypernetworks(self.model.unet, [(self.hypernetwork, 1.0)]):
            yield

    def tensors(self) -> dict[str, torch.Tensor]:
        return self.hypernetwork.tensors()

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.hypernetwork.load_tensors(tensors)

    def export(self, path: Path, metadata: dict[str, str]) -> None:
        self.refuse_unchanged(self.start)
        steps = self.steps_before + int(metadata.get("ss_steps") or 0)
        facts = file.Facts(path.stem, steps, self.model.hash or None, self.model.name or None)
        file.write(path, self.hypernetwork, facts, PRECISIONS[self.config.save.precision])


def dropout_of(settings: "HypernetworkConfig") -> tuple[float, ...]:
    """A probability per entry of the layer structure, or () for none."""
    if not settings.dropout:
        return ()
    return tuple(settings.dropout_structure) or file.usual_dropout(settings.layer_structure)


def refuse_unknown(widths: Iterable[int], model_widths: list[int], source: str) -> None:
    """UserError for widths that no attention layer of the model has; `source` is where they come from."""
    unknown = sorted(set(widths) - set(model_widths))
    if unknown:
        raise UserError(f"{source} has the size {unknown[0]}, and no attention layer of this model listens to that "
                        f"width; its sizes are {', '.join(map(str, model_widths))}.")
