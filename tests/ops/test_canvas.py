import pytest
import torch

from vossegcli.ops.canvas import scaled_canvas, shrunk_canvas
from vossegcli.ops.padding import Padding


@pytest.mark.parametrize("size", [(48, 64), (37, 53), (1, 1), (200, 17)])
@pytest.mark.parametrize("plan", [shrunk_canvas, scaled_canvas])
def test_sides_are_multiples_and_the_way_back_ends_at_the_native_size(plan: type, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    canvas = plan(image, 32, 16)
    there = canvas.enter(image)
    assert there.shape[-2] % 16 == there.shape[-1] % 16 == 0
    assert canvas.padded == tuple(there.shape[-2:])
    assert canvas.leave(there).shape == image.shape


def test_an_image_that_is_not_resized_comes_back_as_it_was() -> None:
    image = torch.rand(1, 3, 37, 53)
    canvas = shrunk_canvas(image, None, 16)
    assert torch.equal(canvas.leave(canvas.enter(image)), image)


def test_shrunk_canvases_are_centred_and_scaled_ones_begin_in_the_corner() -> None:
    image = torch.rand(1, 3, 30, 60)
    assert shrunk_canvas(image, 480, 16) == ((30, 60), (30, 60), Padding(2, 2, 1, 1))
    assert scaled_canvas(image, 60, 32) == ((30, 60), (50, 100), Padding(0, 28, 0, 14))


def test_boxes_go_back_to_native_pixels() -> None:
    canvas = scaled_canvas(torch.rand(1, 3, 30, 60), 60, 32)
    boxes = torch.tensor([[10.0, 5.0, 100.0, 50.0]]) * canvas.box_scale(torch.device("cpu"))
    torch.testing.assert_close(boxes, torch.tensor([[6.0, 3.0, 60.0, 30.0]]))
