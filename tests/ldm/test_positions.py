"""Checkpoints whose CLIP position ids a merge has damaged: read as the WebUI reads them, and told."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_sdtune.artefacts import checkpoint as written
from lib_sdtune.artefacts.about import about
from lib_sdtune.config import Config
from lib_sdtune.errors import UserError
from lib_sdtune.host.embedded.host import EMBEDDED, EmbeddedHost
from lib_sdtune.ineffective_settings import by_checkpoint
from lib_sdtune.ldm import architecture, checkpoint, header, positions, text

NAME = checkpoint.CLIP + positions.NAME


@pytest.fixture(scope="module")
def embedded():
    return load_file(EMBEDDED), header.read(EMBEDDED).metadata


def merged(path, embedded, wrong, dtype=torch.float32):
    """A checkpoint whose places {place: row} read other rows."""
    tensors, metadata = embedded
    ids = torch.arange(77, dtype=dtype)
    for place, row in wrong.items():
        ids[place] = row
    save_file({**tensors, NAME: ids[None]}, path, metadata)
    return path


def test_texts_are_read_by_the_file_s_ids(tmp_path, embedded):
    tensors, metadata = checkpoint.read(merged(tmp_path / "merged.safetensors", embedded, {3: 2.9, 5: 4}))
    tower = architecture.build(tensors, metadata)[2][0]
    sound = architecture.build(embedded[0], metadata)[2][0]
    ids = torch.arange(9)[None]
    damaged, right = (text.hidden_states(module.text_model, ids)[0] for module in (tower, sound))
    moved = sorted({int(place) for place in (damaged != right).nonzero()[:, 1]})
    assert moved == [3, 5], "numbers are cut to whole ones, as the WebUI's buffer does"
    table = sound.text_model.embeddings.position_embedding.weight
    assert torch.allclose(damaged[0, 3] - right[0, 3], table[2] - table[3], atol=1e-6)
    assert written.tensors([(architecture.CLIP_PART, "text_encoder_1", tower)])[NAME].tolist()[0][:6] == [0, 1, 2, 2, 4, 4]
    assert NAME not in written.tensors([(architecture.CLIP_PART, "text_encoder_1", sound)])


def test_the_damage_is_named_at_check_and_by_inspect(tmp_path, embedded):
    path = merged(tmp_path / "merged.safetensors", embedded, {3: 2, 5: 4}, torch.float16)
    assert "place 3 reads row 2, place 5 reads row 4" in about(path)["damage"]
    config = Config.from_dict({"name": "ron", "concepts": [{"images": "x"}], "dataset": {"resolution": 64}})
    assert "position_ids" in " ".join(by_checkpoint(config, EmbeddedHost(tmp_path, path).header(config.model)))
    sound = merged(tmp_path / "sound.safetensors", embedded, {})
    assert "damage" not in about(sound) and not by_checkpoint(config, header.read(sound))


def test_ids_out_of_the_table_are_refused(tmp_path, embedded):
    tensors, metadata = checkpoint.read(merged(tmp_path / "merged.safetensors", embedded, {3: 77}))
    with pytest.raises(UserError, match="point out of its table"):
        architecture.build(tensors, metadata)
