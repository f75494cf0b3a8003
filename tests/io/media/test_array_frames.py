"""NumPy files as frames: what counts as one, and that it is read as a TIFF file of the same samples is."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.media.array_frames import is_array_frame
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.images import limit_pixels, read_image_size
from vossegcli.io.media.queries import find_queries
from vossegcli.io.media.regions import open_picture
from vossegcli.io.media.sequences import find_sequences
from vossegcli.names import MAX_PIXELS


def frames(dtype: str, channels: int | None = None) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (3, 10, 12) if channels is None else (3, 10, 12, channels)
    values = rng.integers(0, 200, shape)
    return list((values / 7.0 if dtype.startswith("float") else values * (1 if dtype == "uint8" else 90)).astype(dtype))


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", "float64"])
def test_frames_are_read_as_those_of_tiff_files(tmp_path: Path, dtype: str, channels: int | None) -> None:
    for number, frame in enumerate(frames(dtype, channels)):
        for kind in ("npy", "tif"):
            (tmp_path / kind).mkdir(exist_ok=True)
        np.save(tmp_path / "npy" / f"t{number}.npy", frame)
        tifffile.imwrite(tmp_path / "tif" / f"t{number}.tif", frame, photometric="rgb" if channels else "minisblack")
    readers = []
    for kind in ("npy", "tif"):
        (sequence,) = find_sequences(tmp_path / kind)
        readers.append(open_frames(sequence))
    ours, theirs = readers
    assert ours.names == theirs.names == ("t0", "t1", "t2")
    assert ours.size == theirs.size == (10, 12)
    for a, b in zip(ours.iterate(), theirs.iterate(), strict=True):
        assert np.array_equal(a.image, b.image)
    assert ours.scaling == theirs.scaling
    picture = open_picture(tmp_path / "npy" / "t1.npy")
    assert np.array_equal(picture[2:9, 1:5], open_picture(tmp_path / "tif" / "t1.tif")[2:9, 1:5])


@pytest.mark.parametrize(("array", "is_frame"), [
    (np.zeros((10, 12)), True), (np.zeros((10, 12, 1)), True), (np.zeros((10, 12, 4), np.uint8), True),
    (np.zeros((10, 12), bool), True), (np.zeros((10, 12, 2)), False), (np.zeros((5, 10, 12)), False),
    (np.zeros(50), False), (np.zeros((50, 4)), False), (np.zeros((10, 12), complex), False),
    (np.array([["a"] * 12] * 10), False), (np.array([{"masks": 1}], dtype=object), False),
])  # fmt: skip
def test_what_counts_as_a_frame(tmp_path: Path, array: np.ndarray, is_frame: bool) -> None:
    np.save(tmp_path / "a.npy", array)
    assert is_array_frame(tmp_path / "a.npy") is is_frame


def test_pictures_go_before_arrays(tmp_path: Path) -> None:
    """Depths, features and Cellpose's masks often lie beside pictures."""
    for name in ("clip", "depth"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", np.zeros((10, 12)))
    Image.new("RGB", (12, 10)).save(tmp_path / "clip" / "0.png")
    (sequence,) = find_sequences(tmp_path / "clip")
    assert [file.name for file in sequence.frames] == ["0.png"]
    assert [one.name for one in find_sequences(tmp_path) if one.frames] == ["clip"]
    assert [query.name for query in find_queries(str(tmp_path))] == ["clip/0"]


def test_roots_patterns_and_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in (2, 10):
            np.save(tmp_path / name / f"{number}.npy", np.zeros((10, 12), np.uint8))
    assert [(one.name, [f.stem for f in one.frames]) for one in find_sequences(tmp_path)] == [
        ("a", ["2", "10"]), ("b", ["2", "10"])
    ]  # fmt: skip
    (sequence,) = find_sequences(tmp_path / "a" / "*.npy")
    assert [file.stem for file in sequence.frames] == ["2", "10"]
    assert [query.name for query in find_queries(str(tmp_path))] == ["a/2", "a/10", "b/2", "b/10"]


def test_limits_and_damage(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((100, 120), np.uint8))
    try:
        limit_pixels(1000)
        with pytest.raises(InputError, match="too large"):
            read_image_size(tmp_path / "a.npy")
    finally:
        limit_pixels(MAX_PIXELS)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:500])
    with pytest.raises(InputError, match="no NumPy file"):
        read_image_size(tmp_path / "a.npy")
