"""Configuration of AFB-URR: what fixes the shapes of the weights, and the defaults of the bank."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from vossegcli.errors import ConfigError
from vossegcli.layers.efficientnet_lite import Variant
from vossegcli.layers.resnet import BlockName


@dataclass(frozen=True)
class TrunkConfig:
    """A ResNet up to stage C4 (stride 16).

    Attributes:
        block: `basic` or `bottleneck`.
        stem: channels of the first convolution (stride 2).
        planes: widths of the stages C2, C3, C4.
        depths: blocks of the stages C2, C3, C4.
    """

    block: BlockName
    stem: int
    planes: tuple[int, int, int]
    depths: tuple[int, int, int]


@dataclass(frozen=True)
class LiteTrunk:
    """An EfficientNet-Lite: up to stride 16 as query encoder, its first stages at half the size as memory encoder.

    Attributes:
        variant: `lite0` or `lite2`.
    """

    variant: Variant = "lite0"


RESNET50 = TrunkConfig("bottleneck", 64, (64, 128, 256), (3, 4, 6))


@dataclass(frozen=True)
class BankConfig:
    """Defaults of the adaptive feature bank (paper sec. 3.2; values of the public code's command line).

    Attributes:
        budget: entries of all classes together.
        update_rate: weight of a new feature when it is merged into an entry, in [0, 1].
        merge_threshold: cosine similarity above which a new feature is merged instead of appended.
        protect_annotated: keep the entries of annotated frames as they are: never evicted, never merged into.
        memory_every: memorise every n-th frame (the paper: 1).
    """

    budget: int = 300_000
    update_rate: float = 0.1
    merge_threshold: float = 0.95
    protect_annotated: bool = False
    memory_every: int = 1

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a value is out of range.
        """
        if self.budget < 1:
            raise ConfigError(f"budget is {self.budget}", fix="give at least 1 entry")
        if not 0.0 <= self.update_rate <= 1.0:
            raise ConfigError(f"update rate is {self.update_rate}", fix="give a value from 0 to 1")
        if not -1.0 <= self.merge_threshold <= 1.0:
            raise ConfigError(f"merge threshold is {self.merge_threshold}", fix="give a cosine from -1 to 1")
        if self.memory_every < 1:
            raise ConfigError(f"memory_every is {self.memory_every}", fix="give 1 or more")


@dataclass(frozen=True)
class LocalityConfig:
    """The local read of the newest frame's masks (addition).

    Attributes:
        key_channels: channels of the keys at stride 8.
        rows: a cell sees the rows up to this many above and below its own, and columns up to twice as many to the left
            and right.
        reach: while an object is held, nothing of it is farther off than so many of its sides; 0 = it may be anywhere.
    """

    key_channels: int = 32
    rows: int = 6
    reach: float = 0.5

    @property
    def distance(self) -> tuple[int, int]:
        """Rows and columns that a cell sees on each side."""
        return self.rows, 2 * self.rows


@dataclass(frozen=True)
class TargetConfig:
    """The target model, a linear classifier of cells that is fitted to the video (addition).

    Attributes:
        ridge: weight of the squared weights, in mean squares of a descriptor.
        annotated: share of the annotated frames in what it is fitted to, in (0, 1]; the rest are predicted masks.
        rate: weight of the newest frame in the mean of those, in (0, 1].
        odds: log odds of a class for a unit of its score above one half.
    """

    ridge: float = 0.01
    annotated: float = 0.5
    rate: float = 0.1
    odds: float = 7.0

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a value is out of range.
        """
        if self.ridge <= 0.0:
            raise ConfigError(f"ridge is {self.ridge}", fix="give a number above 0")
        if self.odds < 0.0:
            raise ConfigError(f"odds are {self.odds}", fix="give a number from 0 on")
        for name in ("annotated", "rate"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix="give a share above 0, up to 1")


@dataclass(frozen=True)
class AFBURRConfig:
    """Shapes of the network; the defaults are the published ones.

    Attributes:
        query_trunk: trunk of the query encoder.
        memory_trunk: trunk of the memory encoder.
        key_channels: channels of a key.
        value_channels: channels of a learned value.
        decoder_channels: width of the decoder at strides 16, 8 and 4.
        local_channels: width of the local refinement at stride 2.
        key_source: `memory` = keys of the memory come from frame and mask (published); `frame` = from the
            frame alone by the query encoder, as a correspondence between frames (addition; after STCN).
        unit_keys: keys are unit vectors times one learned scale (addition).
        mask_cells: n > 0 appends to each value the mask itself, averaged over n x n parts of the cell, so that
            reading the memory also propagates the mask (addition).
        locality: guide the decoder by the newest frame's mask: as it is, and read by attention at stride 8 with a
            Gaussian prior on the distance (addition).
        annotated_read: guide the decoder also by the mask as read from the annotated frames alone, so that what was
            lost on the way can come back (addition).
        target: add to the decoder's log odds what a linear classifier of cells says that is fitted to the video itself
            (`target_model.py`; addition).
        memory_sharpness: factor of the log odds of a predicted mask before it enters the memory; 1 = as it is (paper).
            More makes it nearly two-valued, so that doubt does not spread from frame to frame (addition).
        light_skips: skip features enter the decoder by one convolution, without a residual block (addition).
        context: the query encoder goes on to stride 32, and what it finds there is added to its features at stride 16:
            the stage that knows ImageNet's classes says what belongs together (addition; needs an EfficientNet-Lite).
        cut_similarity: where the keys of a frame are found in the frame before with a lower mean cosine, another scene
            begins: objects are painted again only where the annotated frames confirm them (`sight.py`; addition, needs
            annotated_read). 0 = cuts are not looked for (paper).
        growths: when an object has grown by these factors since it was annotated, its annotated frame is memorised
            again, enlarged (`growth.py`; addition); empty = never (paper).
        decode_near: share of an object, as read for some part of a cell, from which on the decoder works around that
            cell; all else is background (`window.py`; addition, needs mask_cells). 0 = it works everywhere (paper).
        bank: defaults of the feature bank.
        short_side: frames with a larger short side are worked on at this size, if nobody asks for another.
        adapt_steps: steps of training on the given masks before a video is segmented, if nobody asks for another
            number (addition; the paper: 0).
    """

    query_trunk: TrunkConfig | LiteTrunk = RESNET50
    memory_trunk: TrunkConfig | LiteTrunk = RESNET50
    key_channels: int = 128
    value_channels: int = 512
    decoder_channels: int = 256
    local_channels: int = 32
    key_source: Literal["memory", "frame"] = "memory"
    unit_keys: bool = False
    mask_cells: int = 0
    locality: LocalityConfig | None = None
    annotated_read: bool = False
    target: TargetConfig | None = None
    memory_sharpness: float = 1.0
    light_skips: bool = False
    context: bool = False
    cut_similarity: float = 0.0
    growths: tuple[float, ...] = ()
    decode_near: float = 0.0
    bank: BankConfig = BankConfig()
    short_side: int = 480
    adapt_steps: int = 0

    def __post_init__(self) -> None:
        """Check that the additions fit together.

        Raises:
            ConfigError: they do not.
        """
        self._check_ranges()
        self._check_needs()

    def _check_ranges(self) -> None:
        if self.mask_cells not in (0, 4):
            raise ConfigError(f"mask_cells is {self.mask_cells}", fix="give 0 (none) or 4 (stride 4)")
        if self.memory_sharpness <= 0.0:
            raise ConfigError(f"memory_sharpness is {self.memory_sharpness}", fix="give a number above 0")
        if not 0.0 <= self.cut_similarity < 1.0:
            raise ConfigError(f"cut_similarity is {self.cut_similarity}", fix="give a cosine from 0 (none) to 1")
        if list(self.growths) != sorted(set(self.growths)) or min(self.growths, default=2.0) <= 1.0:
            raise ConfigError(f"growths are {list(self.growths)}", fix="give ascending factors above 1")
        if self.locality and self.locality.reach < 0.0:
            raise ConfigError(f"reach is {self.locality.reach}", fix="give a number from 0 (anywhere) on")
        if not 0.0 <= self.decode_near < 1.0:
            raise ConfigError(f"decode_near is {self.decode_near}", fix="give a share from 0 (everywhere) to 1")

    def _check_needs(self) -> None:
        if self.context and not isinstance(self.query_trunk, LiteTrunk):
            raise ConfigError("context needs an EfficientNet-Lite", fix="set query_trunk.variant or context = false")
        if self.cut_similarity and not self.annotated_read:
            raise ConfigError("cut_similarity needs annotated_read", fix="set cut_similarity = 0")
        if self.decode_near and not self.mask_cells:
            raise ConfigError("decode_near needs masks in the memory", fix="set mask_cells = 4 or decode_near = 0")
        same_width = _width(self.query_trunk) == _width(self.memory_trunk)
        published_trunks = isinstance(self.query_trunk, TrunkConfig) and same_width
        if self.key_source == "memory" and not published_trunks:
            raise ConfigError("keys from the memory need ResNets of one width", fix='set key_source = "frame"')
        if self.locality and not (self.mask_cells and self.key_source == "frame"):
            raise ConfigError("locality needs mask_cells and keys of frames", fix="set mask_cells = 4 and key_source")
        if self.annotated_read and not (self.mask_cells and self.bank.protect_annotated):
            raise ConfigError(
                "annotated_read needs masks in the memory and protected annotated entries",
                fix="set mask_cells = 4 and bank.protect_annotated",
            )

    @property
    def mask_channels(self) -> int:
        """Channels of a value that hold the mask itself."""
        return self.mask_cells**2

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AFBURRConfig:
        """Rebuild a config from `to_dict`'s values (lists stand for tuples after JSON, false for None in TOML).

        Raises:
            ConfigError: a field is unknown, missing or out of range.
        """
        try:
            fields = dict(values)
            fields["query_trunk"] = _trunk(fields["query_trunk"])
            fields["memory_trunk"] = _trunk(fields["memory_trunk"])
            fields["bank"] = BankConfig(**fields["bank"])
            fields["growths"] = tuple(fields.get("growths", ()))
            fields["locality"] = LocalityConfig(**fields["locality"]) if fields["locality"] else None
            fields["target"] = TargetConfig(**fields["target"]) if fields.get("target") else None
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not an AFB-URR configuration ({error})") from error


def _width(trunk: TrunkConfig | LiteTrunk) -> object:
    """Fields that fix the channels of the last stage."""
    return (trunk.block, trunk.planes[-1]) if isinstance(trunk, TrunkConfig) else trunk.variant


def _trunk(values: dict[str, Any]) -> TrunkConfig | LiteTrunk:
    if "variant" in values:
        return LiteTrunk(**values)
    return TrunkConfig(values["block"], values["stem"], tuple(values["planes"]), tuple(values["depths"]))


PUBLISHED = AFBURRConfig()

#: Small enough for a CPU and to ship inside the package; widths are our own choice.
COMPACT = AFBURRConfig(
    query_trunk=LiteTrunk(),
    memory_trunk=LiteTrunk(),
    key_channels=64,
    value_channels=96,
    decoder_channels=64,
    local_channels=16,
    key_source="frame",
    unit_keys=True,
    mask_cells=4,
    locality=LocalityConfig(rows=4),
    annotated_read=True,
    target=TargetConfig(),
    memory_sharpness=4.0,
    light_skips=True,
    context=True,
    cut_similarity=0.75,
    growths=(1.15, 1.4, 1.8, 2.4, 3.2),
    decode_near=0.1,
    bank=BankConfig(budget=60_000, update_rate=0.1, merge_threshold=0.95, protect_annotated=True, memory_every=3),
    short_side=400,
)

CONFIGS = {"published": PUBLISHED, "compact": COMPACT}
