"""Maps of ids and overlays that are drawn in stripes equal those that are drawn at once."""

import numpy as np
import pytest

from vossegcli.errors import InputError
from vossegcli.io.media import limits
from vossegcli.io.results.overlays import draw_overlay
from vossegcli.io.results.rle import region_rle
from vossegcli.runners.instance import painting
from vossegcli.runners.instance.painting import IdPainter, painted_overlay

SIZE = (90, 70)


def rows() -> tuple[list[dict[str, object]], np.ndarray]:
    """Discs, and the map of their ids with the best on top."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    discs = [(y - row) ** 2 + (x - column) ** 2 <= 15**2 for row, column in ((20, 20), (30, 30), (31, 60), (80, 10))]
    ids = np.zeros(SIZE, np.uint16)
    for number in reversed(range(len(discs))):
        ids[discs[number]] = number + 1
    return [{"segmentation": region_rle(disc, 0, 0, *SIZE)} for disc in discs], ids


@pytest.mark.parametrize("stripe", [7, 32, 1024])
def test_stripes(monkeypatch: pytest.MonkeyPatch, stripe: int) -> None:
    monkeypatch.setattr(painting, "STRIPE", stripe)
    found, ids = rows()
    painter = IdPainter(found, SIZE)
    assert np.array_equal(np.concatenate(list(painter.stripes())), ids)
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    drawn, factor = painted_overlay(image, painter)
    assert factor == 1
    assert np.array_equal(drawn, draw_overlay(image, ids))


def test_no_instance() -> None:
    painter = IdPainter([], SIZE)
    assert not np.concatenate(list(painter.stripes())).any()


def test_too_many_instances_for_the_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "MOST_IDS", 3)
    with pytest.raises(InputError, match="4 instances"):
        list(IdPainter(rows()[0], SIZE).stripes())


@pytest.mark.parametrize("stripe", [7, 1024])
def test_a_large_overlay_is_scaled_down(monkeypatch: pytest.MonkeyPatch, stripe: int) -> None:
    monkeypatch.setattr(limits, "LARGEST_OVERLAY", 2000)
    monkeypatch.setattr(painting, "STRIPE", stripe)
    image = np.full((*SIZE, 3), 50, np.uint8)
    drawn, factor = painted_overlay(image, IdPainter(rows()[0], SIZE))
    assert factor == 2
    assert drawn.shape == (45, 35, 3)
    assert (drawn[0, -1] == 50).all()
    assert (drawn[10, 10] != 50).any()
    assert limits.overlay_notes((*SIZE, 3)) == ("overlay image scaled down to 35x45, 1/2",)
    assert limits.overlay_notes((20, 20, 3)) == ()
