"""Lite encoders.

Covers: io.weights.pretrained, layers.efficientnet_lite, systems.afb_urr.encoders
"""

from __future__ import annotations

import torch

from vossegcli.layers.inference import inference_copy
from vossegcli.systems.afb_urr.config import LiteTrunk
from vossegcli.systems.afb_urr.lite_encoders import LiteMemoryEncoder, LiteQueryEncoder


def lived_in(module: torch.nn.Module) -> torch.nn.Module:
    """Give batch norms statistics and affine weights that folding must take into account."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for tensor, low in (
                (part.running_mean, -0.2),
                (part.running_var, 0.8),
                (part.weight, 0.8),
                (part.bias, -0.2),
            ):
                tensor.data.copy_(low + 0.4 * torch.rand(tensor.shape, generator=generator))
    return module.eval()


def masks() -> torch.Tensor:
    first = torch.zeros(1, 1, 48, 64)
    first[..., 10:30, 20:40] = 1.0
    return torch.cat([1.0 - first, first], dim=1)


@torch.no_grad()
def test_feature_maps_have_their_strides() -> None:
    encoder = LiteQueryEncoder(LiteTrunk(), context=False).eval()
    pyramid = encoder(torch.rand(2, 3, 48, 64))
    assert [tuple(features.shape) for features in pyramid if features is not None] == [
        (2, 16, 24, 32), (2, 24, 12, 16), (2, 40, 6, 8), (2, 112, 3, 4),
    ]  # fmt: skip
    assert encoder.widths == (16, 24, 40, 112)


@torch.no_grad()
def test_fresh_memory_encoder_sees_the_frame_alone_and_then_the_mask() -> None:
    encoder = LiteMemoryEncoder(LiteTrunk()).eval()
    frame = torch.rand(1, 3, 48, 64)
    features = encoder(frame, masks())
    assert features.shape == (2, 40, 3, 4)
    assert torch.equal(features[0], features[1])
    torch.nn.init.normal_(encoder.stem_masks.weight)
    features = encoder(frame, masks())
    assert not torch.allclose(features[0], features[1])


@torch.no_grad()
def test_folding_changes_no_number() -> None:
    frame = torch.rand(1, 3, 48, 64)
    query, memory = lived_in(LiteQueryEncoder(LiteTrunk(), context=True)), lived_in(LiteMemoryEncoder(LiteTrunk()))
    torch.nn.init.normal_(memory.stem_masks.weight)
    before = [*query(frame), memory(frame, masks())]
    folded_query, folded_memory = inference_copy(query), inference_copy(memory)
    for old, new in zip(before, [*folded_query(frame), folded_memory(frame, masks())], strict=True):
        assert torch.allclose(old, new, rtol=1e-3, atol=1e-3 * float(old.abs().max()))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded_memory.modules())


@torch.no_grad()
def test_context_starts_as_nothing_and_reaches_stride_16() -> None:
    encoder = LiteQueryEncoder(LiteTrunk(), context=True).eval()
    plain = LiteQueryEncoder(LiteTrunk(), context=False).eval()
    plain.load_state_dict(encoder.state_dict(), strict=False)
    frames = torch.rand(2, 3, 48, 80)  # 3 x 5 cells at stride 16, 2 x 3 at stride 32
    assert all(torch.equal(a, b) for a, b in zip(encoder(frames)[:4], plain(frames)[:4], strict=True))
    assert encoder(frames).r5.shape == (2, 320, 2, 3)
    assert plain(frames).r5 is None
    assert encoder.context is not None
    torch.nn.init.normal_(encoder.context.weight)
    ours, theirs = encoder(frames), plain(frames)
    assert ours.r4.shape == (2, 112, 3, 5)
    assert not torch.equal(ours.r4, theirs.r4)
    assert torch.equal(ours.r3, theirs.r3)
