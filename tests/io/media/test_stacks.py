"""Image stacks as frames: which pages, which values, and what is told.

Covers: io.media.stack_axes, io.media.tiff_stacks
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.media import stacks
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.reading import Reading
from vossegcli.io.media.sequences import find_sequences
from vossegcli.io.media.stack_axes import parse_axes, plan_pages
from vossegcli.io.media.stacks import StackFrames, is_stack

COUNT, HEIGHT, WIDTH = 7, 20, 30


@pytest.fixture
def pages() -> npt.NDArray[np.uint8]:
    """Frames (7,20,30) that use all values of 8 bits."""
    return np.random.default_rng(0).integers(0, 256, (COUNT, HEIGHT, WIDTH), dtype=np.uint8)


def _shown(path: Path, **said: Any) -> npt.NDArray[np.int64]:
    return np.stack([frame.image for frame in StackFrames(path, **said).iterate()]).astype(np.int64)


WRITERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ImageJ": {"imagej": True},
    "ImageJ, times": {"imagej": True, "metadata": {"axes": "TYX"}},
    "ImageJ, slices": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "OME": {"ome": True, "metadata": {"axes": "TYX"}},
    "BigTIFF": {"bigtiff": True},
    "deflate": {"compression": "zlib"},
    "big endian": {"byteorder": ">"},
    "strips": {"rowsperstrip": 4},
    "tiles": {"tile": (16, 16)},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("writer", WRITERS)
def test_tiff_stacks(pages: npt.NDArray[np.uint8], writer: str, dtype: str, tmp_path: Path) -> None:
    if WRITERS[writer].get("imagej") and dtype == "uint32":
        pytest.skip("ImageJ knows no uint32")
    path = tmp_path / "stack.tif"
    tifffile.imwrite(
        path, pages.astype(dtype) * (1 if dtype == "uint8" else 13), photometric="minisblack", **WRITERS[writer]
    )
    assert is_stack(path)
    frames = StackFrames(path)
    assert (len(frames), frames.size) == (COUNT, (HEIGHT, WIDTH))
    assert frames.names[:2] == ("00000", "00001")
    assert np.abs(_shown(path) - pages[..., None]).max() <= 1
    (third,) = frames.iterate(3, 4)
    np.testing.assert_array_equal(third.image, _shown(path)[3])
    backward = [(frame.name, frame.image) for frame in frames.iterate(1, 5, reverse=True)]
    assert [name for name, _ in backward] == ["00004", "00003", "00002", "00001"]
    np.testing.assert_array_equal(np.stack([image for _, image in backward]), _shown(path)[4:0:-1])


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_compressed_stacks(pages: npt.NDArray[np.uint8], compression: str, dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    first, *others = [
        Image.fromarray(page.astype(dtype) * np.array(100 if dtype == "uint16" else 1, dtype)) for page in pages
    ]
    first.save(path, save_all=True, append_images=others, compression=compression)
    assert np.abs(_shown(path) - pages[..., None]).max() <= 1


def test_pages_written_one_by_one(pages: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """Each page is a series of its own for tifffile then."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page)
    assert is_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(_shown(tmp_path / "a.tif")[..., 0], pages)


def test_one_block_of_samples(pages: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """ImageJ writes a single page for stacks of over 4 GB, and the samples of all behind each other."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pages.astype(np.uint16) * 5, imagej=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as file:
        first, second = file.pages[0].offset, file.pages[1].offset
    content = path.read_bytes()
    assert content.count(second.to_bytes(4, "little")) == 1
    path.write_bytes(content.replace(second.to_bytes(4, "little"), bytes(4)))
    assert first < second
    assert is_stack(path)
    assert np.abs(_shown(path) - pages[..., None]).max() <= 1


def test_colour_pages(tmp_path: Path) -> None:
    color = np.random.default_rng(1).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", color, photometric="rgb")
    np.testing.assert_array_equal(_shown(tmp_path / "rgb.tif"), color)
    planar = np.ascontiguousarray(np.moveaxis(color, 3, 1))
    tifffile.imwrite(tmp_path / "planar.tif", planar, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(_shown(tmp_path / "planar.tif"), color)
    indexed = [Image.fromarray(image).quantize(8) for image in color]
    indexed[0].save(tmp_path / "p.tif", save_all=True, append_images=indexed[1:])
    first = np.array(indexed[0].convert("RGB"))
    np.testing.assert_array_equal(_shown(tmp_path / "p.tif")[0], first)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animations(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = []
    for index in range(COUNT):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[:, 3 * index : 3 * index + 3] = (250, 250, 250)
        pictures.append(Image.fromarray(picture))
    path = tmp_path / f"a{suffix}"
    more = {"lossless": True} if suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[40, 80, 40, 40, 40, 40, 100], **more)
    assert is_stack(path)
    frames = StackFrames(path)
    np.testing.assert_array_equal([frame.image for frame in frames.iterate()], np.stack(pictures))
    monkeypatch.setattr(stacks, "_BACKWARD_BYTES", 3 * 3 * HEIGHT * WIDTH)
    np.testing.assert_array_equal([f.image for f in frames.iterate(reverse=True)], np.stack(pictures[::-1]))
    assert frames.timing.fps == pytest.approx(7 / 0.38)
    assert [float(time) for time in frames.timing.times] == pytest.approx([0, 0.04, 0.12, 0.16, 0.2, 0.24, 0.28])


def test_single_pictures_are_no_stacks(pages: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    for name in ("a.tif", "a.png", "a.gif", "a.webp", "a.jpg"):
        Image.fromarray(pages[0]).save(tmp_path / name)
        assert not is_stack(tmp_path / name), name
    with tifffile.TiffWriter(tmp_path / "thumb.tif") as writer:
        writer.write(pages[0], metadata=None)
        writer.write(pages[0, ::4, ::4], subfiletype=1, metadata=None)
    assert not is_stack(tmp_path / "thumb.tif")
    (tmp_path / "text.tif").write_text("II*\0 nothing", encoding="utf-8")
    with pytest.raises(InputError, match=r"text\.tif"):
        len(StackFrames(tmp_path / "text.tif"))


def _hyperstack(path: Path, axes: str, *shape: int) -> npt.NDArray[np.uint8]:
    """Write a stack whose samples are the numbers of their pages."""
    count = int(np.prod(shape))
    values = np.broadcast_to(np.arange(count, dtype=np.uint8).reshape(*shape, 1, 1), (*shape, 6, 8)).copy()
    names = {"Channel": {"Name": ["DAPI", "GFP", "Phase"][: shape[axes.index("C")]]}} if "C" in axes else {}
    tifffile.imwrite(path, values, ome=True, photometric="minisblack", metadata={"axes": axes + "YX", **names})
    return values


@pytest.mark.parametrize(("axes", "shape", "axis", "channel", "pages", "note"), [
    ("TC", (4, 3), None, "1", [1, 4, 7, 10], "C=1 (GFP)"),
    ("TC", (4, 3), None, "gfp", [1, 4, 7, 10], "C=1 (GFP)"),
    ("CZ", (2, 5), None, "1", [5, 6, 7, 8, 9], "5 slices"),
    ("CZ", (2, 5), "Z", "0", [0, 1, 2, 3, 4], "5 slices"),
    ("TZ", (3, 4), "T,Z=2", None, [2, 6, 10], "Z=2"),
    ("TZ", (3, 4), "z,t=1", None, [4, 5, 6, 7], "T=1"),
    ("TZ", (3, 4), "T,Z=max", None, [3, 7, 11], "largest value along Z"),
    ("TZC", (2, 3, 2), "T,Z=max", "0", [4, 10], "C=0 (DAPI)"),
    ("Z", (5,), None, None, [0, 1, 2, 3, 4], "5 slices"),
    ("C", (3,), None, None, [0, 1, 2], "3 channels"),
    ("TC", (4, 1), None, None, [0, 1, 2, 3], None),
])  # fmt: skip
def test_axes(
    axes: str, shape: tuple[int, ...], axis: str | None, channel: str | None, pages: list[int], note: str | None,
    tmp_path: Path,
) -> None:  # fmt: skip
    _hyperstack(tmp_path / "a.ome.tif", axes, *shape)
    frames = StackFrames(tmp_path / "a.ome.tif", axes=parse_axes(axis, channel))
    assert [int(frame.image[0, 0, 0]) for frame in frames.iterate()] == pages
    assert [int(frame.image[0, 0, 0]) for frame in frames.iterate(reverse=True)] == pages[::-1]
    assert note is None if not frames.notes else note is not None and note in frames.notes[0]


@pytest.mark.parametrize(("axes", "shape", "said"), [
    ("CZ", (2, 5), ["C 2 (channels)", "Z 5 (slices)", "--channel 0", "DAPI, GFP"]),
    ("TZ", (3, 4), ["T 3 (times)", "Z 4 (slices)", "--axis T,Z=0", "T,Z=max", "--axis Z,T=0"]),
    ("TC", (3, 2), ["T 3 (times)", "C 2 (channels)", "--channel 0 to --channel 1"]),
    ("TZC", (2, 3, 2), ["T 2", "Z 3", "C 2", "--channel 0", "--axis T,Z=0"]),
])  # fmt: skip
def test_open_questions_are_asked(axes: str, shape: tuple[int, ...], said: list[str], tmp_path: Path) -> None:
    _hyperstack(tmp_path / "a.ome.tif", axes, *shape)
    with pytest.raises(InputError, match="not known which pages are the frames") as caught:
        len(StackFrames(tmp_path / "a.ome.tif"))
    assert caught.value.where == str(tmp_path / "a.ome.tif")
    for text in said:
        assert text in str(caught.value)


def test_choices_that_do_not_fit(tmp_path: Path) -> None:
    for text in ("", "T,Z", "Z=", "5", "T;Z=1", "T,Z=min"):
        if text:
            with pytest.raises(ConfigError, match="names no axis"):
                parse_axes(text)
    with pytest.raises(InputError, match="no channel 'RFP'"):
        plan_pages("CT", (2, 5), parse_axes(None, "RFP"), "a.tif", ("DAPI", "GFP"))
    with pytest.raises(InputError, match="has no Z=7"):
        plan_pages("TZ", (2, 5), parse_axes("T,Z=7"), "a.tif")
    with pytest.raises(InputError, match="has no axis Z"):
        plan_pages("CT", (2, 5), parse_axes("Z"), "a.tif")
    unnamed = plan_pages("Q", (3,), parse_axes("T"), "a.tif")
    assert (unnamed.pages, unnamed.note) == (((0,), (1,), (2,)), "stack: the 3 pages are taken for the frames")


@pytest.mark.parametrize(("axes", "shape", "axis", "channel", "said"), [
    ("T", (3,), "Z", None, "--axis Z"),
    ("T", (3,), "T,Z=5", None, "--axis Z=5"),
    ("TZ", (3, 1), "T,Z=5", None, "--axis Z=5"),
    ("T", (3,), None, "GFP", "--channel GFP"),
])  # fmt: skip
def test_choices_without_effect_are_told(
    axes: str, shape: tuple[int, ...], axis: str | None, channel: str | None, said: str
) -> None:
    plan = plan_pages(axes, shape, parse_axes(axis, channel), "a.tif")
    assert plan.pages == ((0,), (1,), (2,))
    assert plan.note == f"stack: {said} has no effect, as there is no such axis"


def test_series_that_do_not_belong_together(pages: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pages)
        writer.write(pages[:3, :10])
    assert is_stack(tmp_path / "a.tif")
    with pytest.raises(InputError, match="2 series of different shapes"):
        len(StackFrames(tmp_path / "a.tif"))


def test_a_page_at_a_time(pages: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """A damaged page is told when its turn comes, with the file's name."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pages, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset, length = file.pages[4].dataoffsets[0], file.pages[4].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + length] = bytes(length)
    path.write_bytes(bytes(content))
    iterator = StackFrames(path).iterate()
    for page in pages[:4]:
        np.testing.assert_array_equal(next(iterator).image[..., 0], page)
    with pytest.raises(InputError, match=r"a\.tif: cannot be decoded"):
        next(iterator)


def test_a_folder_of_stacks_is_a_root(pages: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "b.tif", pages, photometric="minisblack")
    tifffile.imwrite(tmp_path / "a.tif", pages[:5], photometric="minisblack")
    (tmp_path / "deeper").mkdir()
    tifffile.imwrite(tmp_path / "deeper" / "c.tif", pages[:4], photometric="minisblack")
    found = find_sequences(tmp_path)
    assert [sequence.name for sequence in found] == ["a", "b", "deeper/c"]
    readers = [open_frames(sequence, Reading()) for sequence in found]
    assert [len(reader) for reader in readers] == [5, 7, 4]
    np.testing.assert_array_equal(next(readers[1].iterate()).image[..., 0], pages[0])
    (alone,) = find_sequences(tmp_path / "b.tif")
    assert (alone.name, alone.layout, len(open_frames(alone))) == ("b", "video", 7)


def test_a_stack_among_pictures_is_refused(pages: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    tifffile.imwrite(tmp_path / "frames" / "0.tif", pages[0])
    tifffile.imwrite(tmp_path / "frames" / "1.tif", pages, photometric="minisblack")
    with pytest.raises(InputError, match=r"1 video or image stack \(1\.tif\) beside 1 picture \(0\.tif\)"):
        find_sequences(tmp_path / "frames")
    (bad,) = find_sequences(tmp_path)
    with pytest.raises(InputError, match="beside 1 picture") as caught:
        open_frames(bad)
    assert caught.value.where == "frames"
