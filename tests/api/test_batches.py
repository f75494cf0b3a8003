"""Arguments of the batch functions that no command line has checked.

Covers: setting_types
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vossegcli
from tests.conftest import draw_mask, draw_video
from vossegcli.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_masks": "last"}, "use_masks is 'last'. Use first, new, all"),
        ({"direction": "sideways"}, "direction is 'sideways'. Use forward, backward, both"),
        ({"size": -1}, "size is -1"),
        ({"workers": 0}, "workers is 0"),
        ({"fps": 0}, "fps is 0"),
        ({"fps": "25"}, "fps is '25'. Give a number or None"),
        ({"objects": 1}, "objects is 1. Give a list, each part a whole number"),
        ({"objects": ("1",)}, "objects is .'1',.. Give a list"),
        ({"adapt": True}, "adapt is True. Give a whole number or None"),
        ({"overwrite": "no"}, "overwrite is 'no'. Give True or False"),
        ({"shard": "1/2"}, "shard is '1/2'. Give a Shard or None"),
    ],
)
def test_settings_out_of_range_are_refused(
    checkpoint: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "m.png")
    with pytest.raises(ConfigError, match=message):
        vossegcli.propagate(tmp_path / "clip", mask, output=tmp_path / "out", checkpoint=str(checkpoint), **options)
    assert not (tmp_path / "out").exists()


def test_no_instances_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="top-k is 0"):
        vossegcli.instance(tmp_path, top_k=0)


def test_kinds_of_output_may_be_one_text(checkpoint: Path, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "m.png")
    vossegcli.propagate(
        tmp_path / "clip", mask, output=tmp_path / "out", checkpoint=str(checkpoint), device="cpu", save="masks, stack"
    )
    assert (tmp_path / "out" / "stack" / "clip.tif").is_file()


def test_options_take_the_numbers_of_numpy_and_lists(checkpoint: Path, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "m.png")
    record = vossegcli.propagate(
        tmp_path / "clip", mask, at=1, output=tmp_path / "out", checkpoint=str(checkpoint), device="cpu",
        objects=np.array([2]), fps=np.float32(12), budget=np.int64(500), seed=np.uint8(3),
    )  # fmt: skip
    assert (record["direction"], record["seed"], record["failed"]) == ("both", 3, [])


def test_evaluations_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    mask = draw_mask(tmp_path / "clip" / "00000.png").parent
    with pytest.raises(
        ConfigError, match="protocol is 'davis2018'. Use davis, davis2016, mose, long-video, all-frames"
    ):
        vossegcli.evaluate_vos(mask, mask, protocol="davis2018")
    with pytest.raises(ConfigError, match="max_dets is '100'. Give a whole number"):
        vossegcli.evaluate_instance(mask, mask, max_dets="100")  # type: ignore[arg-type]
