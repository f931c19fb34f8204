"""A1111's WebUI: one model in memory, an nn.Module of ldm or sgm, whose weights are exchanged in place."""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

from modules import sd_models, shared
from torch import nn

from lib_sdtune.families.base import Family
from lib_sdtune.families.variant import Variant
from lib_sdtune.host.webui import checkpoint_list
from lib_sdtune.host.webui.forks.lent_parameters import LentParameters
from lib_sdtune.host.webui.neutral import Concern, prompt_loras
from lib_sdtune.ldm.header import V
from lib_sdtune.sentences import phrase
from lib_sdtune.swap import ABSENT, assign_entry, replaced

CHECKPOINTS_VAE = phrase("the checkpoint's own")  # as the name of a VAE


class Stock:
    """What the host asks of a WebUI where the forks answer otherwise."""

    concerns: tuple[Concern, ...] = ()
    """What spoils a training in this fork alone; see `neutral`."""
    options = ("sd_model_checkpoint", "sd_vae", "sd_vae_overrides_per_model_preferences",
               "cross_attention_optimization", "fp8_storage", "cache_fp16_weight")
    """Settings whose change exchanges the model or how it computes."""

    def loaded(self) -> nn.Module | None:
        """The model in memory, by the names of ldm and sgm; None while there is none. Loads nothing."""
        return sd_models.model_data.sd_model

    def checkpoint(self) -> Any | None:
        """The WebUI's entry for the checkpoint that the next picture is drawn with; None while nobody knows."""
        loaded = self.loaded()
        return None if loaded is None else loaded.sd_checkpoint_info

    def check_family(self, family: Family) -> None:
        """UserError for a family that cannot be trained on this WebUI's modules."""

    def why_unusable(self, kind: str) -> str:
        """Why files of that kind change no picture of this WebUI, in a sentence, or ""."""
        return ""

    def model(self) -> nn.Module | None:
        """The model that the next picture is drawn with, loaded where it is not yet."""
        return shared.sd_model

    @contextmanager
    def holding(self, info: Any | None) -> Iterator[nn.Module | None]:
        """The model with that checkpoint in it, as by the WebUI's drop-down, or for None with what is loaded; the one
        before is back afterwards.
        """
        option, before = shared.opts.data.get("sd_model_checkpoint", ABSENT), self.checkpoint()
        try:
            if info is not None:
                shared.opts.data["sd_model_checkpoint"] = info.title
            if self.model() is not None:  # loads the first model where the WebUI has not done so yet
                sd_models.reload_model_weights(info=info or before or checkpoint_list.selected())
            yield self.model()
        finally:
            if info is not None and option != shared.opts.data["sd_model_checkpoint"]:
                assign_entry(shared.opts.data, "sd_model_checkpoint", option)
                sd_models.reload_model_weights(info=before or checkpoint_list.selected())

    @contextmanager
    def pinned(self, sd_model: nn.Module, sentence: str) -> Iterator[None]:
        """Inside, whatever asks for another checkpoint than the loaded one gets a RuntimeError that says `sentence`."""
        ours = sd_model.sd_checkpoint_info

        def reload_model_weights(sd_model=None, info=None, forced_reload=False):
            if (info or checkpoint_list.selected()).filename != ours.filename or forced_reload:
                raise RuntimeError(sentence)
            return shared.sd_model

        def load_model(checkpoint_info=None, already_loaded_state_dict=None, **kwargs):
            return reload_model_weights(None, checkpoint_info, **kwargs)

        def unload_model_weights(sd_model=None, info=None):
            raise RuntimeError(sentence)

        with ExitStack() as stack:
            for function in (reload_model_weights, load_model, unload_model_weights):
                stack.enter_context(replaced(sd_models, function.__name__, function))
            yield

    def bare(self, sd_model: nn.Module, parameters: LentParameters) -> AbstractContextManager[None]:
        """Inside, nothing that pictures leave on the weights is on them, and a gradient can go through. Here `neutral`
        does it all. parameters: the run's.
        """
        return nullcontext()

    def settled(self, sd_model: nn.Module, parameters: LentParameters) -> AbstractContextManager[None]:
        """Around a picture inside `bare`: afterwards it holds again."""
        return nullcontext()

    @contextmanager
    def predicting(self, sd_model: nn.Module, variant: Variant) -> Iterator[None]:
        """The WebUI takes the model for what it is trained as; the noise schedule that it makes for a picture goes
        again.
        """
        schedule = sd_model.alphas_cumprod
        try:
            with replaced(sd_model, "parameterization", "v" if variant.prediction_type == V else "eps"):
                yield
        finally:
            sd_model.alphas_cumprod = schedule

    def script_runner(self) -> Any | None:
        """The scripts of our pictures: none."""
        return None

    def embedding_databases(self, sd_model: nn.Module | None) -> list[Any]:
        """The WebUI's databases of textual-inversion embeddings, one for each text encoder or one for all."""
        from modules.sd_hijack import model_hijack

        return [model_hijack.embedding_db]

    def make_embedding(self, vectors: Any, name: str) -> Any:
        """The WebUI's own object for an embedding. vectors: (n, D), or one such tensor for each key of a family."""
        from modules.textual_inversion.textual_inversion import Embedding

        return Embedding(vectors, name)

    def register_embedding(self, database: Any, name: str, embedding: Any | None, sd_model: nn.Module) -> None:
        """Under this name prompts find `embedding`; None takes the name out."""
        database.register_embedding_by_name(embedding, sd_model, name)

    def reload_embeddings(self, sd_model: nn.Module | None) -> None:
        """Read the folders again; sd_model: the loaded model, if there is one."""
        for database in self.embedding_databases(sd_model):
            database.load_textual_inversion_embeddings(force_reload=True)

    def exchanged_parts(self) -> tuple[str, ...]:
        """What the names of tensors begin with that come from another file than the checkpoint's."""
        from modules import sd_vae

        return () if sd_vae.loaded_vae_file is None else ("first_stage_model.",)

    def vae_name(self) -> str:
        """Which file the VAE is of."""
        from modules import sd_vae

        return Path(sd_vae.loaded_vae_file).name if sd_vae.loaded_vae_file else CHECKPOINTS_VAE

    def forget_lora(self, networks: ModuleType, name: str, sd_model: nn.Module | None) -> None:
        """The LoRA of that name as the WebUI remembers it, and its trace on the layers."""
        networks.networks_in_memory.pop(name, None)
        if any(network.name == name for network in networks.loaded_networks):
            prompt_loras.restore_weights(networks, sd_model)
            networks.loaded_networks.clear()

    def lora_layers(self, networks: ModuleType, network: Any, sd_model: nn.Module) -> Collection[str]:
        """What the keys of a LoRA's file begin with, up to the first dot, where the WebUI has a layer for them.
        network: its entry in the WebUI's list.
        """
        modules = networks.load_network(network.name, network).modules
        return {module.network_key.partition(".")[0] for module in modules.values()}
