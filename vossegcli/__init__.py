"""vosseg: masks for folders of frames, images and videos, from the command line or from Python.

The functions of `__all__` are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vossegcli.api.batches import fewshot, instance, propagate, track
    from vossegcli.api.evaluation import evaluate_fewshot, evaluate_instance, evaluate_track, evaluate_vos
    from vossegcli.api.metrics import average_precision, boundary_f, j_and_f, jaccard, mean_iou
    from vossegcli.api.pictures import image_tensor, instance_masks, read_image, read_mask
    from vossegcli.api.predictors import load_predictor
    from vossegcli.api.training import train

__version__ = "0.2.0"

_PLACES = {
    "batches": ("fewshot", "instance", "propagate", "track"),
    "evaluation": ("evaluate_fewshot", "evaluate_instance", "evaluate_track", "evaluate_vos"),
    "metrics": ("average_precision", "boundary_f", "j_and_f", "jaccard", "mean_iou"),
    "pictures": ("image_tensor", "instance_masks", "read_image", "read_mask"),
    "predictors": ("load_predictor",),
    "training": ("train",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "__version__",
    "average_precision",
    "boundary_f",
    "evaluate_fewshot",
    "evaluate_instance",
    "evaluate_track",
    "evaluate_vos",
    "fewshot",
    "image_tensor",
    "instance",
    "instance_masks",
    "j_and_f",
    "jaccard",
    "load_predictor",
    "mean_iou",
    "propagate",
    "read_image",
    "read_mask",
    "track",
    "train",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the functions above
    """Load a function when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'vossegcli' has no attribute '{name}'")
    value = getattr(import_module(f"vossegcli.api.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the functions before they are loaded."""
    return sorted({*globals(), *__all__})
