"""Objects that come nearer."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vossegcli.errors import ConfigError
from vossegcli.systems.afb_urr.config import COMPACT, AFBURRConfig
from vossegcli.systems.afb_urr.growth import AHEAD, Annotated, Growth, growth_from_state, no_growth

CPU = torch.device("cpu")
GROWTHS = (1.2, 2.0)


def squares(*sides: int) -> Tensor:
    """Masks (1,K,64,96) of background and of squares side by side."""
    masks = torch.zeros(1, len(sides) + 1, 64, 96)
    for k, side in enumerate(sides):
        masks[0, k + 1, 10 : 10 + side, 30 * k + 4 : 30 * k + 4 + side] = 1.0
    masks[:, 0] = 1.0 - masks[:, 1:].sum(dim=1)
    return masks


def given(masks: Tensor, growths: tuple[float, ...] = GROWTHS) -> Growth:
    frame = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    return no_growth(growths, CPU).with_given(frame, masks, range(masks.shape[1] - 1))


def test_each_growth_is_passed_once() -> None:
    growth, grown = given(squares(10, 10)).after(squares(11, 13))
    assert grown == [(1, 1.2)]
    growth, grown = growth.after(squares(11, 13))
    assert grown == []
    growth, grown = growth.after(squares(10, 8))
    assert grown == []
    growth, grown = growth.after(squares(21, 21))
    assert grown == [(0, 2.0), (1, 2.0)], "a growth that was jumped over is not made up for"
    assert growth.after(squares(25, 25))[1] == []


def test_where_nothing_is_asked_for_nothing_is_kept() -> None:
    growth = given(squares(10), growths=())
    assert growth.annotated == ()
    assert growth.after(squares(25)) == (growth, [])


def test_an_object_that_is_marked_again_is_compared_to_its_newer_frame() -> None:
    growth = given(squares(10, 10)).after(squares(13, 13))[0]
    newer = torch.rand(1, 3, 64, 96)
    growth = growth.with_given(newer, squares(13, 13, 9), [0, 2])
    assert growth.where == (1, 0, 1)
    assert growth.passed == (0, 1, 0)
    assert growth.after(squares(14, 14, 12))[1] == [(2, 1.2)]
    everything = growth.with_given(newer, squares(13, 13, 9), [1])
    assert [torch.equal(kept.frame, newer) for kept in everything.annotated] == [True, True]
    everything = everything.with_given(newer, squares(13, 13, 9), [0, 1, 2])
    assert len(everything.annotated) == 1, "frames that no object needs are dropped"


def test_the_object_is_shown_larger_with_its_surroundings() -> None:
    masks = squares(12, 6)
    frame, enlarged = next(given(masks).enlarged([(1, 1.25)]))
    assert frame.shape == (1, 3, 64, 96)
    torch.testing.assert_close(enlarged.sum(dim=1), torch.ones(1, 64, 96))
    assert float(enlarged[0, 2].sum() / masks[0, 2].sum()) == pytest.approx((AHEAD * 1.25) ** 2, rel=0.05)
    rows, columns = enlarged[0, 2].sum(dim=1), enlarged[0, 2].sum(dim=0)
    assert 0 <= int(rows.argmax()) < 40
    assert float((columns * torch.arange(96)).sum() / columns.sum()) == pytest.approx(48.0, abs=2.0), "centred"


def test_at_the_border_the_window_stays_in_the_frame_and_an_empty_object_shows_nothing() -> None:
    annotated = Annotated(torch.rand(1, 3, 64, 96), squares(12)[0].argmax(dim=0).int())
    shown = annotated.enlarged(1, 4.0, 2)
    assert shown is not None
    assert shown[1].shape == (1, 2, 64, 96)
    assert annotated.enlarged(2, 4.0, 3) is None


def test_state() -> None:
    growth = given(squares(10, 10)).after(squares(13, 13))[0].with_given(torch.rand(1, 3, 64, 96), squares(13, 9), [1])
    again = growth_from_state(GROWTHS, growth.state())
    assert (again.where, again.passed) == (growth.where, growth.passed)
    assert torch.equal(again.areas, growth.areas)
    assert all(
        torch.equal(a, b)
        for old, new in zip(growth.annotated, again.annotated, strict=True)
        for a, b in zip(old, new, strict=True)
    )


@pytest.mark.parametrize("growths", [(1.0,), (1.5, 1.2), (1.5, 1.5)])
def test_growths_ascend_from_above_one(growths: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="growths"):
        replace(COMPACT, growths=growths)
    assert AFBURRConfig.from_dict({**COMPACT.to_dict(), "growths": [1.2, 1.7]}).growths == (1.2, 1.7)
