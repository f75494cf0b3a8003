"""Photometric changes of clips on any device. Shape letters: B clips, T frames, H W pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)


def jitter_colour(clips: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation and tint of each clip, with a slow drift over its frames.

    Args:
        clips: (B,T,3,H,W) RGB in [0, 1].
        strength: largest relative change, e.g. 0.3.
        generator: source of randomness on the clips' device.

    Returns:
        Clips of the same shape in [0, 1].
    """
    batch, frames = clips.shape[:2]
    draw = _uniform((batch, 1, 6), generator) + 0.4 * _uniform((batch, frames, 6), generator)
    factor = 1.0 + strength * draw[..., None, None]  # (B,T,6,1,1)
    luma = (clips * torch.tensor(LUMA, device=clips.device).view(1, 1, 3, 1, 1)).sum(dim=2, keepdim=True)
    grey_level = luma.mean(dim=(-2, -1), keepdim=True)
    coloured = luma + (clips - luma) * factor[:, :, 0:1]
    contrasted = grey_level + (coloured - grey_level) * factor[:, :, 1:2]
    tint = 1.0 + 0.4 * (factor[:, :, 3:6] - 1.0)
    return (contrasted * factor[:, :, 2:3] * tint).clamp(0.0, 1.0)


def recolour_some(clips: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Exchange the colours of some clips: their brightness, often turned round, runs between two new colours.

    For microscopy, where stains and lighting differ more than what they show: dark nuclei in pink tissue and bright
    ones on black have the same outlines. A share of the old colours stays.

    Args:
        clips: (B,T,3,H,W) RGB in [0, 1].
        probability: of each clip.
        generator: source of randomness on the clips' device.
    """
    batch = clips.shape[0]
    luma = (clips * torch.tensor(LUMA, device=clips.device).view(1, 1, 3, 1, 1)).sum(dim=2, keepdim=True)
    flat = luma.flatten(1)
    sample = flat[:, :: max(1, flat.shape[1] // 4096)]
    low, high = (sample.quantile(q, dim=1).view(-1, 1, 1, 1, 1) for q in (0.01, 0.99))
    brightness = ((luma - low) / (high - low).clamp_min(0.02)).clamp(0.0, 1.0)

    def draw(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, 1, 1, generator=generator, device=clips.device)

    turned = torch.where(draw(1, 1) < 0.5, 1.0 - brightness, brightness)
    dark, bright = 0.6 * draw(1, 3), 0.4 + 0.6 * draw(1, 3)
    kept = 0.4 * draw(1, 1)
    coloured = (1.0 - kept) * (dark + turned * (bright - dark)) + kept * clips
    return torch.where(draw(1, 1) < probability, coloured, clips)


def blur_some(clips: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Blur some frames by a short line of random direction (camera shake); (B,T,3,H,W) to the same."""
    batch, frames = clips.shape[:2]
    flat = clips.flatten(0, 1)
    chosen = (torch.rand(batch * frames, generator=generator, device=clips.device) < probability).nonzero().flatten()
    if chosen.numel() == 0:
        return clips
    kernels = _line_kernels(chosen.numel(), generator)  # (n,1,7,7)
    picked = flat[chosen]  # (n,3,H,W)
    padded = F.pad(picked, (3, 3, 3, 3), mode="reflect").flatten(0, 1).unsqueeze(0)  # (1,n*3,H+6,W+6)
    blurred = F.conv2d(padded, kernels.repeat_interleave(3, dim=0), groups=3 * chosen.numel())
    return flat.index_copy(0, chosen, blurred.view_as(picked)).view_as(clips)


def add_noise(clips: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of a standard deviation drawn a clip, from 0 to `largest`."""
    sigma = largest * torch.rand(clips.shape[0], 1, 1, 1, 1, generator=generator, device=clips.device) ** 2
    noise = torch.randn(clips.shape, generator=generator, device=clips.device)
    return (clips + sigma * noise).clamp(0.0, 1.0)


def _line_kernels(count: int, generator: torch.Generator) -> Tensor:
    """Draw (n,1,7,7) kernels: a line through the centre, width about one pixel, sum 1."""
    device = generator.device
    angle = torch.pi * torch.rand(count, 1, 1, generator=generator, device=device)
    half_length = 1.0 + 2.5 * torch.rand(count, 1, 1, generator=generator, device=device)
    axis = torch.arange(-3.0, 4.0, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    kernel = torch.exp(-across.square()) * (along.abs() <= half_length)
    return (kernel / kernel.sum(dim=(1, 2), keepdim=True)).unsqueeze(1)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return 2.0 * torch.rand(shape, generator=generator, device=generator.device) - 1.0
