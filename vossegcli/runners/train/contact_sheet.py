"""A contact sheet: samples with their masks as training sees them, on one picture for a person to look at."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.io.results.overlays import draw_overlay, write_image
from vossegcli.ops.images import to_pixels
from vossegcli.samples import ClipSamples, EpisodeSamples, InstanceClipSamples, InstanceSamples

Picture = npt.NDArray[np.uint8]
NAME = "samples.jpg"
SAMPLES, COLUMNS, SIDE, GAP = 24, 6, 200, 4


def write_contact_sheet(folder: Path, batches: Iterable[Any]) -> Path:
    """Draw the first samples of some batches and write `samples.jpg`; return its path.

    Raises:
        InputError: the file cannot be written.
    """
    pictures = list(itertools.islice(itertools.chain.from_iterable(map(sample_pictures, batches)), SAMPLES))
    path = folder / NAME
    write_image(path, _grid(pictures))
    return path


def sample_pictures(batch: Any) -> Iterator[Picture]:  # noqa: ANN401 - samples of any task
    """Draw each sample of a batch with its masks: (S,W,3) uint8; of a clip the first and last frame side by side."""
    if isinstance(batch, ClipSamples):
        for frames, labels in zip(batch.frames, batch.labels, strict=True):
            yield np.concatenate([_drawn(frames[t], labels[t]) for t in (0, -1)], axis=1)
    elif isinstance(batch, EpisodeSamples):
        for images, masks in zip(batch.images.flatten(0, 1), batch.masks.flatten(0, 1), strict=True):
            yield _drawn(images, masks == 1)
    elif isinstance(batch, InstanceSamples):
        for image, ids in zip(batch.images, batch.ids, strict=True):
            yield _drawn(image, ids)
    elif isinstance(batch, InstanceClipSamples):
        for frames, ids in zip(batch.frames, batch.ids, strict=True):
            yield np.concatenate([_drawn(frames[t], ids[t]) for t in (0, -1)], axis=1)


def _drawn(image: Any, ids: Any) -> Picture:  # noqa: ANN401 - tensors (3,S,S) and (S,S)
    return draw_overlay(to_pixels(image), ids.cpu().numpy().astype(np.uint16))


def _grid(pictures: list[Picture]) -> Picture:
    rows = max(1, -(-len(pictures) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, rows * (SIDE + GAP) + GAP), (32, 32, 32))
    for number, picture in enumerate(pictures):
        tile = Image.fromarray(picture)
        tile.thumbnail((SIDE, SIDE))
        column, row = number % COLUMNS, number // COLUMNS
        sheet.paste(tile, (GAP + column * (SIDE + GAP), GAP + row * (SIDE + GAP)))
    return np.asarray(sheet)
