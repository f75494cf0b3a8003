"""Pictures of a finished run, made small for its page: overlays as written, or drawn from inputs and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.errors import VossegError
from vossegcli.io.masks.label_maps import read_written_ids
from vossegcli.io.media.frames import FrameReader, open_frames
from vossegcli.io.media.images import read_image
from vossegcli.io.media.queries import find_queries
from vossegcli.io.media.sequences import find_sequences
from vossegcli.io.records.file_names import natural_key
from vossegcli.io.results.overlays import data_uri, draw_overlay

Picture = npt.NDArray[np.uint8]
DARK = 40  # grey behind a mask whose frame is not available


class RunPictures:
    """Overlays of a run's items.

    Args:
        folder: of the run.
        source: its input, as in the record.
        below: the folder of its images, likewise; empty = the usual places.
        videos: whether its items are videos.
    """

    def __init__(self, folder: Path, source: str, below: str = "", *, videos: bool) -> None:
        self._folder = folder
        self._sequences: dict[str, Any] = {}
        self._images: dict[str, Path] = {}
        self._readers: dict[str, FrameReader | None] = {}
        try:
            if videos:
                self._sequences = {one.name: one for one in find_sequences(Path(source))}
            else:
                found = find_queries(source, Path(below) if below else None)
                self._images = {one.name: one.path for one in found if not one.is_video}
        except (VossegError, OSError):
            pass  # the input is no longer there: masks alone are shown

    def frames(self, item: str) -> list[str]:
        """Names of an item's frames that have a mask or an overlay, in natural order."""
        names = {
            path.stem
            for kind, suffix in (("masks", ".png"), ("overlay", ".jpg"))
            for path in (self._folder / kind / item).glob(f"*{suffix}")
        }
        return sorted(names, key=natural_key)

    def uri(self, item: str, frame: str, width: int) -> str | None:
        """The overlay of a frame as a data URI; None where there is neither overlay nor mask."""
        picture = self._overlay(f"{item}/{frame}" if frame else item, item, frame)
        return None if picture is None else data_uri(picture, width=width, quality=62)

    def _overlay(self, name: str, item: str, frame: str) -> Picture | None:
        try:
            written = self._folder / "overlay" / f"{name}.jpg"
            if written.is_file():
                return read_image(written)
            mask = self._folder / "masks" / f"{name}.png"
            if not mask.is_file():
                return None
            ids = read_written_ids(mask)
        except VossegError:
            return None
        try:
            image = self._image(item, frame)
        except (VossegError, OSError):
            image = None  # it has gone since, and the mask alone is shown
        if image is None or image.shape[:2] != ids.shape:
            return draw_overlay(np.full((*ids.shape, 3), DARK, np.uint8), ids, 0.9)
        return draw_overlay(image, ids)

    def _image(self, item: str, frame: str) -> Picture | None:
        if not frame:
            path = self._images.get(item)
            return None if path is None else read_image(path)
        reader = self._reader(item)
        if reader is None or frame not in reader.names:
            return None
        index = reader.names.index(frame)
        return next((found.image for found in reader.iterate(index, index + 1)), None)

    def _reader(self, item: str) -> FrameReader | None:
        if item not in self._readers:
            sequence = self._sequences.get(item)
            self._readers = {item: None if sequence is None else open_frames(sequence)}  # one is open at a time
        return self._readers[item]
