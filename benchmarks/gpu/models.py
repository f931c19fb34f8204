"""Models with random weights in the shape of the real ones, made on the device, and a host that lends them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.step_time import Words
from lib_sdtune import families
from lib_sdtune.config import Config
from lib_sdtune.diffusion import alphas_cumprod
from lib_sdtune.errors import RunError
from lib_sdtune.failures import out_of_memory
from lib_sdtune.families.variant import Variant
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.host.base import Host
from lib_sdtune.ldm.openclip import OpenCLIPTextModel
from lib_sdtune.ldm.text import CLIPTextModel
from lib_sdtune.ldm.unet import UNetModel
from lib_sdtune.ldm.vae import AutoencoderKL
from lib_sdtune.loaded_model import LoadedModel

XL = {"channel_mult": (1, 2, 4), "attention_levels": (1, 2), "use_linear": True, "adm_channels": 2816}
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "full": {
        "sd1": {"unet": {}, "side": 512, "text": {}, "vae": {}},
        "sdxl": {"unet": {**XL, "transformer_depth": (0, 2, 10), "head_channels": 64, "context_dim": 2048},
                 "side": 1024, "text": {},
                 "second": {"width": 1280, "layers": 32, "heads": 20, "projection": 1280}, "vae": {}}},
    "tiny": {
        "sd1": {"unet": {"model_channels": 32, "channel_mult": (1, 1), "num_res_blocks": 1, "attention_levels": (0,),
                         "context_dim": 16, "num_heads": 2}, "side": 64,
                "text": {"vocab_size": 8, "width": 16, "layers": 1, "heads": 2},
                "vae": {"ch": 32, "ch_mult": (1, 1, 1, 1), "num_res_blocks": 1}},
        "sdxl": {"unet": {"model_channels": 32, "channel_mult": (1, 1), "num_res_blocks": 1, "attention_levels": (1,),
                          "transformer_depth": (0, 1), "head_channels": 16, "context_dim": 32, "use_linear": True,
                          "adm_channels": 1552}, "side": 64,
                 "text": {"vocab_size": 8, "width": 16, "layers": 2, "heads": 2},
                 "second": {"vocab_size": 8, "width": 16, "layers": 2, "heads": 2, "projection": 16},
                 "vae": {"ch": 32, "ch_mult": (1, 1, 1, 1), "num_res_blocks": 1}}}}


class CannotBeHad(RunError):
    """What this device is too small for, or of another kind."""


def random_model(family: str, size: str, device: torch.device, dtype: torch.dtype,
                 drawn_in: torch.dtype = torch.float32) -> LoadedModel:
    """As `drawn_model`; CannotBeHad where it does not fit."""
    try:
        return drawn_model(family, size, device, dtype, drawn_in)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise CannotBeHad(f"the device is too small for the model: {error}") from error


def drawn_model(family: str, size: str, device: torch.device, dtype: torch.dtype, drawn_in: torch.dtype
                ) -> LoadedModel:
    """The same weights for the same arguments, drawn on the device.

    drawn_in: before they are converted to `dtype`. Weights drawn in float32 agree between dtypes, and need twice the
    memory meanwhile.
    """
    shape = SIZES[size][family]
    torch.manual_seed(0)
    with torch.device(device), default_dtype(drawn_in):
        unet, vae = UNetModel(**shape["unet"]), AutoencoderKL(**shape["vae"])
        texts: list[torch.nn.Module] = [CLIPTextModel(**shape["text"])]
        if "second" in shape:
            texts.append(OpenCLIPTextModel(**shape["second"]))
    for text in texts:
        draw(text)
    model = LoadedModel(families.registry[family](), unet, vae, texts, Words(), alphas_cumprod(), family, "0" * 10,
                        Variant(resolution=shape["side"]))
    for _, module in model.modules():
        module.requires_grad_(False).eval().to(dtype)
    return model


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@torch.no_grad()
def draw(text: torch.nn.Module) -> None:
    """Weights of about the size of CLIP's: what a checkpoint always fills is not initialised by its class."""
    for name, parameter in text.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=0.02)
        else:
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)


def bits(model: LoadedModel) -> dict[str, torch.Tensor]:
    """A copy of every tensor, in main memory."""
    return {f"{part}.{name}": tensor.to("cpu", copy=True) for part, module in model.modules()
            for name, tensor in module.state_dict().items()}


def same_bits(model: LoadedModel, before: dict[str, torch.Tensor]) -> bool:
    """Compared one by one: a second copy of the whole model would be too much for some machines."""
    after = {f"{part}.{name}": tensor for part, module in model.modules()
             for name, tensor in module.state_dict().items()}
    return all(tensor.dtype == after[name].dtype and torch.equal(tensor, after[name].cpu())
               for name, tensor in before.items())


def pictures(folder: Path, side: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        noise = random.Random(number).randbytes(3 * side * side)
        Image.frombytes("RGB", (side, side), noise).save(folder / f"{number}.png")
    return folder


METHODS: dict[str, dict[str, Any]] = {
    "lora": {"dim": 16, "alpha": 8, "unet_lr": 1e-4, "text_encoder_lr": 5e-5},
    "dreambooth": {"unet_lr": 1e-6}, "textual_inversion": {"token": "sdtune-cat", "init_text": "cat"},
    "hypernetwork": {}}


def config_of(model: LoadedModel, folder: Path, method: str, **changes: dict[str, Any]) -> Config:
    """A run over two noise pictures of the model's size; `changes` are sections, merged over it."""
    side, word = model.resolution, METHODS[method].get("token", "cat")
    sections: dict[str, Any] = {
        "name": "step", "method": method,
        "concepts": [{"images": str(pictures(folder / "pictures", side)), "prompt": f"a {word}", "repeats": 8}],
        "dataset": {"resolution": side, "min_bucket_reso": 64, "max_bucket_reso": max(side, 256)},
        "train": {"max_train_steps": 10**6}, "save": {"state_every_n_steps": 0, "precision": "float"},
        method: METHODS[method]}
    return Config.from_dict({**sections, **{key: sections.get(key, {}) | value for key, value in changes.items()}})


class RandomHost(Host):
    """Lends one model; `data_dir` has the folders."""

    def __init__(self, model: LoadedModel, data_dir: Path):
        self.model, self.data_dir = model, data_dir
        model.folder = self.folder

    @contextmanager
    def borrow(self, model_settings: Any, method: str | None = None) -> Iterator[LoadedModel]:
        yield self.model

    def folder(self, kind: str) -> Path:
        places = {each.folder: each.place for each in KINDS.values()}
        return self.data_dir / places.get(kind, kind)

    def publish(self, artefact: Any) -> None:
        """Nobody is to be told."""
