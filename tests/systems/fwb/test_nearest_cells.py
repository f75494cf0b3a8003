"""Cells of images against those of the supports, by hand and against all pairs, and what they change in a mask."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from vossegcli.errors import ConfigError
from vossegcli.systems.fwb.config import COMPACT, VGG16, FWBConfig
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.nearest_cells import MOST, SupportCells, nearer_to_class, support_cells
from vossegcli.systems.fwb.predict import FWBPredictor

TINY = FWBConfig("efficientnet_lite0", projected=8, head_channels=16, prototypes=2, steps=1, short_side=64)


def test_how_much_nearer_by_hand() -> None:
    cells = SupportCells(torch.tensor([[0.0], [10.0]]), torch.tensor([[4.0]]))
    features = torch.tensor([0.0, 1.0, 2.0, 3.0, 8.0, 12.0]).view(1, 1, 2, 3)
    expected = torch.tensor([4.0, 2.0, 0.0, -2.0, 2.0, 6.0]).view(1, 2, 3)
    assert torch.allclose(nearer_to_class(cells, features), expected, atol=1e-3)


@pytest.mark.parametrize(("precision", "apart"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_images_of_a_batch_against_all_pairs(precision: torch.dtype, apart: float) -> None:
    torch.manual_seed(0)
    cells, features = SupportCells(torch.rand(7, 5), torch.rand(9, 5)), torch.rand(2, 5, 3, 4)
    flat = features.flatten(2).transpose(1, 2)
    nearest = [torch.cdist(flat, known).amin(dim=2) for known in cells]
    found = nearer_to_class(cells, features, precision)
    assert torch.allclose(found, (nearest[1] - nearest[0]).view(2, 3, 4), atol=apart)


def test_clear_cells_of_all_supports_are_picked() -> None:
    features = torch.arange(8.0).view(2, 1, 2, 2)
    inside = torch.tensor([[[1.0, 0.4], [0.0, 0.0]], [[0.0, 0.0], [0.6, 0.0]]])
    beyond = torch.zeros(2, 2, 2)
    beyond[1, 1, 1] = 1.0  # neither class nor surroundings
    cells = support_cells(features, inside, 1.0 - inside - beyond)
    assert cells.of_class[:, 0].tolist() == [0.0, 6.0]
    assert cells.around[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    thin = support_cells(features, 0.3 * inside, 1.0 - 0.3 * inside)
    assert thin.of_class[:, 0].tolist() == [0.0, 1.0, 6.0], "a class that fills no cell still has its own"


def test_of_many_cells_some_are_kept_evenly_spaced() -> None:
    features = torch.arange(10_000.0).view(1, 1, 100, 100)
    inside = (features[0] < 5_000).float()
    cells = support_cells(features, inside, 1.0 - inside)
    assert [len(part) for part in cells] == [MOST, MOST]
    assert cells.of_class[0] == 0.0 and cells.of_class[-1] == 4_999.0
    assert cells.around[0] == 5_000.0 and cells.around[-1] == 9_999.0


def test_nearest_cells_shift_the_masks() -> None:
    torch.manual_seed(0)
    image, mask = torch.rand(3, 64, 64), torch.zeros(64, 64)
    mask[8:40, 8:40] = 1.0
    image[:, mask > 0] *= 0.3
    plain = FWB(replace(TINY, margin=40.0)).eval()
    trusting = FWB(replace(plain.config, support_cells=True)).eval()
    trusting.load_state_dict(plain.state_dict())
    predictors = [FWBPredictor(network) for network in (plain, trusting)]
    fitted = [predictor.fit([image], [mask]) for predictor in predictors]
    assert fitted[0] == fitted[1], "the supports themselves are no proof"
    before, after = (predictor.predict(image.unsqueeze(0))[0].probs[0] for predictor in predictors)
    inside = functional.max_pool2d(-mask[None], 9, 1, 4)[0] == -1.0
    assert float((after - before)[inside].mean()) > 0.01
    assert float((after - before)[mask == 0].mean()) < -0.01


def test_nearest_cells_count_as_much_as_prototypes() -> None:
    network = FWB(replace(TINY, margin=2.0, margin_per_support=3.0))
    odds, nearer, maps = torch.rand(1, 4, 4), torch.rand(1, 4, 4), torch.rand(1, 6, 4, 4)
    for supports, weight in ((1, 2.0), (3, 8.0)):
        found = network.trust_prototypes(odds, maps, supports, nearer)
        assert torch.allclose(found, odds + weight * (maps[:, -1] + nearer))


def test_settings() -> None:
    assert COMPACT.support_cells and not VGG16.support_cells
    with pytest.raises(ConfigError, match="support_cells needs more prototypes"):
        replace(VGG16, support_cells=True)
