"""ImageNet weights of torchvision's backbones, downloaded once and checked by hash."""

from __future__ import annotations

from urllib.error import URLError

from torch import Tensor
from torchvision.models import get_model_weights

from vossegcli.errors import CheckpointError


def read_imagenet(backbone: str) -> dict[str, Tensor]:
    """Fetch the state dict of a torchvision backbone, e.g. `resnet50`, first version of its ImageNet weights.

    Raises:
        CheckpointError: no network, or the download is not what torchvision's hash says.
    """
    weights = get_model_weights(backbone)["IMAGENET1K_V1"]
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"ImageNet weights of {backbone} cannot be had ({error})",
            where=weights.url,
            fix="connect to the network once, or use --init none",
        ) from error
    return state
