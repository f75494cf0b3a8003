"""Adaptation to the given masks: what it is made of, what it is worth, and that it survives an interruption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import TINY, Clip, Told, draw_mask, draw_video, files_below, read_ids, squares, tiny_weights
from vossegcli.data.scenes import Scene, SceneStream
from vossegcli.errors import ConfigError
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.records.run_records import ItemState
from vossegcli.io.weights.checkpoints import CheckpointHeader, write_checkpoint
from vossegcli.runners.propagate import adaptation
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate


@pytest.fixture(autouse=True)
def small_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "SIZE", 64)


@pytest.fixture
def options(clip: Clip, tmp_path: Path, checkpoint: Path) -> PropagateOptions:
    return PropagateOptions(
        frames=clip.frames, mask=clip.mask, output=tmp_path / "out", checkpoint=str(checkpoint), device="cpu",
        precision="fp32", adapt=2,
    )  # fmt: skip


def mean_iou(folder: Path, ids: Sequence[int]) -> float:
    """Of the masks of `draw_video`'s squares, from the second frame on."""
    values = []
    for index, path in enumerate(sorted(folder.glob("*.png"))[1:], start=1):
        found, truth = read_ids(path), squares(index, ids)
        for i in ids:
            union = ((found == i) | (truth == i)).sum()
            values.append(((found == i) & (truth == i)).sum() / union)
    return float(np.mean(values))


def test_a_network_that_knows_nothing_learns_to_follow_the_objects(
    options: PropagateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "LEARNING_RATE", 5e-3)  # random weights have farther to go
    ious = {}
    for steps in (0, 110):
        record = propagate(replace(options, adapt=steps, output=tmp_path / str(steps)), Told())
        assert record["adapt"] == steps
        ious[steps] = mean_iou(next((tmp_path / str(steps) / "masks").iterdir()), (1, 2))
    assert ious[110] > ious[0] + 0.2, ious


def test_the_checkpoint_says_how_many_steps(options: PropagateOptions, tmp_path: Path) -> None:
    header = CheckpointHeader("afb-urr", replace(TINY, adapt_steps=3).to_dict(), (), {"steps": 0})
    write_checkpoint(tmp_path / "adapts.safetensors", tiny_weights(), header)
    options = replace(options, checkpoint=str(tmp_path / "adapts.safetensors"))
    told = Told()
    assert propagate(replace(options, adapt=None), told)["adapt"] == 3
    assert propagate(replace(options, adapt=None), Told())["totals"]["skipped"] == 1
    assert propagate(replace(options, adapt=0), Told())["totals"]["done"] == 1


def test_changed_steps_or_seed_are_done_again(options: PropagateOptions) -> None:
    propagate(options, Told())
    assert propagate(options, Told())["totals"]["skipped"] == 1
    assert propagate(replace(options, adapt=3), Told())["totals"]["done"] == 1
    assert propagate(replace(options, adapt=3, seed=1), Told())["totals"]["done"] == 1
    propagate(replace(options, adapt=0), Told())
    assert propagate(replace(options, adapt=0, seed=1), Told())["totals"]["skipped"] == 1  # nothing is drawn


def test_a_negative_number_of_steps_is_refused(options: PropagateOptions) -> None:
    with pytest.raises(ConfigError, match="adapt is -1"):
        replace(options, adapt=-1)


def test_every_sequence_starts_from_the_same_weights(options: PropagateOptions, tmp_path: Path) -> None:
    for name, ids in (("a", (1,)), ("b", (2, 3))):
        draw_video(tmp_path / "root" / name, 5, ids=ids)
        draw_mask(tmp_path / "masks" / name / "00000.png", ids=ids)
    both = replace(options, frames=tmp_path / "root", mask=tmp_path / "masks")
    propagate(both, Told())
    propagate(replace(both, frames=tmp_path / "root/b", mask=tmp_path / "masks/b", output=tmp_path / "alone"), Told())
    assert files_below(tmp_path / "out/masks/b") == files_below(tmp_path / "alone/masks/b")


class _Interrupts(Told):
    def frame(self) -> None:
        super().frame()
        if self.frames == 5:
            raise KeyboardInterrupt


def test_an_interrupted_sequence_goes_on_with_the_same_weights(
    options: PropagateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = replace(options, output=tmp_path / "undisturbed", adapt=10)
    propagate(undisturbed, Told())
    options = replace(options, adapt=10, snapshot_every=2)
    with pytest.raises(KeyboardInterrupt):
        propagate(options, _Interrupts())
    state = ItemState(tmp_path / "out", next(iter((tmp_path / "out/masks").iterdir())).name)
    assert state.adapted.exists()

    def refuse(*arguments: Any) -> None:
        raise AssertionError("adapted a second time")

    monkeypatch.setattr(adaptation, "_train", refuse)
    propagate(options, Told())
    assert files_below(tmp_path / "out/masks") == files_below(tmp_path / "undisturbed/masks")
    assert not state.adapted.exists()


@pytest.mark.parametrize(
    ("use", "direction", "expected"),
    [
        ("first", "forward", [{1}]),
        ("new", "forward", [{1}, {3}]),
        ("all", "forward", [{1}, {1, 3}]),
        ("new", "backward", [{1, 3}]),
    ],
)
def test_scenes_show_what_is_taken_of_the_masks(
    options: PropagateOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use: str,
    direction: str,
    expected: list[set[int]],
) -> None:
    draw_video(tmp_path / "clip", 8, ids=(1, 3))
    draw_mask(tmp_path / "masks" / "00001.png", ids=(1,), index=1)
    draw_mask(tmp_path / "masks" / "00005.png", ids=(1, 3), index=5)
    seen: list[set[int]] = []
    make: Callable[..., None] = SceneStream.__init__

    def note(self: SceneStream, scenes: Sequence[Scene], *rest: Any) -> None:
        seen.extend({int(i) for i in np.unique(scene.ids_map) if i} for scene in scenes)
        make(self, scenes, *rest)

    monkeypatch.setattr(SceneStream, "__init__", note)
    propagate(
        replace(
            options, frames=tmp_path / "clip", mask=tmp_path / "masks", use_masks=use, direction=direction, adapt=1
        ),
        Told(),
    )
    assert seen == expected


def test_an_object_that_vanishes_at_working_size_is_no_reason_to_fail(options: PropagateOptions, clip: Clip) -> None:
    ids_map = np.zeros((48, 64), np.uint8)
    ids_map[0, 0] = 1
    write_label_map(clip.mask, ids_map)
    told = Told()
    assert propagate(replace(options, short_side=16), told)["totals"]["done"] == 1
    assert not any("adapting" in item for item in told.items)
    ids_map[:9, :9] = 1
    write_label_map(clip.mask, ids_map)
    propagate(replace(options, short_side=16), told)
    assert any("adapting 1/2" in item for item in told.items)


def test_nothing_is_adapted_where_no_frame_is_left_to_segment(options: PropagateOptions, tmp_path: Path) -> None:
    draw_video(tmp_path / "one", 1, ids=(1,))
    draw_mask(tmp_path / "one.png", ids=(1,), index=0)
    told = Told()
    alone = replace(options, frames=tmp_path / "one", mask=tmp_path / "one.png")
    assert propagate(alone, told)["totals"]["done"] == 1
    assert not any("adapting" in item for item in told.items)
    draw_video(tmp_path / "two", 2, ids=(1,))
    propagate(replace(alone, frames=tmp_path / "two"), told)
    assert any("adapting 1/2" in item for item in told.items)


@pytest.mark.parametrize(("use", "adapts"), [("all", False), ("new", True), ("first", True)])
def test_masks_of_all_frames_leave_frames_to_segment_unless_all_are_taken(
    options: PropagateOptions, tmp_path: Path, use: str, adapts: bool
) -> None:
    draw_video(tmp_path / "two", 2, ids=(1,))
    for index in range(2):
        draw_mask(tmp_path / "masks" / f"{index:05d}.png", ids=(1,), index=index)
    told = Told()
    propagate(replace(options, frames=tmp_path / "two", mask=tmp_path / "masks", use_masks=use), told)
    assert any("adapting" in item for item in told.items) is adapts
