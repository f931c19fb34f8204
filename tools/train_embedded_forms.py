"""Trains the embedded model's UNet and text encoder further, on forms that it has no word for:

    python tools/train_embedded_forms.py FOLDER [--steps 2400] [--workers 2]

It knew eight forms, and learned a ninth slowly. A model that people use has seen things without number. So half of the
pictures show `odd_forms` under words that mean nothing, in every colour on every ground; the others are the toy world,
under its captions. The autoencoder stays as it is. FOLDER keeps latents and the state (run it again to go on); the
model's file is written anew at the end. Half an hour on two cores.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune.host.embedded import EmbeddedHost
from lib_sdtune.sections.model import Model
from tools import odd_latents, toy_captions, toy_eval, unet_training, vae_training
from tools.export_embedded import OUT, PREFIXES, exchange

SHARES = {"unet": 1.0, "text": 0.5}  # of the rate
ALPHAS = toy_eval.ALPHAS


def loaded(path):
    """The model with the UNet and the text encoder of the file at `path`, in float32."""
    with tempfile.TemporaryDirectory() as folder:
        model = EmbeddedHost(folder).model(Model())
    tensors = load_file(path)
    for part, module in modules_of(model).items():
        module.load_state_dict({name: tensors[PREFIXES[part] + name].float() for name in module.state_dict()})
    return model


def modules_of(model):
    """What learns, by the part of the file."""
    return {"unet": model.unet, "text": model.text_encoders[0]}


def write(modules, path):
    """The file again, with this UNet and this text encoder in it."""
    exchange(path, {PREFIXES[part] + name: tensor for part, module in modules.items()
                    for name, tensor in module.state_dict().items()})


def loss_at(step, size, model, pools, worker=0):
    """The mean squared error of the noise, at timesteps drawn evenly: a function of the step and the worker."""
    rng = toy_captions.seeded("forms", step, worker)
    generator = torch.Generator().manual_seed(2 * step + worker)
    latents, captions = zip(*(odd_latents.shown(rng, pools) for _ in range(size)), strict=True)
    z, t = torch.stack(latents), torch.randint(0, 1000, (size,), generator=generator)
    noise, a = torch.randn(z.shape, generator=generator), ALPHAS[t].view(-1, 1, 1, 1)
    context = model.family.encode_text(model, list(captions)).context
    return (model.unet(a.sqrt() * z + (1 - a).sqrt() * noise, t, context=context) - noise).square().mean()


def train(path, folder, steps, size, rate, worker=0):
    """The run at its end. size: pictures of this worker in a step."""
    model = loaded(path)
    modules = modules_of(model)
    groups = [{"params": list(modules[part].requires_grad_(True).parameters()), "share": share}
              for part, share in SHARES.items()]
    run = unet_training.Run(folder / "forms-state.pt", modules, groups, decay=0.995)
    pools = odd_latents.pools(model, folder)
    unet_training.train(run, steps, lambda step: loss_at(step, size, model, pools, worker),
                        lambda step: rate * vae_training.warm_and_linear(step, steps), worker)
    return run


def work(worker, arguments):
    """One process of several; the first writes the file."""
    size = arguments.batch // arguments.workers
    run = train(arguments.model, arguments.folder, arguments.steps, size, arguments.rate, worker)
    if worker == 0:
        write(run.averages, arguments.model)


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
    odd_latents.pools(loaded(arguments.model), arguments.folder)  # before there are several to make them
    unet_training.in_workers(work, arguments)


if __name__ == "__main__":
    main()
