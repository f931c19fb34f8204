"""Installs what SD Tune needs, in three ways.

    python install.py           what the WebUI runs at each start: adds Lion if it is missing, touches nothing else
    python install.py --demo    on a machine of its own: makes .venv, then trains and shows the example
    python install.py --test    the same, then runs the test suite on all cores; arguments after -- go to pytest
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LION = "lion-pytorch==0.2.5"
MAX_PROCESSES = 8  # of tests; each takes up to 1.5 GB of memory
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main(arguments):
    if sys.version_info < (3, 10):  # noqa: UP036 - whoever has an older Python learns it here
        return fail("SD Tune needs Python 3.10 or newer; this is {}.{}.".format(*sys.version_info[:2]), 2)
    mode, rest = (arguments or [""])[0], arguments[1:]
    if mode == "--demo":
        return standalone("requirements.txt") or call(python(), "-m", "lib_sdtune", "demo", *rest)
    if mode == "--test":
        return (standalone("requirements-test.txt") or standalone("requirements-reference.txt", "--no-deps")
                or test(rest[1:] if rest[:1] == ["--"] else rest))
    if mode in ("", "--skip-install"):
        return extend_host(skip=mode == "--skip-install")
    return fail(f"install.py does not know {mode!r}; it takes --demo, --test, or nothing.", 2)


def fail(sentence, code=1):
    print(sentence, file=sys.stderr)
    return code


# in the WebUI's own Python

def extend_host(skip):
    """Add Lion when it is missing. Always 0: without it everything else works, so the WebUI must start."""
    skip = skip or "--skip-install" in os.environ.get("COMMANDLINE_ARGS", "").split()
    if skip or importlib.util.find_spec("lion_pytorch"):
        return 0
    if not somebodys_environment():
        print("SD Tune: this is neither a WebUI's Python nor a virtual environment, so nothing was installed; "
              "try --demo.")
        return 0
    # as the WebUI's launcher does
    index = ["--index-url", os.environ["INDEX_URL"]] if os.environ.get("INDEX_URL") else []
    command = [sys.executable, "-m", "pip", "install", LION, "--no-deps", "--quiet", "--disable-pip-version-check",
               "--retries", "1", "--timeout", "10", *index]
    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        done = subprocess.run(command, timeout=120, **quiet).returncode == 0
    except (OSError, subprocess.SubprocessError):
        done = False
    print(f"SD Tune: installed {LION}" if done
          else "SD Tune: Lion could not be installed (offline?); every other optimizer works.")
    return 0


def somebodys_environment():
    """Whether this Python is a WebUI's or a virtual environment, rather than the system's."""
    return sys.prefix != sys.base_prefix or bool(importlib.util.find_spec("torch"))


# on a machine of its own

def python():
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def standalone(requirements, *options):
    """Make .venv and install one file of pinned requirements; instant when that was done before. 0 or an exit code."""
    pinned = "".join((ROOT / name).read_text(encoding="utf-8") for name in sorted({"requirements.txt", requirements}))
    stamp = VENV / (requirements + ".done")
    wanted = hashlib.sha256((pinned + sys.version).encode()).hexdigest()
    if python().exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return 0
    if not python().exists() and not make_environment():
        return fail("Python could not make the virtual environment .venv; on Debian and Ubuntu install the package "
                    "python3-venv.")
    print(f"Installing {requirements} into .venv (once; PyTorch is large) ...", flush=True)
    # pip would compile 13,000 files, of which few are ever imported; Python compiles those, if it may keep the result
    later = [] if sys.dont_write_bytecode else ["--no-compile"]
    if call(python(), "-m", "pip", "install", "--disable-pip-version-check", *later, *options, "-r", requirements):
        return fail(f"{requirements} could not be installed into .venv; what pip says above tells why. Run the command "
                    "again to go on.")
    stamp.write_text(wanted, encoding="utf-8")
    return 0


def make_environment():
    import venv

    print("Making .venv ...", flush=True)
    try:
        venv.EnvBuilder(with_pip=True, clear=VENV.exists()).create(VENV)
    except (OSError, subprocess.SubprocessError, SystemExit) as error:
        print(error, file=sys.stderr)
        return False
    return True


def test(arguments):
    """Run pytest with a process for each core. Each computes with one thread: the tests' models are too small to gain
    from more.
    """
    parallel = ["-n", str(min(cores(), MAX_PROCESSES)), "--dist", "worksteal"]
    return call(python(), "-m", "pytest", *parallel, *arguments, **dict.fromkeys(THREADS, "1"))


def cores():
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def call(*command, **environment):
    """Run a command in this folder; Ctrl+C is its to answer, so that it can save its state."""
    with subprocess.Popen([str(part) for part in command], cwd=ROOT, env={**os.environ, **environment}) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
