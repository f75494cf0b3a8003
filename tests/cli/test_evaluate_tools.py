"""`vosseg evaluate` on truth of other tools, and on masks with soft edges.

Covers: io.datasets.foreign_truths, io.masks.two_levels, runners.evaluate.sources
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Outcome
from tests.io.datasets.drawn import HEIGHT, WIDTH, box, coco, label_map, labelme, labelme_shape, polygon, rle
from vossegcli.io.masks.label_maps import write_label_map

Vosseg = Callable[..., Outcome]


@pytest.mark.parametrize("kind", ["labelme", "coco", "npy", "video names"])
def test_truth_of_other_tools_for_videos(vosseg: Vosseg, tmp_path: Path, kind: str) -> None:
    for k in range(3):
        write_label_map(tmp_path / "pred" / f"{k:05d}.png", label_map(k).astype(np.uint8))
    truth = tmp_path / "gt"
    if kind == "labelme":
        for k in range(3):
            labelme(truth / f"{k:05d}.json", labelme_shape("a", box(1, k)), labelme_shape("b", box(2, k)))
    elif kind == "npy":
        truth = tmp_path / "gt.npy"
        np.save(truth, np.stack([label_map(k) for k in range(3)]))
    else:
        name = "frame_{:06d}.jpg" if kind == "video names" else "clip/{:05d}.jpg"
        frames = {
            name.format(k): [
                {"category_id": n, "segmentation": rle(box(n, k) if n == 2 else box(1, k) & ~box(2, k))} for n in (1, 2)
            ]
            for k in range(3)
        }
        truth = coco(tmp_path / "gt.json", frames, {1: "a", 2: "b"})
    outcome = vosseg("evaluate", "vos", tmp_path / "pred", truth, "--json", "--protocol", "all-frames")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["J&F-Mean"] == 1.0


def test_truth_of_other_tools_for_instances(vosseg: Vosseg, tmp_path: Path) -> None:
    """YOLO's files; the ids are those that the run gave its images and classes."""
    for name in ("a", "b"):
        for kind in ("images", "labels"):
            (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "set" / "images" / f"{name}.jpg")
        points = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in polygon(box(1)))
        (tmp_path / "set" / "labels" / f"{name}.txt").write_text(f"0 {points}\n")
    (tmp_path / "set" / "data.yaml").write_text("names: [cat]\n")
    run = tmp_path / "run"
    run.mkdir()
    (run / "images.json").write_text(json.dumps([{"id": 8, "name": "b"}, {"id": 9, "name": "a"}]))
    (run / "classes.json").write_text(json.dumps({"4": "cat"}))
    rows = [{"image_id": i, "category_id": 4, "score": 0.9, "segmentation": rle(box(1))} for i in (8, 9)]
    (run / "instances.json").write_text(json.dumps(rows))
    outcome = vosseg("evaluate", "instance", run / "instances.json", tmp_path / "set", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_the_folder_of_a_run_stands_for_its_results(vosseg: Vosseg, tmp_path: Path, kind: str) -> None:
    """Like those of the other tasks; without a list of results in it, it is told what is missing."""
    if kind == "coco":
        truth = coco(tmp_path / "gt.json", {"a.jpg": [{"category_id": 1, "segmentation": rle(box(1))}]}, {1: "cat"})
    else:
        truth = labelme(tmp_path / "gt" / "a.json", labelme_shape("cat", box(1))).parent
    run = tmp_path / "run"
    write_label_map(run / "masks" / "a.png", label_map().astype(np.uint8))
    refused = vosseg("evaluate", "instance", run, truth)
    assert refused.code == 3
    assert "two folders" in refused.stderr if kind == "coco" else "without instances.json" in refused.stderr
    row = {"image_id": 1, "category_id": 1, "score": 0.9, "segmentation": rle(box(1))}
    (run / "instances.json").write_text(json.dumps([row]))
    outcome = vosseg("evaluate", "instance", run, truth, "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["AP"] == pytest.approx(1.0)


def test_the_folder_of_a_run_stands_for_its_tracks(vosseg: Vosseg, tmp_path: Path) -> None:
    track = {"video_id": 1, "category_id": 2, "segmentations": [rle(box(1)), None]}
    video = {"id": 1, "height": HEIGHT, "width": WIDTH, "length": 2}
    truth = {"videos": [video], "annotations": [{"id": 1, **track}], "categories": [{"id": 2, "name": "a"}]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "run").mkdir()
    refused = vosseg("evaluate", "track", tmp_path / "run", tmp_path / "gt.json")
    assert refused.code == 3
    assert "without tracks.json" in refused.stderr
    (tmp_path / "run" / "tracks.json").write_text(json.dumps([{**track, "score": 0.5}]))
    outcome = vosseg("evaluate", "track", tmp_path / "run", tmp_path / "gt.json", "--json")
    assert outcome.json()["AP"] == pytest.approx(1.0)


def test_of_a_run_the_masks_count_and_not_what_was_made_of_them(vosseg: Vosseg, tmp_path: Path) -> None:
    """Somebody may have moved a corner in the files for labelme."""
    for place in (tmp_path / "run" / "masks" / "clip", tmp_path / "gt" / "clip"):
        for k in range(3):
            write_label_map(place / f"{k:05d}.png", label_map(k).astype(np.uint8))
    (tmp_path / "run" / ".vosseg").mkdir()
    labelme(tmp_path / "run" / "labelme" / "clip" / "00000.json", labelme_shape("1", box(1, 9)))
    outcome = vosseg("evaluate", "vos", tmp_path / "run", tmp_path / "gt", "--json", "--protocol", "all-frames")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["J&F-Mean"] == 1.0


@pytest.mark.parametrize("stems", [("7", "000139"), ("bus", "tram")])
def test_results_of_ultralytics_on_yolo_files(vosseg: Vosseg, tmp_path: Path, stems: tuple[str, str]) -> None:
    """Their image_id is the stem, as a number where it is one; the pictures lie in a folder of their own."""
    for kind in ("pictures", "set"):
        (tmp_path / kind).mkdir()
    rows = []
    for k, stem in enumerate(stems, start=1):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "pictures" / f"{stem}.jpg")
        points = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in polygon(box(k)))
        (tmp_path / "set" / f"{stem}.txt").write_text(f"0 {points}\n")
        image_id = int(stem) if stem.isdecimal() else stem
        rows.append({"image_id": image_id, "category_id": 1, "score": 0.9, "segmentation": rle(box(k))})
    (tmp_path / "predictions.json").write_text(json.dumps(rows))
    words = ("evaluate", "instance", tmp_path / "predictions.json", tmp_path / "set")
    outcome = vosseg(*words, "--images", tmp_path / "pictures", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["AP"] == pytest.approx(1.0)
    assert vosseg(*words).code == 3, "the pictures are not beside the files"


def soft(mask: np.ndarray) -> Image.Image:
    large = Image.fromarray((mask * 255).astype(np.uint8)).resize((8 * WIDTH, 8 * HEIGHT), Image.Resampling.NEAREST)
    return large.resize((3 * WIDTH, 3 * HEIGHT), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("side", ["pred", "gt"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_soft_edges_are_cut_at_half(vosseg: Vosseg, tmp_path: Path, side: str, suffix: str) -> None:
    """One of the masks is soft, the other one hard; the numbers say so in a note."""
    for k in range(2):
        hard = np.kron(box(1, k), np.ones((3, 3), bool))
        for folder in ("pred", "gt"):
            (tmp_path / folder / "cat").mkdir(parents=True, exist_ok=True)
            if folder == side and k == 1:
                soft(box(1, k)).save(tmp_path / folder / "cat" / f"{k}{suffix}")
            else:
                Image.fromarray((hard * 255).astype(np.uint8)).save(tmp_path / folder / "cat" / f"{k}.png")
    outcome = vosseg("evaluate", "fewshot", tmp_path / "pred", tmp_path / "gt", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["mIoU"] > 0.98
    assert [p["kind"] for p in outcome.json()["problems"]] == ["note"]


def test_classes_whose_names_a_folder_cannot_have(vosseg: Vosseg, tmp_path: Path) -> None:
    """They stay apart, whether they come from annotations or as folders that a run wrote."""
    names = ("a/b", "a_b", "A_b")
    boxes = [labelme_shape(name, box(k)) for k, name in enumerate(names, start=1)]
    labelme(tmp_path / "gt" / "a.json", *boxes)
    labelme(tmp_path / "pred" / "a.json", *boxes[:2])
    for k, folder in enumerate(("a%2Fb", "a_b"), start=1):
        write_label_map(tmp_path / "tree" / folder / "a.png", box(k).astype(np.uint8))
    for predictions in ("pred", "tree"):
        outcome = vosseg("evaluate", "fewshot", tmp_path / predictions, tmp_path / "gt", "--json")
        assert outcome.code == 7, "one class has no predictions"
        assert outcome.json()["per_class"] == {"a/b": 1.0, "a_b": 1.0, "A_b": 0.0}
    for folder in ("a%2Fb", "a%2fb"):
        write_label_map(tmp_path / "twice" / folder / "a.png", box(1).astype(np.uint8))
    outcome = vosseg("evaluate", "fewshot", tmp_path / "twice", tmp_path / "twice", "--json")
    assert set(outcome.json()["per_class"]) == {"a%2Fb", "a%2fb"}, "two folders of one name stay as they are"


def test_label_maps_with_names_for_few_shot(vosseg: Vosseg, tmp_path: Path) -> None:
    """As `vosseg fewshot` writes them, against annotations."""
    (tmp_path / "run" / "masks").mkdir(parents=True)
    write_label_map(tmp_path / "run" / "masks" / "a.png", label_map().astype(np.uint8))
    (tmp_path / "run" / "classes.json").write_text('{"1": "cat", "2": "dog"}')
    labelme(tmp_path / "gt" / "a.json", labelme_shape("cat", box(1) & ~box(2), "mask"), labelme_shape("dog", box(2)))
    outcome = vosseg("evaluate", "fewshot", tmp_path / "run", tmp_path / "gt", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["per_class"] == {"cat": 1.0, "dog": 1.0}
