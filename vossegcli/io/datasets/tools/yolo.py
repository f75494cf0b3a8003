"""YOLO segmentation: a text file an image, a line an object, corners as shares of the image's size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from vossegcli.errors import InputError
from vossegcli.io.datasets.shapes import Annotations, Faults, Rle, Shape, ShapedImage, is_empty, polygon_rle
from vossegcli.io.media.contents import files_below, walk
from vossegcli.io.media.image_files import ImageFinder
from vossegcli.io.media.images import read_image_size
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, natural_key

TOOL = "YOLO"
_BOX = 5
_LOOKED_AT = 100
_NOT_LABELS = frozenset({"classes.txt", "obj_names.txt", "train.txt", "val.txt", "test.txt", "labelmap.txt"})
_SETTINGS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NAMES = ("classes.txt", "obj.names", "labels/classes.txt")


def is_yolo(path: Path) -> bool:
    """Return True for a folder of YOLO's text files, the root of such a data set, or its YAML file."""
    if path.is_file():
        return path.suffix.lower() in {".yaml", ".yml"}
    if any((path / name).is_file() for name in _SETTINGS):
        return True
    return any(_looks_like_labels(file) for file in islice(_label_files(path), _LOOKED_AT))  # some may be damaged


def read_yolo(path: Path, folder: Path | None = None) -> Annotations:
    """Read the objects of all images below a folder.

    Images without a label file are left out and counted.

    Args:
        path: the data set's root, one of its folders of labels or images, or its YAML file.
        folder: that the images lie below; None = beside the labels, or in `images/` beside `labels/`.

    Raises:
        InputError: an image is missing, a line is malformed, or there are boxes alone; all faults are listed.
    """
    root = path.parent if path.is_file() else path
    faults = Faults(path)
    names = _class_names(path, root)
    images, boxes = [], 0
    annotated: set[Path] = set()
    for file in sorted(_label_files(root), key=lambda file: natural_key(file.as_posix())):
        image = _image_of(file) if folder is None else _image_below(folder, file, root)
        if image is None:
            faults.add(str(file.relative_to(root)), "has no image of its name in images/ or beside it")
            continue
        annotated.add(image)
        height, width = read_image_size(image)
        shapes = []
        for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
            try:
                found = _shape(line, names, height, width)
            except ValueError as error:
                faults.add(f"{file.relative_to(root)}, line {number}", error)
                continue
            boxes += found is None and len(line.split()) == _BOX
            if found is not None and names and int(float(line.split()[0])) not in names:
                faults.doubtful[
                    "line[|s] of YOLO [has|have] a class that is not listed: it is called by its number"
                ] += 1
            if found is not None and not is_empty(found.rle):
                shapes.append(found)
            elif line.strip():
                faults.drop(
                    "line[|s] of YOLO that [is a box|are boxes]"
                    if len(line.split()) == _BOX
                    else "degenerate polygon[|s]"
                )
        images.append(ShapedImage(_name_of(root, file, image), height, width, tuple(shapes), file))
    for _ in _without_label_files(annotated):
        faults.drop("image[|s] of YOLO without a label file (an empty file says that there is no object)")
    faults.check("correct the lines, or put the images into images/ beside labels/")
    if boxes and not any(image.shapes for image in images):
        raise InputError("holds boxes alone, no masks", where=path, fix="export polygons (YOLO segmentation)")
    class_ids = {name: number + 1 for number, name in names.items()}
    return Annotations(TOOL, path, tuple(images), tuple(names.values()), faults.notes, class_ids)


def _label_files(root: Path) -> Iterator[Path]:
    """The text files with objects, those in folders called `labels` where there are any."""
    folders = [folder for folder, _, _ in walk(root) if folder.name == "labels"]
    places = folders or [root]
    seen = set()
    for place in places:
        for file in files_below(place):
            if file.suffix == ".txt" and file.name.lower() not in _NOT_LABELS and file not in seen:
                seen.add(file)
                yield file


def _looks_like_labels(file: Path) -> bool:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        numbers = [[float(value) for value in line.split()] for line in lines if line.strip()]
    except (ValueError, OSError):
        return False
    return bool(numbers) and all(len(row) >= _BOX and row[0].is_integer() for row in numbers)


def _image_of(file: Path) -> Path | None:
    """The image of a text file: in the folder `images` beside `labels`, or in its own."""
    parts = list(file.parent.parts)
    if "labels" in parts:
        place = len(parts) - 1 - parts[::-1].index("labels")
        folder = Path(*parts[:place], "images", *parts[place + 1 :])
        found = ImageFinder(folder, folder).find(f"{file.stem}.jpg") if folder.is_dir() else None
        if found is not None:
            return found
    return ImageFinder(file).find(f"{file.stem}.jpg")


def _without_label_files(annotated: set[Path]) -> Iterator[Path]:
    """The other images in the folders of those that have one."""
    for folder in {image.parent for image in annotated}:
        images = (file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        yield from (image for image in images if image not in annotated)


def _image_below(folder: Path, file: Path, root: Path) -> Path | None:
    """The image of a text file in a folder that the user gives."""
    below = file.relative_to(root).with_suffix(".jpg")
    return ImageFinder(folder, folder).find(below.as_posix())


def _name_of(root: Path, file: Path, image: Path) -> str:
    """The image's path below the root, without the folders that are the same for all."""
    parts = [part for part in file.parent.relative_to(root).parts if part != "labels"]
    return "/".join([*parts, image.name])


def _shape(line: str, names: dict[int, str], height: int, width: int) -> Shape | None:
    """Read a line: a class, then x y of each corner; None for boxes, empty lines and fewer than three corners."""
    values = [float(value) for value in line.split()]
    if not values:
        return None
    if not values[0].is_integer() or values[0] < 0:
        raise ValueError(f"the class {line.split()[0]!r:.20} is no whole number")
    corners = values[1:]
    if len(values) == _BOX:
        return None
    if len(corners) % 2:
        raise ValueError("the corners are no pairs x y")
    if any(not -0.5 <= value <= 1.5 for value in corners):
        raise ValueError("a corner lies outside the image: corners are shares of its size, 0 to 1")
    points = [(x * width, y * height) for x, y in zip(corners[::2], corners[1::2], strict=True)]
    rle: Rle | None = polygon_rle([points], height, width)
    return None if rle is None else Shape(names.get(int(values[0]), str(int(values[0]))), rle)


def _class_names(path: Path, root: Path) -> dict[int, str]:
    """Names of the classes by number: from the YAML file, or a list of names."""
    places = [place for place in (root, root.parent, root.parent.parent) if place.is_dir()]
    settings = [path] if path.is_file() else [place / name for place in places for name in _SETTINGS]
    for file in settings:
        if file.is_file():
            return _names_of_yaml(file)
    for file in (place / name for place in places for name in _NAMES):
        if file.is_file():
            return dict(enumerate(line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip()))
    return {}


def _names_of_yaml(file: Path) -> dict[int, str]:
    try:
        settings: Any = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        names = settings.get("names", {})
        listed = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in listed}
    except (yaml.YAMLError, OSError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"has no names of classes that can be read ({error})", where=file, fix="list names") from error
