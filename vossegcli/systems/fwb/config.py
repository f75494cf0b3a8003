"""Configuration of FWB: what fixes the shapes of the weights, and the defaults of boosting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from vossegcli.errors import ConfigError
from vossegcli.systems.base import config_from_dict

Backbone = Literal["vgg16", "resnet101", "efficientnet_lite0"]
#: Prototypes of the surroundings for each of the class: they are more varied.
SURROUNDINGS = 4


@dataclass(frozen=True)
class FWBConfig:
    """Shapes of the network; the defaults are the published ones with ResNet-101.

    Attributes:
        backbone: `vgg16` and `resnet101` as published, dilated to stride 8; `efficientnet_lite0` = its stages at
            strides 8, 16 and 32 side by side, with a learned projection.
        projected: channels of that projection.
        head_channels: width of the head.
        prototypes: vectors that stand for a class, found by k-means; with more than 1 (an addition) `SURROUNDINGS`
            times as many stand for what is around it. 1 = the paper.
        margin: log-odds for a unit of the last map, the margin between the nearest prototypes, beside what the head
            says (an addition): prototypes can be trusted with images unlike those that the head was trained on.
        margin_per_support: as much more for each support beyond the first: prototypes of many are better.
        support_cells: the nearest cells of the supports count as much as the nearest prototypes, by the same margins
            (an addition, `nearest_cells.py`).
        own_surroundings: prototypes of an image's own surroundings that join those of the supports in a second look,
            with one of the class (an addition, `own_prototypes.py`); 0 = one look.
        presence: weight of the log-odds that `presence.py` gives, in the confidence.
        coverage: log-odds for each unit by which the parts of the class that are matched worst are nearer to what was
            found than `coverage_level` (an addition, `coverage.py`); 0 = the confidence stands on `presence` alone.
        coverage_level: distance that speaks neither for nor against the class.
        refine_channels: width of the refinement at stride 4 (an addition); 0 = none.
        draws: of the prototypes by k-means, each from other seeds; each is boosted, and all become experts (an
            addition). Where prototypes are unlike from draw to draw, so are the masks, and their mean is better.
        steps: steps of boosting, which is also the number of experts of a draw.
        rate: learning rate of boosting.
        short_side: images with a larger short side are worked on at this size.
        enlarge: whether smaller ones are brought up to it.
        threshold: probability from which on a pixel belongs to a class.
    """

    backbone: Backbone = "resnet101"
    projected: int = 64
    head_channels: int = 128
    prototypes: int = 1
    margin: float = 0.0
    margin_per_support: float = 0.0
    support_cells: bool = False
    own_surroundings: int = 0
    presence: float = 1.0
    coverage: float = 0.0
    coverage_level: float = 0.0
    refine_channels: int = 0
    draws: int = 1
    steps: int = 10
    rate: float = 1e-2
    short_side: int = 512
    enlarge: bool = False
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a value is out of range.
        """
        if self.backbone not in get_args(Backbone):
            raise ConfigError(f"unknown backbone '{self.backbone}'", fix=f"use one of {', '.join(get_args(Backbone))}")
        for name, least in (("prototypes", 1), ("draws", 1), ("steps", 1), ("short_side", 1), ("own_surroundings", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix=f"give {least} or more")
        for name, none in (
            ("margin", 0),
            ("margin_per_support", 0),
            ("own_surroundings", 0),
            ("draws", 1),
            ("support_cells", False),
        ):
            if self.prototypes == 1 and getattr(self, name) != none:
                raise ConfigError(f"{name} needs more prototypes than one", fix=f"set {name} = {none}")
        for name in ("coverage", "refine_channels"):
            if getattr(self, name) and self.backbone != "efficientnet_lite0":
                raise ConfigError(f"{self.backbone} does not give the stages for {name}", fix=f"set {name} = 0")
        if self.rate <= 0.0:
            raise ConfigError(f"rate of boosting is {self.rate}", fix="give a number above 0")
        if not 0.0 < self.threshold < 1.0:
            raise ConfigError(f"threshold is {self.threshold}", fix="give a number between 0 and 1")

    @property
    def counts(self) -> tuple[int, int]:
        """Prototypes of a class and of its surroundings; none as published."""
        return (0, 0) if self.prototypes == 1 else (self.prototypes, SURROUNDINGS * self.prototypes)

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

#: Small enough for a CPU and to ship inside the package; all but the paper's parts is our own choice.
COMPACT = FWBConfig(
    "efficientnet_lite0",
    projected=64,
    head_channels=48,
    prototypes=5,
    margin=15.0,
    margin_per_support=4.0,
    support_cells=True,
    own_surroundings=16,
    presence=0.4,
    coverage=11.0,
    coverage_level=1.1,
    refine_channels=24,
    draws=3,
    steps=2,
    rate=1e-3,
    short_side=320,
    enlarge=True,
)

CONFIGS = {"vgg16": VGG16, "resnet101": RESNET101, "compact": COMPACT}
