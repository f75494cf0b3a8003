"""`vosseg fewshot`: a few annotated images of some classes to masks of those classes in many images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vossegcli import __version__
from vossegcli.batch.batch import Batch, Executor, Progress, Work, WorkItem
from vossegcli.batch.image_batches import Predicted, QueryBatches, pictures_together
from vossegcli.batch.options import BatchOptions
from vossegcli.batch.run import InProcess, plan_batch, run_batch
from vossegcli.errors import ConfigError, VossegError
from vossegcli.io.datasets.supports import Support, find_supports, read_support
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.media.queries import Query, find_queries, queries_name
from vossegcli.io.media.video import VideoFrames
from vossegcli.io.records.atomic import clean_temporaries, write_text_atomic
from vossegcli.io.records.json_files import read_json
from vossegcli.io.records.run_records import STATE_FOLDER, ItemState, append_jsonl, fingerprint, read_jsonl
from vossegcli.io.records.tables import write_csv
from vossegcli.io.results.overlays import draw_overlay, write_image, write_probability
from vossegcli.models.chosen_model import choose_model
from vossegcli.models.devices import memory_errors
from vossegcli.ops.images import image_tensor
from vossegcli.systems.base import ClassSegmentation, FewshotPredictor

FIELDS = ("query", "class", "id", "area", "confidence", "review")
REVIEW_BELOW = 0.3
NAMED = 5

Classes = dict[int, str]


@dataclass(frozen=True, kw_only=True)
class FewshotOptions(BatchOptions):
    """What the command line gives; see `vosseg fewshot --help`.

    Attributes:
        queries: file, folder or glob.
        support: folder of annotated images.
        shots: supports of each class at most; None = all.
        boost: fit experts to the supports.
        min_confidence: classes that are less sure to be in an image are left out of its mask.
    """

    COMMAND = "fewshot"
    SAVES = ("masks", "overlay", "probabilities", "cutouts")

    queries: str
    support: Path
    shots: int | None = None
    boost: bool = True
    min_confidence: float = 0.1

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
    def input_name(self) -> str:
        """What the default output folder is called after."""
        return queries_name(self.queries) or "queries"


@dataclass(frozen=True)
class FewshotBatch(Batch[FewshotOptions, FewshotPredictor]):
    """The queries of `vosseg fewshot`.

    Attributes:
        queries: by their names.
        supports: of each class.
        ids: names of the classes by their ids in the label maps.
    """

    queries: dict[str, Query]
    supports: dict[str, tuple[Support, ...]]
    ids: Classes

    @property
    def together(self) -> int:
        """Images that one pass of the network may share."""
        return pictures_together(self.model.device.type)

    @property
    def _ious(self) -> Path:
        """Where the IoU goes that each class reaches on its own supports."""
        return self.options.folder / STATE_FOLDER / "support_iou.json"

    def begin(self) -> None:
        """Write which class has which id."""
        write_text_atomic(self.options.folder / "classes.json", json.dumps(self.facts["classes"], indent=1) + "\n")

    def new_predictor(self, short_side: int | None) -> FewshotPredictor:
        """Build the predictor and fit the classes, once for all queries of a process."""
        predictor: FewshotPredictor = self.model.predictor(
            short_side=short_side, boosting=self.options.boost, min_confidence=self.options.min_confidence
        )
        with memory_errors("the supports"):
            ious = fit_classes(predictor, self.supports)
        write_text_atomic(self._ious, json.dumps(ious))
        return predictor

    @contextmanager
    def open(self, items: Sequence[WorkItem], predictor: FewshotPredictor, progress: Progress) -> Iterator[Work]:
        """Give what segments a query; the images are read ahead."""
        listed = [self.queries[item.name] for item in items]
        with QueryBatches(predictor.predict, listed, self.model.device.type) as batches:

            def work(item: WorkItem) -> tuple[int, tuple[str, ...]]:
                return _segment_query(self, batches, item, progress), ()

            yield work

    def conclude(self) -> dict[str, Any]:
        """Write `confidence.csv`."""
        first = write_confidence(self.options.folder, [item.name for item in self.items])
        return {"support_iou": read_json(self._ious) if self._ious.exists() else {}, "review_first": first}


def fewshot(
    options: FewshotOptions, progress: Progress, *, dry_run: bool = False, executor: Executor | None = None
) -> dict[str, Any]:
    """Segment every query and return the run's record.

    The supports are read and the classes fitted once, before the first query.

    Args:
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.
        executor: has the queries segmented; None = in this process.

    Raises:
        InputError: queries or supports cannot be used, or the output folder not written.
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
    """
    limit_pixels(options.max_pixels)
    queries = find_queries(options.queries)
    supports = {name: found[: options.shots] for name, found in find_supports(options.support).items()}
    ids = class_ids(supports)
    model = choose_model("fewshot", options.checkpoint, options.device, options.precision)
    settings = {
        "version": __version__, **model.settings,
        "size": options.short_side, "boost": options.boost, "min_confidence": options.min_confidence,
        "classes": ids, "save": sorted({"masks", *options.save}),
        "supports": fingerprint([file for found in supports.values() for s in found for file in (s.image, s.mask)], {}),
    }  # fmt: skip
    items = tuple(_item(query, settings) for query in queries)
    facts = options.facts(
        options.queries, model, support=str(options.support), classes={str(i): name for i, name in ids.items()},
        shots={name: len(found) for name, found in supports.items()},
    )  # fmt: skip
    batch = FewshotBatch(options, model, items, facts, {query.name: query for query in queries}, supports, ids)
    return plan_batch(batch) if dry_run else run_batch(batch, progress, executor or InProcess())


def class_ids(supports: Iterable[str]) -> Classes:
    """The id of each class in the label maps: its own where all are named by ids, else 1, 2, ... in their order."""
    names = list(supports)
    if all(name.isdecimal() and 0 < int(name) <= np.iinfo(np.uint16).max for name in names):
        return {int(name): name for name in names}
    return dict(enumerate(names, start=1))


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


def _item(query: Query, settings: dict[str, Any]) -> WorkItem:
    try:
        frames = len(VideoFrames(query.path)) if query.is_video else 1
        return WorkItem(query.name, frames, fingerprint([query.path], settings))
    except VossegError as error:
        return WorkItem(query.name, 0, "", error)


def _segment_query(
    batch: FewshotBatch, batches: QueryBatches[ClassSegmentation], item: WorkItem, progress: Progress
) -> int:
    state, query = ItemState(batch.options.folder, item.name), batch.queries[item.name]
    outputs: list[Path] = []
    done = 0
    try:
        for picture in batches.of(query):
            outputs += _write(batch, state, picture)
            done += 1
            progress.frame()
    except VossegError:
        batches.skip(query)
        raise
    state.mark_done(item.key, outputs, {"frames": done})
    return done


def _write(batch: FewshotBatch, state: ItemState, picture: Predicted[ClassSegmentation]) -> Iterator[Path]:
    """Write what was asked for of one image; yields the files."""
    folder, save = batch.options.folder, batch.options.save
    name, found = picture.name, picture.found
    probs = found.probs.cpu().numpy()
    kind = np.uint8 if max(batch.ids) <= np.iinfo(np.uint8).max else np.uint16
    label_map = np.array([0, *batch.ids], kind)[found.label_map.cpu().numpy()]
    path = folder / "masks" / f"{name}.png"
    clean_temporaries(path.parent)
    write_label_map(path, label_map)
    yield path
    if "overlay" in save:
        path = folder / "overlay" / f"{name}.jpg"
        write_image(path, draw_overlay(picture.image, label_map))
        yield path
    for number, (class_id, class_name) in enumerate(batch.ids.items()):
        if "probabilities" in save:
            path = folder / "probabilities" / class_name / f"{name}.png"
            write_probability(path, probs[number])
            yield path
        if "cutouts" in save and (label_map == class_id).any():
            path = folder / "cutouts" / class_name / f"{name}.png"
            write_image(path, np.dstack([picture.image, (label_map == class_id) * np.uint8(255)]))
            yield path
        area, confidence = int((label_map == class_id).sum()), float(found.confidence[number])
        row = {"query": name, "class": class_name, "id": class_id, "area": area, "confidence": round(confidence, 4)}
        append_jsonl(state.rows, row)


def write_confidence(output: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """Write `confidence.csv` and return the few images to look at first: a class that is painted but doubtful."""
    rows = []
    for name in names:
        for row in read_jsonl(ItemState(output, name).rows):
            doubtful = row["area"] > 0 and row["confidence"] < REVIEW_BELOW
            rows.append({**row, "review": "yes" if doubtful else "no"})
    write_csv(output / "confidence.csv", FIELDS, rows)
    worst = sorted((row for row in rows if row["review"] == "yes"), key=lambda row: row["confidence"])
    return [{field: row[field] for field in ("query", "class", "confidence")} for row in worst[:NAMED]]
