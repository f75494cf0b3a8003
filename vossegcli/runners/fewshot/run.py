"""`vosseg fewshot`: a few annotated images of some classes to masks of those classes in many images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from vossegcli.batch.command import Done
from vossegcli.batch.image_batches import ImageCommand, ImageItem, Picture, open_query, read_pictures
from vossegcli.batch.options import BatchOptions, idle_images
from vossegcli.batch.run import run_command
from vossegcli.batch.work import Progress
from vossegcli.errors import ConfigError
from vossegcli.io.datasets.formats import is_annotation
from vossegcli.io.datasets.supports import Support, find_supports, read_support
from vossegcli.io.masks.label_maps import VOID, write_label_map
from vossegcli.io.media.limits import scaling_notes
from vossegcli.io.media.queries import Query, is_listing, queries_name
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.file_names import folders_of_labels
from vossegcli.io.records.json_files import read_json
from vossegcli.io.records.run_records import STATE_FOLDER, append_jsonl, fingerprint, read_jsonl
from vossegcli.io.records.tables import write_csv
from vossegcli.io.results.overlays import draw_overlay, write_image, write_probability
from vossegcli.models.chosen_model import ChosenModel
from vossegcli.models.devices import memory_errors
from vossegcli.ops.images import image_tensor
from vossegcli.systems.base import ClassSegmentation, FewshotPredictor

FIELDS = ("query", "class", "id", "area", "confidence", "review")
REVIEW_BELOW = 0.7
LEAST_CONFIDENCE = 0.5  # of a class in an image, where nobody asks for another
NAMED = 5

Classes = dict[int, str]


@dataclass(frozen=True, kw_only=True)
class FewshotOptions(BatchOptions):
    """Options of a run; see `vosseg fewshot --help`.

    Attributes:
        queries: file, folder or glob.
        support: folder of annotated images.
        shots: maximum supports per class; None = all.
        boost: fit experts to the supports.
        min_confidence: classes that are less sure to be in an image are left out of its mask.
    """

    COMMAND = "fewshot"
    SAVES = {
        "masks": ("masks/{files}.png",),
        "overlay": ("overlay/{files}.jpg",),
        "probabilities": ("probabilities/*/{files}.png",),
        "cutouts": ("cutouts/*/{files}.png",),
    }
    ALWAYS = ("masks",)

    queries: str
    support: Path
    shots: int | None = None
    boost: bool = True
    min_confidence: float = LEAST_CONFIDENCE

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or a number out of range.
        """
        super().__post_init__()
        if not 0.0 <= self.min_confidence <= 1.0:
            raise ConfigError(f"min-confidence is {self.min_confidence}", fix="give a number from 0 to 1")
        if self.shots is not None and self.shots < 1:
            raise ConfigError(f"shots is {self.shots}", fix="give 1 or more")

    @property
    def source(self) -> Path:
        """File, folder or pattern that is the input."""
        return Path(self.queries)

    @property
    def reads(self) -> tuple[Path, ...]:
        """All files and folders that the run reads."""
        return (self.source, self.support)

    @property
    def trees(self) -> tuple[Path, ...]:
        """Folders that are searched for input: a result among the supports would be a class of the next run."""
        return (self.source, self.support)

    @property
    def input_name(self) -> str:
        """Name of the default output folder."""
        return queries_name(self.queries) or "queries"

    def idle(self, films: Iterable[Path]) -> list[str]:
        """Tell of options that were given and have no effect on this input."""
        listed = is_listing(self.queries) or is_annotation(self.support)
        return [*super().idle(films), *idle_images(self.images_folder, listed=listed)]


@dataclass(frozen=True)
class FewshotCommand(ImageCommand[FewshotOptions, ImageItem, Picture, ClassSegmentation]):
    """The queries of `vosseg fewshot`.

    Attributes:
        supports: of each class.
        ids: names of the classes by their ids in the label maps.
        supports_key: fingerprint of the supports.
        support_notes: what was left out of the supports.
    """

    supports: dict[str, tuple[Support, ...]]
    ids: Classes
    supports_key: str
    support_notes: tuple[str, ...] = ()

    @classmethod
    def prepare(cls, options: FewshotOptions, model: ChosenModel, inputs: Sequence[Query]) -> Self:
        """Find the supports."""
        given = find_supports(options.support, options.images_folder)
        supports = {name: found[: options.shots] for name, found in given.classes.items()}
        files = [file for found in supports.values() for one in found for file in (one.image, one.mask)]
        return cls(options, model, inputs, supports, class_ids(supports), fingerprint(files, {}), given.notes)

    @property
    def input_notes(self) -> tuple[str, ...]:
        """Remarks on the queries and the supports."""
        return (*super().input_notes, *self.support_notes)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that change the results of all images."""
        options = self.options
        return {
            "boost": options.boost, "min_confidence": options.min_confidence, "classes": self.ids,
            "supports": self.supports_key,
        }  # fmt: skip

    def plan(self, source: Query) -> ImageItem:
        """Count the frames of an image or video."""
        reader = open_query(source, self.options.reading) if source.is_video else None
        frames, notes = (1, ()) if reader is None else (len(reader), reader.notes)
        return ImageItem(
            name=source.name, frames=frames, is_folder=frames > 1, key=self.key([source.path]),
            output=self.options.folder, query=source, notes=notes,
        )  # fmt: skip

    def facts(self, items: Sequence[ImageItem]) -> dict[str, Any]:  # noqa: ARG002
        """The classes for the run's record."""
        return {
            "support": str(self.options.support), "classes": {str(i): name for i, name in self.ids.items()},
            "shots": {name: len(found) for name, found in self.supports.items()},
        }  # fmt: skip

    def write_index(self, items: Sequence[ImageItem]) -> None:
        """Write which class has which id."""
        text = json.dumps(self.facts(items)["classes"], indent=1) + "\n"
        write_text_atomic(self.options.folder / "classes.json", text)

    def new_predictor(self, short_side: int | None) -> FewshotPredictor:
        """Build the predictor and fit the classes, once for all images of a process."""
        predictor: FewshotPredictor = self.model.predictor(
            short_side=short_side, boosting=self.options.boost, min_confidence=self.options.min_confidence
        )
        with memory_errors("the supports"):
            ious = fit_classes(predictor, self.supports)
        write_text_atomic(self._ious, json.dumps(ious))
        return predictor

    def write_tables(self, done: Sequence[ImageItem]) -> dict[str, Any]:
        """Write `confidence.csv`."""
        first = write_confidence(self.options.folder, done)
        return {"support_iou": read_json(self._ious) if self._ious.exists() else {}, "review_first": first}

    @property
    def _ious(self) -> Path:
        """File with the IoU that each class reaches on its own supports."""
        return self.options.folder / STATE_FOLDER / "support_iou.json"

    def read(self, query: Query) -> Iterator[Picture]:
        """Read an image, or the frames of a video."""
        return read_pictures(query, self.options.reading)

    def do(self, item: ImageItem, pictures: Iterator[tuple[Picture, ClassSegmentation]], progress: Progress) -> Done:
        """Write what was asked for of each image."""
        outputs: list[Path] = []
        notes: dict[str, None] = {}
        frames = 0
        for picture, found in pictures:
            outputs += self._write(item, picture, found)
            scaled = scaling_notes(picture.image.shape, images="overlay" in self.options.save, video=False)
            notes |= dict.fromkeys((*scaled, *([picture.note] if picture.note else ())))
            frames += 1
            progress.frame()
        return Done(frames, outputs, tuple(notes))

    def _write(self, item: ImageItem, picture: Picture, found: ClassSegmentation) -> Iterator[Path]:
        """Write what was asked for of one image; yields the files."""
        folder, save, name = item.output, self.options.save, picture.name
        probs = found.probs.cpu().numpy()
        kind = np.uint8 if max(self.ids) < VOID else np.uint16
        label_map = np.array([0, *self.ids], kind)[found.label_map.cpu().numpy()]
        write_label_map(path := folder / "masks" / f"{name}.png", label_map)
        yield path
        if "overlay" in save:
            write_image(path := folder / "overlay" / f"{name}.jpg", draw_overlay(picture.image, label_map))
            yield path
        folders = folders_of_labels(self.ids.values())
        for number, (class_id, class_name) in enumerate(self.ids.items()):
            mask = label_map == class_id
            if "probabilities" in save:
                write_probability(path := folder / "probabilities" / folders[class_name] / f"{name}.png", probs[number])
                yield path
            if "cutouts" in save and mask.any():
                path = folder / "cutouts" / folders[class_name] / f"{name}.png"
                write_image(path, np.dstack([picture.image, mask * np.uint8(255)]))
                yield path
            confidence = round(float(found.confidence[number]), 4)
            row = {"query": name, "class": class_name, "id": class_id, "area": int(mask.sum())}
            append_jsonl(item.state.rows, {**row, "confidence": confidence})


#: Segments every image of an input; takes `FewshotOptions`, and the rest as `run_command` does.
fewshot = partial(run_command, FewshotCommand)


def class_ids(supports: Iterable[str]) -> Classes:
    """The id of each class in the label maps: its own where all are named by ids, else 1, 2, ... in their order.

    Ids of the classes' own must differ: `1` and `01` are one, so that these are numbered like other names.
    """
    names = list(supports)
    own = {int(name): name for name in names if name.isdecimal() and 0 < int(name) <= np.iinfo(np.uint16).max}
    return own if len(own) == len(names) else dict(enumerate(names, start=1))


def fit_classes(predictor: FewshotPredictor, supports: dict[str, tuple[Support, ...]]) -> dict[str, float]:
    """Fit every class to its supports; return the IoU that each reaches on its own.

    Raises:
        InputError: a support cannot be used; it is named.
    """
    found = {}
    for name, listed in supports.items():
        images, masks = zip(*(read_support(support) for support in listed), strict=True)
        tensors = [image_tensor(image) for image in images]
        found[name] = round(predictor.fit(tensors, [torch.from_numpy(mask) for mask in masks]), 4)
    return found


def write_confidence(output: Path, done: Iterable[ImageItem]) -> list[dict[str, Any]]:
    """Write `confidence.csv` and return the few images to look at first: a class that is painted but doubtful."""
    rows = []
    for item in done:
        for row in read_jsonl(item.state.rows):
            doubtful = row["area"] > 0 and row["confidence"] < REVIEW_BELOW
            rows.append({**row, "review": "yes" if doubtful else "no"})
    write_csv(output / "confidence.csv", FIELDS, rows)
    worst = sorted((row for row in rows if row["review"] == "yes"), key=lambda row: row["confidence"])
    return [{field: row[field] for field in ("query", "class", "confidence")} for row in worst[:NAMED]]
