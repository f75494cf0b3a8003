"""mIoU of a few-shot checkpoint on classes that it has not seen: the training-free baseline, the paper, the additions.

    python benchmarks/fewshot_quality.py fwb-compact [DATA ...] [--new DATA ...] [--queries 12] [--shots 1,5]

DATA are the COCO instances files (or folders of them) that the checkpoint was trained on: its header names the classes
that were held out ("known domains"). The files of --new were not trained on at all ("new domains"). Classes take turns,
and so do the images of a class as queries, 12 a class; supports are drawn by HSNet's protocol. Images in which a class
covers less than 1 % or more than 85 % are left out. Masks are compared at the images' own size: IoU accumulated a
class, and the mean boundary F.

The training-free baseline in the same run: features of the ImageNet backbone at strides 8, 16 and 32, each of unit
length, side by side; a cell is the class if the nearest of 5 (or 8) prototypes of the class, found by k-means over the
supports' cells, is nearer than the nearest of 20 (or 40) of the surroundings. With `imagenet` instead of a checkpoint
it is measured alone, on the classes that a holdout of 0.15 leaves out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vossegcli.data.episode_protocol import DrawnEpisode, draw_episodes
from vossegcli.data.episodes import FEWEST_PIXELS, LARGEST_SHARE, class_mask, classes_of, split_classes
from vossegcli.data.textures import cached_image
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.io.weights.pretrained import read_imagenet
from vossegcli.metrics.boundaries import contour_accuracy, tolerance
from vossegcli.metrics.fewshot import add_areas, count_areas, summarise
from vossegcli.models.chosen_model import build_network, system_of
from vossegcli.ops.images import image_tensor
from vossegcli.runners.train.run import read_images
from vossegcli.scores import Areas
from vossegcli.systems.fwb.backbones import Encoded
from vossegcli.systems.fwb.config import COMPACT
from vossegcli.systems.fwb.convert import load_imagenet
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor
from vossegcli.systems.fwb.prototypes import class_maps, class_vectors, compare
from vossegcli.types import AnnotatedImage

Sample = tuple[Tensor, Tensor]  # image (3,H,W) in [0, 1], mask (H,W) bool
Classes = dict[str, list[tuple[AnnotatedImage, int]]]
LIMITS = (0.3, 0.4, 0.5, 0.6, 0.7)
IMAGENET = "imagenet"
HOLDOUT = 0.15
REFINED = "FWB, prototypes, weighting and boosting, refined"
IN_USE = f"{REFINED}, second look (as in use)"


def classes_to_find(data: Sequence[Path], names: Sequence[str] | None) -> Classes:
    """The images of each class by its name `<data set>:<category>`; None = of all classes."""
    found = {}
    for (dataset, category), shown in classes_of(read_images(data, "fewshot").images).items():
        if names is not None and f"{dataset}:{category}" not in names:
            continue
        shares = [(image, float(class_mask(image, category).mean())) for image in shown]
        kept = [(image, category) for image, share in shares if FEWEST_PIXELS <= share <= LARGEST_SHARE]
        if len(kept) > 1:
            found[f"{dataset}:{category}"] = kept
    return found


def read_sample(image: AnnotatedImage, category: int) -> Sample:
    """Read image and mask."""
    picture = image_tensor(cached_image(image.path))
    return picture, torch.from_numpy(class_mask(image, category)) > 0


class EpisodePredictor(FWBPredictor):
    """FWB that encodes the images of an episode once for all methods.

    Args:
        model: the network.
        cache: what was encoded; shared by all methods and cleared after each episode.
        settings: of `FWBPredictor`.
    """

    def __init__(self, model: FWB, cache: dict[int, Encoded], **settings: Any) -> None:  # noqa: ANN401
        super().__init__(model, precision=torch.bfloat16, **settings)
        self.cache = cache

    def _encode(self, images: Tensor) -> Encoded:
        key = hash((tuple(images.shape), images.numpy().tobytes()))
        if key not in self.cache:
            self.cache[key] = super()._encode(images)
        return self.cache[key]

    def segment(self, query: Tensor) -> Tensor:
        """Return the mask (H,W) of a query (3,H,W)."""
        return self.predict(query.unsqueeze(0))[0].label_map > 0


class NearestPrototype(EpisodePredictor):
    """The training-free baseline: all that it takes from the network are the stages that ImageNet taught."""

    vectors: Tensor

    @torch.no_grad()
    def fit(self, images: Sequence[Tensor], masks: Sequence[Tensor]) -> float:
        """Find the prototypes."""
        stacked = self.stack(images, masks)
        features = stacked.encoded.features[:, : sum(self._groups)]
        self.vectors = class_vectors(features, stacked.inside, stacked.outside, self.counts)
        return 0.0

    @torch.no_grad()
    def segment(self, query: Tensor) -> Tensor:
        """Return the mask (H,W) of a query (3,H,W)."""
        encoded, at_native_size = self.encode_query(query.unsqueeze(0))
        features = encoded.features[:, : sum(self._groups)]
        weights = torch.ones_like(self.vectors[0])
        maps = class_maps(compare(self.vectors.unsqueeze(0), weights, features, self.counts[0], self._groups))
        return at_native_size(maps[:, 0, -1])[0] > 0

    @property
    def _groups(self) -> tuple[int, ...]:
        return self.model.groups[:-1]  # without the projection


def methods(network: FWB, cache: dict[int, Encoded], *, trained: bool) -> dict[str, EpisodePredictor]:
    """Return the predictors that are compared, by name."""
    found: dict[str, EpisodePredictor] = {}
    if len(network.groups) > 1:
        for counts in ((1, 1), (5, 20), (8, 40)):
            name = f"training-free, {counts[0]} and {counts[1]} prototypes"
            found[name] = NearestPrototype(network, cache, counts=counts)
    if trained:
        for kind, counts in (("one prototype", (1, 1)), ("prototypes", network.config.counts)):
            for part, weighting, boosting in (
                ("plain", False, False),
                ("weighting", True, False),
                ("weighting and boosting", True, True),
            ):
                name, settings = f"FWB, {kind}, {part}", {"weighting": weighting, "boosting": boosting}
                found[name] = EpisodePredictor(
                    network, cache, counts=counts, refining=False, looking_twice=False, **settings
                )
        found[REFINED] = EpisodePredictor(network, cache, looking_twice=False)
        found[IN_USE] = EpisodePredictor(network, cache)
    return found


def image_without(classes: Classes, episode: DrawnEpisode, number: int, generator: torch.Generator) -> Sample:
    """Draw an image without the class of an episode; every second one of the same data set, where there are such."""
    dataset, _, category = episode.name.partition(":")
    others = [
        pair for name in classes for pair in classes[name]
        if not (pair[0].dataset == dataset and int(category) in pair[0].categories)
        and (pair[0].dataset == dataset) == bool(number % 2)
    ] or [pair for name in classes if not name.startswith(f"{dataset}:") for pair in classes[name]]  # fmt: skip
    return read_sample(*others[int(torch.randint(len(others), (1,), generator=generator))])


def show_presence(console: Console, there: Tensor, absent: Tensor) -> None:
    """Print how well the confidence tells images with the class from images without."""
    above = (there[:, None] > absent).float() + 0.5 * (there[:, None] == absent).float()
    console.print(f"confidence, class there against absent: area under the ROC curve {float(above.mean()):.3f}")
    for limit in LIMITS:
        shares = [float((part > limit).float().mean()) for part in (there, absent)]
        console.print(f"above {limit}: {shares[0]:.2f} of the images with the class, {shares[1]:.2f} of those without")


def episodes_of(classes: Classes, queries: int, shots: int, seed: int) -> list[DrawnEpisode]:
    """Draw the episodes."""
    sizes = {name: len(shown) for name, shown in classes.items()}
    turns = [(name, number % sizes[name]) for number in range(queries) for name in sorted(sizes)]
    return draw_episodes(sizes, turns, count=len(turns), shots=shots, seed=seed)


class Measured:
    """Results on one kind of classes with one number of shots.

    Attributes:
        areas: of each method and class.
        boundaries: F of each method and episode.
        there: confidence in the queries.
        absent: confidence in images without the class.
    """

    def __init__(self) -> None:
        self.areas: dict[str, dict[str, list[Areas]]] = {}
        self.boundaries: dict[str, list[float]] = {}
        self.there: list[Tensor] = []
        self.absent: list[Tensor] = []

    def add(self, method: str, name: str, found: Tensor, truth: Tensor) -> None:
        """Compare the mask of a method with the truth."""
        pair = found.numpy(), truth.numpy()
        self.areas.setdefault(method, {}).setdefault(name, []).append(count_areas(*pair))
        self.boundaries.setdefault(method, []).append(contour_accuracy(*pair, tolerance(*truth.shape)))

    def by_class(self, method: str) -> dict[str, Areas]:
        """The areas of each class."""
        return {name: add_areas(parts) for name, parts in self.areas[method].items()}

    def cell(self, method: str) -> str:
        """Write mIoU, FB-IoU and boundary F."""
        scores = summarise(self.by_class(method))
        return f"{scores['mIoU']:.3f} ({scores['FB-IoU']:.3f}) {np.mean(self.boundaries[method]):.3f}"


def measure(
    predictors: dict[str, EpisodePredictor], cache: dict[int, Encoded], classes: Classes, drawn: Sequence[DrawnEpisode]
) -> Measured:
    """Let every method segment every episode."""
    measured, generator = Measured(), torch.Generator().manual_seed(0)
    for number, episode in enumerate(drawn):
        shown = classes[episode.name]
        query, truth = read_sample(*shown[episode.query])
        images, masks = zip(*(read_sample(*shown[k]) for k in episode.supports), strict=True)
        measured.add("all is the class", episode.name, torch.ones_like(truth), truth)
        for name, predictor in predictors.items():
            predictor.clear()
            predictor.fit(images, masks)
            measured.add(name, episode.name, predictor.segment(query), truth)
            if name == IN_USE:
                other, _ = image_without(classes, episode, number, generator)
                for image, confidences in ((query, measured.there), (other, measured.absent)):
                    confidences.append(predictor.predict(image.unsqueeze(0))[0].confidence[0])
        cache.clear()
    return measured


def main() -> None:
    """Print a row a method, a column a kind of classes and number of shots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="name or file")
    parser.add_argument("data", nargs="*", type=Path, default=[])
    parser.add_argument("--new", nargs="+", type=Path, default=[], help="data that it was not trained on")
    parser.add_argument("--queries", type=int, default=12, help="of each class")
    parser.add_argument("--shots", default="1,5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[""], help="methods whose names end so")
    parser.add_argument("--by-class", action="store_true", help="IoU of each class for the last method")
    arguments = parser.parse_args()
    network, names = read_network(arguments.checkpoint, arguments.data)
    kinds = {}
    if arguments.data:
        kinds["known domains"] = classes_to_find(arguments.data, names)
    if arguments.new:
        kinds["new domains"] = classes_to_find(arguments.new, None)
    cache: dict[int, Encoded] = {}
    predictors = {
        name: predictor
        for name, predictor in methods(network, cache, trained=arguments.checkpoint != IMAGENET).items()
        if name.endswith(tuple(arguments.only))
    }
    console = Console(width=160)
    columns: dict[str, Measured] = {}
    for kind, classes in kinds.items():
        for shots in (int(part) for part in arguments.shots.split(",")):
            drawn = episodes_of(classes, arguments.queries, shots, arguments.seed)
            title = f"{kind}, {shots} shots"
            images = sum(len(shown) for shown in classes.values())
            console.print(f"{title}: {len(classes)} classes, {images} images, {len(drawn)} episodes")
            columns[title] = measure(predictors, cache, classes, drawn)
    table = Table("mIoU (FB-IoU) boundary F", *columns, box=None)
    for name in ("all is the class", *predictors):
        table.add_row(name, *(column.cell(name) for column in columns.values()))
    console.print(table)
    for title, column in columns.items():
        console.print(f"[bold]{title}")
        if column.there:
            show_presence(console, torch.stack(column.there), torch.stack(column.absent))
        if arguments.by_class:
            for key, areas in sorted(column.by_class(list(predictors)[-1]).items()):
                console.print(f"  {key}: {summarise({key: areas})['mIoU']:.3f}")


def read_network(checkpoint: str, data: Sequence[Path]) -> tuple[FWB, list[str]]:
    """The network and the names of the classes that its training held out."""
    if checkpoint == IMAGENET:
        network = FWB(COMPACT)
        load_imagenet(network, read_imagenet(COMPACT.backbone))
        held_out = split_classes(read_images(data, "fewshot").images, HOLDOUT)[1]
        return network.eval(), [f"{dataset}:{category}" for dataset, category in held_out]
    read = read_checkpoint(checkpoint)
    built = build_network(read, system_of(read, "fewshot"))
    assert isinstance(built, FWB)
    return built, read.header.training["held_out"]


if __name__ == "__main__":
    main()
