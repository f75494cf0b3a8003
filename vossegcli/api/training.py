"""Training as a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vossegcli.given import given_path, given_text, optional_path
from vossegcli.runners.train.options import TrainOptions
from vossegcli.runners.train.run import train as _train

File = str | Path


def train(
    system: str,
    data: File | Sequence[File],
    config: File,
    output: File,
    *,
    val: File | Sequence[File] = (),
    images: File | None = None,
    init: str = "none",
    resume: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    precision: str = "auto",
    on_step: Callable[[int, int, Mapping[str, float]], None] = lambda step, total, values: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> dict[str, Any]:
    """Train a system on images with object masks, as `vosseg train` does.

    Args:
        system: `afb-urr`, `fwb`, `b2inst` or `mobileinst`.
        data: COCO instances file, folder of them, or folder of classes; or several.
        config: TOML file with the stages.
        output: folder for the checkpoint, log and report.
        val: images to validate on, likewise; none = hold out a part of the data.
        images: folder that the images of annotation files lie below; None = the usual places.
        init: checkpoint name or file, `imagenet` or `none`.
        resume: continue from the state in the output folder, if there is one.
        dry_run: check the data and write `samples.jpg`, do not train.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        on_step: told (step, total steps, values) after every step.
        on_note: told what was interpreted in the data.

    Returns:
        the summary that is also stored in the checkpoint's header.

    Raises:
        VossegError: data, settings, checkpoint or device cannot be used.

    Examples:
        >>> import vossegcli
        >>> facts = vossegcli.train(
        ...     "b2inst", "coco.json", "examples/training/b2inst-microscopy.toml", "runs/python/train", val="val.json"
        ... )
        >>> facts["images"]
        2
    """
    options = TrainOptions(
        system, _paths(data), given_path(config), given_path(output), val=_paths(val), init=given_text(init),
        resume=resume, dry_run=dry_run, device=device, precision=precision, images=optional_path(images),
    )  # fmt: skip
    return _train(options, on_step, on_note)


def _paths(files: File | Sequence[File]) -> tuple[Path, ...]:
    return (given_path(files),) if isinstance(files, str | Path) else tuple(given_path(file) for file in files)
