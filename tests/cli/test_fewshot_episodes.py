"""`vosseg fewshot --episodes` with a tiny random network, and evaluation of what it writes.

Covers: runners.fewshot.episodes
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Outcome, draw_mask, read_ids, squares, write_frame

Command = Callable[..., Outcome]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name, ids in (("cat", (1,)), ("dog", (2,))):
        for n in range(1, 4):
            write_frame(tmp_path / "set" / name / f"{n}.jpg", squares(n, ids))
            draw_mask(tmp_path / "set" / name / f"{n}.png", ids, index=n)
    return tmp_path / "set"


@pytest.fixture
def run(few_shot_checkpoint: Path, dataset: Path, tmp_path: Path, vosseg: Command) -> Command:
    def command(*more: object) -> Outcome:
        return vosseg(
            "fewshot", dataset, "--checkpoint", few_shot_checkpoint, "--device", "cpu", "--precision", "fp32",
            "-o", tmp_path / "out", *more,
        )  # fmt: skip

    return command


def test_episodes_to_numbers(run: Command, vosseg: Command, tmp_path: Path) -> None:
    outcome = run("--episodes", 6, "--shots", 2, "--save", "masks,overlay")
    assert outcome.code == 0, outcome.stderr
    out = tmp_path / "out"
    assert f"vosseg evaluate fewshot {out} {out}/truth" in outcome.stdout
    record = json.loads((out / "episodes.json").read_text())
    assert (record["seed"], record["shots"], len(record["episodes"])) == (0, 2, 6)
    assert all(row["query"] not in row["supports"] for row in record["episodes"])
    assert [row["class"] for row in record["episodes"]] == ["cat"] * 3 + ["dog"] * 3
    assert np.array_equal(read_ids(out / "truth" / "dog" / "00003_1.png") > 0, squares(1, (2,)) == 2)
    assert (out / "overlay" / "cat" / "00000_1.jpg").is_file()
    numbers = vosseg("evaluate", "fewshot", out, out / "truth", "--json").json()
    assert set(numbers["per_class"]) == {"cat", "dog"}
    assert 0.0 <= numbers["mIoU"] <= 1.0


def test_options_of_queries_are_refused(run: Command) -> None:
    outcome = run("--episodes", 4, "--min-confidence", 0.3)
    assert outcome.code == 2
    assert "--min-confidence" in outcome.stderr


def test_a_draw_can_be_repeated(run: Command, tmp_path: Path) -> None:
    assert run("--episodes", 4, "--seed", 7).code == 0
    first = tmp_path / "first.json"
    first.write_text((tmp_path / "out" / "episodes.json").read_text())
    again = run("--episodes", first, "--json").json()
    assert again["totals"]["skipped"] == 4, "the same episodes"
    assert json.loads((tmp_path / "out" / "episodes.json").read_text()) == json.loads(first.read_text())
    assert run("--episodes", 4, "--seed", 8, "--json").json()["totals"]["done"] > 0


def test_classes_of_similar_names_stay_apart(
    few_shot_checkpoint: Path, dataset: Path, tmp_path: Path, vosseg: Command
) -> None:
    names = ("a/b", "a_b", "A_b")
    coco: dict[str, list[object]] = {"images": [], "annotations": [], "categories": []}
    for k, name in enumerate(names, start=1):
        coco["categories"].append({"id": k, "name": name})
    for n in (1, 2):
        coco["images"].append({"id": n, "file_name": f"cat/{n}.jpg", "height": 48, "width": 64})
        for k in range(1, 4):
            square = [[4 * k, 4, 4 * k + 12, 4, 4 * k + 12, 20, 4 * k, 20]]
            row = {"id": 3 * n + k, "image_id": n, "category_id": k, "segmentation": square}
            coco["annotations"].append(row)
    file = dataset / "set.json"
    file.write_text(json.dumps(coco))
    out = tmp_path / "out"
    words = ["fewshot", file, "--episodes", 6, "--checkpoint", few_shot_checkpoint, "--device", "cpu", "-o", out]
    outcome = vosseg(*words)
    assert outcome.code == 0, outcome.stderr
    drawn = {row["class"] for row in json.loads((out / "episodes.json").read_text())["episodes"]}
    assert {path.name for path in (out / "masks").iterdir()} <= {"a%2Fb", "a_b", "%41_b"}
    assert len(list((out / "masks").iterdir())) == len(drawn) > 1
    assert set(vosseg("evaluate", "fewshot", out, out / "truth", "--json").json()["per_class"]) == drawn


def test_a_bad_image_does_not_stop_the_others(run: Command, dataset: Path) -> None:
    (dataset / "cat" / "2.jpg").write_bytes(b"no picture")
    outcome = run("--episodes", 6)
    assert outcome.code == 7
    assert "2.jpg" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--episodes", "0"), 5, "episodes is 0"),
        (("--episodes", "nothing.json"), 3, "cannot be read"),
        (("--episodes", "4", "--fold", "1"), 5, "neither PASCAL VOC nor COCO"),
        (("--episodes", "4", "--support", "x"), 2, "draw their supports"),
        (("--episodes", "4", "--save", "cutouts"), 5, "cannot save 'cutouts'"),
        (("--episodes", "4", "--seed", "-1"), 5, "seed is -1"),
        ((), 2, "or --episodes"),
    ],
)
def test_bad_input(run: Command, arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = run(*arguments)
    assert outcome.code == code
    assert message in " ".join(outcome.stderr.split())


def test_records_that_do_not_fit(run: Command, tmp_path: Path) -> None:
    record = tmp_path / "r.json"
    row = {"name": "../../x", "class": "cat", "query": "9", "supports": ["1"]}
    for content, message in (
        ({"layout": "", "shots": 1, "seed": 0, "episodes": [row]}, "names '9'"),
        ({"episodes": []}, "names 'layout'"),
        ([], "no record of episodes"),
    ):
        record.write_text(json.dumps(content))
        outcome = run("--episodes", record)
        assert outcome.code == 3
        assert message in " ".join(outcome.stderr.split())


def test_a_record_does_not_say_where_to_write(run: Command, tmp_path: Path) -> None:
    row = {"name": "../../x", "class": "cat", "query": "1", "supports": ["2"]}
    record = tmp_path / "r.json"
    record.write_text(json.dumps({"layout": "", "shots": 1, "seed": 0, "episodes": [row]}))
    assert run("--episodes", record).code == 0
    assert (tmp_path / "out" / "masks" / "cat" / "00000_1.png").is_file()
    assert not list(tmp_path.glob("x*"))
