"""Trees of masks for evaluation: layouts, fast reading, odd files.

Covers: io.masks.plain_png, io.masks.stored_masks
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.masks.mask_trees import (
    Encoding,
    check_is_mask,
    encoding_of,
    find_mask_sequences,
    read_mask,
    read_sequence_names,
)
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.masks.plain_png import read_plain_png

IDS = np.array([[0, 1, 7], [255, 3, 0]], np.uint8)


def read_ids(path: Path) -> np.ndarray:
    return read_mask(path, Encoding())[0]


def put(path: Path) -> None:
    write_label_map(path, IDS)


@pytest.mark.parametrize("root", ["", "Annotations/480p", "annotations", "Masks"])
def test_layouts_give_the_same_sequences(tmp_path: Path, root: str) -> None:
    for name in ("bear/00010", "bear/00002", "trip 1/cam/a"):
        put(tmp_path / root / f"{name}.png")
    put(tmp_path / root / ".hidden" / "x.png")
    found = find_mask_sequences(tmp_path)
    assert {name: list(frames) for name, frames in found.items()} == {"bear": ["00002", "00010"], "trip 1/cam": ["a"]}


@pytest.mark.parametrize(("frames", "masks"), [("frames", "masks"), ("Frames", "Masks")])
def test_frames_beside_masks_are_no_masks(tmp_path: Path, frames: str, masks: str) -> None:
    for name in ("a", "b"):
        put(tmp_path / name / masks / "1.png")
        put(tmp_path / name / frames / "1.png")
    assert list(find_mask_sequences(tmp_path)) == [f"a/{masks}", f"b/{masks}"]


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
    few, high = np.arange(16, dtype=np.uint8), np.array([0, 7, 200], np.uint8)
    for ids in (few, high, np.arange(17, dtype=np.uint16)):
        check_is_mask(tmp_path / "soft.png", ids[None])
    with pytest.raises(InputError, match="anti-aliased"):
        check_is_mask(tmp_path / "soft.png", np.arange(18, dtype=np.uint8)[None])


def put_values(folder: Path, *maps: list[list[int]], dtype: type = np.uint8) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for index, values in enumerate(maps):
        Image.fromarray(np.array(values, dtype)).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


def test_what_255_means_is_decided_for_the_whole_sequence(tmp_path: Path) -> None:
    white = put_values(tmp_path / "white", [[0, 0]], [[0, 255]], [[255, 255]])
    assert encoding_of(white) == Encoding(white=255)
    ids_map, void, _ = read_mask(white[1], Encoding(white=255))
    assert (ids_map.tolist(), void) == ([[0, 1]], None)
    void_first = put_values(tmp_path / "void", [[0, 255]], [[1, 255]])
    assert encoding_of(void_first) == Encoding()
    ids_map, void, _ = read_mask(void_first[1], Encoding())
    assert void is not None
    assert void.tolist() == [[False, True]]
    deep = put_values(tmp_path / "deep", [[0, 255]], [[300, 255]], dtype=np.uint16)
    assert encoding_of(deep) == Encoding(), "in 16 bits, 255 is an id"
    assert read_mask(deep[0], Encoding()).void is None
    assert encoding_of(put_values(tmp_path / "deep white", [[0, 65535]], dtype=np.uint16)) == Encoding(white=65535)


def test_smoothed_masks_are_noticed_with_few_levels_too(tmp_path: Path) -> None:
    mask = Image.fromarray(np.kron(np.eye(9, dtype=np.uint8), np.full((9, 9), 255, np.uint8)))
    (tmp_path / "s").mkdir()
    mask.resize((41, 41), Image.Resampling.BILINEAR).save(tmp_path / "s" / "0.png")
    assert encoding_of([tmp_path / "s" / "0.png"]) == Encoding(inspected=True)
    with pytest.raises(InputError, match="anti-aliased"):
        read_mask(tmp_path / "s" / "0.png", Encoding(inspected=True))


def test_colours_that_are_no_ids_are_refused(tmp_path: Path) -> None:
    """Numbered file by file, they would mean other objects where one is missing."""
    picture = np.zeros((10, 12, 3), np.uint8)
    picture[:5, :6], picture[6:, :6] = (10, 200, 30), (250, 3, 99)
    Image.fromarray(picture).save(tmp_path / "two.png")
    with pytest.raises(InputError, match="no ids"):
        read_ids(tmp_path / "two.png")
    picture[6:] = 0
    Image.fromarray(picture).save(tmp_path / "one.png")
    assert read_ids(tmp_path / "one.png").max() == 1


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "real" / "bear" / "0.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "val").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    assert list(find_mask_sequences(tmp_path / "root")) == ["val/bear"]


def test_lists_of_names(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("bear\n\nbig dog \nbear\n", encoding="utf-8-sig")
    assert read_sequence_names(tmp_path / "val.txt") == ["bear", "big dog"]
    (tmp_path / "2016.txt").write_text("/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n" * 2)
    assert read_sequence_names(tmp_path / "2016.txt") == ["bear"]
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(InputError, match="lists nothing"):
        read_sequence_names(tmp_path / "none.txt")


def test_palettes_of_editors_are_read_as_anywhere_else(tmp_path: Path) -> None:
    """Photoshop and `quantize` put black where they like; the fast way would read their order."""
    picture = Image.fromarray(np.array([[0, 0, 128], [0, 0, 0]], np.uint8))
    picture.putpalette([128, 0, 0] + [9, 9, 9] * 127 + [0, 0, 0])
    picture.point(lambda index: 128 if index == 0 else 0).save(tmp_path / "e.png")
    assert read_plain_png(tmp_path / "e.png") is None
    assert read_ids(tmp_path / "e.png").tolist() == [[0, 0, 1], [0, 0, 0]]
    clear = Image.fromarray(IDS)
    clear.putpalette(PALETTE.tobytes())
    clear.save(tmp_path / "c.png", transparency=7)
    assert read_ids(tmp_path / "c.png").tolist() == [[0, 1, 0], [255, 3, 0]]
