"""Options of `vosseg train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainOptions:
    """Options of the command line.

    Attributes:
        system: name of the system.
        data: COCO instances files, folders of them, or folders of classes.
        val: likewise, to validate on; empty = a part of the data is held out.
        config: TOML settings.
        images: folder that the images of annotation files lie below; None = the usual places.
        output: folder for checkpoint, state, log and report.
        init: checkpoint name or file to start from, `imagenet` or `none`.
        resume: continue from the state in `output`, if there is one.
        dry_run: check the data and write the contact sheet, do not train.
        device: as typed.
        precision: as typed.
    """

    system: str
    data: tuple[Path, ...]
    config: Path
    output: Path
    val: tuple[Path, ...] = ()
    init: str = "none"
    resume: bool = False
    dry_run: bool = False
    device: str = "auto"
    precision: str = "auto"
    images: Path | None = None
