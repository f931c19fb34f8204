"""Write docs/memory.md: what a step takes of a GPU, counted on the pretended one of the tests, and what fits which card.

    python tools/memory_table.py

Models of the real shapes whose tensors have sizes and no numbers take two steps of a real run; the card counts the bytes.
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lib_sdtune import devices  # noqa: E402
from lib_sdtune.config import Config  # noqa: E402
from lib_sdtune.diffusion import alphas_cumprod  # noqa: E402
from lib_sdtune.families.sd1 import SD1  # noqa: E402
from lib_sdtune.families.sdxl import SDXL  # noqa: E402
from lib_sdtune.families.variant import Variant  # noqa: E402
from lib_sdtune.ldm.openclip import OpenCLIPTextModel  # noqa: E402
from lib_sdtune.ldm.text import CLIPTextModel  # noqa: E402
from lib_sdtune.ldm.unet import UNetModel  # noqa: E402
from lib_sdtune.ldm.vae import AutoencoderKL  # noqa: E402
from lib_sdtune.loaded_model import LoadedModel, ModelSpec  # noqa: E402
from lib_sdtune.methods.lent_weights import LentWeights  # noqa: E402
from lib_sdtune.optim.master_weights import MasterCopy  # noqa: E402
from lib_sdtune.training.control import Control  # noqa: E402
from lib_sdtune.training.memory.cheaper_settings import cheaper_configs  # noqa: E402
from lib_sdtune.training.memory.estimate import BESIDE, estimate, recomputes  # noqa: E402
from lib_sdtune.training.memory.offloaded_parts import OffloadedParts  # noqa: E402
from lib_sdtune.training.trainer import Trainer  # noqa: E402
from tests.models import tokenizer  # noqa: E402
from tests.pretended import pretended_cuda  # noqa: E402

GIB = 2**30
CARDS = (6, 8, 12, 16, 24)  # GB
OURS = 0.9  # of a card: the rest is the desktop's and the driver's
XL = {"channel_mult": (1, 2, 4), "attention_levels": (1, 2), "transformer_depth": (0, 2, 10), "use_linear": True,
      "head_channels": 64, "adm_channels": 2816, "context_dim": 2048}


@dataclass(frozen=True)
class Case:
    """A line of the table."""

    title: str
    family: str
    changes: dict[str, dict[str, Any]]


LORA = {"lora": {"text_encoder_lr": 0.0}}
DREAMBOOTH = {"method": "dreambooth"}
CASES = [
    Case("SD1.5 LoRA, UNet", "sd1", LORA),
    Case("SD1.5 LoRA, UNet and text", "sd1", {}),
    Case("SD1.5 DreamBooth, `AdamW`", "sd1", {**DREAMBOOTH, "dreambooth": {"weights": "float32"}}),
    Case("SD1.5 DreamBooth, `Lion`", "sd1", {**DREAMBOOTH, "dreambooth": {"weights": "float32"},
                                            "train": {"optimizer": "Lion"}}),
    Case("SD1.5 DreamBooth, `Lion`, bfloat16 weights", "sd1", {**DREAMBOOTH, "dreambooth": {"weights": "bfloat16"},
                                                             "train": {"optimizer": "Lion"}}),
    Case("SD1.5 LoRA, UNet, `mixed_precision` \"no\"", "sd1", {**LORA, "train": {"mixed_precision": "no"}}),
    Case("SDXL LoRA, UNet", "sdxl", LORA),
    Case("SDXL LoHa, UNet", "sdxl", {"lora": {"text_encoder_lr": 0.0, "network": "loha"}}),
]


def model(family: str) -> LoadedModel:
    """A model of that family's shapes on the pretended card, in half precision."""
    words = tokenizer()
    with torch.device("meta"):
        if family == "sd1":
            unet, texts, side = UNetModel(), [CLIPTextModel()], 512
        else:
            unet, side = UNetModel(**XL), 1024
            texts = [CLIPTextModel(), OpenCLIPTextModel(width=1280, layers=32, heads=20, projection=1280)]
        vae = AutoencoderKL()
    loaded = LoadedModel({"sd1": SD1, "sdxl": SDXL}[family](), unet, vae, texts, words, alphas_cumprod(), family,
                         "0" * 10, Variant(resolution=side))
    for _, module in loaded.modules():
        module.requires_grad_(False).to("cuda", torch.float16)
    return loaded


def config_of(case: Case, folder: Path, recomputing: str) -> Config:
    side = 512 if case.family == "sd1" else 1024
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for number in range(case.changes.get("train", {}).get("batch_size", 1)):  # or batches would be smaller
        Image.effect_noise((side, side), 64).convert("RGB").save(pictures / f"{number}.png")
    sections = {key: value for key, value in case.changes.items() if key != "train"}
    return Config.from_dict({
        "name": "step", "concepts": [{"images": str(pictures), "prompt": "a cat"}],
        "dataset": {"resolution": side, "max_bucket_reso": 2 * side}, "save": {"state_every_n_steps": 0},
        "train": {"max_train_steps": 9, "gradient_checkpointing": recomputing} | case.changes.get("train", {}),
        **sections})


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Tensors without numbers need no file to come back from."""
    with (mock.patch("lib_sdtune.methods.lent_weights.TensorBackup"), mock.patch.object(OffloadedParts, "move_out", move_out),
          mock.patch.object(LentWeights, "put_in_originals"), mock.patch.object(MasterCopy, "move"),
          mock.patch.object(LentWeights, "kept", kept),
          mock.patch("lib_sdtune.training.precision.download", lambda lent: torch.empty_like(lent, device="meta"))):
        yield


@contextmanager
def kept(lent, folder: Path) -> Iterator[None]:
    lent.tensors = {name: trained.weight.data for name, trained in lent.learning.items()}
    yield


def move_out(parts: OffloadedParts, modules: Iterable[torch.nn.Module]) -> None:
    for module in modules:
        homes = parts.moved.setdefault(module, [])
        for tensor in chain(module.parameters(), module.buffers()):
            if tensor.is_cuda:
                homes.append((tensor, tensor.device))
                tensor.data = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def peak(case: Case, recomputing: str) -> tuple[int, int]:
    """(bytes that two steps took at most, what `estimate` says), both with what a program holds beside."""
    with tempfile.TemporaryDirectory() as work, pretended_cuda(total=80 * GIB, backing="meta") as card, nothing_kept():
        loaded, folder = model(case.family), Path(work)
        spec = loaded.spec()
        config = config_of(case, folder, recomputing)
        run = folder / "sdtune" / "runs" / "step"
        run.mkdir(parents=True)
        with Trainer(config, loaded, Control(config, run)) as trainer:
            trainer.advance()
            card.forget_peak()
            trainer.advance()
            counted = card.peak
        return counted + BESIDE, estimate(config, spec)


def counted_table() -> str:
    lines = ["| | recomputing | counted | estimated |", "|---|---|---|---|"]
    for case in CASES:
        for recomputing, word in (("off", ""), ("on", "yes")):
            counted, estimated = peak(case, recomputing)
            lines.append(f"| {case.title} | {word} | {counted / GIB:.1f} | {estimated / GIB:.1f} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


DEFAULTS = {"LoRA": ("sd1", {}), "DreamBooth": ("sd1", DREAMBOOTH), "SDXL LoRA": ("sdxl", {}),
            "SDXL DreamBooth": ("sdxl", DREAMBOOTH)}


def ladder_table() -> str:
    """What the default settings become on each card: the first of the cheaper ones that fit by `estimate`."""
    lines = ["| default settings of | " + " | ".join(f"{size} GB" for size in CARDS) + " |", "|---" * (1 + len(CARDS)) + "|"]
    specs = {family: spec_of(family) for family in ("sd1", "sdxl")}
    with tempfile.TemporaryDirectory() as work:
        for title, (family, changes) in DEFAULTS.items():
            config = config_of(Case(title, family, changes), Path(work), "auto")
            lines.append(f"| {title} | " + " | ".join(chosen(config, specs[family], size) for size in CARDS) + " |")
    return "\n".join(lines)


def spec_of(family: str) -> ModelSpec:
    with pretended_cuda(backing="meta"):
        return model(family).spec()


def chosen(config: Config, spec: ModelSpec, size: int) -> str:
    with (mock.patch.object(devices, "total_memory", lambda device: size * GIB),
          mock.patch.object(devices, "has_bfloat16", lambda device: True),
          mock.patch.object(torch.cuda, "is_available", lambda: False)):
        for changes, cheaper in [({}, config), *cheaper_configs(config, spec.device, spec)]:
            needs = estimate(cheaper, spec)
            if needs < OURS * size * GIB:
                recomputing = recomputes(cheaper, spec) and "train.gradient_checkpointing" not in changes
                words = ["recomputing"] * recomputing + [spoken(path, value) for path, value in changes.items()]
                return f"{needs / GIB:.1f} GiB" + "".join(f", {word}" for word in words if word)
    return "no"


def spoken(path: str, value: Any) -> str:
    """A cheaper setting in a word or two; "" for what only goes with another one."""
    words = {"train.gradient_checkpointing": "recomputing", "train.optimizer": f"`{value}`",
             "dreambooth.weights": "bfloat16 weights", "lora.text_encoder_lr": "UNet only",
             "dataset.resolution": f"{value} pixels"}
    return words.get(path, "")


PAGE = """# GPU memory

Made by `python tools/memory_table.py`. Counted, not measured: a simulated GPU adds up the bytes of the tensors that a run
allocates, with models of the real shapes at their own resolution (512 and 1024 pixels), batch 1. GiB, with half a GiB for the
device's own kernels, and without the teacher that keeps the class: it adds a second picture's activations. What a GPU's
allocator loses between blocks is not in it, nor what a WebUI's other extensions hold.

## A step

{counted}

*Recomputing* is `train.gradient_checkpointing`: activations are made again in the backward pass. `auto` does so where a step
without it would take more than four fifths of the GPU. "Estimated" is what the tab says before anything is measured.

## Cards

What the default settings become where they would not fit nine tenths of a card, with what is then needed by estimate.
"Recomputing" and bfloat16 weights are chosen by `auto`; the other changes are what *Measure* proposes. "No" means that
nothing on its ladder fits.

{ladder}

On a 12 GB card DreamBooth of SD1.5 trains bfloat16 weights that are rounded at random, `AdamW` included; with `Lion`, or
`AdamW8bit` where bitsandbytes is installed, less is needed still.
"""


def main() -> None:
    page = PAGE.format(counted=counted_table(), ladder=ladder_table())
    (ROOT / "docs" / "memory.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
