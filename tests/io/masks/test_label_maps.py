"""Every form of mask, every way in which one is wrong, and the traps of label-map PNG files.

Covers: io.masks.cut_outs, io.masks.edge_repair, io.masks.soft_edges
"""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageDraw

from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import read_label_map, read_mask_folder, write_label_map
from vossegcli.io.masks.palette import PALETTE

SHARED = Path(os.environ.get("VOSSEG_SHARED", Path(__file__).resolve().parents[4] / "shared"))

HEIGHT, WIDTH = 40, 60
Ids = npt.NDArray[np.uint8]


def _ids(*values: int) -> Ids:
    """Draw blocks of 8x8 pixels with the given ids on background (40,60)."""
    ids_map = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for index, value in enumerate(values):
        row, column = divmod(index, 5)
        ids_map[row * 9 + 2 : row * 9 + 10, column * 10 + 4 : column * 10 + 12] = value
    return ids_map


def _palette_png(path: Path, ids_map: Ids, colors: list[int], **options: bytes) -> Path:
    image = Image.fromarray(ids_map)
    image.putpalette(colors)
    image.save(path, None, **options)
    return path


def _raw_png(path: Path, samples: Ids, depth: int, color_type: int, palette: bytes = b"") -> Path:
    """Write a PNG of 1, 2 or 4 bits a sample by hand: Pillow writes none in grey."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = samples.shape
    bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(height, width * depth).astype(np.uint8), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    colors = chunk(b"PLTE", palette) if palette else b""
    content = chunk(b"IHDR", header) + colors + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def _colored(ids_map: Ids, *colors: tuple[int, ...]) -> Image.Image:
    """Paint id k in the k-th colour; the first is the background."""
    return Image.fromarray(np.array(colors, dtype=np.uint8)[ids_map])


def _smooth(*values: int | tuple[int, ...], mode: str = "L") -> Image.Image:
    """Draw discs and triangles eight times as large and shrink them: the edges become soft."""
    scale = 8
    image = Image.new(mode, (160 * scale, 90 * scale))
    draw = ImageDraw.Draw(image)
    for index, value in enumerate(values):
        left, top = (8 + 36 * index) * scale, (10 + 9 * index) * scale
        if index % 2:
            corners = [
                (left, top),
                (left + 34 * scale, top + 9 * scale),
                (left + 5 * scale, top + 45 * scale),
            ]
            draw.polygon(corners, fill=value)
        else:
            draw.ellipse([left, top, left + 32 * scale, top + 46 * scale], fill=value)
    return image.resize((160, 90), Image.Resampling.BOX)


def test_palette_indices_are_ids(tmp_path: Path) -> None:
    ids_map = _ids(1, 3, 7)
    label_map = read_label_map(_palette_png(tmp_path / "a b ü.png", ids_map, PALETTE.ravel().tolist()))
    np.testing.assert_array_equal(label_map.ids_map, ids_map)
    assert label_map.ids_map.dtype == np.uint8
    assert (label_map.ids, label_map.note) == ((1, 3, 7), None)


def test_palette_colours_do_not_matter(tmp_path: Path) -> None:
    """`.convert("L")` would give luminance, imageio colours; a short palette is still a palette."""
    ids_map = _ids(1, 2)
    for name, colors in (("grey", [0] * 3 + [9] * 3 + [200] * 3), ("same", [5, 5, 5] * 3)):
        path = _palette_png(tmp_path / f"{name}.png", ids_map, colors)
        np.testing.assert_array_equal(read_label_map(path).ids_map, ids_map)


@pytest.mark.parametrize(("depth", "values"), [(1, (1,)), (2, (1, 3)), (4, (2, 15)), (8, (1, 200))])
def test_palettes_of_every_depth(tmp_path: Path, depth: int, values: tuple[int, ...]) -> None:
    ids_map = _ids(*values)
    path = _raw_png(tmp_path / "p.png", ids_map, depth, 3, PALETTE[: 2**depth].tobytes())
    label_map = read_label_map(path)
    np.testing.assert_array_equal(label_map.ids_map, ids_map)
    assert label_map.ids == values


def test_palette_with_alpha(tmp_path: Path) -> None:
    ids_map = _ids(1, 2)
    path = _palette_png(tmp_path / "t.png", ids_map, PALETTE.ravel().tolist(), transparency=b"\x00\xff\x80")
    np.testing.assert_array_equal(read_label_map(path).ids_map, ids_map)


def test_black_at_another_palette_index_is_background(tmp_path: Path) -> None:
    path = _palette_png(tmp_path / "p.png", _ids(1), [255, 255, 255, 0, 0, 0])
    label_map = read_label_map(path)
    np.testing.assert_array_equal(label_map.ids_map, 1 - _ids(1))
    assert "index 1 is black" in (label_map.note or "")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey_samples_are_ids(tmp_path: Path, suffix: str) -> None:
    ids_map = _ids(1, 7, 200)
    Image.fromarray(ids_map).save(tmp_path / f"g{suffix}")
    label_map = read_label_map(tmp_path / f"g{suffix}")
    np.testing.assert_array_equal(label_map.ids_map, ids_map)
    assert (label_map.ids, label_map.note) == ((1, 7, 200), None)


@pytest.mark.parametrize(("depth", "values"), [(2, (1, 2)), (4, (1, 2, 9))])
def test_narrow_grey_samples_are_not_scaled(tmp_path: Path, depth: int, values: tuple[int, ...]) -> None:
    ids_map = _ids(*values)
    label_map = read_label_map(_raw_png(tmp_path / "g.png", ids_map, depth, 0))
    np.testing.assert_array_equal(label_map.ids_map, ids_map)


def test_16_bit_grey(tmp_path: Path) -> None:
    ids_map = _ids(1, 2).astype(np.uint16)
    Image.fromarray(ids_map).save(tmp_path / "small.png")
    assert read_label_map(tmp_path / "small.png").ids_map.dtype == np.uint8
    ids_map = ids_map * 300 + (ids_map == 2) * np.uint16(40000)
    ids_map[30:38, 30:38] = 255
    Image.fromarray(ids_map).save(tmp_path / "large.png")
    label_map = read_label_map(tmp_path / "large.png")
    np.testing.assert_array_equal(label_map.ids_map, ids_map)
    assert label_map.ids_map.dtype == np.uint16
    assert label_map.ids == (255, 300, 40600)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_one_mask_in_three_channels_keeps_its_ids(tmp_path: Path, dtype: type, planes: str) -> None:
    """Pillow gives the upper 8 bits alone, or nothing."""
    ids = np.array([[0, 1, 255], [300, 0, 1]], dtype)
    three = np.stack([ids] * 3, axis=0 if planes == "separate" else 2)
    tifffile.imwrite(tmp_path / "m.tif", three, photometric="rgb", planarconfig=planes)
    assert np.array_equal(read_label_map(tmp_path / "m.tif").ids_map, ids)


def test_colours_in_16_bits_are_colours(tmp_path: Path) -> None:
    colors = np.zeros((6, 6, 3), np.uint16)
    colors[:2, :2, 0] = colors[4:, 4:, 1] = 65535
    tifffile.imwrite(tmp_path / "m.tif", colors, photometric="rgb")
    assert read_label_map(tmp_path / "m.tif").ids == (1, 2)


def test_several_masks_in_the_channels_of_one_page_are_refused(tmp_path: Path) -> None:
    """As tifffile writes three label maps unless it is told that they are pages."""
    stack = np.arange(3 * 6 * 8, dtype=np.int32).reshape(3, 6, 8) // 40
    tifffile.imwrite(tmp_path / "m.tif", stack, photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match=r"three values a pixel that differ.*photometric='minisblack'"):
        read_label_map(tmp_path / "m.tif")


def test_16_bit_grey_with_alpha_is_refused(tmp_path: Path) -> None:
    samples = np.zeros((4, 4), dtype=np.uint8)
    path = _raw_png(tmp_path / "la.png", samples, 8, 4)
    content = bytearray(path.read_bytes())
    content[24] = 16
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="alpha"):
        read_label_map(path)


@pytest.mark.parametrize("white", [255, 65535])
def test_black_and_white_is_object_1(tmp_path: Path, white: int) -> None:
    samples = _ids(1).astype(np.int64) * white
    Image.fromarray(samples.astype(np.uint8 if white == 255 else np.uint16)).save(tmp_path / "b.png")
    label_map = read_label_map(tmp_path / "b.png")
    np.testing.assert_array_equal(label_map.ids_map, _ids(1))
    assert label_map.note == f"0/{white} read as object 1"


def test_one_bit_and_0_1_images(tmp_path: Path) -> None:
    """Written with `imageio ... mode="P"`, such files lose labels; read, they are objects 1."""
    Image.fromarray(_ids(1) > 0).save(tmp_path / "bit.png")
    Image.fromarray(_ids(1) > 0).save(tmp_path / "bit.tif")
    Image.fromarray(_ids(1)).save(tmp_path / "grey.png")
    for name in ("bit.png", "bit.tif", "grey.png"):
        label_map = read_label_map(tmp_path / name)
        np.testing.assert_array_equal(label_map.ids_map, _ids(1))
        assert label_map.note is None


def test_palette_of_0_and_255_is_object_1(tmp_path: Path) -> None:
    path = _palette_png(tmp_path / "p.png", _ids(255), PALETTE.ravel().tolist())
    label_map = read_label_map(path)
    np.testing.assert_array_equal(label_map.ids_map, _ids(1))
    assert label_map.note == "0/255 read as object 1"


@pytest.mark.parametrize("kind", ["palette", "grey"])
def test_255_beside_other_ids_is_void(tmp_path: Path, kind: str) -> None:
    ids_map = _ids(1, 2, 255)
    if kind == "palette":
        path = _palette_png(tmp_path / "p.png", ids_map, PALETTE.ravel().tolist())
    else:
        path = tmp_path / "g.png"
        Image.fromarray(ids_map).save(path)
    label_map = read_label_map(path)
    np.testing.assert_array_equal(label_map.ids_map, _ids(1, 2))
    assert "void" in (label_map.note or "")


def test_colours_of_the_davis_palette_are_its_ids(tmp_path: Path) -> None:
    colors = [tuple(PALETTE[row].tolist()) for row in (0, 3, 7)]
    _colored(_ids(1, 2), *colors).save(tmp_path / "c.png")
    label_map = read_label_map(tmp_path / "c.png")
    np.testing.assert_array_equal(label_map.ids_map, _ids(3, 7))
    assert "DAVIS" in (label_map.note or "")


@pytest.mark.parametrize(
    ("suffix", "options"), [(".png", {}), (".bmp", {}), (".tif", {}), (".webp", {"lossless": True})]
)
def test_other_colours_are_numbered_in_their_order(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    colors = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (128, 0, 0)]
    _colored(_ids(1, 2, 3), *colors).save(tmp_path / f"c{suffix}", **options)
    label_map = read_label_map(tmp_path / f"c{suffix}")
    np.testing.assert_array_equal(label_map.ids_map, _ids(3, 1, 2))
    assert label_map.note == "colours read as objects: (0, 255, 0) = 1, (128, 0, 0) = 2, (255, 0, 0) = 3"


def test_transparent_pixels_are_background(tmp_path: Path) -> None:
    _colored(_ids(1, 2), (9, 90, 200, 0), (255, 0, 0, 255), (255, 255, 0, 255)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png").ids_map, _ids(1, 2))
    _colored(_ids(1, 2), (0, 0, 0, 0), (255, 0, 0, 128), (255, 255, 0, 128)).save(tmp_path / "half.png")
    label_map = read_label_map(tmp_path / "half.png")
    assert label_map.note == "colours read as objects: (255, 0, 0) = 1, (255, 255, 0) = 2"
    _colored(_ids(1), (7, 0), (255, 255)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "la.png").ids_map, _ids(1))


def test_a_0_and_1_mask_that_became_rgb_is_one_object(tmp_path: Path) -> None:
    """As in the examples of FSS-1000, where some edge pixels have lost a channel."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[5:15, 8:20] = 1
    pixels[5, 8:20] = (0, 1, 1)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    label_map = read_label_map(tmp_path / "m.png")
    assert label_map.ids == (1,)
    assert np.array_equal(label_map.ids_map == 1, pixels.any(axis=2))


def test_dim_greys_of_an_rgb_image_are_ids(tmp_path: Path) -> None:
    _colored(_ids(1, 2), (0, 0, 0), (3, 3, 3), (7, 7, 7)).save(tmp_path / "c.png")
    assert read_label_map(tmp_path / "c.png").ids == (3, 7)


def test_a_mask_without_background(tmp_path: Path) -> None:
    ids_map = np.where(_ids(1) > 0, np.uint8(2), np.uint8(1))
    Image.fromarray(ids_map).save(tmp_path / "g.png")
    assert read_label_map(tmp_path / "g.png").ids == (1, 2)
    _colored(ids_map - 1, (0, 0, 255), (255, 0, 0)).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "c.png").ids_map, ids_map)


def test_a_flat_jpeg(tmp_path: Path) -> None:
    image = np.zeros((48, 64), dtype=np.uint8)
    image[16:32, 16:48] = 255  # on the 8x8 blocks of JPEG
    Image.fromarray(image).save(tmp_path / "m.jpg", quality=100)
    np.testing.assert_array_equal(read_label_map(tmp_path / "m.jpg").ids_map, image // 255)


SMOOTH: dict[str, tuple[Image.Image, int]] = {
    "white": (_smooth(255), 1),
    "shades": (_smooth(85, 170, 255), 3),
    "one shade": (_smooth(128), 1),
    "ids": (_smooth(6), 1),
    "colours": (_smooth((255, 0, 0), (0, 255, 0), (0, 0, 255), mode="RGB"), 3),
    "davis": (_smooth((128, 0, 0), (0, 128, 0), (64, 0, 0), (0, 0, 128), mode="RGB"), 4),
    "rgba": (_smooth((255, 0, 0, 255), (0, 255, 0, 255), mode="RGBA"), 2),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_an_anti_aliased_mask_is_refused_and_can_be_fixed(tmp_path: Path, name: str) -> None:
    image, count = SMOOTH[name]
    image.save(tmp_path / "soft.png")
    with pytest.raises(InputError, match="is anti-aliased") as caught:
        read_label_map(tmp_path / "soft.png")
    assert caught.value.where == str(tmp_path / "soft.png")
    assert "--fix-mask" in (caught.value.fix or "")
    fixed = read_label_map(tmp_path / "soft.png", fix=True)
    assert len(fixed.ids) == count
    assert "anti-aliased pixels were snapped" in (fixed.note or "")
    whole = np.array(image.convert("L") if image.mode != "L" else image)
    disagreement = (fixed.ids_map > 0) != (whole > whole.max() / 2) if count == 1 else np.zeros(1)
    assert disagreement.mean() < 0.001


@pytest.mark.parametrize("quality", [60, 90])
def test_jpeg_masks_are_refused_and_can_be_fixed(tmp_path: Path, quality: int) -> None:
    ids_map = _ids(1, 2, 3).repeat(4, axis=0).repeat(4, axis=1)
    image = _colored(ids_map, (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
    image.save(tmp_path / "m.jpg", quality=quality)
    Image.open(tmp_path / "m.jpg").save(tmp_path / "copy.png")
    for name in ("m.jpg", "copy.png"):
        with pytest.raises(InputError, match="is anti-aliased"):
            read_label_map(tmp_path / name)
        fixed = read_label_map(tmp_path / name, fix=True)
        assert fixed.ids == (1, 2, 3)
        assert (fixed.ids_map != np.array([0, 3, 2, 1])[ids_map]).mean() < 0.01


def test_the_edge_of_white_leaves_no_seam_of_a_shade(tmp_path: Path) -> None:
    """Shade 128 exists elsewhere; the edge pixels of the white disc must not become that object."""
    _smooth(255, 128).save(tmp_path / "soft.png")
    fixed = read_label_map(tmp_path / "soft.png", fix=True)
    assert fixed.ids == (1, 2)
    columns = np.flatnonzero((fixed.ids_map == 1).any(axis=0))
    assert columns.min() > 40


def test_a_thin_object_between_two_others_is_kept_and_noted(tmp_path: Path) -> None:
    ids_map = np.zeros((90, 160), dtype=np.uint8)
    ids_map[30:60, 40:120] = 3
    ids_map[29, 40:120] = 1
    Image.fromarray(ids_map).save(tmp_path / "thin.png")
    label_map = read_label_map(tmp_path / "thin.png")
    np.testing.assert_array_equal(label_map.ids_map, ids_map)
    assert "thin line" in (label_map.note or "")


@pytest.mark.parametrize("make", [lambda rng: rng.integers(0, 5, (30, 40)), lambda rng: rng.permutation(250)])
def test_many_small_objects_are_no_anti_aliasing(
    tmp_path: Path, make: Callable[[np.random.Generator], npt.NDArray[np.int64]]
) -> None:
    values = make(np.random.default_rng(0)).astype(np.uint8)
    ids_map = values if values.ndim == 2 else np.kron(values.reshape(10, 25), np.ones((2, 3), dtype=np.uint8))
    write_label_map(tmp_path / "m.png", ids_map)
    label_map = read_label_map(tmp_path / "m.png")
    np.testing.assert_array_equal(label_map.ids_map, ids_map)


def test_touching_objects_with_slivers_are_no_anti_aliasing(tmp_path: Path) -> None:
    """A pile of overlapping discs, some nearly covered: flat regions that touch, with thin remains."""
    rng = np.random.default_rng(3)
    image = Image.new("L", (320, 240))
    colors = Image.new("RGB", (320, 240))
    for value in rng.permutation(np.arange(1, 201)):
        x, y, radius = rng.integers(0, 320), rng.integers(0, 240), rng.integers(2, 16)
        box = [int(x - radius), int(y - radius), int(x + radius), int(y + radius)]
        ImageDraw.Draw(image).ellipse(box, fill=int(value))
        color = tuple(int(level) for level in rng.integers(0, 256, 3))
        ImageDraw.Draw(colors).ellipse(box, fill=color)
    image.save(tmp_path / "pile.png")
    colors.save(tmp_path / "colors.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "pile.png").ids_map, np.array(image))
    assert len(read_label_map(tmp_path / "colors.png").ids) > 100


def test_a_photograph_is_refused_even_with_fix(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:120, 0:160]
    noise = np.random.default_rng(0).normal(0, 4, (120, 160))
    grey = (128 + 80 * np.sin(rows / 17) * np.cos(columns / 23) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([grey, 255 - grey, grey // 2], axis=2)).save(tmp_path / "rgb.jpg")
    Image.fromarray(grey[:20, :20]).save(tmp_path / "tiny.jpg")
    for name in ("grey.png", "rgb.jpg", "tiny.jpg"):
        for fix in (False, True):
            with pytest.raises(InputError, match="a photograph, not a mask"):
                read_label_map(tmp_path / name, fix=fix)


def test_another_size_than_the_frame_is_refused_and_can_be_fixed(tmp_path: Path) -> None:
    write_label_map(tmp_path / "m.png", _ids(1, 2))
    assert read_label_map(tmp_path / "m.png", size=(HEIGHT, WIDTH)).note is None
    with pytest.raises(InputError, match=r"m\.png: is 60x40, but its frame is 120x80.*--fix-mask"):
        read_label_map(tmp_path / "m.png", size=(80, 120))
    for fix in (False, True):  # resizing it would put every object somewhere else
        with pytest.raises(InputError, match="turned by 90 degrees"):
            read_label_map(tmp_path / "m.png", size=(WIDTH, HEIGHT), fix=fix)
    fixed = read_label_map(tmp_path / "m.png", size=(80, 120), fix=True)
    np.testing.assert_array_equal(fixed.ids_map, _ids(1, 2).repeat(2, axis=0).repeat(2, axis=1))
    assert fixed.note == "resized from 60x40 to 120x80"


def test_a_mask_without_objects(tmp_path: Path) -> None:
    write_label_map(tmp_path / "m.png", _ids())
    with pytest.raises(InputError, match="holds no object"):
        read_label_map(tmp_path / "m.png")
    assert read_label_map(tmp_path / "m.png", allow_empty=True).ids == ()


def test_sixteen_bits_hold_any_number_of_objects_and_no_void(tmp_path: Path) -> None:
    for count in (254, 255, 256, 1000):
        ids_map = np.zeros((64, 64), dtype=np.uint16)
        ids_map.flat[:count] = np.arange(1, count + 1)
        write_label_map(tmp_path / "m.png", ids_map)
        found = read_label_map(tmp_path / "m.png")
        assert found.ids == tuple(range(1, count + 1))
        np.testing.assert_array_equal(found.ids_map, ids_map)
        assert found.note is None
        write_label_map(tmp_path / "again.png", found.ids_map)  # 255 does not become void on the way
        assert read_label_map(tmp_path / "again.png").ids == found.ids
    only = np.zeros((64, 64), dtype=np.uint16)
    only[5:9, 5:9] = 255
    write_label_map(tmp_path / "m.png", only)
    assert read_label_map(tmp_path / "m.png").ids == (255,)


def test_unreadable_masks_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    Image.fromarray(np.array([[0.5]], dtype=np.float32)).save(tmp_path / "f.tif")
    for name, reason in (("empty.png", "empty"), ("absent.png", "exist"), ("f.tif", "no ids")):
        with pytest.raises(InputError, match=reason) as caught:
            read_label_map(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


@pytest.mark.parametrize("values", [(1,), (1, 2, 3, 4, 5, 6, 7), (254, 255), ()])
def test_written_as_8_bit_palette_with_all_colours(tmp_path: Path, values: tuple[int, ...]) -> None:
    """A shorter palette would wrap labels; imageio would write one bit."""
    ids_map = _ids(*values)
    write_label_map(tmp_path / "new" / "m.png", ids_map)
    with Image.open(tmp_path / "new" / "m.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image), ids_map)
        assert image.getpalette("RGB") == PALETTE.ravel().tolist()
    header = (tmp_path / "new" / "m.png").read_bytes()[:26]
    assert (header[24], header[25]) == (8, 3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.png"]


@pytest.mark.parametrize("largest", [255, 256, 65535])
def test_large_ids_are_written_as_16_bit_grey(tmp_path: Path, largest: int) -> None:
    ids_map = _ids(1, 2).astype(np.uint16)
    ids_map[ids_map == 2] = largest
    write_label_map(tmp_path / "m.png", ids_map)
    header = (tmp_path / "m.png").read_bytes()[:26]
    assert (header[24], header[25]) == (16, 0)
    with Image.open(tmp_path / "m.png") as image:
        np.testing.assert_array_equal(np.array(image), ids_map)


def test_any_integer_type_may_be_written(tmp_path: Path) -> None:
    write_label_map(tmp_path / "m.png", _ids(1, 7).astype(np.int64)[:, ::-1])
    np.testing.assert_array_equal(read_label_map(tmp_path / "m.png").ids_map, _ids(1, 7)[:, ::-1])
    for wrong in (np.full((2, 2), -1), np.full((2, 2), 65536), np.zeros((2, 2, 1), dtype=np.uint8)):
        with pytest.raises(ValueError, match="label map"):
            write_label_map(tmp_path / "m.png", wrong)


def test_mask_folder(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "ü x.png", "._2.png"):
        write_label_map(tmp_path / "masks" / name, _ids(1))
    (tmp_path / "masks" / "notes.txt").touch()
    found = read_mask_folder(tmp_path / "masks")
    assert list(found) == ["2", "10", "ü x"]
    assert found["2"] == tmp_path / "masks" / "2.png"
    write_label_map(tmp_path / "masks" / "2.bmp", _ids(1))
    (tmp_path / "none").mkdir()
    for name, reason in (("masks", "same name"), ("none", "no mask images"), ("absent", "does not exist")):
        with pytest.raises(InputError, match=reason):
            read_mask_folder(tmp_path / name)


@pytest.mark.shared
def test_real_masks_are_read_as_they_are() -> None:
    caps, davis = SHARED / "data" / "video" / "caps", SHARED / "fixtures" / "davis"
    if not caps.is_dir() or not davis.is_dir():
        pytest.skip(f"no shared material in {SHARED}")
    ids = [read_label_map(path).ids for path in read_mask_folder(caps / "masks").values()]
    assert set().union(*ids) == {1, 2}
    for folder in (davis / "gt").iterdir():
        for path in list(read_mask_folder(folder).values())[::20]:
            label_map = read_label_map(path, allow_empty=True)
            with Image.open(path) as image:
                np.testing.assert_array_equal(label_map.ids_map, np.array(image))
            assert label_map.note is None


@pytest.mark.parametrize("kind", ["int64", "float64", "uint32"])
def test_wide_tiff_files_hold_ids(kind: str, tmp_path: Path) -> None:
    ids = np.zeros((20, 30), kind)
    ids[3:12, 4:20], ids[14:18, 4:8] = 300, 7
    tifffile.imwrite(tmp_path / "ids.tif", ids)
    found = read_label_map(tmp_path / "ids.tif")
    assert found.ids == (7, 300) and np.array_equal(found.ids_map, ids)
    tifffile.imwrite(tmp_path / "ids.tif", ids + ids.dtype.type(65500))
    with pytest.raises(InputError, match="no ids"):
        read_label_map(tmp_path / "ids.tif")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i4", "i8", "u4", "u8"])
def test_tiff_masks_of_any_type(tmp_path: Path, dtype: str) -> None:
    ids_map = np.zeros((20, 30), np.int64)
    ids_map[3:9, 3:9], ids_map[10:16, 10:25] = 3, 300
    tifffile.imwrite(tmp_path / "m.tif", ids_map.astype(dtype))
    assert np.array_equal(read_label_map(tmp_path / "m.tif").ids_map, ids_map)
