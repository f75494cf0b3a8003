"""Configuration of FWB: what fixes the shapes of the weights, and the defaults of boosting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from vossegcli.errors import ConfigError
from vossegcli.systems.base import config_from_dict

Backbone = Literal["vgg16", "resnet101", "compact"]


@dataclass(frozen=True)
class FWBConfig:
    """Shapes of the network; the defaults are the published ones with ResNet-101.

    Attributes:
        backbone: `vgg16` and `resnet101` as published, dilated to stride 8; `compact` = a small ResNet of basic blocks
            with a pyramid.
        stem: channels of the first convolution (compact).
        planes: widths of the four stages (compact).
        depths: blocks of the four stages (compact).
        head_channels: width of the head.
        calibrated: whether the head sees similarities on the scale of the supports' own (`calibrate`; an addition).
        steps: steps of boosting, which is also the number of experts.
        rate: learning rate of boosting.
        short_side: images with a larger short side are worked on at this size.
        threshold: probability from which on a pixel belongs to a class.
    """

    backbone: Backbone = "resnet101"
    stem: int = 64
    planes: tuple[int, int, int, int] = (64, 128, 256, 512)
    depths: tuple[int, int, int, int] = (3, 4, 23, 3)
    head_channels: int = 128
    calibrated: bool = False
    steps: int = 10
    rate: float = 1e-2
    short_side: int = 512
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a value is out of range.
        """
        if self.backbone not in get_args(Backbone):
            raise ConfigError(f"unknown backbone '{self.backbone}'", fix=f"use one of {', '.join(get_args(Backbone))}")
        if self.steps < 1:
            raise ConfigError(f"steps of boosting are {self.steps}", fix="give 1 or more")
        if self.rate <= 0.0:
            raise ConfigError(f"rate of boosting is {self.rate}", fix="give a number above 0")
        if not 0.0 < self.threshold < 1.0:
            raise ConfigError(f"threshold is {self.threshold}", fix="give a number between 0 and 1")
        if self.short_side < 1:
            raise ConfigError(f"short_side is {self.short_side}", fix="give 1 or more")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FWBConfig:
        """Rebuild a config from `to_dict`'s values (lists stand for tuples after JSON).

        Raises:
            ConfigError: a field is unknown, missing or out of range.
        """
        return config_from_dict(cls, values, "an FWB configuration")


VGG16 = FWBConfig("vgg16")
RESNET101 = FWBConfig("resnet101")

#: Small enough for a CPU and to ship inside the package; widths are our own choice. Its features are normalised to unit
#: variance, so boosting takes longer steps than on the published ones.
COMPACT = FWBConfig(
    "compact",
    stem=32,
    planes=(64, 128, 256, 256),
    depths=(2, 2, 2, 2),
    calibrated=True,
    rate=0.1,
    short_side=256,
    threshold=0.3,
)

CONFIGS = {"vgg16": VGG16, "resnet101": RESNET101, "compact": COMPACT}
