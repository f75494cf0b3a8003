"""Values of options that are not plain numbers."""

import ast
from fractions import Fraction
from pathlib import Path

import pytest
import typer

from vossegcli.cli import options
from vossegcli.cli.options import comma_list, frame_rate, path, words


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


def test_every_path_may_begin_with_the_home_folder_and_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell replaces `~` in quotes or after `--mask=`; an empty path, as of an unset variable, is not `.`."""
    monkeypatch.setenv("HOME", "/home/ada")
    assert path("~/x.png") == Path("/home/ada/x.png")
    assert words("~/clip/*.png") == "/home/ada/clip/*.png"
    assert (words("afb-urr-compact"), words("a~/b"), words("~~~/b")) == ("afb-urr-compact", "a~/b", "~~~/b")
    for file in Path(options.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
                text = ast.unparse(node.slice)
                assert "Path" not in text.split(",")[0] or "parser=" in text, f"{file.name}: {text} lacks parser=o.path"
