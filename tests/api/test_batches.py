"""Arguments of the batch functions that no command line has checked."""

from pathlib import Path
from typing import Any

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
