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

from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.records.atomic import write_lines_atomic
from vossegcli.io.records.run_records import read_jsonl
from vossegcli.io.results.overlays import Caption, add_captions, draw_overlay
from vossegcli.io.results.rle import decoded_runs
from vossegcli.runners.track.divisions import Lineage
from vossegcli.runners.track.follow import TrackItem
from vossegcli.runners.track.tracks import Row, Track
from vossegcli.types import Frame

MOST_IDS = 65_535  # in 16 bits
TRACKS_AT_ONCE = 50  # whose masks are in memory together

Ids = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Followed:
    """A followed sequence and the tracks of it that are wanted.

    Attributes:
        item: the sequence.
        lineage: what its tracks are called after divisions.
        tracks: in the order of their first frames.
        drawn: those of them that are drawn; called 1, 2, ... in their order.
    """

    item: TrackItem
    lineage: Lineage
    tracks: Sequence[Track]
    drawn: Sequence[Track]

    def rows(self) -> Iterator[Row]:
        """Read its rows, by frame."""
        return self.lineage.renamed(read_jsonl(self.item.state.rows))

    def parents(self) -> dict[int, int]:
        """The id of each drawn track that a division began -> that of its mother, where she is drawn too."""
        ids = {track.number: k for k, track in enumerate(self.drawn, start=1)}
        parents = self.lineage.parents
        return {ids[n]: ids[parents[n]] for n in ids if n in parents and parents[n] in ids}


def write_id_maps(followed: Followed) -> Iterator[Path]:
    """Write a map of ids a frame. Yields the files."""
    item = followed.item
    for name, ids_map in zip(item.reader.names, id_maps(followed), strict=True):
        path = item.output / "masks" / item.name / f"{name}.png"
        write_label_map(path, ids_map)
        yield path


def id_maps(followed: Followed) -> Iterator[Ids]:
    """Paint a map of ids (H,W) a frame."""
    for _, rows in _by_frame(followed):
        yield _paint(followed, rows)


def captions_of(followed: Followed, labels: Sequence[str]) -> Callable[[Frame], npt.NDArray[np.uint8]]:
    """Return a function that draws the tracks of the frames, in order: tinted, outlined, with identity and class."""
    frames = _by_frame(followed)
    classes = [f" {label}" for label in labels] if len(labels) > 1 else [""]
    names = {track.number: f"{k}{classes[track.label]}" for k, track in enumerate(followed.drawn, start=1)}

    def draw(frame: Frame) -> npt.NDArray[np.uint8]:
        _, rows = next(frames)
        captions = []
        for row in rows:
            if row["id"] in names:
                left, top, width, _ = coco_mask.toBbox(_rle(followed.item, row))
                captions.append(Caption(int(left), int(top), int(width), names[row["id"]]))
        drawn = draw_overlay(frame.image, _paint(followed, rows))
        add_captions(drawn, captions)
        return drawn

    return draw


def write_masklets(followed: Followed) -> Path:
    """Write a line a track: `label`, `score` and `segmentations`, a compressed RLE or null a frame.

    The rows are read once for every few tracks.
    """
    item, tracks = followed.item, followed.tracks

    def lines() -> Iterator[str]:
        for start in range(0, len(tracks), TRACKS_AT_ONCE):
            part = tracks[start : start + TRACKS_AT_ONCE]
            found: dict[int, list[dict[str, Any] | None]] = {track.number: [None] * len(item.reader) for track in part}
            for row in followed.rows():
                if row["id"] in found:
                    found[row["id"]][row["frame"]] = _rle(item, row)
            for track in part:
                line = {"label": track.label, "score": round(track.rank, 5), "segmentations": found.pop(track.number)}
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


def _by_frame(followed: Followed) -> Iterator[tuple[int, list[Row]]]:
    """The rows of every frame, also of those without any."""
    groups = groupby(followed.rows(), key=lambda row: int(row["frame"]))
    following = next(groups, None)
    for index in range(len(followed.item.reader)):
        if following is not None and following[0] == index:
            yield index, list(following[1])
            following = next(groups, None)
        else:
            yield index, []


def _paint(followed: Followed, rows: Iterable[Row]) -> Ids:
    """The tracks of a frame as ids (H,W); the best lie on top.

    Raises:
        InputError: there are more tracks than ids.
    """
    if len(followed.drawn) > MOST_IDS:
        what = f"has {len(followed.drawn)} tracks, but a 16-bit map has {MOST_IDS} ids"
        raise InputError(what, where=followed.item.name, fix="raise --score-threshold, or use --save coco")
    order = {track.number: (k, track.score) for k, track in enumerate(followed.drawn, start=1)}
    height, width = followed.item.reader.size
    columns = np.zeros(width * height, np.uint16)  # column by column, as the runs go
    shown = [row for row in rows if row["id"] in order]
    for row in sorted(shown, key=lambda row: order[row["id"]][1]):
        ends = np.cumsum(decoded_runs(row["rle"]))
        for start, stop in zip(ends[0::2], ends[1::2], strict=False):
            columns[start:stop] = order[row["id"]][0]
    return columns.reshape(width, height).T


def _rle(item: TrackItem, row: Row) -> dict[str, Any]:
    return {"size": list(item.reader.size), "counts": row["rle"]}
