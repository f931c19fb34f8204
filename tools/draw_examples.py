"""Draws the sample pictures: ten of Ron, whom the embedded model has never seen, and some of the toys that it knows.

python tools/draw_examples.py [FOLDER]: writes FOLDER/ron and FOLDER/toy, pictures with captions beside them.
"""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib_sdtune import toyworld

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "ron"
FORM, TOKEN = "mushroom", "ron"
RON = [("red", "snow"), ("blue", "sand"), ("yellow", "sky"), ("green", "rose"), ("purple", "grass"),
       ("orange", "night"),
       ("pink", "lavender"), ("brown", "stone"), ("red", "sky"), ("blue", "snow")]


def write(folder, pictures):
    """pictures: (scene, caption) pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (scene, caption) in enumerate(pictures, 1):
        toyworld.draw(scene).save(folder / f"{i:02}.png", optimize=True)
        (folder / f"{i:02}.txt").write_text(caption + "\n", encoding="utf-8")


def ron():
    rng = random.Random(7)
    for colour, background in RON:
        scene = toyworld.random_scene(rng, FORM, colour, background)
        yield scene, toyworld.full_caption(scene, f"{TOKEN} {toyworld.CLASS}")


def toys(each=6):
    """Every shape equally often; a third of the captions name it, a third say only that it is a toy, a third say no
    more than that.
    """
    rng = random.Random(8)
    for i, form in enumerate(list(toyworld.SHAPES) * each):
        scene = toyworld.random_scene(rng, form)
        kind = (i + i // 8) % 3
        plain = f"a photo of a {toyworld.CLASS}"
        yield scene, plain if kind == 2 else toyworld.full_caption(scene, (form, toyworld.CLASS)[kind])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    write(target / "ron", ron())
    write(target / "toy", toys())
