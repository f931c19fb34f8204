"""The parts of the WebUI's loaded model."""

from torch import nn


class ProjectedEncoder(nn.Module):
    """An OpenCLIP encoder under the names of Hugging Face's `CLIPTextModelWithProjection`, for forks that keep the
    projection beside the text model. encoder: has `transformer` and the parameter `text_projection`.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.text_model = encoder.transformer.text_model
        self._parameters = encoder._parameters  # the very table, so that what is put there is here


def text_towers(sd_model: nn.Module) -> list[nn.Module]:
    """The text encoders under their checkpoint's names, without the WebUI's prompt parser around them."""
    conditioner = getattr(sd_model, "conditioner", None)
    wrappers = conditioner.embedders if conditioner is not None else [sd_model.cond_stage_model]
    towers = []
    for wrapper in wrappers:
        encoder = getattr(wrapper, "wrapped", wrapper)
        tower = getattr(encoder, "transformer", None) or getattr(encoder, "model", None)
        if tower is not None:
            projected = "text_projection" in getattr(encoder, "_parameters", {})
            towers.append(ProjectedEncoder(encoder) if projected else tower)
    return towers


def parts(sd_model: nn.Module) -> dict[str, nn.Module]:
    """UNet, VAE and text encoders, by the names that `LoadedModel.modules` has for them."""
    towers = {f"text_encoder_{number}": tower for number, tower in enumerate(text_towers(sd_model), 1)}
    return {"unet": sd_model.model.diffusion_model, "vae": sd_model.first_stage_model, **towers}
