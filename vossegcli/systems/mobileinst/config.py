"""Configurations of MobileInst: what fixes the shapes of the weights, and the defaults of inference and tracking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from vossegcli.errors import ConfigError
from vossegcli.systems.base import config_from_dict

Backbone = Literal["token_pyramid", "efficientnet_lite0"]
Attention = Literal["global", "axial"]
Pooling = Literal["max", "average"]

STRIDES = (4, 8, 16, 32)  # of the token pyramid


@dataclass(frozen=True)
class MobileInstConfig:
    """Shapes of the network; the defaults follow the paper's model with TopFormer-base at 640 pixels.

    Attributes:
        classes: number of classes.
        backbone: the convolutions before the transformer: TopFormer's token pyramid, or `efficientnet_lite0`, which
            starts from ImageNet weights.
        stem: channels of the token pyramid's first convolution.
        widths: channels of the tokens at strides 4, 8, 16 and 32.
        depths: the token pyramid's inverted residuals at each stride.
        attention: of the backbone's transformer: every token to every other (TopFormer), or squeezed along rows and
            columns (SeaFormer).
        blocks: transformer blocks of the backbone.
        heads: of their attention.
        channels: of the mask decoder and the queries.
        queries: learnt queries, the maximum of instances per image.
        kernel: length of an instance's kernel.
        feedforward: width of the instance decoder's feed-forward layer.
        decoder_heads: of the instance decoder's attention.
        pooling: how the mask features become the local decoder's tokens.
        local_stride: of those tokens, in pixels.
        query_stride: 0 = `queries` learnt ones, as in the paper. Else queries begin at reference points so many pixels
            apart, all alike but for the point, and mask features know where they are (an addition; see
            `reference_points`): many objects that look alike cannot be told apart otherwise, and a large image needs
            more queries than a small one.
        score_threshold: instances below it are left out.
        top_k: maximum instances per image.
        overlap: IoU of two masks from which on the weaker one is left out as a double; 1 = none is, as in the paper.
        track_overlap: likewise on the key frames of videos, where a double can take the identity of what it doubles;
            1 = none is left out, as in the paper. The default is not the paper's, for older checkpoints do not name it.
        short_side: default working size in pixels; smaller images are enlarged to it.
        draw_score: score from which on instances are drawn and counted by default.
        key_every: frames from one key frame to the next in videos.
        similarity: cosine of two kernels from which on they can be of the same object.
        birth_threshold: score from which on an instance begins a track.
    """

    classes: int = 80
    backbone: Backbone = "token_pyramid"
    stem: int = 16
    widths: tuple[int, int, int, int] = (32, 64, 128, 160)
    depths: tuple[int, int, int, int] = (2, 2, 2, 3)
    attention: Attention = "global"
    blocks: int = 4
    heads: int = 8
    channels: int = 256
    queries: int = 100
    kernel: int = 128
    feedforward: int = 512
    decoder_heads: int = 8
    pooling: Pooling = "max"
    local_stride: int = 64
    query_stride: int = 0
    score_threshold: float = 0.005
    top_k: int = 100
    overlap: float = 1.0
    track_overlap: float = 0.5
    short_side: int = 640
    draw_score: float = 0.3
    key_every: int = 3
    similarity: float = 0.5
    birth_threshold: float = 0.2

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a value is out of range.
        """
        for name, kind in (("backbone", Backbone), ("attention", Attention), ("pooling", Pooling)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(
                    f"unknown {name} '{getattr(self, name)}'", fix=f"use one of {', '.join(get_args(kind))}"
                )
        for name in (
            "classes",
            "blocks",
            "heads",
            "queries",
            "kernel",
            "top_k",
            "short_side",
            "key_every",
            "decoder_heads",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix="give 1 or more")
        for name in ("widths", "depths"):
            if len(getattr(self, name)) != len(STRIDES) or min(getattr(self, name)) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix=f"give a number for each stride of {STRIDES}")
        if self.channels % 4 or self.channels % self.decoder_heads:
            raise ConfigError(
                f"channels is {self.channels}", fix=f"give a multiple of 4 and of decoder_heads, {self.decoder_heads}"
            )
        for fits, name, wanted in (
            (0.0 < self.overlap <= 1.0, "overlap", "a number above 0, at most 1"),
            (0.0 < self.track_overlap <= 1.0, "track_overlap", "a number above 0, at most 1"),
            (self.query_stride >= 0, "query_stride", "a number of pixels, or 0"),
            (self.local_stride in {8, 16, 32, 64}, "local_stride", "8, 16, 32 or 64"),
        ):
            if not fits:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix=f"give {wanted}")

    def with_labels(self, labels: Sequence[str]) -> MobileInstConfig:
        """Return the configuration for the classes of a data set."""
        return replace(self, classes=len(labels))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MobileInstConfig:
        """Rebuild a config from `to_dict`'s values (lists stand for tuples after JSON).

        Raises:
            ConfigError: a field is unknown, missing or out of range.
        """
        return config_from_dict(cls, values, "a MobileInst configuration")


TOPFORMER_640 = MobileInstConfig(track_overlap=1.0)
TOPFORMER_512 = replace(TOPFORMER_640, short_side=512)
SEAFORMER_640 = replace(TOPFORMER_640, attention="axial")

#: For CPUs, small data sets and many like objects; the choices are our own.
COMPACT = MobileInstConfig(
    backbone="efficientnet_lite0", widths=(24, 48, 96, 128), heads=6, channels=128, kernel=96, feedforward=256,
    local_stride=16, query_stride=16, top_k=400, overlap=0.7, draw_score=0.42, short_side=512,
)  # fmt: skip

CONFIGS = {
    "topformer-640": TOPFORMER_640,
    "topformer-512": TOPFORMER_512,
    "seaformer-640": SEAFORMER_640,
    "compact": COMPACT,
}
