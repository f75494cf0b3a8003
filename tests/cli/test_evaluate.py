"""`vosseg evaluate`: numbers, files, faults and exit codes of the four tasks.

Covers: cli.tables, runners.evaluate.class_masks, runners.evaluate.fewshot, runners.evaluate.pairs,
runners.evaluate.pictures, runners.evaluate.precision, runners.evaluate.run, runners.evaluate.vos
"""

import csv
import json
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import Outcome, draw_mask, draw_video, finish, start
from vossegcli.io.masks.label_maps import write_label_map

Vosseg = Callable[..., Outcome]
FRAMES = 6


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two sequences of six frames with the objects 1 and 7; in `late`, 9 appears in the fourth."""
    for sequence in ("early", "late"):
        for i in range(FRAMES):
            ids = (1, 7, 9) if sequence == "late" and i >= 3 else (1, 7)
            draw_mask(tmp_path / "gt" / sequence / f"{i:05d}.png", ids, index=i)
    return tmp_path / "gt"


@pytest.fixture
def predicted(truth: Path, tmp_path: Path) -> Path:
    """A copy of the truth, to be spoilt."""
    for path in truth.rglob("*.png"):
        copy = tmp_path / "pred" / path.relative_to(truth)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path / "pred"


def test_a_perfect_prediction_scores_one(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    outcome = vosseg("evaluate", "vos", predicted, truth, "--json")
    assert outcome.code == 0
    numbers = outcome.json()
    assert (numbers["J&F-Mean"], numbers["J-Recall"], numbers["F-Decay"]) == (1.0, 1.0, 0.0)
    assert list(numbers["per_object"]) == ["early_1", "early_7", "late_1", "late_7", "late_9"]
    assert numbers["problems"] == []


@pytest.mark.parametrize("place", ["{}/frames", "{}/masks", "{}"])
def test_frames_and_masks_of_a_video_are_the_same_sequence(
    vosseg: Vosseg, truth: Path, predicted: Path, tmp_path: Path, place: str
) -> None:
    """`propagate` calls its results as the frames are called: `early/frames`."""
    for name in ("early", "late"):
        for root, below in ((truth, "videos/{}/masks"), (truth, "videos/{}/frames"), (predicted, f"run/masks/{place}")):
            shutil.copytree(root / name, tmp_path / below.format(name))
    for picture in (tmp_path / "videos").rglob("frames/*.png"):
        Image.effect_noise((64, 48), 90).save(picture)
    outcome = vosseg("evaluate", "vos", tmp_path / "run", tmp_path / "videos", "--json")
    assert outcome.code == 0
    assert outcome.json()["J&F-Mean"] == 1.0


def test_faults_of_the_prediction_are_listed_and_scored(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    (predicted / "early" / "00001.png").unlink()
    (predicted / "early" / "00002.png").write_bytes(b"not a png")
    draw_mask(predicted / "early" / "00003.png", (1, 7), size=(20, 30))
    draw_mask(predicted / "early" / "00004.png", (1, 7, 5), index=4)
    draw_mask(predicted / "other" / "00000.png")
    outcome = vosseg("evaluate", "vos", predicted, truth, "--json")
    assert outcome.code == 7, "some masks could not be scored"
    found = outcome.json()
    kinds = [(p["kind"], p["sequence"], p["frame"]) for p in found["problems"]]
    assert ("missing", "early", "00001") in kinds
    assert ("unreadable", "early", "00002") in kinds
    assert ("misshapen", "early", "00003") in kinds
    assert ("extra", "other", None) in kinds
    assert ("unknown id", "early", None) in kinds
    assert found["per_object"]["early_1"]["J-Mean"] < 0.26, "three of the four frames count as empty"
    assert found["per_object"]["late_9"]["J-Mean"] == 1.0


def test_unknown_ids_alone_are_a_warning(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    ids_map = np.array(Image.open(predicted / "early" / "00002.png"))
    ids_map[-3:, -3:] = 77
    write_label_map(predicted / "early" / "00002.png", ids_map)
    outcome = vosseg("evaluate", "vos", predicted, truth)
    assert outcome.code == 0
    assert "id 77 is predicted in 1 frame" in outcome.stderr


def test_a_missing_sequence_counts_as_empty(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    for path in (predicted / "late").iterdir():
        path.unlink()
    outcome = vosseg("evaluate", "vos", predicted, truth, "--json")
    assert outcome.code == 7
    assert outcome.json()["per_object"]["late_1"]["J-Mean"] == 0.0
    assert outcome.json()["per_object"]["late_9"]["J-Mean"] == 0.5, "right where the object is not there yet"
    assert outcome.stderr == "missing: late: 4 frames, 00001 to 00004: no predicted mask\n"


def test_faults_of_the_truth_are_named_together(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    (truth / "early" / "00002.png").write_bytes(b"")
    draw_mask(truth / "late" / "00003.png", size=(20, 30))
    outcome = vosseg("evaluate", "vos", predicted, truth)
    assert outcome.code == 3
    assert "2 faults" in outcome.stderr
    assert "early/00002" in outcome.stderr
    assert "late/00003: is 30x20" in outcome.stderr


def test_nothing_in_common(vosseg: Vosseg, truth: Path, tmp_path: Path) -> None:
    draw_mask(tmp_path / "p" / "x" / "0.png")
    draw_mask(tmp_path / "p" / "y" / "0.png")
    outcome = vosseg("evaluate", "vos", tmp_path / "p", truth)
    assert outcome.code == 3
    assert "none is in both" in outcome.stderr


def test_binary_masks_void_and_one_object(vosseg: Vosseg, tmp_path: Path) -> None:
    """0/255 is object 1; 255 beside other ids is void; davis2016 joins all objects."""
    for i in range(4):
        white = np.zeros((30, 40), np.uint8)
        white[5:20, 5 + i : 25 + i] = 255
        for folder in ("gt", "void"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(white).save(tmp_path / "gt" / f"{i}.png")
        write_label_map(tmp_path / "pred" / f"{i}.png", (white > 0).astype(np.uint8) * (1 + i % 2))
        with_void = np.where(white > 0, 3, 0).astype(np.uint8)
        with_void[20:25] = 255
        Image.fromarray(with_void).save(tmp_path / "void" / f"{i}.png")
    binary = vosseg("evaluate", "vos", tmp_path / "pred", tmp_path / "gt", "--json").json()
    assert list(binary["per_object"]) == ["gt_1"]
    assert binary["J-Mean"] == 0.5, "in every other frame the prediction calls it 2"
    joined = vosseg("evaluate", "vos", tmp_path / "pred", tmp_path / "gt", "--protocol", "davis2016", "--json").json()
    assert joined["J&F-Mean"] == 1.0
    void = vosseg("evaluate", "vos", tmp_path / "void", tmp_path / "void", "--json").json()
    assert list(void["per_object"]) == ["void_3"]
    assert void["J&F-Mean"] == 1.0


@pytest.mark.parametrize(("protocol", "frames"), [("davis", 4), ("long-video", 5), ("all-frames", 6), ("davis2016", 4)])
def test_report_files(vosseg: Vosseg, truth: Path, predicted: Path, tmp_path: Path, protocol: str, frames: int) -> None:
    outcome = vosseg("evaluate", "vos", predicted, truth, "--protocol", protocol, "-o", tmp_path / "out")
    assert outcome.code == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["per_object"]["early_1"]["J"]) == frames
    suffix = "" if protocol == "long-video" else "-all"
    with (tmp_path / "out" / f"per-sequence_results{suffix}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"Sequence": "early_1", "J-Mean": "1.000", "F-Mean": "1.000"}
    first = (tmp_path / "out" / f"global_results{suffix}.csv").read_text().splitlines()[0]
    assert first == "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay"
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 8
    assert "http" not in page.replace("http-equiv", "")


def test_pictures_without_a_report_are_told(vosseg: Vosseg, truth: Path, tmp_path: Path) -> None:
    said = "note: --frames has no effect without -o"
    assert said in vosseg("evaluate", "vos", truth, truth, "--frames", truth).stderr
    assert said not in vosseg("evaluate", "vos", truth, truth, "--frames", truth, "-q").stderr
    assert said not in vosseg("evaluate", "vos", truth, truth, "--frames", truth, "-o", tmp_path / "out").stderr


def test_sets_of_sequences(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    (truth / "ImageSets" / "2017").mkdir(parents=True)
    (truth / "ImageSets" / "2017" / "val.txt").write_text("late\n")
    found = vosseg("evaluate", "vos", predicted, truth, "--set", "val", "--json").json()
    assert list(found["per_object"]) == ["late_1", "late_7", "late_9"]
    packed = shutil.make_archive(str(truth), "zip", truth)
    assert vosseg("evaluate", "vos", predicted, packed, "--set", "val", "--json").json() == found
    assert vosseg("evaluate", "vos", predicted, truth, "--set", "test").code == 3


def test_two_reports_are_compared(vosseg: Vosseg, truth: Path, predicted: Path, tmp_path: Path) -> None:
    vosseg("evaluate", "vos", predicted, truth, "-o", tmp_path / "before", "-q")
    (predicted / "late" / "00002.png").unlink()
    before = tmp_path / "before" / "report.json"
    outcome = vosseg("evaluate", "vos", predicted, truth, "--compare", before, "-o", tmp_path / "after")
    assert "-0.250" in outcome.stdout
    assert "Compared with" in (tmp_path / "after" / "report.html").read_text()
    report = json.loads((tmp_path / "after" / "report.json").read_text())
    assert report["comparison"]["rows"][0] == {"name": "late_1", "this": 0.75, "other": 1.0, "delta": -0.25}
    (tmp_path / "no.json").write_text("[]")
    assert vosseg("evaluate", "vos", predicted, truth, "--compare", tmp_path / "no.json").code == 3


def test_ids_of_16_bits(vosseg: Vosseg, tmp_path: Path) -> None:
    """There, 255 is an object like any other, also in a frame that shows nothing else."""
    for i, values in enumerate(([0, 255], [255, 300], [0, 255], [300, 300])):
        (tmp_path / "m").mkdir(exist_ok=True)
        Image.fromarray(np.tile(np.array(values, np.uint16), (20, 20))).save(tmp_path / "m" / f"{i}.png")
    found = vosseg("evaluate", "vos", tmp_path / "m", tmp_path / "m", "--protocol", "all-frames", "--json").json()
    assert (found["J&F-Mean"], list(found["per_object"])) == (1.0, ["m_255", "m_300"])


def test_smoothed_predictions_are_unreadable(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    for path in (predicted / "early").iterdir():
        white = Image.fromarray(np.where(np.array(Image.open(path)) == 1, 255, 0).astype(np.uint8))
        white.resize((40, 30), Image.Resampling.BILINEAR).resize(white.size, Image.Resampling.BILINEAR).save(path)
    outcome = vosseg("evaluate", "vos", predicted, truth, "--json")
    assert outcome.code == 7
    problems = [p for p in outcome.json()["problems"] if p["kind"] == "unreadable"]
    assert len(problems) == 4
    assert "anti-aliased" in problems[0]["detail"]


def test_frames_are_checked_before_the_work(vosseg: Vosseg, truth: Path, predicted: Path, tmp_path: Path) -> None:
    draw_video(tmp_path / "frames" / "elsewhere", 2)
    outcome = vosseg("evaluate", "vos", predicted, truth, "--frames", tmp_path / "frames", "-o", tmp_path / "out")
    assert outcome.code == 3
    assert "none of which is evaluated" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_images_of_the_data_set_are_optional(vosseg: Vosseg, truth: Path, predicted: Path, tmp_path: Path) -> None:
    (truth / "JPEGImages").mkdir()
    (truth / "Annotations").mkdir()
    for sequence in ("early", "late"):
        (truth / sequence).rename(truth / "Annotations" / sequence)
    assert vosseg("evaluate", "vos", predicted, truth, "-o", tmp_path / "out").code == 0


@pytest.mark.parametrize("record", ["[", "[1]", '{"checkpoint": "model.pth"}', '{"checkpoint": {}, "totals": 3}'])
def test_run_records_of_others_do_no_harm(
    vosseg: Vosseg, truth: Path, predicted: Path, tmp_path: Path, record: str
) -> None:
    (tmp_path / "run.json").write_text(record)
    assert vosseg("evaluate", "vos", predicted, truth, "-q").code == 0


def test_lists_are_those_of_the_protocol(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    for year, names in (("2016", "early"), ("2017", "early late")):
        (truth / "ImageSets" / year).mkdir(parents=True)
        (truth / "ImageSets" / year / "val.txt").write_text("\n".join(names.split()))
    for protocol, count in (("davis2016", 1), ("davis", 5)):
        found = vosseg("evaluate", "vos", predicted, truth, "--set", "val", "--protocol", protocol, "--json").json()
        assert len(found["per_object"]) == count


def test_what_does_not_match_is_said(vosseg: Vosseg, truth: Path, predicted: Path) -> None:
    draw_mask(predicted / "early" / "00099.png")
    for path in list((truth / "late").iterdir())[1:]:
        path.unlink()
    outcome = vosseg("evaluate", "vos", predicted, truth)
    assert "1 predicted frame has no ground truth: 00099" in outcome.stderr
    assert "not scored: late: 1 frame" in outcome.stderr


def test_workers_change_nothing(vosseg: Vosseg, tmp_path: Path) -> None:
    for i in range(70):
        draw_mask(tmp_path / "gt" / "s" / f"{i:05d}.png", index=i)
        draw_mask(tmp_path / "pred" / "s" / f"{i:05d}.png", index=i + 1)
    one, two = (
        vosseg("evaluate", "vos", tmp_path / "pred", tmp_path / "gt", "--workers", n, "--json").json() for n in (1, 2)
    )
    assert one == two
    assert 0.1 < one["J-Mean"] < 1.0


def test_the_output_of_propagate_goes_straight_in(vosseg: Vosseg, tmp_path: Path) -> None:
    names = draw_video(tmp_path / "clip" / "frames", 4)
    for index, name in enumerate(names):
        draw_mask(tmp_path / "clip" / "masks" / f"{name}.png", index=index)
    clip, run = tmp_path / "clip", tmp_path / "run"
    assert vosseg("propagate", clip / "frames", "--mask", clip / "masks" / "00000.png", "-o", run, "-q").code == 0
    outcome = vosseg(
        "evaluate", "vos", run, clip / "masks", "--frames", clip / "frames", "-o", tmp_path / "report", "--json"
    )
    assert outcome.code == 0, outcome.stderr
    assert list(outcome.json()["per_object"]) == ["clip_1", "clip_2"]
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["facts"]["checkpoint"].count("tiny") == 1
    assert 'alt="image of clip' in (tmp_path / "report" / "report.html").read_text()


@pytest.fixture
def fewshot(tmp_path: Path) -> tuple[Path, Path]:
    """Masks of two classes in the same image, cat on the left and dog on the right; cat is predicted for both."""
    for name, columns in (("cat", slice(0, 4)), ("dog", slice(6, 10))):
        mask = np.zeros((10, 10), np.uint8)
        mask[:5, columns] = 1
        mask[9] = 255
        taken = np.zeros((10, 10), np.uint8)
        taken[:5, columns if name == "dog" else slice(0, 10)] = 1
        for folder, array in (("gt", mask), ("pred", taken)):
            (tmp_path / folder / name).mkdir(parents=True)
            Image.fromarray(array).save(tmp_path / folder / name / "a.png")
    return tmp_path / "pred", tmp_path / "gt"


def test_fewshot_numbers(vosseg: Vosseg, fewshot: tuple[Path, Path], tmp_path: Path) -> None:
    outcome = vosseg("evaluate", "fewshot", *fewshot, "--json", "-o", tmp_path / "out")
    assert outcome.code == 0
    found = outcome.json()
    assert found["per_class"] == {"cat": 20 / 50, "dog": 1.0}
    assert found["mIoU"] == pytest.approx(0.7)
    assert found["FB-IoU"] == pytest.approx(0.5 * (40 / 70 + 110 / 140))
    confusion = json.loads((tmp_path / "out" / "report.json").read_text())["confusion"]
    assert confusion["classes"] == ["cat", "dog", "(background)"]
    assert confusion["pixels"] == [[20, 0, 0], [20, 20, 0], [10, 0, 110]]
    kept = vosseg("evaluate", "fewshot", *fewshot, "--ignore-label", 9, "--json").json()
    assert kept["per_class"]["dog"] == 20 / 30, "255 is the class where it is not void"


def test_fewshot_faults(vosseg: Vosseg, fewshot: tuple[Path, Path]) -> None:
    predicted, truth = fewshot
    (predicted / "cat" / "a.png").unlink()
    outcome = vosseg("evaluate", "fewshot", predicted, truth, "--json")
    assert outcome.code == 7
    assert outcome.json()["per_class"]["cat"] == 0.0
    (truth / "dog" / "a.png").write_bytes(b"x")
    outcome = vosseg("evaluate", "fewshot", predicted, truth)
    assert outcome.code == 3
    assert "dog" in outcome.stderr


def test_binary_fewshot_masks(vosseg: Vosseg, tmp_path: Path) -> None:
    """FSS-1000 writes 0/255: there, 255 is the class and not void."""
    mask = np.zeros((10, 10), np.uint8)
    mask[:5] = 255
    for folder in ("gt", "pred"):
        (tmp_path / folder / "cup").mkdir(parents=True)
        Image.fromarray(mask).save(tmp_path / folder / "cup" / "a.png")
    found = vosseg("evaluate", "fewshot", tmp_path / "pred", tmp_path / "gt", "--json").json()
    assert found["mIoU"] == 1.0


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    """One image with a square, found rightly."""
    mask = np.zeros((20, 30), bool)
    mask[4:14, 5:15] = True
    truth = {
        "images": [{"id": 1, "height": 20, "width": 30}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "segmentation": rle(mask)}],
        "categories": [{"id": 2, "name": "square"}],
    }
    found = [{"image_id": 1, "category_id": 2, "score": 0.9, "segmentation": rle(mask), "bbox": [5, 4, 10, 10]}]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps(found))
    return tmp_path / "dt.json", tmp_path / "gt.json"


@pytest.mark.parametrize("iou", ["segm", "bbox", "boundary"])
def test_instance_numbers(vosseg: Vosseg, results: tuple[Path, Path], tmp_path: Path, iou: str) -> None:
    outcome = vosseg("evaluate", "instance", *results, "--iou", iou, "--max-dets", 300, "--json", "-o", tmp_path / "o")
    assert outcome.code == 0, outcome.stderr
    found = outcome.json()
    assert found["AP"] == pytest.approx(1.0)
    assert found["AR300"] == 1.0
    assert found["per_class"]["square"]["objects"] == 1
    assert "Precision over recall" in (tmp_path / "o" / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 5}, "image_id 5"),
        ({"score": None}, "score None"),
        ({"score": float("nan")}, "score nan"),
        ({"segmentation": {"size": [5, 5], "counts": "0"}}, "mask"),
        ({"segmentation": None}, "mask"),
    ],
)
def test_bad_results_are_named(
    vosseg: Vosseg, results: tuple[Path, Path], change: dict[str, Any], message: str
) -> None:
    found = json.loads(results[0].read_text())
    results[0].write_text(json.dumps([found[0], found[0] | change]))
    outcome = vosseg("evaluate", "instance", *results)
    assert outcome.code == 3
    assert "result 1" in outcome.stderr
    assert message in outcome.stderr


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', '{"images": [], "annotations": [{}], "categories": []}'])
def test_bad_truths_are_named(vosseg: Vosseg, results: tuple[Path, Path], text: str) -> None:
    results[1].write_text(text)
    for task in ("instance", "track"):
        outcome = vosseg("evaluate", task, *results)
        assert outcome.code == 3
        assert "gt.json" in outcome.stderr


@pytest.mark.parametrize("which", [0, 1])
def test_boxes_count_where_all_results_have_one(vosseg: Vosseg, results: tuple[Path, Path], which: int) -> None:
    """pycocotools asks every result for a box if the first has one."""
    found = json.loads(results[0].read_text())[0]
    pair = [dict(found), dict(found) | {"score": 0.3}]
    del pair[which]["bbox"]
    results[0].write_text(json.dumps(pair))
    for iou in ("segm", "bbox", "boundary"):
        outcome = vosseg("evaluate", "instance", *results, "--iou", iou, "--json")
        assert outcome.code == 0, outcome.stderr
        assert outcome.json()["AP50"] == pytest.approx(1.0)


def test_annotation_ids_do_not_matter(vosseg: Vosseg, results: tuple[Path, Path]) -> None:
    """pycocotools takes the id 0 for "no match", and annotations of one id for one."""
    truth = json.loads(results[1].read_text())
    far = np.zeros((20, 30), bool)
    far[15:19, 20:28] = True
    truth["annotations"][0]["id"] = 0
    truth["annotations"].append(truth["annotations"][0] | {"segmentation": rle(far)})
    results[1].write_text(json.dumps(truth))
    found = json.loads(results[0].read_text())
    results[0].write_text(json.dumps([*found, found[0] | {"segmentation": rle(far)}]))
    assert vosseg("evaluate", "instance", *results, "--json").json()["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"category_id": [2]}, {"image_id": {}}, {"score": 10**400}, {"caption": "a square"},
        {"segmentation": [[0, 0, 1e12, 0, 1e12, 1e12]]}, {"bbox": [None, 1, 2, 3]},
    ],
)  # fmt: skip
def test_odd_results_are_no_bugs(vosseg: Vosseg, results: tuple[Path, Path], change: dict[str, Any]) -> None:
    found = json.loads(results[0].read_text())
    results[0].write_text(json.dumps([found[0] | change]))
    outcome = vosseg("evaluate", "instance", *results)
    assert outcome.code == (0 if "caption" in change else 3), outcome.stderr


@pytest.mark.parametrize(("category", "ap"), [(2, 1.0), ("2", 1.0), (5, 0.0)])
def test_the_class_of_a_result(vosseg: Vosseg, results: tuple[Path, Path], category: int | str, ap: float) -> None:
    """An id may be written as a text; a class that the truth does not list is ignored, as by the official tools."""
    found = json.loads(results[0].read_text())
    results[0].write_text(json.dumps([one | {"category_id": category} for one in found if one["category_id"] == 2]))
    outcome = vosseg("evaluate", "instance", *results, "--classes", 2, "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["AP"] == pytest.approx(ap)


@pytest.mark.parametrize(
    "change", [{"id": "x"}, {"id": []}, {"bbox": [None, 1, 2, 3]}, {"iscrowd": None}, {"area": "big"}]
)
def test_odd_annotations_are_mended(vosseg: Vosseg, results: tuple[Path, Path], change: dict[str, Any]) -> None:
    truth = json.loads(results[1].read_text())
    truth["annotations"][0] |= change
    results[1].write_text(json.dumps(truth))
    outcome = vosseg("evaluate", "instance", *results, "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["AP"] == pytest.approx(1.0)


def test_undefined_numbers_have_no_difference(vosseg: Vosseg, results: tuple[Path, Path], tmp_path: Path) -> None:
    truth = json.loads(results[1].read_text())
    truth["categories"].append({"id": 3, "name": "square"})
    results[1].write_text(json.dumps(truth))
    vosseg("evaluate", "instance", *results, "-o", tmp_path / "a", "-q")
    outcome = vosseg("evaluate", "instance", *results, "--iou", "bbox", "--compare", tmp_path / "a" / "report.json")
    assert outcome.code == 0, outcome.stderr
    assert "compared by: bbox, there segm" in outcome.stderr
    rows = json.loads((tmp_path / "a" / "report.json").read_text())["per_class"]
    assert set(rows) == {"square (2)", "square (3)"}
    assert "-2.000" not in outcome.stdout


def test_few_dets_are_a_bad_setting(vosseg: Vosseg, results: tuple[Path, Path]) -> None:
    assert vosseg("evaluate", "instance", *results, "--max-dets", 5).code == 5


def test_track_numbers(vosseg: Vosseg, tmp_path: Path) -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:14, 5:15] = True
    truth = {
        "videos": [{"id": 1, "height": 20, "width": 30, "length": 3}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 2, "segmentations": [rle(mask), None, rle(mask)]}],
        "categories": [{"id": 2, "name": "square"}],
    }
    found = [{"video_id": 1, "category_id": 2, "score": 0.5, "segmentations": [rle(mask), None, None]}]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps(found))
    outcome = vosseg("evaluate", "track", tmp_path / "dt.json", tmp_path / "gt.json", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["AP50"] == pytest.approx(1.0), "IoU is one half"
    assert outcome.json()["AP75"] == 0.0


def test_fewshot_workers_change_nothing(vosseg: Vosseg, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("gt", "pred"):
        for name in ("cat", "dog"):
            (tmp_path / folder / name).mkdir(parents=True)
            for i in range(101):
                mask = rng.integers(0, 2, (5, 6), dtype=np.uint8)
                Image.fromarray(mask).save(tmp_path / folder / name / f"{i}.png")
    one, two = (
        vosseg("evaluate", "fewshot", tmp_path / "pred", tmp_path / "gt", "--workers", n, "--json").json()
        for n in (1, 2)
    )
    assert one == two
    assert 0.2 < one["mIoU"] < 0.5


def write_label_maps(folder: Path, maps: dict[str, np.ndarray]) -> Path:
    for name, ids in maps.items():
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ids.astype(np.uint16)).save(path)
    return folder


def test_label_maps_of_instances(vosseg: Vosseg, tmp_path: Path) -> None:
    one, two = np.zeros((2, 40, 60), np.uint16)
    one[5:15, 5:15], one[20:30, 30:50] = 300, 301  # ids beyond 255
    two[5:15, 5:25] = 7
    wrong = np.zeros_like(two)
    wrong[5:15, 5:15] = 1  # half of it
    truth = write_label_maps(tmp_path / "truth", {"a/x": one, "y": two, "z": two})
    ours = write_label_maps(tmp_path / "ours" / "masks", {"a/x": one, "y": wrong, "more": two})
    outcome = vosseg("evaluate", "instance", ours.parent, truth, "--json")
    found = outcome.json()
    assert outcome.code == 7, "a label map is missing"
    assert found["AP@0.50"] == pytest.approx(3 / 4)  # IoU of y is exactly one half; z is missing
    assert found["AP@0.55"] == pytest.approx(2 / 5)
    assert found["image AP@0.50"] == pytest.approx(2 / 3)
    assert found["PQ"] == pytest.approx(2.5 / 3.5)
    assert found["AP50"] == pytest.approx(0.75, abs=0.01)  # COCO's
    assert [problem["kind"] for problem in found["problems"]] == ["missing", "extra"]


def test_a_folder_against_a_file_is_refused(vosseg: Vosseg, tmp_path: Path) -> None:
    folder = write_label_maps(tmp_path / "maps", {"a": np.ones((4, 4))})
    (tmp_path / "truth.json").write_text("{}")
    outcome = vosseg("evaluate", "instance", folder, tmp_path / "truth.json")
    assert outcome.code == 3
    assert "two folders of label maps" in outcome.stderr


COCO = {
    "images": [{"id": k, "file_name": f"{name}.png", "height": 20, "width": 20} for k, name in ((1, "a"), (2, "b"))],
    "categories": [{"id": 4, "name": "nucleus"}],
    "annotations": [
        {"id": k, "image_id": k, "category_id": 4, "segmentation": [[2, 2, 12, 2, 12, 12, 2, 12]]} for k in (1, 2)
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "ap", "problems"),
    [
        ([], -1, 2),  # classes 1 and 9 are ignored; nothing covers the images
        (["--map", "cell=nucleus"], 0.505, 2),
        (["--map", "cell=nucleus,9=nucleus"], 1.0, 0),
        (["--class-agnostic"], 1.0, 0),
        (["--map", "cell=nucleus", "--images", "list.txt"], 1.0, 1),
    ],
)
def test_results_of_other_classes(
    vosseg: Vosseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], ap: float, problems: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("a\n")
    Path("truth.json").write_text(json.dumps(COCO))
    Path("classes.json").write_text(json.dumps({"1": "cell"}))
    found = [
        {"image_id": k, "category_id": category, "score": 0.9, "segmentation": [[2, 2, 12, 2, 12, 12, 2, 12]]}
        for k, category in ((1, 1), (2, 9))
    ]
    Path("instances.json").write_text(json.dumps(found))
    outcome = vosseg("evaluate", "instance", "instances.json", "truth.json", "--json", *options)
    assert outcome.code == 0, outcome.stderr
    numbers = outcome.json()
    assert numbers["AP"] == pytest.approx(ap if ap >= 0 else 0.0, abs=0.01)
    assert len(numbers["problems"]) == problems + (not options)


def test_a_part_of_label_maps(vosseg: Vosseg, tmp_path: Path) -> None:
    """`--images` chooses among label maps of instances and of few-shot; what they have no classes for is refused."""
    one, other = np.zeros((40, 40), np.uint16), np.zeros((40, 40), np.uint16)
    one[5:20, 5:20] = other[20:35, 20:35] = 1
    truth = write_label_maps(tmp_path / "truth" / "cell", {"x": one, "y": one})
    ours = write_label_maps(tmp_path / "ours" / "cell", {"x": one, "y": other, "z": one})
    (tmp_path / "list.txt").write_text("x.png\n")
    listed = ("--images", tmp_path / "list.txt", "--json")
    found = vosseg("evaluate", "instance", ours, truth, *listed)
    assert (found.code, round(found.json()["AP"], 9), found.json()["problems"]) == (0, 1.0, [])
    found = vosseg("evaluate", "fewshot", ours.parent, truth.parent, *listed)
    assert (found.code, found.json()["mIoU"], found.json()["problems"]) == (0, 1.0, [])
    (tmp_path / "list.txt").write_text("w\n")
    for task, folders in (("instance", (ours, truth)), ("fewshot", (ours.parent, truth.parent))):
        outcome = vosseg("evaluate", task, *folders, *listed)
        assert outcome.code == 3
        assert "none of the images in the list" in outcome.stderr
    for option in (("--classes", "cell"), ("--map", "a=b")):
        assert vosseg("evaluate", "instance", ours, truth, *option).code == 5


@pytest.mark.parametrize("beside", [True, False])
def test_label_maps_named_as_cellpose_does(vosseg: Vosseg, tmp_path: Path, *, beside: bool) -> None:
    """`a_cp_masks.png`, alone or beside the image `a.png`, which is no label map."""
    ids = np.zeros((40, 40), np.uint16)
    ids[5:20, 5:20] = 1
    truth = write_label_maps(tmp_path / "truth", {"a": ids})
    ours = write_label_maps(tmp_path / "ours", {"a_cp_masks": ids, **({"a": ids * 0 + 7} if beside else {})})
    found = vosseg("evaluate", "instance", ours, truth, "--json")
    assert (found.code, found.json()["AP50"], found.json()["problems"]) == (0, pytest.approx(1.0), [])
    other = write_label_maps(tmp_path / "other", {"b": ids})
    outcome = vosseg("evaluate", "instance", other, truth)
    assert outcome.code == 3
    assert "none is in both" in outcome.stderr


def test_label_maps_of_fewshot(vosseg: Vosseg, tmp_path: Path) -> None:
    """What `vosseg fewshot` writes is scored against label maps with other ids."""
    ids = np.zeros((20, 30), np.uint8)
    ids[2:10, 2:12], ids[12:18, 15:25] = 1, 2
    wrong = ids.copy()
    wrong[2:10, 7:12] = 0  # half of the first class
    write_label_map(tmp_path / "run" / "masks" / "a" / "x.png", wrong)
    (tmp_path / "run" / "classes.json").write_text(json.dumps({"1": "cat", "2": "dog"}))
    write_label_map(tmp_path / "maps" / "a" / "x.png", np.array([0, 7, 4], np.uint8)[ids])
    (tmp_path / "maps" / "classes.json").write_text(json.dumps({"7": "cat", "4": "dog"}))
    found = vosseg("evaluate", "fewshot", tmp_path / "run", tmp_path / "maps", "--json")
    assert found.code == 0, found.stderr
    assert found.json()["per_class"] == {"cat": 0.5, "dog": 1.0}
    assert found.json()["mIoU"] == 0.75
    same = vosseg("evaluate", "fewshot", tmp_path / "maps", tmp_path / "maps", "--json")
    assert same.json()["mIoU"] == 1.0
    (tmp_path / "maps" / "classes.json").write_text("[1]")
    assert vosseg("evaluate", "fewshot", tmp_path / "run", tmp_path / "maps").code == 3


def test_results_shorter_than_their_video_are_told(vosseg: Vosseg, tmp_path: Path) -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:14, 5:15] = True
    truth = {
        "videos": [{"id": 1, "height": 20, "width": 30, "length": 3}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 2, "segmentations": [rle(mask)] * 3}],
        "categories": [{"id": 2, "name": "square"}],
    }
    found = [{"video_id": 1, "category_id": 2, "score": 0.5, "segmentations": [rle(mask)] * 2}]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps(found))
    outcome = vosseg("evaluate", "track", tmp_path / "dt.json", tmp_path / "gt.json", "--json")
    assert outcome.code == 0, outcome.stderr
    numbers = outcome.json()
    assert (numbers["AP50"], numbers["AP75"]) == (pytest.approx(1.0), 0.0), "IoU is two thirds; ytvoseval says 1"
    assert "1 of 1 results is shorter or longer than their video" in str(numbers["problems"])


def test_lvis_is_refused(vosseg: Vosseg, tmp_path: Path) -> None:
    truth = json.loads(json.dumps(COCO))
    truth["images"][0]["neg_category_ids"] = [4]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text("[]")
    for name, folder, files in (("alone.zip", "", ["v1.json"]), ("wrapped.zip", "lvis/", ["v1.json", "README.md"])):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file in files:
                archive.write(tmp_path / "truth.json", folder + file)
    for name in ("truth.json", "alone.zip", "wrapped.zip"):
        for task in ("instance", "fewshot", "vos"):
            outcome = vosseg("evaluate", task, tmp_path / "found.json", tmp_path / name)
            assert outcome.code == 3
            assert f"{name}: is of LVIS" in outcome.stderr and "lvis-api" in outcome.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_evaluation_that_is_stopped(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A signal while pycocotools works, far from its end: 40,000 pairs of masks an image."""
    rng = np.random.default_rng(0)
    images = [{"id": k, "file_name": f"{k}.png", "height": 200, "width": 200} for k in range(1, 41)]
    corners = rng.integers(0, 180, (40, 200, 2)).tolist()
    annotations = [
        {"image_id": k, "category_id": 1, "score": 0.5, "segmentation": [[x, y, x + 15, y, x + 15, y + 15, x, y + 15]]}
        for k, listed in enumerate(corners, start=1) for x, y in listed
    ]  # fmt: skip
    numbered = [{"id": k, **annotation} for k, annotation in enumerate(annotations, start=1)]
    truth = {"images": images, "annotations": numbered, "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps(annotations))
    working = tmp_path / "working"
    script = (
        "import pathlib, sys; from pycocotools import cocoeval; from vossegcli.cli.app import main\n"
        "evaluate = cocoeval.COCOeval.evaluate\n"
        f"def told(self): pathlib.Path({str(working)!r}).touch(); return evaluate(self)\n"
        "cocoeval.COCOeval.evaluate = told\n"
        "main()\n"
    )
    process = start(
        [sys.executable, "-c", script, "evaluate", "instance", tmp_path / "dt.json", tmp_path / "gt.json", "--json"]
    )
    deadline = time.monotonic() + 300
    while not working.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == code, outcome.stderr
    assert outcome.stdout == ""
    assert outcome.stderr == "interrupted: what was finished stays; the same command goes on from here\n"
