"""`vosseg instance`: images to instances, as COCO results, maps of ids, overlays and cut-outs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from vossegcli import __version__
from vossegcli.errors import ConfigError, InputError, VossegError
from vossegcli.io.atomic import clean_temporaries, write_text_atomic
from vossegcli.io.file_names import folder_of_label
from vossegcli.io.image_ids import find_image_ids, read_category_ids
from vossegcli.io.label_maps import write_instance_map
from vossegcli.io.overlays import Caption, draw_captions, draw_overlay, write_image
from vossegcli.io.queries import Query, find_queries, is_listing, queries_name
from vossegcli.io.run_records import ItemState, append_jsonl, fingerprint, read_jsonl
from vossegcli.io.tables import write_csv
from vossegcli.runners.batch import Progress, WorkItem, pending_items, plan_batch, run_batch
from vossegcli.runners.instance_results import coco_results
from vossegcli.runners.loading import check_classes, check_score, choose_model
from vossegcli.runners.options import BatchOptions
from vossegcli.runners.query_batches import Predicted, QueryBatches
from vossegcli.runners.tiles import Found, find_in_tiles, merge_over_seams
from vossegcli.systems.base import InstancePredictor

FIELDS = ("image", "instance", "class", "score", "area", "x", "y", "width", "height")
LOWEST_SCORE = 0.01  # in the COCO results, for average precision needs what nobody would draw

Image = npt.NDArray[np.uint8]
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class InstanceOptions(BatchOptions):
    """What the command line gives; see `vosseg instance --help`.

    Attributes:
        images: file, folder, glob, or COCO file that lists images.
        annotations: COCO file that gives the ids of images and categories; None = the one that lists them, if any.
        score_threshold: instances below it are neither drawn nor counted; None = the checkpoint's.
        top_k: instances an image at most; None = the checkpoint's.
        classes: names of the classes that are wanted; empty = all.
        tile: side of the tiles that large images are cut into; None = whole images.
        overlap: of the tiles, in pixels.
        short_side: working size; 0 = native, None = the checkpoint's.
    """

    COMMAND = "instance"
    SAVES = ("masks", "coco", "overlay", "cutouts")

    images: str
    annotations: Path | None = None
    score_threshold: float | None = None
    top_k: int | None = None
    classes: tuple[str, ...] = ()
    tile: int | None = None
    overlap: int = 128
    short_side: int | None = None
    save: tuple[str, ...] = ("masks", "coco")

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or a number out of range.
        """
        super().__post_init__()
        check_score(self.score_threshold)
        if self.tile is not None and not 0 <= self.overlap < self.tile:
            raise ConfigError(
                f"overlap is {self.overlap}, tile {self.tile}", fix="give an overlap smaller than the tile"
            )

    @property
    def input_name(self) -> str:
        """What the default output folder is called after."""
        return queries_name(self.images) or "images"


@dataclass(frozen=True)
class _Job:
    """What all images share; `least` is the score from which on instances are drawn."""

    options: InstanceOptions
    least: float
    batches: QueryBatches[list[Found]]
    labels: tuple[str, ...]
    wanted: frozenset[str]
    category_ids: tuple[int, ...]
    image_ids: dict[str, int]


def instance(options: InstanceOptions, progress: Progress, *, dry_run: bool = False) -> dict[str, Any]:
    """Find the instances of every image and return the run's record.

    Args:
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.

    Raises:
        InputError: the images or the annotations cannot be used, or the output folder not written.
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
    """
    model = choose_model("instance", options.checkpoint, options.device, options.precision)
    labels = model.checkpoint.header.labels
    check_classes(options.classes, labels)
    least = model.draw_score(options.score_threshold)
    queries = find_queries(options.images)
    annotations = options.annotations or (Path(options.images) if is_listing(options.images) else None)
    image_ids = find_image_ids(queries, annotations)
    category_ids = read_category_ids(labels, annotations)
    settings = {
        "version": __version__, **model.settings, "size": options.short_side, "top_k": options.top_k,
        "threshold": least, "classes": sorted(options.classes), "tile": options.tile,
        "overlap": options.overlap if options.tile else None, "save": sorted(options.save), "ids": category_ids,
    }  # fmt: skip
    by_name = {query.name: query for query in queries}
    items = [_item(query, {**settings, "id": image_ids[query.name]}) for query in queries]
    facts = options.facts(options.images, model, classes=dict(zip(map(str, category_ids), labels, strict=True)))
    if dry_run:
        return plan_batch(items, options.folder, facts, overwrite=options.overwrite)
    torch.manual_seed(options.seed)
    lowest = min(LOWEST_SCORE, least)
    predictor: InstancePredictor = model.predictor(
        short_side=options.short_side, score_threshold=lowest, top_k=options.top_k
    )
    listed = [{"id": image_ids[query.name], "file_name": query.path.name, "name": query.name} for query in queries]
    write_text_atomic(options.folder / "images.json", json.dumps(listed, indent=1) + "\n")
    write_text_atomic(options.folder / "classes.json", json.dumps(facts["classes"], indent=1) + "\n")
    todo = [by_name[item.name] for item in pending_items(items, options.folder, overwrite=options.overwrite)]

    def predict(images: Tensor) -> list[list[Found]]:
        return find_in_tiles(predictor, images, options.tile, options.overlap)

    def conclude() -> dict[str, Any]:
        return {"instances": _write_tables(options, least, [item.name for item in items])}

    with QueryBatches(predict, todo, model.device.type) as batches:
        job = _Job(options, least, batches, labels, frozenset(options.classes or labels), category_ids, image_ids)

        def work(item: WorkItem) -> tuple[int, tuple[str, ...]]:
            _segment_image(job, by_name[item.name], item.key)
            progress.frame()
            return 1, ()

        return run_batch(items, work, options.folder, facts, progress, overwrite=options.overwrite, conclude=conclude)


def _item(query: Query, settings: dict[str, Any]) -> WorkItem:
    try:
        if query.is_video:
            raise InputError("is a video", where=query.path, fix="give images, or its frames as a folder")
        return WorkItem(query.name, 1, fingerprint([query.path], settings))
    except VossegError as error:
        return WorkItem(query.name, 0, "", error)


def _segment_image(job: _Job, query: Query, key: str) -> None:
    (picture,) = job.batches.of(query)
    state = ItemState(job.options.folder, query.name)
    rows = [row for row in _rows(job, picture) if _name_of(job, row) in job.wanted]
    for row in rows:
        append_jsonl(state.rows, {**row, "image": query.name, "class": _name_of(job, row)})
    drawn = [row for row in rows if row["score"] >= job.least]
    state.mark_done(key, list(_write(job, query.name, picture.image, drawn)), {"frames": 1})


def _name_of(job: _Job, row: Row) -> str:
    return job.labels[job.category_ids.index(row["category_id"])]


def _rows(job: _Job, picture: Predicted[list[Found]]) -> list[Row]:
    """COCO results of an image, best first; those of a large one are joined over the seams of its tiles."""
    size = (picture.image.shape[0], picture.image.shape[1])
    image_id = job.image_ids[picture.name]
    rows = [
        list(coco_results(found, size, image_id, job.category_ids, origin=(tile.top, tile.left)))
        for tile, found in picture.found
    ]
    return rows[0] if len(rows) == 1 else merge_over_seams(rows, [tile for tile, _ in picture.found])


def _write(job: _Job, name: str, image: Image, rows: Sequence[Row]) -> Iterator[Path]:
    """Write what was asked for of one image; yields the files."""
    folder, save = job.options.folder, job.options.save
    ids = np.zeros(image.shape[:2], np.uint16)
    for number in reversed(range(len(rows) if {"masks", "overlay"} & set(save) else 0)):  # the best lie on top
        ids[coco_mask.decode(rows[number]["segmentation"]) > 0] = number + 1
    if "masks" in save:
        path = folder / "masks" / f"{name}.png"
        clean_temporaries(path.parent)
        write_instance_map(path, ids)
        yield path
    if "overlay" in save:
        path = folder / "overlay" / f"{name}.jpg"
        captions = [_caption(job, row) for row in rows]
        shown = np.where(ids > 0, (ids - 1) % 254 + 1, 0)
        write_image(path, draw_captions(draw_overlay(image, shown), captions))
        yield path
    if "cutouts" in save:
        for number, row in enumerate(rows, start=1):
            left, top, width, height = (int(value) for value in coco_mask.toBbox(row["segmentation"]))
            part = np.s_[top : top + height, left : left + width]
            alpha = coco_mask.decode(row["segmentation"])[part] * np.uint8(255)
            path = folder / "cutouts" / folder_of_label(_name_of(job, row)) / f"{name}_{number:03d}.png"
            write_image(path, np.dstack([image[part], alpha]))
            yield path


def _caption(job: _Job, row: Row) -> Caption:
    x, y, width, _ = (int(value) for value in row["bbox"])
    named = f"{_name_of(job, row)} " if len(job.labels) > 1 else ""
    return Caption(x, y, width, f"{named}{row['score']:.2f}")


def _write_tables(options: InstanceOptions, least: float, names: Sequence[str]) -> int:
    """Write `instances.csv` and, if asked for, `instances.json`; returns how many instances were drawn."""
    rows = [row for name in names for row in read_jsonl(ItemState(options.folder, name).rows)]
    if "coco" in options.save:
        fields = ("image_id", "category_id", "bbox", "score", "segmentation")
        results = [{field: row[field] for field in fields} for row in rows]
        write_text_atomic(options.folder / "instances.json", json.dumps(results))
    table = []
    seen: dict[str, int] = {}
    for row in (row for row in rows if row["score"] >= least):
        seen[row["image"]] = seen.get(row["image"], 0) + 1
        x, y, width, height = row["bbox"]
        table.append({
            "image": row["image"], "instance": seen[row["image"]], "class": row["class"], "score": row["score"],
            "area": int(coco_mask.area(row["segmentation"])), "x": x, "y": y, "width": width, "height": height,
        })  # fmt: skip
    write_csv(options.folder / "instances.csv", FIELDS, table)
    return len(table)
