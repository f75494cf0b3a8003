"""`vosseg instance`: images to instances, as COCO results, maps of ids, overlays and cut-outs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from torch import Tensor

from vossegcli import __version__
from vossegcli.batch.batch import Batch, Executor, Progress, Work, WorkItem
from vossegcli.batch.image_batches import Predicted, QueryBatches, pictures_together
from vossegcli.batch.options import BatchOptions
from vossegcli.batch.run import InProcess, plan_batch, run_batch
from vossegcli.errors import ConfigError, InputError, VossegError
from vossegcli.io.datasets.image_ids import find_image_ids, read_category_ids
from vossegcli.io.masks.label_maps import write_instance_map
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.media.queries import Query, find_queries, is_listing, queries_name
from vossegcli.io.records.atomic import clean_temporaries, write_text_atomic
from vossegcli.io.records.file_names import folder_of_label
from vossegcli.io.records.run_records import ItemState, append_jsonl, fingerprint, read_jsonl
from vossegcli.io.records.tables import write_csv
from vossegcli.io.results.overlays import Caption, draw_captions, draw_overlay, write_image
from vossegcli.models.chosen_model import check_classes, check_score, choose_model
from vossegcli.runners.instance.results import coco_results
from vossegcli.runners.instance.tiles import Found, find_in_tiles, merge_over_seams
from vossegcli.systems.base import InstancePredictor

FIELDS = ("image", "instance", "class", "score", "area", "x", "y", "width", "height")
SAME = 0.7  # IoU of masks from which on they are of one thing, found twice, as by two classes
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
class InstanceBatch(Batch[InstanceOptions, InstancePredictor]):
    """The images of `vosseg instance`.

    Attributes:
        queries: the images by their names.
        least: score from which on instances are drawn.
        category_ids: of the classes, in the order of the labels.
        image_ids: of the images.
    """

    queries: dict[str, Query]
    least: float
    category_ids: tuple[int, ...]
    image_ids: dict[str, int]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.checkpoint.header.labels

    @property
    def together(self) -> int:
        """Images that one pass of the network may share."""
        return pictures_together(self.model.device.type)

    def begin(self) -> None:
        """Write which image and which class has which id."""
        folder = self.options.folder
        listed = [
            {"id": self.image_ids[name], "file_name": query.path.name, "name": name}
            for name, query in self.queries.items()
        ]
        write_text_atomic(folder / "images.json", json.dumps(listed, indent=1) + "\n")
        write_text_atomic(folder / "classes.json", json.dumps(self.facts["classes"], indent=1) + "\n")

    def new_predictor(self, short_side: int | None) -> InstancePredictor:
        """Build the predictor."""
        predictor: InstancePredictor = self.model.predictor(
            short_side=short_side, score_threshold=min(LOWEST_SCORE, self.least), top_k=self.options.top_k
        )
        return predictor

    @contextmanager
    def open(self, items: Sequence[WorkItem], predictor: InstancePredictor, progress: Progress) -> Iterator[Work]:
        """Give what finds the instances of an image; the images are read ahead."""
        options = self.options

        def predict(images: Tensor) -> list[list[Found]]:
            return find_in_tiles(predictor, images, options.tile, options.overlap)

        with QueryBatches(predict, [self.queries[item.name] for item in items], self.model.device.type) as batches:

            def work(item: WorkItem) -> tuple[int, tuple[str, ...]]:
                (picture,) = batches.of(self.queries[item.name])
                _write_image(self, picture, item.key)
                progress.frame()
                return 1, ()

            yield work

    def conclude(self) -> dict[str, Any]:
        """Write `instances.csv` and `instances.json`."""
        return {"instances": _write_tables(self.options, [item.name for item in self.items])}


def instance(
    options: InstanceOptions, progress: Progress, *, dry_run: bool = False, executor: Executor | None = None
) -> dict[str, Any]:
    """Find the instances of every image and return the run's record.

    Args:
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.
        executor: has the images done; None = in this process.

    Raises:
        InputError: the images or the annotations cannot be used, or the output folder not written.
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
    """
    limit_pixels(options.max_pixels)
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
    items = tuple(_item(query, {**settings, "id": image_ids[query.name]}) for query in queries)
    facts = options.facts(options.images, model, classes=dict(zip(map(str, category_ids), labels, strict=True)))
    by_name = {query.name: query for query in queries}
    batch = InstanceBatch(options, model, items, facts, by_name, least, category_ids, image_ids)
    return plan_batch(batch) if dry_run else run_batch(batch, progress, executor or InProcess())


def _item(query: Query, settings: dict[str, Any]) -> WorkItem:
    try:
        if query.is_video:
            raise InputError("is a video", where=query.path, fix="give images, or its frames as a folder")
        return WorkItem(query.name, 1, fingerprint([query.path], settings))
    except VossegError as error:
        return WorkItem(query.name, 0, "", error)


def _write_image(batch: InstanceBatch, picture: Predicted[list[Found]], key: str) -> None:
    """Write rows and pictures of an image, and the marker that says it is done."""
    state = ItemState(batch.options.folder, picture.name)
    wanted = set(batch.options.classes or batch.labels)
    rows = [row for row in _rows(batch, picture) if _name_of(batch, row) in wanted]
    numbers = _drawn(rows, batch.least)
    kept = (
        {**row, "image": picture.name, "class": _name_of(batch, row), "drawn": number in numbers}
        for number, row in enumerate(rows)
    )
    append_jsonl(state.rows, *kept)
    drawn = [rows[number] for number in numbers]
    state.mark_done(key, list(_write(batch, picture.name, picture.image, drawn)), {"frames": 1})


def _drawn(rows: Sequence[Row], least: float) -> list[int]:
    """Numbers of the rows, best first, that are good enough and not the same thing as a better one."""
    good = [number for number, row in enumerate(rows) if row["score"] >= least]
    masks = [rows[number]["segmentation"] for number in good]
    alike = coco_mask.iou(masks, masks, [0] * len(masks)) >= SAME if masks else np.zeros((0, 0))
    kept: list[int] = []
    for place in range(len(good)):
        if not alike[place, kept].any():
            kept.append(place)
    return [good[place] for place in kept]


def _name_of(batch: InstanceBatch, row: Row) -> str:
    return batch.labels[batch.category_ids.index(row["category_id"])]


def _rows(batch: InstanceBatch, picture: Predicted[list[Found]]) -> list[Row]:
    """COCO results of an image, best first; those of a large one are joined over the seams of its tiles."""
    size = (picture.image.shape[0], picture.image.shape[1])
    image_id = batch.image_ids[picture.name]
    rows = [
        list(coco_results(found, size, image_id, batch.category_ids, origin=(tile.top, tile.left)))
        for tile, found in picture.found
    ]
    return rows[0] if len(rows) == 1 else merge_over_seams(rows, [tile for tile, _ in picture.found])


def _write(batch: InstanceBatch, name: str, image: Image, rows: Sequence[Row]) -> Iterator[Path]:
    """Write what was asked for of one image; yields the files."""
    folder, save = batch.options.folder, batch.options.save
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
        captions = [_caption(batch, row) for row in rows]
        shown = np.where(ids > 0, (ids - 1) % 254 + 1, 0)
        write_image(path, draw_captions(draw_overlay(image, shown), captions))
        yield path
    if "cutouts" in save:
        for number, row in enumerate(rows, start=1):
            left, top, width, height = (int(value) for value in coco_mask.toBbox(row["segmentation"]))
            part = np.s_[top : top + height, left : left + width]
            alpha = coco_mask.decode(row["segmentation"])[part] * np.uint8(255)
            path = folder / "cutouts" / folder_of_label(_name_of(batch, row)) / f"{name}_{number:03d}.png"
            write_image(path, np.dstack([image[part], alpha]))
            yield path


def _caption(batch: InstanceBatch, row: Row) -> Caption:
    x, y, width, _ = (int(value) for value in row["bbox"])
    named = f"{_name_of(batch, row)} " if len(batch.labels) > 1 else ""
    return Caption(x, y, width, f"{named}{row['score']:.2f}")


def _write_tables(options: InstanceOptions, names: Sequence[str]) -> int:
    """Write `instances.csv` and, if asked for, `instances.json`; returns how many instances were drawn."""
    rows = [row for name in names for row in read_jsonl(ItemState(options.folder, name).rows)]
    if "coco" in options.save:
        fields = ("image_id", "category_id", "bbox", "score", "segmentation")
        results = [{field: row[field] for field in fields} for row in rows]
        write_text_atomic(options.folder / "instances.json", json.dumps(results))
    table = []
    seen: dict[str, int] = {}
    for row in (row for row in rows if row["drawn"]):
        seen[row["image"]] = seen.get(row["image"], 0) + 1
        x, y, width, height = row["bbox"]
        table.append({
            "image": row["image"], "instance": seen[row["image"]], "class": row["class"], "score": row["score"],
            "area": int(coco_mask.area(row["segmentation"])), "x": x, "y": y, "width": width, "height": height,
        })  # fmt: skip
    write_csv(options.folder / "instances.csv", FIELDS, table)
    return len(table)
