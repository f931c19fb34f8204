"""What can be known of a checkpoint without its weights: names and shapes, metadata, and the .yaml that a program laid
beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lib_sdtune.errors import UserError
from lib_sdtune.ldm import checkpoint
from lib_sdtune.ldm.embedded_model import with_lost_metadata

V, EPSILON = "v_prediction", "epsilon"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"


@dataclass(frozen=True)
class Header:
    """shapes: name of a tensor -> its shape. config: the .yaml's content, {} where there is none. probe: tells by the
    weights whether the UNet answers with a velocity; asked only where nothing else tells, because it reads them.
    position_ids: those of each of its CLIP encoders.
    """

    name: str
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    probe: Callable[[], bool] = lambda: False
    position_ids: Callable[[], list] = list

    @property
    def in_channels(self) -> int:
        return self.shapes[FIRST][1]

    @property
    def prediction_type(self) -> str:
        """"epsilon" or "v_prediction" as the .yaml, a marker tensor or the metadata say, in this order; "" where none
        does.
        """
        prediction = self.config_prediction()
        if prediction:
            return prediction
        if "v_pred" in self.shapes:
            return V
        spoken = self.metadata.get("modelspec.prediction_type", "").lower()
        return V if spoken.startswith("v") else EPSILON if spoken.startswith("eps") else ""

    def config_prediction(self) -> str:
        """What the .yaml says, whether it is one of latent diffusion's or of generative-models'."""
        params = self.config.get("model", {}).get("params", {})
        if "parameterization" in params:
            return V if params["parameterization"] == "v" else EPSILON
        denoiser = params.get("denoiser_config", {}).get("params", {})
        scaling = str(denoiser.get("scaling_config", {}).get("target", ""))
        if scaling.endswith("VScaling"):
            return V
        return EPSILON if self.config else ""

    @property
    def zero_terminal_snr(self) -> bool:
        return "ztsnr" in self.shapes or str(self.metadata.get("sdtune_zero_terminal_snr", "")).lower() == "true"

    @property
    def resolution(self) -> int | None:
        """Pixels a side that the metadata name."""
        size = self.metadata.get("sdtune_resolution") or self.metadata.get("modelspec.resolution", "").split("x")[0]
        return int(size) if size.isdigit() else None

    def unet_config(self) -> dict[str, Any]:
        """The arguments of the UNet in the .yaml."""
        params = self.config.get("model", {}).get("params", {})
        unet = params.get("unet_config") or params.get("network_config") or {}
        return unet.get("params", {})

    def architecture(self) -> dict[str, dict[str, int | None]]:
        """Part -> what the shapes do not tell, by the .yaml: the UNet's attention heads."""
        config = self.unet_config()
        if config.get("num_head_channels", -1) not in (-1, None):
            return {"unet": {"head_channels": config["num_head_channels"]}}
        return {"unet": {"num_heads": config["num_heads"], "head_channels": None}} if "num_heads" in config else {}

    def refuse_contradictions(self) -> None:
        """UserError where the .yaml describes another model than the weights."""
        config, context = self.unet_config(), [shape for name, shape in self.shapes.items()
                                               if name.endswith("attn2.to_k.weight")]
        first = self.shapes.get(FIRST)
        has = {"in_channels": first and first[1], "model_channels": first and first[0],
               "context_dim": context and context[0][1]}
        for key, value in has.items():
            says = config.get(key, value)
            says = says[0] if isinstance(says, list) and says else says
            if value and says != value:
                raise UserError(
                    f"The .yaml beside {self.name} says {key} {says} and its weights have {value}, so it belongs to "
                    "another "
                    "checkpoint; remove it or replace it with the right one."
                )


def read(path: Path) -> Header:
    """The `Header` of a file. UserError as in `checkpoint.header`, and for a .yaml that cannot be read."""
    return _read(path, *state_of(path), *state_of(path.with_suffix(".yaml")))


def state_of(path: Path) -> tuple[int, int]:
    """(when it was changed, how long it is), zeros for no file."""
    about = path.stat() if path.is_file() else None
    return (about.st_mtime_ns, about.st_size) if about else (0, 0)


@lru_cache(maxsize=16)
def _read(path: Path, *states: int) -> Header:
    from lib_sdtune.ldm.probe import answers_velocity

    shapes, metadata = checkpoint.header(path)
    refuse_odd_shapes(shapes, path)
    return Header(path.name, shapes, with_lost_metadata(shapes, metadata), config_beside(path),
                  lambda: answers_velocity(path), lambda: checkpoint.position_ids(path))


def refuse_odd_shapes(shapes: dict[str, tuple[int, ...]], path: Path) -> None:
    """UserError where the layers that tell a family have not as many sides as any model's."""
    sides = {FIRST: (4,), "attn2.to_k.weight": (2,), "label_emb.0.0.weight": (2,), "proj_in.weight": (2, 4),
             "token_embedding.weight": (2,), "quant_conv.weight": (2, 4)}
    for name, shape in shapes.items():
        count = next((count for ending, count in sides.items() if name.endswith(ending)), None)
        if count and (len(shape) not in count or 0 in shape):
            raise UserError(f"{path.name} is damaged: {name} has the shape {tuple(shape)}. Copy or download it again.")


def config_beside(path: Path) -> dict[str, Any]:
    """The content of NAME.yaml beside NAME.safetensors, {} without one."""
    file = path.with_suffix(".yaml")
    if not file.is_file():
        return {}
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file.name} is no YAML ({str(error).splitlines()[0]}); mend it or remove it.") from error
    return config if isinstance(config, dict) and isinstance(config.get("model"), dict) else {}
