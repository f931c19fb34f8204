import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import load_file, save_file

from lib_sdtune.artefacts import embedding
from lib_sdtune.errors import UserError
from tests.formats.webui_rules import check_pt

SD1 = (("emb_params",), (16,))
SDXL = (("clip_l", "clip_g"), (16, 24))
ROWS = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))


def test_safetensors_holds_one_tensor_and_the_metadata(tmp_path):
    embedding.write(tmp_path / "ron.safetensors", ROWS, *SD1, {"ss_steps": "5"})
    assert {key: value.shape for key, value in load_file(tmp_path / "ron.safetensors").items()} == {"emb_params": (3, 16)}
    assert torch.equal(embedding.read(tmp_path / "ron.safetensors", *SD1), ROWS)


def test_two_towers_are_two_tensors(tmp_path):
    rows = torch.randn(2, 40)
    embedding.write(tmp_path / "ron.safetensors", rows, *SDXL, {})
    assert {key: value.shape for key, value in load_file(tmp_path / "ron.safetensors").items()} == {"clip_l": (2, 16), "clip_g": (2, 24)}
    assert torch.equal(embedding.read(tmp_path / "ron.safetensors", *SDXL), rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_pt_is_the_webuis_dict(tmp_path, dtype):
    embedding.write(tmp_path / "ron.pt", ROWS.to(dtype), *SD1, {"ss_sd_model_name": "tiny"}, name="ron", step=7)
    check_pt(tmp_path / "ron.pt")
    data = torch.load(tmp_path / "ron.pt", weights_only=True)
    assert data["string_to_token"] == {"*": 265} and list(data["string_to_param"]) == ["*"]
    assert (data["name"], data["step"], data["sd_checkpoint_name"]) == ("ron", 7, "tiny")
    assert data["string_to_param"]["*"].dtype == dtype
    assert torch.allclose(embedding.read(tmp_path / "ron.pt", *SD1), ROWS, rtol=1e-2)


def test_reads_a_parameter_and_a_single_row(tmp_path):
    torch.save({"string_to_param": {"*": torch.nn.Parameter(ROWS)}}, tmp_path / "old.pt")
    assert torch.equal(embedding.read(tmp_path / "old.pt", *SD1), ROWS)
    torch.save({"<cat-toy>": ROWS[0]}, tmp_path / "concept.bin")
    assert torch.equal(embedding.read(tmp_path / "concept.bin", *SD1), ROWS[:1])


def as_json():
    return json.dumps({"string_to_param": {"*": {"TORCHTENSOR": ROWS.tolist()}}, "name": "ron"})


def test_reads_a_png_with_a_text_chunk(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("sd-ti-embedding", base64.b64encode(as_json().encode()).decode())
    Image.new("RGB", (8, 8), "red").save(tmp_path / "ron.png", pnginfo=info)
    assert torch.allclose(embedding.read(tmp_path / "ron.png", *SD1), ROWS)


def test_reads_a_png_with_the_data_in_its_pixels(tmp_path):
    with_strips(as_json(), height=32).save(tmp_path / "ron.png")
    assert torch.allclose(embedding.read(tmp_path / "ron.png", *SD1), ROWS)


def with_strips(text, height):
    """The WebUI's layout, made here from its description: strip, black column, picture, black column, strip."""
    data = np.frombuffer(zlib.compress(text.encode(), 9), np.uint8)
    width = -(-len(data) // (height * 3)) + 1
    sequence, state = [], 0
    for _ in range(height * width * 3):
        state = (1664525 * state + 1013904223) % 2**32
        sequence.append(state % 255 & 0x0F)
    parts = []
    for bits in (data & 0x0F, data >> 4):
        block = np.resize(bits, height * width * 3) ^ np.array(sequence, np.uint8) | 0x50  # high bits are free
        parts.append(block.reshape(height, width, 3))
    black = np.zeros((height, 1, 3), np.uint8)
    picture = np.full((height, 20, 3), 0x77, np.uint8)
    return Image.fromarray(np.concatenate([parts[0], black, picture, black, parts[1]], axis=1))


def save_two_tables(path):
    save_file({"clip_l": torch.zeros(2, 16), "clip_g": torch.zeros(2, 24)}, path)


@pytest.mark.parametrize(("name", "make", "says"), [
    ("sd2.safetensors", lambda path: save_file({"emb_params": torch.zeros(2, 1024)}, path), "1024 and this model's are 16 wide"),
    ("sdxl.safetensors", save_two_tables, "another model family"),
    ("lora.safetensors", lambda path: save_file({"a.lora_up.weight": torch.zeros(2, 2, 1, 1)}, path), "is not an embedding"),
    ("nan.safetensors", lambda path: save_file({"emb_params": torch.full((1, 16), float("nan"))}, path), "not numbers"),
    ("text.safetensors", lambda path: path.write_text("hello"), "damaged"),
    ("list.pt", lambda path: torch.save([1, 2], path), "is not an embedding"),
    ("picture.png", lambda path: Image.new("RGB", (9, 9), "red").save(path), "a picture without an embedding"),
    ("broken.png", lambda path: path.write_bytes(b"\x89PNG"), "a picture without an embedding"),
])
def test_what_is_no_embedding_of_this_model(tmp_path, name, make, says):
    make(tmp_path / name)
    with pytest.raises(UserError, match=says) as caught:
        embedding.read(tmp_path / name, *SD1)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_an_sd1_embedding_is_refused_by_a_model_with_two_towers(tmp_path):
    embedding.write(tmp_path / "ron.safetensors", ROWS, *SD1, {})
    with pytest.raises(UserError, match="1 tables of vectors and this model's embeddings have 2"):
        embedding.read(tmp_path / "ron.safetensors", *SDXL)


def test_found_by_name_in_subfolders_but_not_previews(tmp_path):
    for name in ("a/ron.png", "ron.preview.png", "a/ron.pt", "tom.safetensors", "tom.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert embedding.listed(tmp_path) == {"ron": tmp_path / "a/ron.pt", "tom": tmp_path / "tom.safetensors"}
    assert embedding.find(tmp_path, "ron.png") == tmp_path / "a/ron.png"
    assert embedding.find(tmp_path, "tom") == tmp_path / "tom.safetensors"
    for name in ("../ron", "/etc/passwd", "ronn"):
        with pytest.raises(UserError, match="There is no embedding called"):
            embedding.find(tmp_path, name)
    with pytest.raises(UserError, match="did you mean 'ron'"):
        embedding.find(Path(tmp_path), "ronn")
