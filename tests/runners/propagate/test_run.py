"""What `propagate` writes: names, sizes, ids, kinds of output, layouts, records."""

import csv
import json
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import (
    HEIGHT,
    WIDTH,
    Clip,
    Told,
    draw_mask,
    draw_video,
    files_below,
    read_ids,
    squares,
    write_frame,
)
from vossegcli.io.media.video import VideoFrames
from vossegcli.io.media.video_writer import VideoWriter
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate
from vossegcli.systems.afb_urr.feature_bank import FeatureBank
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.base import Segmentation

Run = Callable[..., dict[str, object]]


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path) -> Run:
    """Propagate into `tmp_path/out` and return the record."""

    def call(frames: Path, mask: Path | None = None, **options: object) -> dict[str, object]:
        return propagate(
            PropagateOptions(
                frames=frames, mask=mask, output=tmp_path / "out", checkpoint=str(checkpoint), device="cpu",
                precision="fp32", **options,  # type: ignore[arg-type]
            ),
            Told(),
        )  # fmt: skip

    return call


def _masks(tmp_path: Path, name: str = "clip") -> dict[str, np.ndarray]:
    folder = tmp_path / "out" / "masks" / name
    return {path.stem: read_ids(path) for path in sorted(folder.iterdir())}


def _rows(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "out" / "confidence.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_masks_are_named_and_sized_like_the_frames(run: Run, tmp_path: Path) -> None:
    for index, name in enumerate(("2.jpg", "10.png", "é x.bmp", "z.webp")):
        write_frame(tmp_path / "clip" / name, squares(index, (1, 3, 7), 37, 71))
    mask = draw_mask(tmp_path / "m.png", (1, 3, 7), size=(37, 71))
    run(tmp_path / "clip", mask)
    masks = _masks(tmp_path)
    assert set(masks) == {"2", "10", "é x", "z"}
    assert {ids_map.shape for ids_map in masks.values()} == {(37, 71)}
    assert (masks["2"] == squares(0, (1, 3, 7), 37, 71)).all()
    assert set(np.unique(np.concatenate([m.ravel() for m in masks.values()]))) == {0, 1, 3, 7}
    with Image.open(tmp_path / "out" / "masks" / "clip" / "10.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[3:6] == [128, 0, 0]  # type: ignore[index]


def test_ids_above_255_make_16_bit_masks(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 3)
    run(tmp_path / "clip", draw_mask(tmp_path / "m.png", (2, 300, 1000)))
    masks = _masks(tmp_path)
    assert masks["00000"].dtype == np.uint16
    assert (masks["00000"] == squares(0, (2, 300, 1000))).all()
    assert set(np.unique(np.stack(list(masks.values())))) <= {0, 2, 300, 1000}
    assert {row["object"] for row in _rows(tmp_path)} == {"2", "300", "1000"}


def test_black_and_white_is_object_1_and_says_so(run: Run, clip: Clip, tmp_path: Path) -> None:
    white = (squares(0, (1,)) * 255).astype(np.uint8)
    Image.fromarray(white).save(tmp_path / "bw.png")
    run(clip.frames, tmp_path / "bw.png")
    assert set(np.unique(_masks(tmp_path)["00000"])) == {0, 1}
    line = json.loads((tmp_path / "out" / "run.jsonl").read_text())
    assert line["notes"] == ["0/255 read as object 1"]


def test_what_is_interpreted_in_later_masks_is_told(run: Run, clip: Clip, tmp_path: Path) -> None:
    """8 bits with 255 beside 16 bits: void."""
    for index, (dtype, void) in enumerate(((np.uint16, 2), (np.uint8, 255), (np.uint8, 255))):
        ids = squares(index, (1, 2)).astype(dtype)
        ids[:3] = void
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(ids).save(tmp_path / "masks" / f"{index:05d}.png")
    run(clip.frames, tmp_path / "masks", use_masks="all")
    line = json.loads((tmp_path / "out" / "run.jsonl").read_text())
    assert line["notes"] == ["mask of 00001 and 1 more: 255 read as void, that is background"]


def test_twelve_objects(run: Run, tmp_path: Path) -> None:
    ids = tuple(range(1, 13))
    draw_video(tmp_path / "clip", 3, ids)
    run(tmp_path / "clip", draw_mask(tmp_path / "m.png", ids))
    assert tuple(np.unique(_masks(tmp_path)["00000"])) == (0, *ids)
    assert len(_rows(tmp_path)) == 3 * 12


def test_what_a_step_gave_is_gone_at_the_next_one(run: Run, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the log odds of all objects, gigabytes where there are many."""
    step, alive, last = AFBURRPredictor.step, [], [lambda: None]

    def watched(predictor: AFBURRPredictor, frame: torch.Tensor) -> Segmentation:
        alive.append(last[0]() is not None)
        found = step(predictor, frame)
        last[0] = weakref.ref(found.object_probs[0])
        return found

    monkeypatch.setattr(AFBURRPredictor, "step", watched)
    run(clip.frames, clip.mask)
    assert set(alive) == {False}
    assert len(alive) > 1


def test_a_sequence_that_is_done_smaller_has_the_memory_of_the_larger_one(
    run: Run, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = AFBURRPredictor.step
    banks: dict[int | None, weakref.ref[FeatureBank]] = {}
    alive = []

    def limited(predictor: AFBURRPredictor, frame: torch.Tensor) -> Segmentation:
        found = step(predictor, frame)
        banks.setdefault(predictor.short_side, weakref.ref(predictor.bank))
        if predictor.short_side is None:
            raise torch.OutOfMemoryError
        alive.append(banks[None]() is not None)
        return found

    monkeypatch.setattr(AFBURRPredictor, "step", limited)
    record = run(clip.frames, mask=clip.mask, oom="shrink", short_side=0)
    assert record["totals"]["done"] == 1
    assert alive == [False] * 5


def test_on_a_gpu_the_fastest_convolutions_are_looked_for(
    run: Run, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)  # a CPU has nothing to choose from
    run(clip.frames, clip.mask)
    assert torch.backends.cudnn.benchmark


def test_a_mask_without_background(run: Run, clip: Clip, tmp_path: Path) -> None:
    full = np.full((HEIGHT, WIDTH), 2, np.uint8)
    full[:, : WIDTH // 2] = 5
    Image.fromarray(full).save(tmp_path / "full.png")
    run(clip.frames, tmp_path / "full.png")
    masks = _masks(tmp_path)
    assert (masks["00000"] == full).all()
    assert all(set(np.unique(ids_map)) <= {0, 2, 5} for ids_map in masks.values())


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_very_short_videos(run: Run, tmp_path: Path, frames: int, direction: str) -> None:
    draw_video(tmp_path / "clip", frames)
    record = run(tmp_path / "clip", draw_mask(tmp_path / "m.png"), direction=direction)
    assert len(_masks(tmp_path)) == frames
    assert record["totals"]["frames"] == frames  # type: ignore[index]
    assert (_masks(tmp_path)["00000"] == squares(0, (1, 2))).all()


@pytest.mark.parametrize("size", [(1, 1), (17, 16), (33, 31), (5, 90)])
def test_odd_sizes(run: Run, tmp_path: Path, size: tuple[int, int]) -> None:
    mask = np.zeros(size, np.uint8)
    mask[: max(1, size[0] // 2)] = 1
    for index in range(3):
        write_frame(tmp_path / "clip" / f"{index}.png", mask)
    Image.fromarray(mask).save(tmp_path / "m.png")
    run(tmp_path / "clip", tmp_path / "m.png", save=("overlay", "video", "probabilities"))
    assert {ids_map.shape for ids_map in _masks(tmp_path).values()} == {size}


def test_more_than_255_frames(run: Run, tmp_path: Path) -> None:
    names = draw_video(tmp_path / "clip", 260, (1,), suffix=".png", size=(16, 16))
    record = run(tmp_path / "clip", draw_mask(tmp_path / "m.png", (1,), size=(16, 16)), snapshot_every=50)
    assert list(_masks(tmp_path)) == names
    assert [row["frame"] for row in _rows(tmp_path)] == names
    assert record["totals"]["frames"] == 260  # type: ignore[index]


@pytest.mark.parametrize("at", ["00004", "4"])
def test_a_mask_of_another_frame_goes_both_ways(run: Run, clip: Clip, tmp_path: Path, at: str) -> None:
    record = run(clip.frames, draw_mask(tmp_path / "m.png", index=4), at=at)
    masks = _masks(tmp_path)
    assert (masks["00004"] == squares(4, (1, 2))).all()
    assert record["totals"]["frames"] == 6  # type: ignore[index]
    assert record["direction"] == "both"
    assert [row["frame"] for row in _rows(tmp_path)] == [name for name in clip.names for _ in range(2)]
    notes = json.loads((tmp_path / "out" / "run.jsonl").read_text())["notes"]
    assert notes == ([] if at == "00004" else ["--at 4 is frame 00004"])


def test_both_ways_are_forward_and_backward(run: Run, clip: Clip, tmp_path: Path) -> None:
    mask = draw_mask(tmp_path / "m.png", index=3)
    found = {}
    for direction in ("forward", "backward", "both"):
        run(clip.frames, mask, at="3", direction=direction)
        found[direction] = _masks(tmp_path)
    for index, name in enumerate(clip.names):
        same = "backward" if index <= 3 else "forward"
        assert (found["both"][name] == found[same][name]).all()
        other = "forward" if index < 3 else "backward"
        if index != 3:
            assert not found[other][name].any()  # not reached from there: empty


class _Spy:
    """Counts what the predictor is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.sizes: list[int] = []
        for name in ("start", "add_objects"):
            original = getattr(AFBURRPredictor, name)
            monkeypatch.setattr(AFBURRPredictor, name, self._wrapped(name, original))

    def _wrapped(self, name: str, original: Callable[..., None]) -> Callable[..., None]:
        def call(predictor: AFBURRPredictor, frame: torch.Tensor, label_map: torch.Tensor) -> None:
            self.sizes.append(sum(predictor.bank.sizes))
            self.calls.append((name, tuple(int(i) for i in label_map.unique() if i)))
            original(predictor, frame, label_map)

        return call


def _folder_of_masks(tmp_path: Path) -> Path:
    """Object 1 is annotated on frames 1 and 4, object 5 appears on frame 4; frame 0 is empty."""
    masks = tmp_path / "masks"
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(_made(masks) / "00000.png")
    draw_mask(masks / "00001.png", (1,), index=1)
    draw_mask(masks / "00004.png", (1, 5), index=4)
    return masks


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize(
    ("use", "calls"),
    [
        ("first", [("start", (1,))]),
        ("new", [("start", (1,)), ("add_objects", (5,))]),
        ("all", [("start", (1,)), ("add_objects", (1, 5))]),
        (None, [("start", (1,)), ("add_objects", (5,))]),
    ],
)
def test_how_much_of_a_folder_of_masks_is_used(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str | None, calls: list[object]
) -> None:
    draw_video(tmp_path / "clip", 6, (1, 5))
    spy = _Spy(monkeypatch)
    record = run(tmp_path / "clip", _folder_of_masks(tmp_path), use_masks=use)
    assert spy.calls == calls
    if len(calls) > 1:
        assert spy.sizes[1] > 0  # the bank of earlier objects is kept when others are added
    assert record["use_masks"] == {"clip": use or "new"}
    masks = _masks(tmp_path)
    assert not masks["00000"].any()
    assert (masks["00001"] == squares(1, (1,))).all()
    given = squares(4, (1, 5))
    if use == "all":
        assert (masks["00004"] == given).all()
    elif use != "first":
        assert ((masks["00004"] == 5) == (given == 5)).all()
    objects = {(row["frame"], row["object"]) for row in _rows(tmp_path)}
    assert ("00003", "5") not in objects
    assert (("00005", "5") in objects) == (use != "first")
    if use == "all":
        drawn = [row for row in _rows(tmp_path) if row["frame"] in {"00001", "00004"}]
        assert {(row["score"], row["review"]) for row in drawn} == {(drawn[0]["score"], "no")}, "by a person"


def test_an_object_that_appears_later_is_followed_to_the_start_too(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 6, (1, 5))
    masks = _folder_of_masks(tmp_path)
    run(tmp_path / "clip", masks, direction="forward")
    forward = _masks(tmp_path)
    run(tmp_path / "clip", masks, direction="both")
    both = _masks(tmp_path)
    for name in ("00001", "00002", "00003"):  # object 1 stays as it was found on the way forward
        assert ((both[name] == 1) == (forward[name] == 1)).all()
    for name in ("00004", "00005"):
        assert (both[name] == forward[name]).all()
    rows = _rows(tmp_path)
    assert len({(row["frame"], row["object"]) for row in rows}) == len(rows) == 6 * 2
    for row in rows:
        assert int(row["area"]) == int((both[row["frame"]] == int(row["object"])).sum())


def test_backward_takes_the_last_mask_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_video(tmp_path / "clip", 6, (1, 5))
    spy = _Spy(monkeypatch)
    run(tmp_path / "clip", _folder_of_masks(tmp_path), direction="backward")
    assert spy.calls == [("start", (1, 5))]
    assert not _masks(tmp_path)["00005"].any()


def test_all_kinds_of_output(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 4, size=(45, 67))
    mask = draw_mask(tmp_path / "m.png", size=(45, 67))
    record = run(tmp_path / "clip", mask, save=("masks", "overlay", "video", "probabilities"))
    out = tmp_path / "out"
    for name in ("00000", "00003"):
        with Image.open(out / "overlay" / "clip" / f"{name}.jpg") as image:
            assert (image.format, image.size) == ("JPEG", (67, 45))
    video = VideoFrames(out / "video" / "clip.mp4")
    assert len(list(video.iterate())) == 4
    assert video.size == (46, 68)  # 4:2:0 needs even sides
    labels = squares(0, (1, 2), 45, 67)
    for object_id in (1, 2):
        probs = read_ids(out / "probabilities" / "clip" / str(object_id) / "00000.png")
        assert (probs == (labels == object_id) * 255).all()
        assert len(list((out / "probabilities" / "clip" / str(object_id)).iterdir())) == 4
    assert record["totals"]["done"] == 1  # type: ignore[index]


def test_the_probabilities_agree_with_the_masks(run: Run, clip: Clip, tmp_path: Path) -> None:
    run(clip.frames, clip.mask, save=("probabilities",))
    ids_map = _masks(tmp_path)["00003"]
    probs = [read_ids(tmp_path / "out" / "probabilities" / "clip" / str(i) / "00003.png").astype(int) for i in (1, 2)]
    assert (ids_map > 0).any(), "nothing to compare"
    for k in (0, 1):
        assert (probs[k][ids_map == k + 1] >= probs[1 - k][ids_map == k + 1]).all()
    assert (probs[0] + probs[1] <= 256).all()


def test_a_video_file(run: Run, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "film.mp4", 10.0, (HEIGHT, WIDTH)) as writer:
        for index in range(5):
            image = np.repeat((squares(index, (1, 2)) * 90).astype(np.uint8)[..., None], 3, axis=2)
            writer.write(image)
    run(tmp_path / "film.mp4", draw_mask(tmp_path / "m.png"), save=("video",))
    assert list(_masks(tmp_path, "film")) == [f"0000{index}" for index in range(5)]
    assert VideoFrames(tmp_path / "out" / "video" / "film.mp4").timing.fps == pytest.approx(10.0)


def _davis(root: Path) -> tuple[Path, Path]:
    (root / "ImageSets" / "2017").mkdir(parents=True)
    return root / "JPEGImages" / "480p", root / "Annotations" / "480p"


def _youtube(root: Path) -> tuple[Path, Path]:
    _made(root)
    (root / "meta.json").write_text("{}")
    return root / "JPEGImages", root / "Annotations"


def _long_video(root: Path) -> tuple[Path, Path]:
    _made(root)
    (root / "val.txt").write_text("bear\ncat\n")
    return root / "JPEGImages", root / "Annotations"


@pytest.mark.parametrize(("layout", "use"), [(_davis, "first"), (_youtube, "new"), (_long_video, "first")])
def test_roots_of_data_sets(run: Run, tmp_path: Path, layout: Callable[[Path], tuple[Path, Path]], use: str) -> None:
    frames, masks = layout(tmp_path / "root")
    for name in ("bear", "cat"):
        draw_video(frames / name, 3, (1, 5))
        draw_mask(masks / name / "00000.png", (1,))
        draw_mask(masks / name / "00001.png", (1, 5), index=1)
    record = run(tmp_path / "root")
    assert record["use_masks"] == {"bear": use, "cat": use}
    assert record["totals"]["done"] == 2  # type: ignore[index]
    for name in ("bear", "cat"):
        found = _masks(tmp_path, name)
        assert list(found) == ["00000", "00001", "00002"]
        assert (5 in found["00001"]) == (use == "new")


def test_a_tree_keeps_its_shape(run: Run, tmp_path: Path) -> None:
    for name in ("2024/run-3/cam1", "2024/run-3/cam2", "other/cam1"):
        draw_video(tmp_path / "root" / name, 2)
        draw_mask(tmp_path / "given" / name / "00000.png")
    run(tmp_path / "root", tmp_path / "given")
    found = files_below(tmp_path / "out" / "masks")
    assert len(found) == 6
    assert "2024/run-3/cam2/00001.png" in found
    assert {row["sequence"] for row in _rows(tmp_path)} == {
        "2024/run-3/cam1",
        "2024/run-3/cam2",
        "other/cam1",
    }


def test_videos_with_one_stem_have_outputs_of_their_own(run: Run, tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        with VideoWriter(tmp_path / "film.mp4", 10.0, (16, 16)) as writer:
            writer.write(np.zeros((16, 16, 3), np.uint8))
        _made(tmp_path / "root")
        (tmp_path / "film.mp4").rename(tmp_path / "root" / f"film{suffix}")
        draw_mask(tmp_path / "given" / f"film{suffix}" / "00000.png", (1,), size=(16, 16))
    record = run(tmp_path / "root", tmp_path / "given", save=("video",))
    assert record["totals"]["done"] == 2  # type: ignore[index]
    assert set(files_below(tmp_path / "out" / "masks")) == {"film.mkv/00000.png", "film.mp4/00000.png"}
    assert set(files_below(tmp_path / "out" / "video")) == {"film.mkv.mp4", "film.mp4.mp4"}


def test_one_bad_sequence_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_video(tmp_path / "root" / name, 4)
        draw_mask(tmp_path / "given" / name / "00000.png")
    _made(tmp_path / "root" / "empty")
    broken = tmp_path / "root" / "a" / "00002.jpg"
    broken.write_bytes(broken.read_bytes()[:-300])
    record = run(tmp_path / "root", tmp_path / "given")
    counts = {name: record["totals"][name] for name in ("done", "skipped", "failed", "frames")}  # type: ignore[index]
    assert counts == {"done": 1, "skipped": 0, "failed": 2, "frames": 4}
    reasons = {row["name"]: row["reason"] for row in record["failed"]}  # type: ignore[attr-defined]
    assert str(broken) in reasons["a"]
    assert "truncated" in reasons["a"]
    assert "holds no frames" in reasons["empty"]
    assert list(_masks(tmp_path, "b")) == ["00000", "00001", "00002", "00003"]
    stored = json.loads((tmp_path / "out" / "run.json").read_text())
    assert stored["failed"] == record["failed"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    assert sorted((line["name"], line["status"]) for line in lines) == [
        ("a", "failed"),
        ("b", "done"),
        ("empty", "failed"),
    ]
    assert lines[0]["error_type"] == "InputError"
    assert {row["sequence"] for row in _rows(tmp_path)} == {"b"}, "tables hold what is done"


def test_the_record(run: Run, clip: Clip, tmp_path: Path, checkpoint: Path) -> None:
    record = run(clip.frames, clip.mask, seed=5, command="vosseg propagate x")
    assert json.loads((tmp_path / "out" / "run.json").read_text()) == record
    assert record["status"] == "finished"
    assert record["command"] == "vosseg propagate x"
    assert record["checkpoint"]["name"] == str(checkpoint)  # type: ignore[index]
    assert len(record["checkpoint"]["sha256"]) == 64  # type: ignore[index]
    assert (record["device"], record["precision"], record["seed"]) == ("cpu", "float32", 5)
    assert str(record["started"]) <= str(record["ended"])
    totals = record["totals"]
    assert totals["frames"] == 6 and totals["frames_per_second"] > 0 and totals["peak_memory_mib"] > 0  # type: ignore[index]


def test_two_runs_give_the_same_bytes(run: Run, clip: Clip, tmp_path: Path) -> None:
    run(clip.frames, clip.mask, save=("probabilities",))
    first = files_below(tmp_path / "out", but=["run.json", "run.jsonl"])
    run(clip.frames, clip.mask, save=("probabilities",), overwrite=True)
    second = files_below(tmp_path / "out", but=["run.json", "run.jsonl"])
    assert first == second


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_no_thread_stays(run: Run, clip: Clip, direction: str) -> None:
    before = threading.active_count()
    run(clip.frames, clip.mask, direction=direction, save=("overlay", "video"))
    assert threading.active_count() == before


def _names(rows: Sequence[dict[str, str]]) -> list[str]:
    return [row["frame"] for row in rows]


def test_confidence_has_a_row_a_frame_and_object(run: Run, clip: Clip, tmp_path: Path) -> None:
    record = run(clip.frames, clip.mask)
    rows = _rows(tmp_path)
    assert list(rows[0]) == ["sequence", "frame", "object", "area", "uncertainty", "agreement", "score", "review"]
    assert _names(rows) == [name for name in clip.names for _ in range(2)]
    masks = _masks(tmp_path)
    for row in rows:
        assert int(row["area"]) == int((masks[row["frame"]] == int(row["object"])).sum())
        assert 0 <= float(row["score"]) <= 1
        assert 0 <= float(row["agreement"]) <= 1
        assert row["review"] in {"yes", "no"}
    assert rows[0]["review"] == "no"  # given by a person
    assert float(rows[0]["score"]) == max(float(row["score"]) for row in rows)
    doubtful = sorted(float(row["score"]) for row in rows if row["review"] == "yes")
    assert [entry["score"] for entry in record["review_first"]] == doubtful[:5]  # type: ignore[attr-defined]
