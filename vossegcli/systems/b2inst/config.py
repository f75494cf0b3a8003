"""Configurations of B2Inst: what fixes the shapes of the weights, and the defaults of inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from vossegcli.errors import ConfigError
from vossegcli.systems.base import config_from_dict

Backbone = Literal["resnet", "efficientnet_lite0"]


@dataclass(frozen=True)
class B2InstConfig:
    """Shapes of the network; the defaults are those of BlendMask with ResNet-50, on which B2Inst is built.

    Attributes:
        classes: number of classes.
        backbone: `resnet` as published, or `efficientnet_lite0`, which is smaller.
        stem: channels of a ResNet's first convolution.
        planes: widths of its four stages.
        depths: blocks of its four stages.
        stride_in_1x1: where a bottleneck halves the size: its first 1x1 convolution (the published weights) or the 3x3.
        channels: of the pyramid and the box head.
        tower: convolutions of each tower of the box head.
        groups: of the towers' group norms.
        bases: K, bases that are learnt through the masks alone.
        boundary_basis: whether the holistic boundary map is one basis more.
        basis_channels: width of the basis head.
        basis_convs: 3x3 convolutions of the basis head at stride 8.
        fine_bases: whether C2 joins the basis head at stride 4 (an addition).
        attention: side of an instance's attention map.
        resolution: side of an instance's mask inside its box, in training and for the scores.
        largest_resolution: masks of instances that have more cells than that are assembled at up to so many.
        mask_margin: share of its width and height by which a mask reaches beyond each side of its box, so that a box
            that is too small cuts nothing off; 0 = not at all (paper). In training it varies from 0 to twice that.
        scoring: whether masks are scored by their own quality and that of their boundary.
        scoring_channels: width of the convolutions of the scoring head.
        scoring_hidden: width of its fully connected layers.
        candidates: locations a level that are looked at.
        score_threshold: locations below it are no candidates.
        nms_threshold: IoU of boxes above which the lower score is dropped.
        top_k: maximum instances per image.
        short_side: default working size in pixels; smaller images are enlarged to it.
        draw_score: score from which on instances are drawn and counted by default.
    """

    classes: int = 80
    backbone: Backbone = "resnet"
    stem: int = 64
    planes: tuple[int, int, int, int] = (64, 128, 256, 512)
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    stride_in_1x1: bool = True
    channels: int = 256
    tower: int = 4
    groups: int = 32
    bases: int = 4
    boundary_basis: bool = True
    basis_channels: int = 128
    basis_convs: int = 3
    fine_bases: bool = False
    attention: int = 14
    resolution: int = 56
    largest_resolution: int = 56
    mask_margin: float = 0.0
    scoring: bool = True
    scoring_channels: int = 256
    scoring_hidden: int = 1024
    candidates: int = 1000
    score_threshold: float = 0.05
    nms_threshold: float = 0.6
    top_k: int = 100
    short_side: int = 800
    draw_score: float = 0.3

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a value is out of range.
        """
        if self.backbone not in get_args(Backbone):
            raise ConfigError(f"unknown backbone '{self.backbone}'", fix=f"use one of {', '.join(get_args(Backbone))}")
        for name in ("classes", "tower", "bases", "basis_convs", "attention", "resolution", "top_k", "short_side"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix="give 1 or more")
        if self.resolution % 4:
            raise ConfigError(f"resolution is {self.resolution}", fix="give a multiple of 4")
        if self.largest_resolution < self.resolution:
            raise ConfigError(f"largest_resolution {self.largest_resolution} is below resolution {self.resolution}")
        if not 0.0 <= self.mask_margin <= 1.0:
            raise ConfigError(f"mask_margin is {self.mask_margin}", fix="give a share from 0 to 1")
        if self.channels % self.groups:
            raise ConfigError(f"channels {self.channels} are not a multiple of groups {self.groups}")

    @property
    def all_bases(self) -> int:
        """Bases that are blended, the boundary's included."""
        return self.bases + int(self.boundary_basis)

    def with_labels(self, labels: Sequence[str]) -> B2InstConfig:
        """Return the configuration for the classes of a data set."""
        return replace(self, classes=len(labels))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> B2InstConfig:
        """Rebuild a config from `to_dict`'s values (lists stand for tuples after JSON).

        Raises:
            ConfigError: a field is unknown, missing or out of range.
        """
        return config_from_dict(cls, values, "a B2Inst configuration")


R50 = B2InstConfig()
R101 = replace(R50, depths=(3, 4, 23, 3))

#: For CPUs and to ship inside the package; widths are our own choice.
COMPACT = B2InstConfig(
    backbone="efficientnet_lite0", channels=96, tower=2, groups=16, basis_channels=64, basis_convs=2, fine_bases=True,
    attention=7, resolution=28, largest_resolution=112, scoring_channels=64, scoring_hidden=128, short_side=512,
)  # fmt: skip

CONFIGS = {"r50": R50, "r101": R101, "compact": COMPACT}
