"""Videos with masks to train on: folders of frames, each with a folder of masks whose ids are objects.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vossegcli.errors import InputError
from vossegcli.io.datasets.annotations import AnnotatedImages
from vossegcli.io.datasets.ids import listed_some
from vossegcli.io.datasets.mask_pairs import part_of
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.mask_trees import find_sequence_list, read_sequence_names
from vossegcli.io.masks.shared_ids import shared_ids
from vossegcli.io.media.contents import entries_of, walk
from vossegcli.io.media.frame_matches import match_frames
from vossegcli.io.media.layouts import layout_of, layout_sequences
from vossegcli.io.media.sequences import folder_name, list_images
from vossegcli.io.records.file_names import is_called, subfolder
from vossegcli.io.results.exports import shapes_of_ids
from vossegcli.io.results.rle import region_rle
from vossegcli.types import AnnotatedImage, LabelMap
from vossegcli.wording import counted

LAYOUTS = (
    "JPEGImages/<video>/ and Annotations/<video>/, <video>/frames/ and <video>/masks/, or frames/<video>/ and"
    " masks/<video>/"
)
_FRAMES, _MASKS = "frames", "masks"
_TAKEN = (_FRAMES, _MASKS, "JPEGImages", "Annotations")
_LISTED = 10


class Video(NamedTuple):
    """Name, folder of frames and folder of masks of a video."""

    name: str
    frames: Path
    masks: Path


@dataclass(frozen=True)
class Videos:
    """Videos with masks below a folder.

    Attributes:
        folder: that they were looked for in.
        videos: in natural order.
        notes: what was left out.
    """

    folder: Path
    videos: tuple[Video, ...]
    notes: tuple[str, ...] = ()


def find_videos(folder: Path, subset: str | None = None) -> Videos:
    """Find the videos with masks below a folder, or the one that it is.

    Args:
        folder: in one of `LAYOUTS`, at any depth; DAVIS and YouTube-VOS have the first.
        subset: `train` or `val`: the part to take where the folder has both, as folders or as lists in `ImageSets`.

    Raises:
        InputError: none of the listed videos is there.
    """
    every = list(_videos(folder))
    part = part_of(folder, subset, lambda below: any(video.frames.is_relative_to(below) for video in every))
    videos = tuple(
        video._replace(name=video.name.removeprefix(f"{part.relative_to(folder).as_posix()}/"))
        for video in every
        if video.frames.is_relative_to(part)
    )
    listing = find_sequence_list([part], subset) if videos and subset else None
    if listing is None:
        return Videos(folder, videos)
    listed = set(read_sequence_names(listing))
    kept = tuple(video for video in videos if video.name in listed)
    if not kept:
        raise InputError("lists no video that is there", where=listing, fix="correct it, or remove it to take all")
    where = listing.relative_to(part).as_posix()
    left_out = len(videos) - len(kept)
    return Videos(
        folder, kept, (f": left out, as not in {where}: {counted(left_out, 'video[|s]')}",) if left_out else ()
    )


def read_videos(found: Videos) -> AnnotatedImages:
    """Read the frames that have a mask, with the identities of their objects; each object is a class of its own.

    Frames without a mask are left out, and so are masks without a frame. A mask without objects is a frame without.

    Raises:
        InputError: no frame has a mask, or masks cannot be read, which are listed.
    """
    dataset = found.folder.resolve().name
    images: list[AnnotatedImage] = []
    notes, faults = list(found.notes), []
    numbers: dict[tuple[str, int], int] = {}
    for name, frames, masks in found.videos:
        pairs, more = _pairs(frames, masks)
        notes += [f"/{name}: {note}" for note in more]
        try:
            for frame, label_map in _read_masks(pairs):
                for i in label_map.ids:
                    numbers.setdefault((name, i), len(numbers) + 1)
                images.append(_annotated(frame, label_map, name, dataset, numbers))
        except InputError as error:
            faults.append(str(error))
    if faults:
        what = f"{counted(len(faults), 'video[|s]')} with masks that cannot be used: {listed_some(faults, _LISTED)}"
        raise InputError(what, where=found.folder, fix="correct or remove them")
    if not images:
        fix = f"give {LAYOUTS}, with masks called like frames"
        raise InputError("no frame has a mask", where=found.folder, fix=fix)
    where = f"{counted(len(images), 'frame[|s]')} of {counted(len(found.videos), 'video[|s]')}"
    told = f": {counted(len(numbers), 'object[|s]')} in {where}"
    return AnnotatedImages(tuple(images), tuple(f"{dataset}{note}" for note in (told, *notes)))


def _videos(root: Path) -> Iterator[Video]:
    """The videos below a folder, and the folder itself if it is one."""
    for folder, folders, _ in walk(root):
        found = list(_direct_videos(root, folder))
        if found:
            folders[:] = [below for below in folders if not is_called(below.name, *_TAKEN)]
        yield from found


def _direct_videos(root: Path, folder: Path) -> Iterator[Video]:
    """The videos of a folder in one of `LAYOUTS`; the output of a command has `masks/<video>/` alone."""
    layout = layout_of(folder)
    frames, masks = subfolder(folder, _FRAMES), subfolder(folder, _MASKS)
    if layout is not None:
        for sequence in layout_sequences(root, folder, *layout):
            if sequence.masks is not None and sequence.frames:
                yield Video(sequence.name, sequence.frames[0].parent, sequence.masks)
    elif frames.is_dir() and masks.is_dir():
        below = [entry for entry in entries_of(masks) if entry.is_dir()]
        videos = [entry for entry in below if (frames / entry.name).is_dir()]
        for entry in videos:
            yield Video((folder / entry.name).relative_to(root).as_posix(), frames / entry.name, entry)
        if not videos:
            name = folder_name(folder) if folder == root else folder.relative_to(root).as_posix()
            yield Video(name, frames, below[0] if len(below) == 1 and not list_images(masks) else masks)


def _pairs(frames: Path, masks: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Frames with a mask, in the order of the frames, and notes."""
    of_frames, of_masks = list_images(frames), list_images(masks)
    if not of_masks:
        return [], ["has no masks"]
    index_of, note = match_frames([mask.stem for mask in of_masks], [frame.stem for frame in of_frames])
    found = sorted((index_of[mask.stem], mask) for mask in of_masks if mask.stem in index_of)
    alone = len(of_masks) - len(found)
    left_out = [f"left out: {counted(alone, 'mask[|s]')} of no frame"] if alone else []
    return [(of_frames[index], mask) for index, mask in found], [*([note] if note else []), *left_out]


def _read_masks(pairs: list[tuple[Path, Path]]) -> Iterator[tuple[Path, LabelMap]]:
    """Frames of one video and their masks; a colour is one object in all of them."""

    def read(mask: Path) -> LabelMap:
        return read_label_map(mask, allow_empty=True, repairable=False)

    shared = shared_ids(read(mask) for _, mask in pairs)
    for frame, mask in pairs:
        yield frame, shared.apply(mask, read(mask))


def _annotated(
    frame: Path, label_map: LabelMap, video: str, dataset: str, numbers: dict[tuple[str, int], int]
) -> AnnotatedImage:
    height, width = label_map.ids_map.shape
    shapes = shapes_of_ids(label_map.ids_map, {})
    return AnnotatedImage(
        path=frame,
        height=height,
        width=width,
        segmentations=tuple(region_rle(shape.mask, shape.top, shape.left, height, width) for shape in shapes),
        categories=tuple(numbers[video, shape.number] for shape in shapes),
        names=tuple(f"{video}/{shape.number}" for shape in shapes),
        source=video,
        dataset=dataset,
        identities=tuple(shape.number for shape in shapes),
    )
