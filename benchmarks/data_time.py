"""How long a data set of photographs takes to look through and to prepare, and how much memory that needs.

    python benchmarks/data_time.py 1000 10000

Draws JPEG photographs of 1024 x 768 pixels (about 250 kB) into a temporary folder; every file has other bytes.
"""

import resource
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib_sdtune.config import Concept, DatasetConfig, LossConfig  # noqa: E402
from lib_sdtune.data.folder import scan  # noqa: E402
from lib_sdtune.data.inspect import inspect  # noqa: E402
from lib_sdtune.data.prepare import PrepareConfig, prepare  # noqa: E402

DIFFERENT = 40  # drawings; the files differ by a comment inside


def drawn(seed):
    """JPEG bytes of something with detail at every scale."""
    chance = np.random.default_rng(seed)
    image = Image.new("RGB", (1024, 768))
    for cells in (512, 128, 32, 8):
        layer = Image.fromarray(chance.integers(0, 255, (cells, cells, 3), np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
        image = Image.blend(image, layer, 0.45)
    out = BytesIO()
    image.filter(ImageFilter.GaussianBlur(0.6)).save(out, "JPEG", quality=90)
    return out.getvalue()


def fill(folder, count):
    pictures = [drawn(seed) for seed in range(DIFFERENT)]
    for number in range(count):
        data, words = pictures[number % DIFFERENT], f"{number}".encode()
        (folder / f"{number:05}.jpg").write_bytes(data[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words + data[2:])
        (folder / f"{number:05}.txt").write_text(f"ron cat, number {number}, photo")
    return sum(map(len, pictures)) / DIFFERENT


def timed(name, count, work):
    began, worked = time.perf_counter(), time.process_time()
    work()
    seconds, busy = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:8} {count:6} pictures {seconds:7.1f} s, {1000 * busy / count:5.1f} ms of one core each, peak {peak:4.0f} MB", flush=True)


def main(counts):
    for count in counts:
        with tempfile.TemporaryDirectory() as base:
            source = Path(base, "in")
            source.mkdir()
            size = fill(source, count)
            print(f"{count} pictures of {size / 1000:.0f} kB")
            timed("scan", count, lambda source=source: scan([Concept(str(source))], DatasetConfig(), LossConfig(), source))
            timed("inspect", count, lambda source=source: inspect(source))
            for name in "prepare", "again":
                timed(name, count, lambda source=source, base=base: prepare(source, Path(base, "out"), PrepareConfig(format="jpg")))


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1000])
