"""The second look: an image's own prototypes find more of what was surely found, and leave out its surroundings."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vossegcli.errors import ConfigError
from vossegcli.systems.fwb.config import COMPACT, FWBConfig
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.own_prototypes import FEWEST_CELLS, compare_again, own_prototypes
from vossegcli.systems.fwb.predict import FWBPredictor
from vossegcli.systems.fwb.prototypes import Comparison, class_maps, compare

#: Looks of the class in a support, of its surroundings there, and of three things in the image.
CLASS, AROUND = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
ALIKE, PART, STONE = (0.9, 0.0, 0.3), (0.3, 0.4, 0.9), (0.55, 0.4, -0.8)
TWICE = FWBConfig(
    "efficientnet_lite0", projected=8, head_channels=16, prototypes=2, own_surroundings=3, steps=2, short_side=64
)


def scene() -> Tensor:
    """Features (1,3,4,12): columns of what is like the class, of another part of it, and of stones."""
    columns = [ALIKE] * 4 + [PART] * 2 + [STONE] * 6
    return torch.tensor(columns).T.unsqueeze(1).expand(-1, 4, -1).unsqueeze(0).contiguous()


def first_look() -> Comparison:
    return compare(torch.tensor([[CLASS, CLASS, AROUND]]), torch.ones(3), scene(), 1, (3,))


def margins(compared: Comparison) -> Tensor:
    """How much nearer the class is than the surroundings, for each column."""
    return class_maps(compared)[0, 0, -1, 0]


def test_own_prototypes_are_of_what_is_sure() -> None:
    probs = torch.zeros(1, 8, 24)
    probs[..., :8], probs[..., 8:12] = 0.95, 0.5  # at twice the size of the features: sure, then in doubt
    own = own_prototypes(scene(), probs, around=2)
    assert own is not None
    assert torch.allclose(own[0], torch.tensor(ALIKE))
    assert torch.allclose(own[1:], torch.tensor(STONE).expand(2, -1))


def test_a_second_look_finds_the_other_part_and_leaves_the_stones() -> None:
    first = margins(first_look())
    assert (first[4:6] < 0).all()
    assert (first[6:] > 0).all()  # stones look more like the class than like what is around it in the support
    probs = torch.tensor([0.9] * 4 + [0.5] * 2 + [0.2] * 6).expand(1, 4, -1)
    more = compare_again(first_look(), scene(), probs, 2, (3,))
    assert more is not None
    second = margins(more)
    assert (second[:6] > 0).all()
    assert (second[6:] < 0).all()


def test_own_prototypes_count_as_those_of_the_supports_do() -> None:
    probs = torch.tensor([0.9] * 4 + [0.5] * 2 + [0.2] * 6).expand(1, 4, -1)
    own = own_prototypes(scene(), probs, around=2)
    again = compare_again(first_look(), scene(), probs, 2, (3,))
    assert own is not None
    assert again is not None
    vectors = torch.cat([torch.tensor([CLASS, CLASS]), own[:1], torch.tensor([AROUND]), own[1:]]).unsqueeze(0)
    together = compare(vectors, torch.ones(3), scene(), 2, (3,))
    assert all(torch.allclose(one, other) for one, other in zip(again, together, strict=True))


@pytest.mark.parametrize("sure", [0, FEWEST_CELLS - 1, 48 - FEWEST_CELLS + 1])
def test_the_first_look_stands_where_too_little_is_sure(sure: int) -> None:
    probs = torch.zeros(48)
    probs[:sure] = 1.0
    assert compare_again(first_look(), scene(), probs.view(1, 4, 12), 2, (3,)) is None


def test_images_of_a_batch_are_looked_at_one_by_one() -> None:
    torch.manual_seed(0)
    network = FWB(TWICE).eval()
    image, mask = torch.rand(3, 64, 64), torch.zeros(64, 64)
    image[0, 8:40, 8:40], mask[8:40, 8:40] = 3.0, 1.0
    others = torch.rand(2, 3, 64, 64)
    others[0, 0, 20:60, 20:60] = 3.0
    found = {}
    for looking_twice in (True, False):
        predictor = FWBPredictor(network, looking_twice=looking_twice)
        predictor.fit([image], [mask])
        together = predictor.predict(others)
        for other, segmented in zip(others, together, strict=True):
            alone = predictor.predict(other.unsqueeze(0))[0]
            assert torch.allclose(alone.probs, segmented.probs, atol=1e-5)
        found[looking_twice] = together
    assert not torch.allclose(found[True][0].probs, found[False][0].probs, atol=1e-3)
    assert torch.equal(found[True][0].confidence, found[False][0].confidence)  # presence: by the first look


def test_own_prototypes_need_those_of_the_supports() -> None:
    with pytest.raises(ConfigError, match="own_surroundings"):
        replace(COMPACT, prototypes=1, margin=0.0, margin_per_support=0.0)
