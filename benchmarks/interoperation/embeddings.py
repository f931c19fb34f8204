"""Embeddings both ways, as sd-scripts and diffusers read and write them; `python -m
benchmarks.interoperation.embeddings --sd-scripts DIR`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.interoperation.result import HEAD, Result
from lib_sdtune.artefacts import embedding
from lib_sdtune.families import registry as families

WIDTHS = {"sd1": [768], "sd2": [1024], "sdxl": [768, 1280]}
VECTORS = 3


def of_sd_scripts(family: str, folder: Path) -> list[Result]:
    from sdxl_train_textual_inversion import SdxlTextualInversionTrainer
    from train_textual_inversion import TextualInversionTrainer

    trainer = SdxlTextualInversionTrainer() if family == "sdxl" else TextualInversionTrainer()
    keys, widths = families[family].embedding_keys, WIDTHS[family]
    rows = torch.randn(VECTORS, sum(widths), generator=torch.Generator().manual_seed(0))
    embedding.write(folder / "ours.safetensors", rows, keys, widths, {})
    loaded = trainer.load_weights(str(folder / "ours.safetensors"))
    trainer.save_weights(str(folder / "theirs.safetensors"), list(rows.split(widths, dim=1)), torch.float32, {})
    again = embedding.read(folder / "theirs.safetensors", keys, widths)
    return [Result("sd-scripts", family, "embedding", file, len(widths), (), 1, float((table - rows).abs().max()))
            for file, table in (("ours", torch.cat(list(loaded), dim=1)), ("theirs", again))]


def of_diffusers(family: str, folder: Path) -> list[Result]:
    """Its loader takes a file for each text encoder of SDXL, so it is asked about one table at a time."""
    from diffusers.loaders.textual_inversion import TextualInversionLoaderMixin, load_textual_inversion_state_dicts
    from safetensors.torch import save_file

    keys, widths = families[family].embedding_keys, WIDTHS[family]
    if len(widths) > 1:
        return []
    rows = torch.randn(VECTORS, widths[0], generator=torch.Generator().manual_seed(0))
    embedding.write(folder / "ours.safetensors", rows, keys, widths, {})
    states = load_textual_inversion_state_dicts([str(folder / "ours.safetensors")])
    _, tables = TextualInversionLoaderMixin._retrieve_tokens_and_embeddings(["<ron>"], states, Words())
    save_file({"<ron>": rows}, folder / "theirs.safetensors")  # as its training script saves one
    again = embedding.read(folder / "theirs.safetensors", keys, widths)
    return [Result("diffusers", family, "embedding", file, 1, (), 1, float((table - rows).abs().max()))
            for file, table in (("ours", tables[0]), ("theirs", again))]


class Words:
    """A tokenizer that has no words yet."""

    def get_vocab(self) -> dict[str, int]:
        return {}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interoperation.embeddings", description=__doc__)
    parser.add_argument("--sd-scripts", type=Path, required=True, help="a folder with kohya-ss/sd-scripts")
    sys.path.insert(0, str(parser.parse_args().sd_scripts.absolute()))
    print(HEAD)
    results = []
    for family in WIDTHS:
        for program in (of_sd_scripts, of_diffusers):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    results += program(family, Path(folder))
                except ImportError as error:
                    print(f"left out: {program.__name__}, for there is no {error.name}")
    print("\n".join(result.row() for result in results))
    return 0 if results and all(result.agrees for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
