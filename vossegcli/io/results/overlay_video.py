"""Pictures of a finished sequence, from its frames: overlay images and an overlay video."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vossegcli.io.media.ahead import WriteBehind, read_ahead
from vossegcli.io.media.frames import FrameReader
from vossegcli.io.media.limits import scaling_notes
from vossegcli.io.media.timing import Timing
from vossegcli.io.results.overlays import write_image
from vossegcli.types import Frame


def overlay_path(output: Path, name: str, frame_name: str) -> Path:
    """Return the path of a frame's overlay image."""
    return output / "overlay" / name / f"{frame_name}.jpg"


def video_path(output: Path, name: str) -> Path:
    """Return the path of a sequence's overlay video."""
    return output / "video" / f"{name}.mp4"


def render_sequence(
    output: Path,
    name: str,
    reader: FrameReader,
    draw: Callable[[Frame], npt.NDArray[np.uint8]],
    *,
    images: bool,
    video: bool,
    fps: float | None = None,
) -> tuple[str, ...]:
    """Draw every frame with its objects tinted and outlined.

    Args:
        output: the run's output folder.
        name: of the sequence.
        reader: its frames.
        draw: from a frame to its overlay; asked for in the order of the frames.
        images: write one JPEG a frame.
        video: write one H.264 file.
        fps: its frames a second; None = as the video is shown, or 24 for image files.

    Returns:
        notes for the record of the run: pictures that were scaled down.

    Raises:
        InputError: a frame cannot be read again, or a file not written.
    """
    with ExitStack() as stack:
        timing = reader.timing.at(fps) if video else Timing()
        path = video_path(output, name)
        film = None
        if video:
            from vossegcli.io.media.video_writer import VideoWriter  # loads PyAV

            film = stack.enter_context(VideoWriter(path, timing.fps, reader.size, timing))

        def write(frame: Frame) -> None:
            overlay = draw(frame)
            if images:
                write_image(overlay_path(output, name, frame.name), overlay)
            if film is not None:
                film.write(overlay)

        writer = stack.enter_context(WriteBehind[Frame](write, 4))
        for frame in stack.enter_context(closing(read_ahead(reader.iterate(), 4))):
            writer.submit(frame)
    return scaling_notes(reader.size, images=images, video=video)
