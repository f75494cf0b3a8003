"""Mean J of predicted masks on the annotated frames of a sequence, beside the floor "copy the given mask".

    python benchmarks/quality.py examples/bunny runs/demo/masks/frames [MORE_FOLDER MORE_PREDICTIONS ...]

Each FOLDER holds `frames/` and `masks/` (any subset of the frames). Objects count from the frame after their
first mask on; the floor repeats each object's first mask.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import read_label_map, read_mask_folder
from vossegcli.metrics.regions import region_similarity

Scores = list[tuple[str, int, float, float]]


def score_sequence(folder: Path, predictions: Path) -> Scores:
    """Return (frame, object, J, floor) for every annotated frame after an object's first mask."""
    copied: dict[int, npt.NDArray[np.integer]] = {}
    scores: Scores = []
    for name, path in read_mask_folder(folder / "masks").items():
        truth = read_label_map(path, allow_empty=True)
        predicted = read_label_map(predictions / f"{name}.png", size=truth.ids_map.shape, allow_empty=True).ids_map
        known = tuple(copied)
        for object_id, j in region_similarity(predicted, truth.ids_map, known).items():
            floor = region_similarity(copied[object_id], truth.ids_map, (object_id,))[object_id]
            scores.append((name, object_id, j, floor))
        for object_id in truth.ids:
            copied.setdefault(object_id, truth.ids_map)
    return scores


def main(arguments: list[str]) -> None:
    """Print a table a sequence and the mean over the sequences."""
    if not arguments or len(arguments) % 2:
        sys.exit(__doc__)
    console = Console()
    means = []
    for folder, predictions in zip(arguments[::2], arguments[1::2], strict=True):
        try:
            scores = score_sequence(Path(folder), Path(predictions))
        except InputError as error:
            sys.exit(f"error: {error}")
        table = Table("frame", "object", "J", "copied first mask", title=f"{folder}", box=None)
        for name, object_id, j, floor in scores:
            table.add_row(name, str(object_id), f"{j:.3f}", f"{floor:.3f}")
        mean, floor = (float(np.mean([row[k] for row in scores])) for k in (2, 3))
        table.add_row("mean", "", f"{mean:.3f}", f"{floor:.3f}", style="bold")
        console.print(table)
        means.append((mean, floor))
    if len(means) > 1:
        mean, floor = np.mean(means, axis=0)
        console.print(f"mean of the sequences: J {mean:.3f}, copied first mask {floor:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
