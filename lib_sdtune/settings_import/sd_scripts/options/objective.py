"""Options of sd-scripts for the noise and the loss."""

from lib_sdtune.settings_import.option import Option

NOISE = [
    Option("noise_offset", float, 0.0, "noise.noise_offset"),
    Option("noise_offset_random_strength", bool, False, "noise.noise_offset_random_strength"),
    Option("adaptive_noise_scale", float, 0.0, "noise.adaptive_noise_scale"),
    Option("multires_noise_iterations", int, 0, "noise.multires_noise_iterations"),
    Option("multires_noise_discount", float, 0.3, "noise.multires_noise_discount"),
    Option("ip_noise_gamma", float, 0.0, "noise.ip_noise_gamma"),
    Option("ip_noise_gamma_random_strength", bool, False, "noise.ip_noise_gamma_random_strength"),
    Option("min_timestep", int, 0, "noise.min_timestep"),
    Option("max_timestep", int, 1000, "noise.max_timestep", convert=lambda value: value or 1000),
    Option("zero_terminal_snr", bool, False, "noise.zero_terminal_snr"),
]

LOSS = [
    Option("loss_type", str, "l2", "loss.loss_type"),
    Option("huber_c", float, 0.1, "loss.huber_c"),
    Option("huber_schedule", str, "snr", "loss.huber_schedule"),
    Option("huber_scale", float, 1.0, "loss.huber_scale"),
    Option("min_snr_gamma", float, 0.0, "loss.min_snr_gamma"),
    Option("debiased_estimation_loss", bool, False, "loss.debiased_estimation"),
    Option("scale_v_pred_loss_like_noise_pred", bool, False, "loss.scale_v_pred_loss_like_noise_pred"),
    Option("v_pred_like_loss", float, 0.0, "loss.v_pred_like_loss"),
    Option("prior_loss_weight", float, 1.0, "loss.prior_loss_weight"),
]
