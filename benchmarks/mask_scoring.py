"""What the mask scores of B2Inst are worth: mask and boundary AP of the same masks in the order of different scores.

    python benchmarks/mask_scoring.py b2inst-microscopy val.json [--every 1]

The class score alone, times S_IoU, times S_boundary, and as in the paper, `S_class sqrt(S_IoU S_boundary)`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from pycocotools import mask as coco_mask
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from vossegcli.data.textures import cached_image
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.io.results.instances import coco_results
from vossegcli.metrics.instance import instance_precision
from vossegcli.models.chosen_model import choose_model
from vossegcli.ops.images import image_tensor
from vossegcli.ops.masks import pasted_instances
from vossegcli.types import AnnotatedImage

#: Which of the two scores count.
ORDERS = {
    "class alone": (False, False), "with S_IoU": (True, False), "with S_boundary": (False, True), "paper": (True, True),
}  # fmt: skip
NUMBERS = ("AP", "AP50", "AP75")
MOST = 1000


class SomeScores(nn.Module):
    """A mask scoring head, of whose scores some are taken as 1."""

    def __init__(self, head: nn.Module, *, iou: bool, boundary: bool) -> None:
        super().__init__()
        self.head = head
        self.taken = (iou, boundary)

    def forward(self, *inputs: Any) -> tuple[Tensor, ...]:
        """The logits of the scores; infinity stands for 1."""
        scores = self.head(*inputs)
        return tuple(
            score if taken else torch.full_like(score, float("inf"))
            for score, taken in zip(scores, self.taken, strict=True)
        )


def truth_of(images: list[AnnotatedImage], numbers: dict[str, int]) -> dict[str, Any]:
    """The annotations in the form that is measured against."""
    annotations = [
        {"image_id": k, "category_id": numbers[name], "segmentation": rle, "area": float(coco_mask.area(rle)),
         "iscrowd": 0, "bbox": coco_mask.toBbox(rle).tolist()}
        for k, image in enumerate(images) for rle, name in zip(image.segmentations, image.names, strict=True)
    ]  # fmt: skip
    return {
        "images": [{"id": k, "height": image.height, "width": image.width} for k, image in enumerate(images)],
        "annotations": [{"id": k, **one} for k, one in enumerate(annotations, start=1)],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }


def main() -> None:
    """Print a row for each order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    arguments = parser.parse_args()
    model = choose_model("instance", arguments.checkpoint, "auto", "auto")
    numbers = {name: k for k, name in enumerate(model.checkpoint.header.labels, start=1)}
    images = read_coco_instances(arguments.annotations)[:: arguments.every]
    truth = truth_of(images, numbers)
    table = Table("score", *(f"mask {n}" for n in NUMBERS), *(f"boundary {n}" for n in NUMBERS), box=None)
    for name, (iou, boundary) in ORDERS.items():
        predictor = model.predictor()
        predictor.model.scoring = SomeScores(predictor.model.scoring, iou=iou, boundary=boundary)
        results: list[dict[str, Any]] = []
        for number, record in enumerate(images):
            image = cached_image(record.path)
            (found,) = predictor.predict(image_tensor(image).unsqueeze(0))
            size = image.shape[:2]
            results += coco_results(pasted_instances(found, size), size, number, list(numbers.values()))
        cells = [
            f"{instance_precision(truth, results, form, max_dets=MOST).numbers[n]:.3f}"
            for form in ("segm", "boundary")
            for n in NUMBERS
        ]
        table.add_row(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
