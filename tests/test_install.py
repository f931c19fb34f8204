"""install.py as the WebUI runs it, and the parts of its other two modes that need no download."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import install

ROOT = Path(install.__file__).parent


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A virtual environment with nothing in it, and a `pip` that writes down how it was called instead of a download."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.EnvBuilder(with_pip=False).create(folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    return python, Path(packages.strip())


def fake_pip(packages, code):
    (packages / "pip").mkdir(exist_ok=True)
    (packages / "pip" / "__main__.py").write_text(
        f"import pathlib, sys\npathlib.Path({str(packages / 'called.txt')!r}).write_text(' '.join(sys.argv[1:]))\nsys.exit({code})\n")


def start(python, *arguments, **environment):
    """install.py as `launch.py` runs it; (exit code, stdout, stderr)."""
    own = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "COMMANDLINE_ARGS", "INDEX_URL")}
    done = subprocess.run([python, ROOT / "install.py", *arguments], capture_output=True, text=True, env={**own, **environment})
    return done.returncode, done.stdout, done.stderr


def test_adds_only_lion_and_none_of_its_dependencies(bare):
    python, packages = bare
    fake_pip(packages, 0)
    code, out, err = start(python)
    called = (packages / "called.txt").read_text()
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert called.startswith(f"install {install.LION} --no-deps")
    assert len(re.findall(r"==", called)) == 1 and "upgrade" not in called


def test_a_failing_download_is_one_line_and_no_error(bare):
    python, packages = bare
    fake_pip(packages, 1)
    code, out, err = start(python)
    assert (code, err, out.count("\n")) == (0, "", 1) and "Lion could not be installed" in out


@pytest.mark.parametrize("arguments, environment", [((), {"COMMANDLINE_ARGS": "--api --skip-install"}), (("--skip-install",), {})])
def test_skip_install_installs_nothing_and_says_nothing(bare, arguments, environment):
    python, packages = bare
    fake_pip(packages, 0)
    (packages / "called.txt").unlink(missing_ok=True)
    assert start(python, *arguments, **environment) == (0, "", "")
    assert not (packages / "called.txt").exists()


def test_instant_and_silent_when_satisfied(bare):
    python, packages = bare
    (packages / "lion_pytorch.py").write_text("raise RuntimeError('imported')")
    fake_pip(packages, 1)
    (packages / "called.txt").unlink(missing_ok=True)
    assert start(python) == (0, "", "")
    assert not (packages / "called.txt").exists()
    (packages / "lion_pytorch.py").unlink()


def test_names_no_package_of_the_host():
    """What the WebUI's Python is asked to install is Lion alone: the word after `install` in the one command for it."""
    assert install.LION.split("==")[0] == "lion-pytorch"
    assert f"{install.LION}\n" in (ROOT / "requirements.txt").read_text()


def test_an_unknown_mode_is_refused(capsys):
    assert install.main(["--dmeo"]) == 2
    assert "'--dmeo'" in capsys.readouterr().err


def test_every_requirement_is_pinned():
    for file in ROOT.glob("requirements*.txt"):
        lines = file.read_text().splitlines()
        assert any("==" in line for line in lines), f"{file.name} names no package"
        for line in lines:
            assert not line or line.startswith(("#", "-r ")) or re.match(r"^[A-Za-z0-9_.-]+==[0-9.]+(; .*)?$", line), f"{file.name}: {line}"


def test_a_second_call_installs_nothing(tmp_path, monkeypatch):
    """The stamp of a finished installation is believed until the requirements change."""
    calls = []
    (tmp_path / "requirements.txt").write_text("a==1\n")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "call", lambda *command: calls.append(command) or 0)
    install.python().parent.mkdir(parents=True)
    install.python().touch()
    assert install.standalone("requirements.txt") == 0 and len(calls) == 1
    assert install.standalone("requirements.txt") == 0 and len(calls) == 1
    (tmp_path / "requirements.txt").write_text("a==2\n")
    assert install.standalone("requirements.txt") == 0 and len(calls) == 2


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_installed_is_compiled_when_it_is_imported_if_that_is_kept(tmp_path, monkeypatch, kept):
    calls = []
    (tmp_path / "requirements.txt").write_text("a==1\n")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "make_environment", lambda: install.VENV.mkdir() or True)
    monkeypatch.setattr(install, "call", lambda *command: calls.extend(command) or 0)
    monkeypatch.setattr(sys, "dont_write_bytecode", not kept)
    assert install.standalone("requirements.txt") == 0 and ("--no-compile" in calls) == kept


def test_the_tests_run_on_all_cores_and_take_further_arguments(monkeypatch):
    calls = []
    monkeypatch.setattr(install, "standalone", lambda *_: 0)
    monkeypatch.setattr(install, "cores", lambda: 3)
    monkeypatch.setattr(install, "call", lambda *command, **environment: calls.append((command[1:], environment)) or 0)
    assert install.main(["--test", "--", "tests/ldm", "-n", "0"]) == 0
    (command, environment), = calls
    assert command == ("-m", "pytest", "-n", "3", "--dist", "worksteal", "tests/ldm", "-n", "0")  # of two -n the last counts
    assert environment["OMP_NUM_THREADS"] == "1"


def test_a_command_gets_its_environment_and_gives_its_exit_code(monkeypatch):
    monkeypatch.setenv("HERE", "before")
    check = "import os, sys; sys.exit(4 if (os.environ['HERE'], os.environ['THERE']) == ('before', 'added') else 1)"
    assert install.call(sys.executable, "-c", check, THERE="added") == 4
