"""`vosseg track` with a tiny random network: what goes in, what comes out, resume, and evaluation of it.

Covers: runners.track.follow, runners.track.results, runners.track.run
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import Outcome, squares, write_frame
from vossegcli.io.media.video import VideoFrames
from vossegcli.runners.track.run import TrackOptions, track

Command = Callable[..., Outcome]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sequences of five and three frames."""
    for name, count in (("a", 5), ("deep/b", 3)):
        for t in range(count):
            write_frame(tmp_path / "videos" / name / f"{t:05d}.png", squares(t, (1, 2)))
    return tmp_path / "videos"


@pytest.fixture
def run(tiny_tracker: Path, root: Path, tmp_path: Path, vosseg: Command) -> Command:
    def command(*more: object, of: object = root) -> Outcome:
        return vosseg(
            "track", of, "--checkpoint", tiny_tracker, "--device", "cpu", "--precision", "fp32", "-o", tmp_path / "out",
            *more,
        )  # fmt: skip

    return command


def results(tmp_path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((tmp_path / "out" / "tracks.json").read_text())
    return found


def test_everything_that_can_be_saved(run: Command, tmp_path: Path) -> None:
    outcome = run("--save", "masks,coco,overlay,video", "--score-threshold", 0.1, "--json")
    assert outcome.code == 0, outcome.stderr
    record, out = outcome.json(), tmp_path / "out"
    assert json.loads((out / "videos.json").read_text()) == [
        {"id": 1, "name": "a", "length": 5}, {"id": 2, "name": "deep/b", "length": 3},
    ]  # fmt: skip
    with (out / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == record["tracks"] > 0
    found = results(tmp_path)
    assert {row["video_id"] for row in found} == {1, 2}
    first = [row for row in found if row["video_id"] == 1]
    assert all(len(row["segmentations"]) == 5 for row in first)
    for t in range(5):
        mask = Image.open(out / "masks" / "a" / f"{t:05d}.png")
        assert mask.mode == "P"
        covered = np.zeros((48, 64), np.uint8)
        for row in first:
            if row["segmentations"][t]:
                covered |= coco_mask.decode(row["segmentations"][t])
        assert np.array_equal(np.array(mask) > 0, covered > 0), "the network is sure of all its tracks"
        assert (out / "overlay" / "a" / f"{t:05d}.jpg").is_file()
    assert len(VideoFrames(out / "video" / "deep" / "b.mp4")) == 3


def test_the_threshold_is_for_what_is_drawn(run: Command, tmp_path: Path) -> None:
    assert run("--score-threshold", 1.0, "--json").json()["tracks"] == 0
    assert results(tmp_path), "average precision needs the others too"
    assert not np.array(Image.open(tmp_path / "out" / "masks" / "a" / "00000.png")).any()


def test_a_video_file(run: Command, root: Path, tmp_path: Path) -> None:
    assert run("--save", "video", "--score-threshold", 0.1, of=root / "a").code == 0
    film = tmp_path / "out" / "video" / "a.mp4"
    assert run("--save", "masks", "-o", tmp_path / "second", of=film).code == 0
    assert len(list((tmp_path / "second" / "masks" / "a").glob("*.png"))) == 5


def test_chosen_classes(run: Command, tmp_path: Path) -> None:
    assert run().code == 0
    everything = results(tmp_path)
    kinds = {row["category_id"] for row in everything}
    for number, name in enumerate(("nucleus", "cell"), start=1):
        assert run("--classes", name).code == 0
        assert results(tmp_path) == [row for row in everything if row["category_id"] == number]
    assert kinds


def test_an_interrupted_run_with_other_settings_leaves_out_what_is_old(
    tiny_tracker: Path, root: Path, tmp_path: Path
) -> None:
    def options(**changes: object) -> TrackOptions:
        settings = {"checkpoint": str(tiny_tracker), "output": tmp_path / "out", "device": "cpu", **changes}
        return TrackOptions(frames=root, **settings)  # type: ignore[arg-type]

    track(options(), Interrupted(99))
    with pytest.raises(KeyboardInterrupt):
        track(options(key_every=1), Interrupted(2))
    assert results(tmp_path) == []
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "interrupted"


def test_wrong_options_are_refused(run: Command, root: Path) -> None:
    assert run("--classes", "dog").code == 5
    assert run("--save", "cutouts").code == 5
    assert run(of=root / "nothing").code == 3
    outcome = run("-o", root / "out")
    assert outcome.code == 3
    assert "lies inside the input folder" in outcome.stderr


def test_finished_sequences_are_skipped_and_bad_ones_reported(run: Command, root: Path, tmp_path: Path) -> None:
    assert run("--json").json()["totals"]["done"] == 2
    before = results(tmp_path)
    (root / "z").mkdir()
    (root / "z" / "0.jpg").write_bytes(b"no picture")
    outcome = run("--json")
    assert outcome.code == 7
    assert (outcome.json()["totals"]["skipped"], outcome.json()["totals"]["failed"]) == (2, 1)
    assert "z/0.jpg" in outcome.json()["failed"][0]["reason"]
    assert results(tmp_path) == before
    assert run("--json", "--key-every", 1).json()["totals"]["done"] == 2, "other settings, other results"


class Interrupted:
    """Progress that stops a run after some frames."""

    def __init__(self, frames: int) -> None:
        self.left = frames
        self.before = 0

    def begin(self, items: int, frames: int) -> None:
        pass

    def item(self, name: str) -> None:
        pass

    def done_before(self, frames: int) -> None:
        self.before = frames

    def frame(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def result(self, result: object) -> None:
        pass


def test_an_interrupted_sequence_goes_on_with_the_same_result(tiny_tracker: Path, root: Path, tmp_path: Path) -> None:
    def options(name: str) -> TrackOptions:
        return TrackOptions(
            frames=root,
            checkpoint=str(tiny_tracker),
            output=tmp_path / name,
            device="cpu",
            precision="fp32",
            snapshot_every=3,
        )

    track(options("whole"), Interrupted(99))
    with pytest.raises(KeyboardInterrupt):
        track(options("parts"), Interrupted(4))
    progress = Interrupted(99)
    record = track(options("parts"), progress)
    assert progress.before == 3
    assert record["totals"]["frames"] == 5
    for name in ("tracks.json", "tracks.csv", "masks/a/00004.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_ids_of_annotations_and_evaluation(run: Command, root: Path, tmp_path: Path, vosseg: Command) -> None:
    def video(number: int, name: str, count: int) -> dict[str, object]:
        names = [f"{name}/{t:05d}.png" for t in range(count)]
        return {"id": number, "file_names": names, "length": count, "height": 48, "width": 64}

    truth = {
        "videos": [video(70, "a", 5), video(80, "deep/b", 3)],
        "categories": [{"id": 5, "name": "nucleus"}, {"id": 9, "name": "cell"}],
        "annotations": [],
    }
    for number, (owner, count) in enumerate(((70, 5), (80, 3)), start=1):
        masks = []
        for t in range(count):
            rle = coco_mask.encode(np.asfortranarray((squares(t, (1,)) > 0).astype(np.uint8)))
            masks.append({"size": [48, 64], "counts": rle["counts"].decode()})
        truth["annotations"].append({"id": number, "video_id": owner, "category_id": 5, "segmentations": masks})  # type: ignore[attr-defined]
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    assert run("--annotations", path).code == 0
    found = results(tmp_path)
    assert {row["video_id"] for row in found} == {70, 80}
    assert {row["category_id"] for row in found} <= {5, 9}
    outcome = vosseg("evaluate", "track", tmp_path / "out" / "tracks.json", path, "--json")
    assert outcome.code == 0, outcome.stderr
    assert 0.0 <= outcome.json()["AP50"] <= 1.0
    truth["videos"].append(video(90, "other/a", 5))  # type: ignore[attr-defined]
    path.write_text(json.dumps(truth))
    assert run("--annotations", path, "--overwrite").code == 0, "its whole name goes before the end of a name"
    assert {row["video_id"] for row in results(tmp_path)} == {70, 80}
    (root / "extra").mkdir()
    write_frame(root / "extra" / "0.png", squares(0, (1,)))
    outcome = run("--annotations", path)
    assert outcome.code == 3
    assert "not in the annotations" in outcome.stderr


def test_the_same_checkpoint_gives_instances_of_images(
    tiny_tracker: Path, root: Path, tmp_path: Path, vosseg: Command
) -> None:
    outcome = vosseg(
        "instance", root / "a", "--checkpoint", tiny_tracker, "--device", "cpu", "-o", tmp_path / "still",
        "--score-threshold", 0.1, "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["instances"] > 0
    outcome = vosseg("propagate", root / "a", "--checkpoint", tiny_tracker, "--mask", root / "a" / "00000.png")
    assert outcome.code == 4
    assert "works for `track`, `instance`" in outcome.stderr
