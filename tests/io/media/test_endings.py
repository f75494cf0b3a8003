"""Image files that stop before their end."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.masks.stored_masks import read_stored_mask
from vossegcli.io.media.endings import lacks_end
from vossegcli.io.media.images import read_image


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp"])
def test_the_mark_of_the_end_is_looked_for_at_the_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    half = len(whole) // 2
    cases = [(whole, False), (whole[:-8], True), (whole + bytes(9000), False)]
    cases += [(whole + b"more", False)] if suffix in {"jpg", "png"} else []
    cases += [(whole[:half] + bytes(half), True)] if suffix != "webp" else []
    for content, lacks in cases:
        path.write_bytes(content)
        assert lacks_end(path) is lacks


def test_zeros_instead_of_the_end_are_refused_as_a_picture_and_as_a_mask(tmp_path: Path) -> None:
    """As a download leaves them that broke off; Pillow decodes them."""
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(9000))
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole)))
    for read in (read_image, read_stored_mask):
        with pytest.raises(InputError, match=r"a\.jpg: is cut off: there are zeros"):
            read(path)


def test_other_formats_are_not_judged(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.bmp")
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert not lacks_end(tmp_path / "a.bmp")
    assert not lacks_end(tmp_path / "empty.jpg")
