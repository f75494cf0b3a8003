"""The metrics on arrays, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

import vossegcli


def square(left: int, side: int = 4, size: int = 16) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    mask[4 : 4 + side, left : left + side] = 1
    return mask


def test_jaccard_of_squares_that_share_half() -> None:
    assert vossegcli.jaccard(square(2), square(4)) == pytest.approx(8 / 24)
    assert vossegcli.jaccard(square(2) * 0, square(2) * 0) == 1.0


def test_boundary_f_depends_on_the_radius() -> None:
    assert vossegcli.boundary_f(square(2), square(4), radius=2) == 1.0
    assert vossegcli.boundary_f(square(2), square(8), radius=1) < 1.0


def test_j_and_f_follows_the_protocol() -> None:
    good, bad = square(2), square(10)
    truth = [good, good, good]
    assert vossegcli.j_and_f([bad, good, bad], truth, protocol="davis")["J-Mean"] == 1.0
    assert vossegcli.j_and_f([bad, good, bad], truth, protocol="long-video")["J-Mean"] == 0.5
    assert vossegcli.j_and_f([bad, good, bad], truth)["per_object"][1]["J-Mean"] == pytest.approx(1 / 3)


def test_void_counts_for_nothing() -> None:
    truth = square(2)
    truth[square(10) > 0] = 255
    painted = square(2) + square(10)
    assert vossegcli.j_and_f([painted], [truth])["J-Mean"] == 1.0
    assert vossegcli.mean_iou({"a": [painted]}, {"a": [truth]})["mIoU"] == 1.0
    assert vossegcli.mean_iou({"a": [painted]}, {"a": [square(2)]})["mIoU"] == 0.5


def test_a_truth_without_objects_is_refused() -> None:
    with pytest.raises(ValueError, match="no object"):
        vossegcli.j_and_f([square(2)], [square(2) * 0])


def test_mean_iou_weighs_classes_alike_and_pixels_within_a_class() -> None:
    predicted = {"a": [square(2), square(2)], "b": [square(2)]}
    truth = {"a": [square(2), square(4)], "b": [square(10)]}
    found = vossegcli.mean_iou(predicted, truth)
    assert found["per_class"] == {"a": pytest.approx((16 + 8) / (16 + 24)), "b": 0.0}
    assert found["mIoU"] == pytest.approx(0.3)


def test_average_precision_of_one_hit_and_one_miss() -> None:
    truth = [{"masks": np.stack([square(2), square(10)])}]
    found = [{"masks": np.stack([square(2), square(6)]), "scores": np.array([0.9, 0.8])}]
    numbers = vossegcli.average_precision(found, truth)
    assert numbers["AP50"] == pytest.approx(51 / 101)  # recall 0.5 of 101 points
    assert numbers["AR100"] == pytest.approx(0.5)


def test_average_precision_keeps_classes_apart() -> None:
    truth = [{"masks": square(2)[None], "labels": np.array([3])}]
    for label, expected in ((3, 1.0), (2, 0.0)):
        found = [{"masks": square(2)[None], "scores": np.array([0.9]), "labels": np.array([label])}]
        for iou in ("segm", "bbox", "boundary"):
            assert vossegcli.average_precision(found, truth, iou=iou)["AP"] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["jaccard", "boundary_f"])
def test_masks_of_two_sizes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="masks of"):
        getattr(vossegcli, name)(square(2), square(2)[:8])


def test_what_cannot_be_compared_is_refused() -> None:
    mask = square(2)
    with pytest.raises(ValueError, match="2 predicted and 1 true frames"):
        vossegcli.j_and_f([mask, mask], [mask])
    assert vossegcli.j_and_f(iter([mask]), iter([mask]))["J-Mean"] == 1.0
    with pytest.raises(ValueError, match="no masks of class 'b'"):
        vossegcli.mean_iou({"a": [mask]}, {"b": [mask]})
    with pytest.raises(ValueError, match="masks of"):
        vossegcli.mean_iou({"a": [mask[:1]]}, {"a": [mask]})
    for found in (mask, mask[None, :8]):  # a label map; another size
        with pytest.raises(ValueError, match=r"masks of .* give \(N,H,W\) of one size"):
            vossegcli.average_precision([{"masks": found, "scores": np.ones(1)}], [{"masks": mask[None]}])


def test_a_white_truth_is_not_taken_for_void() -> None:
    white = square(2) * np.uint8(255)
    with pytest.raises(ValueError, match="holds 255 alone, which is void: give void=None"):
        vossegcli.mean_iou({"a": [white]}, {"a": [white]})
    assert vossegcli.mean_iou({"a": [white]}, {"a": [white]}, void=None)["mIoU"] == 1.0
    empty = {"a": [square(2) * 0]}
    assert vossegcli.mean_iou(empty, empty)["FB-IoU"] >= 0.0, "nothing is white: nothing to ask"


def test_probabilities_and_stacks_are_no_masks() -> None:
    """Every pixel of a probability map is above 0."""
    mask = square(2)
    soft = mask * 0.98 + 0.01
    for name in ("jaccard", "boundary_f"):
        with pytest.raises(ValueError, match="hold fractions: compare probabilities with a threshold"):
            getattr(vossegcli, name)(soft, mask)
        with pytest.raises(ValueError, match=r"give \(H,W\)"):
            getattr(vossegcli, name)(mask[None], mask[None])
    with pytest.raises(ValueError, match="fractions"):
        vossegcli.j_and_f([soft], [mask])
    with pytest.raises(ValueError, match="fractions"):
        vossegcli.mean_iou({"a": [soft]}, {"a": [mask]})
    with pytest.raises(ValueError, match="fractions"):
        vossegcli.average_precision([{"masks": soft[None], "scores": np.ones(1)}], [{"masks": mask[None]}])
    assert vossegcli.jaccard(mask * 1.0, mask) == 1.0
