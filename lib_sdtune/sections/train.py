"""How long a run learns, how fast, and with what arithmetic."""

from dataclasses import dataclass

from lib_sdtune.declaration import option
from lib_sdtune.optim.schedules import SCHEDULES
from lib_sdtune.registry import registered


@dataclass
class TrainConfig:
    """How long and how fast."""

    seed: int = option(42, "The same seed and settings give the same file.",
                       label="Training seed", low=0, high=2**63 - 1)
    max_train_steps: int = option(1500, "1000 to 2000 for a subject; 0 counts epochs instead.",
                                  label="Steps", low=0, high=10**7, unit="steps")
    max_train_epochs: int = option(
        0, "Overrides the steps when it is not 0: how often every picture is seen (times its repeats).",
        label="Epochs", low=0, high=10**6)
    stop: str = option(
        "steps", "steps: after the steps or epochs that are set; auto: as soon as the measured loss no longer "
                 "improves, and after those at the latest.",
        label="End", choices=["steps", "auto"])
    batch_size: int = option(1, "1 on 8 GB, 2 to 4 on more.", low=1, high=1024)
    gradient_accumulation_steps: int = option(
        1, "1; more imitates a larger batch without its memory: every picture counts the same.",
        label="Gradient accumulation", low=1, high=1024)
    optimizer: str = option("AdamW", "AdamW; Lion wants a third of its rate; Prodigy wants rate 1.",
                            choices=registered("optim"))
    optimizer_args: dict = option({}, 'Extra arguments for the optimizer, such as {"weight_decay": 0.01}.')
    lr_scheduler: str = option("constant_with_warmup", "constant_with_warmup or cosine.",
                               label="Learning rate schedule",
                               choices=list(SCHEDULES))
    lr_warmup_steps: int = option(0, "0 to a tenth of the steps.", label="Warm-up", low=0, high=10**7, unit="steps")
    lr_scheduler_num_cycles: int = option(1, "1; how often cosine_with_restarts restarts.",
                                          label="Restarts", low=1, high=1000)
    lr_scheduler_power: float = option(1.0, "1 falls evenly; how polynomial falls, 2 faster at first.",
                                       label="Power of polynomial", above=0, high=100)
    lr_scheduler_min_lr_ratio: float = option(
        0.0, "0, or 0.1: where cosine_with_min_lr and warmup_stable_decay end, as a share of the rate.",
        label="Lowest share of the rate", low=0, high=1)
    lr_decay_steps: int = option(0, "A fifth of the steps, say: for how many at the end warmup_stable_decay falls.",
                                 label="Decay", low=0, high=10**7, unit="steps")
    lr_scheduler_timescale: int = option(0, "0 takes the warm-up: how slowly inverse_sqrt falls.",
                                         label="Time scale of inverse_sqrt", low=0, high=10**7, unit="steps")
    max_grad_norm: float = option(1.0, "1: longer gradients are shortened to this; 0 never does.",
                                  label="Gradient clipping", low=0, high=1e6)
    mixed_precision: str = option("auto", "auto picks what the device does well.",
                                  choices=["auto", "no", "fp16", "bf16"])
    gradient_checkpointing: str = option("auto", "auto saves memory where a step would not fit.",
                                         choices=["auto", "on", "off"])
    cuda_graphs: bool = option(
        False, "Record a step's kernels once and let the GPU replay them: faster on fast NVIDIA GPUs, and more memory.",
        label="CUDA graphs")
    stop_text_encoder_training: int = option(
        0, "0 trains the text encoder to the end; otherwise it stops at this step.",
        label="Stop text encoder at step", low=0, high=10**7, unit="steps")
