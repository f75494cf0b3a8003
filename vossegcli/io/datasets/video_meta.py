"""`meta.json` of YouTube-VOS and LVOS: the objects of each video, their classes and the frames that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vossegcli.errors import InputError
from vossegcli.io.datasets.ids import read_category_id
from vossegcli.io.records.json_files import read_json

_SEEN = (
    "airplane ape bear bike bird boat bucket bus camel cat cow crocodile deer dog dolphin duck eagle earless_seal "
    "elephant fish fox frisbee frog giant_panda giraffe hand hat hedgehog horse knife leopard lion lizard monkey "
    "motorbike mouse others owl paddle parachute parrot penguin person plant rabbit raccoon sedan shark sheep sign "
    "skateboard snail snake snowboard squirrel surfboard tennis_racket tiger toilet train truck turtle umbrella whale "
    "zebra"
)
#: The 65 classes of the training set of YouTube-VOS, which its evaluation calls seen.
SEEN_OF_YOUTUBE_VOS = frozenset(_SEEN.split())
_FIX = 'give {"videos": {VIDEO: {"objects": {ID: {"category": ..., "frames": [...]}}}}} as the data set has it'


@dataclass(frozen=True)
class Span:
    """Frames of an object as LVOS gives them: the numbers of the first and last, and how many are annotated."""

    start: int
    end: int
    count: int


@dataclass(frozen=True)
class VideoObject:
    """An object of a video.

    Attributes:
        category: name of its class, or "".
        frames: names of the frames that it is in, as YouTube-VOS lists them; empty where they are not listed.
        span: the same as LVOS gives it, or None.
    """

    category: str
    frames: tuple[str, ...] = ()
    span: Span | None = None


@dataclass(frozen=True)
class VideoMeta:
    """The objects of the videos of a data set.

    Attributes:
        path: the file.
        videos: name of the video -> id of the object -> object.
    """

    path: Path
    videos: Mapping[str, Mapping[int, VideoObject]]

    @property
    def categories(self) -> frozenset[str]:
        """Names of all classes."""
        return frozenset(one.category for objects in self.videos.values() for one in objects.values() if one.category)


def find_video_meta(truth: Path, videos: Iterable[str]) -> Path | None:
    """Find the `meta.json` (or `valid_meta.json`, ...) of a data set, in its root or beside its masks.

    Args:
        truth: root of the data set, or its folder of masks.
        videos: names of the videos that are evaluated; of several files, the one that lists most of them is taken.
    """
    wanted = set(videos)
    for folder in (truth, truth.parent):
        files = sorted(folder.glob("*meta*.json"), key=lambda file: (file.name != "meta.json", file.name))
        counted = [(len(wanted & _names(file)), file) for file in files]
        if counted and max(counted)[0]:
            return max(counted, key=lambda row: row[0])[1]
    return None


def read_video_meta(path: Path) -> VideoMeta:
    """Read a `meta.json`.

    Raises:
        InputError: it is none.
    """
    payload = read_json(path)
    listed = payload.get("videos") if isinstance(payload, dict) else None
    if not isinstance(listed, dict):
        raise InputError("has no object 'videos'", where=path, fix=_FIX)
    videos: dict[str, dict[int, VideoObject]] = {}
    for name, video in listed.items():
        objects = video.get("objects") if isinstance(video, dict) else None
        if not isinstance(objects, dict):
            raise InputError(f"has no objects of the video {name!r:.60}", where=path, fix=_FIX)
        videos[name] = {}
        for key, one in objects.items():
            number = read_category_id(key)
            if number is None or not isinstance(one, dict):
                raise InputError(f"has the object {key!r:.20} in the video {name!r:.60}", where=path, fix=_FIX)
            videos[name][number] = _object(one, f"object {key} of the video {name}", path)
    return VideoMeta(path, videos)


def _names(file: Path) -> set[str]:
    try:
        payload = read_json(file)
    except InputError:
        return set()
    listed = payload.get("videos") if isinstance(payload, dict) else None
    return set(listed) if isinstance(listed, dict) else set()


def _object(one: Mapping[str, Any], what: str, path: Path) -> VideoObject:
    frames, span = one.get("frames", []), one.get("frame_range")
    if not isinstance(frames, list) or not all(isinstance(name, str) and name for name in frames):
        raise InputError(f"{what} has frames that are no names", where=path, fix=_FIX)
    category = str(one.get("category") or "")
    stems = tuple(PurePosixPath(name).stem for name in frames)
    return VideoObject(category, stems, None if span is None else _span(span, what, path))


def _span(span: object, what: str, path: Path) -> Span:
    found = (
        [read_category_id(span.get(key)) for key in ("start", "end", "frame_nums")] if isinstance(span, dict) else []
    )
    if not found or any(number is None for number in found):
        fix = 'give {"frame_range": {"start": ..., "end": ..., "frame_nums": ...}} as the data set has it'
        raise InputError(f"{what} has a frame_range without numbers", where=path, fix=fix)
    start, end, count = (number or 0 for number in found)
    return Span(start, end, count)
