"""Model files that nobody means: refused in a sentence by every reader, or read; never a traceback, never gigabytes."""

import base64
import copy
import io
import json
import pickle
import struct
import zipfile
import zlib

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lib_sdtune.artefacts import about, embedding, hypernetwork, lora
from lib_sdtune.errors import UserError
from lib_sdtune.ldm import checkpoint
from lib_sdtune.lora_tools.resize import resize
from tests.fuzz import hostile

LORA = {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
        "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": {"dtype": "F32", "shape": [4, 2], "data_offsets": [32, 64]},
        "lora_unet_mid_block_attentions_0_proj_in.alpha": {"dtype": "F32", "shape": [], "data_offsets": [64, 68]},
        "__metadata__": {"ss_network_dim": "2", "ss_base_model_version": "sd_v1"}}
TABLE = {"emb_params": {"dtype": "F32", "shape": [1, 17], "data_offsets": [0, 68]}}
WEIGHTS = {"model.diffusion_model.input_blocks.0.0.weight": {"dtype": "F32", "shape": [17, 1, 1, 1], "data_offsets": [0, 68]}}


def torch_data():
    """What `torch.save` may have written: an embedding, a hypernetwork, weights."""
    linear = {"linear.0.weight": torch.zeros(8, 4), "linear.0.bias": torch.zeros(8), "linear.1.weight": torch.zeros(4, 8),
              "linear.1.bias": torch.zeros(4)}
    return [{"string_to_token": {"*": 265}, "string_to_param": {"*": torch.zeros(2, 4)}, "name": "ron", "step": 3},
            {4: (linear, linear), "layer_structure": [1, 2, 1], "activation_func": "linear", "is_layer_norm": False, "step": 3,
             "name": "ron", "dropout_structure": [0, 0.3, 0], "use_dropout": True, "last_layer_dropout": False},
            {"state_dict": {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4)}}]


odd_tensors = st.sampled_from([torch.zeros(0), torch.zeros(()), torch.zeros(0, 4), torch.zeros(1).expand(10**9), torch.ones(3).bool(),
                               torch.zeros(2, 2, dtype=torch.complex64), torch.full((2, 4), torch.nan), torch.zeros(1, 1, 1, 1, 1)])


def safetensors(header, body=bytes(68)):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + body


def saved(data):
    file = io.BytesIO()
    torch.save(data, file)
    return file.getvalue()


def zipped(size):
    """A zip as torch's, whose numbers are compressed."""
    small = saved({"string_to_param": {"*": torch.zeros(1, 4)}})
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(small)) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, bytes(size) if name.endswith("/data/0") else source.read(name))
    return file.getvalue()


def picture(text=None, size=(8, 8)):
    """A PNG with an embedding's text chunk."""
    file, chunks = io.BytesIO(), PngInfo()
    if text is not None:
        chunks.add_text("sd-ti-embedding", base64.b64encode(text).decode())
    Image.new("1", size).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


@st.composite
def headers(draw):
    header = draw(hostile.mutated(draw(st.sampled_from([LORA, TABLE, WEIGHTS]))))
    try:
        return safetensors(header)
    except (ValueError, UnicodeEncodeError):
        return safetensors(b"{")


@st.composite
def pickles(draw):
    """A saved dict with one to three values replaced."""
    data = copy.deepcopy(draw(st.sampled_from(torch_data())))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in hostile.places(data) if path]))
        group = data
        for key in path[:-1]:
            group = group[key]
        value = draw(st.one_of(hostile.values, odd_tensors))
        if isinstance(group, tuple):
            data = {4: value, "layer_structure": [1, 2, 1]}
        else:
            group[path[-1]] = value
    try:
        return saved(data)
    except (ValueError, UnicodeEncodeError, OverflowError, RuntimeError):
        return saved({})


@st.composite
def damaged(draw):
    """A good file cut short, or with some bytes changed."""
    data = bytearray(draw(st.sampled_from([safetensors(LORA), safetensors(TABLE), picture(b"{}"), *map(saved, torch_data())])))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def read_by_all(path, out):
    """Everything that reads a stranger's file, each refusing it in a sentence or not at all."""
    readers = [about.about, checkpoint.read, checkpoint.header, lora.read, hypernetwork.read, embedding.steps,
               lambda path: embedding.read(path, ["emb_params"], [4]), lambda path: resize(path, out, 1)]
    for reader in readers:
        try:
            reader(path)
        except UserError as error:
            assert hostile.is_sentence(str(error)), error


@given(st.one_of(headers(), pickles(), damaged()), st.sampled_from([".safetensors", ".pt", ".ckpt", ".png"]))
@example(safetensors(b"[" * 100_000), ".safetensors")
@example(safetensors(b'{"a":' * 50_000), ".safetensors")
@example(safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4.5]}}), ".safetensors")
@example(safetensors({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 68]}}), ".safetensors")
@example(safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [64, 10]}}), ".safetensors")
@example(safetensors({"__metadata__": [], "a": TABLE["emb_params"]}), ".safetensors")
@example(safetensors({name: {"dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0]} for name in LORA if "weight" in name}, b""), ".safetensors")
@example(struct.pack("<Q", 2**63) + b"{", ".safetensors")
@example(saved({"string_to_param": {"*": torch.zeros(1).expand(10**6, 4)}}), ".pt")
@example(zipped(50_000_000), ".pt")
@example(picture(b"[" * 100_000), ".png")
@example(picture(size=(20_000, 20_000)), ".png")
@example(pickle.dumps({"a": 1}), ".pt")
def test_model_files(tmp_path_factory, data, ending):
    folder = tmp_path_factory.mktemp("files")
    path = folder / f"x{ending}"
    path.write_bytes(data)
    read_by_all(path, folder / "out.safetensors")
    assert {file.name for file in folder.iterdir()} <= {path.name, "out.safetensors"}


@pytest.mark.parametrize("size", [1 << 20, 1 << 27])
def test_an_embedding_in_a_picture_does_not_swell(tmp_path, monkeypatch, size):
    from lib_sdtune.artefacts import embedding_picture

    monkeypatch.setattr(embedding_picture, "hidden", lambda pixels: embedding_picture.inflated(zlib.compress(b" " * size)))
    path = tmp_path / "x.png"
    path.write_bytes(picture())
    with pytest.raises(UserError, match="a picture without an embedding"):
        embedding_picture.read(path)
