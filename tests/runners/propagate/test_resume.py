"""What a second run does: skip what is done, go on where the first stood, start again after a change.

Covers: runners.propagate.segment
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest

from tests.conftest import (
    Clip,
    Outcome,
    Told,
    draw_mask,
    draw_video,
    files_below,
    leave_temporaries,
    read_ids,
)
from vossegcli.errors import InputError
from vossegcli.io.masks import label_maps
from vossegcli.io.media.video import VideoFrames
from vossegcli.io.records.run_records import ItemState
from vossegcli.runners.propagate import segment as sequence
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate

Vosseg = Callable[..., Outcome]


@dataclass
class Deadly(Told):
    """Kills its process after some frames, while the writer thread is at work."""

    die_at: int = 0

    def frame(self) -> None:
        super().frame()
        if self.frames == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def options(clip: Clip, tmp_path: Path, checkpoint: Path) -> PropagateOptions:
    return PropagateOptions(
        frames=clip.frames,
        mask=clip.mask,
        output=tmp_path / "out",
        checkpoint=str(checkpoint),
        device="cpu",
        precision="fp32",
    )


def _objects_that_appear(tmp_path: Path) -> PropagateOptions:
    """Object 1 on the first frame of twelve, object 3 from frame 7 on; odd size; all kinds of output."""
    draw_video(tmp_path / "clip", 12, ids=(1, 3), size=(45, 67))
    draw_mask(tmp_path / "masks" / "00002.png", ids=(1,), index=2, size=(45, 67))
    draw_mask(tmp_path / "masks" / "00007.png", ids=(1, 3), index=7, size=(45, 67))
    return PropagateOptions(
        frames=tmp_path / "clip",
        mask=tmp_path / "masks",
        direction="both",
        save=("masks", "overlay", "probabilities", "cutouts"),
        device="cpu",
        precision="fp32",
        snapshot_every=3,
    )


@pytest.mark.parametrize("die_at", [8, 14])
def test_a_killed_run_goes_on_with_the_same_result(
    tmp_path: Path, checkpoint: Path, quick_context: BaseContext, die_at: int
) -> None:
    options = replace(_objects_that_appear(tmp_path), checkpoint=str(checkpoint))
    undisturbed = tmp_path / "undisturbed"
    told = Told()
    propagate(replace(options, output=undisturbed, snapshot_every=1000), told)
    assert told.frames == told.total == 10 + 7  # forward from 2, then backward before 7

    out = tmp_path / "out"
    killed = quick_context.Process(target=propagate, args=(replace(options, output=out), Deadly(die_at=die_at)))
    killed.start()
    killed.join(300)
    assert killed.exitcode == -signal.SIGKILL
    assert ItemState(out, "clip").snapshot.exists()
    for path in files_below(out / "masks", but=[p.name for p in out.rglob(".vosseg-*")]):
        assert read_ids(out / "masks" / path).shape == (45, 67)

    told = Told()
    record = propagate(replace(options, output=out), told)
    assert 0 < told.before <= die_at
    assert told.before + told.frames == 17
    assert record["totals"]["frames"] == told.frames
    assert not any(ItemState(out, "clip").alpha.glob("*")), "what was kept for the cut-outs is gone"
    for kind in ("masks", "overlay", "probabilities", "cutouts"):
        assert files_below(out / kind) == files_below(undisturbed / kind)
    assert (out / "confidence.csv").read_bytes() == (undisturbed / "confidence.csv").read_bytes()
    assert not ItemState(out, "clip").snapshot.exists()


def test_a_mask_that_a_power_cut_emptied_is_made_again(
    options: PropagateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    options = replace(options, snapshot_every=2)
    propagate(replace(options, output=tmp_path / "undisturbed"), Told())
    with monkeypatch.context() as patch:
        patch.setattr(ItemState, "mark_done", stop)
        with pytest.raises(KeyboardInterrupt):
            propagate(options, Told())
    first = min((tmp_path / "out/masks").rglob("*.png"))
    first.write_bytes(b"")
    propagate(options, Told())
    assert files_below(tmp_path / "out/masks") == files_below(tmp_path / "undisturbed/masks")


def test_temporaries_of_a_killed_run_are_removed(options: PropagateOptions, tmp_path: Path) -> None:
    folders = ("masks/clip", "overlay/clip", "probabilities/clip/1", "video", ".vosseg", ".")
    leave_temporaries(*(tmp_path / "out" / folder for folder in folders))
    propagate(options, Told())
    assert not [path for path in files_below(tmp_path / "out") if Path(path).name.startswith(".vosseg-")]


def test_a_second_run_skips_everything(options: PropagateOptions, tmp_path: Path) -> None:
    propagate(options, Told())
    before = files_below(tmp_path / "out" / "masks")
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "out" / "masks").rglob("*.png"))]
    told = Told()
    record = propagate(options, told)
    assert (told.total, told.frames, told.items) == (0, 0, [])
    assert record["totals"]["skipped"] == 1
    assert record["totals"]["frames_per_second"] is None
    assert files_below(tmp_path / "out" / "masks") == before
    assert times == [path.stat().st_mtime_ns for path in sorted((tmp_path / "out" / "masks").rglob("*.png"))]
    assert len((tmp_path / "out" / "confidence.csv").read_text().splitlines()) == 1 + 6 * 2


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "both"},
        {"short_side": 32},
        {"budget": 500},
        {"update_rate": 0.5},
        {"merge_threshold": 0.5},
        {"save": ("masks", "overlay")},
        {"fix_mask": True},
        {"at": "1"},
        {"use_masks": "all"},
        {"precision": "bf16"},
        {"overwrite": True},
    ],
    ids=str,
)
def test_what_changes_the_result_runs_again(options: PropagateOptions, change: dict[str, object]) -> None:
    propagate(options, Told())
    told = Told()
    propagate(replace(options, **change), told)
    assert told.items[0] == "clip"
    assert told.frames > 0


@pytest.mark.parametrize(
    "change", [{"seed": 3}, {"command": "x"}, {"snapshot_every": 2}, {"direction": "forward"}], ids=str
)
def test_what_changes_nothing_is_skipped(options: PropagateOptions, change: dict[str, object]) -> None:
    propagate(options, Told())
    assert propagate(replace(options, **change), Told())["totals"]["skipped"] == 1


def test_a_changed_mask_frame_or_checkpoint_runs_again(options: PropagateOptions, tmp_path: Path) -> None:
    from tests.conftest import TINY, squares, tiny_header, tiny_weights, write_frame
    from vossegcli.io.weights.checkpoints import write_checkpoint

    assert TINY.mask_cells
    propagate(options, Told())
    assert options.mask is not None
    draw_mask(options.mask, ids=(1, 4))
    assert propagate(options, Told())["totals"]["done"] == 1
    write_frame(options.frames / "00003.jpg", squares(9, (1, 2)))
    assert propagate(options, Told())["totals"]["done"] == 1
    other = tmp_path / "other.safetensors"
    write_checkpoint(other, {name: value * 1.01 for name, value in tiny_weights().items()}, tiny_header())
    assert propagate(replace(options, checkpoint=str(other)), Told())["totals"]["done"] == 1
    assert propagate(replace(options, checkpoint=str(other)), Told())["totals"]["skipped"] == 1


@pytest.mark.parametrize(
    "lost",
    ["masks/clip/00004.png", "overlay/clip/00000.jpg", "probabilities/clip/2/00005.png", "video/clip.mp4"],
)
def test_a_lost_output_runs_again(options: PropagateOptions, tmp_path: Path, lost: str) -> None:
    options = replace(options, save=("overlay", "video", "probabilities"))
    propagate(options, Told())
    content = (tmp_path / "out" / lost).read_bytes()
    (tmp_path / "out" / lost).unlink()
    plan = propagate(options, Told(), dry_run=True)["plan"]
    assert plan == [{"name": "clip", "frames": 6, "action": "run", "reason": f"{lost} is missing", "notes": []}]
    propagate(options, Told())
    again = tmp_path / "out" / lost
    if again.suffix == ".mp4":  # its header may differ from run to run
        assert len(VideoFrames(again)) == 6
    else:
        assert again.read_bytes() == content


def test_outputs_of_frames_that_are_gone_do_not_stay(options: PropagateOptions, tmp_path: Path) -> None:
    propagate(replace(options, save=("overlay",)), Told())
    (options.frames / "00005.jpg").unlink()
    mine = tmp_path / "out" / "masks" / "clip" / "notes.txt"
    mine.write_text("not vosseg's")
    propagate(options, Told())
    masks = sorted(path.name for path in (tmp_path / "out" / "masks" / "clip").iterdir())
    assert masks == [f"0000{index}.png" for index in range(5)] + ["notes.txt"]
    assert not files_below(tmp_path / "out" / "overlay")


def _interrupt_at(frame: int) -> Told:
    class Stop(Told):
        def frame(self) -> None:
            super().frame()
            if self.frames == frame:
                raise KeyboardInterrupt

    return Stop()


def test_an_interrupted_run_with_other_settings_leaves_no_mixture(options: PropagateOptions, tmp_path: Path) -> None:
    options = replace(options, snapshot_every=2)
    propagate(options, Told())
    with pytest.raises(KeyboardInterrupt):
        propagate(replace(options, budget=400), _interrupt_at(3))
    told = Told()
    assert propagate(options, Told(), dry_run=True)["plan"][0]["action"] == "run"
    propagate(options, told)
    assert (told.frames, told.before) == (6, 0)


def test_the_snapshot_of_other_settings_is_not_used(options: PropagateOptions) -> None:
    options = replace(options, snapshot_every=2)
    with pytest.raises(KeyboardInterrupt):
        propagate(options, _interrupt_at(5))
    assert propagate(options, Told(), dry_run=True)["plan"][0]["action"] == "resume"
    with pytest.raises(KeyboardInterrupt):
        propagate(replace(options, budget=400), _interrupt_at(1))
    told = Told()
    propagate(options, told)
    assert (told.frames, told.before) == (6, 0)


@pytest.mark.parametrize("damage", ["a mask is gone", "the rows are gone", "the snapshot is torn"])
def test_a_snapshot_without_what_it_stands_on_is_not_used(
    options: PropagateOptions, tmp_path: Path, damage: str
) -> None:
    options = replace(options, snapshot_every=2)
    with pytest.raises(KeyboardInterrupt):
        propagate(options, _interrupt_at(5))
    state = ItemState(tmp_path / "out", "clip")
    if damage == "a mask is gone":
        (tmp_path / "out" / "masks" / "clip" / "00001.png").unlink()
    elif damage == "the rows are gone":
        state.rows.write_text("")
    else:
        os.truncate(state.snapshot, 100)
    told = Told()
    propagate(options, told)
    assert (told.frames, told.before) == (6, 0)
    assert len((tmp_path / "out" / "confidence.csv").read_text().splitlines()) == 1 + 6 * 2


def test_a_write_error_ends_the_sequence_and_the_next_run_goes_on(
    options: PropagateOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, ids_map: object) -> None:
        if path.stem == "00004":
            raise InputError("cannot be written (No space left on device)", where=path)
        label_maps.write_label_map(path, ids_map)  # type: ignore[arg-type]

    options = replace(options, snapshot_every=2)
    with monkeypatch.context() as patch:
        patch.setattr(sequence, "write_label_map", full)
        record = propagate(options, Told())
    assert "No space left" in record["failed"][0]["reason"]
    told = Told()
    propagate(options, told)
    assert (told.before, told.frames) == (4, 2)


def test_a_marker_that_lists_files_elsewhere_removes_none(options: PropagateOptions, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("x")
    marker = ItemState(tmp_path / "out", "clip").marker
    marker.parent.mkdir(parents=True)
    marker.write_text('{"key": "0", "outputs": ["../precious.txt"]}')
    propagate(options, Told())
    assert precious.exists()
