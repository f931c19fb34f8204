"""What models of one family differ in; none of it is a family of its own, otherwise they would multiply."""

from dataclasses import dataclass, replace

from lib_sdtune.errors import UserError
from lib_sdtune.ldm.header import EPSILON, V

INPAINTING = 9  # channels that its UNet reads: the noisy latents, the mask, and the latents of what the mask leaves


@dataclass(frozen=True)
class Variant:
    """prediction_type: "epsilon" | "v_prediction". zero_terminal_snr: the last timestep is pure noise. resolution:
    pixels a side that the model was trained at.
    """

    prediction_type: str = EPSILON
    zero_terminal_snr: bool = False
    in_channels: int = 4
    resolution: int = 512

    @property
    def inpainting(self) -> bool:
        return self.in_channels == INPAINTING

    def overridden(self, prediction_type: str = "auto", zero_terminal_snr: bool | None = None) -> "Variant":
        """With what the settings say instead of the file; "auto" and None leave it. UserError where that makes no
        sense.
        """
        changed = self if prediction_type == "auto" else replace(self, prediction_type=prediction_type)
        if zero_terminal_snr is not None:
            changed = replace(changed, zero_terminal_snr=zero_terminal_snr)
        elif changed.prediction_type == EPSILON:
            changed = replace(changed, zero_terminal_snr=False)
        if changed.zero_terminal_snr and changed.prediction_type != V:
            raise UserError(
                '"noise.zero_terminal_snr" needs a v-prediction model, and this one predicts noise: at the last '
                'timestep '
                "nothing but noise is left, so predicting it would teach nothing. Set it to false, or "
                '"model.prediction_type" to "v_prediction" if the model is one.'
            )
        return changed
