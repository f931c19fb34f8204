"""The UNet of latent diffusion (arXiv 2112.10752), with the parameter names of `model.diffusion_model.*`.

SD1 is the default; SD2 sets `head_channels` and `use_linear`, SDXL also a `transformer_depth` per level and
`adm_channels`.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


class UNetModel(nn.Module):
    """Predicts noise (or v) from noisy latents.

    channel_mult: width of each level as a multiple of `model_channels`; the latents are halved between levels.
    attention_levels: the levels that have transformer blocks, 0 being the finest; the middle always has one.
    transformer_depth: blocks per transformer, one number or one per level; `middle_depth` defaults to the last level's.
    head_channels: width of one attention head; when None, `num_heads` divides every level.
    use_linear: proj_in and proj_out are linear layers instead of 1x1 convolutions.
    adm_channels: length of the vector `y` that SDXL adds to the time embedding; None for models without one.
    """

    def __init__(self, in_channels: int = 4, out_channels: int = 4, model_channels: int = 320,
                 channel_mult: Sequence[int] = (1, 2, 4, 4), num_res_blocks: int = 2,
                 attention_levels: Sequence[int] = (0, 1, 2), context_dim: int = 768, num_heads: int = 8,
                 head_channels: int | None = None, transformer_depth: int | Sequence[int] = 1,
                 middle_depth: int | None = None, use_linear: bool = False, adm_channels: int | None = None) -> None:
        super().__init__()
        depths = ([transformer_depth] * len(channel_mult)
                  if isinstance(transformer_depth, int) else list(transformer_depth))
        middle_depth = middle_depth or next(depth for depth in reversed(depths) if depth)
        self.model_channels, emb = model_channels, model_channels * 4

        def res_block(channels: int, out: int) -> ResBlock:
            return ResBlock(channels, emb, out)

        def transformer(channels: int, depth: int) -> SpatialTransformer:
            heads = max(1, channels // head_channels) if head_channels else num_heads
            return SpatialTransformer(channels, heads, depth, context_dim, use_linear)

        self.time_embed = nn.Sequential(nn.Linear(model_channels, emb), nn.SiLU(), nn.Linear(emb, emb))
        if adm_channels:
            self.label_emb = nn.Sequential(nn.Sequential(nn.Linear(adm_channels, emb), nn.SiLU(), nn.Linear(emb, emb)))

        channels = model_channels
        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(in_channels, channels, 3, padding=1))])
        skips = [channels]
        for level, mult in enumerate(channel_mult):
            for _ in range(num_res_blocks):
                block = Block(res_block(channels, mult * model_channels))
                channels = mult * model_channels
                if level in attention_levels:
                    block.append(transformer(channels, depths[level]))
                self.input_blocks.append(block)
                skips.append(channels)
            if level < len(channel_mult) - 1:
                self.input_blocks.append(Block(Downsample(channels)))
                skips.append(channels)

        self.middle_block = Block(res_block(channels, channels), transformer(channels, middle_depth),
                                  res_block(channels, channels))

        self.output_blocks = nn.ModuleList()
        for level, mult in reversed(list(enumerate(channel_mult))):
            for i in range(num_res_blocks + 1):
                block = Block(res_block(channels + skips.pop(), mult * model_channels))
                channels = mult * model_channels
                if level in attention_levels:
                    block.append(transformer(channels, depths[level]))
                if level and i == num_res_blocks:
                    block.append(Upsample(channels))
                self.output_blocks.append(block)

        self.out = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1))

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor | None = None,
                y: torch.Tensor | None = None) -> torch.Tensor:
        """x (B, in_channels, h, w), timesteps (B,) in 0..999, context (B, n, context_dim), y (B, adm_channels)."""
        emb = self.time_embed(timestep_embedding(timesteps, self.model_channels).to(x.dtype))
        if y is not None:
            emb = emb + self.label_emb(y.to(x.dtype))
        skips = []
        for block in self.input_blocks:
            x = block(x, emb, context)
            skips.append(x)
        x = self.middle_block(x, emb, context)
        for block in self.output_blocks:
            skip = skips.pop()
            if x.shape[-2:] != skip.shape[-2:]:  # sides that do not halve evenly; the WebUI does the same
                x = F.interpolate(x, skip.shape[-2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1), emb, context)
        return self.out(x)


def timestep_embedding(timesteps: torch.Tensor, dim: int, max_period: float = 10000) -> torch.Tensor:
    """(B, dim) float32: cosines, then sines, of the timesteps at `dim / 2` geometrically spaced frequencies."""
    half = dim // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32, device=timesteps.device)
                            * (-math.log(max_period) / half))
    angles = timesteps[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Block(nn.Sequential):
    """Layers in a row, each given what it listens to."""

    def forward(self, x: torch.Tensor, emb: torch.Tensor, context: torch.Tensor | None = None  # type: ignore[override]
                ) -> torch.Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context)
            else:
                x = layer(x)
        return x


class ResBlock(nn.Module):
    """Two convolutions with the time embedding added in between."""

    def __init__(self, channels: int, emb_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(),
                                       nn.Conv2d(channels, out_channels, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb_channels, out_channels))
        self.out_layers = nn.Sequential(  # the identity holds the place of the checkpoint's dropout
            nn.GroupNorm(32, out_channels), nn.SiLU(), nn.Identity(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip_connection = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class SpatialTransformer(nn.Module):
    """Transformer blocks over the pixels of a feature map, with a residual around them."""

    def __init__(self, channels: int, heads: int, depth: int, context_dim: int, use_linear: bool = False) -> None:
        super().__init__()

        def project() -> nn.Module:
            return nn.Linear(channels, channels) if use_linear else nn.Conv2d(channels, channels, 1)

        self.use_linear = use_linear
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = project()
        self.transformer_blocks = nn.ModuleList(BasicTransformerBlock(channels, heads, context_dim)
                                                for _ in range(depth))
        self.proj_out = project()

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        tokens = self.norm(x)
        if not self.use_linear:
            tokens = self.proj_in(tokens)
        tokens = rearrange(tokens, "b c h w -> b (h w) c").contiguous()
        if self.use_linear:
            tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        if self.use_linear:
            tokens = self.proj_out(tokens)
        y = rearrange(tokens, "b n c -> b c n").reshape(x.shape)
        if not self.use_linear:
            y = self.proj_out(y)
        return x + y


class BasicTransformerBlock(nn.Module):
    """Self-attention, cross-attention to the text, feed-forward."""

    def __init__(self, dim: int, heads: int, context_dim: int) -> None:
        super().__init__()
        self.attn1 = CrossAttention(dim, dim, heads)
        self.ff = FeedForward(dim)
        self.attn2 = CrossAttention(dim, context_dim, heads)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class CrossAttention(nn.Module):
    """Attention of x (B, n, dim) to context (B, m, context_dim), or to itself without one."""

    def __init__(self, dim: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(context_dim, dim, bias=False)
        self.to_v = nn.Linear(context_dim, dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Identity())

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        context = x if context is None else context
        q, k, v = (rearrange(t, "b n (heads d) -> b heads n d", heads=self.heads)
                   for t in (self.to_q(x), self.to_k(context), self.to_v(context)))
        return self.to_out(rearrange(F.scaled_dot_product_attention(q, k, v), "b heads n d -> b n (heads d)"))


class FeedForward(nn.Module):
    def __init__(self, dim: int, mult: int = 4) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(dim, dim * mult), nn.Identity(), nn.Linear(dim * mult, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class GEGLU(nn.Module):
    """Half of a projection gates the other (arXiv 2002.05202)."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, out * 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.gelu(gate)
