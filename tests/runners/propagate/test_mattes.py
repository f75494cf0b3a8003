"""Cut-outs and mattes: all objects of a frame over nothing, with soft edges.

Covers: io.results.mattes
"""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import Clip, Outcome, draw_video, read_ids
from vossegcli.io.media.video_writer import AlphaVideoWriter
from vossegcli.io.results.mattes import soft_alpha


def test_alpha_is_soft_along_the_outline_alone() -> None:
    covered = np.zeros((40, 60), np.bool_)
    covered[10:30, 20:40] = True
    probs = np.full((40, 60), 0.3, np.float32)
    probs[10:30, 20:40] = 0.8
    alpha = soft_alpha(covered, probs)
    assert (alpha[14:26, 24:36] == 255).all(), "nothing shines through an object"
    assert (alpha[:7] == 0).all() and (alpha[:, :17] == 0).all(), "no haze around it"
    assert (alpha[10:12, 22:38] == 204).all() and (alpha[8:10, 22:38] == 76).all()
    assert not soft_alpha(np.zeros((4, 4), np.bool_), np.ones((4, 4))).any()
    assert (soft_alpha(np.ones((4, 4), np.bool_), np.zeros((4, 4))) == 255).all()


@pytest.fixture
def run(vosseg: Callable[..., Outcome], checkpoint: Path, tmp_path: Path) -> Callable[..., Outcome]:
    def command(frames: Path, mask: Path, *more: object) -> Outcome:
        return vosseg(
            "propagate", frames, "--mask", mask, "--checkpoint", checkpoint, "--device", "cpu", "--precision", "fp32",
            "-o", tmp_path / "out", *more,
        )  # fmt: skip

    return command


def test_cut_outs_mattes_and_prores(run: Callable[..., Outcome], clip: Clip, tmp_path: Path) -> None:
    outcome = run(clip.frames, clip.mask, "--save", "cutouts,matte,prores,probabilities", "--fps", 12)
    assert outcome.code == 0, outcome.stderr
    out = tmp_path / "out"
    masks = [read_ids(path) for path in sorted((out / "masks" / "clip").iterdir())]
    cutouts = [read_ids(path) for path in sorted((out / "cutouts" / "clip").iterdir())]
    assert len(cutouts) == len(masks)
    assert np.array_equal(cutouts[0][..., 3] > 0, masks[0] > 0), "the mask that was given is exact"
    with av.open(out / "prores" / "clip.mov") as film:
        assert film.streams.video[0].codec_context.profile == "4444"
        assert film.streams.video[0].average_rate == 12
        shown = [frame.to_ndarray(format="rgba") for frame in film.decode(video=0)]
    with av.open(out / "matte" / "clip.mp4") as film:
        grey = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
    assert len(shown) == len(grey) == len(cutouts)
    for ours, theirs, matte in zip(shown, cutouts, grey, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours[..., 3].astype(int) - theirs[..., 3]).max() <= 2
        assert np.abs(ours[..., :3].astype(int) - theirs[..., :3]).mean() < 4
        assert np.abs(matte.astype(int) - theirs[..., 3]).mean() < 24
    for path in (out / "cutouts" / "clip").iterdir():
        path.unlink()
        break
    assert (
        run(clip.frames, clip.mask, "--save", "cutouts,matte,prores,probabilities", "--fps", 12, "--json").json()[
            "totals"
        ]["done"]
        == 1
    ), "a lost cut-out is made again"


def test_frames_that_no_pass_reaches_are_empty(run: Callable[..., Outcome], clip: Clip, tmp_path: Path) -> None:
    frames = draw_video(tmp_path / "late", 4)
    at = ["--at", frames[2], "--direction", "forward"]
    outcome = run(tmp_path / "late", clip.mask, *at, "--save", "cutouts")
    assert outcome.code == 0, outcome.stderr
    alphas = [read_ids(path)[..., 3] for path in sorted((tmp_path / "out" / "cutouts" / "late").iterdir())]
    assert [bool(alpha.any()) for alpha in alphas[:3]] == [False, False, True]


def test_odd_sizes_stay_as_they_are(tmp_path: Path) -> None:
    picture = np.zeros((33, 51, 4), np.uint8)
    picture[..., 3] = 128
    with AlphaVideoWriter(tmp_path / "a.mov", 25, (33, 51)) as film:
        film.write(picture)
        with pytest.raises(ValueError, match="shape"):
            film.write(picture[..., :3])
    with av.open(tmp_path / "a.mov") as written:
        (frame,) = [frame.to_ndarray(format="rgba") for frame in written.decode(video=0)]
    assert frame.shape == (33, 51, 4) and np.abs(frame[..., 3].astype(int) - 128).max() <= 1
