import pytest
import torch
from torch.nn import functional

from vossegcli.ops import pooling
from vossegcli.ops.pooling import halve, masks_at_stride4


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_halving_is_the_mean_of_two_by_two(layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    before = x.clone()
    torch.testing.assert_close(halve(x), functional.avg_pool2d(x, 2))
    assert torch.equal(x, before)
    torch.testing.assert_close(halve(halve(torch.ones(1, 1, 8, 4))), torch.ones(1, 1, 2, 1))


def test_halving_has_a_gradient() -> None:
    x = torch.zeros(1, 1, 2, 4, requires_grad=True)
    halve(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[[0.25] * 4] * 2]]


def test_masks_of_many_classes_are_averaged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = torch.rand(2, 5, 8, 12, generator=torch.Generator().manual_seed(0))
    together = masks_at_stride4(masks)
    torch.testing.assert_close(together, functional.avg_pool2d(masks, 4))
    monkeypatch.setattr(pooling, "CLASSES_AT_ONCE", 2)
    assert torch.equal(masks_at_stride4(masks), together)
    assert masks_at_stride4(masks > 0.5).dtype == torch.float32
