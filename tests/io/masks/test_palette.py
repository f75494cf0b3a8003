"""The colour map against values known from PASCAL VOC."""

import numpy as np

from vossegcli.io.masks.palette import PALETTE, palette_rows


def test_first_and_last_colours() -> None:
    known = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert [tuple(row) for row in PALETTE[:7].tolist()] == known
    assert tuple(PALETTE[8].tolist()) == (64, 0, 0)
    assert tuple(PALETTE[20].tolist()) == (0, 64, 128)
    assert tuple(PALETTE[255].tolist()) == (224, 224, 192)


def test_colours_are_distinct_and_fixed() -> None:
    assert PALETTE.shape == (256, 3)
    assert len(np.unique(PALETTE, axis=0)) == 256
    assert not PALETTE.flags.writeable


def test_ids_beyond_the_palette_take_its_colours_again_but_not_black() -> None:
    ids = np.array([0, 1, 255, 256, 510, 511], np.uint16)
    assert palette_rows(ids).tolist() == [0, 1, 255, 1, 255, 1]
