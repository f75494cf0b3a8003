"""Image files that stop before their end."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.io.media.endings import lacks_end


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_mark_of_the_end_is_looked_for_at_the_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    for content, lacks in ((whole, False), (whole + b"more", False), (whole[:-8], True), (whole + bytes(9000), True)):
        path.write_bytes(content)
        assert lacks_end(path) is lacks


def test_other_formats_are_not_judged(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.bmp")
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert not lacks_end(tmp_path / "a.bmp")
    assert not lacks_end(tmp_path / "empty.jpg")
