"""Trains the embedded model's UNet and text encoder further, on forms that it has no word for:

    python tools/train_embedded_forms.py FOLDER [--steps 2400] [--workers 2]

It knew eight forms, and drew a ninth well where a training had shown it, badly on other grounds. A model that people
use has seen things without number. So half of the pictures show `odd_forms` under words that mean nothing, in every
colour on every ground; the others are the toy world, under its captions. The autoencoder stays as it is. FOLDER keeps
latents and the state (run it again to go on); the model's file is written anew at the end. Half an hour on two cores.
The shipped model has not been trained with it: docs/first-try.md says what that brought and what it cost.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import distributed, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune.config import Model  # noqa: E402
from lib_sdtune.formats.files import atomic  # noqa: E402
from lib_sdtune.host.embedded import EmbeddedHost  # noqa: E402
from tools import odd_latents, toy_captions, toy_eval, vae_training  # noqa: E402
from tools.export_embedded import OUT, PREFIXES, exchange  # noqa: E402
from tools.train_embedded import average_gradients  # noqa: E402

ROUNDS = {"world_round": 6, "odd_round": 24, "unnamed_round": 12}  # of 512 pictures
ALPHAS = toy_eval.ALPHAS


def loaded(path):
    """The model with the UNet and the text encoder of the file at `path`, in float32."""
    with tempfile.TemporaryDirectory() as folder:
        model = EmbeddedHost(folder).model(Model())
    tensors = load_file(path)
    for module, prefix in parts(model):
        module.load_state_dict({name: tensors[prefix + name].float() for name in module.state_dict()})
    return model


def parts(model):
    """(module, what its names begin with in the file) of what learns."""
    return (model.unet, PREFIXES["unet"]), (model.text_encoders[0], PREFIXES["text"])


def write(model, path):
    """The file again, with this UNet and this text encoder in it."""
    exchange(path, {prefix + name: tensor for module, prefix in parts(model)
                    for name, tensor in module.state_dict().items()})


def pools_of(model, folder):
    """Latents of the toy world, of odd forms, and of those in colours without a word, made where they are missing."""
    return [odd_latents.pool(model, folder, getattr(odd_latents, name), rounds) for name, rounds in ROUNDS.items()]


def loss_at(step, size, model, pools, worker=0):
    """The mean squared error of the noise, at timesteps drawn evenly: a function of the step and the worker."""
    rng = toy_captions.seeded("forms", step, worker)
    generator = torch.Generator().manual_seed(2 * step + worker)
    latents, captions = zip(*(odd_latents.shown(rng, *pools) for _ in range(size)), strict=True)
    z, t = torch.stack(latents), torch.randint(0, 1000, (size,), generator=generator)
    noise, a = torch.randn(z.shape, generator=generator), ALPHAS[t].view(-1, 1, 1, 1)
    context = model.family.encode_text(model, list(captions)).context
    return (model.unet(a.sqrt() * z + (1 - a).sqrt() * noise, t, context=context) - noise).square().mean()


class Run:
    """The model and its average over the last steps, the optimiser, and a file that keeps them."""

    KEPT = ("live", "average")

    def __init__(self, path, folder, rate):
        self.file, self.live, self.average, self.step = folder / "forms-state.pt", loaded(path), loaded(path), 0
        (unet, _), (text, _) = parts(self.live)
        self.shares = (1.0, 0.5)  # of the rate, for the UNet and the text encoder
        self.optimizer = torch.optim.AdamW([{"params": list(unet.parameters())}, {"params": list(text.parameters())}],
                                           lr=rate, betas=(0.9, 0.99), weight_decay=1e-3)
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            for name in self.KEPT:
                for (module, _), tensors in zip(parts(getattr(self, name)), state[name], strict=True):
                    module.load_state_dict(tensors)
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]
        self.parameters = [*unet.parameters(), *text.parameters()]
        for parameter in self.parameters:
            parameter.requires_grad_(True)

    def learn(self, loss, rate):
        for group, share in zip(self.optimizer.param_groups, self.shares, strict=True):
            group["lr"] = share * rate
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        average_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            averages = [parameter for module, _ in parts(self.average) for parameter in module.parameters()]
            torch._foreach_lerp_(averages, self.parameters, 1 - min(0.995, (self.step + 1) / (self.step + 20)))
        self.step += 1

    def keep(self):
        state = {name: [module.state_dict() for module, _ in parts(getattr(self, name))] for name in self.KEPT}
        with atomic(self.file) as temporary:
            torch.save(state | {"optimizer": self.optimizer.state_dict(), "step": self.step}, temporary)


def train(path, folder, steps, size, rate, worker=0):
    """The run at its end. size: pictures of this worker in a step."""
    run = Run(path, folder, rate)
    pools, mean = pools_of(run.live, folder), 0.0
    while run.step < steps:
        loss = loss_at(run.step, size, run.live, pools, worker)
        run.learn(loss, rate * vae_training.warm_and_linear(run.step, steps))
        mean += loss.item() / 25
        if worker == 0 and run.step % 25 == 0:
            print(f"{run.step} loss {mean:.4f}", flush=True)
        if worker == 0 and (run.step % 100 == 0 or run.step == steps):
            run.keep()
        mean *= run.step % 25 > 0
    return run


def work(worker, arguments):
    """One process of several; the first writes the file."""
    torch.set_num_threads(1)
    if arguments.workers > 1:
        meeting = f"file://{arguments.folder.resolve()}/meeting-{os.getppid()}"
        distributed.init_process_group("gloo", meeting, rank=worker, world_size=arguments.workers)
    size = arguments.batch // arguments.workers
    run = train(arguments.model, arguments.folder, arguments.steps, size, arguments.rate, worker)
    if worker == 0:
        write(run.average, arguments.model)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--workers", type=int, default=1, help="processes that share a step")
    parser.add_argument("--model", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    pools_of(loaded(arguments.model), arguments.folder)  # before there are several to make them
    if arguments.workers == 1:
        work(0, arguments)
    else:
        torch.multiprocessing.spawn(work, args=(arguments,), nprocs=arguments.workers)


if __name__ == "__main__":
    main()
