"""DreamBooth's two directions (arXiv 2208.12242, the ablation of the prior-preservation loss) on the embedded model.

    python -m benchmarks.dreambooth_directions [--seeds 1 2 3] [--steps 120] [--out FOLDER]

Each seed trains Ron twice, with and without prior preservation; the class pictures are made by the model itself.
Printed
per run: subject fidelity; how many of the class's pictures turned into the subject (the paper's PRES), how varied they
are (its DIV) and how many different toys there are among them; colour and background of the subject's pictures as
asked.
"""

import argparse
import json
import tempfile
from pathlib import Path

from lib_sdtune import toyworld
from lib_sdtune.cli.train import train
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.pages.contact_sheet import contact_sheet
from lib_sdtune.toyworld import measures

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "ron"
FORM, TOKEN = "mushroom", "ron"
COLUMNS = ["subject fidelity", "colour", "background", "class became subject", "class variety", "kinds of toys"]


def config(seed, steps, preserve, work):
    concept = {"images": str(EXAMPLE / "ron"), "class_prompt": f"a photo of a {toyworld.CLASS}"}
    if preserve:
        concept |= {"class_images": str(work / "class"), "num_class_images": 32}
    return {"name": f"ron-{'prior' if preserve else 'plain'}-{seed}", "method": "dreambooth", "concepts": [concept],
            "train": {"seed": seed, "max_train_steps": steps, "batch_size": 20 if preserve else 10,
                      "lr_scheduler": "cosine"},
            "save": {"state_every_n_steps": 0},
            "loss": {"debiased_estimation": True, "prior_preservation": "pictures"}}  # no teacher without them


def subjects(n):
    """What the subject's prompts ask for: every colour and background in turn."""
    colours, backgrounds = list(toyworld.COLOURS), list(toyworld.BACKGROUNDS)
    return [toyworld.Scene("", colours[i % 8], backgrounds[(i * 3 + i // 8) % 8]) for i in range(n)]


def look(host, seed, n):
    """({column: value}, the pictures)."""
    scenes = subjects(n)
    subject = pictures(host, [toyworld.full_caption(scene, f"{TOKEN} {toyworld.CLASS}") for scene in scenes], seed)
    kin = pictures(host, [f"a photo of a {toyworld.CLASS}"] * n, seed + 500)
    control = measures.prompt_fidelity(subject, scenes)
    values = [measures.subject_fidelity(subject, FORM), control["colour"], control["background"],
              measures.subject_fidelity(kin, FORM), measures.variety(kin), measures.kinds(kin)]
    return dict(zip(COLUMNS, values, strict=True)), subject[:8] + kin[:8]


def pictures(host, prompts, seed):
    side = host.resolution
    return list(host.generate([SampleRequest(p, "", 20, 4.0, seed * 1000 + i, side, side)
                               for i, p in enumerate(prompts)]))


def table(rows):
    """Markdown: the mean over the seeds, and the range."""
    lines = ["| |" + "|".join(COLUMNS) + "|", "|---|" + "---|" * len(COLUMNS)]
    for label, shares in rows.items():
        cells = [[values[column] for values in shares] for column in COLUMNS]
        lines.append(f"| {label} |" + "|".join(f"{sum(c) / len(c):.2f} ({min(c):.2f} to {max(c):.2f})" for c in cells)
                     + "|")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--out", type=Path, help="keep the table, the figures and a sheet of pictures there")
    args = parser.parse_args()
    rows = {"before": [], "prior preservation": [], "without": []}
    pictures = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as work:
            host = EmbeddedHost(Path(work))
            for label, preserve in (("before", None), ("prior preservation", True), ("without", False)):
                if preserve is not None:
                    artefact, _ = train(config(seed, args.steps, preserve, Path(work)), work)
                    host = EmbeddedHost(Path(work), artefact.path)
                values, some = look(host, seed, args.pictures)
                rows[label].append(values)
                pictures.append(some)
                print(seed, label, {name: round(value, 2) for name, value in values.items()}, flush=True)
    print(table(rows))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        contact_sheet(pictures).save(args.out / "dreambooth.png")
        (args.out / "dreambooth.md").write_text(table(rows) + "\n", encoding="utf-8")
        (args.out / "dreambooth.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
