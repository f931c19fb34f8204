"""What a prompt's tags put on the embedded host's model while its picture is made."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from lib_sdtune.artefacts import embedding, hypernetwork
from lib_sdtune.artefacts import lora as lora_files
from lib_sdtune.errors import UserError
from lib_sdtune.formats import hashes
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.ldm.chunks import named
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.lora_tools.on_model import adapters
from lib_sdtune.networks.applied_hypernetworks import applied_hypernetworks
from lib_sdtune.networks.base import applied
from lib_sdtune.prompts import Tag, emphasis

log = logging.getLogger("sdtune")
LORA = KINDS["lora"]
SEPARATORS = str.maketrans("", "", ":,")  # the WebUI leaves them out of names in lists of hashes


def check(folder: Callable[[str], Path], tags: Sequence[Tag]) -> None:
    """UserError for a tag whose file is not there, before anything is drawn."""
    for tag in tags:
        if tag.kind in ("lora", "lyco"):
            LORA.find(folder("lora"), tag.name)
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
        yield listed("Lora hashes", short_hashes)


@contextmanager
def lora(model: LoadedModel, folder: Path, tag: Tag) -> Iterator[str]:
    """<lora:name:weight>, or <lora:name:text encoder's:UNet's>; yields the file's short hash, as the WebUI has it."""
    path = LORA.find(folder, tag.name)
    text = tag.weight(0, "te")
    weights = {"unet": tag.weight(1, "unet", default=text)}
    parts = {}
    for target, adapter in adapters(model, lora_files.read(path), strict=False):
        parts.setdefault(target.part, []).append((target.layer, adapter))
    with ExitStack() as stack:
        for part, pairs in parts.items():
            stack.enter_context(applied(pairs, weights.get(part, text)))
        yield hashes.content(path)[:12]


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


def embedding_hashes(model: LoadedModel, folder: Path, texts: Sequence[str]) -> dict[str, str]:
    """A fact for the infotext: the files of the embeddings that a prompt and its negative one name, as the WebUI lists
    them. One that is being trained is no file's.
    """
    names = [name for text in texts for name in named(model.tokenizer, emphasis(text), model.embeddings)]
    paths = embedding.listed(folder) if names else {}
    files = {name: paths[name] for name in names if name in paths and is_of_file(model, name, paths[name])}
    return listed("TI hashes", {name: hashes.sha256(path)[:12] for name, path in files.items()})


def is_of_file(model: LoadedModel, name: str, path: Path) -> bool:
    """Whether the model's embedding of that name is what the file holds."""
    try:
        rows = embedding.read(path, model.family.embedding_keys, [tower.width for tower in model.towers])
    except UserError:
        return False
    table = model.embeddings[name].detach().to("cpu", torch.float32)
    return rows.shape == table.shape and torch.equal(rows, table)


def listed(key: str, short_hashes: Mapping[str, str]) -> dict[str, str]:
    """{key: "name: hash, name: hash"}, {} where there are none."""
    text = ", ".join(f"{name.translate(SEPARATORS)}: {digest}" for name, digest in short_hashes.items())
    return {key: text} if text else {}
