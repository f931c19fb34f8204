"""Trains the embedded model's UNet and text encoder: python tools/train_embedded.py FOLDER [--steps 2000].

FOLDER holds `vae.safetensors` (train_embedded_vae.py), `text.pt` (pretrain_text.py), the latents (toy_latents.py) and
the state: run it again to go on. Words matter only at high noise, so at first three quarters of the timesteps lie
there and the loss is that of the predicted picture; the second half of the steps is plain, which draws clean edges and
grounds.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune import toyworld
from lib_sdtune.ldm.unet import UNetModel
from tools import pretrain_text, toy_captions, toy_eval, toy_latents, unet_training
from tools.embedded_sizes import UNET
from tools.make_vocabulary import FOLDER as VOCABULARY

ALPHAS = toy_eval.ALPHAS


@torch.no_grad()
def build_unet():
    """Residual branches start small, and the noisy latents pass straight to the end: noise is mostly what they are."""
    torch.manual_seed(1)
    unet = UNetModel(**UNET)
    for name, module in unet.named_modules():
        if name.endswith(("proj_out", "out_layers.3")):
            module.weight.mul_(0.2)
            module.bias.zero_()
    first, last, out = unet.input_blocks[0][0], unet.output_blocks[-1][0].skip_connection, unet.out[2]
    free_width = last.in_channels - first.out_channels
    for tensor in (out.weight, out.bias):
        tensor.mul_(0.1)
    for c in range(4):
        for channel, sign in ((2 * c, 1.0), (2 * c + 1, -1.0)):  # norm and SiLU are an identity on pairs (x, -x)
            for conv, source in ((first, c), (last, free_width + channel)):
                conv.weight[channel] = 0
                conv.bias[channel] = 0
                conv.weight[channel, source, conv.kernel_size[0] // 2,
                            conv.kernel_size[1] // 2] = sign if conv is first else 1.0
            out.weight[c, channel, 1, 1] = sign
    return unet


def groups(unet, text):
    words = [p for n, p in unet.named_parameters() if ".attn2." in n]
    remainder = [p for n, p in unet.named_parameters() if ".attn2." not in n]
    return [{"params": remainder, "share": 1.0}, {"params": words, "share": 2.0},
            {"params": list(text.parameters()), "share": 0.5}]


def rate_at(step, steps):
    done = step / steps
    return min(1, (step + 1) / 100) * (1 if done < 0.6 else max(0.03, (1 - done) / 0.4))


def weights(t, done):
    """Of the noise's squared error: 1 / SNR makes it the picture's."""
    power = 1.0 if done < 0.4 else 0.5 if done < 0.55 else 0.0
    a = ALPHAS[t]
    return ((1 - a) / a).clamp(max=100) ** power


def loss_at(step, steps, size, unet, text, captions, pool, worker=0):
    """One step's loss, a function of the step and the worker: each caption goes with two pictures that it describes."""
    done = step / steps
    rng, generator = toy_captions.seeded("train", step, worker), torch.Generator().manual_seed(2 * step + worker)
    chosen = [rng.randrange(pool.shape[1]) for _ in range(size // 2)]
    texts = [toyworld.caption(rng, toyworld.Scene(*toy_latents.COMBINATIONS[i]),
                              plain=done < 0.1 and rng.random() < 0.7) for i in chosen]
    ids = captions.ids(texts)[:, : 77 if step % 4 == 3 or done > 0.6 else 28]  # all of the caption is in front
    context = text(ids).repeat_interleave(2, 0)
    z = torch.stack([pool[rng.randrange(len(pool)), i] for i in chosen for _ in range(2)]).float()
    noisy = 0.75 if done < 0.4 else 0.4 if done < 0.55 else 0.0
    t = torch.tensor([rng.randint(650, 999) if rng.random() < noisy else rng.randint(0, 999) for _ in range(size)])
    a = ALPHAS[t].view(-1, 1, 1, 1)
    noise = torch.randn(z.shape, generator=generator)
    error = (unet(a.sqrt() * z + (1 - a).sqrt() * noise, t, context) - noise).square().mean(dim=(1, 2, 3))
    w = weights(t, done)
    return (error * w).mean() / w.mean()


def report(run, folder, pool, vae, n=48):
    """What the model can do by now, in figures and in a sheet of pictures."""
    unet, text, captions = run.averages["unet"], run.averages["text"], toy_captions.Captions(VOCABULARY)
    print(run.step, "gaps", toy_eval.word_gaps(unet, text, captions, pool), flush=True)
    targets, texts = toy_eval.asked(n)
    pictures = toy_eval.sample(unet, text, vae, captions, texts, steps=12)
    toy_eval.sheet(pictures).save(folder / f"step{run.step:05}.png")
    print(run.step, "pictures", toy_eval.judge(pictures, targets), flush=True)


def train(folder, steps, size, rate, rounds=30, worker=0, report_every=250):
    """The run at its end. size: pictures of this worker in a step; rounds: pictures of every combination."""
    pool, vae = toy_latents.pool(folder, rounds), toy_latents.load_vae(folder / "vae.safetensors")
    captions = toy_captions.Captions(VOCABULARY)
    unet, text = build_unet(), pretrain_text.build(captions)
    text.load_state_dict(torch.load(folder / "text.pt", weights_only=True))
    run = unet_training.Run(folder / "model-state.pt", {"unet": unet, "text": text}, groups(unet, text), decay=0.998)
    unet_training.train(run, steps, lambda step: loss_at(step, steps, size, unet, text, captions, pool, worker),
                        lambda step: rate * rate_at(step, steps), worker, report_every,
                        lambda run: report(run, folder, pool, vae))
    return run


def work(worker, arguments):
    train(arguments.folder, arguments.steps, arguments.batch // arguments.workers, arguments.rate, arguments.rounds,
          worker, arguments.report)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=30, help="pictures of every combination")
    parser.add_argument("--report", type=int, default=250)
    parser.add_argument("--workers", type=int, default=1,
                        help="processes that share a step, better than threads on a busy machine")
    args = parser.parse_args()
    toy_latents.pool(args.folder, args.rounds)
    unet_training.in_workers(work, args)


if __name__ == "__main__":
    main()
