"""Milliseconds and memory of a step, of forward and backward alone, and of the step that sd-scripts would do."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.models import CannotBeHad, config_of, random_model
from benchmarks.gpu.sd_scripts import lora_step
from lib_sdtune.devices import empty_cache
from lib_sdtune.training.batch import draw
from lib_sdtune.training.control import Control
from lib_sdtune.training.cuda_graphs import CudaGraphs
from lib_sdtune.training.memory.checkpointing import checkpointed
from lib_sdtune.training.memory.frames import free_frames
from lib_sdtune.training.memory.meter import Meter
from lib_sdtune.training.precision import autocast
from lib_sdtune.training.trainer import Trainer

UNET_ONLY = {"lora": {"text_encoder_lr": 0.0}}
GRAPHS = {"train": {"cuda_graphs": True}}
LION = {"train": {"optimizer": "Lion"}}
WARM_UP = 4  # steps: a graph is recorded at the third
LONGEST = 8.0  # seconds that steps of one kind are measured for: a small card takes some for each of SDXL's


@dataclass(frozen=True)
class Case:
    """A line of the table: what is trained, on which model, in which precision."""

    title: str
    family: str
    method: str
    dtype: torch.dtype
    changes: dict[str, Any]


CASES = [
    Case("SD1.5 LoRA, UNet, fp16", "sd1", "lora", torch.float16, UNET_ONLY),
    Case("SD1.5 LoRA, UNet, bf16", "sd1", "lora", torch.bfloat16, UNET_ONLY),
    Case("SD1.5 LoRA, UNet, fp16, CUDA graphs", "sd1", "lora", torch.float16, UNET_ONLY | GRAPHS),
    Case("SD1.5 LoRA, UNet and text, fp16", "sd1", "lora", torch.float16, {}),
    Case("SD1.5 LoRA, UNet and text, fp16, CUDA graphs", "sd1", "lora", torch.float16, GRAPHS),
    Case("SDXL LoRA, UNet, bf16", "sdxl", "lora", torch.bfloat16, UNET_ONLY),
    Case("SDXL LoRA, UNet, bf16, CUDA graphs", "sdxl", "lora", torch.bfloat16, UNET_ONLY | GRAPHS),
    Case("SD1.5 DreamBooth, bf16", "sd1", "dreambooth", torch.bfloat16, {}),
    Case("SD1.5 embedding, fp16", "sd1", "textual_inversion", torch.float16, {}),
    Case("SD1.5 hypernetwork, fp16", "sd1", "hypernetwork", torch.float16, {}),
    Case("SD1.5 DreamBooth, bf16, CUDA graphs", "sd1", "dreambooth", torch.bfloat16, GRAPHS),
    Case("SD1.5 DreamBooth, Lion, bf16", "sd1", "dreambooth", torch.bfloat16, LION),
]
HEADER = (
    "| | ms a step | it/s | peak GiB | forward + backward ms | step / that | sd-scripts' step ms | step / that |\n"
    + "|---" * 8
    + "|"
)


def measure(case: Case, device: torch.device, size: str, steps: int, work: Path) -> dict[str, Any]:
    """The figures of a case; None where one cannot be had. missing: in words, what else there is not. CannotBeHad for
    CUDA graphs where training does without.
    """
    dtype = torch.float32 if device.type == "cpu" else case.dtype  # what is tried on a CPU is the command
    model = random_model(case.family, size, device, dtype, drawn_in=dtype)
    run = work / "sdtune" / "runs" / "step"
    run.mkdir(parents=True)
    config = config_of(model, work, case.method, **case.changes)
    floor, baseline, missing = None, None, []
    trainer = Trainer(config, model, Control(config, run))
    if config.train.cuda_graphs and not isinstance(trainer.attachment.cuda_graphs, CudaGraphs):
        raise CannotBeHad("no CUDA graphs here: something stands in their way, mostly memory")
    with trainer:
        ours = milliseconds(trainer.advance, steps, device)
        meter = Meter(device)
        meter.begin()
        trainer.advance()
        synchronize(device)
        peak, recomputing = meter.peak(), trainer.attachment.recomputing
        batch = draw(trainer.training_data.examples(0), 0, trainer.training_data.cache, config).to(device)
        try:
            with trainer.attachment.without_addon() if trainer.method.cheap_to_detach else trainer.method.sampling():
                floor = milliseconds(partial(bare, trainer, batch), steps, device)
        except torch.cuda.OutOfMemoryError as error:  # a whole model's gradients, which a step of ours never holds
            free_frames(error)
            missing.append("for whose forward and backward alone there was no room")
        conditioning = trainer.objective.conditioner(batch.captions, 0)
        if config.train.cuda_graphs and not getattr(trainer.attachment.cuda_graphs, "recordings", ()):
            missing.append("of which no graph was kept")
    if case.method == "lora" and "lora" in case.changes:
        conditioning = conditioning_of(conditioning, batch)
        try:
            with (
                checkpointed(model.unet, recomputing),
                lora_step(model, dtype, lambda: conditioning, batch.latents) as step,
            ):
                baseline = milliseconds(step, steps, device)
        except torch.cuda.OutOfMemoryError as error:  # it can take more than ours
            free_frames(error)
            missing.append("for whose step by sd-scripts there was no room")
    del model, trainer
    gc.collect()
    empty_cache(device)
    return {"title": case.title, "ms": ours, "peak": peak, "recomputing": recomputing, "floor_ms": floor,
            "share": floor and ours / floor, "sd_scripts_ms": baseline, "ratio": baseline and ours / baseline,
            "missing": ", ".join(missing)}


def conditioning_of(conditioning: Any, batch: Any) -> Any:
    """What a prediction is told, with what belongs to the pictures."""
    return replace(conditioning, sizes=batch.sizes, concat=batch.concat)


def bare(trainer: Trainer, batch: Any) -> None:
    """Forward, and backward through the activations of what is frozen."""
    model, noisy = trainer.model, batch.latents.to(trainer.model.dtype).requires_grad_(True)
    with autocast(model.device, trainer.dtype):
        conditioning = conditioning_of(trainer.objective.conditioner(batch.captions, 0), batch)
        model.family.predict(model, noisy, batch.timesteps, conditioning).square().mean().backward()


def milliseconds(once: Callable[[], Any], steps: int, device: torch.device, longest: float = LONGEST) -> float:
    """Of one in a row of so many, after some to warm up; of fewer where they would take longer than `longest` seconds.

    The first is not looked at: cuDNN tries its ways to convolve.
    """
    once()
    synchronize(device)
    started, warmed_up = time.perf_counter(), 0
    while warmed_up < WARM_UP - 1 and time.perf_counter() - started < longest / 4:
        once()
        synchronize(device)
        warmed_up += 1
    pace = (time.perf_counter() - started) / warmed_up
    steps = max(1, min(steps, int(longest / pace)))
    started = time.perf_counter()
    for _ in range(steps):
        once()
    synchronize(device)
    return 1000 * (time.perf_counter() - started) / steps


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def row(figures: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [figures["title"] + (", recomputing" if figures["recomputing"] else ""), f"{figures['ms']:.1f}",
             f"{1000 / figures['ms']:.2f}", number(figures["peak"], 2**30), number(figures["floor_ms"]),
             number(figures["share"], digits=2), number(figures["sd_scripts_ms"]), number(figures["ratio"], digits=2)]
    return f"| {' | '.join(cells)} |"


def number(value: float | None, unit: float = 1, digits: int = 1) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"
