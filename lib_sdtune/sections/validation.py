"""The pictures by which overfitting is noticed."""

from dataclasses import dataclass

from lib_sdtune.declaration import option


@dataclass
class ValidationConfig:
    """Pictures kept aside to notice overfitting."""

    split: float = option(0.0, "0, or 0.1 to keep a tenth of the pictures aside.",
                          label="Validation share", low=0, high=0.9)
    images: str = option("", "Or a folder of pictures that are only measured, with captions like the others.",
                         label="Validation pictures")
    every_n_steps: int = option(0, "0 measures at every epoch's end.",
                                label="Validate every so many steps", low=0, high=10**7, unit="steps")
