"""Files of ours in other programs and theirs in ours: every key read, and the same change of every weight.

    python -m benchmarks.interoperation --sd-scripts DIR [--lycoris DIR] [--comfyui DIR] [--family sd1] [--out FILE]

The models have their real sizes and no weights but those of one layer of every shape, which are compared. A program
that is not there is left out, by its name.
"""

import argparse
import importlib
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks.interoperation.ours import SIZES, Model
from benchmarks.interoperation.result import HEAD, Result, table

PROGRAMS = ("sd_scripts", "lycoris", "diffusers_peft", "comfyui")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interoperation", description=__doc__)
    parser.add_argument("--sd-scripts", type=Path, help="a folder with kohya-ss/sd-scripts")
    parser.add_argument("--lycoris", type=Path, help="a folder with KohakuBlueleaf/LyCORIS, in place of the package")
    parser.add_argument("--comfyui", type=Path, help="a folder with ComfyUI's lora.py and utils.py, such as comfy/")
    parser.add_argument("--family", action="append", choices=list(SIZES))
    parser.add_argument("--network", action="append")
    parser.add_argument("--program", action="append", choices=PROGRAMS)
    parser.add_argument("--out", type=Path, help="where the table goes, besides the screen")
    arguments = parser.parse_args()
    sys.path[:0] = [str(folder.absolute()) for folder in (arguments.lycoris, arguments.sd_scripts) if folder]
    results: list[Result] = []
    print(HEAD, flush=True)
    for name in arguments.family or SIZES:
        model = Model(name)
        model.comfyui = arguments.comfyui
        for program in arguments.program or PROGRAMS:
            results += of_program(program, model, arguments.network)
    if arguments.out:
        arguments.out.write_text(table(results) + "\n", encoding="utf-8")
    return 0 if all(result.agrees for result in results) else 1


def of_program(program: str, model: Model, networks: list[str] | None) -> list[Result]:
    """Both ways with every network that it has."""
    results = []
    try:
        module = importlib.import_module(f"benchmarks.interoperation.{program}")
    except ImportError as error:
        print(f"left out: {program}, for there is no {error.name}", flush=True)
        return []
    for network in [name for name in module.NETWORKS if not networks or name in networks]:
        for file in ("ours", "theirs"):
            way = getattr(module, f"{file}_in_{'theirs' if file == 'ours' else 'ours'}", None)
            if way is None:
                continue
            with tempfile.TemporaryDirectory() as folder:
                try:
                    result = way(model, network, Path(folder))
                except Exception as error:
                    traceback.print_exc()
                    remark = f"{type(error).__name__}: {error}"[:200]
                    result = Result(module.NAME, model.name, network, file, 0, remark=remark)
            results.append(result)
            print(result.row(), flush=True)
    return results


if __name__ == "__main__":
    raise SystemExit(main())
