"""The settings of LoRA and its relatives, under the names that sd-scripts' options and network arguments have."""

from collections.abc import Iterable
from dataclasses import dataclass

from lib_sdtune import networks, optim
from lib_sdtune.declaration import Rate, option
from lib_sdtune.errors import require
from lib_sdtune.families.base import Family
from lib_sdtune.methods.base import MethodSettings
from lib_sdtune.methods.lora_presets import PRESETS
from lib_sdtune.networks.base import Adapter
from lib_sdtune.optim import schedule
from lib_sdtune.sections.general import GeneralConfig
from lib_sdtune.sentences import phrase

OF_THE_FILE = ("network", "dim", "alpha", "conv_dim", "conv_alpha", "use_tucker", "factor", "train_on_input",
               "constraint", "rescaled", "preset", "train_norm",
               "block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")


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
    preset: str = option("attn-mlp",
                         "attn-mlp; full for a few layers more, attn-only for fewer, ia3 for those of (IA)³.",
                         label="Layers", choices=list(PRESETS))
    train_norm: bool = option(False, "The UNet's norm layers learn too, those beside layers that do.",
                              label="Train norm layers")
    unet_lr: Rate = option(1e-4, "1e-4: how fast the UNet part learns. 0 leaves it out.",
                           label="UNet learning rate", low=0, high=10)
    text_encoder_lr: Rate = option(5e-5, "5e-5: how fast the text encoder part learns. 0 leaves it out.",
                                   label="Text encoder learning rate", low=0, high=10)
    init_file: str = option(
        "", "A LoRA of models/Lora to go on from, by its name; network, dims and alphas are its own.",
        label="Continue LoRA")
    network_dropout: float = option(0.0, "0, or 0.1 to 0.5: how many values are left out inside each LoRA layer.",
                                    label="Network dropout", low=0, high=0.99)
    rank_dropout: float = option(0.0, "0, or 0.1 to 0.3: how many ranks are left out at each step.",
                                 label="Rank dropout", low=0, high=0.99)
    module_dropout: float = option(0.0, "0, or 0.1 to 0.3: how many layers are left out at each step.",
                                   label="Module dropout", low=0, high=0.99)
    scale_weight_norms: float = option(0.0, "0, or 1: a layer's change that gets longer is shortened to this.",
                                       label="Largest norm of a layer's change", low=0, high=1000)
    loraplus_lr_ratio: float = option(1.0, "1, or 4 to 16: how much faster the up part learns (LoRA+).",
                                      label="LoRA+ ratio", above=0, high=1000)
    factor: int = option(-1, "-1 splits each side evenly; 4 to 16 makes LoKr larger and stronger.",
                         label="LoKr factor", low=-1, high=1024)
    use_tucker: bool = option(False, "Smaller 3x3 convolutions, with a core between two 1x1 ones (Tucker).",
                              label="Tucker convolutions")
    train_on_input: bool = option(False, "(IA)³ learns one factor for each input of a layer, not for each output.",
                                  label="Factors of inputs")
    constraint: float = option(0.0, "0, or 0.00001 to 0.01: how far OFT and BOFT may turn a layer (COFT).",
                               label="Constraint", low=0, high=1)
    rescaled: bool = option(False, "OFT and BOFT also learn one factor for each output.", label="Factors of outputs")
    down_lr_weight: list[float] = option(
        [], "Empty, or by how much the rate of each down block is multiplied: 12 numbers, 9 for SDXL; 0 leaves one "
            "out.",
        label="Rates of down blocks", low=0, high=100)
    mid_lr_weight: list[float] = option([], "The same for the middle: 1 number, 3 for SDXL.",
                                        label="Rates of the middle", low=0, high=100)
    up_lr_weight: list[float] = option([], "The same for the up blocks: 12 numbers, 9 for SDXL.",
                                       label="Rates of up blocks", low=0, high=100)
    block_dims: list[int] = option([], "Empty, or the dim of each block of the UNet: 25 numbers, 23 for SDXL.",
                                   label="Dims of blocks", low=0, high=1024)
    block_alphas: list[float] = option([], "Empty, or the alpha of each block.",
                                       label="Alphas of blocks", low=0, high=4096)
    conv_block_dims: list[int] = option([], "Empty, or the dim of each block for the 3x3 convolutions.",
                                        label="Convolution dims of blocks", low=0, high=1024)
    conv_block_alphas: list[float] = option([], "Empty, or the alpha of each block for the 3x3 convolutions.",
                                            label="Convolution alphas of blocks", low=0, high=4096)

    def ineffective(self) -> Iterable[tuple[str, str]]:
        if self.init_file:
            yield from ((key, phrase('"lora.init_file" has its own')) for key in OF_THE_FILE)
        if self.preset in ("attn-only", "ia3"):
            yield from ((key, phrase(f'"lora.preset" is "{self.preset}"')) for key in ("conv_dim", "conv_block_dims"))
        if self.preset in ("attn-only", "ia3"):
            yield "train_norm", phrase(f'"lora.preset" is "{self.preset}", which has no norm layers')
        elif schedule.is_zero(self.unet_lr):
            yield "train_norm", phrase('"lora.unet_lr" is 0')
        if not self.conv_dim and not self.conv_block_dims:
            why = phrase('"lora.conv_dim" is 0')
            yield from ((key, why) for key in ("conv_alpha", "conv_block_alphas", "use_tucker"))
        has_none = phrase(f'"lora.network" is "{self.network}", which has none')
        network = networks.registry[self.network]
        if network.alpha_has_no_effect:
            yield "alpha", network.alpha_has_no_effect
        if not network.uses_alpha:
            yield from ((key, has_none) for key in ("alpha", "conv_alpha", "block_alphas", "conv_block_alphas"))
        if not network.has_rank:
            yield "dim", has_none
        for key in ("factor", "use_tucker", "train_on_input", "constraint", "rescaled"):
            if key not in network.options:
                yield key, has_none

    def odd_with(self, family: Family) -> Iterable[str]:
        adapts_text = not schedule.is_zero(self.text_encoder_lr) and self.preset != "unet-convblock-only"
        drawable = self.init_file or networks.registry[self.network].webui_adapts_fused_attention
        if family.fused_text_attention and adapts_text and not drawable:
            yield (
                f'"lora.network" is "{self.network}", with which the WebUI cannot draw where it adapts the text '
                f'encoder of {family.sd_version} models: pictures fail there with "A tensor with NaNs" or an error. '
                'Set "lora.text_encoder_lr" to 0.'
            )

    def check(self, config: GeneralConfig) -> None:
        name = self.network
        network: type[Adapter] | None = None if self.init_file else networks.registry[name]
        require(
            self.preset != "unet-convblock-only" or self.conv_dim or any(self.conv_block_dims) or self.init_file,
            '"lora.preset" is "unet-convblock-only" and "lora.conv_dim" is 0, so nothing would learn; set '
            '"lora.conv_dim".',
        )
        require(
            not self.network_dropout or network is None or network.supports_network_dropout,
            f'"lora.network_dropout" is {self.network_dropout}, and {name} has nothing to leave out between two '
            'halves; set "lora.rank_dropout" or "lora.module_dropout" instead.',
        )
        require(
            self.loraplus_lr_ratio == 1 or network is None or network.has_up_part,
            f'"lora.loraplus_lr_ratio" is {self.loraplus_lr_ratio}, and {name} has no up part; set it to 1, or '
            '"lora.network" to "lora".',
        )
        require(
            not self.scale_weight_norms or network is None or network.can_be_shortened(),
            f'"lora.scale_weight_norms" is {self.scale_weight_norms}, and {name} cannot be shortened; set it to 0.',
        )
        rates = self.loraplus_lr_ratio != 1 or self.down_lr_weight or self.mid_lr_weight or self.up_lr_weight
        require(
            not (rates and optim.finds_rate(config.train.optimizer)),
            f"{config.train.optimizer} takes one rate for everything, so it goes with neither LoRA+ nor rates of "
            "blocks; leave them out, or choose AdamW.",
        )

    def rate_of(self, part: str) -> float | str:
        return self.unet_lr if part == "unet" else self.text_encoder_lr
