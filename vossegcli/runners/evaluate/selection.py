"""The part of results and truth that is evaluated: names mapped, classes and images chosen, classes merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.records.name_lists import read_names
from vossegcli.scores import Problem
from vossegcli.wording import counted

Json = dict[str, Any]
Items = Sequence[Json]
K = TypeVar("K")
ANY_CLASS = {"id": 1, "name": "object"}
_TOLD = 5  # names that a note lists
_LIST = "list file names, stems or ids, one per line"


@dataclass(frozen=True)
class Selection:
    """The part of results and truth that counts.

    Attributes:
        names: class of the results -> class of the truth, by name or id.
        classes: names (or ids) of the truth's classes that count; empty = all.
        images: stems, file names or ids of the images or videos that count; None = all.
        class_agnostic: compare without regard to classes.
        folder: of the images, for annotations that do not write their sizes; None = the usual places.
    """

    names: Mapping[str, str]
    classes: tuple[str, ...] = ()
    images: frozenset[str] | None = None
    class_agnostic: bool = False
    folder: Path | None = None


def parse_names(text: str) -> dict[str, str]:
    """Read `nucleus=Nucleus,cell=nucleus` as class of the results -> class of the truth.

    Raises:
        ConfigError: a part has no `=`, or a class of the results occurs twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not equals or not ours or not theirs:
            raise ConfigError(f"'{part}' is not NAME=NAME", where="--map", fix="write nucleus=Nucleus,cell=nucleus")
        if ours in found:
            raise ConfigError(f"'{ours}' is mapped twice", where="--map", fix="map each class of the results once")
        found[ours] = theirs
    return found


def select_truth(truth: Json, selection: Selection, kind: str) -> Json:
    """Take the part of a COCO or YouTube-VIS data set that counts.

    Args:
        truth: with `categories`, `annotations` and `images` or `videos`.
        selection: what counts.
        kind: `images` or `videos`.

    Raises:
        InputError: a class or image that was asked for is not in it.
    """
    categories = truth["categories"]
    if selection.classes:
        wanted = {_find(categories, name, "--classes")["id"] for name in selection.classes}
        categories = [category for category in categories if category["id"] in wanted]
    items, notes = truth[kind], tuple(truth.get("notes", ()))
    if selection.images is not None:
        chosen, note = _listed({number: _labels(item) for number, item in enumerate(items)}, selection.images, kind)
        items, notes = [item for number, item in enumerate(items) if number in chosen], (*notes, *note)
    owner = f"{kind[:-1]}_id"
    kept, ids = {category["id"] for category in categories}, {item["id"] for item in items}
    annotations = [one for one in truth["annotations"] if one["category_id"] in kept and one[owner] in ids]
    if selection.class_agnostic:
        categories = [ANY_CLASS]
        annotations = [{**one, "category_id": ANY_CLASS["id"]} for one in annotations]
    return {**truth, "categories": categories, kind: items, "annotations": annotations, "notes": notes}


def select_maps(maps: Mapping[str, Path], selection: Selection) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Take the label maps that count, by their path without suffix; and notes.

    Raises:
        InputError: none of the images that were asked for is among them.
    """
    if selection.images is None:
        return dict(maps), ()
    labels = {name: _names_of(name, name + path.suffix) for name, path in maps.items()}
    chosen, notes = _listed(labels, selection.images, "images")
    return {name: path for name, path in maps.items() if name in chosen}, notes


def _listed(labels: Mapping[K, set[str]], wanted: frozenset[str], kind: str) -> tuple[set[K], tuple[str, ...]]:
    """The items that a list names, by their paths or, where none has one, by the ends of the paths; and notes.

    Raises:
        InputError: there are none.
    """
    ends = {name: name.replace("\\", "/").rstrip("/").rpartition("/")[2] for name in wanted}
    for names in ({name: name for name in wanted}, ends):
        chosen = {key for key, own in labels.items() if own & set(names.values())}
        if chosen:
            known = {label for key in chosen for label in labels[key]}
            absent = sorted(name for name, short in names.items() if short not in known)
            told = counted(len(absent), f"of {len(wanted)} names of the list [is|are] not in the ground truth: ")
            return chosen, (told + ", ".join(absent[:_TOLD]),) if absent else ()
    raise InputError(f"none of the {kind} in the list are in the ground truth", where="--images", fix=_LIST)


def select_results(
    results: Items, truth: Json, chosen: Json, selection: Selection, classes: Mapping[int, str], kind: str
) -> tuple[list[Json], list[Problem]]:
    """Take the results that count, with the truth's ids of classes.

    Classes that the truth does not list are ignored, as the official tools do, and counted.

    Args:
        results: as read.
        truth: all of the truth.
        chosen: its part from `select_truth`.
        selection: what counts.
        classes: names of the results' classes by id, where they are known.
        kind: `images` or `videos`.

    Raises:
        InputError: a class of `--map` is not in the truth.
    """
    ids = {str(ours): _find(truth["categories"], theirs, "--map")["id"] for ours, theirs in selection.names.items()}
    known = {category["id"] for category in truth["categories"]}
    kept = {category["id"] for category in chosen["categories"]}
    owner = f"{kind[:-1]}_id"
    items = {item["id"] for item in chosen[kind]}
    found: list[Json] = []
    unknown: Counter[str] = Counter()
    for result in results:
        ours = result["category_id"]
        ours = int(ours) if isinstance(ours, str) and ours.isdecimal() else ours
        name = classes.get(ours, str(ours))
        category = ids.get(name, ids.get(str(ours), ours))
        if category not in known and not selection.class_agnostic:
            unknown[name] += 1
        elif result[owner] in items:
            category = ANY_CLASS["id"] if selection.class_agnostic else category
            if category in kept:
                found.append({**result, "category_id": category})
    problems = [
        Problem(
            "ignored",
            f"class {name}",
            None,
            counted(count, "result[|s] of a class that the ground truth does not list"),
        )
        for name, count in sorted(unknown.items())
    ]
    return found, problems + _uncovered(found, chosen, owner, kind)


def read_image_list(path: Path) -> frozenset[str]:
    """Read names of images or videos, one per line.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    return frozenset(read_names(path))


def _uncovered(results: Items, truth: Json, owner: str, kind: str) -> list[Problem]:
    """Say how many images with objects have no result at all."""
    annotated = {one[owner] for one in truth["annotations"]}
    missing = annotated - {result[owner] for result in results}
    if not missing:
        return []
    detail = counted(len(missing), f"of {len(annotated)} {kind} with objects [has|have] no result")
    return [Problem("uncovered", kind, None, detail)]


def _find(categories: Iterable[Json], name: str, option: str) -> Json:
    listed = list(categories)
    for category in listed:
        if name in {str(category.get("name")), str(category["id"])}:
            return category
    known = ", ".join(str(category.get("name", category["id"])) for category in listed[:20])
    raise InputError(f"'{name}' is not a class of the ground truth", where=option, fix=f"use one of {known}")


def _labels(item: Json) -> set[str]:
    """Every way to name an image or video."""
    names = [str(item["id"])]
    files = item.get("file_names") or [item.get("file_name", "")]
    first = str(files[0]).replace("\\", "/")
    if "file_names" in item:
        names.append(first.rpartition("/")[0])
    else:
        names += _names_of(first.rpartition(".")[0], first)
    return {name for name in names if name}


def _names_of(path: str, file: str) -> set[str]:
    """Every way to name a file: its path without suffix, its path, its name and its stem."""
    name = file.rpartition("/")[2]
    return {path, file, name, path.rpartition("/")[2] or name}
