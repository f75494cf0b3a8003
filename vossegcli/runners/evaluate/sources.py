"""Predictions and truth as any tool has them, as the folders that evaluation reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.datasets.archives import below_wrappers
from vossegcli.io.datasets.coco_results import refuse_lvis
from vossegcli.io.datasets.formats import is_annotation, read_annotations
from vossegcli.io.datasets.mask_sources import convert_masks, needs_conversion, unpacked
from vossegcli.io.datasets.shapes import Annotations
from vossegcli.io.datasets.unfolded_stacks import find_stacks, unfold_stacks
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.masks.mask_trees import find_mask_sequences
from vossegcli.io.records.file_names import folders_of_labels
from vossegcli.io.records.json_files import read_json
from vossegcli.io.records.run_records import STATE_FOLDER, holds_masks_of_run


@dataclass(frozen=True)
class Sources:
    """The two folders that are compared.

    Attributes:
        predictions: folder of masks.
        truth: likewise.
        notes: what was interpreted.
    """

    predictions: Path
    truth: Path
    notes: tuple[str, ...] = ()


@contextmanager
def video_sources(predictions: Path, truth: Path, output: Path | None) -> Iterator[Sources]:
    """Give two folders of label maps, made of annotations, archives, arrays or mask videos where that is needed.

    Args:
        predictions: folder or file.
        truth: likewise.
        output: folder of the report, in which several runs that share an evaluation find the same masks.

    Raises:
        InputError: one of them cannot be read.
    """
    with _work_folder(output) as work:
        found = _opened_sources(predictions, truth, work)
        predictions, truth = found.predictions, found.truth
        if _needs_conversion(predictions):
            made = convert_masks(predictions, work / "predictions", _frames(truth))
            found = replace(found, predictions=made.folder, notes=(*found.notes, *made.notes))
        if _needs_conversion(truth):
            made = convert_masks(truth, work / "truth", _frames(found.predictions))
            found = replace(found, truth=made.folder, notes=(*found.notes, *made.notes))
        yield found


@contextmanager
def instance_sources(predictions: Path, truth: Path) -> Iterator[Sources]:
    """Give two JSON files, or two folders of label maps, made of stacks where that is needed.

    Raises:
        InputError: a stack cannot be read.
    """
    with _work_folder(None) as work:
        yield _opened_sources(predictions, truth, work)


def _opened_sources(predictions: Path, truth: Path, work: Path) -> Sources:
    """Unpack archives, and unfold label stacks to folders of label maps.

    Args:
        predictions: folder or file.
        truth: likewise.
        work: folder to write to.

    Raises:
        InputError: an archive or a stack cannot be read, or the truth is of LVIS.
    """
    truth, predictions = _opened_truth(truth, work / "packed truth"), _opened(predictions, work / "packed predictions")
    ours, theirs = find_stacks(predictions), find_stacks(truth)
    found = Sources(predictions, truth)
    if ours:
        made = unfold_stacks(predictions, ours, truth, work / "predictions")
        found = replace(found, predictions=made.folder, notes=made.notes)
    if theirs:
        made = unfold_stacks(truth, theirs, predictions, work / "truth")
        found = replace(found, truth=made.folder, notes=(*found.notes, *made.notes))
    return found


def _opened_truth(path: Path, work: Path) -> Path:
    """Open the truth as `_opened` does.

    Raises:
        InputError: it is of LVIS.
    """
    found = _opened(path, work)
    for file in found.glob("*.json") if found != path and found.is_dir() else [found]:
        if file.is_file() and file.suffix.lower() == ".json":
            refuse_lvis(read_json(file), path)
    return found


def _opened(path: Path, work: Path) -> Path:
    """Give the folder that an archive packs, or the only file in it; other paths stay."""
    folder = unpacked(path, work)
    if folder == path:
        return path
    root = below_wrappers(folder)
    files = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
    return files[0] if len(files) == 1 else root


@contextmanager
def _work_folder(output: Path | None) -> Iterator[Path]:
    """Give a folder for masks that have to be made: of the report, which several runs share, or one that is removed."""
    if output is not None:
        yield output / STATE_FOLDER / "masks"
        return
    with tempfile.TemporaryDirectory(prefix="vosseg-") as work:
        yield Path(work)


@contextmanager
def class_sources(predictions: Path, truth: Path, images: Path | None = None) -> Iterator[Sources]:
    """Give two trees of masks, `<class>/<image>.png` of annotations where that is needed.

    Args:
        predictions: folder or file.
        truth: likewise.
        images: folder of the images, for annotations that do not write their sizes; None = the usual places.

    Raises:
        InputError: one of them cannot be read.
    """
    with _work_folder(None) as work:
        opened = _opened_truth(truth, work / "packed truth")
        ours = _class_tree(_opened(predictions, work / "packed"), work / "predictions", images)
        yield Sources(ours, _class_tree(opened, work / "truth", images))


def _needs_conversion(path: Path) -> bool:
    """Return True if masks have to be made of what a path holds; of a run's output, its masks are taken."""
    return needs_conversion(path) and not holds_masks_of_run(path)


def _class_tree(path: Path, work: Path, images: Path | None) -> Path:
    if is_annotation(path) and not holds_masks_of_run(path):
        _write_classes_of_annotations(read_annotations(path, images=images), work)
        return work
    return path


def _write_classes_of_annotations(annotations: Annotations, work: Path) -> None:
    """Write a mask for every class and every image that shows it."""
    stems = [Path(image.name).stem for image in annotations.images]
    if len(set(stems)) < len(stems):
        raise InputError("lists two images of one name", where=annotations.path, fix="rename one of them")
    folders = folders_of_labels(annotations.classes)
    for stem, image in zip(stems, annotations.images, strict=True):
        for label in annotations.classes:
            mask = np.zeros((image.height, image.width), np.uint8)
            for shape in image.shapes:
                if shape.label == label:
                    mask[shape.mask()] = 1
            if mask.any():
                write_label_map(work / folders[label] / f"{stem}.png", mask)


def _frames(path: Path) -> Sequence[str]:
    """Names of the frames of the only sequence of a folder of masks; none where there are several, or none."""
    if not path.is_dir() or _needs_conversion(path):
        return ()
    sequences = find_mask_sequences(path)
    return list(next(iter(sequences.values()))) if len(sequences) == 1 else ()
