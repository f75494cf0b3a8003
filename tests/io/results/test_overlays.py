"""Pictures made of results."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.results import overlays
from vossegcli.io.results.overlays import Caption, add_captions, draw_overlay, write_image, write_probability


def test_objects_are_tinted_and_outlined_and_the_rest_is_kept() -> None:
    image = np.full((20, 30, 3), 100, dtype=np.uint8)
    ids_map = np.zeros((20, 30), dtype=np.uint16)
    ids_map[5:15, 5:15] = 1
    ids_map[5:15, 15:25] = 300
    before = image.copy()
    drawn = draw_overlay(image, ids_map, alpha=0.5)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(drawn[ids_map == 0], image[ids_map == 0])
    assert drawn[10, 10].tolist() == [114, 50, 50]
    expected = [round(50 + level / 2) for level in PALETTE[45].tolist()]
    assert np.abs(drawn[10, 20].astype(int) - expected).max() <= 1
    for row, column in ((5, 10), (10, 5), (14, 10), (10, 14), (10, 15), (10, 24)):
        assert drawn[row, column].astype(int).sum() > drawn[10, 10].astype(int).sum()
    assert drawn[6, 6].tolist() == [114, 50, 50]


def test_the_outline_is_two_pixels_wide_on_large_frames() -> None:
    ids_map = np.zeros((720, 800), dtype=np.uint8)
    ids_map[100:200, 100:200] = 1
    drawn = draw_overlay(np.zeros((720, 800, 3), dtype=np.uint8), ids_map)
    assert drawn[150, 100].tolist() == drawn[150, 101].tolist() != drawn[150, 102].tolist()


def test_alpha_and_empty_maps() -> None:
    image = np.full((4, 4, 3), 7, dtype=np.uint8)
    np.testing.assert_array_equal(draw_overlay(image, np.zeros((4, 4), dtype=np.uint8)), image)
    full = draw_overlay(image, np.full((4, 4), 2, dtype=np.uint8), alpha=1.0)
    assert full[2, 2].tolist() == PALETTE[2].tolist()
    with pytest.raises(ValueError, match="differ in size"):
        draw_overlay(image, np.zeros((4, 5), dtype=np.uint8))


def test_images_are_written_by_suffix(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    rgba = rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)
    write_image(tmp_path / "a.png", image)
    write_image(tmp_path / "cut.png", rgba)
    write_image(tmp_path / "b" / "a.JPG", np.full((8, 8, 3), (200, 30, 60), dtype=np.uint8))
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.png")), image)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "cut.png")), rgba)
    read = np.array(Image.open(tmp_path / "b" / "a.JPG")).astype(int)
    assert np.abs(read - (200, 30, 60)).max() <= 3
    with pytest.raises(InputError, match="neither"):
        write_image(tmp_path / "a.gif", image)


def test_probabilities_are_8_bit_grey(tmp_path: Path) -> None:
    write_probability(tmp_path / "p.png", np.array([[0.0, 0.5, 1.0, 1.2]], dtype=np.float32))
    with Image.open(tmp_path / "p.png") as image:
        assert image.mode == "L"
        assert np.array(image).tolist() == [[0, 128, 255, 255]]


def test_stripes_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (800, 730, 3)).astype(np.uint8)
    ids = np.zeros((800, 730), np.uint16)
    for k in range(40):
        y, x = rng.integers(0, 700, 2)
        ids[y : y + 60, x : x + 40] = k + 1
    monkeypatch.setattr(overlays, "_STRIPE", 10_000)
    whole = overlays.draw_overlay(image, ids)
    monkeypatch.setattr(overlays, "_STRIPE", 37)
    assert np.array_equal(overlays.draw_overlay(image, ids), whole)


def test_captions_give_way_to_shorter_ones_and_then_to_nothing() -> None:
    grey = np.full((60, 400, 3), 90, np.uint8)

    def changed(caption: Caption) -> int:
        drawn = grey.copy()
        add_captions(drawn, [caption])
        return int((drawn != grey).any(axis=2).sum())

    long, short = "17 elephant 0.93", "17"
    assert changed(Caption(10, 10, 300, long, short)) == changed(Caption(10, 10, 300, long)) > 0
    assert changed(Caption(10, 10, 12, long, short)) == changed(Caption(10, 10, 300, short)) > 0
    assert changed(Caption(10, 10, 12, long)) == 0
    assert changed(Caption(10, 10, 1, long, short)) == 0


def test_captions_stay_inside_and_leave_the_rest_alone() -> None:
    for x, y in ((-50, -50), (500, 500), (0, 59), (399, 0)):
        drawn = np.full((60, 400, 3), 90, np.uint8)
        add_captions(drawn, [Caption(x, y, 300, "17 elephant")])
        rows, columns = np.nonzero((drawn != 90).any(axis=2))
        assert 10 < np.ptp(rows) < 30 and 40 < np.ptp(columns) < 150
        assert (rows.min() < 5) == (y <= 0) and (columns.min() < 5) == (x <= 0)
    small = np.full((4, 5, 3), 90, np.uint8)
    add_captions(small, [Caption(0, 0, 300, "17")])
    assert (small != 90).any()
