"""LoRA and its relatives: every chosen layer gets a small network beside it, and only the networks learn."""

import copy
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from lib_sdtune import devices, networks
from lib_sdtune.artefacts import lora as lora_file
from lib_sdtune.artefacts.lora import rounded
from lib_sdtune.errors import NothingLearned, UserError
from lib_sdtune.families.base import Family, Target
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.loaded_model import LoadedModel, ModelSpec
from lib_sdtune.lora_tools import layers
from lib_sdtune.lora_tools.on_model import adapter as adapter_of
from lib_sdtune.lora_tools.on_model import layers_on, refuse_other_family
from lib_sdtune.methods import registry
from lib_sdtune.methods.base import FolderOf, Method
from lib_sdtune.methods.lora_arguments import dim_and_alpha, network_arguments
from lib_sdtune.methods.lora_blocks import Blocks
from lib_sdtune.methods.lora_presets import PRESETS, options_of
from lib_sdtune.methods.lora_settings import LoraConfig
from lib_sdtune.networks.base import Adapter, applied, spatial
from lib_sdtune.networks.dropout import Dropouts
from lib_sdtune.networks.norm import Norm
from lib_sdtune.optim.half_copies import HalfCopies
from lib_sdtune.optim.schedule import is_zero, multiplied
from lib_sdtune.randomness import generator
from lib_sdtune.sections.general import GeneralConfig

OF_NORM = re.compile(r"\.(norm\d?|in_layers\.0|out_layers\.0)\.weight$")


@registry.register("lora")
class LoraMethod(Method):
    """`adapters` maps kohya's key of a layer to its adapter, in the model's order."""

    title, settings_title, order = "LoRA", "Network", 1
    Settings = LoraConfig
    kind = "lora"

    def __init__(self, config: GeneralConfig, model: LoadedModel) -> None:
        super().__init__(config, model)
        settings = config.lora
        self.blocks = Blocks(settings, len(model.unet.input_blocks))
        self.adapters: dict[str, Adapter] = {}
        self.targets: list[Target] = []
        self.start = ""
        if settings.init_file:
            self.read_init_file()
        else:
            outer = model.family.outer_targets(model) if settings.preset == "full" else ()
            for target in [*model.family.targets(model), *outer]:
                dim, alpha = self.dim_and_alpha(target)
                if dim:
                    self.targets.append(target)
                    self.adapters[target.key] = self.make_adapter(target, dim, alpha)
            for target in model.family.norm_targets(model) if settings.train_norm else ():
                if self.dim_and_alpha(target)[0]:
                    self.targets.append(target)
                    self.adapters[target.key] = Norm(target.layer)
        dropouts = Dropouts(settings.network_dropout, settings.rank_dropout, settings.module_dropout)
        for target in self.targets:
            self.adapters[target.key].dropouts = dropouts if self.learns(target) else Dropouts()
            self.adapters[target.key].requires_grad_(self.learns(target))
        if not any(self.learns(target) for target in self.targets):
            raise UserError('"lora.unet_lr" and "lora.text_encoder_lr", or the rates of the blocks, are all 0, so '
                            "nothing would learn; set one of them.")
        stop = config.train.stop_text_encoder_training
        if stop and not any(target.part == "unet" and self.learns(target) for target in self.targets):
            raise UserError(f'No block of the UNet learns and "train.stop_text_encoder_training" is {stop}, so nothing '
                            f'would learn after that; set "train.max_train_steps" to {stop} instead.')

    def read_init_file(self) -> None:
        """Adapters as the file has them, also those of parts that do not learn, so that the result is complete."""
        file = lora_file.read(find_init_file(self.config, self.model.folder))
        for target, tensors in layers_on(self.model, file):
            self.targets.append(target)
            self.adapters[target.key] = adapter_of(file, target, tensors)
        self.start = safetensors.digest(self.tensors())

    @classmethod
    def suited(cls, family: Family) -> dict[str, Any]:
        return {} if family.adapts_text_by_default else {"text_encoder_lr": 0.0}

    @classmethod
    def check(cls, config: GeneralConfig, folder: FolderOf) -> None:
        if config.lora.init_file:
            layers.check(lora_file.read(find_init_file(config, folder)))

    @classmethod
    def check_model(cls, config: GeneralConfig, folder: FolderOf, spec: ModelSpec) -> None:
        Blocks(config.lora, input_blocks(spec))
        if not config.lora.init_file:
            cls.count_trainable(config, spec)  # refuses what the network cannot be
        else:
            refuse_other_family(lora_file.read(find_init_file(config, folder)), spec)

    @classmethod
    def as_files_say(cls, config: GeneralConfig, folder: FolderOf) -> GeneralConfig:
        if not config.lora.init_file:
            return config
        layers_of_file = lora_file.read(find_init_file(config, folder)).layers.values()
        sizes = Counter((network.name, network.dim_of(tensors)) for tensors in layers_of_file
                        for _, network in networks.registry if network.reads(tensors))
        if not sizes:
            return config
        (network, dim), _ = sizes.most_common(1)[0]
        settled = copy.copy(config)
        settled.lora = replace(config.lora, network=network, dim=dim)
        return settled

    @classmethod
    def count_trainable(cls, config: GeneralConfig, spec: ModelSpec) -> int:
        settings = config.lora
        parts = learning_parts(settings, spec)
        shapes = Counter(shape for part in parts for shape in adapted_shapes(spec.shapes[part]))
        network, options = networks.registry[settings.network], network_options(settings)
        norms = norm_sizes(spec.shapes["unet"]) if settings.train_norm and "unet" in parts else ()
        counts = [number * network.count(shape, settings.dim, **options) for shape, number in shapes.items()]
        return sum(counts) + sum(norms)

    @classmethod
    def memory_bytes(cls, config: GeneralConfig, spec: ModelSpec) -> int:
        """With what is held while a weight is made in the backward pass: one at a time, or all that were never let go
        of.
        """
        parts = learning_parts(config.lora, spec)
        sizes = [math.prod(shape) for part in parts for shape in adapted_shapes(spec.shapes[part])]
        held = (max if devices.can_recompute(spec.device) else sum)([0, *sizes])
        return super().memory_bytes(config, spec) + held * networks.registry[config.lora.network].bytes_to_make

    @classmethod
    def activations(cls, config: GeneralConfig) -> float:
        """Counted for LoRA of SD1 and SDXL and DoRA of SD1: an adapted layer's input is kept, too."""
        return 1.0 if is_zero(config.lora.unet_lr) else 1.1

    def dim_and_alpha(self, target: Target) -> tuple[int, float]:
        """0 for a layer that gets no adapter."""
        settings = self.config.lora
        no_convolutions = target.kind == "convolution" and not (settings.conv_dim or any(settings.conv_block_dims))
        if no_convolutions or is_zero(settings.rate_of(target.part)) or not PRESETS[settings.preset](target):
            return 0, 1.0
        return self.blocks.dim_and_alpha(target, spatial(target.layer.weight.shape))

    def make_adapter(self, target: Target, dim: int, alpha: float) -> Adapter:
        settings = self.config.lora
        network = networks.registry[settings.network]
        first = generator(self.config.train.seed, "init", target.key)
        options = network_options(settings) | options_of(settings.preset, target, network)
        return network(target.layer, dim, alpha, first, **options)

    def learns(self, target: Target) -> bool:
        return not is_zero(self.config.lora.rate_of(target.part)) and self.blocks.lr_weight(target) > 0

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group for each part; further ones for blocks with rates of their own, and for LoRA+'s up parts."""
        groups: dict[tuple, dict[str, Any]] = {}
        for target in self.targets:
            if target.unused or not self.learns(target):
                continue
            weight = self.blocks.lr_weight(target)
            for parameter in self.adapters[target.key].parameters():
                ratio = self.plus_ratio(target, parameter)
                lr = multiplied(self.config.lora.rate_of(target.part), weight * ratio)
                group = groups.setdefault((target.part, weight, ratio), {"name": target.part, "params": [], "lr": lr})
                group["params"].append(parameter)
        return list(groups.values())

    def plus_ratio(self, target: Target, parameter: torch.nn.Parameter) -> float:
        """How much faster a parameter learns than others (LoRA+, Hayou et al. 2024, arXiv 2402.12354): the up part."""
        ratio = self.config.lora.loraplus_lr_ratio
        return ratio if ratio != 1 and parameter is self.adapters[target.key].up_part else 1.0

    def networks(self) -> Iterable[Adapter]:
        return self.adapters.values()

    def constrain(self) -> None:
        most = self.config.lora.scale_weight_norms
        if most:
            for target in self.targets:
                if self.learns(target):
                    self.adapters[target.key].limit_norm(most)

    def half_copies(self, dtype: torch.dtype) -> HalfCopies | None:
        adapters = [self.adapters[target.key] for target in self.targets if not target.unused and self.learns(target)]
        parts = [adapter.copied_parts() for adapter in adapters]
        if not all(parts) or self.config.lora.scale_weight_norms:
            return None
        parameters, factors = zip(*chain.from_iterable(parts), strict=True)
        halves = HalfCopies(parameters, factors, dtype)
        copies = iter(halves.copies)
        for adapter, own in zip(adapters, parts, strict=True):
            adapter.copies = tuple(islice(copies, len(own)))
        return halves

    def changes_text(self) -> bool:
        return any(target.part != "unet" for target in self.targets)

    def trains_text(self, step: int) -> bool:
        until = self.config.train.stop_text_encoder_training
        learns = any(target.part != "unet" and self.learns(target) for target in self.targets)
        return learns and (not until or step < until)

    @contextmanager
    def attached(self) -> Iterator[None]:
        with applied([(target.layer, self.adapters[target.key]) for target in self.targets]):
            yield

    def tensors(self) -> dict[str, torch.Tensor]:
        return {f"{key}.{tail}": tensor
                for key, adapter in self.adapters.items() for tail, tensor in adapter.tensors().items()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for key, adapter in self.adapters.items():
            adapter.load_tensors({tail: tensors[f"{key}.{tail}"] for tail in adapter.tensors()})

    def metadata(self) -> dict[str, Any]:
        settings = self.config.lora
        modules = {adapter.network_module for adapter in self.adapters.values()}
        return {"ss_network_module": modules.pop() if len(modules) == 1 else Adapter.network_module,
                **dim_and_alpha(settings, self.adapters.values()),
                "ss_network_args": network_arguments(settings, self.adapters, self.targets) or None,
                "ss_network_dropout": settings.network_dropout or None,
                "ss_scale_weight_norms": settings.scale_weight_norms or None,
                "ss_unet_lr": settings.unet_lr, "ss_text_encoder_lr": settings.text_encoder_lr,
                "ss_learning_rate": settings.unet_lr}

    def export(self, path: Path, metadata: dict[str, str]) -> None:
        precision = safetensors.PRECISIONS[self.config.save.precision]
        tensors = {name: rounded(name, tensor, precision) for name, tensor in self.tensors().items()}
        unchanged = self.start and safetensors.digest(self.tensors()) == self.start
        if unchanged or not any(torch.count_nonzero(adapter.delta_weight()) for adapter in self.adapters.values()):
            raise NothingLearned("The LoRA learned nothing: every layer is as it was at the start. "
                                 "Raise the learning rate or the number of steps.")
        if not any(self.changes(key, tensors) for key in self.adapters):
            raise NothingLearned(
                f"What the LoRA learned is too small for the file: all of it is 0 in "
                f"{self.config.save.precision}. Raise the learning rate or the number of steps, or set "
                '"save.precision" to "float".'
            )
        safetensors.write(path, tensors, metadata | safetensors.hashes(tensors, metadata))

    def changes(self, key: str, tensors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these tensors of a file change the layer of `key`."""
        trained = self.adapters[key]
        exact = {tail: tensor.clone() for tail, tensor in trained.tensors().items()}
        try:
            trained.load_tensors({tail: tensors[f"{key}.{tail}"].to(tensor) for tail, tensor in exact.items()})
            return bool(torch.count_nonzero(trained.delta_weight()))
        finally:
            trained.load_tensors(exact)


def network_options(settings: LoraConfig) -> dict[str, Any]:
    """The settings that only some networks have, of this one."""
    return {name: getattr(settings, name) for name in networks.registry[settings.network].options}


def learning_parts(settings: LoraConfig, spec: ModelSpec) -> list[str]:
    """The parts of the model whose layers get adapters."""
    return [part for part in spec.shapes if part != "vae" and not is_zero(settings.rate_of(part))]


def adapted_shapes(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """The shapes of the linear layers that get an adapter, of the weights of a part; a fused one is three layers."""
    for name, shape in shapes.items():
        if len(shape) == 2 and any(block in name for block in ("transformer_blocks", ".layers.", "resblocks")):
            fused = name.endswith("in_proj_weight")
            yield from [(shape[0] // 3, shape[1])] * 3 if fused else [shape]


def norm_sizes(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[int]:
    """How many numbers each norm layer of the UNet's blocks has, of these weights."""
    for name, shape in shapes.items():
        if OF_NORM.search(name):
            yield 2 * shape[0]


def input_blocks(spec: ModelSpec) -> int:
    """How many the UNet has."""
    names = (name.split(".") for name in spec.shapes["unet"])
    return 1 + max((int(parts[1]) for parts in names if parts[0] == "input_blocks"), default=11)


def find_init_file(config: GeneralConfig, folder: FolderOf) -> Path:
    return KINDS["lora"].find(folder("lora"), config.lora.init_file)
