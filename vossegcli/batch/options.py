"""The options that every command for batches has."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.media.depth import parse_range
from vossegcli.io.media.kinds import kind_of
from vossegcli.io.media.reading import Reading
from vossegcli.io.media.stack_axes import parse_axes
from vossegcli.io.records.json_files import records_of_runs
from vossegcli.io.records.output_folders import FIX, check_owner
from vossegcli.names import MAX_PIXELS
from vossegcli.setting_types import settle_types
from vossegcli.types import Shard, Task

OOM = ("fail", "shrink")
LARGEST_SEED = (1 << 32) - 1
REPORT = "report"  # kind of output that every command knows: the page of the run


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ABC):
    """The common part of the commands' options; each command adds its own.

    Attributes:
        checkpoint: name or file, or None for the command's default.
        output: folder, or None for `runs/<command>/<name of the input>`.
        save: kinds of output, any of the command's `SAVES`.
        overwrite: do finished items again.
        device: as typed.
        precision: as typed.
        seed: of every random choice.
        command: the command line, for the record.
        images_folder: that the images of an annotation file lie below, or None for the usual places.
        short_side: working size of the network; 0 = native, None = the checkpoint's.
        shard: the part of the items to do, or None for all.
        oom: on out of memory: `fail`, or `shrink` = do the item once more at half size.
        max_pixels: larger pictures are refused.
        scratch: folder for files that planning makes; None = in the output folder.
        value_range: what is shown of more than 8 bits: `LOW:HIGH`, `type`, or None = the range of the content.
        axis: of image stacks, the axis of the frames, as `T`, with others fixed as in `T,Z=max`.
        channel: of image stacks, index or name.
    """

    COMMAND: ClassVar[Task]
    MODE: ClassVar[str] = ""  # option that makes results of a kind of its own
    #: Kinds of output, with patterns for their files; `{files}` stands for an item's name or the files in its folder.
    SAVES: ClassVar[Mapping[str, tuple[str, ...]]]
    ALWAYS: ClassVar[tuple[str, ...]] = ()  # kinds that are written in any case

    checkpoint: str | None = None
    output: Path | None = None
    save: tuple[str, ...] = ("masks",)
    overwrite: bool = False
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    command: str = ""
    images_folder: Path | None = None
    short_side: int | None = None
    shard: Shard | None = None
    oom: str = "fail"
    max_pixels: int = MAX_PIXELS
    scratch: Path | None = None
    value_range: str | None = None
    axis: str | None = None
    channel: str | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, a number out of range, or another type than the field's.
        """
        settle_types(self)
        _ = self.reading
        if self.max_pixels < 1:
            raise ConfigError(f"max-pixels is {self.max_pixels}", fix="give 1 or more")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ConfigError(f"seed is {self.seed}", fix=f"give a number from 0 to {LARGEST_SEED}")
        if self.short_side is not None and self.short_side < 0:
            raise ConfigError(f"size is {self.short_side}", fix="give 1 or more pixels, or native")
        if self.oom not in OOM:
            raise ConfigError(f"oom is '{self.oom}'", fix=f"use {' or '.join(OOM)}")
        for name in self.save:
            if name not in {*self.SAVES, REPORT}:
                known = ", ".join((*self.SAVES, REPORT))
                raise ConfigError(f"cannot save '{name}'", where="--save", fix=f"use {known}")

    @property
    @abstractmethod
    def source(self) -> Path:
        """File, folder or pattern that is the input."""

    @property
    @abstractmethod
    def input_name(self) -> str:
        """Name of the default output folder."""

    @property
    def reads(self) -> tuple[Path, ...]:
        """All files and folders that the run reads."""
        return (self.source,)

    @property
    def trees(self) -> tuple[Path, ...]:
        """Folders and patterns that are searched for input, at any depth."""
        return (self.source,)

    @property
    def folder(self) -> Path:
        """The output folder that is meant."""
        return self.output or Path("runs") / self.COMMAND / self.input_name

    @property
    def reading(self) -> Reading:
        """Options for reading pictures and frames.

        Raises:
            ConfigError: the range or the axis is none.
        """
        return Reading(parse_range(self.value_range), parse_axes(self.axis, self.channel))

    @property
    def results(self) -> str:
        """Kind of results, which is alone in its output folder."""
        return f"{self.COMMAND} {self.MODE}".rstrip()

    @property
    def kinds(self) -> list[str]:
        """The kinds of output that are written for each item."""
        return sorted({*self.ALWAYS, *self.save} - {REPORT})

    def idle(self, films: Iterable[Path]) -> list[str]:
        """Tell of options that were given and have no effect on this input.

        Args:
            films: the videos and image stacks of the input.
        """
        given = [name for name, value in (("--axis", self.axis), ("--channel", self.channel)) if value is not None]
        if not given or any(kind_of(film) == "stack" for film in films):
            return []
        verb = "has" if len(given) == 1 else "have"
        return [f"{' and '.join(given)} {verb} no effect: no input is an image stack"]

    def check_output(self) -> None:
        """Refuse an output folder where the run would write over something else, or among its own input.

        The default folder may lie in the input folder: what is found there leaves out the folders of runs.

        Raises:
            InputError: another folder is needed.
        """
        source, folder = self.source.resolve(), self.folder.resolve()
        for tree in filter(None, map(_searched, self.trees)) if self.output is not None else ():
            if folder.is_relative_to(tree):
                raise InputError("lies inside the input folder", where=self.folder, fix=FIX)
        for path in self.reads:
            if any(path.resolve().is_relative_to(folder / kind) for kind in self.SAVES):
                raise InputError("would be overwritten", where=path, fix="copy it, or give another -o/--output")
        check_owner(self.folder, self.results)
        records = records_of_runs(self.folder)
        found = [Path(record["input"]).resolve() for record in records if isinstance(record.get("input"), str)]
        if self.output is None and any(other != source for other in found):
            raise InputError(f"holds the results of another input, {found[0]}", where=self.folder, fix=FIX)


def check_fps(fps: float | None) -> None:
    """Refuse frames a second that no video has.

    Raises:
        ConfigError: the number is not positive.
    """
    if fps is not None and not 0.0 < fps < math.inf:
        raise ConfigError(f"fps is {fps}", fix="give a positive number of frames per second")


def idle_fps(fps: float | None, save: Collection[str], timed: Sequence[str]) -> list[str]:
    """Tell that frames per second were given and nothing that plays is saved.

    Args:
        fps: as given.
        save: kinds of output.
        timed: those that play.
    """
    if fps is None or set(timed) & set(save):
        return []
    return [f"--fps has no effect without --save {' or '.join(timed)}"]


def idle_images(folder: Path | None, *, listed: bool) -> list[str]:
    """Tell that a folder of images was given and no annotation file lists images."""
    return [] if folder is None or listed else ["--images has no effect: no annotation file is given"]


def _searched(path: Path) -> Path | None:
    """The folder that is searched at any depth for a folder or a pattern with `**`; None for others."""
    if path.is_dir():
        return path.resolve()
    parts = path.parts
    return Path(*parts[: parts.index("**")]).resolve() if "**" in parts and not path.exists() else None
