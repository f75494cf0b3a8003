"""Reading and writing video files.

Covers: io.media.display_matrix, io.media.reading, io.media.timing, io.media.video_index, io.media.video_length,
io.media.video_writer
"""

import gc
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from vossegcli.errors import InputError
from vossegcli.io.media import video as video_module
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.timing import Timing
from vossegcli.io.media.video import VideoFrames
from vossegcli.io.media.video_writer import VideoWriter
from vossegcli.types import FrameSequence

SHARED = Path(os.environ.get("VOSSEG_SHARED", Path(__file__).resolve().parents[4] / "shared"))

Image = npt.NDArray[np.uint8]


def _pictures(count: int, height: int = 48, width: int = 64) -> Iterator[Image]:
    """A white bar that moves by a pixel a frame over a grey ramp."""
    for index in range(count):
        image = np.repeat(np.linspace(40, 120, width, dtype=np.uint8)[None, :, None], height, axis=0)
        image = np.repeat(image, 3, axis=2)
        image[8:40, (3 * index) % (width - 8) : (3 * index) % (width - 8) + 8] = (250, 250, 250)
        yield image


def _encode(path: Path, count: int, codec: str = "libx264", **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options
        for image in _pictures(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _bar_position(image: Image) -> int:
    return int((image[20, :, 0] > 180).argmax())


def _rotate(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set the display matrix in the track header of an mp4 file."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    fixed = [0] * 9
    fixed[0], fixed[1], fixed[3], fixed[4], fixed[8] = *(value << 16 for value in matrix), 1 << 30
    for index, value in enumerate(fixed):
        content[start + 4 * index : start + 4 * index + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(bytes(content))


def test_write_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "out put" / "ü: 100%d.mp4"
    colors = [(200, 40, 40), (40, 200, 40), (30, 60, 220)]
    with VideoWriter(path, fps=29.97, size=(720, 1280)) as writer:
        for color in colors:
            writer.write(np.full((720, 1280, 3), color, dtype=np.uint8))
        assert not path.exists()
    frames = VideoFrames(path)
    assert frames.names == ("00000", "00001", "00002")
    assert (len(frames), frames.size) == (3, (720, 1280))
    assert frames.timing.fps == pytest.approx(29.97, abs=1e-3)
    for frame, color in zip(frames.iterate(), colors, strict=True):
        assert frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - color).max() <= 6
    assert [other.name for other in path.parent.iterdir()] == [path.name]
    with av.open(str(f"file:{path}")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    pictures = [np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge") for image in _pictures(3)]
    with VideoWriter(tmp_path / "odd.mp4", fps=5, size=(49, 65)) as writer:
        for picture in pictures:
            writer.write(picture)
    frames = VideoFrames(tmp_path / "odd.mp4")
    assert frames.size == (50, 66)
    for frame, picture in zip(frames.iterate(), pictures, strict=True):
        assert np.abs(frame.image[:49, :65].astype(int) - picture).mean() < 3
        assert np.abs(frame.image[49, :65].astype(int) - picture[48]).mean() < 3


def test_a_failed_video_leaves_nothing(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", 5, (48, 64)) as writer:
        writer.write(image)
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="shape"), VideoWriter(tmp_path / "a.mp4", 5, (48, 64)) as writer:
        writer.write(image[:-1])
    with pytest.raises(InputError, match="no frames to write"), VideoWriter(tmp_path / "a.mp4", 5, (48, 64)):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"g": "10", "bf": "2"}),
        ("open.mp4", "libx264", {"x264-params": "keyint=8:min-keyint=8:open-gop=1:bframes=3:scenecut=0"}),
        ("single.mkv", "libx264", {"g": "500"}),
        ("a.avi", "mpeg4", {"g": "6"}),
        ("b.avi", "libx264", {"g": "12", "bf": "2"}),
        ("a.webm", "libvpx-vp9", {"g": "9", "auto-alt-ref": "1", "lag-in-frames": "8", "cpu-used": "8"}),
        ("a.mov", "mjpeg", {}),
    ],
)
def test_any_stretch_in_both_directions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, options: dict[str, str]
) -> None:
    monkeypatch.setattr(video_module, "_BACKWARD_BYTES", 1)  # runs of 8 frames
    frames = VideoFrames(_encode(tmp_path / name, 33, codec, **options))
    forward = list(frames.iterate())
    assert len(frames) == len(forward) == 33
    assert [frame.name for frame in forward] == list(frames.names)
    for index, frame in enumerate(forward):
        assert abs(_bar_position(frame.image) - (3 * index) % 56) <= 1
    for start, stop in ((0, None), (5, 29), (17, 18), (31, None), (9, 9), (40, None)):
        wanted = forward[start:stop]
        for found, order in (
            (list(frames.iterate(start, stop)), wanted),
            (list(frames.iterate(start, stop, reverse=True)), wanted[::-1]),
        ):
            assert [frame.name for frame in found] == [frame.name for frame in order]
            for one, other in zip(found, order, strict=True):
                np.testing.assert_array_equal(one.image, other.image)


def test_backward_runs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "_BACKWARD_BYTES", 2 * 48 * 64 * 9)
    frames = VideoFrames(_encode(tmp_path / "a.mp4", 30, g="20", sc_threshold="0"))
    assert list(frames._backward_runs(range(30))) == [(21, 30), (20, 21), (11, 20), (2, 11), (0, 2)]


TURNS = {
    "as stored": ((1, 0, 0, 1), lambda image: image),
    "clockwise, as phones write": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half a turn": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "counterclockwise": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "hflip": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "vflip": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    "transposed and half a turn": ((0, -1, -1, 0), lambda image: np.rot90(image.transpose(1, 0, 2), 2)),
}


@pytest.mark.parametrize("name", TURNS)
def test_the_whole_display_matrix_is_applied(name: str, tmp_path: Path) -> None:
    path = _encode(tmp_path / "a.mp4", 3)
    stored = next(VideoFrames(path).iterate()).image
    matrix, turned = TURNS[name]
    _rotate(path, matrix)
    frames = VideoFrames(path)
    assert frames.size == turned(stored).shape[:2]
    np.testing.assert_array_equal(next(frames.iterate()).image, turned(stored))


def test_decoded_frames_are_freed_at_once(tmp_path: Path) -> None:
    """Not by the garbage collector, which counts objects: of large frames there would be gigabytes until it comes."""
    frames = VideoFrames(_encode(tmp_path / "video.mp4", 30))
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in frames.iterate()) == 30
        left = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert left <= 1, "the one whose turn was looked up"


@pytest.mark.parametrize("matrix", [(2, 0, 0, 1), (1, 1, -1, 1), (1, 1, 0, 1)])
def test_other_matrices_are_refused(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    path = _encode(tmp_path / "a.mp4", 3)
    _rotate(path, matrix)
    with pytest.raises(InputError, match="no quarter turn"):
        _ = VideoFrames(path).size


def _encode_deep(path: Path, codec: str, pixels: str, frames: list[npt.NDArray[Any]], source: str) -> VideoFrames:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if codec == "libx265":  # its decode times are undefined when it reorders fewer frames than it buffers
            stream.options = {"x265-params": "bframes=0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=source).reformat(format=pixels)))
        container.mux(stream.encode(None))
    return VideoFrames(path)


@pytest.mark.parametrize(("pixels", "factor", "offset"), [
    ("gray12le", 16, 0), ("gray10le", 2, 300), ("gray16le", 16, 0), ("gray16le", 4, 5000),
])  # fmt: skip
def test_deep_grey_video_is_scaled_by_its_content(pixels: str, factor: int, offset: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = [rng.integers(0, 256, (48, 64), np.uint8) for _ in range(3)]
    grey[0] //= 3
    deep = [frame.astype(np.uint16) * factor + offset for frame in grey]
    frames = _encode_deep(tmp_path / "a.mkv", "ffv1", pixels, deep, pixels)
    shown = np.stack([frame.image[..., 0] for frame in frames.iterate()]).astype(int)
    assert np.abs(shown - np.stack(grey)).max() <= 2
    assert "shown as 0:255" in str(frames.scaling)
    (last,) = VideoFrames(tmp_path / "a.mkv").iterate(2, 3)
    np.testing.assert_array_equal(last.image[..., 0], shown[2])


@pytest.mark.parametrize(("codec", "pixels"), [
    ("libx264", "yuv420p10le"), ("libx265", "yuv420p12le"), ("ffv1", "gbrp12le"), ("ffv1", "rgb48le"),
])  # fmt: skip
def test_deep_footage_looks_as_in_eight_bits(codec: str, pixels: str, tmp_path: Path) -> None:
    pictures = [np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], 48, 0).repeat(3, 2)] * 2
    frames = _encode_deep(tmp_path / "a.mkv", codec, pixels, pictures, "rgb24")
    shown = [frame.image.astype(int) for frame in frames.iterate()]
    assert np.abs(shown[1] - pictures[1]).max() <= 9  # lossy
    assert frames.scaling is not None


def test_footage_that_uses_little_of_its_depth_is_scaled_by_its_content(tmp_path: Path) -> None:
    pictures = [np.repeat(np.linspace(20, 50, 64, dtype=np.uint8)[None, :, None], 48, 0).repeat(3, 2)] * 2
    frames = _encode_deep(tmp_path / "a.mkv", "ffv1", "gbrp12le", pictures, "rgb24")
    row = next(frames.iterate()).image[10, :, 1]
    assert (row[0], row[63]) == (0, 255)
    whole = VideoFrames(tmp_path / "a.mkv", "type")
    assert np.abs(next(whole.iterate()).image.astype(int) - pictures[0]).max() <= 1


def test_variable_frame_rates_keep_every_frame(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for image, time in zip(_pictures(6), (0, 10, 500, 510, 2000, 2001), strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = VideoFrames(tmp_path / "v.mkv")
    assert [_bar_position(frame.image) for frame in frames.iterate()] == [0, 3, 6, 9, 12, 15]


def test_frames_before_the_edit_list_do_not_count(tmp_path: Path) -> None:
    """Cutting a video without encoding it leaves hidden frames before the first one shown."""
    source = _encode(tmp_path / "a.mp4", 30, g="10", bf="0", sc_threshold="0")
    with av.open(str(source)) as container, av.open(str(tmp_path / "cut.mp4"), "w") as cut:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        copy = cut.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                packet.pts -= int(1.45 / stream.time_base)
                packet.dts -= int(1.45 / stream.time_base)
                packet.stream = copy
                if packet.pts * stream.time_base >= -0.5:
                    cut.mux(packet)
    frames = VideoFrames(tmp_path / "cut.mp4")
    shown = [frame.name for frame in frames.iterate()]
    assert shown == list(frames.names)
    with av.open(str(tmp_path / "cut.mp4")) as container:
        assert len(frames) == sum(1 for _ in container.decode(video=0))


def test_a_sequence_of_a_video_is_opened_as_one(tmp_path: Path) -> None:
    path = _encode(tmp_path / "a.mp4", 3)
    reader = open_frames(FrameSequence("a", (), path, "video", None))
    assert isinstance(reader, VideoFrames)
    assert len(reader) == 3


def test_unreadable_videos_are_named(tmp_path: Path) -> None:
    whole = _encode(tmp_path / "whole.mp4", 20).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("not a video " * 50, encoding="utf-8")
    (tmp_path / "empty.mp4").touch()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    reasons = {
        "cut.mp4": "not a video that can be read, or is damaged",
        "text.mp4": "not a video that can be read, or is damaged",
        "empty.mp4": "empty",
        "absent.mp4": "does not exist",
        "sound.mp4": "no video stream",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason) as caught:
            len(VideoFrames(tmp_path / name))
        assert caught.value.where == str(tmp_path / name)
        assert caught.value.fix


@pytest.mark.shared
def test_a_real_video() -> None:
    path = SHARED / "data" / "video" / "bunny" / "bigbuckbunny.mp4"
    if not path.is_file():
        pytest.skip(f"no shared material in {SHARED}")
    frames = VideoFrames(path)
    assert (len(frames), frames.size) == (132, (720, 1280))
    forward = [frame.image.mean() for frame in frames.iterate(100, 120)]
    backward = [frame.image.mean() for frame in frames.iterate(100, 120, reverse=True)]
    assert forward == backward[::-1]


@pytest.mark.parametrize("lost", range(1, 400, 37))
def test_a_last_packet_that_does_not_decode_is_left_out(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    with av.open(str(path), "w", format="flv") as file:
        stream: Any = file.add_stream("flv", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(40):
            image = np.full((48, 64, 3), 5 * index, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    content = path.read_bytes()
    path.write_bytes(content[:-lost])
    cut = VideoFrames(path)
    assert len(list(cut.iterate())) == len(cut) >= 30 - lost // 10
    assert len(cut) >= 39 or (cut.notes and "cut off" in cut.notes[0])


def _cut_off(
    path: Path, container: str, codec: str, share: float, movflags: dict[str, str], **encoding: Any
) -> VideoFrames:
    """Write 60 frames of noise, which read without a note, and keep the first share of the file."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", format=container, options=movflags) as file:
        stream: Any = file.add_stream(codec, **encoding)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in noise:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    whole = VideoFrames(path)
    assert (len(whole), whole.notes) == (60, ())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return VideoFrames(path)


CONTAINERS = {
    "mp4": ("mp4", "libx264"), "mov": ("mov", "libx264"), "mkv": ("matroska", "libx264"), "webm": ("webm", "libvpx"),
    "avi": ("avi", "mpeg4"), "wmv": ("asf", "wmv2"), "flv": ("flv", "flv"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("share", [0.6, 0.8])
def test_a_video_that_is_cut_off_says_so(suffix: str, share: float, tmp_path: Path) -> None:
    container, codec = CONTAINERS[suffix]
    options = {"movflags": "+faststart"} if container in {"mp4", "mov"} else {}
    cut = _cut_off(tmp_path / f"a.{suffix}", container, codec, share, options, rate=10)
    (note,) = cut.notes
    found, announced = (int(number) for number in re.findall(r"[0-9]+", note))
    assert found == len(cut) == len(list(cut.iterate()))
    assert 0.5 * share * 60 < found < 60
    assert abs(announced - 60) <= 3
    assert "cut off" in note


def test_a_transport_stream_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = _encode(tmp_path / "a.ts", 30)
    assert VideoFrames(path).notes == ()
    path.write_bytes(path.read_bytes()[:-100])
    (note,) = VideoFrames(path).notes
    assert "in the middle of a packet" in note


STREAMS = {
    "y4m": ("yuv4mpegpipe", "rawvideo"), "ogv": ("ogg", "libvpx"), "nut": ("nut", "ffv1"),
    "mpg": ("mpeg", "mpeg1video"), "vob": ("vob", "mpeg2video"), "mp4": ("mp4", "libx264"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", STREAMS)
@pytest.mark.parametrize("share", [0.6, 0.8])
def test_a_stream_that_announces_nothing_says_where_it_is_cut_off(suffix: str, share: float, tmp_path: Path) -> None:
    """Without an index or a length: what tells is that the last packet is not whole, or that the end lacks."""
    container, codec = STREAMS[suffix]
    options = {"movflags": "frag_keyframe+empty_moov"} if container == "mp4" else {}
    cut = _cut_off(tmp_path / f"a.{suffix}", container, codec, share, options, rate=25, options={"g": "10"})
    assert 0.5 * share * 60 < len(list(cut.iterate())) == len(cut) < 60
    assert cut.notes == (f"ends after {len(cut)} frames, in the middle of a packet: the file is cut off",)


def test_frames_before_the_edit_list_are_not_missing(tmp_path: Path) -> None:
    path = _encode(tmp_path / "a.mp4", 30, bf="2")
    assert VideoFrames(path).notes == ()


def test_uneven_time_stamps_and_pixel_aspect_are_kept(tmp_path: Path) -> None:
    times = (0, 10, 500, 510, 2000, 2001)
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for image, time in zip(_pictures(6), times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = VideoFrames(tmp_path / "v.mkv").timing
    assert [float(time) for time in source.times] == [time / 1000 for time in times]
    assert source.pixel_aspect == Fraction(4, 3)
    with VideoWriter(tmp_path / "copy.mp4", source.fps, (48, 64), source) as writer:
        for image in _pictures(6):
            writer.write(image)
    copy = VideoFrames(tmp_path / "copy.mp4").timing
    assert [float(time) for time in copy.times] == pytest.approx([time / 1000 for time in times], abs=1e-4)
    assert copy.pixel_aspect == Fraction(4, 3)
    assert source.at(5.0) == Timing(5.0, (), Fraction(4, 3))


def test_even_time_stamps_are_a_rate(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):  # the latter rounds to milliseconds
        timing = VideoFrames(_encode(tmp_path / name, 10)).timing
        assert (timing.times, timing.pixel_aspect) == ((), 1)
        assert timing.fps == pytest.approx(10.0, abs=0.2)
