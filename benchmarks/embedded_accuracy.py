"""Does the embedded model draw what it is asked for? python -m benchmarks.embedded_accuracy [--prompts 200] [--sheet
FILE]

Random full prompts of the toy world, one seed each, DDIM with the guidance that the model recommends and as many
steps as SD Tune's default.
"""

import argparse
from pathlib import Path

from lib_sdtune.host.embedded import EMBEDDED
from lib_sdtune.ldm import architecture, checkpoint
from lib_sdtune.toyworld import measures
from tools import toy_captions, toy_eval


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg-scale", type=float, default=2.0)
    parser.add_argument("--checkpoint", type=Path, default=EMBEDDED)
    parser.add_argument("--sheet", type=Path, help="keep the pictures there")
    args = parser.parse_args()
    unet, vae, (text,) = architecture.build(*checkpoint.read(args.checkpoint))
    captions = toy_captions.Captions(EMBEDDED.parent)
    targets, texts = toy_eval.asked(args.prompts, seed=1)
    pictures = []
    for start in range(0, args.prompts, 50):
        pictures += toy_eval.sample(unet, text, vae, captions, texts[start : start + 50], start + 1, args.steps,
                                    args.cfg_scale)
    for name, share in measures.prompt_fidelity(pictures, targets).items():
        print(f"{name:<11}{share:.3f}")
    recognised = [measures.recognise(picture).form for picture in pictures]
    for form in toy_captions.FACTORS["form"]:
        drawn = [s for s, target in zip(recognised, targets, strict=True) if target.form == form]
        unlike = {s: drawn.count(s) for s in sorted({*drawn} - {form})}
        print(f"  {form:<9}{drawn.count(form) / len(drawn):.2f} of {len(drawn)}", unlike or "")
    if args.sheet:
        toy_eval.sheet(pictures, 20).save(args.sheet)


if __name__ == "__main__":
    main()
