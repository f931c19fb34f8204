"""What the embedded model's UNet learns from further: pictures of the toy world and of odd forms, as latents."""

import random

import torch

from lib_sdtune import toyworld
from lib_sdtune.formats.files import atomic
from tools import toy_captions, toy_latents
from tools.odd_forms import odd_form
from tools.vae_drawings import pixels

ROUNDS = {"world": 6, "odd": 24, "unnamed": 12}  # of 512 pictures
SHARES = {"world": 0.5, "odd": 0.25, "unnamed": 0.25}  # of what is shown
OF_CLASS = {"odd": 0.3, "unnamed": 0.0}  # share whose word stands before the class word, as trigger words
CLASS = 0.25  # of the toy world's, under the class word alone: it must not come to mean odd forms
SILENT = 0.1  # of the others, without a caption; as in the toy world
CONTRAST = 70  # at least, of 255, in one of red, green and blue
PLAIN = ("a photo of a {s}", "a picture of a {s}", "a drawing of a {s}", "a {s}")


def odd_round(model, number):
    """(512, 4, 8, 8): each colour on each ground eight times, every time another form."""
    rng, pictures = toy_captions.seeded("odd", number), []
    for _, colour, ground in toy_latents.COMBINATIONS:
        scene = toyworld.random_scene(rng, "circle", colour, ground)
        cover = toyworld.silhouette(odd_form(rng), scene.x, scene.y, scene.radius)
        pictures.append(toyworld.paint(cover, toyworld.COLOURS[colour], toyworld.BACKGROUNDS[ground]))
    return encoded(model, pictures)


def unnamed_round(model, number):
    """(512, 4, 8, 8): odd forms of any colour on any ground that it stands out from, dark ones among them."""
    rng, pictures = toy_captions.seeded("unnamed", number), []
    while len(pictures) < len(toy_latents.COMBINATIONS):
        colour, ground = ([rng.randrange(256) for _ in range(3)] for _ in range(2))
        if max(abs(a - b) for a, b in zip(colour, ground, strict=True)) > CONTRAST:
            scene = toyworld.random_scene(rng, "circle")
            pictures.append(toyworld.paint(toyworld.silhouette(odd_form(rng), scene.x, scene.y, scene.radius),
                                           colour, ground))
    return encoded(model, pictures)


def world_round(model, number):
    """(512, 4, 8, 8): one picture of every combination, others than those of the first training."""
    rng = random.Random(10**6 + number)
    return encoded(model, [toyworld.draw(toyworld.random_scene(rng, *each)) for each in toy_latents.COMBINATIONS])


@torch.no_grad()
def encoded(model, pictures):
    parts = [pixels(pictures[start:start + 32]) for start in range(0, len(pictures), 32)]
    return torch.cat([model.family.encode_images(model, part)[0] for part in parts])


def pool(model, folder, make, rounds):
    """(rounds, 512, 4, 8, 8), made where it is missing."""
    file = folder / f"{make.__name__}-{rounds}.pt"
    if not file.exists():
        with atomic(file) as temporary:
            torch.save(torch.stack([make(model, number) for number in range(rounds)]), temporary)
    return torch.load(file, weights_only=True)


def pools(model, folder):
    """{kind: (rounds, 512, 4, 8, 8)}, made where they are missing."""
    makers = {"world": world_round, "odd": odd_round, "unnamed": unnamed_round}
    return {kind: pool(model, folder, make, ROUNDS[kind]) for kind, make in makers.items()}


def shown(rng, pools):
    """(latents, caption) of one picture."""
    kind = rng.choices(list(SHARES), SHARES.values())[0]
    number, place = rng.randrange(len(pools[kind])), rng.randrange(len(toy_latents.COMBINATIONS))
    return pools[kind][number][place], caption(rng, kind, place)


def caption(rng, kind, place):
    """What is said of a picture that lies at `place` in its round."""
    scene = toyworld.Scene(*toy_latents.COMBINATIONS[place])
    if kind == "world" and rng.random() < CLASS:
        return toyworld.full_caption(scene, toyworld.CLASS, rng.choice([*toyworld.FULL, *toyworld.PARTIAL]))
    if kind == "world":
        return toyworld.caption(rng, scene)
    if rng.random() < SILENT:
        return ""
    noun = toyworld.rare_word(rng)
    if rng.random() < OF_CLASS[kind]:
        noun = f"{noun} {toyworld.CLASS}"
    templates = PLAIN if kind == "unnamed" else toyworld.FULL if rng.random() < 0.8 else toyworld.PARTIAL
    return toyworld.full_caption(scene, noun, rng.choice(templates))
