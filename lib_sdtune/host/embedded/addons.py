"""What a prompt's tags put on the embedded host's model while its picture is made."""

import logging
from contextlib import ExitStack, contextmanager

from lib_sdtune.errors import UserError
from lib_sdtune.formats import embedding, hashes, hypernetwork, kinds, lookup
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.ldm.checkpoint import read_any
from lib_sdtune.networks import registry
from lib_sdtune.networks.base import applied
from lib_sdtune.networks.hypernetwork import applied_hypernetworks

log = logging.getLogger("sdtune")
LORA = KINDS["lora"]


def check(folder, tags):
    """UserError for a tag whose file is not there, before anything is drawn."""
    for tag in tags:
        if tag.kind in ("lora", "lyco"):
            lookup.find(folder("lora"), tag.name, LORA.endings, LORA.noun)
        elif tag.kind == "hypernet":
            hypernetwork.find(folder("hypernetworks"), tag.name)


@contextmanager
def attached(model, folder, tags):
    """The model with what the tags name; yields facts for the infotext. `folder(kind)` says where files are."""
    with ExitStack() as stack:
        short, networks = {}, []
        for tag in tags:
            if tag.kind in ("lora", "lyco"):
                short[tag.name] = stack.enter_context(lora(model, folder("lora"), tag))
            elif tag.kind == "hypernet":
                read, _ = hypernetwork.read(hypernetwork.find(folder("hypernetworks"), tag.name))
                networks.append((read.to(model.device), tag.weight()))
            else:
                log.warning("The prompt's <%s:%s> is of a kind that is not known here; it was left out.", tag.kind, tag.name)
        stack.enter_context(applied_hypernetworks(model.unet, networks))
        yield {"Lora hashes": ", ".join(f"{name}: {digest}" for name, digest in short.items())} if short else {}


@contextmanager
def lora(model, folder, tag):
    """<lora:name:weight>, or <lora:name:text encoder's:UNet's>; yields the file's short hash, as the WebUI counts it."""
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


def adapters(model, path):
    """[(target, adapter)] of a file of kohya's keys. UserError if nothing in it fits; what does not fit is named in the log."""
    tensors, _ = read_any(path)
    content = kinds.content(tensors)
    if content != "lora":
        raise UserError(f"{path.name} is {kinds.noun(content) or 'something else'}, not a LoRA, so <lora:{path.stem}> cannot use it.")
    layers = {}
    for name, tensor in tensors.items():
        key, _, tail = name.partition(".")
        layers.setdefault(key, {})[tail] = tensor
    found = [(target, made(target, layers.pop(target.key), path)) for target in model.family.targets(model) if target.key in layers]
    if not found:
        raise UserError(f"{path.name} is a LoRA for another kind of model: this one has no {next(iter(layers))}.")
    if layers:
        log.warning("%s: %d of its layers fit nothing in this model, such as %s.", path.name, len(layers), next(iter(layers)))
    return found


def made(target, tensors, path):
    for _, network in registry:
        if network.reads(tensors):
            try:
                dim = network.dim_of(tensors)
                adapter = network(target.layer, dim, float(tensors.get("alpha", dim)))
                adapter.load_tensors(tensors)
                return adapter.to(target.layer.weight.device).requires_grad_(False)
            except RuntimeError as error:
                raise UserError(f"{path.name} does not fit this model at {target.key}: it was made for one of other sizes.") from error
    raise UserError(f"{path.name} adapts {target.key} in a way that is not known here ({', '.join(sorted(tensors))}).")


def embeddings(model, folder):
    """name -> (n, D) of the folder's embeddings that are this model's; others are passed over, as the WebUI does."""
    widths = [tower.width for tower in model.towers]
    found, strange = {}, []
    for name, path in embedding.listed(folder).items():
        try:
            found[name] = embedding.read(path, model.family.embedding_keys, widths).to(model.device)
        except UserError as error:
            strange.append(error)
    if strange:
        log.info("%s Passed over%s.", strange[0], f", like {len(strange) - 1} more" if strange[1:] else "")
    return found
