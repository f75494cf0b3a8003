"""The batch commands as functions: they write what the commands write and return the record of the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vossegcli.batch.processes import Processes
from vossegcli.batch.run import SILENT
from vossegcli.batch.work import RunProgress
from vossegcli.given import given_names, given_path, given_text, optional_path
from vossegcli.runners.fewshot.run import FewshotOptions
from vossegcli.runners.fewshot.run import fewshot as _fewshot
from vossegcli.runners.instance.run import InstanceOptions
from vossegcli.runners.instance.run import instance as _instance
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate as _propagate
from vossegcli.runners.track.run import TrackOptions
from vossegcli.runners.track.run import track as _track

File = str | Path
Size = int | Literal["native"] | None
Record = dict[str, Any]


def propagate(
    frames: File,
    mask: File | None = None,
    *,
    at: str | int | None = None,
    output: File | None = None,
    save: Sequence[str] = ("masks",),
    checkpoint: str | None = None,
    size: Size = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 1,
    dry_run: bool = False,
    progress: RunProgress = SILENT,
    **options: Any,
) -> Record:
    """Segment videos from given masks, as `vosseg propagate` does.

    Args:
        frames: folder of frames, video file, or root of sequences.
        mask: mask file, folder of masks, or folder of such folders; None = what a data set brings.
        at: frame of a mask file: its name, its number or its index; None = the first.
        output: folder; None = `runs/propagate/<name of the input>`.
        save: kinds of output: `masks`, `overlay`, `video`, `stack`, `cutouts`, `matte`, `prores`, `probabilities`,
            `labelme`, `coco`, `cvat`, `report`.
        checkpoint: name or file; None = the default.
        size: short side in pixels at which the network works, `native`, or None for the checkpoint's.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        workers: number of processes.
        dry_run: return the plan, write nothing.
        progress: told how it goes.
        **options: other fields of `PropagateOptions`: `use_masks`, `objects`, `direction`, `adapt`, `overwrite`, ...

    Returns:
        the record of the run, as in `run.json`; failed items are listed under `failed`.

    Raises:
        VossegError: the input as a whole, the checkpoint, a setting or the device cannot be used.

    Examples:
        >>> import vossegcli
        >>> record = vossegcli.propagate(
        ...     "examples/bunny/frames", "examples/bunny/masks/00000.png", output="runs/python/bunny", adapt=0
        ... )
        >>> record["totals"]["failed"]
        0
    """
    settings = PropagateOptions(
        frames=given_path(frames),
        mask=optional_path(mask),
        at=None if at is None else str(at),
        **_common(output, save, checkpoint, size, device, precision),
        **options,
    )
    return _propagate(settings, progress, dry_run=dry_run, executor=Processes(workers))


def fewshot(
    queries: File,
    support: File,
    *,
    output: File | None = None,
    save: Sequence[str] = ("masks",),
    checkpoint: str | None = None,
    size: Size = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 1,
    dry_run: bool = False,
    progress: RunProgress = SILENT,
    **options: Any,
) -> Record:
    """Segment the classes of a few annotated images in other images, as `vosseg fewshot` does.

    Args:
        queries: image, folder or tree of images, pattern, or video.
        support: folder of annotated images.
        output: folder; None = `runs/fewshot/<name of the input>`.
        save: kinds of output: `masks`, `overlay`, `probabilities`, `cutouts`, `report`.
        checkpoint: name or file; None = the default.
        size: short side in pixels at which the network works, `native`, or None for the checkpoint's.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        workers: number of processes.
        dry_run: return the plan, write nothing.
        progress: told how it goes.
        **options: other fields of `FewshotOptions`: `shots`, `boost`, `min_confidence`, `overwrite`, ...

    Returns:
        the record of the run, as in `run.json`.

    Raises:
        VossegError: the input as a whole, the checkpoint, a setting or the device cannot be used.

    Examples:
        >>> import vossegcli
        >>> record = vossegcli.fewshot(
        ...     "examples/tissue/tiles", "examples/tissue/annotated", output="runs/python/tissue"
        ... )
        >>> record["classes"]
        {'1': 'gland', '2': 'stroma'}
    """
    settings = FewshotOptions(
        queries=given_text(queries), support=given_path(support),
        **_common(output, save, checkpoint, size, device, precision),
        **options,
    )  # fmt: skip
    return _fewshot(settings, progress, dry_run=dry_run, executor=Processes(workers))


def instance(
    images: File,
    *,
    output: File | None = None,
    save: Sequence[str] = ("masks", "coco"),
    checkpoint: str | None = None,
    size: Size = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 1,
    dry_run: bool = False,
    progress: RunProgress = SILENT,
    **options: Any,
) -> Record:
    """Find the instances of a checkpoint's classes in images, as `vosseg instance` does.

    Args:
        images: image, folder or tree of images, pattern, or COCO file that lists them.
        output: folder; None = `runs/instance/<name of the input>`.
        save: kinds of output: `masks`, `coco`, `overlay`, `cutouts`, `labelme`, `cvat`, `geojson`, `report`.
        checkpoint: name or file; None = the default.
        size: short side in pixels at which the network works, `native`, or None for the checkpoint's.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        workers: number of processes.
        dry_run: return the plan, write nothing.
        progress: told how it goes.
        **options: other fields of `InstanceOptions`: `score_threshold`, `top_k`, `classes`, `tile`, `overlap`, ...

    Returns:
        the record of the run, as in `run.json`.

    Raises:
        VossegError: the input as a whole, the checkpoint, a setting or the device cannot be used.

    Examples:
        >>> import vossegcli
        >>> record = vossegcli.instance("examples/nuclei/images", output="runs/python/nuclei")
        >>> record["instances"] > 10
        True
    """
    settings = InstanceOptions(
        images=given_text(images), **_common(output, save, checkpoint, size, device, precision), **options
    )
    return _instance(settings, progress, dry_run=dry_run, executor=Processes(workers))


def track(
    frames: File,
    *,
    output: File | None = None,
    save: Sequence[str] = ("masks", "coco"),
    checkpoint: str | None = None,
    size: Size = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 1,
    dry_run: bool = False,
    progress: RunProgress = SILENT,
    **options: Any,
) -> Record:
    """Find the instances of a checkpoint's classes in videos and keep their identities, as `vosseg track` does.

    Args:
        frames: folder of frames, video file, or root of sequences.
        output: folder; None = `runs/track/<name of the input>`.
        save: kinds of output: `masks`, `coco`, `overlay`, `video`, `stack`, `ctc`, `report`.
        checkpoint: name or file; None = the default.
        size: short side in pixels at which the network works, `native`, or None for the checkpoint's.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        workers: number of processes.
        dry_run: return the plan, write nothing.
        progress: told how it goes.
        **options: other fields of `TrackOptions`: `score_threshold`, `classes`, `key_every`, `max_gap`, ...

    Returns:
        the record of the run, as in `run.json`.

    Raises:
        VossegError: the input as a whole, the checkpoint, a setting or the device cannot be used.

    Examples:
        >>> import vossegcli
        >>> record = vossegcli.track("examples/moving_nuclei/frames", output="runs/python/moving_nuclei")
        >>> record["totals"]["done"]
        1
    """
    settings = TrackOptions(
        frames=given_path(frames), **_common(output, save, checkpoint, size, device, precision), **options
    )
    return _track(settings, progress, dry_run=dry_run, executor=Processes(workers))


def _common(
    output: File | None, save: Sequence[str], checkpoint: str | None, size: Size, device: str, precision: str
) -> dict[str, Any]:
    return {
        "output": optional_path(output), "save": given_names(save), "device": device,
        "checkpoint": None if checkpoint is None else given_text(checkpoint),
        "precision": precision, "short_side": 0 if size == "native" else size, "command": "vossegcli",
    }  # fmt: skip
