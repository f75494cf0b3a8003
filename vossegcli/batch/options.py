"""What every command that works through a batch is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vossegcli import __version__
from vossegcli.errors import ConfigError, InputError
from vossegcli.io.records.json_files import read_run
from vossegcli.models.chosen_model import ChosenModel
from vossegcli.names import MAX_PIXELS
from vossegcli.types import Shard

OOM = ("fail", "shrink")


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
        short_side: working size of the network; 0 = native, None = the checkpoint's.
        shard: the part of the items to do, or None for all.
        oom: where the memory does not suffice for an item: `fail`, or `shrink` = once more at a smaller size.
        max_pixels: larger pictures are refused.
    """

    COMMAND: ClassVar[str]
    SAVES: ClassVar[tuple[str, ...]]

    checkpoint: str | None = None
    output: Path | None = None
    save: tuple[str, ...] = ("masks",)
    overwrite: bool = False
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    command: str = ""
    short_side: int | None = None
    shard: Shard | None = None
    oom: str = "fail"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or a number out of range.
        """
        if self.max_pixels < 1:
            raise ConfigError(f"max-pixels is {self.max_pixels}", fix="give 1 or more")
        if self.oom not in OOM:
            raise ConfigError(f"oom is '{self.oom}'", fix=f"use {' or '.join(OOM)}")
        for name in self.save:
            if name not in self.SAVES:
                raise ConfigError(f"cannot save '{name}'", where="--save", fix=f"use {', '.join(self.SAVES)}")

    @property
    @abstractmethod
    def input_name(self) -> str:
        """What the default output folder is called after."""

    @property
    def folder(self) -> Path:
        """The output folder that is meant."""
        return self.output or Path("runs") / self.COMMAND / self.input_name

    def check_folder(self, source: Path) -> None:
        """Refuse an output folder where the run would write over something else, or be the next run's input.

        Args:
            source: file or folder that the outputs are made of.

        Raises:
            InputError: another folder is needed.
        """
        fix = "give another folder with --output"
        if source.is_dir() and self.folder.resolve().is_relative_to(source.resolve()):
            raise InputError("lies inside the input folder", where=self.folder, fix=fix)
        found = read_run(self.folder).get("input", str(source.resolve()))
        if self.output is None and found != str(source.resolve()):
            raise InputError(f"holds the results of another input, {found}", where=self.folder, fix=fix)

    def facts(self, source: Path | str, model: ChosenModel, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """What the run's record says before anything is done."""
        return {
            "version": __version__, "command": self.command, "input": str(source), "output": str(self.folder),
            **more, **model.facts, "seed": self.seed,
        }  # fmt: skip
