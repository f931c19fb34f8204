"""Which noise is added, and at which timesteps."""

from dataclasses import dataclass

from lib_sdtune.declaration import option


@dataclass
class NoiseConfig:
    """The noise that is added to the pictures."""

    noise_offset: float = option(0.0, "0, or 0.05 for darker and brighter pictures.", low=0, high=1)
    noise_offset_random_strength: bool = option(
        False, "Draw the offset's strength anew for each picture, from 0 up to the noise offset.",
        label="Random noise offset")
    adaptive_noise_scale: float = option(
        0.0, "0, or 0.005: adds this much of each picture's own brightness to the noise offset.",
        label="Adaptive noise scale", low=-1, high=1)
    multires_noise_iterations: int = option(0, "0, or 6 for multi-resolution noise.",
                                            label="Multi-resolution noise", low=0, high=10)
    multires_noise_discount: float = option(0.3, "0.3, or 0.1 to 0.8: how strong each coarser octave is.",
                                            label="Multi-resolution discount", low=0, high=1)
    ip_noise_gamma: float = option(0.0, "0, or 0.1: perturbs the noisy latents (arXiv 2301.11706).",
                                   label="Input perturbation", low=0, high=1)
    ip_noise_gamma_random_strength: bool = option(
        False, "Draw the perturbation's strength anew for each picture.", label="Random input perturbation")
    min_timestep: int = option(0, "0 trains from the finest timestep.", label="Lowest timestep", low=0, high=999)
    max_timestep: int = option(1000, "1000 trains up to pure noise.", label="Highest timestep", low=1, high=1000)
    timestep_sampling: str = option(
        "uniform", "uniform: every timestep as often as another; logit_normal: those in the middle more often; loss: "
                   "those with the largest loss more often, and each counts less.",
        label="Timestep sampling", choices=["uniform", "logit_normal", "loss"])
    logit_mean: float = option(0.0, "0 for the middle; above it noisier timesteps, below it finer ones.",
                               label="Centre of logit_normal", low=-10, high=10)
    logit_std: float = option(1.0, "1: how far around the centre timesteps are drawn.",
                              label="Width of logit_normal", above=0, high=10)
    zero_terminal_snr: bool = option(False, "For v-prediction models made with it (arXiv 2305.08891), no others.",
                                     label="Zero terminal SNR")
