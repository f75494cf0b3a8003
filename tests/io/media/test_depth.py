"""Frames of more than 8 bits: one range for a sequence, found in its content.

Covers: io.media.video_depth
"""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.media import depth
from vossegcli.io.media.depth import ValueRange, content_range, parse_range, sampled_indices, to_8_bit
from vossegcli.io.media.frames import FolderFrames
from vossegcli.io.media.images import read_image, read_samples
from vossegcli.io.media.stacks import StackFrames

NUCLEI = Path(__file__).parents[3] / "examples" / "nuclei" / "images" / "fluorescence.png"
Grey = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def nuclei() -> list[Grey]:
    """Six frames, from the left half of a picture to the right half; the last alone holds its brightest part."""
    with Image.open(NUCLEI) as image:
        picture = np.array(image.convert("L"))
    return [picture[:, shift : shift + 256] for shift in range(0, 252, 42)]


def _write(folder: Path, frames: list[npt.NDArray], suffix: str = ".tif") -> FolderFrames:
    folder.mkdir(parents=True, exist_ok=True)
    files = tuple(folder / f"{index}{suffix}" for index in range(len(frames)))
    for path, frame in zip(files, frames, strict=True):
        if suffix == ".tif":
            tifffile.imwrite(path, frame, photometric="rgb" if frame.ndim == 3 else None)
        else:
            Image.fromarray(frame).save(path)
    return FolderFrames(files)


def _shown(frames: FolderFrames) -> npt.NDArray[np.int64]:
    return np.stack([frame.image for frame in frames.iterate()]).astype(np.int64)


DEPTHS: dict[str, Callable[[Grey], npt.NDArray]] = {
    "12 bits in 16": lambda grey: grey.astype(np.uint16) * 16,
    "10 bits in 16": lambda grey: grey.astype(np.uint16) * 4,
    "8 bits in 16": lambda grey: grey.astype(np.uint16),
    "16 bits": lambda grey: grey.astype(np.uint16) * 257,
    "with an offset": lambda grey: grey.astype(np.uint16) * 9 + 1500,
    "int16, below 0": lambda grey: grey.astype(np.int16) * 16 - 2000,
    "int32": lambda grey: grey.astype(np.int32) * 70_000 - 9_000_000,
    "uint32": lambda grey: grey.astype(np.uint32) * 16_000_000,
    "float 0 to 1": lambda grey: (grey / 255.0).astype(np.float32),
    "float below 0": lambda grey: (grey / 10.0 - 20.0).astype(np.float32),
    "float64": lambda grey: grey * 1e6,
    "float16": lambda grey: grey.astype(np.float16),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_whatever_the_depth_the_frames_look_the_same(nuclei: list[Grey], name: str, tmp_path: Path) -> None:
    frames = _write(tmp_path, [DEPTHS[name](grey) for grey in nuclei])
    shown = _shown(frames)
    assert np.abs(shown - np.stack(nuclei)[..., None]).max() <= 8
    note = frames.scaling
    assert note is not None
    assert "shown as 0:255" in note
    assert "--range" in note


def test_eight_bits_stay(nuclei: list[Grey], tmp_path: Path) -> None:
    dark = [grey // 4 for grey in nuclei]
    frames = _write(tmp_path, dark)
    np.testing.assert_array_equal(_shown(frames)[..., 1], np.stack(dark))
    assert frames.scaling is None


def test_sixteen_bit_png_and_colour(nuclei: list[Grey], tmp_path: Path) -> None:
    deep = [grey.astype(np.uint16) * 16 for grey in nuclei]
    assert np.abs(_shown(_write(tmp_path / "grey", deep, ".png")) - np.stack(nuclei)[..., None]).max() <= 8
    red = [np.dstack([grey, grey // 2, grey * 0]).astype(np.uint16) * 16 for grey in nuclei]
    shown = _shown(_write(tmp_path / "rgb", red))
    assert np.abs(shown - np.stack(red) / 16).max() <= 8  # one range for the three colours: red stays red
    path = tmp_path / "rgb.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", width=256, height=512, pix_fmt="rgb48be")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(red[5], format="rgb48le")))
        container.mux(stream.encode(None))
    np.testing.assert_array_equal(read_samples(path), red[5])


def test_one_range_for_all_frames_whichever_is_read_first(tmp_path: Path) -> None:
    dim, bright = np.full((8, 8), 100, np.uint16), np.full((8, 8), 1100, np.uint16)
    dim[0], bright[0] = 0, 2000
    files = tuple(_write(tmp_path, [dim, bright])._files)
    forward = [frame.image for frame in FolderFrames(files).iterate()]
    (last,) = FolderFrames(files).iterate(1, 2)
    np.testing.assert_array_equal(last.image, forward[1])
    backward = [frame.image for frame in FolderFrames(files).iterate(reverse=True)]
    np.testing.assert_array_equal(backward[::-1], forward)
    assert [int(image[4, 4, 0]) for image in forward] == [13, 140]


def test_hot_pixels_do_not_count(nuclei: list[Grey], tmp_path: Path) -> None:
    frames = [grey.astype(np.uint16) * 4 for grey in nuclei]
    rng = np.random.default_rng(0)
    for frame in frames:
        frame[rng.integers(0, 512, 20), rng.integers(0, 256, 20)] = 65535
    shown = _shown(_write(tmp_path, frames))
    untouched = np.stack(frames) < 2000
    assert np.abs(shown[..., 0] - np.stack(nuclei))[untouched].max() <= 12


def test_a_few_bright_pixels_on_nothing_are_seen(tmp_path: Path) -> None:
    frame = np.zeros((100, 100), np.uint16)
    frame[50, 50:53] = 900
    assert int(_shown(_write(tmp_path, [frame])).max()) == 255


def test_equal_values_and_what_is_no_number(tmp_path: Path) -> None:
    assert _shown(_write(tmp_path / "flat", [np.full((5, 6), 700, np.uint16)] * 2)).max() == 0
    frame = np.linspace(0.0, 2.0, 10_000, dtype=np.float32).reshape(100, 100)
    frame[0, 0], frame[0, 1], frame[0, 2] = np.nan, np.inf, -np.inf
    shown = _shown(_write(tmp_path / "holes", [frame]))[0, ..., 0]
    assert [int(value) for value in shown[0, :3]] == [0, 255, 0]
    assert abs(int(shown[50, 0]) - 128) <= 1
    assert _shown(_write(tmp_path / "nothing", [np.full((5, 6), np.nan, np.float32)])).max() == 0


def test_the_range_can_be_given(tmp_path: Path) -> None:
    files = tuple(_write(tmp_path, [np.array([[0, 100, 300, 65535]], np.uint16)])._files)
    given = FolderFrames(files, choice=parse_range("100:300"))
    assert next(given.iterate()).image[0, :, 0].tolist() == [0, 0, 255, 255]
    assert given.scaling == "16-bit frames: 100:300 shown as 0:255, as given"
    whole = FolderFrames(files, choice=parse_range("type"))
    assert next(whole.iterate()).image[0, :, 0].tolist() == [0, 0, 1, 255]
    assert "0:65535" in str(whole.scaling)


def test_what_range_takes() -> None:
    assert parse_range(None) is None
    assert parse_range("content") is None
    assert parse_range("type") == "type"
    assert parse_range("-0.5:1e3") == ValueRange(-0.5, 1000.0)
    for wrong in ("", "5", "5:", "9:2", "3:3", "a:b", "nan:1", "0:inf"):
        with pytest.raises(ConfigError, match="not a range"):
            parse_range(wrong)


def test_a_mixture_of_depths_is_refused(tmp_path: Path) -> None:
    for first, second in ((np.uint8, np.uint16), (np.uint16, np.uint8)):
        frames = _write(tmp_path / first.__name__, [np.eye(9, dtype=first) * 200, np.eye(9, dtype=second)])
        with pytest.raises(InputError, match=r"1\.tif: has .* bits a sample, but the first frame has"):
            list(frames.iterate())


def test_many_frames_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "SAMPLED_FRAMES", 5)
    assert sampled_indices(3) == [0, 1, 2]
    assert sampled_indices(101) == [0, 25, 50, 75, 100]


def test_percentiles_by_hand() -> None:
    """Of 10 000 samples, the ten lowest and the ten highest lie outside."""
    samples = np.arange(10_000).reshape(100, 100)
    for dtype in (np.uint16, np.int32, np.float64):
        found = content_range([samples.astype(dtype)])
        assert (found.low, found.high) == (10.0, 9989.0)
    assert to_8_bit(np.array([10, 9989, 0, 9999], np.uint16), found).tolist() == [0, 255, 0, 255]


def test_a_single_image_is_scaled_alone(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.arange(1000, 2000, dtype=np.uint16).reshape(20, 50))
    image = read_image(tmp_path / "a.tif")
    assert (image.min(), image.max(), image.shape) == (0, 255, (20, 50, 3))
    assert read_image(tmp_path / "a.tif", ValueRange(0, 2000))[0, 0, 0] == 128


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", None])
def test_compressed_tiff(nuclei: list[Grey], compression: str | None, tmp_path: Path) -> None:
    deep = nuclei[0].astype(np.uint16) * 16
    Image.fromarray(deep).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_samples(tmp_path / "a.tif"), deep)


def test_damaged_deep_files_are_named(nuclei: list[Grey], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", nuclei[0].astype(np.float64))
    Image.fromarray(nuclei[0].astype(np.uint16)).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_tiff_files_whose_white_is_zero(nuclei: list[Grey], dtype: type, tmp_path: Path) -> None:
    """As single frames and as a stack, in 8 bits and more."""
    factor = 1 if dtype == np.uint8 else 16
    stored = [(255 * factor - grey.astype(np.int64) * factor).astype(dtype) for grey in nuclei]
    for index, grey in enumerate(stored):
        tifffile.imwrite(tmp_path / f"{index}.tif", grey, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack(stored), photometric="miniswhite")
    frames = FolderFrames(tuple(tmp_path / f"{index}.tif" for index in range(len(nuclei))))
    for reader in (frames, StackFrames(tmp_path / "stack.tif")):
        shown = np.stack([frame.image for frame in reader.iterate()]).astype(np.int64)
        assert np.abs(shown - np.stack(nuclei)[..., None]).max() <= 8
