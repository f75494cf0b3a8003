"""Arrays of a notebook as pictures of a predictor."""

import numpy as np
import pytest

import vossegcli
from vossegcli.errors import InputError

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize("image", [PIXELS, np.asfortranarray(PIXELS), PIXELS[::-1, ::-1][::-1, ::-1]])
def test_layouts_of_an_array_do_not_matter(image: np.ndarray) -> None:
    tensor = vossegcli.image_tensor(image)
    assert np.array_equal((tensor.permute(1, 2, 0) * 255).round().byte().numpy(), PIXELS)


def test_a_mirrored_view_is_taken() -> None:
    mirrored = vossegcli.image_tensor(PIXELS[:, ::-1])
    assert np.array_equal((mirrored.permute(1, 2, 0) * 255).round().byte().numpy(), PIXELS[:, ::-1])


@pytest.mark.parametrize(
    "image",
    [PIXELS / 255.0, PIXELS.astype(np.uint16), PIXELS > 3, PIXELS[..., 0], PIXELS[..., :2], PIXELS.transpose(2, 0, 1)],
)
def test_other_types_and_shapes_are_refused(image: np.ndarray) -> None:
    """They would be black, or of wrong colours, and the masks wrong without a word."""
    with pytest.raises(InputError, match=r"array of shape .* and type .*uint8"):
        vossegcli.image_tensor(image)
