"""LoRAs added to a checkpoint's own weights, so that it does without them (sd-scripts' merge_lora.py --sd_model)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from lib_sdtune.artefacts import lora
from lib_sdtune.artefacts.lora import LoraFile
from lib_sdtune.errors import UserError
from lib_sdtune.families import registry as families
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.ldm import checkpoint, config_yaml
from lib_sdtune.lora_tools import checkpoint_layers, layers, output
from lib_sdtune.lora_tools.checkpoint_layers import CheckpointLayer, CheckpointLayers
from lib_sdtune.lora_tools.merge import check
from lib_sdtune.networks.delta import algorithm
from lib_sdtune.networks.norm import is_norm
from lib_sdtune.progress import Progress

Addition = tuple[LoraFile, str, float, CheckpointLayer]


@torch.no_grad()
def merge_into_checkpoint(
    base: Path,
    sources: Sequence[Path],
    ratios: Sequence[float],
    target: Path,
    save_precision: str = "",
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = lambda done, total, text: None,
) -> int:
    """Write the checkpoint `base` with the LoRAs in it to `target`; the number of tensors that changed.

    Each change is reckoned in float32 from the weight as the checkpoint has it, also a DoRA's, and added times its
    ratio. The file's own averaged twin of the UNet is left out. save_precision "" keeps every tensor's own. UserError
    before anything is written.
    """
    check(sources, ratios)
    output.check_target(target, "checkpoints", [base, *sources], overwrite)
    layout = checkpoint_layers.read(base)
    files = [lora.read(path) for path in sources]
    for file in files:
        layers.check(file)
        refuse_what_does_not_fit(file, layout, base)
    additions: dict[str, list[Addition]] = {}
    for file, ratio in zip(files, ratios, strict=True):
        for key, layer_tensors in file.layers.items():
            layer = layout.layers[key]
            for part in (layer, layer.of_bias()) if is_norm(layer_tensors) else (layer,):
                additions.setdefault(part.name, []).append((file, key, ratio, part))
    precision = output.precision_of(save_precision)
    tensors, metadata = checkpoint.read(base)
    refuse_unwritable(tensors, precision, base)
    done = 0

    def value(name: str) -> torch.Tensor:
        nonlocal done
        progress(done, len(tensors), "merging")
        done += 1
        if name not in additions:
            return tensors[name]
        return changed(tensors[name], additions[name], precision or tensors[name].dtype, device, target)

    merged_from = output.named(target, [base, *sources])
    inherited = {key: text for key, text in metadata.items() if not key.startswith(("sshs_", "modelspec.hash"))}
    safetensors.write(target, tensors, inherited | merged_from, finite=False, precision=precision, values=value)
    config = base.with_suffix(".yaml")
    config_yaml.lay(target, config.read_bytes() if config.is_file() else None)
    return len(additions)


def said_of_averages(base: Path) -> str:
    """What a user should know of the averaged twin (model_ema.*) that some checkpoints carry; "" without one."""
    entries, _ = checkpoint.read_any(base)
    count = sum(name.startswith("model_ema.") for name in entries if isinstance(name, str))
    return f" Its {count} tensors called model_ema.* are left out: pictures are not made with them." if count else ""


def refuse_what_does_not_fit(file: LoraFile, layout: CheckpointLayers, base: Path) -> None:
    """UserError for a LoRA of another family, for layers that the checkpoint has not, and for those of other sizes."""
    if file.family and families[file.family] is not type(layout.family):
        raise UserError(
            f"{file.path.name} is a LoRA for {families[file.family].sd_version} and {base.name} is "
            f"{layout.family.sd_version}; choose a checkpoint of the LoRA's family."
        )
    unknown = [key for key in file.layers if key not in layout.layers]
    if unknown:
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        raise UserError(f"{file.path.name} does not belong to {base.name}, which has no {unknown[0]}{more}.")
    for key, tensors in file.layers.items():
        if algorithm(tensors) == "lora" and "lora_mid.weight" not in tensors:
            up, down, shape = tensors["lora_up.weight"], tensors["lora_down.weight"], layout.layers[key].shape
            if len(up) != shape[0] or down[0].numel() != torch.Size(shape[1:]).numel():
                raise UserError(f"{file.path.name} does not belong to {base.name}: {key} has other sizes there.")
    if file.embeddings:
        raise UserError(
            f"{file.path.name} also holds an embedding ({next(iter(file.embeddings))}), which no checkpoint can "
            "carry; merge a LoRA without one."
        )


def refuse_unwritable(tensors: Mapping[str, torch.Tensor], precision: torch.dtype | None, base: Path) -> None:
    """UserError for number formats that are not written here, such as float8."""
    unknown = next((tensor.dtype for tensor in tensors.values() if tensor.dtype not in safetensors.NAMES), None)
    if unknown and not precision:
        raise UserError(
            f"{base.name} is kept in {str(unknown).removeprefix('torch.')}, which is not written here; set "
            'save_precision to "fp16".'
        )


def changed(
    tensor: torch.Tensor, additions: Sequence[Addition], precision: torch.dtype, device: str, target: Path
) -> torch.Tensor:
    """The tensor of a checkpoint with all that is added to its rows, in `precision`."""
    total = tensor.to(device, torch.float32, copy=True)
    for file, key, ratio, layer in additions:
        weight = layer.of(tensor).to(device, torch.float32)
        change = layers.change_of(file, key, weight, device, "b_norm" if layer.bias else "")
        total[layer.rows] += (change * ratio).reshape(total[layer.rows].shape)
    result = total.to(precision).cpu()
    output.refuse_non_finite(additions[0][1], result, target)
    return result
