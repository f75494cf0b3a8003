"""mIoU of a few-shot checkpoint on the classes that its training held out, with and without weighting and boosting.

    python benchmarks/fewshot_quality.py fwb-compact DATA [DATA ...] [--queries 12] [--shots 1,5] [--seed 0]

DATA are the COCO instances files (or folders of them) that the checkpoint was trained on: its header names the classes
that it has not seen. They take turns, and so do the images of a class as queries, 12 a class; supports are drawn by
HSNet's protocol. Images in which a class covers less than 1 % or more than 85 % are left out. Masks are compared at the
images' own size, IoU accumulated a class.

Baselines in the same run: all is the class; and the plain prototype, which needs no training but the backbone's (a cell
is the class if its cosine to the mean of the supports' masks is higher than to the mean of their surroundings), also
with an untrained backbone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vossegcli.data.episode_protocol import DrawnEpisode, draw_episodes
from vossegcli.data.episodes import FEWEST_PIXELS, LARGEST_SHARE, class_mask, classes_of
from vossegcli.data.textures import cached_image
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.metrics.fewshot import add_areas, count_areas, summarise
from vossegcli.models.chosen_model import build_network, system_of
from vossegcli.ops.images import image_tensor
from vossegcli.ops.padding import centred_padding, pad, unpad
from vossegcli.ops.resize import resize_smooth, working_size
from vossegcli.runners.train.run import read_images
from vossegcli.systems.fwb.feature_weighting import class_average, similarity_maps
from vossegcli.systems.fwb.model import FWB, STRIDE
from vossegcli.systems.fwb.predict import FWBPredictor
from vossegcli.systems.fwb.supports import stack_supports
from vossegcli.types import AnnotatedImage, Areas

Sample = tuple[Tensor, Tensor]  # image (3,H,W) in [0, 1], mask (H,W) bool
Method = Callable[[Sequence[Sample], Tensor], Tensor]  # supports, query (3,H,W) -> mask (H,W) bool
Classes = dict[str, list[tuple[AnnotatedImage, int]]]
CPU = torch.device("cpu")


def held_out_classes(data: Sequence[Path], names: Sequence[str]) -> Classes:
    """The images of each class by its name `<data set>:<category>`."""
    found = {}
    for (dataset, category), shown in classes_of(read_images(data)).items():
        shares = [(image, float(class_mask(image, category).mean())) for image in shown]
        kept = [(image, category) for image, share in shares if FEWEST_PIXELS <= share <= LARGEST_SHARE]
        if f"{dataset}:{category}" in names and len(kept) > 1:
            found[f"{dataset}:{category}"] = kept
    return found


def read_sample(image: AnnotatedImage, category: int) -> Sample:
    """Read image and mask."""
    picture = image_tensor(cached_image(image.path))
    return picture, torch.from_numpy(class_mask(image, category)) > 0


def plain_prototype(network: FWB, precision: torch.dtype) -> Method:
    """The nearer of two means, by cosine."""

    def encode(images: Tensor) -> Tensor:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            return network.encode(images)

    @torch.inference_mode()
    def segment(supports: Sequence[Sample], query: Tensor) -> Tensor:
        images, masks = zip(*supports, strict=True)
        stacked = stack_supports(images, masks, encode, network.config.short_side, CPU)
        means = [class_average(stacked.features, part).mean(dim=0) for part in (stacked.outside, stacked.inside)]
        size = working_size((query.shape[1], query.shape[2]), network.config.short_side)
        padding = centred_padding(*size, STRIDE)
        small = pad(resize_smooth(query.unsqueeze(0), size), padding)
        maps = similarity_maps(torch.stack(means).unsqueeze(0), torch.ones(1, 1, network.channels), encode(small))
        large = unpad(resize_smooth(maps, (small.shape[2], small.shape[3])), padding)
        nearer: Tensor = resize_smooth(large, (query.shape[1], query.shape[2]))[0].argmax(dim=0) == 1
        return nearer

    return segment


def whole(predictor: FWBPredictor) -> Method:
    """The system as in use."""

    def segment(supports: Sequence[Sample], query: Tensor) -> Tensor:
        predictor.clear()
        predictor.fit(*zip(*supports, strict=True))
        return predictor.predict(query.unsqueeze(0))[0].label_map > 0

    return segment


def presence(predictor: FWBPredictor, classes: Classes, episodes: Sequence[DrawnEpisode]) -> tuple[Tensor, Tensor]:
    """Confidence in each query of an episode, and in an image without the class; half of those of the same data set."""
    generator = torch.Generator().manual_seed(0)
    there: list[Tensor] = []
    absent: list[Tensor] = []
    for number, episode in enumerate(episodes):
        shown = classes[episode.name]
        predictor.clear()
        predictor.fit(*zip(*(read_sample(*shown[k]) for k in episode.supports), strict=True))
        dataset, _, category = episode.name.partition(":")
        others = [
            pair for name in classes for pair in classes[name]
            if not (pair[0].dataset == dataset and int(category) in pair[0].categories)
            and (pair[0].dataset == dataset) == bool(number % 2)
        ] or [pair for name in classes if not name.startswith(f"{dataset}:") for pair in classes[name]]  # fmt: skip
        other = others[int(torch.randint(len(others), (1,), generator=generator))]
        for pair, confidences in ((shown[episode.query], there), (other, absent)):
            confidences.append(predictor.predict(read_sample(*pair)[0].unsqueeze(0))[0].confidence[0])
    return torch.stack(there), torch.stack(absent)


def show_presence(console: Console, there: Tensor, absent: Tensor) -> None:
    """Print how well the confidence tells images with the class from images without."""
    above = (there[:, None] > absent).float() + 0.5 * (there[:, None] == absent).float()
    console.print(f"confidence, class there against absent: area under the ROC curve {float(above.mean()):.3f}")
    for limit in (0.0, 0.1, 0.2, 0.3, 0.5):
        shares = [float((part > limit).float().mean()) for part in (there, absent)]
        console.print(f"above {limit}: {shares[0]:.2f} of the images with the class, {shares[1]:.2f} of those without")


def methods(network: FWB, precision: torch.dtype) -> Iterator[tuple[str, Method]]:
    """What is compared."""
    torch.manual_seed(0)
    untrained = FWB(network.config).eval()
    yield "all is the class", lambda _, query: torch.ones(query.shape[1:], dtype=torch.bool)
    yield "plain prototype, untrained backbone", plain_prototype(untrained, precision)
    yield "plain prototype", plain_prototype(network, precision)
    for name, weighting, boosting in (
        ("FWB without weighting and boosting", False, False),
        ("FWB with weighting", True, False),
        ("FWB with boosting", False, True),
        ("FWB with weighting and boosting", True, True),
    ):
        yield name, whole(FWBPredictor(network, precision=precision, weighting=weighting, boosting=boosting))


def main() -> None:
    """Print a row a method, a column a number of shots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="name or file")
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--queries", type=int, default=12, help="of each class")
    parser.add_argument("--shots", default="1,5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--by-class", action="store_true", help="IoU of each class for the last method")
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(arguments.checkpoint)
    network = build_network(checkpoint, system_of(checkpoint, "fewshot"))
    assert isinstance(network, FWB)
    classes = held_out_classes(arguments.data, checkpoint.header.training["held_out"])
    sizes = {name: len(shown) for name, shown in classes.items()}
    queries = [(name, number % sizes[name]) for number in range(arguments.queries) for name in sorted(sizes)]
    shots = [int(part) for part in arguments.shots.split(",")]
    table = Table("method", *(f"{k}-shot mIoU (FB-IoU)" for k in shots), box=None)
    last: dict[str, Areas] = {}
    for name, method in methods(network, torch.bfloat16):
        cells = []
        for count in shots:
            areas: dict[str, list[Areas]] = {}
            drawn = draw_episodes(sizes, queries, count=len(queries), shots=count, seed=arguments.seed)
            for episode in drawn:
                shown = classes[episode.name]
                query, truth = read_sample(*shown[episode.query])
                supports = [read_sample(*shown[number]) for number in episode.supports]
                counts = count_areas(method(supports, query).numpy(), truth.numpy())
                areas.setdefault(episode.name, []).append(counts)
            last = {key: add_areas(values) for key, values in areas.items()}
            scores = summarise(last)
            cells.append(f"{scores['mIoU']:.3f} ({scores['FB-IoU']:.3f})")
        table.add_row(name, *cells)
    console = Console(width=120)
    console.print(
        f"{len(classes)} classes, {sum(sizes.values())} images, {len(queries)} episodes, seed {arguments.seed}"
    )
    console.print(table)
    drawn = draw_episodes(sizes, queries, count=len(queries), shots=shots[-1], seed=arguments.seed)
    show_presence(console, *presence(FWBPredictor(network, precision=torch.bfloat16), classes, drawn))
    if arguments.by_class:
        for key in sorted(last):
            console.print(f"{key}: {summarise({key: last[key]})['mIoU']:.3f}")


if __name__ == "__main__":
    main()
