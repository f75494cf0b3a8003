"""`train` as a function: a tiny run on a few pictures, its files, and going on after an interruption.

Covers: io.records.configs, reports.training, runners.train.instances, runners.train.options, runners.train.samples
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.conftest import leave_temporaries
from vossegcli.errors import CheckpointError, ConfigError, InputError
from vossegcli.io.records.locks import output_lock
from vossegcli.io.records.run_records import read_jsonl
from vossegcli.io.weights.checkpoints import read_checkpoint, write_checkpoint
from vossegcli.models.chosen_model import build_network
from vossegcli.runners.train import run as runner
from vossegcli.runners.train.instances import TrainingInstances
from vossegcli.runners.train.options import TrainOptions
from vossegcli.systems import get_system
from vossegcli.types import Task

SETTINGS = """
config = "compact"
checkpoint_every = 2
holdout = {holdout}
[[stages]]
name = "matching"
objective = "correspondence"
steps = 2
batch = 1
size = 32
frames = 2
[[stages]]
name = "segmentation"
objective = "segmentation"
steps = 3
batch = 1
size = 32
frames = 3
freeze_norm = true
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(SETTINGS.format(holdout=0.2))
    return path


@pytest.fixture
def own_discs(discs: Path, tmp_path: Path) -> Path:
    """A copy of the discs that a test may change."""
    return Path(shutil.copytree(discs.parent, tmp_path / "own")) / discs.name


def options(discs: Path, settings: Path, output: Path, **changes: object) -> TrainOptions:
    return TrainOptions(
        **{
            "system": "afb-urr",
            "data": (discs,),
            "config": settings,
            "output": output,
            "precision": "fp32",
            **changes,
        }
    )  # type: ignore[arg-type]


INSTANCES = """
config = "compact"
checkpoint_every = 2
validate_every = 2
[[stages]]
name = "a"
objective = "instances"
steps = 4
batch = 2
size = 64
short_side = 64
[model]
backbone = "resnet"
stem = 8
planes = [8, 8, 16, 16]
depths = [1, 1, 1, 1]
channels = 16
groups = 4
basis_channels = 8
top_k = 5
"""


def test_instances_are_validated_while_training_and_the_best_is_kept(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "instances.toml"
    settings.write_text(INSTANCES.format())
    run = options(discs, settings, tmp_path / "out", system="b2inst", val=(discs,))
    facts = runner.train(run, silent)
    rows = list(read_jsonl(tmp_path / "out" / "validation.jsonl"))
    assert [row["step"] for row in rows] == [2]
    assert {"validation_AP", "validation_AP50", "validation_AP75"} <= set(facts)
    checkpoint = read_checkpoint(str(tmp_path / "out" / "model.safetensors"))
    assert checkpoint.header.labels == ("1",), "a category without a name is called by its id"
    assert checkpoint.header.config["classes"] == 1
    assert checkpoint.header.training["validation_AP"] >= rows[0]["validation_AP"] - 1e-9
    assert not (tmp_path / "out" / "best.safetensors").exists()
    build_network(checkpoint, get_system("b2inst"))


def test_nothing_to_resume_is_told(discs: Path, settings: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    runner.train(options(discs, settings, tmp_path / "out", resume=True), silent, notes.append)
    assert f"nothing to resume in {tmp_path / 'out'}: training begins" in notes


def test_what_a_killed_run_has_left_goes(discs: Path, settings: Path, tmp_path: Path) -> None:
    """The state of a large network takes gigabytes."""
    leave_temporaries(tmp_path / "out")
    runner.train(options(discs, settings, tmp_path / "out"), silent)
    assert not list((tmp_path / "out").glob(".vosseg-*"))


def test_an_ended_run_that_is_resumed_keeps_its_best_weights(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "instances.toml"
    settings.write_text(INSTANCES.format().replace("steps = 4", "steps = 1"))
    run = options(discs, settings, tmp_path / "out", system="b2inst", val=(discs,))
    runner.train(run, silent)
    model = tmp_path / "out" / "model.safetensors"
    ended = read_checkpoint(str(model))
    better = {**ended.header.training, "validation_AP": 2.0}  # as of weights in the middle of the run
    write_checkpoint(model, ended.tensors, replace(ended.header, training=better))
    for steps in (1, 2):  # nothing is left to do; and it goes on
        settings.write_text(INSTANCES.format().replace("steps = 4", f"steps = {steps}"))
        assert runner.train(replace(run, resume=True), silent)["validation_AP"] == 2.0
        assert read_checkpoint(str(model)).header.training == better


def test_a_warm_up_without_classes_is_the_start_for_others(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "instances.toml"
    settings.write_text("class_agnostic = true\n" + INSTANCES.format())
    runner.train(options(discs, settings, tmp_path / "warm", system="b2inst", val=(discs,)), silent)
    warm = read_checkpoint(str(tmp_path / "warm" / "model.safetensors"))
    assert warm.header.labels == ("object",)
    two = json.loads(discs.read_text())
    two["categories"].append({"id": 9, "name": "other"})
    two["annotations"][0]["category_id"] = 9
    two["categories"].append({"id": 1, "name": "disc"})
    for image in two["images"]:
        (tmp_path / image["file_name"]).symlink_to(discs.parent / image["file_name"])
    (tmp_path / "two.json").write_text(json.dumps(two))
    settings.write_text(INSTANCES.format().replace("steps = 4", "steps = 1\nlearning_rate = 1e-9"))
    start = str(tmp_path / "warm" / "model.safetensors")
    run = options(tmp_path / "two.json", settings, tmp_path / "out", system="b2inst", init=start)
    runner.train(run, silent)
    tuned = read_checkpoint(str(tmp_path / "out" / "model.safetensors"))
    assert len(tuned.header.labels) == 2
    fresh = get_system("b2inst").class_layers
    for name, value in tuned.tensors.items():
        if name.startswith(fresh):
            assert name.endswith("bias") or value.shape != warm.tensors[name].shape
        elif name.endswith("weight"):
            assert torch.allclose(value.float(), warm.tensors[name].float(), atol=1e-3), name


def test_partly_annotated_sets_are_named_and_for_images_alone(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "instances.toml"
    settings.write_text(f'partly_annotated = ["{discs.stem}"]\n' + INSTANCES.format())
    facts = runner.train(options(discs, settings, tmp_path / "out", system="b2inst", val=(discs,)), silent)
    assert facts["steps"] == 4
    settings.write_text(f'partly_annotated = ["{discs.stem}"]\n' + TRACKS)
    with pytest.raises(ConfigError, match="not in videos"):
        runner.train(options(discs, settings, tmp_path / "clips", system="mobileinst", val=(discs,)), silent)
    settings.write_text('partly_annotated = ["mine"]\n' + INSTANCES.format())
    with pytest.raises(ConfigError, match=f"no data set is named 'mine'.*{discs.stem}"):
        runner.train(options(discs, settings, tmp_path / "no", system="b2inst", val=(discs,)), silent)


def test_instances_resume_exactly(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "instances.toml"
    settings.write_text(INSTANCES.format())
    whole, parts = (options(discs, settings, tmp_path / n, system="b2inst", val=(discs,)) for n in ("a", "b"))
    runner.train(whole, silent)
    with pytest.raises(InterruptedTrainingError):
        runner.train(parts, interrupt_after(3))
    runner.train(replace(parts, resume=True), silent)
    one, other = (list(read_jsonl(tmp_path / n / "train.jsonl"))[-1] for n in ("a", "b"))
    assert one["loss"] == other["loss"]


def test_of_several_validations_the_best_counts(discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "instances.toml"
    settings.write_text(INSTANCES.format().replace("steps = 4", "steps = 8"))
    measured = iter([0.2, 0.5, 0.4, 0.3])
    monkeypatch.setattr(TrainingInstances, "validate", lambda *_: ({"validation_AP": next(measured)}, []))
    facts = runner.train(options(discs, settings, tmp_path / "out", system="b2inst", val=(discs,)), silent)
    assert (facts["steps"], facts["validation_AP"]) == (4, 0.5)
    kept = read_checkpoint(str(tmp_path / "out" / "model.safetensors")).header.training
    assert (kept["steps"], kept["validation_AP"]) == (4, 0.5)


def test_a_validation_that_was_killed_is_made_up_for(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of the step is saved before, so that training itself goes on behind it."""
    settings = tmp_path / "instances.toml"
    settings.write_text(INSTANCES.format())
    whole, parts = (options(discs, settings, tmp_path / n, system="b2inst", val=(discs,)) for n in ("a", "b"))
    facts = runner.train(whole, silent)

    def killed(*_: object) -> None:
        raise InterruptedTrainingError

    with monkeypatch.context() as patch, pytest.raises(InterruptedTrainingError):
        patch.setattr(TrainingInstances, "validate", killed)
        runner.train(parts, silent)
    assert list(read_jsonl(tmp_path / "b" / "validation.jsonl")) == []
    assert runner.train(replace(parts, resume=True), silent) == facts
    rows = list(read_jsonl(tmp_path / "b" / "validation.jsonl"))
    assert rows == list(read_jsonl(tmp_path / "a" / "validation.jsonl"))
    assert [row["step"] for row in rows] == [2]


TRACKS = """
config = "compact"
model = { widths = [8, 8, 16, 16], depths = [1, 1, 1, 1], channels = 32, decoder_heads = 4, queries = 8, heads = 2 }
checkpoint_every = 2
[[stages]]
name = "dense"
objective = "dense"
steps = 1
batch = 2
frames = 1
size = 64
short_side = 64
[[stages]]
name = "images"
objective = "instances"
steps = 2
batch = 2
frames = 1
size = 64
short_side = 64
[[stages]]
name = "clips"
objective = "clips"
steps = 2
batch = 2
frames = 2
size = 64
short_side = 64
"""


def test_images_and_clips_follow_each_other_and_resume_exactly(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "tracks.toml"
    settings.write_text(TRACKS)
    whole, parts = (options(discs, settings, tmp_path / n, system="mobileinst", val=(discs,)) for n in ("a", "b"))
    facts = runner.train(whole, silent)
    assert facts["steps"] == 5
    assert "validation_AP" in facts
    rows = list(read_jsonl(tmp_path / "a" / "train.jsonl"))
    assert [row["stage"] for row in rows] == ["dense", "images", "images", "clips", "clips"]
    assert "passed_iou" in rows[4]
    with pytest.raises(InterruptedTrainingError):
        runner.train(parts, interrupt_after(3))
    runner.train(replace(parts, resume=True), silent)
    one, other = (read_checkpoint(str(tmp_path / n / "model.safetensors")) for n in ("a", "b"))
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    build_network(one, get_system("mobileinst"))


def silent(step: int, total: int, values: object) -> None:
    pass


class InterruptedTrainingError(Exception):
    pass


def interrupt_after(last: int) -> object:
    def on_progress(step: int, total: int, values: object) -> None:
        if step == last:
            raise InterruptedTrainingError

    return on_progress


def test_a_run_leaves_checkpoint_log_and_report_and_resumes_exactly(
    discs: Path, settings: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    facts = runner.train(options(discs, settings, whole), silent)
    assert facts["steps"] == 5
    assert 0.0 <= facts["validation_J"] <= 1.0
    rows = list(read_jsonl(whole / "train.jsonl"))
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[4]["stage"] == "segmentation"
    report = (whole / "report.html").read_text()
    assert report.count("<polyline") >= 5
    assert "data:image/jpeg;base64," in report
    assert "http" not in report.replace("http-equiv", "")

    with pytest.raises(InterruptedTrainingError):
        runner.train(options(discs, settings, parts), interrupt_after(3))
    with pytest.raises(ConfigError, match="--resume"):
        runner.train(options(discs, settings, parts), silent)
    runner.train(options(discs, settings, parts, resume=True), silent)
    one, other = (read_checkpoint(str(folder / "model.safetensors")) for folder in (whole, parts))
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert [row["step"] for row in read_jsonl(parts / "train.jsonl")] == [1, 2, 3, 4, 5]
    build_network(one, get_system("afb-urr"))

    settings.write_text(SETTINGS.format(holdout=0.1))
    with pytest.raises(CheckpointError, match="other settings: holdout"):
        runner.train(options(discs, settings, parts, resume=True), silent)


def test_two_trainings_do_not_share_a_folder(discs: Path, settings: Path, tmp_path: Path) -> None:
    with output_lock(tmp_path / "out", None), pytest.raises(InputError, match="in use by another run"):
        runner.train(options(discs, settings, tmp_path / "out", resume=True), silent)
    assert not (tmp_path / "out" / "samples.jpg").exists()


def test_annotated_videos_are_trained_on(settings: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    clip = Path(__file__).parents[3] / "examples/bunny"
    trained = options(clip, settings, tmp_path / "out", dry_run=True)
    runner.train(trained, silent, notes.append)
    assert "50% of the clips are taken from annotated videos (1)" in notes
    settings.write_text("real_clips = 1.5" + SETTINGS.format(holdout=0.2))
    with pytest.raises(ConfigError, match=r"real_clips is 1\.5"):
        runner.train(trained, silent)


@pytest.mark.parametrize("task", ["fewshot", "instance", "track"])
def test_annotated_videos_are_refused_where_they_cannot_be_learnt_from(task: Task) -> None:
    with pytest.raises(InputError, match="bunny: holds annotated videos.*Give an annotation file, or images/"):
        runner.read_images([Path(__file__).parents[3] / "examples/bunny"], task)


def test_videos_and_annotation_files_of_one_folder_are_both_trained_on(own_discs: Path, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[3] / "examples/bunny", tmp_path / "data/clip")
    shutil.copytree(own_discs.parent, tmp_path / "data/stills")
    found = runner.read_images([tmp_path / "data"], "propagate")
    assert Counter(image.source == "clip" for image in found.images) == {True: 8, False: 4}
    pairs = "data: left out: 1 folder of images with masks, to be given by itself with --data: clip/annotated/rabbit"
    assert found.notes == (
        "data: 1 object in 8 frames of 1 video", "data: 4 pictures of annotation files besides the videos", pairs
    )  # fmt: skip
    still = runner.read_images([tmp_path / "data"], "instance")
    assert len(still.images) == 4
    what = "annotated videos, and only systems of `vosseg propagate` learn from those"
    assert still.notes == (pairs, f"data: left out: {what}")


def test_annotations_of_frames_whose_masks_are_known_are_not_trained_on_twice(own_discs: Path, tmp_path: Path) -> None:
    shutil.copytree(own_discs.parent, tmp_path / "clip/frames")
    (tmp_path / "clip/masks").mkdir()
    for image in runner.read_images([own_discs], "instance").images[:2]:
        Image.new("L", (image.width, image.height), 1).save(tmp_path / f"clip/masks/{image.path.stem}.png")
    found = runner.read_images([tmp_path / "clip"], "propagate")
    assert len({image.path for image in found.images}) == len(found.images) == 4


def test_frames_that_are_no_clips_are_told(settings: Path, tmp_path: Path) -> None:
    bunny = Path(__file__).parents[3] / "examples/bunny"
    for frames in ("clip/frames", "still/images"):
        shutil.copytree(bunny / "frames", tmp_path / frames)
        (tmp_path / frames).with_name("masks").mkdir()
    shutil.copy(bunny / "masks/00000.png", tmp_path / "clip/masks")
    for path in (tmp_path / "still/images").iterdir():
        shutil.copy(bunny / "masks/00000.png", tmp_path / "still/masks" / f"{path.stem}.png")
    notes: list[str] = []
    for name in ("clip", "still"):
        runner.train(options(tmp_path / name, settings, tmp_path / "out", dry_run=True), silent, notes.append)
    one = "1 of 1 videos shows objects in one frame or none: no clips are taken from them, only single pictures"
    assert one in notes
    assert "still: images/ holds single pictures; if they are frames of a video, call it frames/" in notes
    assert not any("taken from annotated videos" in note for note in notes)


def test_what_was_read_is_told_before_it_is_refused(settings: Path, tmp_path: Path) -> None:
    bunny, notes = Path(__file__).parents[3] / "examples/bunny", list[str]()
    shutil.copytree(bunny / "frames", tmp_path / "clip/frames")
    (tmp_path / "clip/masks").mkdir()
    Image.new("L", Image.open(bunny / "masks/00000.png").size).save(tmp_path / "clip/masks/00000.png")
    with pytest.raises(ConfigError, match="no training image has an object"):
        runner.train(options(tmp_path / "clip", settings, tmp_path / "out", dry_run=True), silent, notes.append)
    assert notes == ["clip: 0 objects in 1 frame of 1 video"]


def test_objects_of_videos_are_no_classes_that_validation_lacks(settings: Path, tmp_path: Path) -> None:
    bunny, notes = Path(__file__).parents[3] / "examples/bunny", list[str]()
    shutil.copytree(bunny, tmp_path / "other")
    told = options(bunny, settings, tmp_path / "out", dry_run=True, val=(tmp_path / "other",))
    runner.train(told, silent, notes.append)
    assert not any("classes" in note for note in notes)


def test_a_checkpoint_can_be_the_start(discs: Path, settings: Path, tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="shape|key"):  # of another configuration
        runner.train(options(discs, settings, tmp_path / "out", init=str(checkpoint)), silent)
    facts = runner.train(options(discs, settings, tmp_path / "out", init="imagenet"), silent)
    assert facts["init"] == "imagenet"


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"compact"', '"huge"', "huge"),
        ('"correspondence"', '"matching"', "matching"),
        ("size = 32", "size = 33", "33"),
    ],
)
def test_bad_settings_are_named(discs: Path, settings: Path, tmp_path: Path, old: str, new: str, match: str) -> None:
    settings.write_text(SETTINGS.format(holdout=0.0).replace(old, new, 1))
    with pytest.raises(ConfigError, match=match):
        runner.train(options(discs, settings, tmp_path / "out"), silent)


def test_bad_data_is_named(discs: Path, settings: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    for text, match in (
        ("{", "JSON"),
        (json.dumps({"images": []}), "annotations"),
        (
            json.dumps(
                {
                    "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 4}],
                    "annotations": [{"id": 4, "image_id": 1, "category_id": "x"}],
                }
            ),
            "annotation 4",
        ),
        (json.dumps({"images": [{"id": 1}], "annotations": []}), "image 1"),
    ):
        broken.write_text(text)
        with pytest.raises(InputError, match=match):
            runner.train(options(discs, settings, tmp_path / "out", data=(broken,)), silent)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="empty: holds no annotated images"):
        runner.train(options(discs, settings, tmp_path / "out", data=(empty,)), silent)


def test_an_objective_says_what_it_takes(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "tracks.toml"
    for old, new, match in (
        ("frames = 1", "frames = 3", "'dense' takes images"),
        ("frames = 2", "frames = 5", "'clips' takes clips of 2 frames"),
        ("size = 64", "size = 80", "multiple of 64"),
    ):
        settings.write_text(TRACKS.replace(old, new))
        with pytest.raises(ConfigError, match=match):
            runner.train(options(discs, settings, tmp_path / "out", system="mobileinst"), silent)
    settings.write_text(TRACKS.replace("model = {", 'model = { backbone = "token_pyramid",'))
    with pytest.raises(ConfigError, match="no ImageNet weights fit the token pyramid"):
        runner.train(options(discs, settings, tmp_path / "out", system="mobileinst", init="imagenet"), silent)


def test_a_later_stage_is_checked_before_the_first_one_is_trained(discs: Path, settings: Path, tmp_path: Path) -> None:
    text = SETTINGS.format(holdout=0.0).replace("steps = 2", "steps = 30")
    settings.write_text(text.replace("frames = 3", "frames = 1"))
    with pytest.raises(ConfigError, match="stage 'segmentation': frames is 1"):
        runner.train(options(discs, settings, tmp_path / "out"), silent)
    assert not (tmp_path / "out" / "train.jsonl").exists()


@pytest.mark.parametrize("output", ["taken", "taken/below"])
def test_an_output_that_cannot_be_a_folder_is_refused_first(
    discs: Path, settings: Path, tmp_path: Path, output: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="taken.*cannot be written"):
        runner.train(options(discs, settings, tmp_path / output), lambda *_: None)
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_dry_run_writes_the_contact_sheet_alone(discs: Path, settings: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    facts = runner.train(options(discs, settings, tmp_path / "out", dry_run=True), silent, notes.append)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["samples.jpg"]
    assert facts["images"] >= 1
    assert any("samples.jpg" in note for note in notes)
    assert any("for validation" in note for note in notes)


def test_resuming_before_the_first_state_starts(discs: Path, settings: Path, tmp_path: Path) -> None:
    facts = runner.train(options(discs, settings, tmp_path / "out", resume=True), silent)
    assert facts["steps"] == 5


def test_resuming_with_more_steps_extends_the_run(discs: Path, settings: Path, tmp_path: Path) -> None:
    text = SETTINGS.format(holdout=0.0)  # without validation, by which earlier weights could be the best
    settings.write_text(text)
    runner.train(options(discs, settings, tmp_path / "out"), silent)
    settings.write_text(text.replace("steps = 3", "steps = 6"))
    facts = runner.train(options(discs, settings, tmp_path / "out", resume=True), silent)
    assert facts["steps"] == 8
    assert [row["step"] for row in read_jsonl(tmp_path / "out" / "train.jsonl")] == list(range(1, 9))


def test_other_classes_and_other_data_are_not_resumed(own_discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "instances.toml"
    settings.write_text(INSTANCES.format())
    payload = json.loads(own_discs.read_text())
    ids = sorted({one["category_id"] for one in payload["annotations"]})
    payload["categories"] = [{"id": c, "name": f"class {c}"} for c in ids]
    own_discs.write_text(json.dumps(payload))
    run = options(own_discs, settings, tmp_path / "out", system="b2inst", val=(own_discs,))
    runner.train(run, silent)
    payload["categories"][0]["name"] = "renamed"
    own_discs.write_text(json.dumps(payload))
    with pytest.raises(CheckpointError, match="classes have changed.*class.*renamed"):
        runner.train(replace(run, resume=True), silent)
    payload["categories"][0]["name"] = "class 1"
    payload["annotations"].pop()
    own_discs.write_text(json.dumps(payload))
    with pytest.raises(CheckpointError, match="training data"):
        runner.train(replace(run, resume=True, val=()), silent)


def test_missing_pictures_are_all_listed_before_the_first_step(own_discs: Path, settings: Path, tmp_path: Path) -> None:
    payload = json.loads(own_discs.read_text())
    names = [image["file_name"] for image in payload["images"]][:2]
    for image in payload["images"][:2]:
        image["file_name"] = f"gone_{image['file_name']}"
    own_discs.write_text(json.dumps(payload))
    with pytest.raises(InputError, match=f"2 pictures are missing.*gone_{names[0]}.*gone_{names[1]}"):
        runner.train(options(own_discs, settings, tmp_path / "out"), silent)


def test_validation_without_objects_is_no_error(own_discs: Path, settings: Path, tmp_path: Path) -> None:
    payload = json.loads(own_discs.read_text())
    payload["annotations"] = []
    empty = own_discs.with_name("empty.json")
    empty.write_text(json.dumps(payload))
    notes: list[str] = []
    facts = runner.train(options(own_discs, settings, tmp_path / "out", val=(empty,)), silent, notes.append)
    assert "validation_J" not in facts
    assert any("nothing is measured" in note for note in notes)


def test_one_picture_is_trained_on(own_discs: Path, settings: Path, tmp_path: Path) -> None:
    payload = json.loads(own_discs.read_text())
    first = payload["annotations"][0]["image_id"]
    payload["images"] = [image for image in payload["images"] if image["id"] == first]
    payload["annotations"] = [one for one in payload["annotations"] if one["image_id"] == first]
    own_discs.write_text(json.dumps(payload))
    settings.write_text(SETTINGS.format(holdout=0.99))
    notes: list[str] = []
    facts = runner.train(options(own_discs, settings, tmp_path / "out"), silent, notes.append)
    assert facts["images"] == 1
    assert any("none are held out" in note for note in notes)


def test_batch_norms_need_more_than_one_value(discs: Path, tmp_path: Path) -> None:
    settings = tmp_path / "tracks.toml"
    settings.write_text(TRACKS.replace("batch = 2", "batch = 1", 1))
    with pytest.raises(ConfigError, match="batch 1 at size 64"):
        runner.train(options(discs, settings, tmp_path / "out", system="mobileinst"), silent)


def test_a_folder_of_files_is_read_by_part(discs: Path, tmp_path: Path) -> None:
    """Files of validation and test are told by their names; pictures in two entries are told."""
    for name in ("instances_train2017", "instances_val2017", "more-test"):
        shutil.copy(discs, tmp_path / f"{name}.json")
    found = runner.read_images([tmp_path], "instance", "train", discs.parent)
    assert {image.dataset for image in found.images} == {"instances_train2017"}
    assert (
        "8 images of other parts than 'train' were left out: instances_val2017.json, more-test.json" in found.notes[0]
    )
    held_out = runner.read_images([tmp_path], "instance", "val", discs.parent)
    assert {image.dataset for image in held_out.images} == {"instances_val2017"}
    (tmp_path / "instances_train2017.json").unlink()
    (tmp_path / "more-test.json").unlink()
    every = runner.read_images([tmp_path], "instance", "train", discs.parent)
    assert len(every.images) == 4, "there is nothing else to train on"


def test_pictures_that_are_listed_twice_are_told(discs: Path, settings: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    run = options(discs, settings, tmp_path / "out", data=(discs, discs), dry_run=True)
    runner.train(run, silent, notes.append)
    assert any("4 pictures are listed more than once" in note for note in notes)


def test_pictures_that_show_several_classes_are_no_repetition(discs: Path) -> None:
    """A folder of classes gives an entry for each class of a picture."""
    image, *others = runner.read_images([discs], "fewshot").images
    two = [image, replace(image, names=("other",) * len(image.names)), *others]
    assert runner._repeated(two) == []
    assert runner._repeated([*two, replace(image, names=(), segmentations=())])[0].startswith("1 picture is")


def test_a_project_of_supervisely_is_read(discs: Path, tmp_path: Path) -> None:
    """Its meta.json lies beside the folders and is no annotation file."""
    (tmp_path / "ds" / "ann").mkdir(parents=True)
    (tmp_path / "ds" / "img").mkdir()
    shutil.copy(discs.parent / "0.png", tmp_path / "ds" / "img" / "0.png")
    points = {"exterior": [[9, 9], [50, 9], [50, 50]], "interior": []}
    entry = {"classTitle": "cat", "geometryType": "polygon", "points": points}
    payload = {"size": {"height": 90, "width": 120}, "objects": [entry]}
    (tmp_path / "ds" / "ann" / "0.png.json").write_text(json.dumps(payload))
    (tmp_path / "meta.json").write_text(json.dumps({"classes": [{"title": "cat"}], "tags": []}))
    (image,) = runner.read_images([tmp_path], "instance", "train").images
    assert image.path.is_file()
    assert image.names == ("cat",)


def test_pictures_that_changed_are_noticed(own_discs: Path) -> None:
    """A state knows the sizes of the files of its pictures."""
    images = runner.read_images([own_discs], "propagate").images
    before = runner.data_fingerprint(images)
    assert runner.data_fingerprint(images) == before
    picture = own_discs.parent / "0.png"
    picture.write_bytes(picture.read_bytes() + b"more")
    assert runner.data_fingerprint(images) != before


def test_pictures_that_are_trained_on_and_validated_on_are_told(discs: Path, settings: Path, tmp_path: Path) -> None:
    def told(**changes: object) -> list[str]:
        notes: list[str] = []
        run = options(discs, settings, tmp_path / "out", dry_run=True, **changes)
        runner.train(run, silent, notes.append)
        return [note for note in notes if "too good" in note]

    count = len(json.loads(discs.read_text())["images"])
    assert told(val=(discs,)) == [f"{count} pictures of --val are also in --data: what is measured on them is too good"]
    assert told() == []


def test_settings_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes("# größer\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"a\.toml: is not TOML: it is no text in UTF-8"):
        runner.read_settings(tmp_path / "a.toml", get_system("afb-urr"))


def test_a_byte_order_mark_is_no_setting(discs: Path, settings: Path, tmp_path: Path) -> None:
    settings.write_bytes(b"\xef\xbb\xbf" + settings.read_bytes())
    runner.train(options(discs, settings, tmp_path / "out", dry_run=True), silent)


def test_a_dry_run_refuses_a_start_that_does_not_fit(discs: Path, settings: Path, tmp_path: Path) -> None:
    """Before it is submitted to a queue for a night."""
    for init in ("nowhere", "fwb-compact"):
        with pytest.raises(CheckpointError, match=init):
            runner.train(options(discs, settings, tmp_path / "out", dry_run=True, init=init), silent)
    assert not list((tmp_path / "out").iterdir())
