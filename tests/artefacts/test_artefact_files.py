"""Whose a file in the host's folders is, and what goes with it."""

import os
from unicodedata import normalize

import pytest

from lib_sdtune.artefacts import artefact_files
from lib_sdtune.formats.kinds import KINDS


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.mark.parametrize("kind, ending", [(kind, ending) for kind in KINDS.values() for ending in kind.endings])
def test_every_file_that_the_host_would_read_under_the_name_is_one(tmp_path, kind, ending):
    same = [tmp_path / f"ron{ending}", tmp_path / "a" / "b" / f"ron-000002{ending}", tmp_path / "old" / f"ron-step00000007{ending.upper()}"]
    touch(*same, tmp_path / f"ronald{ending}", tmp_path / f"ron-0002{ending}", tmp_path / "ron.txt", tmp_path / "ron.preview.png",
          tmp_path / "ron.png")
    assert artefact_files.of_run([tmp_path, tmp_path / "a"], kind, "ron") == sorted(same)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("there, name", [("Ron", "rON"), (normalize("NFD", "Jürgen"), "jürgen"), ("JÜRGEN", normalize("NFD", "Jürgen"))])
def test_names_that_are_one_on_many_disks_are_told_as_one(tmp_path, kind, there, name):
    paths = [tmp_path / f"{there}{tail}{kind.endings[0]}" for tail in ("", "-000002")]
    touch(*paths)
    assert artefact_files.of_run([tmp_path], kind, name) == sorted(paths)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_are_followed_and_end(tmp_path):
    touch(tmp_path / "far" / "ron.safetensors")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "linked").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "lora")
    paths = artefact_files.of_run([tmp_path / "lora"], KINDS["lora"], "ron")
    assert paths == [tmp_path / "lora" / "linked" / "ron.safetensors"]


def test_a_file_goes_with_its_company_unless_another_needs_it(tmp_path):
    company = [tmp_path / f"ron{ending}" for ending in (".json", ".yaml", ".txt", ".preview.png", ".preview.webp")]
    touch(tmp_path / "ron.safetensors", tmp_path / "ron.pt", tmp_path / "ron2.json", *company)
    artefact_files.remove(tmp_path / "ron.pt", KINDS["lora"])
    assert all(path.exists() for path in company)
    artefact_files.remove(tmp_path / "ron.safetensors", KINDS["lora"])
    assert [path.name for path in tmp_path.iterdir()] == ["ron2.json"]
