"""Parts of the class that have no match in an image, by hand, and what they make of the confidence."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vossegcli.errors import ConfigError
from vossegcli.systems.fwb.config import COMPACT, VGG16, FWBConfig
from vossegcli.systems.fwb.coverage import CLASS_CELLS, FEWEST_CELLS, class_cells, missing_parts
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor

SIDE = 6  # cells of an image
TINY = FWBConfig("efficientnet_lite0", projected=8, head_channels=16, prototypes=2, steps=1, short_side=64)


def image(cells: int, look: float) -> tuple[Tensor, Tensor]:
    """Features (1,1,6,6) whose first cells have a look, the others 0, and probabilities (1,6,6): the first are sure."""
    first = torch.arange(SIDE * SIDE).view(1, SIDE, SIDE) < cells
    return (first * look).unsqueeze(1), first * 0.98 + 0.01


def test_cells_are_spread_over_the_class_of_each_support() -> None:
    features = torch.arange(600.0).view(1, 1, 2, 300).repeat(2, 1, 1, 1)
    inside = torch.zeros(2, 2, 300)
    inside[0], inside[1, 1, 200:204] = 1.0, 0.9
    cells = class_cells(features, inside)
    assert cells.shape == (2, CLASS_CELLS // 2, 1)
    assert cells[0, :3, 0].tolist() == [0.0, 4.0, 9.0]
    assert cells[1, :, 0].unique().tolist() == [500.0, 501.0, 502.0, 503.0]


def test_the_worst_half_of_the_support_that_is_matched_best() -> None:
    features, probs = image(20, 2.0)
    far = torch.tensor([[9.0], [9.0], [9.0], [9.0]])
    near = torch.tensor([[2.0], [2.0], [3.0], [6.0]])  # 0, 0, 1 and 4 from what was found
    assert missing_parts(near.unsqueeze(0), features, probs, (1,)).tolist() == pytest.approx([2.5])
    assert missing_parts(torch.stack([far, near]), features, probs, (1,)).tolist() == pytest.approx([2.5])


def test_cells_that_were_not_found_match_nothing() -> None:
    features, probs = image(20, 2.0)
    assert missing_parts(torch.zeros(1, 2, 1), features, probs, (1,)).tolist() == pytest.approx([2.0])
    features, probs = image(FEWEST_CELLS - 1, 2.0)  # too few: of the others the likeliest count
    assert missing_parts(torch.zeros(1, 2, 1), features, probs, (1,)).tolist() == pytest.approx([0.0], abs=2e-3)


def test_groups_have_the_same_say_and_further_channels_none() -> None:
    features, probs = image(20, 1.0)
    wide = features.expand(-1, 4, -1, -1)
    shown = torch.tensor([1.0, 4.0, 5.0, 100.0]).expand(1, 2, -1)
    assert missing_parts(shown, wide, probs, (1, 2)).tolist() == pytest.approx([2.5], abs=1e-3)  # 0 and 5


def test_images_of_a_batch_and_masks_of_any_size() -> None:
    parts = [image(20, 2.0), image(16, 3.0)]
    features, probs = (torch.cat(part) for part in zip(*parts, strict=True))
    finer = probs.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    together = missing_parts(torch.zeros(1, 2, 1), features, finer, (1,))
    assert together.tolist() == pytest.approx([2.0, 3.0])


def test_missing_parts_make_the_class_less_likely() -> None:
    network = FWB(replace(TINY, presence=0.5, coverage=10.0, coverage_level=1.0)).eval()
    statistics = torch.randn(2, network.presence[1].in_features)
    alone = network.presence(statistics)[:, 0]
    both = network.confidence(statistics, torch.tensor([0.9, 1.2]))
    assert torch.allclose(both, 0.5 * alone + torch.tensor([1.0, -2.0]), atol=1e-5)
    assert torch.equal(network.confidence(statistics, None), 0.5 * alone)


def test_an_image_with_the_class_covers_it() -> None:
    torch.manual_seed(0)
    shown, other = torch.rand(3, 64, 64), torch.rand(3, 64, 64)
    mask = torch.zeros(64, 64)
    mask[8:40, 8:40] = 1.0
    shown[:, mask > 0] = torch.tensor([3.0, 0.0, 0.0]).unsqueeze(1)
    predictor = FWBPredictor(FWB(replace(TINY, presence=0.0, coverage=10.0)).eval())
    predictor.fit([shown], [mask])
    present, absent = predictor.predict(torch.stack([shown, other]))
    assert float(present.confidence) > 2.0 * float(absent.confidence)


def test_published_networks_have_no_stages_to_compare() -> None:
    with pytest.raises(ConfigError, match="coverage"):
        replace(VGG16, coverage=1.0)
    assert COMPACT.coverage > 0
