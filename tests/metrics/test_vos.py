"""J, F and their statistics: by hand, against plain definitions, and against the official tool's stored numbers.

Covers: metrics.boundaries, scores
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.metrics.boundaries import contour_accuracy, outline, tolerance
from vossegcli.metrics.vos import score_frame, score_object, scored_frames, statistics, summarise


def plain_f(predicted: np.ndarray, truth: np.ndarray, radius: int) -> float:
    """F from its definition: every outline pixel looks for a partner within the radius."""
    ours, theirs = (np.argwhere(plain_outline(mask)) for mask in (predicted, truth))
    if not len(ours) or not len(theirs):
        return float(len(ours) == len(theirs))
    near = ((ours[:, None] - theirs[None]) ** 2).sum(axis=2) <= radius**2
    p, r = near.any(axis=1).mean(), near.any(axis=0).mean()
    return 2 * p * r / (p + r) if p + r else 0.0


def plain_outline(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    marked = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            for v, u in ((y, x + 1), (y + 1, x), (y + 1, x + 1)):
                marked[y, x] |= mask[y, x] != mask[min(v, height - 1), min(u, width - 1)]
    return marked


def packed(mask: np.ndarray, stride: int) -> int:
    """Pixel (y, x) as bit `y * stride + x`."""
    return sum(1 << int(y * stride + x) for y, x in np.argwhere(mask))


@pytest.mark.parametrize("seed", range(12))
def test_contour_accuracy_is_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, radius = int(rng.integers(1, 40)), int(rng.integers(1, 40)), int(rng.integers(1, 9))
    a, b = (rng.random((height, width)) < rng.choice([0.02, 0.3, 0.97]) for _ in range(2))
    stride = width + 3
    assert outline(packed(a, stride), packed(np.ones_like(a), stride), stride) == packed(plain_outline(a), stride)
    assert contour_accuracy(a, b, radius) == pytest.approx(plain_f(a, b, radius), abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_a_frame_scores_each_object_as_on_the_whole_image(seed: int) -> None:
    """Cropping to the object must change nothing, at the image's border neither."""
    rng = np.random.default_rng(seed)
    truth, predicted = np.zeros((50, 64), np.uint8), np.zeros((50, 64), np.uint8)
    for label_map in (truth, predicted):
        for object_id in (1, 7, 200):
            y, x = rng.integers(0, 45, 2)
            label_map[y : y + rng.integers(1, 20), x : x + rng.integers(1, 25)] = object_id
    scores = score_frame(predicted, truth)
    for object_id, (j, f) in scores.by_id.items():
        a, b = predicted == object_id, truth == object_id
        assert j == (a & b).sum() / (a | b).sum()
        assert f == pytest.approx(plain_f(a, b, tolerance(50, 64)), abs=1e-12)


def test_tolerance_at_the_resolutions_of_davis() -> None:
    assert (tolerance(480, 854), tolerance(480, 910), tolerance(1080, 1920)) == (8, 9, 18)


def test_void_pixels_belong_to_nobody() -> None:
    truth = np.zeros((20, 20), np.uint8)
    truth[5:15, 5:15] = 1
    predicted = truth.copy()
    predicted[5:15, 15:18] = 1
    void = np.zeros((20, 20), bool)
    void[:, 15:18] = True
    assert score_frame(predicted, truth).by_id[1][0] == 100 / 130
    assert score_frame(predicted, truth, void).by_id[1] == (1.0, 1.0)


def test_an_object_that_fills_the_image_has_no_outline() -> None:
    full, empty = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    assert score_frame(empty, full).by_id == {1: (0.0, 1.0)}
    assert score_frame(full, full).by_id == {1: (1.0, 1.0)}


def test_label_maps_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(4, 5\)"):
        score_frame(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))


def test_statistics_by_hand() -> None:
    result = statistics([1.0, 0.9, 0.8, 0.6, 0.5, 0.4, 0.2, 0.1])
    # Cuts at frames 1, 3 (2.75), 5 (4.5 rounds up with the tiny offset), 6 (6.25), 8.
    assert result.mean == pytest.approx(0.5625)
    assert result.recall == 0.5
    assert result.decay == pytest.approx((1.0 + 0.9 + 0.8) / 3 - (0.4 + 0.2 + 0.1) / 3)


def test_decay_of_long_videos_is_right() -> None:
    """The official tool's indices overflow from 257 frames on."""
    values = np.linspace(1.0, 0.0, 1001)
    assert statistics(values).decay == pytest.approx(0.75, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "protocol", "expected"),
    [
        (5, "davis", [1, 2, 3]),
        (2, "davis", [1]),
        (1, "davis", []),
        (0, "davis", []),
        (3, "davis2016", [1]),
        (3, "long-video", [1, 2]),
        (3, "all-frames", [0, 1, 2]),
        (1, "all-frames", [0]),
    ],
)
def test_frames_of_a_protocol(count: int, protocol: str, expected: list[int]) -> None:
    assert list(scored_frames(count, protocol)) == expected


@pytest.mark.shared
def test_davis_numbers_of_the_official_tool(shared: Path) -> None:
    folder = shared / "fixtures" / "davis"
    expected = json.loads((folder / "expected.json").read_text())["davis2017_evaluation"]
    objects = []
    for sequence in sorted((folder / "gt").iterdir()):
        files = sorted(sequence.iterdir())
        frames = []
        for file in (files[i] for i in scored_frames(len(files), "davis")):
            truth = np.array(Image.open(file))
            predicted = np.array(Image.open(folder / "pred" / sequence.name / file.name))
            frames.append((file.stem, score_frame(predicted, truth)))
        ids = np.unique(np.stack([np.array(Image.open(file)) for file in files]))
        objects += [score_object(sequence.name, int(k), frames) for k in ids if k]
    for scored in objects:
        official = expected["per_object"][f"{scored.sequence}_{scored.object_id}"]
        for letter, found in (("J", scored.j_statistics), ("F", scored.f_statistics)):
            values = [official[f"{letter}-{name}"] for name in ("Mean", "Recall", "Decay")]
            assert [found.mean, found.recall, found.decay] == pytest.approx(values, abs=1e-6)
        if scored.sequence in expected["per_frame"]:
            per_frame = expected["per_frame"][scored.sequence]
            assert list(scored.j) == pytest.approx(per_frame["J"][scored.object_id - 1], abs=1e-6)
            assert list(scored.f) == pytest.approx(per_frame["F"][scored.object_id - 1], abs=1e-6)
    assert len(objects) == len(expected["per_object"])
    assert summarise(objects) == pytest.approx(expected["global"], abs=1e-6)
