"""Instances of images as files of annotation tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vossegcli.batch.image_batches import ImageItem, open_query
from vossegcli.errors import InputError
from vossegcli.io.media.images import read_image_size
from vossegcli.io.media.queries import Query
from vossegcli.io.media.reading import Reading
from vossegcli.io.records.run_records import read_jsonl
from vossegcli.io.results.exports import ExportedImage, shape_of_rle, write_coco, write_cvat, write_labelme
from vossegcli.io.results.geojson import write_geojson

#: Kinds of output that are a file per image.
IMAGE_KINDS = ("labelme", "geojson")
RESULTS, COCO, CVAT = "instances.json", "coco.json", "cvat.xml"


def export_image(
    item: ImageItem,
    size: tuple[int, int],
    rows: Sequence[Mapping[str, Any]],
    save: Sequence[str],
    labels: Sequence[str],
) -> Iterator[Path]:
    """Write the instances of an image for labelme and for slide viewers, if asked for; yields the files.

    Args:
        item: the image.
        size: (H,W) of it.
        rows: its instances, best first.
        save: kinds of output.
        labels: names of all classes.
    """
    image = _exported(item, size, rows)
    if "labelme" in save:
        yield from write_labelme(item.output / "labelme", [image])
    if "geojson" in save:
        yield write_geojson(item.output / "geojson" / f"{item.name}.geojson", image.shapes, labels, size)


def export_images(
    folder: Path,
    items: Sequence[ImageItem],
    save: Sequence[str],
    category_ids: Mapping[str, int],
    image_ids: Mapping[str, int | str],
    reading: Reading,
) -> list[str]:
    """Write the drawn instances of all images for COCO and CVAT, if asked for, and remove files that nobody asked for.

    Images are opened only where nothing at all was found in them; the size of the others is that of their masks.

    Args:
        folder: output folder of the run.
        items: images that are done.
        save: kinds of output.
        category_ids: id of each class.
        image_ids: id of each image by its name: that of the results, also where some images are not done.
        reading: how stacks are read.

    Returns:
        A note for each image that is left out, because nothing was found in it and it can no longer be read.

    Raises:
        InputError: a file cannot be written.
    """
    for kind, name in (("coco", RESULTS), ("coco", COCO), ("cvat", CVAT)):
        if kind not in save:
            (folder / name).unlink(missing_ok=True)
    if not {"coco", "cvat"} & set(save):
        return []
    images, ids, notes = [], [], []
    for item in items:
        rows = list(read_jsonl(item.state.rows))
        try:
            height, width = rows[0]["segmentation"]["size"] if rows else _size_of(item.query, reading)
        except InputError as error:
            notes.append(f"left out of the files for COCO and CVAT: {error}")
            continue
        images.append(_exported(item, (height, width), [row for row in rows if row["drawn"]]))
        ids.append(image_ids[item.name])
    if "coco" in save:
        write_coco(folder / COCO, images, category_ids, ids)
    if "cvat" in save:
        write_cvat(folder / CVAT, images)
    return notes


def _size_of(query: Query, reading: Reading) -> tuple[int, int]:
    return open_query(query, reading).size if query.is_video else read_image_size(query.path)


def _exported(item: ImageItem, size: tuple[int, int], rows: Sequence[Mapping[str, Any]]) -> ExportedImage:
    """An image with its instances; the best lie on top, as in the map of ids."""
    shapes = [
        shape_of_rle(row["class"], number, row["segmentation"], row["score"])
        for number, row in enumerate(rows, start=1)
    ]
    return ExportedImage(f"{item.name}{item.query.path.suffix}", item.query.path, *size, tuple(reversed(shapes)))
