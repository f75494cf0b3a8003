"""The newest frame of a video: what the next one needs of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vossegcli.systems.afb_urr.sight import Sight


@dataclass(frozen=True)
class Newest:
    """The frame of the last step: what the next read needs, and what is still to be memorised."""

    frame: Tensor  # (1,3,H',W') padded, working size
    key: Tensor  # (1,C,h,w)
    fine_key: Tensor | None  # (1,Cf,H'/8,W'/8)
    masks: Tensor  # (1,K,H',W') padded soft masks
    index: int
    annotated: frozenset[int]  # classes whose mask was given
    memorised: bool
    sight: Sight
