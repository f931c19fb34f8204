import base64
from pathlib import Path

import pytest

from lib_sdtune.access import Access
from lib_sdtune.errors import UserError


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(("header", "let_in"), [
    (basic("ann:secret"), True), (basic("ann:wrong"), False), (basic("bob:secret"), False), (basic("ann:"), False),
    (basic("ann:secret").replace("Basic", "Bearer"), False), ("", False), (None, False), ("Basic ???", False), ("Basic", False)])
def test_credentials(header, let_in):
    assert Access({"ann": "secret"}).admits(header) is let_in


def test_without_credentials_everybody_comes_in():
    assert Access().admits(None)


def test_any_folder_where_nothing_is_restricted(tmp_path):
    assert Access().folder(str(tmp_path), "images") == tmp_path


@pytest.mark.parametrize("path", ["../outside", "inside/../../outside", "link", ".."])
def test_folders_outside_the_roots_are_refused(tmp_path, path):
    (tmp_path / "root/inside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="images"):
        Access(roots=lambda: [tmp_path / "root"]).folder(str(tmp_path / "root" / path), "images")


@pytest.mark.parametrize("prompt", ["/home/me/secret.txt", "../secret.txt", "C:secret.TXT", "..\\secret.txt "])
def test_a_template_is_no_way_to_read_other_files(prompt):
    with pytest.raises(UserError, match="prompt"):
        Access(roots=list).template(prompt, "concepts[0].prompt")
    Access().template(prompt, "concepts[0].prompt")
    Access(roots=list).template("subject.txt", "concepts[0].prompt")
    Access(roots=list).template("a/b and c", "concepts[0].prompt")


@pytest.mark.parametrize("folder", ["", "   ", "a\0b", None, 3])
def test_what_is_no_folder_is_refused(folder):
    with pytest.raises(UserError, match="images"):
        Access().folder(folder, "images")


@pytest.mark.parametrize("path", [r"\\server\share", "//server/share", r" \\server\share"])
def test_another_machine_is_not_even_asked(tmp_path, path, monkeypatch):
    access = Access(roots=lambda: [tmp_path])
    resolved, resolve = [], Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda self, *how: resolved.append(self) or resolve(self, *how))
    with pytest.raises(UserError, match="outside"):
        access.folder(path, "images")
    assert resolved == [tmp_path]


def test_folders_inside_the_roots_are_allowed(tmp_path):
    (tmp_path / "root/inside").mkdir(parents=True)
    access = Access(roots=lambda: [tmp_path / "other", tmp_path / "root"])
    assert access.folder(str(tmp_path / "root/inside"), "images") == Path(tmp_path / "root/inside")
