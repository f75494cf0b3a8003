"""A predictor by the name of a task or of a checkpoint: tensors in, tensors out."""

from __future__ import annotations

from typing import Any, Literal, get_args, overload

from vossegcli.errors import ConfigError
from vossegcli.given import given_text
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.models.chosen_model import choose_model, system_of
from vossegcli.systems.base import FewshotPredictor, InstancePredictor, TrackPredictor, VideoPredictor
from vossegcli.types import Task

Size = int | Literal["native"] | None


@overload
def load_predictor(
    name: Literal["propagate"], *, device: str = ..., precision: str = ..., size: Size = ..., **settings: Any
) -> VideoPredictor: ...


@overload
def load_predictor(
    name: Literal["fewshot"], *, device: str = ..., precision: str = ..., size: Size = ..., **settings: Any
) -> FewshotPredictor: ...


@overload
def load_predictor(
    name: Literal["instance"], *, device: str = ..., precision: str = ..., size: Size = ..., **settings: Any
) -> InstancePredictor: ...


@overload
def load_predictor(
    name: Literal["track"], *, device: str = ..., precision: str = ..., size: Size = ..., **settings: Any
) -> TrackPredictor: ...


@overload
def load_predictor(
    name: str, *, task: Task | None = ..., device: str = ..., precision: str = ..., size: Size = ..., **settings: Any
) -> Any: ...  # noqa: ANN401 - depends on the checkpoint


def load_predictor(
    name: str,
    *,
    task: Task | None = None,
    device: str = "auto",
    precision: str = "auto",
    size: Size = None,
    **settings: Any,
) -> Any:
    """Load a predictor.

    Args:
        name: a task (`propagate`, `fewshot`, `instance`, `track`), for its default checkpoint; or the name or file of a
            checkpoint.
        task: what a checkpoint is to do, where it can do several things; None = what its system is made for.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        size: short side in pixels at which the network works, `native`, or None for the checkpoint's.
        **settings: of the system's predictor, e.g. `budget`, `boosting`, `score_threshold`, `key_every`.

    Returns:
        a `VideoPredictor`, `FewshotPredictor`, `InstancePredictor` or `TrackPredictor` of `vossegcli.systems.base`.

    Raises:
        CheckpointError: the checkpoint cannot be used, or not for the task.
        ConfigError: a setting cannot be used.
        DeviceError: the device is not available, or out of memory.

    Examples:
        >>> import vossegcli
        >>> predictor = vossegcli.load_predictor("propagate", device="cpu")
        >>> frame = vossegcli.image_tensor(vossegcli.read_image("examples/bunny/frames/00000.jpg"))
        >>> predictor.start(frame, vossegcli.read_mask("examples/bunny/masks/00000.png"))
        >>> found = predictor.step(frame)
        >>> found.label_map.shape == frame.shape[1:]
        True
    """
    checkpoint = None if name in get_args(Task) else given_text(name)
    wanted: Task = task or (name if checkpoint is None else system_of(read_checkpoint(checkpoint)).task)  # type: ignore[assignment]
    model = choose_model(wanted, checkpoint, device, precision)
    try:
        return model.predictor(short_side=_short_side(wanted, size, model.short_side), **settings)
    except TypeError as error:
        raise ConfigError(f"a setting does not suit the predictor ({error})", fix="see its class") from error


def _short_side(task: Task, size: Size, own: int) -> int | None:
    """Give the size as the predictors take it: that for given masks knows no default, and None is native for it."""
    pixels = 0 if size == "native" else size
    if pixels is not None and (not isinstance(pixels, int) or pixels < 0):
        raise ConfigError(f"size is {size!r}", fix="give pixels, 'native' or None")
    if task == "propagate":
        return own if pixels is None else pixels or None
    return pixels
