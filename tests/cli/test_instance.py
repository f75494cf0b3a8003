"""`vosseg instance` with a tiny random network: what goes in, what comes out, and evaluation of it.

Covers: io.results.instances, runners.instance.mask_nms, runners.instance.run
"""

import csv
import json
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import Outcome, squares, write_frame
from vossegcli.batch.run_pictures import RunPictures
from vossegcli.io.media.video_writer import VideoWriter
from vossegcli.io.weights.checkpoints import CheckpointHeader, write_checkpoint
from vossegcli.runners.instance import run as module
from vossegcli.runners.instance.mask_nms import mask_nms
from vossegcli.runners.instance.slides import Part, read_parts
from vossegcli.systems.b2inst.config import B2InstConfig
from vossegcli.systems.b2inst.model import B2Inst

Command = Callable[..., Outcome]
LABELS = ("nucleus", "cell/body")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network that finds something everywhere: one in two locations has a class."""
    config = B2InstConfig(
        classes=2, stem=8, planes=(8, 8, 16, 16), depths=(1, 1, 1, 1), stride_in_1x1=False,
        channels=16, tower=1, groups=4, basis_channels=8, basis_convs=1, attention=4, resolution=8,
        scoring_channels=8, scoring_hidden=16, short_side=64, top_k=8,
    )  # fmt: skip
    torch.manual_seed(0)
    network = B2Inst(config)
    with torch.no_grad():
        network.box_head.cls_logits.weight.mul_(100.0)
        network.box_head.cls_logits.bias.fill_(2.0)
        network.basis_head.tower[-1].bias.fill_(2.0)  # no mask is empty
    path = tmp_path_factory.mktemp("b2inst") / "tiny.safetensors"
    header = CheckpointHeader("b2inst", config.to_dict(), LABELS, {"steps": 0})
    write_checkpoint(path, dict(network.state_dict()), header)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("2.jpg", "10.jpg", "deep/3.png"):
        write_frame(tmp_path / "images" / name, squares(1, (1, 2)))
    return tmp_path / "images"


@pytest.fixture
def run(weights: Path, images: Path, tmp_path: Path, vosseg: Command) -> Command:
    def command(*more: object, of: object = images) -> Outcome:
        return vosseg(
            "instance", of, "--checkpoint", weights, "--device", "cpu", "--precision", "fp32", "-o", tmp_path / "out",
            *more,
        )  # fmt: skip

    return command


def results(tmp_path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((tmp_path / "out" / "instances.json").read_text())
    return found


def test_everything_that_can_be_saved(run: Command, tmp_path: Path) -> None:
    outcome = run("--save", "masks,coco,overlay,cutouts", "--score-threshold", 0.1, "--json")
    assert outcome.code == 0, outcome.stderr
    record = outcome.json()
    out = tmp_path / "out"
    assert record["classes"] == {"1": "nucleus", "2": "cell/body"}
    listed = json.loads((out / "images.json").read_text())
    assert [(i["id"], i["name"]) for i in listed] == [(1, "2"), (2, "10"), (3, "deep/3")]
    found = results(tmp_path)
    assert {row["image_id"] for row in found} == {1, 2, 3}
    with (out / "instances.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == record["instances"] > 0
    ids = np.array(Image.open(out / "masks" / "deep" / "3.png"))
    assert ids.dtype == np.uint16
    assert ids.max() <= sum(row["image"] == "deep/3" for row in rows)
    assert (out / "overlay" / "2.jpg").is_file()
    cutouts = list((out / "cutouts").rglob("*.png"))
    assert len(cutouts) == len(rows)
    assert {path.parts[len(out.parts) + 1] for path in cutouts} <= {"nucleus", "cell%2Fbody"}
    best = next(row for row in found if row["image_id"] == 1)
    assert coco_mask.decode(best["segmentation"]).shape == (48, 64)


def test_the_threshold_is_for_what_ismask_nms(run: Command, tmp_path: Path) -> None:
    outcome = run("--score-threshold", 1.0, "--json")
    assert outcome.json()["instances"] == 0
    assert results(tmp_path), "average precision needs the others too"
    assert not np.array(Image.open(tmp_path / "out" / "masks" / "2.png")).any()


def test_what_two_classes_find_is_drawn_once() -> None:
    square, smaller, elsewhere = (np.zeros((20, 20), np.uint8, order="F") for _ in range(3))
    square[2:12, 2:12], smaller[2:12, 2:10], elsewhere[2:12, 10:18] = 1, 1, 1  # IoU 0.8 with the first, 0.11 with it
    rows = [
        {"score": score, "segmentation": coco_mask.encode(mask)}
        for score, mask in ((0.9, square), (0.8, smaller), (0.7, elsewhere), (0.1, elsewhere))
    ]
    assert mask_nms(rows, 0.5) == [0, 2]
    assert mask_nms(rows, 0.0) == [0, 2]
    assert mask_nms(rows[:2], 0.85) == [0]
    assert mask_nms([], 0.5) == []


@pytest.mark.parametrize(("name", "category"), [("nucleus", 1), ("cell/body", 2)])
def test_chosen_classes(run: Command, tmp_path: Path, name: str, category: int) -> None:
    assert run().code == 0
    everything = results(tmp_path)
    assert {row["category_id"] for row in everything} == {1, 2}
    assert run("--classes", name).code == 0
    assert results(tmp_path) == [row for row in everything if row["category_id"] == category]
    outcome = run("--classes", "dog")
    assert outcome.code == 5
    assert "unknown class 'dog'" in outcome.stderr


def test_ids_of_annotations_and_evaluation(run: Command, images: Path, tmp_path: Path, vosseg: Command) -> None:
    rle = coco_mask.encode(np.asfortranarray((squares(1, (1, 2)) > 0).astype(np.uint8)))
    segmentation = {"size": [48, 64], "counts": rle["counts"].decode()}
    names = {70: "2.jpg", 80: "10.jpg", 90: "deep/3.png"}
    truth = {
        "images": [{"id": i, "file_name": name, "height": 48, "width": 64} for i, name in names.items()],
        "categories": [{"id": 5, "name": "nucleus"}],
        "annotations": [
            {"id": k, "image_id": i, "category_id": 5, "segmentation": segmentation, "area": 9, "bbox": [0, 0, 9, 9],
             "iscrowd": 0} for k, i in enumerate(names, start=1)
        ],
    }  # fmt: skip
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(truth))
    assert run("--annotations", file, "--classes", "nucleus").code == 0
    assert {row["image_id"] for row in results(tmp_path)} == {70, 80, 90}
    assert {row["category_id"] for row in results(tmp_path)} == {5}
    listing = images / "coco.json"
    listing.write_text(json.dumps({**truth, "images": truth["images"][1:]}))
    assert run("-o", tmp_path / "listed", of=listing).code == 0
    listed = json.loads((tmp_path / "listed" / "instances.json").read_text())
    assert {row["image_id"] for row in listed} == {80, 90}, "a COCO file stands for its images, with their ids"
    listing.unlink()
    outcome = vosseg("evaluate", "instance", tmp_path / "out" / "instances.json", file, "--json")
    assert outcome.code == 0, outcome.stderr
    assert 0.0 <= outcome.json()["AP"] <= 1.0
    write_frame(images / "other.jpg", squares(1, (1,)))
    outcome = run("--annotations", file)
    assert outcome.code == 3
    assert "other.jpg: is not in the annotations" in outcome.stderr


def test_tiles(run: Command, tmp_path: Path) -> None:
    write_frame(tmp_path / "large.png", squares(1, (1, 2), height=150, width=200))
    outcome = run("--tile", 96, "--overlap", 32, of=tmp_path / "large.png")
    assert outcome.code == 0, outcome.stderr
    boxes = np.array([row["bbox"] for row in results(tmp_path)])
    assert (boxes[:, 0] + boxes[:, 2]).max() > 150, "also in the last tile"
    assert run("--tile", 96, "--overlap", 96, of=tmp_path / "large.png").code == 5
    assert run("--tile", 96, "--dry-run", of=tmp_path / "large.png").code == 0, "half of it by default"
    outcome = run("--overlap", 32, of=tmp_path / "large.png")
    assert outcome.code == 2, "without tiles it would be ignored"
    assert "goes with --tile" in outcome.stderr


def test_few_tiles_are_in_memory_together(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a slide there are thousands."""
    seen: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def watched(*args: Any) -> Iterator[Part]:
        for part in read_parts(*args):
            seen.append(weakref.ref(part.image))
            alive.append(sum(one() is not None for one in seen))
            yield part

    monkeypatch.setattr(module, "read_parts", watched)
    write_frame(tmp_path / "large.png", squares(1, (1, 2), height=300, width=300))
    assert run("--tile", 64, "--overlap", 16, of=tmp_path / "large.png").code == 0
    assert len(seen) == 36
    assert max(alive) < 12


def test_results_do_not_lie_where_a_pattern_searches(run: Command, images: Path) -> None:
    outcome = run("-o", images / "out", of=f"{images}/**/*.jpg")
    assert outcome.code == 3
    assert "lies inside the input folder" in outcome.stderr
    assert not (images / "out").exists()


def test_finished_images_are_skipped_and_bad_ones_reported(run: Command, images: Path, tmp_path: Path) -> None:
    assert run("--json").json()["totals"]["done"] == 3
    before = results(tmp_path)
    (images / "broken.jpg").write_bytes(b"no picture")
    outcome = run("--json")
    assert outcome.code == 7
    assert (outcome.json()["totals"]["skipped"], outcome.json()["totals"]["failed"]) == (2, 1)
    assert len(results(tmp_path)) == len(before)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_video_is_no_image_unless_it_has_one_frame(run: Command, tmp_path: Path, images: Path, frames: int) -> None:
    with VideoWriter(images / "film.mp4", 5.0, (48, 64)) as writer:
        for _ in range(frames):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    outcome = run()
    if frames == 1:
        assert outcome.code == 0, outcome.stderr
        listed = json.loads((tmp_path / "out" / "coco.json").read_text())["images"]
        assert ("film.mp4", 48, 64) in [(one["file_name"], one["height"], one["width"]) for one in listed]
    else:
        assert outcome.code == 7
        assert "is a video" in outcome.stderr


def test_of_a_stack_of_channels_one_is_chosen(run: Command, tmp_path: Path) -> None:
    stack = tmp_path / "cells.tif"
    tifffile.imwrite(stack, np.zeros((2, 40, 50), np.uint8), metadata={"axes": "CYX"})
    outcome = run(of=stack)
    assert outcome.code == 3
    assert "image stack of 2 frames" in outcome.stderr
    assert "or one of its channels or slices with --channel or --axis" in outcome.stderr
    assert run("--channel", "1", of=stack).code == 0


@pytest.mark.parametrize(
    "name", ["2.jpg", "C:\\photos\\deep\\3.png", "/somewhere/else/10.jpg", "../2.jpg", "deep/3.tif"]
)
def test_a_file_lists_images_that_lie_elsewhere(run: Command, images: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes").mkdir()
    listing = tmp_path / "notes" / "x.json"
    listing.write_text(json.dumps({"images": [{"id": 7, "file_name": name}], "annotations": [], "categories": []}))
    outcome = run("--images", images, "--save", "coco", of=listing)
    assert outcome.code == 0, outcome.stderr
    (listed,) = json.loads((tmp_path / "out" / "images.json").read_text())
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    assert (listed["id"], listed["name"].rpartition("/")[2]) == (7, stem)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    pictures = RunPictures(tmp_path / "out", record["input"], record["images_folder"], videos=False)
    assert pictures._image(listed["name"], "") is not None, "the page of the run finds them again"


def test_what_is_missing_of_a_list_is_told(run: Command, images: Path, tmp_path: Path) -> None:
    names = {1: "2.jpg", 2: "gone.jpg"}
    listing = tmp_path / "x.json"
    listed = [{"id": number, "file_name": name} for number, name in names.items()]
    listing.write_text(json.dumps({"images": listed, "annotations": [], "categories": []}))
    outcome = run(of=listing)
    assert outcome.code == 7, outcome.stderr
    assert "1 of 2 images that x.json lists is missing" in outcome.stdout + outcome.stderr
    assert "gone.jpg" in outcome.stderr
    for name in names.values():
        (images / name).unlink(missing_ok=True)
    outcome = run(of=listing)
    assert outcome.code == 3
    assert "none of them was found" in outcome.stderr and "--images" in outcome.stderr
