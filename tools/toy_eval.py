"""How far the embedded model has come: does a word change the prediction, and do its pictures show what was asked?"""

import torch
from einops import rearrange
from PIL import Image

from lib_sdtune import toyworld
from lib_sdtune.diffusion import alphas_cumprod
from lib_sdtune.pages.contact_sheet import contact_sheet
from lib_sdtune.toyworld import measures
from tools import toy_captions
from tools.embedded_sizes import SCALE_FACTOR

ALPHAS = alphas_cumprod()


@torch.no_grad()
def word_gaps(unet, text, captions, pool, n=64):
    """How much larger the error of the predicted picture gets when one word is exchanged, at timesteps 750..950, by
    factor.
    """
    rng, generator = toy_captions.seeded("gaps"), torch.Generator().manual_seed(5)
    chosen = [rng.randrange(512) for _ in range(n)]
    z = pool[0, chosen].float()
    t = torch.linspace(750, 950, n).long()
    noise = torch.randn(z.shape, generator=generator)
    a = ALPHAS[t].view(-1, 1, 1, 1)
    noisy = a.sqrt() * z + (1 - a).sqrt() * noise

    def error(combinations):
        texts = [toyworld.FULL[0].format(s=f, c=c, b=b) for f, c, b in combinations]
        wrong = (unet(noisy, t, text(captions.ids(texts))) - noise).square()
        return (wrong * (1 - a) / a).mean().item()

    names = list(toy_captions.FACTORS.values())
    right = [(names[0][i // 64], names[1][i // 8 % 8], names[2][i % 8]) for i in chosen]
    base = error(right)
    gaps = {"x0_error": round(base, 4)}
    for k, factor in enumerate(toy_captions.FACTORS):
        other = [tuple(rng.choice([v for v in names[k] if v != combination[k]]) if j == k else combination[j]
                       for j in range(3)) for combination in right]
        gaps[factor] = round(error(other) / base - 1, 3)
    return gaps


@torch.no_grad()
def sample(unet, text, vae, captions, texts, seed=0, steps=20, cfg_scale=4.0, size=64):
    """PIL images by DDIM, all prompts as one batch."""
    generators = [torch.Generator().manual_seed(seed * 100003 + i) for i in range(len(texts))]
    z = torch.stack([torch.randn(4, size // 8, size // 8, generator=generator) for generator in generators])
    context = text(captions.ids([*texts, *[""] * len(texts)]))
    steps_down = [*reversed(range(1, 1000, 1000 // steps)), -1]
    for t, after in zip(steps_down, steps_down[1:], strict=False):
        a, b = ALPHAS[t], ALPHAS[after] if after >= 0 else torch.tensor(1.0)
        with_text, without = unet(torch.cat([z, z]), torch.full((2 * len(z),), t), context).chunk(2)
        noise = without + cfg_scale * (with_text - without)
        z = b.sqrt() * (z - (1 - a).sqrt() * noise) / a.sqrt() + (1 - b).sqrt() * noise
    return images(torch.cat([vae.decode(part / SCALE_FACTOR) for part in z.split(8)]))


def images(pixels):
    return [Image.fromarray(p) for p in rearrange(((pixels.clamp(-1, 1) + 1) * 127.5).round().byte(),
                                                  "b c h w -> b h w c").numpy()]


def asked(n, seed=0):
    """n random scenes and full captions of them."""
    rng = toy_captions.seeded("asked", seed)
    targets = [toyworld.random_scene(rng) for _ in range(n)]
    return targets, [toyworld.full_caption(t, template=rng.choice(toyworld.FULL)) for t in targets]


def sheet(pictures, columns=16):
    return contact_sheet([pictures[start:start + columns] for start in range(0, len(pictures), columns)])


def judge(pictures, targets):
    return measures.prompt_fidelity(pictures, targets)
