"""A contact sheet: samples with masks and classes as training sees them, on one picture for a person to look at."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

from vossegcli.io.results.overlays import draw_overlay, write_image
from vossegcli.ops.images import to_pixels
from vossegcli.samples import ClipSamples, EpisodeSamples, InstanceClipSamples, InstanceSamples

Picture = npt.NDArray[np.uint8]
NAME = "samples.jpg"
SAMPLES, COLUMNS, SIDE, GAP = 24, 6, 200, 4
MOST_MARKS = 12  # a sample: more names would hide the masks


class Mark(NamedTuple):
    """Place of the name of a class: pixels from the left and the top."""

    x: float
    y: float
    name: str


class Tile(NamedTuple):
    """A sample with its masks (S,W,3), and the names of the classes that it shows."""

    picture: Picture
    marks: tuple[Mark, ...] = ()


def write_contact_sheet(folder: Path, batches: Iterable[Any], names: Sequence[str] = ()) -> Path:
    """Draw the first samples of some batches and write `samples.jpg`; return its path.

    Args:
        folder: to write to.
        batches: samples of any task.
        names: of the classes, by their numbers in the samples; empty = show none.

    Raises:
        InputError: the file cannot be written.
    """
    every = itertools.chain.from_iterable(sample_tiles(batch, names) for batch in batches)
    path = folder / NAME
    write_image(path, _grid(list(itertools.islice(every, SAMPLES))))
    return path


def sample_tiles(batch: Any, names: Sequence[str] = ()) -> Iterator[Tile]:  # noqa: ANN401 - samples of any task
    """Draw each sample of a batch with its masks; of a clip the first and last frame side by side."""
    if isinstance(batch, ClipSamples):
        for frames, labels in zip(batch.frames, batch.labels, strict=True):
            yield Tile(np.concatenate([_drawn(frames[t], labels[t]) for t in (0, -1)], axis=1))
    elif isinstance(batch, EpisodeSamples):
        numbers = batch.classes.repeat_interleave(batch.images.shape[1])
        for image, mask, number in zip(batch.images.flatten(0, 1), batch.masks.flatten(0, 1), numbers, strict=True):
            ids = (mask == 1).long()
            yield Tile(_drawn(image, ids), _marks(ids, [int(number)], names))
    elif isinstance(batch, InstanceSamples):
        for number, (image, ids) in enumerate(zip(batch.images, batch.ids, strict=True)):
            yield Tile(_drawn(image, ids), _marks(ids, _numbers(batch.labels, number), names))
    elif isinstance(batch, InstanceClipSamples):
        for number, (frames, ids) in enumerate(zip(batch.frames, batch.ids, strict=True)):
            pair = np.concatenate([_drawn(frames[t], ids[t]) for t in (0, -1)], axis=1)
            yield Tile(pair, _marks(ids[0], _numbers(batch.labels, number), names))


def _numbers(labels: Sequence[Any], sample: int) -> list[int]:
    """Numbers of the classes of a sample's objects."""
    return [int(label) for label in labels[sample]] if sample < len(labels) else []


def _drawn(image: Any, ids: Any) -> Picture:  # noqa: ANN401 - tensors (3,S,S) and (S,S)
    return draw_overlay(to_pixels(image), ids.cpu().numpy().astype(np.uint16))


def _marks(ids: Any, numbers: Sequence[int], names: Sequence[str]) -> tuple[Mark, ...]:  # noqa: ANN401 - tensor (S,S)
    """Name each object in its middle; the numbers are those of objects 1, 2, ..."""
    found = []
    for object_id, number in enumerate(numbers, start=1):
        rows, columns = np.nonzero(ids.cpu().numpy() == object_id)
        if rows.size and number < len(names):
            found.append((rows.size, Mark(float(np.median(columns)), float(np.median(rows)), names[number])))
    largest = sorted(found, key=lambda one: -one[0])[:MOST_MARKS]
    return tuple(mark for _, mark in largest)


def _grid(tiles: list[Tile]) -> Picture:
    """Tiles in rows of 6; two frames side by side take the place of two."""
    across = max((round(tile.picture.shape[1] / tile.picture.shape[0]) for tile in tiles), default=1)
    columns = max(1, COLUMNS // across)
    width, rows = across * SIDE + GAP, max(1, -(-len(tiles) // columns))
    sheet = Image.new("RGB", (columns * width + GAP, rows * (SIDE + GAP) + GAP), (32, 32, 32))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(_labelled(tile, across * SIDE), (GAP + column * width, GAP + row * (SIDE + GAP)))
    return np.asarray(sheet)


def _labelled(tile: Tile, width: int) -> Image.Image:
    """The tile at its size on the sheet, with names written over it where they do not hide each other."""
    picture = ImageOps.contain(Image.fromarray(tile.picture), (width, SIDE))
    scale = picture.width / tile.picture.shape[1]
    draw = ImageDraw.Draw(picture)
    taken: list[tuple[float, float, float, float]] = []
    for mark in tile.marks:
        _, _, wide, high = draw.textbbox((0, 0), mark.name)
        x = min(max(2.0, mark.x * scale - wide / 2), max(2.0, picture.width - wide - 2))
        y = min(max(2.0, mark.y * scale - high / 2), max(2.0, picture.height - high - 2))
        box = (x, y, x + wide, y + high)
        if not any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in taken):
            taken.append(box)
            draw.text((x, y), mark.name, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
    return picture
