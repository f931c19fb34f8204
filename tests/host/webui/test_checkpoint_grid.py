"""A grid of checkpoints: each is loaded for its own pictures, and the one before is back afterwards."""

import shutil
from pathlib import Path

import pytest
import webui_probe
from safetensors.torch import load_file, save_file


@pytest.fixture
def saved(host):
    """Two changed copies of the loaded checkpoint, as a training saves them on its way: not in the WebUI's list yet."""
    from modules import sd_models, shared

    source = Path(shared.sd_model.sd_checkpoint_info.filename)
    tensors, paths = load_file(source), []
    for number, factor in ((1, 0.5), (2, 2.0)):
        path = source.with_name(f"growing-00000{number}.safetensors")
        save_file({name: tensor * factor if ".to_k." in name else tensor for name, tensor in tensors.items()}, path)
        if source.with_suffix(".yaml").exists():
            shutil.copy(source.with_suffix(".yaml"), path.with_suffix(".yaml"))
        paths.append(path)
    yield paths
    for path in source.parent.glob("growing-*"):
        path.unlink()
    sd_models.list_models()


def test_every_file_is_drawn_with_itself(host, saved, tmp_path):
    from modules import shared

    from lib_sdtune.evaluation.any_files import AnyFiles
    from lib_sdtune.evaluation.base_model import trained_on
    from lib_sdtune.evaluation.candidates import of_files
    from lib_sdtune.evaluation.grid import Grid, cells
    from lib_sdtune.evaluation.judge import opened
    from lib_sdtune.host.base import SampleRequest

    plain, before = webui_probe.draw(seed=5), shared.sd_model.sd_checkpoint_info.filename
    candidates = of_files(host, saved)
    assert [candidate.kind for candidate in candidates] == ["checkpoints"] * 2
    grid = Grid(host, tmp_path, model=trained_on(candidates[0], AnyFiles(host, "some", saved), host))
    request = SampleRequest("a cat", steps=webui_probe.STEPS, cfg_scale=4, width=webui_probe.SIZE, height=webui_probe.SIZE, sampler="Euler")
    wanted = cells(candidates, [1.0], [request], [5])
    grid.make(wanted)
    pictures = [opened(grid.path(cell)).tobytes() for cell in wanted]
    assert len(set(pictures)) == 3 and pictures[0] == plain.tobytes()
    assert shared.sd_model.sd_checkpoint_info.filename == before and (webui_probe.draw(seed=5) == plain).all()
