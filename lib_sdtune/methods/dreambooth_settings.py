"""The settings of DreamBooth."""

from dataclasses import dataclass

from lib_sdtune import optim
from lib_sdtune.declaration import Rate, option
from lib_sdtune.errors import require
from lib_sdtune.methods.base import MethodSettings
from lib_sdtune.sections.general import GeneralConfig


@dataclass
class DreamBoothConfig(MethodSettings):
    """Training the model itself."""

    fewest_examples, most_examples = 800, 2000  # Ruiz et al. 2022: about 1000 steps

    unet_lr: Rate = option(2e-6, "2e-6: how fast the UNet learns.",
                           label="DreamBooth UNet learning rate", low=0, high=10)
    text_encoder_lr: Rate = option(0.0, "0 leaves the text encoder alone; 1e-6 trains it too.",
                                   label="DreamBooth text encoder learning rate", low=0, high=10)
    weights: str = option(
        "auto", "auto keeps float32 copies of half-precision weights where the GPU has room; bfloat16 needs half of "
                "the memory.",
        label="Training weights", choices=["auto", "float32", "bfloat16"])
    ema_decay: float = option(
        0.0, "0, or 0.999: saves a running average of the weights, kept in the computer's memory.",
        label="DreamBooth EMA decay", low=0, high=0.99999)
    lora_dim: int = option(0, "0, or 32 to 128: also writes what was learned as a LoRA of that rank.",
                           label="Rank of an extra LoRA", low=0, high=1024)

    def check(self, config: GeneralConfig) -> None:
        optimizer = config.train.optimizer
        require(
            not optim.keeps_mean(optimizer),
            f'"train.optimizer" is {optimizer}, whose files hold a mean of the weights, which would be one more model '
            'in memory; choose AdamW, and "dreambooth.ema_decay" for a mean.',
        )
