"""The functions of `import vossegcli`: the page about them, and the example in each docstring, which all run.

Covers: api.batches, api.evaluation, api.pictures, api.training
"""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
import torch

import vossegcli
from tests.documents.pages import blocks, code, page, table

FUNCTIONS = [name for name in vossegcli.__all__ if name != "__version__"]


def test_the_blocks_of_the_page_run_in_order(workplace: Path) -> None:
    torch.manual_seed(0)
    names: dict[str, object] = {}
    for block in blocks(page("python"), "python"):
        exec(compile(block, "docs/python.md", "exec"), names)  # noqa: S102
    assert (workplace / "runs" / "bunny" / "confidence.csv").is_file()
    assert (workplace / "runs" / "report" / "report.html").is_file()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_runs(name: str, workplace: Path) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(vossegcli, name), name, globs={})
    assert len(test.examples) >= 2
    told: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert result.failed == 0, "".join(told)


def test_the_page_lists_every_function() -> None:
    listed = [code(row["function"])[0] for row in table(page("python"), "function", "what it does")]
    assert sorted(listed) == sorted(FUNCTIONS)


def test_the_page_names_the_methods_of_the_predictors() -> None:
    from vossegcli.systems import base

    for row in table(page("python"), "task", "predictor", "methods"):
        protocol = getattr(base, code(row["predictor"])[0])
        for method in code(row["methods"]):
            assert hasattr(protocol, method.split("(")[0]), method
