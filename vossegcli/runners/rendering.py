"""Pictures of a finished sequence, from its frames and label maps: overlay images and an overlay video."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from vossegcli.io.ahead import WriteBehind, read_ahead
from vossegcli.io.frames import FrameReader
from vossegcli.io.label_maps import read_written_ids
from vossegcli.io.overlays import draw_overlay, write_image
from vossegcli.io.video import VideoFrames, VideoWriter
from vossegcli.types import Frame

FOLDER_FPS = 24.0


def overlay_path(output: Path, name: str, frame_name: str) -> Path:
    """Where the overlay image of a frame goes."""
    return output / "overlay" / name / f"{frame_name}.jpg"


def video_path(output: Path, name: str) -> Path:
    """Where the overlay video of a sequence goes."""
    return output / "video" / f"{name}.mp4"


def render_sequence(
    output: Path,
    name: str,
    reader: FrameReader,
    mask_path: Callable[[str], Path],
    *,
    images: bool,
    video: bool,
) -> None:
    """Draw every frame with its objects tinted and outlined.

    Args:
        output: the run's output folder.
        name: of the sequence.
        reader: its frames.
        mask_path: from a frame's name to its label map.
        images: write one JPEG a frame.
        video: write one H.264 file, at the video's own rate or 24 frames a second for image files.

    Raises:
        InputError: a frame cannot be read again, or a file not written.
    """
    with ExitStack() as stack:
        fps = reader.fps if isinstance(reader, VideoFrames) else FOLDER_FPS
        film = stack.enter_context(VideoWriter(video_path(output, name), fps, reader.size)) if video else None

        def draw(frame: Frame) -> None:
            overlay = draw_overlay(frame.image, read_written_ids(mask_path(frame.name)))
            if images:
                write_image(overlay_path(output, name, frame.name), overlay)
            if film is not None:
                film.write(overlay)

        writer = stack.enter_context(WriteBehind[Frame](draw, 4))
        for frame in stack.enter_context(closing(read_ahead(reader.iterate(), 4))):
            writer.submit(frame)
