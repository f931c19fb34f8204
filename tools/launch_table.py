"""Print how many kernels a LoRA step launches beside sd-scripts' step and what no step can avoid.

    python tools/launch_table.py [--family sdxl]

Counted on the pretended card: the UNet alone learns, batch 1, float16, nothing recomputed; models of the real shapes
whose tensors have sizes and no numbers. sd-scripts' step is that of `benchmarks.gpu.sd_scripts`. docs/benchmarks.md
has the table.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gpu.measuring import bare, conditioning_of  # noqa: E402
from benchmarks.gpu.sd_scripts import lora_step  # noqa: E402
from lib_sdtune.training.batch import draw  # noqa: E402
from lib_sdtune.training.control import Control  # noqa: E402
from lib_sdtune.training.trainer import Trainer  # noqa: E402
from tests.pretended import pretended_cuda  # noqa: E402
from tools.memory_table import GIB, LORA, Case, config_of, model, nothing_kept  # noqa: E402

WARM_UP = 3  # steps: nothing is made for the first time after them


def launches(family: str) -> dict[str, int]:
    """Kernels of the forward and backward pass through a frozen UNet, of our step, and of sd-scripts'."""
    counted = {}
    with tempfile.TemporaryDirectory() as work, pretended_cuda(total=200 * GIB, backing="meta") as card, nothing_kept():
        loaded, config = model(family), config_of(Case("", family, LORA), Path(work), "off")
        run = Path(work) / "sdtune" / "runs" / "step"
        run.mkdir(parents=True)

        def count(step):
            for _ in range(WARM_UP):
                step()
            with card.counting() as counts:
                step()
            return counts.total("launches")

        with Trainer(config, loaded, Control(config, run)) as trainer:
            counted["ours"] = count(trainer.advance)
            data = trainer.training_data
            batch = draw(data.examples(0), 0, data.cache, config).to(loaded.device)
            with trainer.attachment.without_addon():
                counted["forward and backward alone"] = count(lambda: bare(trainer, batch))
            conditioning = conditioning_of(trainer.objective.conditioner(batch.captions, 0), batch)
            dtype = trainer.dtype
        with lora_step(loaded, dtype, lambda: conditioning, batch.latents) as step:
            counted["sd-scripts'"] = count(step)
    return counted


def main() -> None:
    warnings.filterwarnings("ignore", "Detected call of")  # a step's order, which nothing is computed for here
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["sd1", "sdxl"], action="append", help="both without it")
    print("| family | forward and backward alone | ours | sd-scripts' | ours / sd-scripts' |\n|---|---|---|---|---|")
    for family in parser.parse_args().family or ["sd1", "sdxl"]:
        counted = launches(family)
        bare_step, ours, theirs = (counted[name] for name in ("forward and backward alone", "ours", "sd-scripts'"))
        print(f"| {family} | {bare_step:,} | {ours:,} | {theirs:,} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
