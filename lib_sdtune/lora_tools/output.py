"""The file that a tool writes: its name, its number format, and what its metadata say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from lib_sdtune.artefacts import lora
from lib_sdtune.artefacts.lora import LoraFile
from lib_sdtune.artefacts.metadata import BASE_MODEL, base_model, printed
from lib_sdtune.errors import NameTaken, RunError, UserError
from lib_sdtune.families import registry as families
from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.formats import names
from lib_sdtune.formats import tensors as safetensors
from lib_sdtune.formats.kinds import KINDS
from lib_sdtune.formats.paths import refuse_dead_link


def check_target(path: Path, kind: str, sources: Sequence[Path], overwrite: bool,
                 key: str = "overwrite") -> None:
    """UserError for a name that cannot be used, NameTaken for one that is used already and may not be replaced.

    key: the setting that allows it.
    """
    if path.suffix.lower() != ".safetensors":
        raise UserError(f"{path.name} is no name for the result; it is written as .safetensors.")
    names.check_artefact_name(path.stem, [KINDS[kind]])
    refuse_dead_link(path)
    if any(path.exists() and source.exists() and path.samefile(source) for source in sources):
        raise UserError(f"{path} is also one of the files that are read; give the result another name.")
    if path.exists() and not overwrite:
        raise NameTaken(f'{path} exists already; give the result another name, or switch "{key}" on.')


def precision_of(name: str, default: torch.dtype | None = None) -> torch.dtype | None:
    """ "fp16" | "bf16" | "float" as a dtype; "" is the default."""
    if name and name not in safetensors.PRECISIONS:
        raise UserError(f"save_precision is {name!r}; it can be {', '.join(safetensors.PRECISIONS)}.")
    return safetensors.PRECISIONS[name] if name else default


def write_lora(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str], precision: torch.dtype | None
) -> None:
    """Write name -> tensor in that precision with its hashes. RunError for values that the format cannot hold."""
    result = {
        name: lora.rounded(name, tensor.detach().cpu(), precision or torch.float32)
        for name, tensor in tensors.items()
    }
    for name, tensor in result.items():
        refuse_non_finite(name, tensor, path)
    metadata = {key: value for key, value in metadata.items() if not key.startswith("sshs_")}
    safetensors.write(path, result, metadata | safetensors.hashes(result, metadata))


def refuse_non_finite(name: str, tensor: torch.Tensor, path: Path) -> None:
    if not safetensors.is_finite(tensor):
        raise RunError(
            f"{name} would hold values that are no numbers in {tensor.dtype}, so {path.name} was not written; "
            'set save_precision to "float", or look whether one of the files is damaged.'
        )


def network_facts(dims: Sequence[int], alphas: Sequence[float], arguments: dict | None = None) -> dict[str, str]:
    """kohya's keys of a network; "Dynamic" where layers differ, as sd-scripts says."""
    facts = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": one_or_dynamic(dims),
        "ss_network_alpha": one_or_dynamic(alphas),
        "ss_network_args": arguments or None,
    }
    return {key: printed(value) for key, value in facts.items() if value is not None}


def one_or_dynamic(values: Sequence) -> str:
    different = set(values)
    return str(different.pop()) if len(different) == 1 else "Dynamic"


def base_of_files(files: Sequence[LoraFile]) -> dict[str, str]:
    """What the files say of the model that they are for; where none says it, the family's own words."""
    facts: dict[str, str] = {}
    for file in files:
        facts = {key: file.metadata[key] for key in BASE_MODEL if key in file.metadata} | facts
    name = next((file.family for file in files if file.family), "")
    return (base_of(families[name](), Variant()) if name else {}) | facts


def base_of(family: Family, variant: Variant) -> dict[str, str]:
    """The metadata that name the model which a LoRA is for."""
    side = variant.resolution if variant != Variant() else family.resolution
    return base_model(family, variant, "lora", side)


def named(path: Path, sources: Sequence[Path] = ()) -> dict[str, str]:
    """The metadata that go by the file's name, and the names of the files that it was made of."""
    facts = {"ss_output_name": path.stem, "modelspec.title": path.stem, "modelspec.sai_model_spec": "1.0.1"}
    return facts | ({"modelspec.merged_from": ", ".join(source.stem for source in sources)} if sources else {})


def refuse_other_families(files: Sequence[LoraFile]) -> None:
    """UserError unless all LoRAs are for models of one family, as far as they tell."""
    families_of = {file.family: file for file in files if file.family}
    if len(families_of) > 1:
        (first, file), (second, other) = list(families_of.items())[:2]
        raise UserError(
            f"{file.path.name} is a LoRA for {families[first].sd_version} and {other.path.name} for "
            f"{families[second].sd_version}; only LoRAs of one family go together."
        )
