"""What a prompt's tags put on the embedded host's model while its picture is made."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from lib_sdtune.errors import UserError
from lib_sdtune.families.base import Target
from lib_sdtune.formats import embedding, hashes, hypernetwork, kinds, lookup
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.host.base import LoadedModel
from lib_sdtune.ldm.checkpoint import read_any
from lib_sdtune.networks import registry
from lib_sdtune.networks.base import Adapter, applied
from lib_sdtune.networks.hypernetwork import applied_hypernetworks
from lib_sdtune.prompts import Tag

log = logging.getLogger("sdtune")
LORA = KINDS["lora"]


def check(folder: Callable[[str], Path], tags: Sequence[Tag]) -> None:
    """UserError for a tag whose file is not there, before anything is drawn."""
    for tag in tags:
        if tag.kind in ("lora", "lyco"):
            lookup.find(folder("lora"), tag.name, LORA.endings, LORA.noun)
        elif tag.kind == "hypernet":
            hypernetwork.find(folder("hypernetworks"), tag.name)


@contextmanager
def attached(model: LoadedModel, folder: Callable[[str], Path], tags: Sequence[Tag]) -> Iterator[dict[str, str]]:
    """The model with what the tags name; yields facts for the infotext. `folder(kind)` says where files are."""
    with ExitStack() as stack:
        short_hashes, networks = {}, []
        for tag in tags:
            if tag.kind in ("lora", "lyco"):
                short_hashes[tag.name] = stack.enter_context(lora(model, folder("lora"), tag))
            elif tag.kind == "hypernet":
                layers, _ = hypernetwork.read(hypernetwork.find(folder("hypernetworks"), tag.name))
                networks.append((layers.to(model.device), tag.weight()))
            else:
                log.warning("The prompt's <%s:%s> is of a kind that is not known here; it was left out.",
                            tag.kind, tag.name)
        stack.enter_context(applied_hypernetworks(model.unet, networks))
        listed = ", ".join(f"{name}: {digest}" for name, digest in short_hashes.items())
        yield {"Lora hashes": listed} if listed else {}


@contextmanager
def lora(model: LoadedModel, folder: Path, tag: Tag) -> Iterator[str]:
    """<lora:name:weight>, or <lora:name:text encoder's:UNet's>; yields the file's short hash, as the WebUI has it."""
    path = lookup.find(folder, tag.name, LORA.endings, LORA.noun)
    text = tag.weight(0, "te")
    weights = {"unet": tag.weight(1, "unet", default=text)}
    parts = {}
    for target, adapter in adapters(model, path):
        parts.setdefault(target.part, []).append((target.layer, adapter))
    with ExitStack() as stack:
        for part, pairs in parts.items():
            stack.enter_context(applied(pairs, weights.get(part, text)))
        yield hashes.content(path)[:12]


def adapters(model: LoadedModel, path: Path) -> list[tuple[Target, Adapter]]:
    """[(target, adapter)] of a file of kohya's keys; the log names what does not fit. UserError if nothing does."""
    tensors, _ = read_any(path)
    content = kinds.content(tensors)
    if content != "lora":
        raise UserError(f"{path.name} is {kinds.noun(content) or 'something else'}, not a LoRA, "
                        f"so <lora:{path.stem}> cannot use it.")
    layers = {}
    for name, tensor in tensors.items():
        key, _, tail = name.partition(".")
        layers.setdefault(key, {})[tail] = tensor
    pairs = [(target, adapter_of(target, layers.pop(target.key), path)) for target in model.family.targets(model)
             if target.key in layers]
    if not pairs:
        raise UserError(f"{path.name} is a LoRA for another kind of model: this one has no {next(iter(layers))}.")
    if layers:
        log.warning("%s: %d of its layers fit nothing in this model, such as %s.",
                    path.name, len(layers), next(iter(layers)))
    return pairs


def adapter_of(target: Target, tensors: dict[str, torch.Tensor], path: Path) -> Adapter:
    """The adapter that a file describes for a layer. UserError for an unknown kind and for other sizes."""
    for _, network in registry:
        if network.reads(tensors):
            try:
                dim = network.dim_of(tensors)
                adapter = network(target.layer, dim, float(tensors.get("alpha", dim)))
                adapter.load_tensors(tensors)
                return adapter.to(target.layer.weight.device).requires_grad_(False)
            except RuntimeError as error:
                raise UserError(f"{path.name} does not fit this model at {target.key}: it was made for one of other "
                                "sizes.") from error
    raise UserError(f"{path.name} adapts {target.key} in a way that is not known here ({', '.join(sorted(tensors))}).")


def embeddings(model: LoadedModel, folder: Path) -> dict[str, torch.Tensor]:
    """name -> (n, D) of the folder's embeddings that are this model's; others are passed over, as the WebUI does."""
    widths = [tower.width for tower in model.towers]
    by_name, errors = {}, []
    for name, path in embedding.listed(folder).items():
        try:
            by_name[name] = embedding.read(path, model.family.embedding_keys, widths).to(model.device)
        except UserError as error:
            errors.append(error)
    if errors:
        log.info("%s Passed over%s.", errors[0], f", like {len(errors) - 1} more" if errors[1:] else "")
    return by_name
