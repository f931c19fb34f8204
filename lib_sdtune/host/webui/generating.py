"""Pictures by the WebUI's own `process_images`, leaving no trace: no files, history, progress, cached prompts, drawn chances."""

from contextlib import contextmanager

from modules import processing, shared

from lib_sdtune.host.webui.neutral import chance
from lib_sdtune.host.webui.swap import replaced


def picture(request, pins):
    """One PIL image for a `SampleRequest`, its infotext in `.info["parameters"]`; None if somebody pressed Interrupt or Skip."""
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
        override_settings=dict(pins),
    )
    p.cached_c, p.cached_uc = [None, None], [None, None]
    try:
        made = processing.process_images(p)
    finally:
        p.close()
    if not made.images or shared.state.interrupted or shared.state.skipped:
        return None  # the WebUI gives back what is half drawn, and nobody wants that among the class pictures
    image = made.images[0]
    image.info["parameters"] = made.infotexts[0]
    return image


@contextmanager
def unnoticed():
    """The WebUI's progress, its interrupt flags and its parameter history are as before afterwards."""
    state = shared.state
    before = dict(vars(state))
    state.begin(job="sdtune-sample")
    try:
        with replaced(shared.cmd_opts, "no_prompt_history", True), chance.kept(shared.sd_model):
            yield
    finally:
        for name in set(vars(state)) - set(before):
            delattr(state, name)
        vars(state).update(before)


@contextmanager
def known(embeddings):
    """Prompts may name these embeddings (name -> vectors) as well; those that the WebUI has are left alone."""
    from modules.sd_hijack import model_hijack
    from modules.textual_inversion.textual_inversion import Embedding

    database, model, hidden, added = model_hijack.embedding_db, shared.sd_model, {}, []
    for name, vectors in embeddings.items():
        present = database.word_embeddings.get(name)
        if present is not None and present.vec is not None and getattr(present.vec, "data_ptr", int)() == vectors.data_ptr():
            continue
        hidden[name] = present
        entry = Embedding(vectors.detach(), name)
        entry.vectors, entry.shape = vectors.shape[0], vectors.shape[-1]
        database.register_embedding(entry, model)
        added.append(name)
    try:
        yield
    finally:
        for name in added:
            database.register_embedding_by_name(None, model, name)
            if hidden[name] is not None:
                database.register_embedding(hidden[name], model)
