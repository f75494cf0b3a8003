from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.io.media.limits import LONGEST_H264, LONGEST_JPEG, fitted_size, scaling_notes
from vossegcli.io.media.video import VideoFrames
from vossegcli.io.media.video_writer import VideoWriter
from vossegcli.io.results.overlays import write_image

TOO_WIDE = ((6, 65_501), (65_501, 6))


def test_only_sizes_beyond_the_limit_change() -> None:
    assert fitted_size((480, 854, 3), 1000) == (480, 854)
    assert fitted_size((1000, 1000), 1000) == (1000, 1000)
    assert fitted_size((500, 2000, 3), 1000) == (250, 1000)
    assert fitted_size((4000, 1), 1000) == (1000, 1), "no side vanishes"


def test_notes_name_what_is_scaled_and_only_that() -> None:
    assert scaling_notes((480, 854), images=True, video=True) == scaling_notes((8, 8, 3), images=True, video=True) == ()
    assert scaling_notes((40, 20_000), images=True, video=True) == (
        "overlay video scaled down to 16384x33, the largest size of the format",
    )
    assert len(scaling_notes((40, 70_000), images=True, video=True)) == 2
    assert scaling_notes((40, 70_000), images=False, video=False) == ()


@pytest.mark.parametrize("shape", [*TOO_WIDE, (6, LONGEST_JPEG), (1, 70_000)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_written_at_any_size(tmp_path: Path, shape: tuple[int, int], channels: int) -> None:
    image = np.full((*shape, channels) if channels > 1 else shape, 200, np.uint8)
    write_image(tmp_path / "a.jpg", image)
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.size == fitted_size(shape, LONGEST_JPEG)[::-1]
        assert np.abs(np.asarray(picture).astype(int) - 200).max() <= 2


@pytest.mark.parametrize("shape", TOO_WIDE)
def test_a_png_keeps_its_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    write_image(tmp_path / "a.png", np.zeros(shape, np.uint8))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == shape[::-1]


@pytest.mark.parametrize("shape", [(40, 16_386), (41, 20_001), (16_386, 40), (16, LONGEST_H264), (1, 20_000)])
def test_a_video_is_written_at_any_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    with VideoWriter(tmp_path / "a.mp4", 24.0, shape) as writer:
        for _ in range(2):
            writer.write(np.full((*shape, 3), 200, np.uint8))
    frames = VideoFrames(tmp_path / "a.mp4")
    height, width = fitted_size(shape, LONGEST_H264)
    assert frames.size == (height + height % 2, width + width % 2)
    assert len(frames) == 2
    first = next(iter(frames.iterate())).image
    assert np.abs(first.astype(int) - 200).max() <= 4
