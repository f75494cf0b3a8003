"""Options that several commands share. Imports nothing heavy: `--help` must answer at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class MaskUse(StrEnum):
    """How much of a folder of masks is taken."""

    first = "first"
    new = "new"
    all = "all"


class Direction(StrEnum):
    """Ways through a video."""

    forward = "forward"
    backward = "backward"
    both = "both"


class WorkingSize(StrEnum):
    """Size at which the network works."""

    small = "480"
    native = "native"


class Precision(StrEnum):
    """Arithmetic of the network."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class CocoSplit(StrEnum):
    """Ways of splitting COCO's classes into folds."""

    interleaved = "interleaved"
    contiguous = "contiguous"


RUN = "Run"
MODEL = "Model"

LARGEST_SIDE = 1 << 14

ShortSide = Annotated[
    str | None,
    typer.Option(
        "--size", help="Short side at which the network works, or native (default: the checkpoint's).",
        rich_help_panel=MODEL,
    ),
]  # fmt: skip
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Output folder (default: runs/COMMAND/INPUT).", rich_help_panel=RUN),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(help="Name or file of a checkpoint (default: the command's own).", rich_help_panel=MODEL),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=MODEL)]
PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="auto = bf16 where the hardware has it.", rich_help_panel=MODEL),
]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.", rich_help_panel=RUN)]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Do finished items again instead of skipping them.", rich_help_panel=RUN),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, write nothing.", rich_help_panel=RUN)]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the run's record as JSON, nothing else, on stdout.", rich_help_panel=RUN),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, errors only.", rich_help_panel=RUN)]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="A line an item also beside the bar.", rich_help_panel=RUN)
]


def short_side(size: str | None) -> int | None:
    """Pixels of a `ShortSide`: 0 = native, None = the checkpoint's.

    Raises:
        typer.BadParameter: it is neither a number nor `native`.
    """
    if size is None or size == "native":
        return None if size is None else 0
    if size.isdecimal() and 0 < int(size) <= LARGEST_SIDE:
        return int(size)
    raise typer.BadParameter(f"'{size}' is neither a number of pixels nor native", param_hint="--size")


def height_and_width(text: str) -> tuple[int, int]:
    """The two numbers of `512x640`.

    Raises:
        typer.BadParameter: it is something else.
    """
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isdecimal() and 0 < int(part) <= LARGEST_SIDE for part in parts):  # noqa: PLR2004
        return int(parts[0]), int(parts[1])
    raise typer.BadParameter(f"'{text}' is not a size like 512x640", param_hint="--size")


def comma_list(text: str) -> tuple[str, ...]:
    """The parts of a comma list without blanks."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
