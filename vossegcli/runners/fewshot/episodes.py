"""`vosseg fewshot --episodes`: a data set to episodes to predicted and true masks, which evaluation reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vossegcli import __version__
from vossegcli.batch.batch import Batch, Executor, Progress, Work, WorkItem
from vossegcli.batch.options import BatchOptions
from vossegcli.batch.run import InProcess, plan_batch, run_batch
from vossegcli.data.episode_protocol import DrawnEpisode, draw_episodes
from vossegcli.errors import ConfigError, InputError
from vossegcli.io.datasets.episode_sets import (
    ClassImage,
    CocoSplit,
    EpisodeSet,
    MaskRuns,
    find_episode_set,
    read_class_image,
)
from vossegcli.io.masks.label_maps import VOID, write_label_map
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.records.atomic import clean_temporaries, write_text_atomic
from vossegcli.io.records.file_names import folder_of_label
from vossegcli.io.records.json_files import read_json
from vossegcli.io.records.run_records import ItemState, fingerprint
from vossegcli.io.results.overlays import draw_overlay, write_image
from vossegcli.models.chosen_model import choose_model
from vossegcli.models.devices import memory_errors
from vossegcli.ops.images import image_tensor
from vossegcli.systems.base import FewshotPredictor

RECORD = "episodes.json"


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions(BatchOptions):
    """What the command line gives; see `vosseg fewshot --help`.

    Attributes:
        dataset: class folders, PASCAL VOC, COCO or an instances file.
        episodes: how many to draw, or the `episodes.json` of a run to repeat.
        shots: supports an episode.
        fold: 0..3, or None for all classes.
        split: of COCO into folds.
        listing: file that lists the images of a fold or the classes.
        boost: fit experts to the supports.
    """

    COMMAND = "fewshot"
    SAVES = ("masks", "overlay")

    dataset: Path
    episodes: int | Path
    shots: int = 1
    fold: int | None = None
    split: CocoSplit = "interleaved"
    listing: Path | None = None
    boost: bool = True

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or a number out of range.
        """
        super().__post_init__()
        if isinstance(self.episodes, int) and self.episodes < 1:
            raise ConfigError(f"episodes is {self.episodes}", fix="give 1 or more, or the episodes.json of a run")
        if self.shots < 1:
            raise ConfigError(f"shots is {self.shots}", fix="give 1 or more")
        if not 0 <= self.seed < 1 << 32:
            raise ConfigError(f"seed is {self.seed}", fix="give a number from 0 to 4294967295")

    @property
    def input_name(self) -> str:
        """What the default output folder is called after."""
        return f"{self.dataset.resolve().stem}-episodes"


@dataclass(frozen=True)
class _Episode:
    """A drawn episode with its images; the name is the path of its masks in both trees."""

    name: str
    label: str
    query: ClassImage
    supports: tuple[ClassImage, ...]


@dataclass(frozen=True)
class EpisodeBatch(Batch[EpisodeOptions, FewshotPredictor]):
    """The episodes of `vosseg fewshot --episodes`.

    Attributes:
        episodes: by their names, in the order of the draw.
        draw: how they were drawn.
    """

    episodes: dict[str, _Episode]
    draw: dict[str, Any]

    def begin(self) -> None:
        """Write `episodes.json`."""
        rows = [
            {"name": e.name, "class": e.label, "query": e.query.name, "supports": [s.name for s in e.supports]}
            for e in self.episodes.values()
        ]
        text = json.dumps({**self.draw, "episodes": rows}, indent=1) + "\n"
        write_text_atomic(self.options.folder / RECORD, text)

    def new_predictor(self, short_side: int | None) -> FewshotPredictor:
        """Build the predictor; every episode fits its class anew."""
        predictor: FewshotPredictor = self.model.predictor(short_side=short_side, boosting=self.options.boost)
        return predictor

    @contextmanager
    def open(self, items: Sequence[WorkItem], predictor: FewshotPredictor, progress: Progress) -> Iterator[Work]:
        """Give what segments the query of an episode."""

        def work(item: WorkItem) -> tuple[int, tuple[str, ...]]:
            with memory_errors(item.name):
                _segment_episode(self.options, predictor, self.episodes[item.name], item.key)
            progress.frame()
            return 1, ()

        yield work

    def conclude(self) -> dict[str, Any]:
        """Nothing: evaluation makes the tables."""
        return {}


def fewshot_episodes(
    options: EpisodeOptions, progress: Progress, *, dry_run: bool = False, executor: Executor | None = None
) -> dict[str, Any]:
    """Segment the query of every episode from its supports and return the run's record.

    Writes `masks/<class>/<episode>_<query>.png`, the true masks likewise below `truth/`, and `episodes.json`.

    Args:
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.
        executor: has the episodes done; None = in this process.

    Raises:
        InputError: the data set or the record to repeat cannot be used, or the output folder not written.
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
    """
    limit_pixels(options.max_pixels)
    model = choose_model("fewshot", options.checkpoint, options.device, options.precision)
    found = find_episode_set(options.dataset, fold=options.fold, split=options.split, listing=options.listing)
    if isinstance(options.episodes, Path):
        episodes, draw = _read_record(options.episodes, found)
    else:
        sizes = {name: len(images) for name, images in found.classes.items()}
        drawn = draw_episodes(sizes, found.queries, count=options.episodes, shots=options.shots, seed=options.seed)
        episodes = [_episode(found, number, episode) for number, episode in enumerate(drawn)]
        draw = {"layout": found.layout, "shots": options.shots, "seed": options.seed}
    settings = {
        "version": __version__, **model.settings, "size": options.short_side, "boost": options.boost,
        "save": sorted({"masks", *options.save}),
    }  # fmt: skip
    items = tuple(_item(episode, settings) for episode in episodes)
    facts = {**options.facts(options.dataset, model, classes=len({e.label for e in episodes})), **draw}
    batch = EpisodeBatch(options, model, items, facts, {episode.name: episode for episode in episodes}, draw)
    return plan_batch(batch) if dry_run else run_batch(batch, progress, executor or InProcess())


def _episode(found: EpisodeSet, number: int, drawn: DrawnEpisode) -> _Episode:
    images = found.classes[drawn.name]
    query = images[drawn.query]
    name = _item_name(drawn.name, number, query)
    return _Episode(name, drawn.name, query, tuple(images[support] for support in drawn.supports))


def _item_name(label: str, number: int, query: ClassImage) -> str:
    """Path of an episode's masks below their tree."""
    return f"{folder_of_label(label)}/{number:05d}_{Path(query.name).name}"


def _read_record(path: Path, found: EpisodeSet) -> tuple[list[_Episode], dict[str, Any]]:
    """The episodes of an earlier run, and how they were drawn.

    Raises:
        InputError: not such a record, or the data set lacks one of its images.
    """
    record = read_json(path)
    try:
        by_name = {label: {shown.name: shown for shown in images} for label, images in found.classes.items()}
        episodes = [
            _Episode(
                _item_name(row["class"], number, by_name[row["class"]][row["query"]]),
                row["class"], by_name[row["class"]][row["query"]],
                tuple(by_name[row["class"]][name] for name in row["supports"]),
            )
            for number, row in enumerate(record["episodes"])
        ]  # fmt: skip
        return episodes, {name: record[name] for name in ("layout", "shots", "seed")}
    except KeyError as error:
        raise InputError(
            f"names {error}, which the data set lacks or the file should hold",
            where=path,
            fix="give the episodes.json of a run on the same data set, fold and list",
        ) from error
    except TypeError as error:
        raise InputError("is no record of episodes", where=path, fix="give the episodes.json of a run") from error


def _item(episode: _Episode, settings: Mapping[str, Any]) -> WorkItem:
    used = (episode.query, *episode.supports)
    files = [file for shown in used for file in shown.files]
    runs = [shown.mask for shown in used if isinstance(shown.mask, MaskRuns)]
    try:
        return WorkItem(episode.name, 1, fingerprint(files, {**settings, "masks": runs}))
    except InputError as error:
        return WorkItem(episode.name, 0, "", error)


def _segment_episode(options: EpisodeOptions, predictor: FewshotPredictor, episode: _Episode, key: str) -> None:
    supports = [read_class_image(support) for support in episode.supports]
    query, truth, void = read_class_image(episode.query)
    predictor.clear()
    predictor.fit(
        [image_tensor(image) for image, _, _ in supports], [torch.from_numpy(mask) for _, mask, _ in supports]
    )
    label_map = predictor.predict(image_tensor(query).unsqueeze(0))[0].label_map.cpu().numpy().astype(np.uint8)
    outputs = [options.folder / kind / f"{episode.name}.png" for kind in ("masks", "truth")]
    for path, ids_map in zip(outputs, (label_map, np.where(void, VOID, truth).astype(np.uint8)), strict=True):
        clean_temporaries(path.parent)
        write_label_map(path, ids_map)
    if "overlay" in options.save:
        outputs.append(options.folder / "overlay" / f"{episode.name}.jpg")
        write_image(outputs[-1], draw_overlay(query, label_map))
    ItemState(options.folder, episode.name).mark_done(key, outputs, {"frames": 1})
