"""Palettes of editors, transparent indices: the objects that were drawn, not the order of a palette."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.palette import PALETTE

RED, GREEN, BLACK, WHITE = [230, 20, 30], [10, 200, 40], [0, 0, 0], [255, 255, 255]


def drawn() -> np.ndarray:
    """Two objects, 1 and 2, on background 0 (40,60)."""
    ids_map = np.zeros((40, 60), np.uint8)
    ids_map[4:20, 5:25], ids_map[15:35, 35:55] = 1, 2
    return ids_map


def save(path: Path, indices: np.ndarray, palette: list[list[int]], transparency: bytes | int | None = None) -> Path:
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette([level for color in palette for level in color])
    image.save(path, **({} if transparency is None else {"transparency": transparency}))
    return path


@pytest.mark.parametrize("suffix", [".png", ".gif", ".bmp", ".tif"])
@pytest.mark.parametrize("black", [0, 1, 2])
def test_the_place_of_black_in_a_palette_does_not_matter(tmp_path: Path, black: int, suffix: str) -> None:
    colors = [GREEN, RED]
    colors.insert(black, BLACK)
    index = {color: colors.index(value) for color, value in enumerate((BLACK, RED, GREEN))}
    indices = np.vectorize(index.get)(drawn())
    found = read_label_map(save(tmp_path / f"m{suffix}", indices, colors))
    if black == 0:
        assert np.array_equal(found.ids_map, indices), "ordinary label maps keep their indices"
    else:  # colours in the order of (R, G, B): green is 1, red is 2
        assert np.array_equal(found.ids_map, np.array([0, 2, 1])[drawn()])
        assert f"palette index {black} is black and 0 is not" in (found.note or "")


def test_a_quantized_picture_of_davis_colours_gives_their_ids(tmp_path: Path) -> None:
    picture = Image.fromarray(PALETTE[drawn() * 2])
    quantized = picture.quantize(8)
    assert quantized.getpalette()[:3] != [0, 0, 0], "Pillow puts another colour first"
    quantized.save(tmp_path / "q.png")
    found = read_label_map(tmp_path / "q.png")
    assert np.array_equal(found.ids_map, drawn() * 2)


def test_black_at_255_is_void_and_the_other_indices_are_ids(tmp_path: Path) -> None:
    indices = drawn()
    indices[0] = 255
    found = read_label_map(save(tmp_path / "m.png", indices, [[128, 64, 128], RED, GREEN, *[BLACK] * 253]))
    assert np.array_equal(found.ids_map, np.where(drawn() * (indices < 255), drawn(), 0))
    assert found.ids == (1, 2)


def test_without_black_the_indices_are_ids(tmp_path: Path) -> None:
    found = read_label_map(save(tmp_path / "m.png", drawn(), [WHITE, RED, GREEN, BLACK]))
    assert np.array_equal(found.ids_map, drawn())


@pytest.mark.parametrize("transparency", [2, b"\xff\xff\x00"])
def test_a_transparent_index_is_background(tmp_path: Path, transparency: bytes | int) -> None:
    kept = save(tmp_path / "kept.png", drawn(), [BLACK, RED, GREEN], transparency)
    assert np.array_equal(read_label_map(kept).ids_map, drawn() * (drawn() == 1))
    indices = np.array([2, 0, 1])[drawn()]  # transparent ground, red at 0
    colors = save(tmp_path / "colors.png", indices, [RED, GREEN, WHITE], transparency)
    found = read_label_map(colors)
    assert np.array_equal(found.ids_map, np.array([0, 2, 1])[drawn()])
    assert "transparent" in (found.note or "")


def test_a_transparent_index_0_changes_nothing(tmp_path: Path) -> None:
    found = read_label_map(save(tmp_path / "m.png", drawn(), [WHITE, RED, GREEN], 0))
    assert np.array_equal(found.ids_map, drawn())
    assert found.note is None


def test_a_transparent_grey_level_is_background(tmp_path: Path) -> None:
    Image.fromarray(drawn()).save(tmp_path / "m.png", transparency=2)
    assert np.array_equal(read_label_map(tmp_path / "m.png").ids_map, drawn() * (drawn() == 1))


def with_tiny_objects(dtype: type) -> np.ndarray:
    """A large object with small ones at its edge, which lie between it and the background everywhere."""
    ids_map = np.zeros((80, 80), dtype)
    ids_map[20:60, 20:60] = 90
    for number, at in enumerate(range(22, 58, 4), start=3):
        ids_map[19, at : at + 2], ids_map[at : at + 2, 60] = number, number + 40
    return ids_map


@pytest.mark.parametrize("fix", [False, True])
@pytest.mark.parametrize("kind", ["davis", "palette", "16 bit"])
def test_objects_of_a_few_pixels_are_kept(tmp_path: Path, kind: str, fix: bool) -> None:
    ids_map = with_tiny_objects(np.uint16 if kind == "16 bit" else np.uint8)
    image = Image.fromarray(ids_map)
    if kind == "davis":
        image.putpalette(PALETTE.ravel().tolist())
    elif kind == "palette":
        image.putpalette(np.concatenate([np.zeros((1, 3)), np.random.default_rng(1).integers(1, 256, (255, 3))])
                         .astype(np.uint8).ravel().tolist())  # fmt: skip
    image.save(tmp_path / "m.png")
    found = read_label_map(tmp_path / "m.png", fix=fix)
    assert np.array_equal(found.ids_map, ids_map)
    assert found.note is None


def test_an_8_bit_map_with_tiny_objects_can_be_taken_as_it_is(tmp_path: Path) -> None:
    ids_map = with_tiny_objects(np.uint8)
    Image.fromarray(ids_map).save(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"anti-aliased.*--exact-mask"):
        read_label_map(tmp_path / "m.png")
    assert np.array_equal(read_label_map(tmp_path / "m.png", exact=True).ids_map, ids_map)


def test_thousands_of_small_cells_in_16_bits_are_no_photograph(tmp_path: Path) -> None:
    ids_map = np.kron(np.random.default_rng(0).permutation(200).reshape(10, 20), np.ones((9, 3), np.uint16))
    Image.fromarray(ids_map.astype(np.uint16)).save(tmp_path / "m.png")
    assert np.array_equal(read_label_map(tmp_path / "m.png").ids_map, ids_map)
    noise = np.random.default_rng(0).normal(9000, 300, (90, 90)).astype(np.uint16)
    Image.fromarray(noise).save(tmp_path / "n.png")
    with pytest.raises(InputError, match="photograph"):
        read_label_map(tmp_path / "n.png")


def test_a_smoothed_picture_in_a_palette_is_refused_and_can_be_fixed(tmp_path: Path) -> None:
    """`quantize` turns soft edges into indices of their own: phantom objects."""
    large = Image.fromarray(np.array([BLACK, RED, GREEN], np.uint8)[np.kron(drawn(), np.ones((8, 8), np.uint8))])
    soft = large.resize((111, 77), Image.Resampling.BOX)
    palette = soft.quantize(20)
    colors = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    order = np.argsort(colors.astype(int).sum(axis=1), kind="stable")  # black first, as a label map has it
    indices = np.argsort(order).astype(np.uint8)[np.array(palette)]
    path = save(tmp_path / "m.png", indices, colors[order].tolist())
    with pytest.raises(InputError, match="anti-aliased"):
        read_label_map(path)
    assert len(read_label_map(path, fix=True).ids) == 2


def test_alpha_of_a_cut_out_is_the_mask(tmp_path: Path) -> None:
    object_ = drawn() > 0
    photograph = np.random.default_rng(0).integers(1, 255, (40, 60, 3), np.uint8)
    for name, colors in (("cut-out", photograph), ("black", photograph * 0), ("grey", photograph[..., :1])):
        for opaque in (255, 200):
            alpha = (object_ * opaque).astype(np.uint8)
            Image.fromarray(np.concatenate([colors, alpha[..., None]], axis=2)).save(tmp_path / f"{name}.png")
            found = read_label_map(tmp_path / f"{name}.png")
            assert np.array_equal(found.ids_map, object_), name
            assert "alpha" in (found.note or "")


def test_flat_colours_on_transparent_stay_objects(tmp_path: Path) -> None:
    """Also many of them, as viewers of cells write them."""
    cells = np.kron(np.arange(1, 41).reshape(5, 8), np.ones((12, 12), np.uint8))
    cells = np.kron(np.ones((1, 1), np.uint8), cells) * (np.add.outer(np.arange(60), np.arange(96)) % 12 > 1)
    colors = np.random.default_rng(2).integers(30, 256, (41, 3)).astype(np.uint8)
    pixels = np.concatenate([colors[cells], ((cells > 0) * 255).astype(np.uint8)[..., None]], axis=2)
    Image.fromarray(pixels).save(tmp_path / "cells.png")
    assert len(read_label_map(tmp_path / "cells.png", exact=True).ids) == 40


def test_a_dithered_picture_is_refused(tmp_path: Path) -> None:
    """Pillow's own palette has none of the two colours, and mixes them from others."""
    colors = np.zeros((60, 80, 3), np.uint8)
    colors[5:30, 5:40], colors[30:55, 30:70] = (200, 30, 30), (30, 200, 30)
    Image.fromarray(colors).convert("P").save(tmp_path / "m.png")
    with pytest.raises(InputError, match="is dithered"):
        read_label_map(tmp_path / "m.png")
    assert len(read_label_map(tmp_path / "m.png", exact=True).ids) > 2
    Image.fromarray(colors).convert("P", dither=Image.Dither.NONE).save(tmp_path / "plain.png")
    assert len(read_label_map(tmp_path / "plain.png").ids) == 2
