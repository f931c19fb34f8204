"""LoRA and its relatives: every chosen layer gets a small network beside it, and only the networks learn."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_sdtune import networks
from lib_sdtune.declaration import Rate, option
from lib_sdtune.errors import NothingLearned, UserError
from lib_sdtune.families.base import Target
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.lora import rounded
from lib_sdtune.host.base import LoadedModel, ModelSpec
from lib_sdtune.methods import registry
from lib_sdtune.methods.base import Method, MethodSettings
from lib_sdtune.networks.base import Adapter, applied
from lib_sdtune.optim.schedule import is_zero
from lib_sdtune.randomness import generator

if TYPE_CHECKING:  # they import this file
    from lib_sdtune.config import Config


@dataclass
class LoraConfig(MethodSettings):
    """A LoRA or one of its relatives."""

    network: str = option("lora", "lora suits nearly everything.",
                          label="Network type", choices=networks.registry.names)
    dim: int = option(16, "8 to 16 for a subject, 32 and more for a style (also called rank).",
                      label="Dim (rank)", low=1, high=1024)
    alpha: float = option(8.0, "Half of dim: the strength is alpha / dim.", label="Alpha", above=0, high=4096)
    conv_dim: int = option(0, "0 leaves the 3x3 convolutions alone; 4 to 8 trains them too (LoCon).",
                           label="Convolution dim", low=0, high=1024)
    conv_alpha: float = option(1.0, "As alpha, for the convolutions.", label="Convolution alpha", above=0, high=4096)
    unet_lr: Rate = option(1e-4, "1e-4: how fast the UNet part learns. 0 leaves it out.",
                           label="UNet learning rate", low=0, high=10)
    text_encoder_lr: Rate = option(5e-5, "5e-5: how fast the text encoder part learns. 0 leaves it out.",
                                   label="Text encoder learning rate", low=0, high=10)

    def overruled(self) -> Iterable[tuple[str, str]]:
        if not self.conv_dim:
            yield "conv_alpha", '"lora.conv_dim" is 0'
        if self.network == "lokr":
            yield (
                "alpha",
                'layers that "lora.dim" fills, which are most of them from 16 on, are as strong as they are learned',
            )

    def rate_of(self, part: str) -> float | str:
        return self.unet_lr if part == "unet" else self.text_encoder_lr


@registry.register("lora")
class LoraMethod(Method):
    """`adapters` maps kohya's key of a layer to its adapter, in the model's order."""

    title, settings_title, order = "LoRA", "Network", 1
    Settings = LoraConfig
    kind = "lora"

    def __init__(self, config: "Config", model: LoadedModel):
        super().__init__(config, model)
        self.targets = [target for target in model.family.targets(model) if self.trains(target)]
        if not self.targets:
            raise UserError('"lora.unet_lr" and "lora.text_encoder_lr" are both 0, so nothing would learn; '
                            "set one of them.")
        self.adapters = {target.key: self.make_adapter(target) for target in self.targets}

    @classmethod
    def count_trainable(cls, config: "Config", spec: ModelSpec) -> int:
        parts = [part for part in spec.shapes if part != "vae" and not is_zero(config.lora.rate_of(part))]
        return sum(
            config.lora.dim * in_and_out(name, shape)
            for part in parts
            for name, shape in spec.shapes[part].items()
            if len(shape) == 2 and any(block in name for block in ("transformer_blocks", ".layers.", "resblocks"))
        )

    def trains(self, target: Target) -> bool:
        if target.kind == "convolution" and not self.config.lora.conv_dim:
            return False
        return not is_zero(self.config.lora.rate_of(target.part))

    def make_adapter(self, target: Target) -> Adapter:
        settings = self.config.lora
        spatial = target.layer.weight.ndim == 4 and target.layer.weight.shape[-1] > 1
        dim, alpha = (settings.conv_dim, settings.conv_alpha) if spatial else (settings.dim, settings.alpha)
        network = networks.registry[settings.network]
        return network(target.layer, dim, alpha, generator(self.config.train.seed, "init", target.key))

    def parameter_groups(self) -> list[dict[str, Any]]:
        active = [target for target in self.targets if not target.idle]
        groups = []
        for part in dict.fromkeys(target.part for target in active):
            params = [p for target in active if target.part == part for p in self.adapters[target.key].parameters()]
            groups.append({"name": part, "params": params, "lr": self.config.lora.rate_of(part)})
        return groups

    def changes_text(self) -> bool:
        return any(target.part != "unet" for target in self.targets)

    def trains_text(self, step: int) -> bool:
        until = self.config.train.stop_text_encoder_training
        return self.changes_text() and (not until or step < until)

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
        convolutions = {"conv_dim": str(settings.conv_dim), "conv_alpha": str(settings.conv_alpha)}
        return {"ss_network_module": "networks.lora" if settings.network == "lora" else "lycoris.kohya",
                "ss_network_dim": settings.dim, "ss_network_alpha": settings.alpha,
                "ss_network_args": convolutions if settings.conv_dim else None,
                "ss_unet_lr": settings.unet_lr, "ss_text_encoder_lr": settings.text_encoder_lr,
                "ss_learning_rate": settings.unet_lr}

    def export(self, path: Path, metadata: dict[str, str]) -> None:
        precision = safetensors.PRECISIONS[self.config.save.precision]
        tensors = {name: rounded(name, tensor, precision) for name, tensor in self.tensors().items()}
        if not any(torch.count_nonzero(adapter.delta_weight()) for adapter in self.adapters.values()):
            raise NothingLearned("The LoRA learned nothing: every layer is as it was at the start. "
                                 "Raise the learning rate or the number of steps.")
        if not any(self.changes(key, tensors) for key in self.adapters):
            raise NothingLearned(f"What the LoRA learned is too small for the file: all of it is 0 in "
                                 f"{self.config.save.precision}. Raise the learning rate or the number of steps, or set "
                                 '"save.precision" to "float".')
        safetensors.write(path, tensors, metadata | safetensors.hashes(tensors, metadata))


    def changes(self, key: str, tensors: Mapping[str, torch.Tensor]) -> bool:
        """Whether these tensors of a file change the layer of `key`."""
        adapter = self.adapters[key]
        exact = {tail: tensor.clone() for tail, tensor in adapter.tensors().items()}
        try:
            adapter.load_tensors({tail: tensors[f"{key}.{tail}"].to(tensor) for tail, tensor in exact.items()})
            return bool(torch.count_nonzero(adapter.delta_weight()))
        finally:
            adapter.load_tensors(exact)


def in_and_out(name: str, shape: tuple[int, int]) -> int:
    """Outputs and inputs of the layers whose weight that is: a fused one is three."""
    outputs, inputs = shape
    return outputs + inputs * (3 if name.endswith("in_proj_weight") else 1)
