"""Objects and frames that count by the rules of YouTube-VOS and LVOS, and objects that are unseen in training.

* YouTube-VOS: the objects of `meta.json`, in the frames that it lists for each but the first, which is given. Unseen
  are the objects of classes that the training set lacks.
* LVOS (lvos-evaluation): the objects of `meta.json`, in every fifth frame of the object's own range but the first and
  the last. Unseen are the objects of the videos that `unseen_videos.txt` lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.datasets.video_meta import (
    SEEN_OF_YOUTUBE_VOS,
    VideoMeta,
    VideoObject,
    find_video_meta,
    read_video_meta,
)
from vossegcli.io.masks.mask_trees import read_sequence_names
from vossegcli.scores import Problem

PROTOCOLS = ("youtube-vos", "lvos")
UNSEEN_OF_LVOS = "unseen_videos.txt"
STEP_OF_LVOS = 5
Counted = Mapping[str, Mapping[int, frozenset[str]]]


@dataclass(frozen=True)
class ObjectRules:
    """Objects and frames that count.

    Attributes:
        frames: sequence -> id of the object -> names of the frames that count for it.
        unseen: (sequence, id) of the objects that are unseen in training.
        problems: what of `meta.json` or the truth is not scored.
    """

    frames: Counted
    unseen: frozenset[tuple[str, int]]
    problems: tuple[Problem, ...] = ()


def object_rules(
    protocol: str, truth: Path, masks: Mapping[str, Sequence[str]], meta: Path | None = None, unseen: Path | None = None
) -> ObjectRules:
    """Find out which frames of each object count.

    Args:
        protocol: `youtube-vos` or `lvos`.
        truth: root of the data set, or its folder of masks.
        masks: names of the true masks of each sequence that is evaluated.
        meta: the data set's `meta.json`; None = in the root or beside the masks.
        unseen: list of unseen videos or classes; None = `unseen_videos.txt` there (LVOS), or what the training set
            of YouTube-VOS lacks.

    Raises:
        InputError: a file is missing or malformed.
    """
    path = meta or find_video_meta(truth, masks)
    if path is None:
        fix = "give the meta.json of the data set with --meta"
        raise InputError(f"has no meta.json, which '{protocol}' needs", where=truth, fix=fix)
    found = read_video_meta(path)
    names = _unseen_names(protocol, truth, found, unseen)
    frames: dict[str, dict[int, frozenset[str]]] = {}
    problems: list[Problem] = []
    for sequence, listed in masks.items():
        objects = found.videos.get(sequence, {})
        if not objects:
            problems.append(Problem("not scored", sequence, None, f"{path.name} lists no objects of it"))
        frames[sequence] = {}
        for number, one in objects.items():
            wanted = _FRAMES[protocol](one, sequence, path)
            counted = [name for name in listed if _key(name, protocol) in wanted]
            frames[sequence][number] = frozenset(counted)
            problems += _missing(sequence, number, len(wanted), len(counted), path)
    objects_of = (
        (sequence, number, one) for sequence in frames for number, one in found.videos.get(sequence, {}).items()
    )
    chosen = frozenset((sequence, number) for sequence, number, one in objects_of if {sequence, one.category} & names)
    return ObjectRules(frames, chosen, tuple(problems))


def _missing(sequence: str, number: int, wanted: int, counted: int, path: Path) -> Iterator[Problem]:
    if counted < wanted:
        detail = f"{wanted - counted} of {wanted} frames that {path.name} lists for object {number} have no true mask"
        yield Problem("not scored", sequence, None, detail)
    elif not wanted:
        yield Problem("not scored", sequence, None, f"object {number} has no frame that counts")


def _frames_of_youtube_vos(one: VideoObject, sequence: str, path: Path) -> frozenset[str | int]:
    if not one.frames:
        fix = "give the meta.json of YouTube-VOS, which lists them"
        raise InputError(f"lists no frames of the objects of {sequence}", where=path, fix=fix)
    return frozenset(one.frames[1:])


def _frames_of_lvos(one: VideoObject, sequence: str, path: Path) -> frozenset[str | int]:
    if one.span is None:
        fix = "give the meta.json of LVOS, which has them"
        raise InputError(f"has no frame_range of the objects of {sequence}", where=path, fix=fix)
    return frozenset(range(one.span.start, one.span.end, STEP_OF_LVOS)[1 : max(1, one.span.count - 1)])


_FRAMES: Mapping[str, Callable[[VideoObject, str, Path], frozenset[str | int]]] = {
    "youtube-vos": _frames_of_youtube_vos,
    "lvos": _frames_of_lvos,
}


def _key(name: str, protocol: str) -> str | int:
    """The name of a mask as the protocol speaks of it: LVOS numbers its frames."""
    return int(name) if protocol == "lvos" and name.isascii() and name.isdecimal() else name


def _unseen_names(protocol: str, truth: Path, meta: VideoMeta, unseen: Path | None) -> frozenset[str]:
    """Names of unseen videos or classes."""
    if unseen is not None:
        if unseen.suffix.lower() == ".json":  # of the training set: every other class is unseen
            return meta.categories - read_video_meta(unseen).categories
        return frozenset(read_sequence_names(unseen))
    if protocol == "youtube-vos":
        return meta.categories - SEEN_OF_YOUTUBE_VOS
    path = next((p for p in (truth / UNSEEN_OF_LVOS, truth.parent / UNSEEN_OF_LVOS) if p.is_file()), None)
    if path is None:
        fix = f"put {UNSEEN_OF_LVOS} of lvos-evaluation there, or give it with --unseen"
        raise InputError(f"has no {UNSEEN_OF_LVOS}, which 'lvos' needs", where=truth, fix=fix)
    return frozenset(read_sequence_names(path))
