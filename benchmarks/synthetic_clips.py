"""Write synthetic clips with instances and their identities, to measure tracking on: frames and a YouTube-VIS file.

    python benchmarks/synthetic_clips.py val.json OUT [--clips 20] [--frames 12] [--size 256] [--seed 0]
    vosseg track OUT/frames --annotations OUT/truth.json --size 256 -o PRED
    vosseg evaluate track PRED/tracks.json OUT/truth.json

Made of the images of a COCO instances file with the motion that training uses: the instances of a crop move together
(camera, drift, deformation), and some of another crop move across them. Turned pictures, as of microscopy: --turns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from vossegcli.data.instance_clips import MARGIN, InstanceClipStream
from vossegcli.data.instances import SMALLEST, SMALLEST_SCALE, InstanceSpec
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.io.results.overlays import write_image


def masklet(ids: Tensor, number: int) -> list[dict[str, Any] | None]:
    """The masks of an identity in the maps of a clip (T,H,W); None where next to nothing of it is left."""
    found: list[dict[str, Any] | None] = []
    for frame in ids.numpy():
        mask = frame == number
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        shown = int(mask.sum()) >= SMALLEST
        found.append({"size": list(mask.shape), "counts": rle["counts"].decode()} if shown else None)
    return found


def main() -> None:
    """Write the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, default=256, help="side of the frames in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turns", action="store_true", help="turn by quarters and upside down too")
    arguments = parser.parse_args()
    images = read_coco_instances(arguments.annotations)
    names = list(dict.fromkeys(name for image in images for name in image.names))
    numbers = {name: number for number, name in enumerate(names)}
    stream = InstanceClipStream(images, numbers, arguments.seed, torch.device("cpu"))
    inside = round(arguments.size * MARGIN / SMALLEST_SCALE)  # so large that no crop reaches beyond its image
    spec = InstanceSpec(1, arguments.size, inside, arguments.turns)
    videos, annotations = [], []
    for clip in range(arguments.clips):
        drawn = stream.clips(clip, spec, arguments.frames)
        files = [f"{clip:03d}/{t:05d}.png" for t in range(arguments.frames)]
        for frame, name in zip(drawn.frames[0], files, strict=True):
            pixels = (frame.permute(1, 2, 0) * 255.0).round().byte().numpy()
            write_image(arguments.output / "frames" / name, pixels)
        videos.append({
            "id": clip + 1, "file_names": files, "length": arguments.frames, "height": arguments.size,
            "width": arguments.size,
        })  # fmt: skip
        for number, label in enumerate(drawn.labels[0].tolist(), start=1):
            masks = masklet(drawn.ids[0], number)
            if any(masks):
                annotations.append({
                    "id": len(annotations) + 1, "video_id": clip + 1, "category_id": label + 1, "segmentations": masks,
                    "iscrowd": 0,
                })  # fmt: skip
    categories = [{"id": number + 1, "name": name} for name, number in numbers.items()]
    truth = {"videos": videos, "annotations": annotations, "categories": categories}
    (arguments.output / "truth.json").write_text(json.dumps(truth))
    print(f"{len(videos)} clips, {len(annotations)} tracks: {arguments.output}")  # noqa: T201


if __name__ == "__main__":
    main()
