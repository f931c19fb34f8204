"""Trains the embedded model's UNet and text encoder: python tools/train_embedded.py FOLDER [--steps 2000].

FOLDER holds `vae.safetensors` (train_embedded_vae.py), `text.pt` (pretrain_text.py), the latents (toy_latents.py) and
the state: run it again to go on. Words matter only at high noise, so at first three quarters of the timesteps lie
there and the loss is that of the predicted picture; the second half of the steps is plain, which draws clean edges and
grounds.
"""

import argparse
import copy
import os
import sys
import time
from pathlib import Path

import torch
from torch import distributed, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune import toyworld  # noqa: E402
from lib_sdtune.ldm.unet import UNetModel  # noqa: E402
from tools import pretrain_text, toy_captions, toy_eval, toy_latents  # noqa: E402
from tools.embedded_sizes import UNET  # noqa: E402
from tools.make_vocabulary import FOLDER as VOCABULARY  # noqa: E402

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


def groups(unet, text, rate):
    words = [p for n, p in unet.named_parameters() if ".attn2." in n]
    remainder = [p for n, p in unet.named_parameters() if ".attn2." not in n]
    return [{"params": remainder, "share": rate}, {"params": words, "share": 2 * rate},
            {"params": list(text.parameters()), "share": rate / 2}]


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
    chosen = [rng.randrange(512) for _ in range(size // 2)]
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


def average_gradients(parameters):
    """Over the workers, in one message."""
    if distributed.is_initialized():
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch._utils._flatten_dense_tensors(gradients)
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for p, gradient in zip(parameters, torch._utils._unflatten_dense_tensors(flat, gradients), strict=True):
            p.grad = gradient


class Run:
    """The two modules, their averages, the optimiser, and a file that keeps them."""

    KEPT = ("unet", "text", "ema_unet", "ema_text", "optimizer")

    def __init__(self, folder, rate):
        self.file = folder / "model-state.pt"
        self.captions = toy_captions.Captions(VOCABULARY)
        self.unet, self.text = build_unet(), pretrain_text.build(self.captions)
        self.text.load_state_dict(torch.load(folder / "text.pt", weights_only=True))
        self.ema_unet, self.ema_text = copy.deepcopy(self.unet), copy.deepcopy(self.text)
        self.optimizer = torch.optim.AdamW(groups(self.unet, self.text, rate), lr=rate, betas=(0.9, 0.99),
                                           weight_decay=1e-3, fused=True)
        self.step = 0
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            for name in self.KEPT:
                getattr(self, name).load_state_dict(state[name])
            for group, fresh in zip(self.optimizer.param_groups, groups(self.unet, self.text, rate), strict=True):
                group["share"] = fresh["share"]
            self.step = state["step"]

    def save(self):
        state = {name: getattr(self, name).state_dict() for name in self.KEPT} | {"step": self.step}
        torch.save(state, self.file.with_suffix(".tmp"))
        self.file.with_suffix(".tmp").replace(self.file)

    def learn(self, loss, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * rate
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        average_gradients([p for g in self.optimizer.param_groups for p in g["params"]])
        nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 1.0)
        self.optimizer.step()
        with torch.no_grad():
            share = 1 - min(0.998, (self.step + 1) / (self.step + 20))
            for average, live in ((self.ema_unet, self.unet), (self.ema_text, self.text)):
                torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), share)
        self.step += 1

    def report(self, folder, pool, vae, n=48):
        print(self.step, "gaps", toy_eval.word_gaps(self.ema_unet, self.ema_text, self.captions, pool), flush=True)
        targets, texts = toy_eval.asked(n)
        pictures = toy_eval.sample(self.ema_unet, self.ema_text, vae, self.captions, texts, steps=12)
        toy_eval.sheet(pictures).save(folder / f"step{self.step:05}.png")
        print(self.step, "pictures", toy_eval.judge(pictures, targets), flush=True)


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
    if args.workers == 1:
        train(0, args)
    else:
        torch.multiprocessing.spawn(train, args=(args,), nprocs=args.workers)


def train(worker, args):
    torch.set_num_threads(max(1, torch.get_num_threads() // args.workers))
    if args.workers > 1:
        meeting = f"file://{args.folder.resolve()}/meeting-{os.getppid()}"
        distributed.init_process_group("gloo", meeting, rank=worker, world_size=args.workers)
    pool, vae = toy_latents.pool(args.folder, args.rounds), toy_latents.load_vae(args.folder / "vae.safetensors")
    run = Run(args.folder, args.rate)
    began, first, mean = time.time(), run.step, 0.0
    while run.step < args.steps:
        loss = loss_at(run.step, args.steps, args.batch // args.workers, run.unet, run.text, run.captions, pool, worker)
        run.learn(loss, rate_at(run.step, args.steps))
        mean += loss.item() / 25
        if worker == 0:
            tell(run, args, mean, (time.time() - began) / (run.step - first), pool, vae)
        mean *= run.step % 25 > 0


def tell(run, args, mean, pace, pool, vae):
    """The log, the state, and from time to time what the model can do."""
    if run.step % 25 == 0:
        print(f"{run.step} loss {mean:.4f} {pace:.3f} s/step", flush=True)
    if run.step % 100 == 0 or run.step == args.steps:
        run.save()
    if run.step % args.report == 0 or run.step == args.steps:
        run.report(args.folder, pool, vae)


if __name__ == "__main__":
    main()
