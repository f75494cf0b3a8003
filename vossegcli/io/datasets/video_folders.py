"""Videos with masks to train on: folders of frames, each with a folder of masks whose ids are objects.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.datasets.annotations import AnnotatedImages
from vossegcli.io.datasets.ids import listed_some
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.shared_ids import shared_ids
from vossegcli.io.media.contents import entries_of
from vossegcli.io.media.frame_matches import match_frames
from vossegcli.io.media.layouts import layout_of, layout_sequences
from vossegcli.io.media.sequences import folder_name, list_images
from vossegcli.io.results.exports import shapes_of_ids
from vossegcli.io.results.rle import region_rle
from vossegcli.types import AnnotatedImage, LabelMap

LAYOUTS = "JPEGImages/<video>/ and Annotations/<video>/, or <video>/frames/ and <video>/masks/"
_FRAMES, _MASKS = "frames", "masks"
_LISTED = 10


def holds_videos(folder: Path) -> bool:
    """Say whether a folder holds videos with masks, in one of `LAYOUTS`, or is such a video."""
    return folder.is_dir() and any(True for _ in _videos(folder))


def read_video_folders(folder: Path) -> AnnotatedImages:
    """Read the frames that have a mask, with the identities of their objects; each object is a class of its own.

    Frames without a mask are left out, and so are masks without a frame. A mask without objects is a frame without.

    Args:
        folder: in one of `LAYOUTS`; DAVIS and YouTube-VOS have the first.

    Raises:
        InputError: no frame has a mask, or masks cannot be read, which are listed.
    """
    dataset = folder.resolve().name
    images: list[AnnotatedImage] = []
    notes: list[str] = []
    faults: list[str] = []
    numbers: dict[tuple[str, int], int] = {}
    videos = list(_videos(folder))
    for name, frames, masks in videos:
        pairs, more = _pairs(frames, masks)
        notes += [f"{dataset}/{name}: {note}" for note in more]
        try:
            for frame, label_map in _read_masks(pairs):
                for i in label_map.ids:
                    numbers.setdefault((name, i), len(numbers) + 1)
                images.append(_annotated(frame, label_map, name, dataset, numbers))
        except InputError as error:
            faults.append(str(error))
    if faults:
        what = f"{len(faults)} videos have masks that cannot be used: {listed_some(faults, _LISTED)}"
        raise InputError(what, where=folder, fix="correct or remove them")
    if not images:
        raise InputError("no frame has a mask", where=folder, fix=f"give {LAYOUTS}, with masks called like frames")
    objects = f"{len(numbers)} objects" if len(numbers) != 1 else "1 object"
    counted = f"{len(videos)} videos" if len(videos) != 1 else "1 video"
    return AnnotatedImages(tuple(images), (f"{dataset}: {objects} in {len(images)} frames of {counted}", *notes))


def _videos(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, folder of frames and folder of masks of each video."""
    layout = layout_of(folder)
    if layout is not None:
        for sequence in layout_sequences(folder, folder, *layout):
            if sequence.masks is not None and sequence.frames:
                yield sequence.name, sequence.frames[0].parent, sequence.masks
        return
    for video in (folder, *entries_of(folder)):
        if (video / _FRAMES).is_dir() and (video / _MASKS).is_dir():
            yield folder_name(video), video / _FRAMES, video / _MASKS


def _pairs(frames: Path, masks: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Frames with a mask, in the order of the frames, and notes."""
    of_frames, of_masks = list_images(frames), list_images(masks)
    if not of_masks:
        return [], ["has no masks"]
    index_of, note = match_frames([mask.stem for mask in of_masks], [frame.stem for frame in of_frames])
    found = sorted((index_of[mask.stem], mask) for mask in of_masks if mask.stem in index_of)
    alone = len(of_masks) - len(found)
    left_out = [f"left out: {alone} masks of no frame"] if alone else []
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
