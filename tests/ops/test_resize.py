import torch

from vossegcli.ops.resize import enlarging_weights, resize_smooth, scaled_size, size_of, working_size


def test_working_size_never_grows() -> None:
    assert working_size((480, 854), 480) == (480, 854)
    assert working_size((1080, 1920), 480) == (480, 853)
    assert working_size((100, 50), 480) == (100, 50)
    assert working_size((1080, 1920), None) == (1080, 1920)
    assert working_size((8, 4000), 1) == (1, 500), "no side vanishes"
    assert working_size((4000, 8), 1) == (500, 1)


def test_scaled_size_grows_too_but_the_long_side_stays_below_five_thirds() -> None:
    assert scaled_size((100, 120), 300) == (300, 360)
    assert scaled_size((100, 400), 300) == (125, 500)
    assert scaled_size((123, 77), 0) == (123, 77)


def test_resizing_keeps_the_mean_and_a_size_that_fits_is_left_alone() -> None:
    image = torch.rand(1, 3, 40, 60)
    small = resize_smooth(image, (10, 15))
    assert size_of(small) == (10, 15)
    torch.testing.assert_close(small.mean(), image.mean(), atol=5e-3, rtol=0.0)
    assert resize_smooth(image, (40, 60)) is image


def test_weights_that_frames_share_serve_training_too() -> None:
    """They are kept, so those that were made in inference have to be ordinary tensors."""
    with torch.inference_mode():
        weights = enlarging_weights(torch.device("cpu"), 7, 3)
    rows = torch.randn(3, 2, requires_grad=True)
    (weights @ rows).sum().backward()
    assert enlarging_weights(torch.device("cpu"), 7, 3) is weights
    torch.testing.assert_close(weights @ rows, resize_smooth(rows[None, None], (7, 2))[0, 0])
