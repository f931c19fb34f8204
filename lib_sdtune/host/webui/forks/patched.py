"""reForge and Forge Classic: A1111's model around ComfyUI's parts (`ldm_patched`), which are moved and patched whole.

The LoRAs of a prompt are new parameters in the UNet and the text encoders. They go when the parts are unloaded, which
also sees to it that nothing is moved while the model is lent.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from modules import sd_models, shared
from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.host.webui.forks.lent_parameters import LentParameters
from lib_sdtune.host.webui.forks.stock import Stock
from lib_sdtune.host.webui.neutral import blocks, precision, storage
from lib_sdtune.ldm.header import V
from lib_sdtune.swap import replaced_entry

NO_LORAS = str([])  # as the WebUI writes down which LoRAs are on
NO_HYPERNETWORKS = ("This WebUI draws without hypernetworks: it may list their files, but its attention never asks "
                    "them. Train a LoRA instead, or use A1111's WebUI for this method.")


class Patched(Stock):
    concerns = (blocks.out_of_place, precision.in_float32)
    options = (*Stock.options, "sd_text_encoder")

    def check_family(self, family: Family) -> None:
        """Some forks leave out the last layer of SD2's text encoder, which its files have and A1111's WebUI keeps."""
        if family.name not in ("sd1", "sdxl"):
            raise UserError(f"On this WebUI, SD Tune trains checkpoints of Stable Diffusion 1 and XL alone, and this "
                            f"one is {family.sd_version}. Choose another one, or use A1111's WebUI for it.")

    def why_unusable(self, kind: str) -> str:
        return NO_HYPERNETWORKS if kind == "hypernetworks" else ""

    @contextmanager
    def bare(self, sd_model: nn.Module, parameters: LentParameters) -> Iterator[None]:
        storage.refuse_low_bits(sd_model)
        self.unload_patches(sd_model)
        with parameters.lent(sd_model):
            yield

    @contextmanager
    def settled(self, sd_model: nn.Module, parameters: LentParameters) -> Iterator[None]:
        try:
            yield
        finally:
            self.unload_patches(sd_model)
            parameters.settle()

    @contextmanager
    def holding(self, info: Any | None) -> Iterator[nn.Module | None]:
        """As in A1111's WebUI, which also writes down what it has loaded. Here an option that names no checkpoint would
        mean the first of the list, which may be one that the run has made.
        """
        before = self.checkpoint()
        try:
            with super().holding(info) as sd_model:
                yield sd_model
        finally:
            option = shared.opts.data.get("sd_model_checkpoint")
            if before is not None and sd_models.checkpoint_aliases.get(option) is None:
                shared.opts.data["sd_model_checkpoint"] = before.title

    def unload_patches(self, sd_model: nn.Module) -> None:
        """No LoRA is in the weights, every part rests where the WebUI keeps it, and the next prompt's LoRAs are put on
        anew.
        """
        from ldm_patched.modules import model_management

        take_loras_off(sd_model)
        model_management.unload_all_models()

    @contextmanager
    def predicting(self, sd_model: nn.Module, variant: Variant) -> Iterator[None]:
        """Its samplers ask the patched UNet, which draws as it took the checkpoint for when it loaded it."""
        from ldm_patched.modules import model_base, model_sampling

        patched_unet, velocity = sd_model.forge_objects_original.unet.model, variant.prediction_type == V
        sampling = patched_unet.model_sampling
        if isinstance(sampling, model_sampling.V_PREDICTION) != velocity:
            kind = model_base.ModelType.V_PREDICTION if velocity else model_base.ModelType.EPS
            sampling = model_base.model_sampling(patched_unet.model_config, kind).to(sampling.sigmas.device)
        with (super().predicting(sd_model, variant),
              replaced_entry(patched_unet._modules, "model_sampling", sampling)):
            yield

    def script_runner(self) -> Any:
        """One without scripts: the WebUI looks for one of its own in there without asking whether there are any."""
        from modules import scripts

        return scripts.ScriptRunner()

    def forget_lora(self, networks: ModuleType, name: str, sd_model: nn.Module | None) -> None:
        networks.load_lora_state_dict.cache_clear()  # it is asked by the file's name
        if sd_model is not None:
            self.unload_patches(sd_model)

    def lora_layers(self, networks: ModuleType, network: Any, sd_model: nn.Module) -> Collection[str]:
        from ldm_patched.modules import lora

        objects = sd_model.forge_objects_original
        return {*lora.model_lora_keys_unet(objects.unet.model, {}),
                *lora.model_lora_keys_clip(objects.clip.cond_stage_model, {})}


def take_loras_off(owner: Any) -> None:
    """The next picture begins with the parts as they were loaded. owner: of the `forge_objects`."""
    owner.forge_objects = owner.forge_objects_original.shallow_copy()
    owner.forge_objects_after_applying_lora = owner.forge_objects_original.shallow_copy()
    owner.current_lora_hash = NO_LORAS
