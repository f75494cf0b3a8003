"""The benchmark of slides on a small one: every disc is found once, whole, over the seams of tiles."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from vossegcli.io.media.images import limit_pixels, read_image
from vossegcli.names import MAX_PIXELS

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def slide(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    yield importlib.import_module("slide")
    limit_pixels(MAX_PIXELS)


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_the_slide_holds_its_discs(slide, tmp_path: Path, suffix: str) -> None:
    slide.write_slide(tmp_path / f"slide.{suffix}", 600, 146)
    image = read_image(tmp_path / f"slide.{suffix}")
    assert ndimage.label(image[..., 0] == slide.DISC)[1] == 16
    assert image.shape == (600, 600, 3)
    assert set(np.unique(image)) == {slide.BACKGROUND, slide.DISC}


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_each_disc_is_found_once(slide, monkeypatch, capsys, suffix: str) -> None:
    monkeypatch.setattr(slide, "TILE", 256)
    slide.measure(600, 75, "masks,coco,overlay,geojson", suffix)
    row = json.loads(capsys.readouterr().out)
    assert row["found"] == row["discs"] == 64
