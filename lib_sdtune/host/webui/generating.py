"""Pictures by the WebUI's own `process_images`, leaving no trace: no files, history, progress, cached prompts, or drawn
random numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from modules import processing, shared
from PIL.Image import Image

from lib_sdtune.families.variant import Variant
from lib_sdtune.host.base import SampleRequest
from lib_sdtune.host.webui import forks
from lib_sdtune.host.webui.model import rows_of
from lib_sdtune.host.webui.neutral import rng
from lib_sdtune.loaded_model import LoadedModel
from lib_sdtune.swap import replaced, replaced_entry


def picture(request: SampleRequest, pins: dict[str, Any]) -> Image | None:
    """One PIL image for a `SampleRequest`, its infotext in `.info["parameters"]`; None if somebody pressed Interrupt
    or Skip.
    """
    p = processing.StableDiffusionProcessingTxt2Img(
        sd_model=shared.sd_model,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        seed=request.seed,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        width=request.width,
        height=request.height,
        sampler_name=request.sampler or "Euler a",
        scheduler="Automatic",
        do_not_save_samples=True,
        do_not_save_grid=True,
        restore_faces=False,
        tiling=False,
        do_not_reload_embeddings=True,
    )
    runner = forks.current().script_runner()
    if runner is not None:
        p.scripts = runner
    p.cached_c, p.cached_uc = [None, None], [None, None]
    with settings_pinned(pins):
        try:
            processed = processing.process_images(p)
        finally:
            p.close()
    if not processed.images or shared.state.interrupted or shared.state.skipped:
        return None  # the WebUI gives back what is half drawn, and nobody wants that among the class pictures
    image = processed.images[0]
    image.info["parameters"] = processed.infotexts[0]
    return image


@contextmanager
def settings_pinned(pins: dict[str, Any]) -> Iterator[None]:
    """These settings of the WebUI have these values inside.

    Not by way of a picture's `override_settings`: those are refused where settings are frozen (`--freeze-settings` and
    its relatives) or hidden.
    """
    with ExitStack() as stack:
        for name, value in pins.items():
            stack.enter_context(replaced_entry(shared.opts.data, name, value))
        yield


@contextmanager
def unnoticed() -> Iterator[None]:
    """The WebUI's progress, its interrupt flags and its parameter history are as before afterwards."""
    state = shared.state
    before = dict(vars(state))
    state.begin(job="sdtune-sample")
    try:
        with replaced(shared.cmd_opts, "no_prompt_history", True), rng.restored(shared.sd_model):
            yield
    finally:
        for name in set(vars(state)) - set(before):
            delattr(state, name)
        vars(state).update(before)


def pins(variant: Variant) -> dict[str, Any]:
    """Settings of the WebUI that a picture of this variant needs."""
    return {"sd_noise_schedule": "Zero Terminal SNR"} if variant.zero_terminal_snr else {}


@contextmanager
def embeddings_known(loaded: LoadedModel, widths: Sequence[int]) -> Iterator[None]:
    """Prompts may name a lent model's embeddings as well; those that the WebUI has are left alone. widths: of its
    towers.
    """
    fork, model = forks.current(), forks.current().loaded()
    before, keys = [], loaded.family.embedding_keys
    for name, vectors in loaded.embeddings.items():
        tables = dict(zip(keys, vectors.detach().split(widths, dim=1), strict=True))
        entry = fork.make_embedding(vectors.detach() if len(keys) == 1 else tables, name)
        entry.vectors, entry.shape = vectors.shape
        for database in fork.embedding_databases(model):
            present = database.word_embeddings.get(name)
            rows = None if present is None else rows_of(present.vec, keys)
            if rows is None or rows.shape != vectors.shape or not torch.equal(rows, vectors.to(rows)):
                before.append((database, name, present))
                fork.register_embedding(database, name, entry, model)
    try:
        yield
    finally:
        for database, name, present in before:
            fork.register_embedding(database, name, None, model)
            if present is not None:
                fork.register_embedding(database, name, present, model)
