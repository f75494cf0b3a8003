"""Trees of masks for evaluation: layouts, fast reading, odd files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.label_maps import write_label_map
from vossegcli.io.mask_trees import check_is_mask, find_mask_sequences, read_ids, read_names
from vossegcli.io.plain_png import read_plain_png

IDS = np.array([[0, 1, 7], [255, 3, 0]], np.uint8)


def put(path: Path) -> None:
    write_label_map(path, IDS)


@pytest.mark.parametrize("root", ["", "Annotations/480p", "Annotations", "masks"])
def test_layouts_give_the_same_sequences(tmp_path: Path, root: str) -> None:
    for name in ("bear/00010", "bear/00002", "trip 1/cam/a"):
        put(tmp_path / root / f"{name}.png")
    put(tmp_path / root / ".hidden" / "x.png")
    found = find_mask_sequences(tmp_path)
    assert {name: list(frames) for name, frames in found.items()} == {"bear": ["00002", "00010"], "trip 1/cam": ["a"]}


def test_a_folder_of_masks_is_one_sequence(tmp_path: Path) -> None:
    put(tmp_path / "chair" / "masks" / "1.png")
    assert list(find_mask_sequences(tmp_path / "chair" / "masks")) == ["chair"]
    assert list(find_mask_sequences(tmp_path / "chair")) == ["chair"]


@pytest.mark.parametrize("name", ["nothing", "file.txt", "empty"])
def test_what_holds_no_masks_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        find_mask_sequences(tmp_path / name)


def test_plain_png_files_are_read_fast(tmp_path: Path) -> None:
    put(tmp_path / "palette.png")
    Image.fromarray(IDS).save(tmp_path / "grey.png")
    assert np.array_equal(read_plain_png(tmp_path / "palette.png"), IDS)
    assert np.array_equal(read_ids(tmp_path / "grey.png"), IDS)


def test_other_png_files_are_left_to_pillow(tmp_path: Path) -> None:
    """Each of these would be misread by the fast way, and is read rightly by the other."""
    gradient = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64)
    Image.fromarray((gradient % 200).astype(np.uint8)).save(tmp_path / "filtered.png")  # libpng picks filters for grey
    Image.fromarray(IDS.astype(np.uint16) * 100).save(tmp_path / "deep.png")
    Image.fromarray(IDS > 0).save(tmp_path / "bits.png")
    rotated = Image.fromarray(IDS)
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(tmp_path / "rotated.png", exif=exif)
    for name in ("deep", "bits", "rotated"):
        assert read_plain_png(tmp_path / f"{name}.png") is None
    assert np.array_equal(read_ids(tmp_path / "filtered.png"), gradient % 200)
    assert np.array_equal(read_ids(tmp_path / "deep.png"), IDS.astype(np.uint16) * 100)
    assert np.array_equal(read_ids(tmp_path / "bits.png"), IDS > 0)
    assert read_ids(tmp_path / "rotated.png").shape == (3, 2)


@pytest.mark.parametrize("cut", [0, 10, 40, -30])
def test_damaged_files_are_named(tmp_path: Path, cut: int) -> None:
    put(tmp_path / "m.png")
    data = (tmp_path / "m.png").read_bytes()
    (tmp_path / "m.png").write_bytes(data[:cut])
    with pytest.raises(InputError, match="m.png"):
        read_ids(tmp_path / "m.png")


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    put(tmp_path / "m.png")
    data = bytearray((tmp_path / "m.png").read_bytes())
    data[data.index(b"IDAT") + 8] ^= 64
    (tmp_path / "m.png").write_bytes(data)
    assert read_plain_png(tmp_path / "m.png") is None


def test_coloured_masks_give_the_ids_of_the_palette(tmp_path: Path) -> None:
    put(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        image.convert("RGB").save(tmp_path / "rgb.png")
    assert read_ids(tmp_path / "rgb.png")[0].tolist() == [0, 1, 7]


def test_many_ids_ask_for_a_closer_look(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :60]
    soft = (255 * np.clip(20 - np.hypot(y - 30, x - 30), 0, 6) / 6).astype(np.uint8)
    Image.fromarray(soft).save(tmp_path / "soft.png")
    check_is_mask(tmp_path / "soft.png", 3)
    with pytest.raises(InputError, match="anti-aliased"):
        check_is_mask(tmp_path / "soft.png", 40)


def test_lists_of_names(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("bear\ndog\n")
    assert read_names(tmp_path / "val.txt") == ["bear", "dog"]
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(InputError, match="lists no sequence"):
        read_names(tmp_path / "none.txt")
