"""Table of annotation tools, recognised by the content of a file or folder, not its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vossegcli.errors import InputError
from vossegcli.io.datasets.ids import listed_some
from vossegcli.io.datasets.shapes import Annotations, ShapedImage
from vossegcli.io.datasets.tools.coco import is_coco, read_coco
from vossegcli.io.datasets.tools.cvat import read_cvat
from vossegcli.io.datasets.tools.geojson import is_geojson, read_geojson
from vossegcli.io.datasets.tools.labelme import is_labelme, read_labelme
from vossegcli.io.datasets.tools.supervisely import is_datumaro, is_supervisely, read_datumaro, read_supervisely
from vossegcli.io.datasets.tools.via import is_via, read_via
from vossegcli.io.datasets.tools.voc import read_voc, voc_root
from vossegcli.io.datasets.tools.yolo import is_yolo, read_yolo
from vossegcli.io.media.contents import files_below
from vossegcli.io.records.file_names import natural_key
from vossegcli.io.records.json_files import read_json
from vossegcli.wording import counted

Payload = tuple[Path, Any]
_HEAD = 512
_SPLITS = frozenset({"train", "val"})  # files of one data set, which is called like their folder
_SUFFIXES = frozenset({".json", ".xml", ".geojson"})
_YAML = frozenset({".yaml", ".yml"})
_NOT_ANNOTATIONS = frozenset({"run.json", "classes.json", "images.json", "meta.json", "report.json", "dataset.json"})
_PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
#: Part that is asked for -> parts of which images are taken, the first set that some images are of.
_WANTED = {"train": ({"train", ""},), "val": ({"val"}, {"test"})}
_KNOWN = "labelme, COCO (which most tools export), YouTube-VIS, CVAT, Supervisely, Datumaro, GeoJSON (QuPath) or VIA"


@dataclass(frozen=True)
class JsonFormat:
    """Recognising and reading the JSON files of one tool.

    Attributes:
        claims: whether what a file holds is of the tool.
        read: several files (one an image) or one, below a path, with the folder of the images.
    """

    claims: Callable[[object], bool]
    read: Callable[[Path, Sequence[Payload], Path | None], Annotations]


def _one_by_one(read: Callable[[Path, Any], Annotations]) -> Callable[[Path, Sequence[Payload], object], Annotations]:
    return lambda path, files, _: _joined(path, [read(file, payload) for file, payload in files])


def _each_a_set(read: Callable[[Path, Any], Annotations]) -> Callable[[Path, Sequence[Payload], object], Annotations]:
    """Read files that are a data set each."""

    def read_sets(path: Path, files: Sequence[Payload], _: object) -> Annotations:
        names = _names_of_sets(path, [file for file, _ in files])
        parts = [
            replace(found, images=tuple(replace(image, dataset=names[file]) for image in found.images))
            for file, found in ((file, read(file, payload)) for file, payload in files)
        ]
        return _joined(path, parts)

    return read_sets


def _names_of_sets(path: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Name data sets by their files, or by the folder of `train` and `val`; where two are called alike, by paths."""
    places = {file: file.parent if file.stem in _SPLITS else file for file in files}
    counts = Counter(dataset_name(file) for file in {place: file for file, place in places.items()}.values())
    return {
        file: name if counts[name := dataset_name(file)] == 1 else _below(path, place) for file, place in places.items()
    }


def dataset_name(path: Path) -> str:
    """Name the data set of an annotation file or folder."""
    name = path.parent.name if path.stem in _SPLITS else path.stem
    return name or path.resolve().name


JSON_FORMATS = (
    JsonFormat(is_coco, _each_a_set(read_coco)),
    JsonFormat(is_labelme, lambda path, files, _: read_labelme(path, files)),
    JsonFormat(is_supervisely, lambda path, files, _: read_supervisely(path, files)),
    JsonFormat(is_via, read_via),
    JsonFormat(is_datumaro, _one_by_one(read_datumaro)),
    JsonFormat(is_geojson, read_geojson),
)


def head_of(path: Path) -> bytes:
    """Read the first bytes of a file, without byte order mark and white space.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, fix="check the path") from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16
        head = head[2:].replace(b"\0", b"")
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def is_annotation(path: Path) -> bool:
    """Return True for an annotation file, or a folder that holds some; a folder of masks is none."""
    if path.is_file():
        return head_of(path).startswith((b"{", b"[", b"<")) or path.suffix.lower() in _YAML
    if not path.is_dir():
        return False
    if voc_root(path) is not None or any(True for _ in _files_of_tools(path, most=1)):
        return True
    return is_yolo(path)


def read_annotations(path: Path, subset: str | None = None, images: Path | None = None) -> Annotations:
    """Read an annotation file, or a folder of them.

    Args:
        path: file or folder.
        subset: `train` or `val`: the part to read where a folder has both.
        images: a folder that the images lie below, for tools that do not write their sizes; None = the usual places.

    Raises:
        InputError: it is of no tool that is known, or malformed.
    """
    if path.is_file():
        found = _read_file(path, images)
        return only_subset(found, subset) if path.suffix.lower() in _YAML else found
    if voc_root(path) is not None:
        return read_voc(path, subset)
    files = list(_files_of_tools(path))
    for form in JSON_FORMATS:
        own = [(file, payload) for file, payload in files if payload is not None and form.claims(payload)]
        if own:
            found = form.read(path, own, images)
            notes = _of_other_tools(path, {file for file, _ in files} - {file for file, _ in own})
            return only_subset(replace(found, notes=(*found.notes, *notes)), subset)
    if files:
        return only_subset(_joined(path, [read_cvat(file) for file, _ in files]), subset)
    if is_yolo(path):
        return only_subset(read_yolo(path, images), subset)
    raise InputError("holds no annotations of a known tool", where=path, fix=f"give files of {_KNOWN}, VOC or YOLO")


def only_subset(annotations: Annotations, subset: str | None) -> Annotations:
    """Keep the images of a part, where there are some; `val` stands for `test` where there is no other.

    The part of an image is in the names of its folders, of its annotation file or of that file's folders: `train/`,
    `valid/`, `instances_val2017.json`. Images that no name assigns to a part are for training.
    """
    if subset is None:
        return annotations
    parts = [_parts_of(image, annotations.path) for image in annotations.images]
    wanted = next((wanted for wanted in _WANTED[subset] if any(part <= wanted for part in parts)), None)
    if wanted is None:
        return annotations
    images = tuple(image for image, part in zip(annotations.images, parts, strict=True) if part <= wanted)
    left = [image for image, part in zip(annotations.images, parts, strict=True) if not part <= wanted]
    if not left:
        return annotations
    files = {image.file for image in left if image.file is not None and not _is_named_after(image.file, image)}
    named = listed_some(sorted(_below(annotations.path, file) for file in files))
    what = counted(len(left), f"image[|s] of other parts than '{subset}' [was|were] left out")
    return replace(annotations, images=images, notes=(*annotations.notes, f"{what}: {named}" if named else what))


def _parts_of(image: ShapedImage, path: Path) -> set[str]:
    """Parts that an image is of; {""} where no name tells."""
    words = list(Path(image.name).parts[:-1])
    if image.file is not None and image.file.is_relative_to(path):
        below = image.file.relative_to(path)
        words += below.parts[:-1]
        if not _is_named_after(below, image):
            words += re.split(r"[_\-. ]", below.stem)
    return {_PARTS[word] for word in (word.lower().rstrip("0123456789") for word in words) if word in _PARTS} or {""}


def _is_named_after(file: Path, image: ShapedImage) -> bool:
    return file.stem in {Path(image.name).stem, Path(image.name).name}


def _of_other_tools(path: Path, files: Collection[Path]) -> Iterator[str]:
    if files:
        named = listed_some(sorted(_below(path, file) for file in files))
        yield f"left out, as of another tool than the rest (give them by themselves): {named}"


def _below(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _read_file(path: Path, images: Path | None) -> Annotations:
    head = head_of(path)
    if head.startswith(b"<"):
        return read_cvat(path)
    if path.suffix.lower() in _YAML:
        return read_yolo(path, images)
    payload = read_json(path)
    for form in JSON_FORMATS:
        if form.claims(payload):
            return form.read(path, [(path, payload)], images)
    if isinstance(payload, dict) and {"images", "videos", "annotations"} & payload.keys():
        return read_coco(path, payload)  # which says what it lacks
    if isinstance(payload, list):
        if any(isinstance(one, dict) and "data" in one and "annotations" in one for one in payload):
            fix = "export COCO from Label Studio (brushes: PNG masks)"
            raise InputError("is Label Studio's own JSON, which is not read", where=path, fix=fix)
        raise InputError(
            "is a list, as of results, without the images that they belong to",
            where=path,
            fix="give a file with images, annotations and categories, as `--save coco` writes it",
        )
    keys = ", ".join(list(payload)[:5]) if isinstance(payload, dict) else type(payload).__name__
    raise InputError(f"is of no tool that is known (it holds: {keys})", where=path, fix=f"give a file of {_KNOWN}")


def _files_of_tools(folder: Path, most: int | None = None) -> Iterator[Payload]:
    """The JSON files (with their content) and XML files (None) of known tools below a folder, in natural order."""
    count = 0
    found = [file for file in files_below(folder) if file.suffix.lower() in _SUFFIXES]
    for file in sorted(found, key=lambda file: natural_key(file.relative_to(folder).as_posix())):
        if file.suffix.lower() == ".xml":
            if b"<annotations" not in head_of(file):
                continue
            yield file, None
        else:
            payload = read_json(file)
            known = JSON_FORMATS[:1] if file.name in _NOT_ANNOTATIONS else JSON_FORMATS
            if not any(form.claims(payload) for form in known):
                continue
            yield file, payload
        count += 1
        if count == most:
            return


def _joined(path: Path, parts: Sequence[Annotations]) -> Annotations:
    """Several files as one; classes of one name are one class."""
    if len(parts) == 1:
        return parts[0]
    labels = tuple(dict.fromkeys(label for part in parts for label in part.labels))
    numbers: dict[str, set[int]] = {}
    for part in parts:
        for label, number in part.class_ids.items():
            numbers.setdefault(label, set()).add(number)
    agreed: Mapping[str, int] = {label: min(ids) for label, ids in numbers.items()}
    agree = all(len(ids) == 1 for ids in numbers.values()) and len(set(agreed.values())) == len(agreed)
    notes = tuple(dict.fromkeys(f"{part.path.name}: {note}" for part in parts for note in part.notes))
    images = tuple(replace(image, file=image.file or part.path) for part in parts for image in part.images)
    return Annotations(parts[0].tool, path, images, labels, notes, agreed if agree else {})
