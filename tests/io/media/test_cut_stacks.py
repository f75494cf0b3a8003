"""Image stacks that are cut off: what is there is read, and a note says how much that is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.sequences import find_sequences

PAGES = np.random.default_rng(0).integers(0, 255, (10, 48, 64), np.uint8)


def _pil(path: Path, **options: object) -> None:
    images = [Image.fromarray(page) for page in PAGES]
    images[0].save(path, save_all=True, append_images=images[1:], **options)


def _one_by_one(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for page in PAGES:
            file.write(page, contiguous=False, photometric="minisblack")


def _by_tifffile(**options: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, PAGES, **options)


#: How they are written, and the number of frames that the rest of the file still speaks of.
WRITERS: dict[str, tuple[str, Callable[[Path], None], int | None]] = {
    "ImageJ": (".tif", _by_tifffile(imagej=True, metadata={"axes": "TYX"}), 10),
    "ImageJ, slices": (".tif", _by_tifffile(imagej=True, metadata={"axes": "ZYX"}), 10),
    "tifffile": (".tif", _by_tifffile(photometric="minisblack"), 10),
    "BigTIFF": (".btf", _by_tifffile(photometric="minisblack", bigtiff=True), 10),
    "OME": (".ome.tif", _by_tifffile(photometric="minisblack", ome=True, metadata={"axes": "TYX"}), 10),
    "deflate": (".tif", _by_tifffile(photometric="minisblack", compression="zlib"), 10),
    "one by one": (".tif", _one_by_one, None),
    "Pillow": (".tif", _pil, None),
    "LZW": (".tif", lambda path: _pil(path, compression="tiff_lzw"), None),
    "GIF": (".gif", _pil, None),
    "APNG": (".png", _pil, 10),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.6, 0.8])
def test_the_frames_that_are_there_are_read_with_a_note(name: str, share: float, tmp_path: Path) -> None:
    suffix, write, announced = WRITERS[name]
    path = tmp_path / f"film{suffix}"
    write(path)
    (whole,) = find_sequences(path)
    reader = open_frames(whole)
    assert len(reader) == 10
    assert not any("cut off" in note for note in reader.notes)
    first = [frame.image for frame in reader.iterate()]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    (cut,) = find_sequences(path)
    reader = open_frames(cut)
    frames = [frame.image for frame in reader.iterate()]
    assert 10 * share - 2 <= len(frames) == len(reader) < 10
    np.testing.assert_array_equal(np.stack(frames), np.stack(first[: len(frames)]))
    of = "" if announced is None else f" of {announced}"
    assert f"ends after {len(frames)}{of} frames: the file is cut off" in reader.notes


def test_a_damaged_animation_is_not_called_an_image(tmp_path: Path) -> None:
    path = tmp_path / "film.webp"
    _pil(path, lossless=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged or truncated"):
        find_sequences(path)
