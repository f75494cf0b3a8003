"""Options that several commands share. Imports nothing heavy: `--help` must answer at once."""

from __future__ import annotations

import shlex
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vossegcli.given import given_names, given_path, given_text
from vossegcli.types import Shard

if TYPE_CHECKING:
    from vossegcli.batch.work import Executor

LARGEST_SIDE = 1 << 14
SLOWEST, FASTEST = 0.01, 1000.0  # frames per second

MaskUse = Literal["first", "new", "all"]
Direction = Literal["forward", "backward", "both"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
CocoSplit = Literal["interleaved", "contiguous"]
EngineName = Literal["local", "ray"]

#: Each declares an option of one panel of the help.
reading = partial(typer.Option, rich_help_panel="Input")
model = partial(typer.Option, rich_help_panel="Model")
run = partial(typer.Option, rich_help_panel="Run")
spread = partial(typer.Option, rich_help_panel="Many machines, many cores")


def path(text: str) -> Path:
    """Read a path, with `~` for the home folder; an empty one, as from an unset variable of a shell, is none.

    Raises:
        typer.BadParameter: it is empty.
    """
    if not text:
        raise typer.BadParameter("is empty; give a path")
    return given_path(text)


def words(text: str) -> str:
    """Read a path, a pattern or a name, likewise."""
    path(text)
    return given_text(text)


def shard(text: str) -> Shard:
    """Read the part of a batch that `i/n` means.

    Raises:
        typer.BadParameter: it is something else.
    """
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Shard(int(index), int(count))
    raise typer.BadParameter(f"'{text}' is not a part like 2/8, from 1/8 to 8/8")


def short_side(text: str) -> int:
    """Read the pixels of a working size; 0 = native.

    Raises:
        typer.BadParameter: it is neither a number nor `native`.
    """
    if text == "native":
        return 0
    if text.isdecimal() and 0 < int(text) <= LARGEST_SIDE:
        return int(text)
    raise typer.BadParameter(f"'{text}' is neither 1 to {LARGEST_SIDE} pixels nor native")


def frame_rate(text: str) -> float:
    """Read frames per second, a number or a fraction.

    Raises:
        typer.BadParameter: it is neither, or out of range.
    """
    try:
        rate = float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError):
        rate = 0.0
    if not SLOWEST <= rate <= FASTEST:
        known = "neither a number nor a fraction of frames per second like 30000/1001"
        raise typer.BadParameter(f"'{text}' is {known}, from {SLOWEST:g} to {FASTEST:g}")
    return rate


Frames = Annotated[
    Path,
    typer.Argument(
        parser=path,
        help="Folder of frames, video, image stack (TIFF, GIF), pattern in quotes ('f/*.png', 'f/%05d.png'), or root "
        "of sequences.",
    ),
]
Classes = Annotated[str | None, typer.Option(help="Comma list of class names (default: all).")]
Range = Annotated[
    str | None,
    reading(
        "--range",
        metavar="LOW:HIGH",
        help="Values of frames of more than 8 bits that become black and white; type = all that the type holds; "
        "content (default) = what the whole sequence uses.",
    ),
]
Axis = Annotated[
    str | None, reading(help="Axis of image stacks that is the frames: T or Z; fix others as in T,Z=5 or T,Z=max.")
]
Channel = Annotated[str | None, reading(help="Channel of image stacks: index from 0, or name.")]
ImagesFolder = Annotated[
    Path | None,
    typer.Option(
        "--images", parser=path, metavar="DIR", help="Folder of the images of annotation files (default: usual places)."
    ),
]
ShortSide = Annotated[
    int | None,
    model(
        "--size",
        parser=short_side,
        metavar="N|native",
        help="Short side at which the network works, or native (default: the checkpoint's).",
    ),
]
Checkpoint = Annotated[
    str | None,
    model(parser=words, metavar="NAME|FILE", help="Name or file of a checkpoint (default: the command's own)."),
]
Device = Annotated[str, model(help="Device: auto, cpu, cuda, cuda:1 or mps.")]
Precision = Annotated[PrecisionName, model(help="Arithmetic of the network; auto = bf16 where the hardware has it.")]
Oom = Annotated[Literal["fail", "shrink"], model(help="On out-of-memory: fail, or retry once at half size.")]
Output = Annotated[
    Path | None,
    run("-o", "--output", parser=path, metavar="DIR", help="Output folder (default: runs/COMMAND/INPUT)."),
]
Fps = Annotated[
    float | None,
    run(
        parser=frame_rate,
        metavar="N or N/M",
        help="Frames per second of overlay videos, as 25 or 30000/1001 (default: as the video; 24 for image files).",
    ),
]
Seed = Annotated[int, run(help="Seed of all random choices.")]
MaxPixels = Annotated[int, run(min=1, help="Refuse images of more pixels before they are decoded.")]
Overwrite = Annotated[bool, run("--overwrite", help="Do finished items again; default: skip them.")]
DryRun = Annotated[bool, run("--dry-run", help="Print the plan, write nothing.")]
Json = Annotated[bool, run("--json", help="Print the record of the run as JSON, nothing else.")]
Quiet = Annotated[bool, run("-q", "--quiet", help="Print errors only.")]
Verbose = Annotated[bool, run("-v", "--verbose", help="Print a line per item even with the bar.")]
Threads = Annotated[
    int | None,
    spread(min=1, help="CPU threads, shared by the workers (default: OMP_NUM_THREADS, or one per usable core)."),
]
Workers = Annotated[
    int | None,
    spread(min=1, help="Number of processes (default: 1), each with its share of the cores or a GPU of its own."),
]
ShardOption = Annotated[
    Shard | None, spread("--shard", parser=shard, metavar="I/N", help="Process only shard i of n, e.g. 2/8.")
]
Engine = Annotated[EngineName, spread(help="Run on this machine (local) or on a Ray cluster (ray).")]
Address = Annotated[str | None, spread(help="Address of the Ray cluster, or auto (default: start one for this run).")]


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
    if engine == "ray":
        from vossegcli.batch.ray_cluster import RayCluster

        return RayCluster(count, address)
    refuse("goes with --engine ray", address=address)
    from vossegcli.batch.processes import Processes

    return Processes(count)


def command_line() -> str:
    """The command line, for the record."""
    return shlex.join(["vosseg", *sys.argv[1:]])


def comma_list(text: str | None, option: str) -> tuple[str, ...]:
    """The parts of a comma list without blanks; none where the option was not given.

    Raises:
        typer.BadParameter: it was given without a part, as by a variable of a script that is not set.
    """
    parts = given_names(text or "")
    if text is not None and not parts:
        what = f"'{text}' names nothing. Give names with commas between them, or leave the option out"
        raise typer.BadParameter(what, param_hint=option)
    return parts


def refuse(reason: str, **options: object) -> None:
    """Refuse options that do not go with the others.

    Args:
        reason: what they lack, or why they are not wanted.
        options: what was given of them, by name; None = nothing.

    Raises:
        typer.BadParameter: one was given.
    """
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(reason, param_hint=f"--{name}")
