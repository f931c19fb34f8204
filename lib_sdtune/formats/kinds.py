"""The kinds of model files: one table of what is known of each, and what a file is, told by the names in it, never by
its ending.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lib_sdtune.formats import lookup


@dataclass(frozen=True)
class ArtefactKind:
    """A kind of file that is trained here.

    folder: the host's key for where such files lie, which is also how artefacts and the HTTP API name the kind.
    content: what `content` says of such a file. place: the folder below a data folder of its own.
    endings: those under which the WebUI reads such a file, the preferred first; pictures: those of pictures that may
    carry one. tag: of the prompt that uses the file, "" where it is used otherwise. cards: the WebUI's page of such
    files' cards. modelspec: how ModelSpec names the kind.
    """

    folder: str
    content: str
    noun: str
    place: str
    endings: tuple[str, ...]
    pictures: tuple[str, ...] = ()
    cards: str = ""
    tag: str = ""
    modelspec: str = ""

    def find(self, folder: str | Path, name: str) -> Path:
        """The file of this kind that is called `name`, below the folder; see `lookup.find`. UserError."""
        return lookup.find(folder, name, self.endings, self.noun)

    def prompt_tag(self, name: str, weight: float = 1) -> str:
        """<lora:ron:1>; "" for a kind that is not used by a tag."""
        return f"<{self.tag}:{name}:{weight:g}>" if self.tag else ""


KINDS = {kind.folder: kind for kind in (
    ArtefactKind("lora", "lora", "LoRA", "models/Lora", (".safetensors", ".pt", ".ckpt"), cards="lora", tag="lora",
                 modelspec="lora"),
    ArtefactKind("embeddings", "embedding", "embedding", "embeddings", (".safetensors", ".pt", ".bin"),
                 (".png", ".webp"), cards="textual_inversion", modelspec="textual-inversion"),
    ArtefactKind("hypernetworks", "hypernetwork", "hypernetwork", "models/hypernetworks", (".pt",),
                 cards="hypernetworks", tag="hypernet"),
    ArtefactKind("checkpoints", "checkpoint", "checkpoint", "models/Stable-diffusion", (".safetensors", ".ckpt"),
                 cards="checkpoints"))}

PHRASES = (  # the nouns with what stands before them: one word alone may be somebody's name for a file
    "a LoRA", "an embedding", "a hypernetwork", "a checkpoint", "a VAE without the rest of the model",
    "no LoRA", "no embedding", "no hypernetwork", "no checkpoint",
    "The LoRA", "The embedding", "The hypernetwork", "The checkpoint")

LORA_TAILS = (".lora_down.weight", ".lora_up.weight", ".hada_w1_a", ".lokr_w1", ".lokr_w1_a", ".lora_A.weight",
              ".lora.down.weight", ".lora_linear_layer.down.weight", "_lora.down.weight", ".oft_blocks",
              ".oft_diag", ".dora_scale", ".diff", ".w_norm", ".on_input", ".a1.weight")


def of_content(content: str) -> ArtefactKind | None:
    """The kind of what `content` says; None for a VAE, and for nothing that is known."""
    return next((kind for kind in KINDS.values() if kind.content == content), None)


def noun(content: str) -> str:
    """ "a LoRA", "an embedding", "a VAE without the rest of the model"; "" for nothing that is known."""
    kind = of_content(content)
    if kind is None:
        return "a VAE without the rest of the model" if content == "vae" else ""
    return f"{'an' if kind.noun[0] in 'aeiou' else 'a'} {kind.noun}"


def content(names: Iterable[object]) -> str:
    """"checkpoint" | "lora" | "embedding" | "hypernetwork" | "vae" | "" for the top-level names of a file, state_dict
    unwrapped.
    """
    names = list(names)
    text = [name for name in names if isinstance(name, str)]
    if any(name.startswith("model.diffusion_model.") for name in text):
        return "checkpoint"
    if any(name.startswith(("lora_", "oft_unet", "lycoris_")) or name.endswith(LORA_TAILS) for name in text):
        return "lora"
    if "string_to_param" in text or {"clip_l", "clip_g"} <= set(text):
        return "embedding"
    if any(isinstance(name, int) for name in names) and "layer_structure" in text:
        return "hypernetwork"
    if any(name.removeprefix("first_stage_model.").startswith("decoder.conv_in.") for name in text):
        return "vae"
    return "embedding" if len(names) == len(text) == 1 else ""  # a single table under any name
