"""What the WebUI gets from SD Tune: settings, a tab or an apology, an API under the WebUI's own rules."""

import argparse
import importlib.util
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/sdtune.py"


@pytest.fixture
def callbacks(webui, monkeypatch):
    from lib_sdtune.extension import callbacks

    monkeypatch.setattr(callbacks, "_access", None)
    return callbacks


@pytest.mark.parametrize(("flags", "closed", "restricted", "credentials"), [
    ({}, False, False, {}),
    ({"api_auth": "ann:a:b,bob:c"}, False, False, {"ann": "a:b", "bob": "c"}),
    ({"webui_is_non_local": True}, True, True, {}),
    ({"webui_is_non_local": True, "api_auth": "ann:b"}, False, True, {"ann": "b"}),
    ({"webui_is_non_local": True, "gradio_auth": "ann:b"}, True, True, {}),
    ({"hide_ui_dir_config": True}, False, True, {}),
])
def test_the_webui_s_flags_are_the_rules(callbacks, monkeypatch, flags, closed, restricted, credentials):
    from modules import shared

    for name, value in flags.items():
        monkeypatch.setattr(shared.cmd_opts, name, value, raising=False)
    access = callbacks.access()
    assert bool(access.closed) is closed and (access.roots is not None) is restricted and access.credentials == credentials
    assert callbacks.access() is access
    assert (access.hosts is None) is bool(flags.get("webui_is_non_local"))


def test_a_webui_of_this_machine_alone_may_be_called_by_its_names_and_those_of_the_flag(callbacks, monkeypatch):
    from modules import shared

    monkeypatch.setattr(shared.cmd_opts, "sdtune_host", ["Studio.example"], raising=False)
    assert callbacks.access().hosts() == {"localhost", "127.0.0.1", "::1", "studio.example"}


def test_pictures_may_come_from_the_flag_s_and_the_settings_folders(callbacks, monkeypatch, tmp_path):
    from modules import shared

    callbacks.settings()
    monkeypatch.setattr(shared.cmd_opts, "sdtune_pictures", [str(tmp_path / "flag")], raising=False)
    monkeypatch.setitem(shared.opts.data, "sdtune_roots", f"{tmp_path / 'one'}\n\n  {tmp_path / 'two'}  ")
    assert callbacks.roots()[1:] == [tmp_path / "flag", tmp_path / "one", tmp_path / "two"]


def test_settings_that_name_folders_cannot_be_changed_from_afar(callbacks):
    from modules import shared

    callbacks.settings()
    for key in ("sdtune_subfolder", "sdtune_roots"):
        assert shared.opts.data_labels[key].restrict_api and key in shared.restricted_opts
    assert shared.opts.data_labels["sdtune_breathe"].default is True


@pytest.mark.parametrize(("asked", "tail"), [("", ""), ("mine", "mine"), ("mine/cats", "mine/cats"), ("mine\\cats", "mine/cats")])
def test_files_go_where_the_webui_looks(host, monkeypatch, asked, tail):
    from modules import paths, shared

    monkeypatch.setitem(shared.opts.data, "sdtune_subfolder", asked)
    assert host.folder("lora") == Path(shared.cmd_opts.lora_dir).absolute() / tail
    assert host.folder("embeddings") == Path(shared.cmd_opts.embeddings_dir).absolute() / tail
    assert host.folder("hypernetworks") == Path(shared.cmd_opts.hypernetwork_dir).absolute() / tail
    assert host.folder("sdtune") == Path(paths.data_path).absolute() / "sdtune"
    assert host.folder("checkpoints").parts[-1 - len(Path(tail).parts)] == "Stable-diffusion"


@pytest.mark.parametrize("asked", ["..", "../x", "/x/../..", "a/../../b"])
def test_a_sub_folder_stays_inside(host, monkeypatch, asked):
    from modules import shared

    from lib_sdtune.errors import UserError

    monkeypatch.setitem(shared.opts.data, "sdtune_subfolder", asked)
    with pytest.raises(UserError, match="sub-folder"):
        host.folder("lora")


def script():
    spec = importlib.util.spec_from_file_location("sdtune_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_broken_import_leaves_a_tab_that_says_so(webui, monkeypatch):
    gradio = pytest.importorskip("gradio", reason="gradio comes with the WebUI and with the `ui` verb's requirements")
    monkeypatch.setitem(sys.modules, "lib_sdtune.extension.callbacks", None)
    [(page, title, identity)] = script().tab()
    assert isinstance(page, gradio.Blocks) and (title, identity) == ("SD Tune", "sdtune_tab")
    shown = next(iter(page.blocks.values())).value
    assert "cannot train here" in shown and "ImportError" in shown or "ModuleNotFoundError" in shown


def test_the_api_is_added_to_the_webui_s_server(callbacks, monkeypatch):
    fastapi = pytest.importorskip("fastapi", reason="fastapi comes with the WebUI and with the `ui` verb's requirements")
    monkeypatch.setattr("lib_sdtune.app._shared", None)
    app = fastapi.FastAPI()
    script().api(None, app)
    assert "/sdtune/v1/runs" in {route.path for route in app.routes}


def run_script(path):
    """A script of an extension as the WebUI executes it."""
    spec = importlib.util.spec_from_file_location(path.name, path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.fixture
def installed_twice(webui, monkeypatch, tmp_path):
    """The folders of two installations, of which the WebUI knows nothing but that they are there."""
    from modules import extensions, script_callbacks

    monkeypatch.setattr(script_callbacks, "callback_map", {key: [] for key in script_callbacks.callback_map})
    folders = [tmp_path / "extensions" / name for name in ("sd-tune", "sdtune-clone")]
    for folder in folders:
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(SCRIPT.parents[1])
    monkeypatch.setattr(extensions, "extensions", [SimpleNamespace(name=folder.name, path=str(folder), enabled=True) for folder in folders])
    return folders


@pytest.mark.parametrize("times", [1, 2], ids=["started", "reloaded"])
def test_a_second_installation_leaves_the_page_to_the_first_and_says_so_in_one_line(installed_twice, capsys, times):
    from modules import extensions, script_callbacks

    for _ in range(times):
        for callbacks in script_callbacks.callback_map.values():
            callbacks.clear()
        capsys.readouterr()
        for folder in installed_twice:
            run_script(folder / "scripts/sdtune.py")
    first, second = installed_twice
    scripts = [callback.script for category in script_callbacks.callback_map.values() for callback in category]
    assert len(scripts) == 4 and set(scripts) == {str(first / "scripts/sdtune.py")}
    assert [extension.enabled for extension in extensions.extensions] == [True, False]
    (line,) = capsys.readouterr().out.splitlines()
    assert str(first) in line and str(second) in line and "remove one" in line


def test_flags_of_two_installations_are_added_once():
    parser = argparse.ArgumentParser()
    for _ in range(2):
        runpy.run_path(str(SCRIPT.parents[1] / "preload.py"))["preload"](parser)
    assert parser.parse_args(["--sdtune-host", "a"]).sdtune_host == ["a"]


def test_a_webui_that_is_not_known_is_told_in_the_tab(callbacks, monkeypatch):
    gradio = pytest.importorskip("gradio", reason="gradio comes with the WebUI and with the `ui` verb's requirements")
    from modules import sd_models

    from lib_sdtune.host.webui import recognition

    assert recognition.problem() == ""
    monkeypatch.delattr(sd_models, "list_models")
    [(page, _, _)] = callbacks.tab()
    shown = [block.value for block in page.blocks.values() if isinstance(block, gradio.HTML)]
    assert len(shown) == 1 and "does not know this WebUI: it has no modules.sd_models.list_models" in shown[0]


@pytest.mark.parametrize(("folder", "sign"), [("data #2/extensions/sd-tune", "#"), ("what?/sd-tune", "?"), ("100 % & more/sd-tune", "")])
def test_a_path_from_which_the_webui_serves_no_scripts_is_told_in_the_tab(callbacks, monkeypatch, tmp_path, folder, sign):
    gradio = pytest.importorskip("gradio", reason="gradio comes with the WebUI and with the `ui` verb's requirements")
    problem = callbacks.without_scripts(tmp_path / folder)
    assert (f'has a "{sign}" in it' in problem) if sign else not problem
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    assert not callbacks.without_scripts(tmp_path / folder / "extensions/sd-tune"), "its address begins here"
    if sign:
        monkeypatch.setattr(callbacks, "without_scripts", lambda folder: problem)
        [(page, _, _)] = callbacks.tab()
        shown = [block.value for block in page.blocks.values() if isinstance(block, gradio.HTML)]
        assert len(shown) == 1 and "Rename that folder" in shown[0]
