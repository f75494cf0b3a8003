"""EXIF orientations, and how little is read to find them."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from vossegcli.errors import InputError
from vossegcli.io.media.images import opened_image, read_image, read_image_size
from vossegcli.io.media.orientation import orientation_of, upright_samples

DRAWING = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def put(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(DRAWING).save(path, exif=exif)


def move_exif_behind_the_pixels(path: Path) -> None:
    content, chunks, place = path.read_bytes(), [], 8
    while place < len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        chunks.append(content[place : place + length + 12])
        place += length + 12
    late = [chunk for chunk in chunks if chunk[4:8] == b"eXIf"]
    assert late
    others = [chunk for chunk in chunks if chunk[4:8] != b"eXIf"]
    path.write_bytes(content[:8] + b"".join([*others[:-1], *late, others[-1]]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("place", ["before", "behind"])
def test_png(tmp_path: Path, place: str, orientation: int) -> None:
    put(tmp_path / "a.png", orientation)
    if place == "behind":
        move_exif_behind_the_pixels(tmp_path / "a.png")
    with opened_image(tmp_path / "a.png") as image:
        assert orientation_of(image) == orientation
    upright = upright_samples(DRAWING, orientation)
    assert read_image_size(tmp_path / "a.png") == upright.shape[:2]
    assert np.array_equal(read_image(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("orientation", [1, 6])
def test_pixels_are_not_decoded_for_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int) -> None:
    Image.fromarray(DRAWING).save(tmp_path / "plain.png")
    put(tmp_path / "turned.png", orientation)

    def load(_: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert read_image_size(tmp_path / "plain.png") == (4, 6)
    assert read_image_size(tmp_path / "turned.png") == ((4, 6) if orientation == 1 else (6, 4))


def test_a_png_that_ends_early_is_looked_at(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (50, 60, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    with pytest.raises(InputError, match="truncated"):
        read_image_size(tmp_path / "a.png")


def test_orientation_in_xmp(tmp_path: Path) -> None:
    """Some cameras' tools write it there alone."""
    Image.fromarray(DRAWING).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="8"/>'
    chunk = struct.pack(">I", len(text)) + b"iTXt" + text + struct.pack(">I", zlib.crc32(b"iTXt" + text))
    for place in (33, len(content) - 12):
        (tmp_path / "b.png").write_bytes(content[:place] + chunk + content[place:])
        assert read_image_size(tmp_path / "b.png") == (6, 4)
