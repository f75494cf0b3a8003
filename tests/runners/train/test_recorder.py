from __future__ import annotations

import json
from typing import Any

import pytest

from vossegcli.runners.train.recorder import what_differs

STAGES = [{"name": "a", "steps": 10, "size": 64}, {"name": "b", "steps": 20, "size": 96}]


def state(step: int, stages: list[dict[str, Any]] = STAGES, **settings: Any) -> dict[str, str]:
    text = json.dumps({"seed": 0, "stages": stages, **settings})
    return {"settings": text, "labels": '["x"]', "data": "d", "step": str(step)}


@pytest.mark.parametrize(
    ("step", "changed", "differs"),
    [
        (5, {}, ""),
        (5, {"seed": 1}, "seed"),
        (5, {"stages": [{**STAGES[0], "steps": 50}, STAGES[1]]}, ""),  # the stage under way becomes longer
        (5, {"stages": [STAGES[0], {**STAGES[1], "size": 32}]}, ""),  # a stage ahead changes
        (5, {"stages": [STAGES[0]]}, ""),
        (15, {"stages": [STAGES[0]]}, "stage 'b'"),
        (15, {"stages": [{**STAGES[0], "steps": 50}, STAGES[1]]}, "stage 'a'"),  # that one is over
        (15, {"stages": [{**STAGES[0], "size": 32}, STAGES[1]]}, "stage 'a'"),
        (5, {"stages": [{**STAGES[0], "steps": 4}, STAGES[1]]}, "stage 'a'"),
        (30, {"stages": [STAGES[0], {**STAGES[1], "steps": 40}]}, ""),  # an ended run goes on
        (30, {"stages": [*STAGES, {"name": "c", "steps": 5}]}, ""),
    ],
)
def test_what_is_done_must_agree(step: int, changed: dict[str, Any], differs: str) -> None:
    found = what_differs(state(step), state(0, **changed))
    assert (differs in found) if differs else found == ""


def test_classes_and_data_must_agree() -> None:
    assert "classes" in what_differs(state(5), {**state(0), "labels": '["y"]'})
    assert "data" in what_differs(state(5), {**state(0), "data": "e"})
