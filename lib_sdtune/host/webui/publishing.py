"""A finished file becomes selectable at once, and an older one of its name is forgotten."""

import sys
from collections.abc import Collection
from pathlib import Path

from modules import sd_models, shared

from lib_sdtune.errors import RunError
from lib_sdtune.host.base import FinishedFile
from lib_sdtune.host.webui import forks, model
from lib_sdtune.host.webui.neutral import conditioning_cache


def publish(artefact: FinishedFile) -> None:
    """Refresh the WebUI's lists and check that it takes the file, where the checkpoint that it was made on is loaded.
    RunError if it does not; the file stays.
    """
    conditioning_cache.clear()
    path, fits = Path(artefact.path), of_loaded_checkpoint(artefact)
    publishers = {"lora": lora, "embeddings": embedding, "hypernetworks": hypernetwork, "checkpoints": checkpoint}
    publishers[artefact.kind](path, fits)


def of_loaded_checkpoint(artefact: FinishedFile) -> bool:
    """Whether a file was made on the loaded checkpoint, or at least for its family where the file does not say on
    which. A run may have trained another one, of a size whose layers the WebUI cannot lay over those of the loaded one.
    """
    fork = forks.current()
    loaded, facts = fork.loaded(), artefact.metadata
    if loaded is None:
        return False
    name, version = facts.get("ss_sd_model_name"), facts.get("ss_base_model_version")
    if name is not None and name != fork.checkpoint().name_for_extra:
        return False
    return version is None or version.startswith(model.detected(loaded)[0].base_model_version)


def refuse_other(path: Path, listed: str | Path | None) -> None:
    """RunError when the WebUI would read another file under the name of the one that was written."""
    if listed and not (Path(listed).exists() and path.exists() and Path(listed).samefile(path)):
        raise RunError(f"The WebUI reads {listed} under the name {path.stem}, not {path}, which was written. "
                       "Move or rename that file and refresh the list.")


def lora(path: Path, fits: bool) -> None:
    name, fork = path.stem, forks.current()
    networks = sys.modules.get("networks")
    if not hasattr(networks, "list_available_networks"):
        return  # the built-in Lora extension is switched off
    fork.forget_lora(networks, name, fork.loaded())
    networks.list_available_networks()
    network = networks.available_networks.get(name)
    if network is None:
        raise RunError(f"The WebUI does not list {name}; look into its console for the reason.")
    refuse_other(path, network.filename)
    if not fits:
        return
    unmatched_keys = unmatched(network.filename, fork.lora_layers(networks, network, fork.loaded()))
    if unmatched_keys:
        raise RunError(f"The WebUI finds no layer for {len(unmatched_keys)} keys of {name}, such as "
                       f"{unmatched_keys[0]}; the file is kept but does too little.")


def unmatched(path: str, layers: Collection[str]) -> list[str]:
    """Keys of a LoRA file for which the WebUI has no layer."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return sorted(key for key in file.keys() if key.partition(".")[0] not in layers)  # noqa: SIM118 - not a dict


def embedding(path: Path, fits: bool) -> None:
    name, fork = path.stem, forks.current()
    fork.reload_embeddings(fork.loaded())
    for database in fork.embedding_databases(fork.loaded()):
        if fits and name not in database.word_embeddings:
            raise RunError(f"The WebUI does not take {name} as an embedding for the loaded checkpoint; "
                           "look into its console for the reason.")
        if name in database.word_embeddings:
            refuse_other(path, getattr(database.word_embeddings[name], "filename", None))


def hypernetwork(path: Path, fits: bool) -> None:
    name = path.stem
    shared.loaded_hypernetworks[:] = [loaded for loaded in shared.loaded_hypernetworks if loaded.name != name]
    shared.reload_hypernetworks()
    if name not in shared.hypernetworks:
        raise RunError(f"The WebUI does not list the hypernetwork {name}; look into its console for the reason.")
    refuse_other(path, shared.hypernetworks[name])


def checkpoint(path: Path, fits: bool) -> None:
    sd_models.list_models()
