"""`vosseg fewshot` with a tiny random network: what goes in, what comes out, resume, errors.

Covers: runners.fewshot.run
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Outcome, draw_mask, draw_video, read_ids, squares, write_frame
from vossegcli.io.media.video_writer import VideoWriter


@pytest.fixture
def support(tmp_path: Path) -> Path:
    """Two classes as folders of pairs."""
    for name, ids in (("cat", (1,)), ("dog", (2,))):
        for i in range(2):
            write_frame(tmp_path / "support" / name / f"{i}.jpg", squares(i, ids))
            draw_mask(tmp_path / "support" / name / f"{i}.png", ids, index=i)
    return tmp_path / "support"


@pytest.fixture
def run(
    few_shot_checkpoint: Path, support: Path, tmp_path: Path, vosseg: Callable[..., Outcome]
) -> Callable[..., Outcome]:
    def command(queries: object, *more: object) -> Outcome:
        return vosseg(
            "fewshot", queries, "--support", support, "--checkpoint", few_shot_checkpoint, "--device", "cpu",
            "--precision", "fp32", "-o", tmp_path / "out", *more,
        )  # fmt: skip

    return command


def test_a_tree_of_images(run: Callable[..., Outcome], tmp_path: Path) -> None:
    draw_video(tmp_path / "q" / "a b", 2)
    draw_video(tmp_path / "q", 1, size=(33, 50))
    outcome = run(tmp_path / "q", "--save", "masks,overlay,probabilities,cutouts", "--json")
    assert outcome.code == 0, outcome.stderr
    record = outcome.json()
    assert record["classes"] == {"1": "cat", "2": "dog"}
    assert record["shots"] == {"cat": 2, "dog": 2}
    assert set(record["support_iou"]) == {"cat", "dog"}
    out = tmp_path / "out"
    assert read_ids(out / "masks" / "00000.png").shape == (33, 50)
    assert set(np.unique(read_ids(out / "masks" / "a b" / "00001.png"))) <= {0, 1, 2}
    assert (out / "overlay" / "a b" / "00000.jpg").is_file()
    assert read_ids(out / "probabilities" / "dog" / "a b" / "00000.png").dtype == np.uint8
    assert json.loads((out / "classes.json").read_text()) == {"1": "cat", "2": "dog"}
    with (out / "confidence.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["class"] for row in rows} == {"cat", "dog"}
    for row in rows:
        assert 0.0 <= float(row["confidence"]) <= 1.0


def test_what_is_not_sure_to_be_there_is_left_out(run: Callable[..., Outcome], tmp_path: Path) -> None:
    draw_video(tmp_path / "q", 1)
    assert run(tmp_path / "q", "--min-confidence", 1.0).code == 0
    assert not read_ids(tmp_path / "out" / "masks" / "00000.png").any()


def test_finished_images_are_skipped(run: Callable[..., Outcome], tmp_path: Path) -> None:
    draw_video(tmp_path / "q", 2)
    assert run(tmp_path / "q", "--json").json()["totals"]["done"] == 2
    write_frame(tmp_path / "q" / "00002.jpg", squares(2, (1,)))
    totals = run(tmp_path / "q", "--json").json()["totals"]
    assert (totals["done"], totals["skipped"]) == (1, 2)
    assert run(tmp_path / "q", "--no-boost", "--json").json()["totals"]["done"] == 3
    plan = run(tmp_path / "q", "--no-boost", "--dry-run", "--json").json()["plan"]
    assert {row["action"] for row in plan} == {"skip"}


def test_a_bad_image_does_not_stop_the_others(run: Callable[..., Outcome], tmp_path: Path) -> None:
    draw_video(tmp_path / "q", 2)
    (tmp_path / "q" / "broken.jpg").write_bytes(b"no picture")
    outcome = run(tmp_path / "q")
    assert outcome.code == 7
    assert "broken.jpg" in outcome.stderr
    assert (tmp_path / "out" / "masks" / "00001.png").is_file()


def test_files_patterns_and_videos(run: Callable[..., Outcome], tmp_path: Path) -> None:
    draw_video(tmp_path / "q", 3)
    with VideoWriter(tmp_path / "film.mp4", 10.0, (48, 64)) as video:
        for i in range(2):
            video.write(np.array(Image.open(tmp_path / "q" / f"{i:05d}.jpg")))
    assert run(tmp_path / "q" / "00001.jpg", "--json").json()["totals"]["frames"] == 1
    assert run(f"{tmp_path}/q/0000[02].jpg", "--json").json()["totals"]["frames"] == 2
    assert run(tmp_path / "film.mp4", "--json").json()["totals"]["frames"] == 2
    assert (tmp_path / "out" / "masks" / "film" / "00001.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing",), 3, "nothing: does not exist"),
        (("q/*.tif",), 3, "holds no images"),
        (("q", "--save", "film"), 5, "cannot save 'film'"),
        (("q", "--size", "big"), 2, "1 to 16384 pixels nor native"),
    ],
)
def test_bad_input(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    draw_video(tmp_path / "q", 1)
    outcome = run(*arguments)
    assert outcome.code == code
    assert message in outcome.stderr


def test_a_checkpoint_of_another_task(run: Callable[..., Outcome], checkpoint: Path, tmp_path: Path) -> None:
    draw_video(tmp_path / "q", 1)
    outcome = run(tmp_path / "q", "--checkpoint", checkpoint)
    assert outcome.code == 4
    assert "works for `propagate`" in outcome.stderr


def test_supports_of_a_file_whose_images_lie_elsewhere(
    run: Callable[..., Outcome], support: Path, tmp_path: Path
) -> None:
    square = [[4, 4, 20, 4, 20, 20, 4, 20]]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": square},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[4, 4, 20, 4]]},
        {"id": 3, "image_id": 9, "category_id": 1, "segmentation": square},
    ]
    image = {"id": 1, "file_name": "D:\\set\\cat\\0.jpg", "height": 48, "width": 64}
    (tmp_path / "notes").mkdir()
    file = tmp_path / "notes" / "coco.json"
    file.write_text(
        json.dumps({"images": [image], "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]})
    )
    draw_video(tmp_path / "q", 1)
    refused = run(tmp_path / "q", "--support", file)
    assert refused.code == 3 and "--images" in refused.stderr
    outcome = run(tmp_path / "q", "--support", file, "--images", support, "--json")
    assert outcome.code == 0, outcome.stderr
    record = outcome.json()
    assert record["shots"] == {"cat": 1}
    assert record["notes"] == [
        "coco.json: left out: 1 annotation with nothing but degenerate polygons",
        "coco.json: left out: 1 annotation of images that are not listed",
    ]


def test_names_of_classes_lead_to_no_other_folder(run: Callable[..., Outcome], support: Path, tmp_path: Path) -> None:
    """In annotations they may hold anything, and two may give one folder."""
    names = ["..", "cell/body", "cell_body"]
    squares_of = [[[x, 4, x + 12, 4, x + 12, 20, x, 20]] for x in (2, 20, 40)]
    annotations = [
        {"id": k, "image_id": 1, "category_id": k, "segmentation": square} for k, square in enumerate(squares_of, 1)
    ]
    image = {"id": 1, "file_name": "0.jpg", "height": 48, "width": 64}
    categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
    file = support / "cat" / "coco.json"
    file.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": categories}))
    write_frame(tmp_path / "q" / "a.jpg", squares(0, (1,)))
    outcome = run(tmp_path / "q", "--support", file, "--save", "masks,probabilities")
    assert outcome.code == 0, outcome.stderr
    out = tmp_path / "out"
    assert sorted(out.rglob("a.png")) == sorted(
        [
            out / "masks" / "a.png",
            *(out / "probabilities" / name / "a.png" for name in ("%2E%2E", "cell%2Fbody", "cell_body")),
        ]
    )


def test_results_do_not_lie_among_the_supports(run: Callable[..., Outcome], support: Path, tmp_path: Path) -> None:
    """The next run would take them for a class."""
    write_frame(tmp_path / "q" / "a.jpg", squares(0, (1,)))
    outcome = run(tmp_path / "q", "-o", support / "out")
    assert outcome.code == 3
    assert "lies inside the input folder" in outcome.stderr
    assert not (support / "out").exists()
