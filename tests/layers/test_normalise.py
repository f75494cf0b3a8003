import torch

from vossegcli.layers.normalise import NormalisedInput


def test_the_mean_becomes_zero_and_the_constants_are_stored_with_the_weights() -> None:
    layer = NormalisedInput((0.5, 0.25, 0.1), (0.5, 0.25, 0.2))
    images = torch.tensor([0.5, 0.5, 0.5]).view(1, 3, 1, 1)
    torch.testing.assert_close(layer.normalise(images).flatten(), torch.tensor([0.0, 1.0, 2.0]))
    assert sorted(layer.state_dict()) == ["mean", "std"]


def test_imagenet_is_the_default() -> None:
    grey = NormalisedInput().normalise(torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
    assert not bool(grey.any())
