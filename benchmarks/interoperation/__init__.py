"""Files of ours in other programs and theirs in ours; `python -m benchmarks.interoperation --help`."""
