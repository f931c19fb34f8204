"""How long a data set of photographs takes to look through and to prepare, and how much memory that needs.

    python benchmarks/data_time.py 1000 10000 --formats png jpg

Draws JPEG photographs of 1024 x 768 pixels (about 250 kB) into a temporary folder; every file has other bytes. What
each kind of work costs is compared with Pillow decoding the same pictures in the same process.
"""

import argparse
import resource
import sys
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib_sdtune.data.inspect import inspect
from lib_sdtune.data.prepare import PrepareConfig, prepare
from lib_sdtune.data.scan import scan
from lib_sdtune.sections.concept import Concept
from lib_sdtune.sections.dataset import DatasetConfig
from lib_sdtune.sections.loss import LossConfig

SAMPLE = 200  # pictures that the floor is measured on
DIFFERENT = 40  # drawings; the files differ by a comment inside


def drawn(seed):
    """JPEG bytes of something with detail at every scale."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (1024, 768))
    for cells in (512, 128, 32, 8):
        layer = Image.fromarray(rng.integers(0, 255, (cells, cells, 3),
                                             np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
        image = Image.blend(image, layer, 0.45)
    out = BytesIO()
    image.filter(ImageFilter.GaussianBlur(0.6)).save(out, "JPEG", quality=90)
    return out.getvalue()


def fill(folder, count):
    pictures = [drawn(seed) for seed in range(DIFFERENT)]
    for number in range(count):
        data, words = pictures[number % DIFFERENT], f"{number}".encode()
        (folder / f"{number:05}.jpg").write_bytes(data[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words
                                                  + data[2:])
        (folder / f"{number:05}.txt").write_text(f"ron cat, number {number}, photo")
    return sum(map(len, pictures)) / DIFFERENT


def decoded(folder):
    """The floor: processor seconds a picture of nothing but Pillow decoding the first `SAMPLE`."""
    worked = time.process_time()
    for number in range(SAMPLE):
        with Image.open(folder / f"{number:05}.jpg") as image:
            image.convert("RGB")
    return (time.process_time() - worked) / SAMPLE


class Peak:
    """The most memory that the process needed while it was watched, in MB."""

    def __enter__(self):
        self.most, self.over = resident(), threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()
        return self

    def watch(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, resident())

    def __exit__(self, *error):
        self.over.set()
        self.watcher.join()


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


class Times:
    """What each kind of work takes, beside the floor just before and after it."""

    def __init__(self, folder, count):
        self.folder, self.count = folder, count
        decoded(folder)
        self.before, self.memory = decoded(folder), resident()

    def take(self, name, work):
        with Peak() as peak:
            began, worked = time.perf_counter(), time.process_time()
            work()
            seconds, busy = time.perf_counter() - began, (time.process_time() - worked) / self.count
        after = decoded(self.folder)
        print(f"{name:12} {self.count:6} pictures {seconds:7.1f} s {1000 * busy:6.2f} ms of a processor each, "
              f"{2 * busy / (self.before + after):5.2f} x decoding, {peak.most - self.memory:+4.0f} MB", flush=True)
        self.before = after


def main(counts, kinds):
    for count in counts:
        with tempfile.TemporaryDirectory() as base:
            source, out = Path(base, "in"), Path(base, "out")
            source.mkdir()
            print(f"{count} pictures of {fill(source, count) / 1000:.0f} kB")
            times, again = Times(source, count), " again"
            time.sleep(3)  # what was written within two seconds is read again
            for name in "scan", "scan" + again:
                times.take(name, lambda source=source: scan([Concept(str(source))], DatasetConfig(), LossConfig(),
                                                            source))
            times.take("inspect", lambda source=source: inspect(source))
            for kind in kinds:
                for name in f"prepare {kind}", kind + again:
                    times.take(name, lambda kind=kind, source=source, out=out: prepare(
                        source, out / kind, PrepareConfig(format=kind)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("counts", nargs="*", type=int, default=[1000])
    parser.add_argument("--formats", nargs="+", default=["png", "jpg"])
    args = parser.parse_args()
    main(args.counts, args.formats)
