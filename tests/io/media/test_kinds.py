"""Kinds of files, by their content.

Covers: io.media.contents, io.media.patterns
"""

import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.kinds import kind_of, kind_of_anything
from vossegcli.io.media.queries import find_queries
from vossegcli.io.media.sequences import find_sequences

VIDEOS = {
    "mp4": ("mp4", "libx264"), "mov": ("mov", "libx264"), "mkv": ("matroska", "libx264"), "avi": ("avi", "mpeg4"),
    "webm": ("webm", "libvpx"), "mts": ("mpegts", "libx264"), "ts": ("mpegts", "mpeg2video"), "wmv": ("asf", "wmv2"),
    "mpg": ("mpeg", "mpeg2video"), "vob": ("vob", "mpeg2video"), "flv": ("flv", "flv"), "3gp": ("3gp", "libx264"),
    "y4m": ("yuv4mpegpipe", "rawvideo"), "mxf": ("mxf", "mpeg2video"), "h264": ("h264", "libx264"),
    "ogv": ("ogg", "libvpx"), "nut": ("nut", "ffv1"), "mjpeg": ("mjpeg", "mjpeg"),
}  # fmt: skip


def _video(path: Path, container: str, codec: str, frames: int = 10) -> None:
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(frames):
            image = np.full((48, 64, 3), 20 * index, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))


@pytest.mark.parametrize("suffix", VIDEOS)
def test_videos_of_any_container_and_name(suffix: str, tmp_path: Path) -> None:
    _video(tmp_path / f"a.{suffix}", *VIDEOS[suffix])
    assert kind_of(tmp_path / f"a.{suffix}") == "video"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link").symlink_to(tmp_path / f"a.{suffix}")
    if suffix != "mjpeg":  # which begins as a JPEG file does: its name has to say it
        assert kind_of(tmp_path / "sub" / "link") == "video"
        assert [sequence.name for sequence in find_sequences(tmp_path / "sub")] == ["link"]
    (sequence,) = find_sequences(tmp_path / f"a.{suffix}")
    reader = open_frames(sequence)
    assert len(reader) in {9, 10}  # raw H.264 keeps a frame back
    assert [round(float(frame.image.mean()) / 20) for frame in reader.iterate()] == list(range(len(reader)))


@pytest.mark.parametrize(("kind", "suffix"), [
    ("JPEG", ".jfif"), ("JPEG", ".jpe"), ("PNG", ""), ("GIF", ".gif"), ("TIFF", ".TIF"), ("BMP", ".dat"),
    ("JPEG2000", ".jp2"), ("AVIF", ".avif"), ("WEBP", ".img"), ("PPM", ".ppm"), ("TGA", ".tga"), ("PNG", ".mp4"),
])  # fmt: skip
def test_images_of_any_format_and_name(kind: str, suffix: str, tmp_path: Path) -> None:
    for index in range(3):
        Image.new("RGB", (64, 48), (80 * index, 0, 0)).save(tmp_path / f"{index}{suffix}", format=kind)
    (sequence,) = find_sequences(tmp_path)
    assert [path.name for path in sequence.frames] == [f"{index}{suffix}" for index in range(3)]
    assert [round(int(f.image[9, 9, 0]) / 80) for f in open_frames(sequence).iterate()] == [0, 1, 2]


def test_what_is_neither(tmp_path: Path) -> None:
    texts = {
        "readme": "The free software is here\n" * 50, "BMI.csv": "BM,I\n" * 30, "a.ts": "export const G = 1;\n" * 100,
        "a.m3u8": "#EXTM3U\n#EXTINF:1,\na.mp4\n", "a.nfo": "G" * 100, "a.json": "{}", "empty": "",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert kind_of(tmp_path / name) is None, name
        assert kind_of_anything(tmp_path / name) is None, name
    np.save(tmp_path / "a.npy", np.zeros((4, 5)))
    assert kind_of(tmp_path / "a.npy") is None


def test_a_known_suffix_makes_damaged_files_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"damaged")
    (tmp_path / "a.png").touch()
    assert kind_of(tmp_path / "a.mp4") == "video"
    assert kind_of(tmp_path / "a.png") == "image"


def test_what_somebody_names_is_tried(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "picture.pcx")
    assert kind_of(tmp_path / "picture.pcx") is None
    assert kind_of_anything(tmp_path / "picture.pcx") == "image"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_among_frames_are_left_out_and_told(tmp_path: Path) -> None:
    """Whoever opens one waits for ever; where this fails, it hangs."""
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (sequence,) = find_sequences(tmp_path).items
    assert [frame.name for frame in sequence.frames] == ["a.png"]
    assert "b.png" in " ".join(sequence.notes)
    found = find_queries(str(tmp_path))
    assert [query.name for query in found.items] == ["a"]
    assert found.notes == ("left out: 1 file (b.png) that cannot be segmented",)
