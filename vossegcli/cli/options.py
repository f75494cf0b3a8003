"""Options that several commands share. Imports nothing heavy: `--help` must answer at once."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vossegcli.types import Shard

if TYPE_CHECKING:
    from vossegcli.batch.work import Executor


class MaskUse(StrEnum):
    """Choices of the masks that are taken from a folder."""

    first = "first"
    new = "new"
    all = "all"


class Direction(StrEnum):
    """Ways through a video."""

    forward = "forward"
    backward = "backward"
    both = "both"


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


class Oom(StrEnum):
    """Reactions to out of memory."""

    fail = "fail"
    shrink = "shrink"


class EngineName(StrEnum):
    """Places where items are done."""

    local = "local"
    ray = "ray"


RUN = "Run"
SPREAD = "Many machines, many cores"
MODEL = "Model"

LARGEST_SIDE = 1 << 14


def path(text: str) -> Path:
    """Read a path; an empty one, as from an unset variable of a shell, is none.

    Raises:
        typer.BadParameter: it is empty.
    """
    if not text:
        raise typer.BadParameter("is empty; give a path")
    return Path(text)


def words(text: str) -> str:
    """Read a path or pattern, likewise."""
    path(text)
    return text


INPUT = "Input"

Frames = Annotated[
    Path,
    typer.Argument(
        parser=path,
        help="Folder of frames, video, image stack (TIFF, GIF), pattern in quotes ('f/*.png', 'f/%05d.png'), or root "
        "of sequences.",
    ),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range", metavar="LOW:HIGH",
        help="Values of frames of more than 8 bits that become black and white; type = all that the type holds; "
        "content (default) = what the whole sequence uses.",
        rich_help_panel=INPUT,
    ),
]  # fmt: skip
Axis = Annotated[
    str | None,
    typer.Option(
        help="Axis of image stacks that is the frames: T or Z; fix others as in T,Z=5 or T,Z=max.",
        rich_help_panel=INPUT,
    ),
]
Channel = Annotated[
    str | None, typer.Option(help="Channel of image stacks: index from 0, or name.", rich_help_panel=INPUT)
]
Fps = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=1000.0, help="Frames per second of overlay videos (default: as the video; 24 for image files).",
        rich_help_panel=RUN,
    ),
]  # fmt: skip
ShortSide = Annotated[
    str | None,
    typer.Option(
        "--size", help="Short side at which the network works, or native (default: the checkpoint's).",
        rich_help_panel=MODEL,
    ),
]  # fmt: skip
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", parser=path, metavar="DIR", help="Output folder (default: runs/COMMAND/INPUT).",
        rich_help_panel=RUN,
    ),
]  # fmt: skip
Checkpoint = Annotated[
    str | None,
    typer.Option(help="Name or file of a checkpoint (default: the command's own).", rich_help_panel=MODEL),
]
Device = Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=MODEL)]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision", help="Arithmetic of the network; auto = bf16 where the hardware has it.", rich_help_panel=MODEL
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.", rich_help_panel=RUN)]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Do finished items again; default: skip them.", rich_help_panel=RUN),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan, write nothing.", rich_help_panel=RUN)]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the record of the run as JSON, nothing else.", rich_help_panel=RUN),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.", rich_help_panel=RUN)]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Print a line per item even with the bar.", rich_help_panel=RUN)
]


OomOption = Annotated[
    Oom,
    typer.Option(
        "--oom", help="On out-of-memory: fail, or retry once at half size.",
        rich_help_panel=MODEL,
    ),
]  # fmt: skip
MaxPixels = Annotated[
    int, typer.Option(min=1, help="Refuse images of more pixels before they are decoded.", rich_help_panel=RUN)
]
ImagesFolder = Annotated[
    Path | None,
    typer.Option(
        "--images", parser=path, metavar="DIR", help="Folder of the images of annotation files (default: usual places)."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads, shared by the workers (default: OMP_NUM_THREADS, or one per usable core).",
        rich_help_panel=SPREAD,
    ),
]  # fmt: skip
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of processes (default: 1), each with its share of the cores or a GPU of its own.",
        rich_help_panel=SPREAD,
    ),
]  # fmt: skip
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", help="Process only shard i of n, e.g. 2/8.", rich_help_panel=SPREAD),
]
Engine = Annotated[
    EngineName,
    typer.Option("--engine", help="Run on this machine (local) or on a Ray cluster (ray).", rich_help_panel=SPREAD),
]
Address = Annotated[
    str | None,
    typer.Option(help="Address of the Ray cluster, or auto (default: start one for this run).", rich_help_panel=SPREAD),
]


def prepare_threads(count: int | None) -> None:
    """Set the number of threads of a command, before torch is loaded; None = leave what `main` has set."""
    if count is not None:
        from vossegcli.batch.threads import prepare_threads

        prepare_threads(count)


def executor(count: int | None, engine: EngineName, address: str | None) -> Executor:
    """Choose who has the work done.

    Args:
        count: of the processes; None = one a core, or what suits a cluster.
        engine: processes of this machine, or a Ray cluster.
        address: of the cluster.

    Raises:
        typer.BadParameter: an address without a cluster.
        ConfigError: Ray is not installed.
    """
    if engine is EngineName.ray:
        from vossegcli.batch.ray_cluster import RayCluster

        return RayCluster(count, address)
    if address is not None:
        raise typer.BadParameter("goes with --engine ray", param_hint="--address")
    from vossegcli.batch.processes import Processes

    return Processes(count)


def command_line() -> str:
    """The command line, for the record."""
    return shlex.join(["vosseg", *sys.argv[1:]])


def shard(text: str | None) -> Shard | None:
    """The part of a batch that `i/n` means.

    Raises:
        typer.BadParameter: it is something else.
    """
    if text is None:
        return None
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Shard(int(index), int(count))
    raise typer.BadParameter(f"'{text}' is not a part like 2/8, from 1/8 to 8/8", param_hint="--shard")


def short_side(size: str | None) -> int | None:
    """Pixels of a `ShortSide`: 0 = native, None = the checkpoint's.

    Raises:
        typer.BadParameter: it is neither a number nor `native`.
    """
    if size is None or size == "native":
        return None if size is None else 0
    if size.isdecimal() and 0 < int(size) <= LARGEST_SIDE:
        return int(size)
    raise typer.BadParameter(f"'{size}' is neither 1 to {LARGEST_SIDE} pixels nor native", param_hint="--size")


def height_and_width(text: str) -> tuple[int, int]:
    """The two numbers of `512x640`.

    Raises:
        typer.BadParameter: it is something else.
    """
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isdecimal() and 0 < int(part) <= LARGEST_SIDE for part in parts):  # noqa: PLR2004
        return int(parts[0]), int(parts[1])
    what = f"'{text}' is not a size like 512x640, of sides from 1 to {LARGEST_SIDE}"
    raise typer.BadParameter(what, param_hint="--size")


def comma_list(text: str) -> tuple[str, ...]:
    """The parts of a comma list without blanks."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
