"""The axes of an image stack: which one the frames follow, and what is done with the others.

Letters of axes are those of TIFF and OME: T time, Z slices, C channels, and I, Q for pages that nobody named. A page
holds Y and X, and S for colours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vossegcli.errors import ConfigError, InputError

MAXIMUM = "max"
_NAMES = {"T": "times", "Z": "slices", "C": "channels"}
_CHOICE = re.compile(r"([A-Z])(?:=(\d+|MAX))?")


@dataclass(frozen=True)
class AxisChoice:
    """Options of the user about the axes of stacks.

    Attributes:
        frames: letter of the axis that the frames follow, or None.
        at: for other axes, the index to take, or `max` for the largest value along it.
        channel: index or name of the channel to take, or None.
    """

    frames: str | None = None
    at: Mapping[str, int | str] | None = None
    channel: str | None = None


@dataclass(frozen=True)
class PagePlan:
    """Pages of a stack that make its frames.

    Attributes:
        pages: for each frame the numbers of its pages; of several, the largest values are shown.
        note: what was interpreted, or None.
    """

    pages: tuple[tuple[int, ...], ...]
    note: str | None


def parse_axes(axis: str | None, channel: str | None = None) -> AxisChoice:
    """Read what `--axis` and `--channel` are given.

    Args:
        axis: `T`, or with the other axes fixed: `T,Z=5` or `T,Z=max`.
        channel: index, counted from 0, or name.

    Raises:
        ConfigError: it is something else.
    """
    frames: str | None = None
    at: dict[str, int | str] = {}
    for part in (axis or "").upper().replace(" ", "").split(",") if axis else ():
        match = _CHOICE.fullmatch(part)
        if match is None or (match[2] is None and frames is not None):
            fix = "give the axis of the frames, as T or Z, and for others an index: T,Z=5 or T,Z=max"
            raise ConfigError(f"'{axis}' names no axis", where="--axis", fix=fix)
        if match[2] is None:
            frames = match[1]
        else:
            at[match[1]] = MAXIMUM if match[2] == "MAX" else int(match[2])
    return AxisChoice(frames, at, channel)


def plan_pages(axes: str, shape: Sequence[int], choice: AxisChoice, where: str, names: Sequence[str] = ()) -> PagePlan:
    """Decide which pages make the frames of a stack; nothing is guessed where two axes could be it.

    Args:
        axes: letters of the axes above those of a page.
        shape: their lengths; the pages are in the order of these axes.
        choice: what the user said.
        where: file, to say in an error.
        names: of the channels, if known.

    Raises:
        InputError: the axes leave open which pages are the frames, or the choice does not fit them.
    """
    sizes = dict(zip(axes, shape, strict=True))
    at = {axis: value for axis, value in (choice.at or {}).items() if sizes.get(axis, 1) > 1}
    if choice.channel is not None and sizes.get("C", 1) > 1:
        at["C"] = _channel(choice.channel, sizes["C"], names, where)
    _check(choice, at, sizes, where)
    free = [axis for axis in axes if sizes[axis] > 1 and axis not in at]
    frames = choice.frames if choice.frames in sizes else None
    if frames is None and len(free) == 1:
        frames = free[0]
    if len([axis for axis in free if axis != frames]):
        raise _open_question(sizes, where, names)
    ranges = [_indices(axis, sizes[axis], frames, at) for axis in axes]
    pages: dict[int, list[int]] = {}
    place = axes.index(frames) if frames is not None else None
    for indices in itertools.product(*ranges):
        number = 0
        for index, length in zip(indices, shape, strict=True):
            number = number * length + index
        pages.setdefault(0 if place is None else indices[place], []).append(number)
    return PagePlan(
        tuple(tuple(listed) for _, listed in sorted(pages.items())),
        _note(sizes, frames, at, names, _unused(choice, sizes)),
    )


def axes_text(sizes: Mapping[str, int]) -> str:
    """Write axes with their lengths the way people read them: `T 5 (times), Z 10 (slices)`."""
    return ", ".join(
        f"{axis} {size}" + (f" ({_NAMES[axis]})" if axis in _NAMES else "") for axis, size in sizes.items() if size > 1
    )


def _indices(axis: str, size: int, frames: str | None, at: Mapping[str, int | str]) -> range:
    value = at.get(axis)
    if axis == frames or value == MAXIMUM:
        return range(size)
    return range(1) if value is None else range(int(value), int(value) + 1)


def _channel(text: str, count: int, names: Sequence[str], where: str) -> int:
    lowered = [name.casefold() for name in names]
    if text.casefold() in lowered:
        return lowered.index(text.casefold())
    if text.isdecimal() and int(text) < count:
        return int(text)
    known = f", named {', '.join(names)}" if names else ""
    raise InputError(f"has no channel '{text}'", where=where, fix=f"give --channel 0 to {count - 1}{known}")


def _check(choice: AxisChoice, at: Mapping[str, int | str], sizes: Mapping[str, int], where: str) -> None:
    long = {axis: size for axis, size in sizes.items() if size > 1}
    if choice.frames is not None and choice.frames not in sizes and len(long) > 1:
        what = f"has no axis {choice.frames}; its axes are {axes_text(sizes)}"
        raise InputError(what, where=where, fix="give one of them with --axis")
    for axis, value in at.items():
        if value != MAXIMUM and int(value) >= sizes[axis]:
            raise InputError(
                f"has no {axis}={value}; its axes are {axes_text(sizes)}",
                where=where,
                fix=f"count from 0 to {sizes[axis] - 1}",
            )


def _open_question(sizes: Mapping[str, int], where: str, names: Sequence[str]) -> InputError:
    long = [axis for axis, size in sizes.items() if size > 1]
    said = f" (channels: {', '.join(names)})" if names and "C" in long else ""
    other = [axis for axis in long if axis != "C"]
    ways = []
    if len(other) > 1:
        ways += [
            f"--axis {other[0]},{other[1]}=0 or --axis {other[0]},{other[1]}=max or --axis {other[1]},{other[0]}=0"
        ]
    elif other:
        ways += [f"--axis {other[0]}"] if "C" not in long else []
    if "C" in long:
        ways.insert(0, f"--channel 0 to --channel {sizes['C'] - 1}")
    return InputError(
        f"has several axes, {axes_text(sizes)}{said}, and it is not known which pages are the frames",
        where=where,
        fix="choose with " + " and ".join(ways),
    )


def _unused(choice: AxisChoice, sizes: Mapping[str, int]) -> list[str]:
    """Tell of choices along axes that a stack does not have, or that hold one page alone."""
    fixed = [f"--axis {axis}={value}" for axis, value in (choice.at or {}).items() if sizes.get(axis, 1) == 1]
    if choice.channel is not None and sizes.get("C", 1) == 1:
        fixed.append(f"--channel {choice.channel}")
    long = [axis for axis, size in sizes.items() if size > 1]
    if choice.frames is not None and choice.frames not in sizes and set(long) & set(_NAMES):
        fixed.append(f"--axis {choice.frames}")
    return [f"{option} has no effect, as there is no such axis" for option in fixed]


def _note(
    sizes: Mapping[str, int],
    frames: str | None,
    at: Mapping[str, int | str],
    names: Sequence[str],
    unused: Sequence[str],
) -> str | None:
    said = list(unused)
    if frames not in {None, "T"} and sizes.get(frames or "", 1) > 1:
        kind = {"Z": "slices (axis Z)", "C": "channels (axis C)"}.get(frames or "", "pages")
        said.append(f"the {sizes[frames or '']} {kind} are taken for the frames")
    for axis, value in at.items():
        name = f" ({names[int(value)]})" if axis == "C" and value != MAXIMUM and int(value) < len(names) else ""
        said.append(f"largest value along {axis}" if value == MAXIMUM else f"{axis}={value}{name}")
    return "stack: " + ", ".join(said) if said else None
