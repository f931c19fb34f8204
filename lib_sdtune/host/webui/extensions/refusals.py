"""What cannot be put aside: layers of another extension's making, and tensors that can have no gradient."""

from torch import nn

from lib_sdtune.errors import UserError
from lib_sdtune.host.webui.extensions.ownership import owner_of

REMEDY = "restart the WebUI, or switch off the extension that changed it, then start again"


def refuse(sd_model: nn.Module) -> None:
    """UserError that names the first such module."""
    for path, module in sd_model.named_modules():
        if owner := owner_of(type(module)):
            raise UserError(f"{path or 'The model'} is now a layer of {owner} ({type(module).__name__}), which cannot "
                            f"be put aside; {REMEDY}.")
    for path, tensor in sd_model.named_parameters():
        if tensor.is_inference():
            raise UserError(f"{path} is a tensor made in torch's inference mode, which cannot be trained through; "
                            f"{REMEDY}.")
