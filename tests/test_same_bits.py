"""That a CPU run gives the same bits however busy its threads are, also where torch was there before us."""

import os
import subprocess
import sys

import pytest

ASK = """
import ctypes, pathlib, torch
import lib_sdtune
torch.ones(8, 8) @ torch.ones(8, 8)
library = next(pathlib.Path(torch.__file__).parent.glob("lib/libtorch_cpu.so"), None)
mode = getattr(ctypes.CDLL(str(library)), "mkl_serv_cbwr_get", None) if library else None
print("no MKL" if mode is None else mode(-1))
"""
AUTO, STRICT = 2, 0x10000  # mkl_types.h


def test_mkl_is_told_in_time():
    untold = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    flags = subprocess.run([sys.executable, "-c", ASK], env=untold, capture_output=True, text=True, check=True).stdout.strip()
    if flags == "no MKL":
        pytest.skip("this torch has no MKL")
    assert int(flags) == AUTO | STRICT
