"""`vosseg fewshot --episodes`: a data set to episodes to predicted and true masks, which evaluation reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vossegcli.batch.command import Done, Item, SingleItemCommand
from vossegcli.batch.options import BatchOptions
from vossegcli.batch.work import Progress
from vossegcli.data.episode_protocol import draw_episodes
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
from vossegcli.io.media.limits import scaling_notes
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.file_names import folders_of_labels
from vossegcli.io.records.json_files import read_json
from vossegcli.io.results.overlays import draw_overlay, write_image
from vossegcli.ops.images import image_tensor
from vossegcli.systems.base import FewshotPredictor

RECORD = "episodes.json"


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions(BatchOptions):
    """Options of a run; see `vosseg fewshot --help`.

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
    MODE = "--episodes"
    SAVES = {"masks": ("masks/{files}.png", "truth/{files}.png"), "overlay": ("overlay/{files}.jpg",)}
    ALWAYS = ("masks",)

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

    @property
    def source(self) -> Path:
        """Data set that is the input."""
        return self.dataset

    @property
    def input_name(self) -> str:
        """Name of the default output folder."""
        return f"{self.dataset.resolve().stem}-episodes"


class Draw(NamedTuple):
    """Layout of the data set that episodes were drawn from, supports per episode, and the seed."""

    layout: str
    shots: int
    seed: int


@dataclass(frozen=True)
class Episode:
    """A drawn episode with its images; the name is the path of its masks in both trees."""

    name: str
    label: str
    query: ClassImage
    supports: tuple[ClassImage, ...]
    draw: Draw


@dataclass(frozen=True, kw_only=True)
class EpisodeItem(Item):
    """An episode that is to be done."""

    episode: Episode


@dataclass(frozen=True)
class EpisodesCommand(SingleItemCommand[EpisodeOptions, Episode, EpisodeItem, FewshotPredictor]):
    """The episodes of `vosseg fewshot --episodes`.

    Writes `masks/<class>/<episode>_<query>.png`, the true masks likewise below `truth/`, and `episodes.json`.
    """

    @staticmethod
    def find(options: EpisodeOptions) -> Sequence[Episode]:
        """Draw the episodes, or read those of an earlier run."""
        found = find_episode_set(
            options.dataset, fold=options.fold, split=options.split, listing=options.listing,
            images=options.images_folder,
        )  # fmt: skip
        if isinstance(options.episodes, Path):
            return list(_recorded(options.episodes, found))
        return list(_drawn(options, found, options.episodes))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that change the results of all episodes."""
        return {"boost": self.options.boost}

    def plan(self, source: Episode) -> EpisodeItem:
        """Make the item of an episode."""
        used = (source.query, *source.supports)
        files = [file for shown in used for file in shown.files]
        runs = [shown.mask for shown in used if isinstance(shown.mask, MaskRuns)]
        key = self.key(files, masks=runs)
        return EpisodeItem(name=source.name, frames=1, key=key, output=self.options.folder, episode=source)

    def facts(self, items: Sequence[EpisodeItem]) -> dict[str, Any]:  # noqa: ARG002
        """The draw for the run's record."""
        return {"classes": len({episode.label for episode in self.inputs}), **self.inputs[0].draw._asdict()}

    def write_index(self, items: Sequence[EpisodeItem]) -> None:  # noqa: ARG002
        """Write `episodes.json`."""
        rows = [
            {"name": e.name, "class": e.label, "query": e.query.name, "supports": [s.name for s in e.supports]}
            for e in self.inputs
        ]
        text = json.dumps({**self.inputs[0].draw._asdict(), "episodes": rows}, indent=1) + "\n"
        write_text_atomic(self.options.folder / RECORD, text)

    def new_predictor(self, short_side: int | None) -> FewshotPredictor:
        """Build the predictor; every episode fits its class anew."""
        predictor: FewshotPredictor = self.model.predictor(short_side=short_side, boosting=self.options.boost)
        return predictor

    def run(self, item: EpisodeItem, predictor: FewshotPredictor, progress: Progress) -> Done:
        """Write the predicted mask and the true one."""
        supports = [read_class_image(support) for support in item.episode.supports]
        query, truth, void = read_class_image(item.episode.query)
        predictor.clear()
        predictor.fit(
            [image_tensor(image) for image, _, _ in supports], [torch.from_numpy(mask) for _, mask, _ in supports]
        )
        (found,) = predictor.predict(image_tensor(query).unsqueeze(0))
        label_map = found.label_map.cpu().numpy().astype(np.uint8)
        outputs = [item.output / kind / f"{item.name}.png" for kind in ("masks", "truth")]
        write_label_map(outputs[0], label_map)
        write_label_map(outputs[1], np.where(void, VOID, truth).astype(np.uint8))
        if "overlay" in self.options.save:
            outputs.append(item.output / "overlay" / f"{item.name}.jpg")
            write_image(outputs[-1], draw_overlay(query, label_map))
        progress.frame()
        return Done(1, outputs, scaling_notes(query.shape, images="overlay" in self.options.save, video=False))


def _episode(
    number: int, label: str, folder: str, query: ClassImage, supports: Iterable[ClassImage], draw: Draw
) -> Episode:
    return Episode(f"{folder}/{number:05d}_{Path(query.name).name}", label, query, tuple(supports), draw)


def _drawn(options: EpisodeOptions, found: EpisodeSet, count: int) -> Iterator[Episode]:
    """Draw episodes."""
    sizes = {name: len(images) for name, images in found.classes.items()}
    draw = Draw(found.layout, options.shots, options.seed)
    drawn = draw_episodes(sizes, found.queries, count=count, shots=options.shots, seed=options.seed)
    folders = folders_of_labels(found.classes)
    for number, one in enumerate(drawn):
        images = found.classes[one.name]
        yield _episode(number, one.name, folders[one.name], images[one.query], (images[k] for k in one.supports), draw)


def _recorded(path: Path, found: EpisodeSet) -> Iterator[Episode]:
    """Read the episodes of an earlier run.

    Raises:
        InputError: not such a record, or the data set lacks one of its images.
    """
    record = read_json(path)
    try:
        draw = Draw(*(record[name] for name in Draw._fields))
        if not record["episodes"]:
            raise InputError("holds no episodes", where=path, fix="give the episodes.json of a run")
        folders = folders_of_labels(found.classes)
        by_name = {label: {shown.name: shown for shown in images} for label, images in found.classes.items()}
        for number, row in enumerate(record["episodes"]):
            images = by_name[row["class"]]
            supports = [images[name] for name in row["supports"]]
            yield _episode(number, row["class"], folders[row["class"]], images[row["query"]], supports, draw)
    except KeyError as error:
        raise InputError(
            f"names {error}, which the data set lacks or the file should hold",
            where=path,
            fix="give the episodes.json of a run on the same data set, fold and list",
        ) from error
    except TypeError as error:
        raise InputError("is no record of episodes", where=path, fix="give the episodes.json of a run") from error
