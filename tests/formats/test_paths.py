"""Text that means a path, however it was pasted."""

from pathlib import Path

import pytest

from lib_sdtune.formats import paths
from lib_sdtune.formats.paths import path_of


@pytest.mark.parametrize("text", ["{0}", '"{0}"', "'{0}'", " {0} ", "{0}\n", '"{0}" \n', "“{0}”", '"{0}', "file://{0}", "file:{0}",
                                  "file://localhost{0}", '"file://{0}"', "FILE://{0}", "{0}/", "{0}/../my cats"])
def test_a_pasted_path_is_the_folder_that_is_meant(tmp_path, text):
    folder = tmp_path / "my cats"
    folder.mkdir()
    assert path_of(text.format(folder)).resolve() == folder


def test_addresses_are_decoded(tmp_path):
    assert path_of("file:///a/my%20cats%231?x") == Path("/a/my cats#1?x")
    assert paths.bare_path("file:///C:/my%20cats") == "C:/my cats" and paths.bare_path("file://server/share/a") == "//server/share/a"


def test_a_folder_of_exactly_that_name_is_meant_first(tmp_path):
    for name in ("cats ", '"cats"'):
        (tmp_path / name).mkdir()
        assert path_of(name, tmp_path) == tmp_path / name
    assert path_of("dogs ", tmp_path) == tmp_path / "dogs"


@pytest.mark.parametrize("text", ["", "  ", '"', "''", '" "', "a\0b", "\n"])
def test_what_means_no_path_is_none(tmp_path, text):
    assert path_of(text, tmp_path) is None


def test_home_and_base(tmp_path):
    assert path_of("~/x") == Path.home() / "x" and path_of('"~/x"', tmp_path) == Path.home() / "x"
    assert path_of("x", tmp_path) == tmp_path / "x" and path_of("x") == Path.cwd() / "x"


@pytest.mark.parametrize("text", ['"\\\\server\\share"', " //server/share ", "file://server/share"])
def test_another_machine_is_not_asked_for(text, monkeypatch):
    def ask(path):
        raise AssertionError(path)

    monkeypatch.setattr(Path, "exists", ask)
    assert paths.is_share(paths.bare_path(text)) and path_of(text)


def test_a_folder_with_a_tab_in_its_name_is_one_where_it_is_there(tmp_path):
    assert path_of("a\tb", tmp_path) is None and paths.special_sign("a\tb", tmp_path) == "\\t"
    (tmp_path / "a\tb").mkdir()
    assert path_of("a\tb", tmp_path) == tmp_path / "a\tb"
    assert paths.special_sign(" a b \n", tmp_path) == ""
