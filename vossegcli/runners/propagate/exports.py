"""The masks of a finished sequence for annotation tools, and the names of its objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from vossegcli.io.masks.label_maps import read_written_ids
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.results.exports import ExportedImage, shapes_of_ids, write_coco, write_cvat, write_labelme
from vossegcli.runners.propagate.segment import PropagateItem


def export_sequence(item: PropagateItem, save: Sequence[str]) -> list[Path]:
    """Write the masks of a sequence as files of labelme, COCO and CVAT, if asked for; returns the files."""
    written = list(write_labelme(item.output / "labelme", _images(item))) if "labelme" in save else []
    images = list(_images(item)) if {"coco", "cvat"} & set(save) else []
    if "coco" in save:
        written.append(write_coco(item.output / "coco" / f"{item.name}.json", images))
    if "cvat" in save:
        written.append(write_cvat(item.output / "cvat" / f"{item.name}.xml", images))
    return written


def write_object_names(folder: Path, items: Sequence[PropagateItem]) -> None:
    """Write `classes.json`, names of objects by id, where masks name them: one for all sequences that agree.

    Where an id means another object in another sequence, the names stand below the name of their sequence.
    """
    named = {item.name: {str(i): name for i, name in item.given.names.items()} for item in items if item.given.names}
    if not named:
        return
    pairs = {pair for names in named.values() for pair in names.items()}
    merged = dict(sorted(pairs, key=lambda pair: int(pair[0])))
    content = merged if len(merged) == len(pairs) else named
    write_text_atomic(folder / "classes.json", json.dumps(content, indent=1) + "\n")


def _images(item: PropagateItem) -> Iterator[ExportedImage]:
    """The frames with their objects; a frame of a video is called by its number."""
    files = {file.stem: file for file in item.frame_files}
    for name in item.reader.names:
        ids_map = read_written_ids(item.mask_path(name))
        file = files.get(name)
        image = f"{item.name}/{name}{'.jpg' if file is None else file.suffix}"
        height, width = ids_map.shape
        yield ExportedImage(image, file, height, width, shapes_of_ids(ids_map, item.given.names))
