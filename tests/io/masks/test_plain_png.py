"""Palette PNG files as they are written, read by Pillow and by the fast reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.masks.plain_png import plain_png, read_plain_png


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (61, 40), (300, 401)])
@pytest.mark.parametrize("kind", ["noise", "discs", "empty"])
def test_what_is_written_is_read_again(size: tuple[int, int], kind: str, tmp_path: Path) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    indices = {
        "noise": np.random.default_rng(0).integers(0, 256, size),
        "discs": 7 * ((y - 30) ** 2 + (x - 20) ** 2 < 200) + 200 * (x > 300),
        "empty": np.zeros(size),
    }[kind].astype(np.uint8)
    path = tmp_path / "mask.png"
    path.write_bytes(plain_png(indices[:, ::-1], PALETTE))  # not contiguous
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), indices[:, ::-1])
        assert image.getpalette() == PALETTE.ravel().tolist()
    found = read_plain_png(path)
    assert found is not None
    assert np.array_equal(found, indices[:, ::-1])


def test_masks_stay_small() -> None:
    y, x = np.mgrid[:480, :854]
    disc = ((y - 200) ** 2 + (x - 400) ** 2 < 9000).astype(np.uint8)
    assert len(plain_png(disc, PALETTE)) < 2500  # 400 KiB of pixels, and 768 bytes of palette
