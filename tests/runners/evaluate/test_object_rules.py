"""`evaluate vos` by the rules of YouTube-VOS, LVOS and MOSE.

Covers: io.datasets.video_meta
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Outcome
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.metrics.vos import variability

Vosseg = Callable[..., Outcome]
FRAMES = 8
CLASSES = {"bears": {1: "bear", 2: "panther"}, "dogs": {1: "dog", 3: "otter"}}  # the second of each is unseen


def draw(folder: Path, sequence: str, name: str, shift: dict[int, int]) -> None:
    """A mask of two squares of 8 pixels, each moved to the right."""
    ids_map = np.zeros((32, 48), np.uint8)
    for row, (object_id, pixels) in enumerate(shift.items()):
        if pixels < 40:
            ids_map[2 + 12 * row : 10 + 12 * row, 4 + pixels : 12 + pixels] = object_id
    write_label_map(folder / sequence / f"{name}.png", ids_map)


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """A data set and predictions; the objects of unseen classes are predicted with half their pixels."""
    meta: dict[str, Any] = {"videos": {}}
    for sequence, classes in CLASSES.items():
        names = [f"{1 + 5 * i:08d}" for i in range(FRAMES)]
        for i, name in enumerate(names):
            late = {number: 99 if number == 2 and i < 3 else 0 for number in classes}  # the panther comes late
            draw(tmp_path / "valid" / "Annotations", sequence, name, late)
            moved = {k: shift + (4 if k > 1 else 0) for k, shift in late.items()}
            draw(tmp_path / "pred", sequence, name, moved if 0 < i < FRAMES - 1 else dict.fromkeys(classes, 20))
        meta["videos"][sequence] = {"objects": {
            str(k): {
                "category": category, "frames": names[3 if k == 2 else 0 :],
                "frame_range": {
                    "start": str(16 if k == 2 else 1), "end": str(1 + 5 * (FRAMES - 1)),
                    "frame_nums": str(FRAMES - 3 if k == 2 else FRAMES),
                },
            }
            for k, category in classes.items()
        }}  # fmt: skip
    (tmp_path / "valid" / "meta.json").write_text(json.dumps(meta))
    return tmp_path / "pred", tmp_path / "valid"


def test_youtube_vos(vosseg: Vosseg, data: tuple[Path, Path], tmp_path: Path) -> None:
    """G by hand: of 7 (or 4) frames after the first, the last is quite wrong; shifted by half, J is 1/3."""
    outcome = vosseg("evaluate", "vos", *data, "--protocol", "youtube-vos", "--json", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.stderr
    numbers = outcome.json()
    assert numbers["J-seen-Mean"] == pytest.approx(6 / 7)
    assert numbers["J-unseen-Mean"] == pytest.approx((3 / 3 / 4 + 6 / 3 / 7) / 2)
    four = [numbers[f"{letter}-{kind}-Mean"] for letter in "JF" for kind in ("seen", "unseen")]
    assert numbers["G"] == pytest.approx(sum(four) / 4)
    assert list(numbers["per_object"]) == ["bears_1", "bears_2", "dogs_1", "dogs_3"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [len(row["J"]) for row in report["per_object"].values()] == [7, 4, 7, 7]
    first = (tmp_path / "out" / "global_results-all.csv").read_text().splitlines()[0]
    assert first.startswith("G,J-seen-Mean,J-unseen-Mean,F-seen-Mean,F-unseen-Mean,J&F-Mean")


def test_lvos(vosseg: Vosseg, data: tuple[Path, Path], tmp_path: Path) -> None:
    """Neither the first nor the last frame of an object's range counts, so the wrong ones do not."""
    (data[1] / "unseen_videos.txt").write_text("dogs\n")
    outcome = vosseg("evaluate", "vos", *data, "--protocol", "lvos", "--json", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.stderr
    numbers = outcome.json()
    assert list(numbers)[:10] == [
        "J&F-Mean", "J-Mean", "J-seen-Mean", "J-unseen-Mean", "F-Mean", "F-seen-Mean", "F-unseen-Mean", "V-Mean",
        "V-seen-Mean", "V-unseen-Mean",
    ]  # fmt: skip
    assert numbers["J-seen-Mean"] == pytest.approx((1 + 1 / 3) / 2)
    assert numbers["J-Mean"] == pytest.approx((numbers["J-seen-Mean"] + numbers["J-unseen-Mean"]) / 2)
    assert numbers["J&F-Mean"] == pytest.approx((numbers["J-Mean"] + numbers["F-Mean"]) / 2)
    assert numbers["V-Mean"] == 0.0, "every frame has the same score"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [len(row["J"]) for row in report["per_object"].values()] == [6, 3, 6, 6]
    with (tmp_path / "out" / "per-sequence_results-all.csv").open() as file:
        assert next(csv.DictReader(file)) == {
            "Sequence": "bears_1", "J-Mean": "1.000", "F-Mean": "1.000", "V-Mean": "0.000",
        }  # fmt: skip


def test_mose_counts_as_davis_does(vosseg: Vosseg, data: tuple[Path, Path]) -> None:
    numbers, davis = (
        vosseg("evaluate", "vos", *data, "--protocol", name, "--json").json() for name in ("mose", "davis")
    )
    assert numbers == davis


@pytest.mark.parametrize("given", ["names", "meta of training"])
def test_unseen_classes_are_given(vosseg: Vosseg, data: tuple[Path, Path], tmp_path: Path, given: str) -> None:
    path = tmp_path / ("unseen.txt" if given == "names" else "train.json")
    trained = {"videos": {"a": {"objects": {"1": {"category": "dog"}, "2": {"category": "otter"}}}}}
    path.write_text("bear\npanther\n" if given == "names" else json.dumps(trained))
    options = ("--protocol", "youtube-vos", "--unseen", path, "--meta", data[1] / "meta.json", "--json")
    numbers = vosseg("evaluate", "vos", data[0], data[1] / "Annotations", *options).json()
    assert numbers["J-seen-Mean"] == pytest.approx((6 / 7 + 6 / 3 / 7) / 2)


def test_one_kind_alone_has_no_mean_of_both(vosseg: Vosseg, data: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("nothing\n")
    for protocol, mean in (("youtube-vos", "G"), ("lvos", "J-Mean")):
        found = vosseg("evaluate", "vos", *data, "--protocol", protocol, "--unseen", tmp_path / "none.txt", "--json")
        numbers = found.json()
        assert "J-seen-Mean" in numbers
        assert not {"J-unseen-Mean", mean} - {"J-Mean"} & set(numbers)
        assert "no object is unseen" in numbers["problems"][-1]["detail"]


def test_masks_that_the_truth_lacks_are_told(vosseg: Vosseg, data: tuple[Path, Path]) -> None:
    (data[1] / "Annotations" / "dogs" / "00000011.png").unlink()
    problems = vosseg("evaluate", "vos", *data, "--protocol", "youtube-vos", "--json").json()["problems"]
    assert "1 of 7 frames that meta.json lists for object 1 have no true mask" in [p["detail"] for p in problems]


@pytest.mark.parametrize(
    ("protocol", "change", "match"),
    [
        ("youtube-vos", None, "has no meta.json, which 'youtube-vos' needs"),
        ("lvos", {}, "has no unseen_videos.txt, which 'lvos' needs"),
        ("youtube-vos", {"videos": {"bears": {"objects": {"1": {"category": "bear"}}}}}, "lists no frames"),
        ("youtube-vos", {"videos": {"bears": {"objects": {"x": {}}}}}, "has the object 'x'"),
        ("youtube-vos", {"videos": {"bears": {}}}, "has no objects of the video 'bears'"),
        ("youtube-vos", {"videos": {"bears": {"objects": {"1": {"frames": [1]}}}}}, "frames that are no names"),
        ("youtube-vos", {"videos": {"bears": {"objects": {"1": {"frame_range": {}}}}}}, "frame_range without numbers"),
    ],
)
def test_files_that_are_missing_or_malformed(
    vosseg: Vosseg, data: tuple[Path, Path], protocol: str, change: Any, match: str
) -> None:
    if change is None:
        (data[1] / "meta.json").unlink()
    elif change:
        (data[1] / "meta.json").write_text(json.dumps(change))
    outcome = vosseg("evaluate", "vos", *data, "--protocol", protocol)
    assert outcome.code == 3
    assert match in outcome.stderr


def test_variability_is_that_of_lvos_evaluation() -> None:
    """The variance is rounded to four digits before its root is taken."""
    assert variability([1.0, 0.5], [1.0, 0.5]) == 0.25
    assert variability([0.5, 0.51], [0.5, 0.51]) == 0.0


@pytest.mark.parametrize("option", ["--meta", "--unseen"])
def test_options_of_other_protocols_are_not_ignored(vosseg: Vosseg, data: tuple[Path, Path], option: str) -> None:
    outcome = vosseg("evaluate", "vos", *data, option, data[1] / "meta.json")
    assert outcome.code == 2
    assert "goes with --protocol" in outcome.stderr
