"""Values of options that are not plain numbers."""

from fractions import Fraction

import pytest
import typer

from vossegcli.cli.options import comma_list, frame_rate


@pytest.mark.parametrize(("text", "rate"), [
    ("25", 25.0), ("29.97", 29.97), ("30000/1001", 30000 / 1001), (" 24/1 ", 24.0), ("0.01", 0.01), ("1000", 1000.0),
])  # fmt: skip
def test_frame_rate(text: str, rate: float) -> None:
    assert frame_rate(text) == pytest.approx(rate, rel=1e-12)


def test_a_fraction_reaches_the_video_as_it_is() -> None:
    assert Fraction(frame_rate("30000/1001")).limit_denominator(1001) == Fraction(30000, 1001)


@pytest.mark.parametrize("text", ["", "0", "-5", "1/0", "fast", "1001", "nan", "inf", "25/", "30:1"])
def test_bad_frame_rates(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="30000/1001"):
        frame_rate(text)


def test_comma_lists() -> None:
    assert comma_list(None, "--classes") == ()
    assert comma_list(" cell, big nucleus,", "--classes") == ("cell", "big nucleus")


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_a_list_that_names_nothing_is_not_taken_for_everything(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="names nothing"):
        comma_list(text, "--objects")
