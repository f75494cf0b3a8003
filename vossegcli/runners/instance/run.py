"""`vosseg instance`: images to instances, as COCO results, maps of ids, overlays and cut-outs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from vossegcli.batch.command import Done
from vossegcli.batch.image_batches import ImageCommand, ImageItem, open_query
from vossegcli.batch.options import BatchOptions, idle_images
from vossegcli.batch.run import run_command
from vossegcli.batch.work import Progress
from vossegcli.errors import ConfigError, InputError
from vossegcli.io.datasets.image_ids import find_image_ids, read_category_ids
from vossegcli.io.masks.png_stripes import write_grey_stripes
from vossegcli.io.media.limits import overlay_notes
from vossegcli.io.media.queries import Query, is_listing, queries_name
from vossegcli.io.media.regions import Picture
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.file_names import folders_of_labels
from vossegcli.io.records.run_records import append_jsonl, read_jsonl
from vossegcli.io.records.tables import write_csv
from vossegcli.io.results.instances import coco_results
from vossegcli.io.results.overlays import Caption, add_captions, write_image
from vossegcli.io.results.rle import cropped_mask
from vossegcli.models.chosen_model import ChosenModel, check_classes, check_score
from vossegcli.ops.masks import pasted_instances
from vossegcli.runners.instance.exports import IMAGE_KINDS, RESULTS, export_image, export_images
from vossegcli.runners.instance.mask_nms import mask_nms
from vossegcli.runners.instance.painting import IdPainter, painted_overlay
from vossegcli.runners.instance.slides import Part, read_parts
from vossegcli.runners.instance.tiles import merge_over_seams
from vossegcli.systems.base import InstancePredictor, Instances
from vossegcli.wording import counted

FIELDS = ("image", "instance", "class", "score", "area", "x", "y", "width", "height")
RESULT_FIELDS = ("image_id", "category_id", "bbox", "score", "segmentation")
OVERLAP = 128  # pixels that neighbouring tiles share
LOWEST_SCORE = 0.01  # in the COCO results, for average precision needs what nobody would draw

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class InstanceOptions(BatchOptions):
    """Options of a run; see `vosseg instance --help`.

    Attributes:
        images: file, folder, glob, or COCO file that lists images.
        annotations: COCO file that gives the ids of images and categories; None = the one that lists them, if any.
        score_threshold: instances below it are neither drawn nor counted; None = the checkpoint's.
        top_k: maximum instances per image (or per tile); None = the checkpoint's.
        classes: names of the classes that are wanted; empty = all.
        tile: side of the tiles that large images are cut into; None = whole images.
        overlap: of the tiles, in pixels; None = 128, or half of a tile that is not larger.
    """

    COMMAND = "instance"
    SAVES = {
        "masks": ("masks/{files}.png",),
        "coco": (),
        "overlay": ("overlay/{files}.jpg",),
        "cutouts": tuple(f"cutouts/*/{{files}}_{'[0-9]' * digits}.png" for digits in (3, 4, 5)),
        "labelme": ("labelme/{files}.json",),
        "geojson": ("geojson/{files}.geojson",),
        "cvat": (),
    }

    images: str
    annotations: Path | None = None
    score_threshold: float | None = None
    top_k: int | None = None
    classes: tuple[str, ...] = ()
    tile: int | None = None
    overlap: int | None = None
    save: tuple[str, ...] = ("masks", "coco")

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or a number out of range.
        """
        super().__post_init__()
        check_score(self.score_threshold)
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top-k is {self.top_k}", fix="give 1 or more")
        if self.tile is not None and not 0 <= self.tile_overlap < self.tile:
            what = f"overlap is {self.tile_overlap}, tile {self.tile}"
            raise ConfigError(what, fix="give an overlap smaller than the tile")

    @property
    def tile_overlap(self) -> int:
        """Pixels that neighbouring tiles share."""
        if self.overlap is not None:
            return self.overlap
        return OVERLAP if self.tile is None or self.tile > OVERLAP else self.tile // 2

    @property
    def source(self) -> Path:
        """File, folder, pattern or COCO file that is the input."""
        return Path(self.images)

    @property
    def listing(self) -> Path | None:
        """COCO file that gives the ids."""
        return self.annotations or (self.source if is_listing(self.images) else None)

    @property
    def input_name(self) -> str:
        """Name of the default output folder."""
        return queries_name(self.images) or "images"

    def idle(self, films: Iterable[Path]) -> list[str]:
        """Tell of options that were given and have no effect on this input."""
        return [*super().idle(films), *idle_images(self.images_folder, listed=is_listing(self.images))]


@dataclass(frozen=True, kw_only=True)
class InstanceItem(ImageItem):
    """An image that is to be done.

    Attributes:
        image_id: in the COCO results.
    """

    image_id: int | str


@dataclass(frozen=True)
class InstanceCommand(ImageCommand[InstanceOptions, InstanceItem, Part, Instances]):
    """The images of `vosseg instance`.

    Attributes:
        score_threshold: instances below it are not drawn.
        category_ids: of the classes, in the order of the labels.
        image_ids: of the images, in their order.
    """

    score_threshold: float
    category_ids: tuple[int, ...]
    image_ids: dict[str, int | str]

    @classmethod
    def prepare(cls, options: InstanceOptions, model: ChosenModel, inputs: Sequence[Query]) -> Self:
        """Read the ids of images and categories."""
        check_classes(options.classes, model.labels)
        return cls(
            options, model, inputs, model.draw_score(options.score_threshold),
            read_category_ids(model.labels, options.listing), find_image_ids(inputs, options.listing),
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that change the results of all images."""
        options = self.options
        return {
            "top_k": options.top_k, "threshold": self.score_threshold, "classes": sorted(options.classes),
            "tile": options.tile, "overlap": options.tile_overlap if options.tile else None, "ids": self.category_ids,
        }  # fmt: skip

    def plan(self, source: Query) -> InstanceItem:
        """Make the item of an image."""
        notes: tuple[str, ...] = ()
        if source.is_video:  # a stack may hold one image, of which a channel or a slice is chosen
            reader = open_query(source, self.options.reading)
            notes = reader.notes
            if len(reader) != 1:
                what = f"is a video or an image stack of {counted(len(reader), 'frame[|s]')}"
                fix = "give images, its frames as a folder, or one of its channels or slices with --channel or --axis"
                raise InputError(what, where=source.path, fix=fix)
        image_id = self.image_ids[source.name]
        return InstanceItem(
            name=source.name, frames=1, key=self.key([source.path], id=image_id), output=self.options.folder,
            query=source, image_id=image_id, notes=notes,
        )  # fmt: skip

    def facts(self, items: Sequence[InstanceItem]) -> dict[str, Any]:  # noqa: ARG002
        """The classes for the run's record."""
        return {"classes": dict(zip(map(str, self.category_ids), self.model.labels, strict=True))}

    def write_index(self, items: Sequence[InstanceItem]) -> None:
        """Write which image and which class has which id."""
        folder = self.options.folder
        listed = [{"id": item.image_id, "file_name": item.query.path.name, "name": item.name} for item in items]
        write_text_atomic(folder / "images.json", json.dumps(listed, indent=1) + "\n")
        write_text_atomic(folder / "classes.json", json.dumps(self.facts(items)["classes"], indent=1) + "\n")

    def new_predictor(self, short_side: int | None) -> InstancePredictor:
        """Build the predictor."""
        threshold = min(LOWEST_SCORE, self.score_threshold)
        predictor: InstancePredictor = self.model.predictor(
            short_side=short_side, score_threshold=threshold, top_k=self.options.top_k
        )
        return predictor

    def read(self, query: Query) -> Iterator[Part]:
        """Read an image, in tiles if that was asked for."""
        return read_parts(query, self.options.reading, self.options.tile, self.options.tile_overlap)

    def do(self, item: InstanceItem, pictures: Iterator[tuple[Part, Instances]], progress: Progress) -> Done:
        """Join what was found in the tiles of an image, and write rows and pictures."""
        rows, tiles = [], []
        for part, found in pictures:
            pasted = pasted_instances(found, (part.size[0] - part.tile.top, part.size[1] - part.tile.left))
            origin = (part.tile.top, part.tile.left)
            rows.append(list(coco_results(pasted, part.size, item.image_id, self.category_ids, origin=origin)))
            tiles.append(part.tile)  # without its pixels
            image, note = part.whole, part.note
        joined = rows[0] if len(rows) == 1 else merge_over_seams(rows, tiles, self.score_threshold)
        outputs = list(self._draw(item, image, self._kept(item, joined)))
        progress.frame()
        scaled = overlay_notes(image.shape) if "overlay" in self.options.save else ()
        return Done(1, outputs, (*scaled, *((note,) if note else ())))

    def write_tables(self, done: Sequence[InstanceItem]) -> dict[str, Any]:
        """Write `instances.csv` and, if asked for, `instances.json` and the files for annotation tools."""
        folder, save = self.options.folder, self.options.save
        category_ids = dict(zip(self.model.labels, self.category_ids, strict=True))
        notes = export_images(folder, done, save, category_ids, self.image_ids, self.options.reading)
        results, table = [], []
        for item in done:
            rows = list(read_jsonl(item.state.rows))
            results += [{field: row[field] for field in RESULT_FIELDS} for row in rows]
            drawn = (row for row in rows if row["drawn"])
            table += [_table_row(number, row) for number, row in enumerate(drawn, start=1)]
        if "coco" in save:
            write_text_atomic(folder / RESULTS, json.dumps(results))
        write_csv(folder / "instances.csv", FIELDS, table)
        return {"instances": len(table), "notes": notes}

    def _kept(self, item: InstanceItem, results: Sequence[Row]) -> list[Row]:
        """Write the rows of an image; give those that are drawn."""
        wanted = set(self.options.classes or self.model.labels)
        names = dict(zip(self.category_ids, self.model.labels, strict=True))
        rows = [{**row, "image": item.name, "class": names[row["category_id"]]} for row in results]
        rows = [row for row in rows if row["class"] in wanted]
        kept = mask_nms(rows, self.score_threshold)
        drawn = set(kept)
        append_jsonl(item.state.rows, *({**row, "drawn": number in drawn} for number, row in enumerate(rows)))
        return [rows[number] for number in kept]

    def _draw(self, item: InstanceItem, image: Picture, rows: Sequence[Row]) -> Iterator[Path]:
        """Write what was asked for of one image; yields the files."""
        folder, save = item.output, self.options.save
        painter = IdPainter(rows, (image.shape[0], image.shape[1]))
        if "masks" in save:
            write_grey_stripes(path := folder / "masks" / f"{item.name}.png", painter.size, painter.stripes())
            yield path
        if "overlay" in save:
            drawn, factor = painted_overlay(image, painter)
            named = len(self.model.labels) > 1
            captions = [_caption(row, k, factor, with_class=named) for k, row in enumerate(rows, start=1)]
            add_captions(drawn, captions)
            write_image(path := folder / "overlay" / f"{item.name}.jpg", drawn)
            del drawn
            yield path
        if set(save) & set(IMAGE_KINDS):
            yield from export_image(item, painter.size, rows, save, self.model.labels)
        if "cutouts" in save:
            folders = folders_of_labels(self.model.labels)
            for number, row in enumerate(rows, start=1):
                path = folder / "cutouts" / folders[row["class"]] / f"{item.name}_{number:03d}.png"
                write_image(path, _cutout(image, row))
                yield path


#: Finds the instances of every image; takes `InstanceOptions`, and the rest as `run_command` does.
instance = partial(run_command, InstanceCommand)


def _cutout(image: Picture, row: Row) -> npt.NDArray[np.uint8]:
    """The pixels of an instance as RGBA."""
    top, left, mask = cropped_mask(row["segmentation"])
    part = image[top : top + mask.shape[0], left : left + mask.shape[1]]
    return np.dstack([part, mask * np.uint8(255)])


def _caption(row: Row, number: int, factor: int, *, with_class: bool) -> Caption:
    """The caption of an instance on a picture that is scaled down by a factor: its id in the masks, class and score."""
    x, y, width, _ = (int(value / factor) for value in row["bbox"])
    named = f"{row['class']} " if with_class else ""
    return Caption(x, y, width, f"{number} {named}{row['score']:.2f}", str(number))


def _table_row(number: int, row: Row) -> Row:
    """The row of an instance in `instances.csv`."""
    area = int(coco_mask.area(row["segmentation"]))
    return dict(zip(FIELDS, (row["image"], number, row["class"], row["score"], area, *row["bbox"]), strict=True))
