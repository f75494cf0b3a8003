"""Cut-outs and mattes of a finished sequence for compositing: all its objects over nothing, with soft edges.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from vossegcli.io.media.ahead import read_ahead
from vossegcli.io.media.timing import Timing
from vossegcli.io.results.mattes import cutout_path, matte_path, prores_path, read_alpha
from vossegcli.io.results.overlays import write_image
from vossegcli.runners.propagate.segment import PropagateItem

MATTES = ("cutouts", "matte", "prores")


def write_mattes(item: PropagateItem, save: Sequence[str], fps: float | None) -> Iterator[Path]:
    """Write a cut-out a frame, a grey matte video, and a video with alpha, if asked for; yields the files.

    Args:
        item: a sequence whose alpha channels are written.
        save: kinds of output.
        fps: frames a second; None = as the video is shown, or 24 for image files.

    Raises:
        InputError: a frame cannot be read again, or a file not written.
    """
    if not item.mattes:
        return
    from vossegcli.io.media.video_writer import AlphaVideoWriter, VideoWriter  # loads PyAV

    reader = item.reader
    timing = reader.timing.at(fps) if {"matte", "prores"} & set(save) else Timing()
    matte, prores = matte_path(item.output, item.name), prores_path(item.output, item.name)
    with ExitStack() as stack:
        grey = colour = None
        if "matte" in save:
            grey = stack.enter_context(VideoWriter(matte, timing.fps, reader.size, timing))
        if "prores" in save:
            colour = stack.enter_context(AlphaVideoWriter(prores, timing.fps, reader.size, timing))
        for frame in stack.enter_context(closing(read_ahead(reader.iterate(), 4))):
            alpha = read_alpha(item.alpha_path(frame.name), reader.size)
            rgba = np.dstack([frame.image, alpha])
            if "cutouts" in save:
                write_image(path := cutout_path(item.output, item.name, frame.name), rgba)
                yield path
            if grey is not None:
                grey.write(np.repeat(alpha[..., None], 3, axis=2))
            if colour is not None:
                colour.write(rgba)
    yield from (path for kind, path in (("matte", matte), ("prores", prores)) if kind in save)
