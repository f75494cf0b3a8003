"""Frames in order, from image files, an image stack or a video, one at a time.

Shapes: H W pixels. Images are uint8 RGB, (H,W,3).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.media.depth import RangeChoice, Samples, SequenceDepth
from vossegcli.io.media.images import read_image_size, read_samples, size_text
from vossegcli.io.media.kinds import kind_of
from vossegcli.io.media.reading import Reading
from vossegcli.io.media.stacks import StackFrames
from vossegcli.io.media.timing import Timing
from vossegcli.io.records.file_names import check_unique_stems
from vossegcli.types import Frame, FrameSequence


class FrameReader(Protocol):
    """The frames of one sequence."""

    @property
    def names(self) -> tuple[str, ...]:
        """Frame names in order: file stems, or zero-padded indices for a video or a stack."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every frame."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the frames, given before any is decoded."""

    @property
    def scaling(self) -> str | None:
        """Note on the scaling of frames of more than 8 bits, or None; some are decoded."""

    @property
    def timing(self) -> Timing:
        """Times of the frames."""

    def __len__(self) -> int:
        """Count the frames."""

    def iterate(self, start: int = 0, stop: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Decode the frames of [start, stop) one by one; with `reverse`, the same frames, last first."""


class FolderFrames:
    """Image files as frames, decoded when their turn comes.

    Args:
        files: image files in order.
        name: what to call the sequence in an error.
        choice: the range of values that is shown, for frames of more than 8 bits; None = that of their content.

    Raises:
        InputError: no file, or two files with the same stem.
    """

    def __init__(self, files: tuple[Path, ...], name: str = "frames", choice: RangeChoice = None) -> None:
        if not files:
            raise InputError("holds no frames", where=name, fix="put image files there, or leave it out")
        self._files = files
        self._names = tuple(path.stem for path in files)
        self._size: tuple[int, int] | None = None
        self._depth = SequenceDepth(len(files), self._samples, choice)
        check_unique_stems(files)

    @property
    def names(self) -> tuple[str, ...]:
        """File stems, in order."""
        return self._names

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first frame, which all others must have."""
        if self._size is None:
            self._size = read_image_size(self._files[0])
        return self._size

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def scaling(self) -> str | None:
        """Note on the scaling of frames of more than 8 bits, or None; some are decoded."""
        return self._depth.note

    @property
    def timing(self) -> Timing:
        """24 frames a second."""
        return Timing()

    def __len__(self) -> int:
        """Count the frames."""
        return len(self._files)

    def iterate(self, start: int = 0, stop: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Decode the frames of [start, stop) one by one.

        Args:
            start: index of the first frame of the range.
            stop: index after the last one; None = to the end.
            reverse: give the same frames, last first.

        Raises:
            InputError: a file cannot be read, or has another size than the first.
        """
        indices = range(len(self))[start:stop]
        for index in reversed(indices) if reverse else indices:
            yield Frame(self._names[index], self._read(self._files[index]))

    def _samples(self, index: int) -> Samples:
        return read_samples(self._files[index])

    def _read(self, path: Path) -> npt.NDArray[np.uint8]:
        image = self._depth.shown(read_samples(path), str(path))
        if image.shape[:2] != self.size:
            found, wanted = size_text(image.shape[:2]), size_text(self.size)
            raise InputError(
                f"is {found}, but the first frame of its folder is {wanted}",
                where=path,
                fix="resize the frame, or put frames of different sizes into different folders",
            )
        return image


def open_frames(sequence: FrameSequence, reading: Reading | None = None) -> FrameReader:
    """Open the reader of a sequence; no frame is decoded yet.

    Args:
        sequence: what to read.
        reading: what the user said about how to read it.

    Raises:
        InputError: the sequence holds no frames, two of them with the same stem, or pictures beside videos.
    """
    how = reading or Reading()
    if sequence.problem is not None:
        raise InputError(sequence.problem, where=sequence.name, fix="put the ones or the others into another folder")
    if sequence.video is None:
        return FolderFrames(sequence.frames, sequence.name, how.values)
    if kind_of(sequence.video) == "stack":
        return StackFrames(sequence.video, how.values, how.axes)
    from vossegcli.io.media.video import VideoFrames  # loads PyAV

    return VideoFrames(sequence.video, how.values)
