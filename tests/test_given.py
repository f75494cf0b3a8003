"""Paths and lists of names as people give them."""

from pathlib import Path

import pytest

from vossegcli.given import given_names, given_path, given_text, optional_path


def test_functions_read_paths_and_names_as_commands_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert given_path("~/x") == given_path(Path("~/x")) == optional_path("~/x") == Path("/home/ada/x")
    assert (optional_path(None), given_text("~/x"), given_text("none")) == (None, "/home/ada/x", "none")
    assert given_names("a, b,") == given_names(["a", " b", ""]) == ("a", "b")
