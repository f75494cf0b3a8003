"""Rows of a followed sequence to tracks, maps of ids, captions and YouTube-VIS masklets; memory stays bounded.

Shapes: H W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.records.atomic import write_lines_atomic
from vossegcli.io.records.run_records import read_jsonl
from vossegcli.io.results.overlays import Caption, draw_captions, draw_overlay
from vossegcli.io.results.rle import decoded_runs
from vossegcli.runners.track.follow import TrackItem
from vossegcli.types import Frame

TRACKS_AT_ONCE = 50  # whose masks are in memory together

Row = dict[str, Any]
Ids = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Track:
    """One identity over its life.

    Attributes:
        number: as the predictor calls it.
        label: number of its class, from 0.
        score: mean over the key frames that it was seen on.
        first: index of the first frame with it.
        last: and of the last.
        frames: with it.
        area: sum of its areas in pixels.
    """

    number: int
    label: int
    score: float
    first: int
    last: int
    frames: int
    area: int


def collect_tracks(rows: Path) -> list[Track]:
    """The tracks of a sequence in the order of their first frames; class and score are those of their last rows."""
    found: dict[int, Track] = {}
    for row in read_jsonl(rows):
        number, index = row["id"], row["frame"]
        known = found.get(number, Track(number, 0, 0.0, index, index, 0, 0))
        found[number] = Track(
            number, row["label"], row["score"], known.first, index, known.frames + 1, known.area + row["area"]
        )
    return sorted(found.values(), key=lambda track: (track.first, track.number))


def write_id_maps(item: TrackItem, tracks: Sequence[Track]) -> Iterator[Path]:
    """Write a map of ids a frame. Yields the files."""
    for name, ids_map in zip(item.reader.names, id_maps(item, tracks), strict=True):
        path = item.output / "masks" / item.name / f"{name}.png"
        write_label_map(path, ids_map)
        yield path


def id_maps(item: TrackItem, tracks: Sequence[Track]) -> Iterator[Ids]:
    """Paint a map of ids (H,W) a frame; tracks are called 1, 2, ... in their order."""
    for _, rows in _by_frame(item):
        yield _paint(item, rows, tracks)


def captions_of(
    item: TrackItem, tracks: Sequence[Track], labels: Sequence[str]
) -> Callable[[Frame], npt.NDArray[np.uint8]]:
    """Return a function that draws the tracks of the frames, in order: tinted, outlined, with identity and class."""
    frames = _by_frame(item)
    classes = [f" {label}" for label in labels] if len(labels) > 1 else [""]
    names = {track.number: f"{k}{classes[track.label]}" for k, track in enumerate(tracks, start=1)}

    def draw(frame: Frame) -> npt.NDArray[np.uint8]:
        _, rows = next(frames)
        captions = []
        for row in rows:
            if row["id"] in names:
                left, top, width, _ = coco_mask.toBbox(_rle(item, row))
                captions.append(Caption(int(left), int(top), int(width), names[row["id"]]))
        return draw_captions(draw_overlay(frame.image, _paint(item, rows, tracks)), captions)

    return draw


def write_masklets(item: TrackItem, tracks: Sequence[Track]) -> Path:
    """Write a line a track: `label`, `score` and `segmentations`, a compressed RLE or null a frame.

    The rows are read once for every few tracks.
    """

    def lines() -> Iterator[str]:
        for start in range(0, len(tracks), TRACKS_AT_ONCE):
            part = tracks[start : start + TRACKS_AT_ONCE]
            found: dict[int, list[dict[str, Any] | None]] = {track.number: [None] * len(item.reader) for track in part}
            for row in read_jsonl(item.state.rows):
                if row["id"] in found:
                    found[row["id"]][row["frame"]] = _rle(item, row)
            for track in part:
                line = {"label": track.label, "score": round(track.score, 5), "segmentations": found.pop(track.number)}
                yield json.dumps(line) + "\n"

    write_lines_atomic(item.state.tracks, lines())
    return item.state.tracks


def youtube_vis_lines(items: Iterable[TrackItem], category_ids: Sequence[int]) -> Iterator[str]:
    """Give the lines of a JSON list of YouTube-VIS results, a track per line; the weak ones too."""
    before = "["
    for item in items:
        for masklet in read_jsonl(item.state.tracks):
            result = {
                "video_id": item.video_id, "category_id": category_ids[masklet["label"]],
                "score": masklet["score"], "segmentations": masklet["segmentations"],
            }  # fmt: skip
            yield before + json.dumps(result)
            before = ",\n"
    yield "]\n" if before != "[" else "[]\n"


def _by_frame(item: TrackItem) -> Iterator[tuple[int, list[Row]]]:
    """The rows of every frame, also of those without any."""
    groups = groupby(read_jsonl(item.state.rows), key=lambda row: int(row["frame"]))
    following = next(groups, None)
    for index in range(len(item.reader)):
        if following is not None and following[0] == index:
            yield index, list(following[1])
            following = next(groups, None)
        else:
            yield index, []


def _paint(item: TrackItem, rows: Iterable[Row], tracks: Sequence[Track]) -> Ids:
    """The tracks of a frame as ids (H,W); the best lie on top."""
    order = {track.number: (k, track.score) for k, track in enumerate(tracks, start=1)}
    height, width = item.reader.size
    columns = np.zeros(width * height, np.uint16)  # column by column, as the runs go
    shown = [row for row in rows if row["id"] in order]
    for row in sorted(shown, key=lambda row: order[row["id"]][1]):
        ends = np.cumsum(decoded_runs(row["rle"]))
        for start, stop in zip(ends[0::2], ends[1::2], strict=False):
            columns[start:stop] = order[row["id"]][0]
    return columns.reshape(width, height).T


def _rle(item: TrackItem, row: Row) -> dict[str, Any]:
    return {"size": list(item.reader.size), "counts": row["rle"]}
