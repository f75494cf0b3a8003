"""Parts of pictures, read from files of every kind: each equals the same part of the whole picture.

Covers: io.media.regions, io.media.decoded_regions, io.media.tiff_regions, io.media.tiff_segments
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.media import tiff_regions
from vossegcli.io.media.decoded_regions import open_decoded_regions
from vossegcli.io.media.depth import scale_image
from vossegcli.io.media.images import limit_pixels, read_image
from vossegcli.io.media.kinds import kind_of
from vossegcli.io.media.regions import open_picture
from vossegcli.io.media.tiff_regions import TiffRegions, open_tiff_regions
from vossegcli.names import MAX_PIXELS

PARTS = [np.s_[0:200, 0:300], np.s_[17:111, 90:91], np.s_[128:200, 256:300], np.s_[60:61, 0:300]]


def drawing(dtype: str, channels: int = 3) -> np.ndarray:
    y, x = np.mgrid[:200, :300]
    picture = np.stack([(x * 3) % 251, (y * 2) % 241, (x + y) % 199], axis=2)[..., :channels]
    scaled = picture * (200 if dtype != "uint8" else 1)
    return np.ascontiguousarray(scaled[..., 0] if channels == 1 else scaled).astype(dtype)


LAYOUTS: dict[str, dict[str, Any]] = {
    "tiled": {"tile": (64, 64), "compression": "zlib"},
    "strips": {"rowsperstrip": 48, "compression": "zlib"},
    "plain": {},
    "plain tiles": {"tile": (48, 80)},
    "big": {"tile": (64, 64), "compression": "zlib", "bigtiff": True},
    "big-endian": {"tile": (64, 64), "compression": "zlib", "byteorder": ">"},
    "big-endian plain": {"byteorder": ">"},
}


def check_parts(path: Path, *, regions: bool = True) -> None:
    assert isinstance(open_tiff_regions(path), TiffRegions) is regions
    whole, picture = read_image(path), open_picture(path)
    assert picture.shape == whole.shape
    for part in PARTS:
        shown = picture[part]
        assert shown.dtype == np.uint8
        assert shown.flags.writeable, "PyTorch warns of arrays that are not"
        assert np.array_equal(shown, whole[part])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiff(tmp_path: Path, layout: str, channels: int, dtype: str) -> None:
    path = tmp_path / "a.tif"
    photometric = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(path, drawing(dtype, channels), photometric=photometric, **LAYOUTS[layout])
    check_parts(path)


@pytest.mark.parametrize("layout", ["tiled", "plain"])
def test_separate_planes(tmp_path: Path, layout: str) -> None:
    planes = np.moveaxis(drawing("uint16"), 2, 0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", **LAYOUTS[layout])
    check_parts(path)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressions_of_libtiff(tmp_path: Path, compression: str, mode: str) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"tiffinfo": {278: 64}}  # rows in a strip
    Image.fromarray(drawing("uint8")).convert(mode).save(path, compression=compression, **options)
    check_parts(path)


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_tiles_as_scanners_write_them(tmp_path: Path, subsampling: tuple[int, int]) -> None:
    picture = np.pad(drawing("uint8"), ((0, 56), (0, 20), (0, 0)), mode="edge")

    def tiles() -> Iterator[bytes]:
        for top, left in np.ndindex(4, 5):
            file = io.BytesIO()
            tile = picture[64 * top :, 64 * left :][:64, :64]
            Image.fromarray(tile).save(file, "JPEG", quality=95, subsampling=2 if subsampling == (2, 2) else 0)
            yield file.getvalue()

    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, tiles(), shape=(200, 300, 3), dtype=np.uint8, tile=(64, 64), photometric="rgb", compression="zlib",
        extratags=[(530, "H", 2, subsampling, False)],
    )  # fmt: skip
    with tifffile.TiffFile(path, mode="r+") as file:  # tifffile alone writes no JPEG: only the tags are changed
        file.pages.first.tags[259].overwrite(tifffile.COMPRESSION.JPEG)
        file.pages.first.tags[262].overwrite(tifffile.PHOTOMETRIC.YCBCR)
    check_parts(path)


def test_pyramid_and_slide(tmp_path: Path) -> None:
    picture = drawing("uint8")
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(picture, subifds=1, tile=(64, 64), photometric="rgb", metadata={"axes": "YXS"})
        file.write(picture[::2, ::2], subfiletype=1, tile=(64, 64), photometric="rgb")
    common: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        title = "Aperio Image Library v1\r\n300x200 (64x64)|AppMag = 20"
        file.write(picture, tile=(64, 64), description=title, **common)
        file.write(picture[::4, ::4], description=title, **common)
        file.write(picture[::2, ::2], tile=(64, 64), description=title, **common)
        file.write(picture[:50, :50], subfiletype=1, description="Aperio\nlabel", **common)
    for name in ("a.ome.tif", "a.svs"):
        assert kind_of(tmp_path / name) == "image"
        check_parts(tmp_path / name)


def test_other_files_are_read_as_a_whole(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.fromarray(drawing("uint8")).save(tmp_path / name)
        check_parts(tmp_path / name, regions=False)
    palette = Image.fromarray(drawing("uint8")).quantize(8)
    palette.save(tmp_path / "palette.tif", compression="tiff_lzw")
    check_parts(tmp_path / "palette.tif", regions=False)
    turned = Image.fromarray(drawing("uint8"))
    turned.save(tmp_path / "turned.tif", tiffinfo={274: 6})
    assert open_tiff_regions(tmp_path / "turned.tif") is None
    assert open_picture(tmp_path / "turned.tif").shape == (300, 200, 3)


MODES = {
    "png": ("RGB", "RGBA", "L", "LA", "P", "1"),
    "jpg": ("RGB", "L", "CMYK", "YCbCr"),
    "webp": ("RGB", "RGBA", "L"),
    "bmp": ("RGB", "RGBA", "L", "P", "1"),
    "gif": ("RGB", "L", "P"),
    "jp2": ("RGB", "RGBA", "L", "LA"),
}


@pytest.mark.parametrize(("suffix", "mode"), [(suffix, mode) for suffix, modes in MODES.items() for mode in modes])
def test_decoded_pictures(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture = Image.fromarray(drawing("uint8")).convert(mode)
    if mode in {"RGBA", "LA"}:
        picture.putalpha(Image.fromarray(drawing("uint8", 1)))
    picture.save(path)
    assert open_decoded_regions(path) is not None
    check_parts(path, regions=False)


@pytest.mark.parametrize("transparency", [3, bytes([255, 0, 80])])
def test_a_transparent_palette(tmp_path: Path, transparency: int | bytes) -> None:
    Image.fromarray(drawing("uint8")).quantize(8).save(tmp_path / "a.png", transparency=transparency)
    check_parts(tmp_path / "a.png", regions=False)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(drawing("uint8")).save(tmp_path / "a.png", exif=exif)
    whole, picture = read_image(tmp_path / "a.png"), open_picture(tmp_path / "a.png")
    assert picture.shape == whole.shape
    for part in (*PARTS, np.s_[3:5, 150:200], np.s_[:, 7:9]):
        assert np.array_equal(picture[part], whole[part])


def test_more_than_8_bits_are_read_with_all_of_them(tmp_path: Path) -> None:
    Image.fromarray(drawing("uint16", 1)).save(tmp_path / "grey.png")
    rows = (drawing("uint16") * 3).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 300, 200, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    content = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    (tmp_path / "color.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    for name in ("grey.png", "color.png"):
        assert open_decoded_regions(tmp_path / name) is None
        assert open_picture(tmp_path / name).note is not None
        check_parts(tmp_path / name, regions=False)


def test_a_truncated_picture_is_named(tmp_path: Path) -> None:
    Image.fromarray(drawing("uint8")).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:4000])
    with pytest.raises(InputError, match="truncated"):
        open_picture(tmp_path / "a.jpg")


def test_one_large_strip_is_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", drawing("uint8"), rowsperstrip=200, compression="zlib", photometric="rgb")
    check_parts(tmp_path / "a.tif")
    monkeypatch.setattr(tiff_regions, "LARGEST_SEGMENT", 1000)
    check_parts(tmp_path / "a.tif", regions=False)


def test_a_small_cache_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_regions, "CACHE_BYTES", 64 * 64 * 3 * 2)
    tifffile.imwrite(tmp_path / "a.tif", drawing("uint8"), tile=(64, 64), compression="zlib", photometric="rgb")
    check_parts(tmp_path / "a.tif")


def test_the_note_is_that_of_the_whole(tmp_path: Path) -> None:
    samples = drawing("uint16")
    tifffile.imwrite(tmp_path / "a.tif", samples, tile=(64, 64), photometric="rgb")
    _, note = scale_image(samples, None)
    assert note is not None
    assert open_picture(tmp_path / "a.tif").note == note


def test_damage_and_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, drawing("uint8"), tile=(64, 64), compression="zlib", photometric="rgb")
    regions = open_tiff_regions(path)
    assert regions is not None
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.dataoffsets[-1]
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    picture = open_picture(path)
    assert picture[0:64, 0:64].shape == (64, 64, 3)
    with pytest.raises(InputError, match="damaged"):
        picture[190:200, 290:300]
    try:
        limit_pixels(1000)
        with pytest.raises(InputError, match="too large"):
            open_tiff_regions(path)
    finally:
        limit_pixels(MAX_PIXELS)
