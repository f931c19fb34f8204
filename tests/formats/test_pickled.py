import pickle
import tarfile

import pytest
import torch

from lib_sdtune.errors import UserError
from lib_sdtune.formats import pickled
from tests.formats.webui_rules import check_pt

DATA = {"rows": torch.arange(6.0).reshape(2, 3), "half": torch.ones(3, dtype=torch.float16), 768: ({"a": torch.zeros(2)},), "step": 5,
        "none": None, "list": [1, 2.5, 1]}


def test_the_webui_lets_it_through(tmp_path):
    pickled.write(tmp_path / "a.pt", DATA)
    check_pt(tmp_path / "a.pt")


def test_comes_back(tmp_path):
    pickled.write(tmp_path / "a.pt", DATA)
    back = pickled.read(tmp_path / "a.pt")
    assert back.keys() == DATA.keys() and back["list"] == [1, 2.5, 1] and back["none"] is None
    assert torch.equal(back["rows"], DATA["rows"]) and back["half"].dtype == torch.float16
    assert torch.equal(back[768][0]["a"], torch.zeros(2))


def test_same_content_same_bytes(tmp_path):
    pickled.write(tmp_path / "a.pt", DATA)
    pickled.write(tmp_path / "b.pt", {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in DATA.items()})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("write", [torch.save, lambda data, path: path.write_bytes(pickle.dumps(data))], ids=["torch", "pickle"])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path, write):
    write({"string_to_param": {"*": torch.zeros(1, 4)}, "x": Bomb(tmp_path / "ran")}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match=r"bad\.pt holds something other than numbers and text"):
        pickled.read(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


def test_damaged_file(tmp_path):
    pickled.write(tmp_path / "a.pt", DATA)
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:400])
    with pytest.raises(UserError, match=r"a\.pt"):
        pickled.read(tmp_path / "a.pt")


def test_a_tar_is_refused_before_torch_sees_it(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "old.pt", "w") as file:
        (tmp_path / "pickle").write_bytes(pickle.dumps({"x": Bomb(tmp_path / "ran")}))
        file.add(tmp_path / "pickle", "pickle")
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("torch was asked"))
    with pytest.raises(UserError, match=r"old\.pt is damaged"):
        pickled.read(tmp_path / "old.pt")
