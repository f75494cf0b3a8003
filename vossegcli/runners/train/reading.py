"""The data that `--data` and `--val` name: annotation files of any tool, videos, and folders of images with masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.datasets.annotations import AnnotatedImages, read_annotated_images, read_class_folders
from vossegcli.io.datasets.archives import opened_archive
from vossegcli.io.datasets.formats import is_annotation
from vossegcli.io.datasets.ids import listed_some
from vossegcli.io.datasets.instance_folders import read_instance_folders
from vossegcli.io.datasets.mask_pairs import LAYOUTS, paired_folders
from vossegcli.io.datasets.video_folders import LAYOUTS as VIDEO_LAYOUTS
from vossegcli.io.datasets.video_folders import Videos, find_videos, read_videos
from vossegcli.io.records.file_names import is_called
from vossegcli.io.records.run_records import holds_masks_of_run
from vossegcli.types import AnnotatedImage, Task
from vossegcli.wording import counted


def read_images(
    paths: Sequence[Path], task: Task, subset: str | None = "train", folder: Path | None = None
) -> AnnotatedImages:
    """Read annotation files of any tool, and folders of them or of images with masks.

    Args:
        paths: a file; a folder stands for its annotation files of the part, or holds images with masks.
        task: whether folders hold classes (`fewshot`) or instances (others).
        subset: the part to read where a folder has `train` and `val`.
        folder: that the images of annotation files lie below; None = the usual places.

    Raises:
        InputError: data cannot be read.
    """
    images: list[AnnotatedImage] = []
    notes: list[str] = []
    owners: dict[str, Path] = {}
    for path in map(opened_archive, paths):
        for found in _read_path(path, task, subset, folder):
            images += _with_own_names(found.images, path, owners)
            notes += found.notes
    return AnnotatedImages(tuple(images), tuple(dict.fromkeys(notes)))


def _read_path(path: Path, task: Task, subset: str | None, folder: Path | None) -> Iterator[AnnotatedImages]:
    """Read a file, or what a folder holds for a task: videos and annotation files, else images with masks."""
    has_files = is_annotation(path) and not holds_masks_of_run(path)
    videos = find_videos(path, subset) if path.is_dir() else Videos(path, ())
    if videos.videos and task == "propagate":
        found = read_videos(videos)
        yield found
        if has_files:
            files = _without(_read_files(path, subset, folder), found.images)
            found = replace(found, images=(*found.images, *files.images))
            more = f"{path.name}: {counted(len(files.images), 'picture[|s]')} of annotation files besides the videos"
            yield AnnotatedImages(files.images, (*files.notes, more))
        yield AnnotatedImages((), tuple(_unread_pairs(path, found.images)))
        return
    if has_files:
        files = _read_files(path, subset, folder)
        yield replace(files, notes=(*files.notes, *_unread_pairs(path, files.images)))
    elif not videos.videos:
        yield _read_folders(path, task, subset)
    if videos.videos:
        what = "annotated videos, and only systems of `vosseg propagate` learn from those"
        if not has_files:
            raise InputError(f"holds {what}", where=path, fix=f"give an annotation file, or {LAYOUTS}")
        yield AnnotatedImages((), (f"{path.name}: left out: {what}",))


def _with_own_names(images: Sequence[AnnotatedImage], path: Path, owners: dict[str, Path]) -> list[AnnotatedImage]:
    """Call data sets by names that none of another path has: samples are balanced and classes kept apart by them.

    Args:
        images: of a path.
        path: of `--data`.
        owners: the path that each name belongs to; names of this one are added.
    """
    names: dict[str, str] = {}
    for name in dict.fromkeys(image.dataset for image in images):
        wanted, number = name, 1
        while owners.setdefault(wanted, path) != path:
            number += 1
            wanted = f"{path.resolve().parent.name}/{name}" if number == 2 else f"{name} ({number})"
        names[name] = wanted
    return [replace(image, dataset=names[image.dataset]) for image in images]


def _unread_pairs(path: Path, images: Sequence[AnnotatedImage]) -> list[str]:
    """Tell of folders with images and masks that are left out, as annotation files or videos were read."""
    if not path.is_dir():
        return []
    read = {image.path.resolve().parent for image in images}
    folders = [folder for folder in paired_folders(path) if not {folder.resolve(), folder.resolve() / "images"} & read]
    named = listed_some([folder.relative_to(path).as_posix() for folder in folders])
    what = counted(len(folders), "folder[|s] of images with masks, to be given by [itself|themselves] with --data")
    return [f"{path.name}: left out: {what}: {named}"] if folders else []


def _read_files(path: Path, subset: str | None, folder: Path | None) -> AnnotatedImages:
    """Read an annotation file, or those of a folder."""
    found = read_annotated_images(path, folder, subset)
    return AnnotatedImages(found.images, tuple(f"{path.name}: {note}" for note in found.notes))


def _without(found: AnnotatedImages, known: Sequence[AnnotatedImage]) -> AnnotatedImages:
    """Leave out what annotates frames whose masks are known already."""
    frames = {image.path.resolve() for image in known}
    kept = tuple(image for image in found.images if image.path.resolve() not in frames)
    return AnnotatedImages(kept, found.notes)


def _read_folders(path: Path, task: Task, subset: str | None) -> AnnotatedImages:
    """Read a folder of images with masks."""
    if task == "fewshot":
        return read_class_folders(path, subset)
    if task != "propagate":
        return read_instance_folders(path, subset)
    found = read_instance_folders(path, subset, f"{LAYOUTS}; of videos, {VIDEO_LAYOUTS}")
    folders = Counter(image.path.parent for image in found.images if is_called(image.path.parent.name, "images"))
    if max(folders.values(), default=0) < 2:
        return found
    note = f"{path.resolve().name}: images/ holds single pictures; if they are frames of a video, call it frames/"
    return AnnotatedImages(found.images, (*found.notes, note))
