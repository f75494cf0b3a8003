"""`vosseg evaluate instance` and `track`: result lists to average precision."""

from __future__ import annotations

from pathlib import Path

from vossegcli.errors import ConfigError
from vossegcli.io.results.coco_results import read_instance_truth, read_results, read_track_truth
from vossegcli.metrics.instance import instance_precision
from vossegcli.metrics.track import track_precision
from vossegcli.types import AveragePrecision

FEWEST_DETS = 10


def evaluate_instance(results: Path, truth: Path, *, iou: str = "segm", max_dets: int = 100) -> AveragePrecision:
    """Score instances in images.

    Args:
        results: COCO results.
        truth: COCO instances file.
        iou: `segm`, `bbox` or `boundary`.
        max_dets: most results per image and class.

    Raises:
        InputError: a file is malformed, or they do not belong together.
        ConfigError: `max_dets` is too small.
    """
    _check_max_dets(max_dets)
    dataset = read_instance_truth(truth, iou)
    return instance_precision(dataset, read_results(results, "image_id", dataset, iou), iou, max_dets=max_dets)


def evaluate_track(results: Path, truth: Path, *, max_dets: int = 100) -> AveragePrecision:
    """Score instances in videos.

    Args:
        results: YouTube-VIS results.
        truth: YouTube-VIS file.
        max_dets: most results per video and class.

    Raises:
        InputError: a file is malformed, or they do not belong together.
        ConfigError: `max_dets` is too small.
    """
    _check_max_dets(max_dets)
    dataset = read_track_truth(truth)
    return track_precision(dataset, read_results(results, "video_id", dataset, "masklet"), max_dets=max_dets)


def _check_max_dets(max_dets: int) -> None:
    if max_dets < FEWEST_DETS:
        raise ConfigError(f"max-dets is {max_dets}", fix=f"give at least {FEWEST_DETS}: AR1 and AR10 are reported too")
