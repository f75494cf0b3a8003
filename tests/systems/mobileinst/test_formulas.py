"""Places, matching, targets, losses and identities of MobileInst against numbers worked out by hand.

Covers: systems.mobileinst.instance_decoder, systems.mobileinst.reference_points, systems.mobileinst.losses,
systems.mobileinst.mask_decoder, systems.mobileinst.matcher, systems.mobileinst.positions, systems.mobileinst.tracking
"""

import math

import pytest
import torch
from torch import nn

from vossegcli.systems.mobileinst.backbone import Backbone
from vossegcli.systems.mobileinst.config import MobileInstConfig
from vossegcli.systems.mobileinst.instance_decoder import Predictions
from vossegcli.systems.mobileinst.losses import hard_iou, masks_of_ids, offsets_to_centres, set_losses
from vossegcli.systems.mobileinst.mask_decoder import mask_logits
from vossegcli.systems.mobileinst.matcher import Match, dice_matrix, match
from vossegcli.systems.mobileinst.positions import encode_points
from vossegcli.systems.mobileinst.reference_points import PointEmbedding
from vossegcli.systems.mobileinst.tracking import KernelTracker, mask_overlaps


def test_near_places_have_encodings_that_look_alike() -> None:
    points = encode_points(torch.tensor([[100.0, 50.0], [104.0, 50.0], [116.0, 50.0], [400.0, 300.0]]), 32)
    assert points.shape == (4, 32)
    products = points @ points[0]
    assert float(products[0]) == pytest.approx(16.0), "half of the squares of sines and cosines"
    assert products.argsort(descending=True).tolist() == [0, 1, 2, 3]


def test_places_differ_by_where_they_lie_to_each_other() -> None:
    """Two points look as much alike near the origin as far from it: what is learnt in one crop holds in another."""
    pair = torch.tensor([[100.0, 50.0], [117.0, 38.0]])
    near, far = (encode_points(pair + origin, 32) for origin in (torch.zeros(2), torch.tensor([1300.0, 700.0])))
    assert float(near[0] @ near[1]) == pytest.approx(float(far[0] @ far[1]), abs=1e-3)


def test_matching_by_hand() -> None:
    """Dice counts more than the class, and a third instance stays without a query."""
    masks = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    truth = torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]])
    assert dice_matrix(masks, truth)[0].tolist() == pytest.approx([0.0, 2 / 3, 2 / 4], abs=1e-3)
    probs = torch.tensor([[0.2, 0.8], [0.5, 0.5]])
    pairs = match(masks, probs, truth, torch.tensor([0, 1, 1]))
    assert dict(zip(pairs.queries.tolist(), pairs.instances.tolist(), strict=True)) == {0: 1, 1: 0}


def test_masks_are_kernels_times_features() -> None:
    features = torch.zeros(1, 2, 2, 2)
    features[0, 0, 0, 0], features[0, 1, 1, 1] = 3.0, 5.0
    logits = mask_logits(torch.tensor([[[1.0, 0.0], [0.5, -1.0]]]), features)
    assert logits.shape == (1, 2, 4, 4)
    assert float(logits[0, 0, 0, 0]) == 3.0
    assert float(logits[0, 1, 3, 3]) == -5.0


@torch.no_grad()
def test_features_for_kernels_are_what_each_projection_gives_in_turn() -> None:
    torch.manual_seed(0)
    points, branch, projection = PointEmbedding(8, 5), nn.Conv2d(8, 5, 1), nn.Conv2d(8, 8, 1)
    features, centres = torch.randn(2, 8, 3, 4), torch.randn(2, 3, 4, 8)
    found = points.features(features, centres, branch, projection)
    expected = branch(features + projection(centres.permute(0, 3, 1, 2)))
    expected[:, :-1] += points.project(centres).permute(0, 3, 1, 2)
    torch.testing.assert_close(found[:, :-1], expected[:, :-1])
    assert (found[:, -1] == 1.0).all()


def test_masks_of_ids_are_shares_of_cells() -> None:
    ids = torch.zeros(8, 8, dtype=torch.int64)
    ids[:4, :2], ids[4:, 4:] = 1, 2
    assert masks_of_ids(ids, 3).tolist() == [[[0.5, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 0], [0, 0]]]
    assert masks_of_ids(ids, 0).shape == (0, 2, 2), "an image without instances"


def test_cells_point_to_the_centre_of_their_instance() -> None:
    ids = torch.zeros(1, 16, 24, dtype=torch.int64)
    ids[0, :, 8:] = 1
    offsets, known = offsets_to_centres(ids, [1])
    assert known[0].tolist() == [[False, True, True]] * 2
    assert (offsets[0, 0, 1] * 64).tolist() == [4.0, 4.0], "from (12, 4) to (16, 8)"
    assert (offsets[0, 1, 2] * 64).tolist() == [-4.0, -4.0]


def test_hard_iou_by_hand() -> None:
    masks = torch.tensor([[[0.9, 0.45, 0.1, 0.3]]])
    assert hard_iou(masks, torch.tensor([[[1.0, 0.0, 0.0, 0.8]]])).tolist() == pytest.approx([1 / 3])


def test_losses_are_nothing_where_all_is_right() -> None:
    truth = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    logits = torch.tensor([[[40.0, -40.0], [-40.0, -40.0]], [[9.0, 9.0], [9.0, 9.0]]])
    said = Predictions(
        torch.zeros(1, 2, 3), torch.tensor([[[-30.0, 30.0], [-30.0, -30.0]]]), torch.tensor([[30.0, 0.0]])
    )
    pairs = [Match(torch.tensor([0]), torch.tensor([0]))]
    terms = set_losses(said, logits.unsqueeze(0), [truth], [torch.tensor([1])], pairs)
    assert float(terms.pop("mask_iou")) == 1.0
    assert all(float(value) < 1e-6 for value in terms.values()), "nothing is asked of the mask of a query without pair"
    wrong = Predictions(said.kernels, -said.logits, said.objectness)
    asked = [torch.tensor([False, True])]
    assert float(set_losses(wrong, logits.unsqueeze(0), [truth], [torch.tensor([1])], pairs)["classes"]) > 20.0
    part = set_losses(wrong, logits.unsqueeze(0), [truth], [torch.tensor([1])], pairs, asked)["classes"]
    assert float(part) == pytest.approx(30.0 * 0.25 + 30.0 * 0.75, rel=1e-3), "the second query is left alone"


def test_no_instance_is_no_loss_but_that_of_the_classes() -> None:
    said = Predictions(torch.zeros(1, 2, 3), torch.zeros(1, 2, 1), torch.zeros(1, 2))
    none = [Match(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))]
    terms = set_losses(said, torch.zeros(1, 2, 4, 4), [torch.zeros(0, 4, 4)], [torch.zeros(0, dtype=torch.int64)], none)
    assert float(terms["classes"]) == pytest.approx(2 * 0.75 * 0.25 * math.log(2.0))
    assert all(float(terms[name]) == 0.0 for name in ("dice", "mask_entropy", "objectness", "mask_iou"))


def direction(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def test_masks_overlap_by_their_iou() -> None:
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[0, :2], masks[1, :, :2] = True, True
    assert torch.allclose(mask_overlaps(masks[:2], masks), torch.tensor([[1.0, 1 / 3, 0.0], [1 / 3, 1.0, 0.0]]))
    assert mask_overlaps(masks, masks[:0]).shape == (3, 0)


class TestIdentities:
    """Kernels are directions in the plane here."""

    @staticmethod
    def tracker(max_gap: int = 4) -> KernelTracker:
        return KernelTracker(similarity=0.8, birth_threshold=0.5, max_gap=max_gap)

    @staticmethod
    def update(tracker: KernelTracker, frame: int, angles: list[float], scores: list[float]) -> list[int]:
        kernels = torch.tensor([direction(angle) for angle in angles]).view(-1, 2)
        ids, _ = tracker.update(frame, kernels, torch.tensor(scores).view(-1, 1))
        return ids.tolist()

    def test_the_same_object_keeps_its_identity(self) -> None:
        tracker = self.tracker()
        assert self.update(tracker, 0, [0, 90], [0.9, 0.9]) == [1, 2]
        assert self.update(tracker, 3, [80, 10], [0.9, 0.3]) == [2, 1], "a weak one goes on but does not begin"
        assert self.update(tracker, 6, [20, 180, 270], [0.9, 0.9, 0.2]) == [1, 3, 0]

    def test_pairs_are_chosen_together(self) -> None:
        """The nearest pair (15 and 20) would leave the other instance alone."""
        tracker = self.tracker()
        self.update(tracker, 0, [0, 20], [0.9, 0.9])
        assert self.update(tracker, 1, [15, 50], [0.9, 0.9]) == [1, 2]

    def test_a_good_pair_is_not_given_up_for_two_poor_ones(self) -> None:
        tracker = KernelTracker(similarity=0.5, birth_threshold=0.5, max_gap=4)
        self.update(tracker, 0, [0, 58], [0.9, 0.9])
        assert self.update(tracker, 1, [2, -56], [0.9, 0.9]) == [1, 3]

    def test_masks_decide_between_objects_that_look_alike(self) -> None:
        """By kernels alone, the two would change places."""
        tracker = self.tracker()
        self.update(tracker, 0, [0, 10], [0.9, 0.9])
        alike = torch.tensor([direction(angle) for angle in (2.0, 8.0)]), torch.full((2, 1), 0.9)
        crossed = torch.tensor([[0.1, 0.6], [0.7, 0.0]])
        assert tracker.update(1, *alike, crossed)[0].tolist() == [2, 1]
        assert tracker.update(2, *alike)[0].tolist() == [2, 1], "now their kernels say so too"

    def test_an_instance_apart_from_a_track_must_look_just_like_it(self) -> None:
        tracker, nowhere, apart = self.tracker(), torch.zeros(1, 1), torch.full((1, 1), 0.9)
        assert self.update(tracker, 0, [0], [0.9]) == [1]
        assert tracker.update(1, torch.tensor([direction(20.0)]), apart, nowhere)[0].tolist() == [1]
        far = torch.tensor([direction(55.0)])
        assert tracker.update(2, far, apart, nowhere)[0].tolist() == [2], "cosine 0.82"
        assert tracker.update(3, far, apart, torch.tensor([[0.5, 0.0]]))[0].tolist() == [2], "the same kernel"

    def test_what_is_hardly_there_does_not_keep_a_track_alive(self) -> None:
        tracker = self.tracker()
        self.update(tracker, 0, [0], [0.9])
        assert self.update(tracker, 1, [0], [0.1]) == [0]

    def test_an_identity_returns_within_the_gap_and_ends_after_it(self) -> None:
        tracker = self.tracker(max_gap=4)
        self.update(tracker, 0, [0], [0.9])
        assert self.update(tracker, 3, [], []) == []
        assert self.update(tracker, 5, [5], [0.9]) == [1], "four frames without it"
        assert self.update(tracker, 11, [5], [0.9]) == [2], "five frames without it"

    def test_scores_are_means_over_the_life(self) -> None:
        tracker = self.tracker()
        kernels = torch.tensor([direction(0.0)])
        tracker.update(0, kernels, torch.tensor([[0.9, 0.1]]))
        _, means = tracker.update(1, kernels, torch.tensor([[0.3, 0.5]]))
        assert means[0].tolist() == pytest.approx([0.6, 0.3])

    def test_state_resumes_exactly(self) -> None:
        one, other = self.tracker(), self.tracker()
        self.update(one, 0, [0, 90], [0.9, 0.9])
        other.load_state(one.state())
        for tracker in (one, other):
            assert self.update(tracker, 3, [88, 200], [0.9, 0.9]) == [2, 3]


def test_a_backbone_without_tokens_cannot_be_built() -> None:
    with pytest.raises(TypeError, match="abstract.*tokens"):
        Backbone(MobileInstConfig())  # type: ignore[abstract]
