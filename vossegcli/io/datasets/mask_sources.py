"""Whatever is given as masks, as a folder of label maps: annotations, archives, arrays, mask videos, PNG an object.

Shapes: H W pixels; T frames; K objects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from vossegcli.errors import InputError
from vossegcli.io.datasets.archives import is_archive, unpack
from vossegcli.io.datasets.formats import head_of, is_annotation, read_annotations
from vossegcli.io.datasets.label_map_folders import WrittenMasks, write_label_maps
from vossegcli.io.datasets.object_masks import find_object_masks, write_object_masks
from vossegcli.io.datasets.shapes import Annotations
from vossegcli.io.masks.arrays import array_files, is_array_file, read_array_files, read_arrays
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.masks.label_stacks import read_label_stack
from vossegcli.io.masks.mask_trees import sequence_name
from vossegcli.io.media.contents import files_below
from vossegcli.io.media.kinds import kind_of
from vossegcli.io.media.stacks import is_stack
from vossegcli.io.records.atomic import atomic_folder
from vossegcli.io.records.file_names import IMAGE_SUFFIXES
from vossegcli.io.records.run_records import fingerprint

_DONE = ".complete"
_ROI_SIGNATURE = b"Iout"
SINGLE = "mask"


def needs_conversion(path: Path) -> bool:
    """Return True if masks have to be made of what a path holds; images and folders of images are masks already."""
    if path.is_dir():
        return is_annotation(path) or bool(array_files(path))
    return path.is_file() and (is_stack(path) or not _is_image(path))


def holds_stack(path: Path) -> bool:
    """Return True for one file with the masks of several frames: an image stack, an array, or a mask video."""
    return path.is_file() and (is_array_file(path) or kind_of(path) in {"stack", "video"})


def names_sequences(path: Path | None) -> bool:
    """Tell files that can hold masks of several sequences, for they name the frame of each."""
    return path is not None and path.is_file() and (is_annotation(path) or is_archive(path))


def convert_masks(
    path: Path, work: Path, frames: Sequence[str] = (), on_top: Collection[int] = (), images: Path | None = None
) -> WrittenMasks:
    """Make label maps of what a path holds.

    Args:
        path: annotation file or folder, NumPy array or archive, or a folder of such arrays, label stack, or mask video.
        work: folder to write to; a conversion that is there already, of the same files, is used.
        frames: names of the frames that arrays and mask videos belong to, if they are known.
        on_top: ids of objects of annotations that lie above all others.
        images: a folder that the images of annotations lie below, where they are not in the usual places and a tool
            does not write their sizes.

    Raises:
        InputError: it is none of these, or malformed.
    """
    files = [path] if path.is_file() else list(files_below(path))
    kept = _listed(on_top) if is_annotation(path) else tuple(frames)  # annotations name their frames
    return made_once(
        work / sequence_name(path), files, kept, lambda folder: _write(path, folder, frames, on_top, images)
    )


def unpacked(path: Path, work: Path) -> Path:
    """Give the folder that a zip archive packs; other paths stay.

    Args:
        path: anything.
        work: folder to unpack to; what is there already, of the same archive, is used.

    Raises:
        InputError: the archive cannot be unpacked.
    """
    if not is_archive(path):
        return path

    def make(folder: Path) -> Sequence[str]:
        unpack(path, folder)
        return ()

    return made_once(work / (path.stem or "archive"), [path], ("unpacked",), make).folder


def convert_object_folders(
    path: Path, frames: Sequence[str], work: Path, on_top: Collection[int] = ()
) -> WrittenMasks | None:
    """Make label maps of a folder with a mask an object.

    `<frame>/<object>.png` or `<object>/<frame>.png`; of each mask, what is not black is the object. Names of objects
    that are numbers are their ids, others are numbered in natural order. Where objects overlap, the later one counts.

    Args:
        path: the folder.
        frames: names of the frames.
        work: folder to write to.
        on_top: ids of objects that lie above all others.

    Returns:
        None where the folder is none of the two.

    Raises:
        InputError: a mask cannot be read.
    """
    found = find_object_masks(path, frames)
    if not found:
        return None
    files = [file for objects in found.values() for file in objects.values()]
    settings = (str(path), *_listed(on_top))
    written = made_once(
        work / (path.name or "masks"), files, settings, lambda folder: write_object_masks(found, folder, on_top)
    )
    return WrittenMasks(written.folder, written.notes, tuple(files))


def _listed(ids: Collection[int]) -> tuple[str, ...]:
    return tuple(map(str, sorted(ids)))


def made_once(
    place: Path, files: Sequence[Path], settings: Sequence[str], make: Callable[[Path], Sequence[str]]
) -> WrittenMasks:
    """Make masks in a folder of their own, or use those that were made of the same files.

    Args:
        place: folder for the fingerprint of the files and settings; its name is that of the folder of the masks.
        files: that the masks are made of.
        settings: whatever else changes them.
        make: writes masks into a folder and tells what was interpreted.
    """
    folder = place.parent / fingerprint(files, {"settings": list(settings)})[:16] / place.name
    marker = folder / _DONE
    if marker.is_file():
        return WrittenMasks(folder, tuple(marker.read_text(encoding="utf-8").splitlines()))
    with atomic_folder(folder) as temporary:
        notes = tuple(make(temporary))
        (temporary / _DONE).write_text("\n".join(notes), encoding="utf-8")
    return WrittenMasks(folder, notes)


def _read(path: Path, images: Path | None) -> Annotations:
    """Read annotations with their images in the usual places, else below a folder."""
    try:
        return read_annotations(path)
    except InputError:
        if images is None:
            raise
        return read_annotations(path, images=images)


def _write(
    path: Path, folder: Path, frames: Sequence[str], on_top: Collection[int], images: Path | None
) -> tuple[str, ...]:
    """Write the label maps of a path; returns what was interpreted."""
    if is_annotation(path):
        return write_label_maps(_read(path, images), folder, on_top).notes
    if path.is_file() and head_of(path).startswith(_ROI_SIGNATURE):
        raise rois_error(path)
    if path.is_dir():
        stack = read_array_files(array_files(path))
    elif is_array_file(path):
        stack = read_arrays(path, frames)
    elif is_stack(path):
        stack = read_label_stack(path, frames)
    else:
        from vossegcli.io.masks.mask_videos import read_mask_video  # loads PyAV

        stack = read_mask_video(path, frames)
    for name, ids_map in stack.maps:
        write_label_map(folder / f"{name or SINGLE}.png", ids_map)
    return tuple(stack.notes)


def rois_error(path: Path) -> InputError:
    """The error of ImageJ's own files of outlines, which do not tell the size of their image."""
    fix = "draw them into a label image in ImageJ, each with its number as grey value, and give that"
    return InputError("holds ROIs of ImageJ, which are not read", where=path, fix=fix)


def _is_image(path: Path) -> bool:
    """Return True if Pillow reads a file, and not as a film."""
    try:
        with Image.open(path):
            return True
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return path.suffix.lower() in IMAGE_SUFFIXES  # a damaged image is told as one
