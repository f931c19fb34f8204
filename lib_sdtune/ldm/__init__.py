"""The smallest faithful latent diffusion model, under the checkpoint's own parameter names."""
