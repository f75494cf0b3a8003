"""The newest frame of a video: what the next one needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vossegcli.named_parts import joined_parts, part_of
from vossegcli.systems.afb_urr.config import AFBURRConfig
from vossegcli.systems.afb_urr.encoded_frame import EncodedFrame
from vossegcli.systems.afb_urr.growth import Growth, growth_from_state
from vossegcli.systems.afb_urr.sight import Sight
from vossegcli.systems.afb_urr.target_model import Stages, TargetModel, target_from_state


@dataclass(frozen=True)
class Newest:
    """The frame of the last step: what the next read needs, and what is still to be memorised."""

    frame: Tensor  # (1,3,H',W') padded, working size
    key: Tensor  # (1,C,h,w)
    fine_key: Tensor | None  # (1,Cf,H'/8,W'/8)
    stages: Stages | None  # as the target model sees the frame
    masks: Tensor  # (1,K,H',W') padded soft masks
    index: int
    annotated: frozenset[int]  # classes whose mask was given
    memorised: bool
    sight: Sight
    growth: Growth
    target: TargetModel | None

    def state(self) -> dict[str, Tensor]:
        """Return all that is needed of a frame that is memorised, as named tensors."""
        tensors = {"frame": self.frame, "key": self.key, "masks": self.masks, "index": torch.tensor(self.index)}
        tensors |= self.sight._asdict()
        if self.fine_key is not None:
            tensors["fine_key"] = self.fine_key
        parts = {"growth": self.growth.state()}
        if self.target is not None and self.stages is not None:
            parts |= {"target": self.target.state(), "stages": {str(i): x for i, x in enumerate(self.stages)}}
        return tensors | joined_parts(parts)


def newest_of(
    encoded: EncodedFrame,
    masks: Tensor,
    index: int,
    annotated: frozenset[int],
    *,
    sight: Sight,
    growth: Growth,
    target: TargetModel | None,
) -> Newest:
    """Return the newest frame as it is before it is memorised; attributes as of `Newest`."""
    query = encoded.query
    return Newest(
        encoded.pixels, query.key, query.fine_key, query.stages, masks, index, annotated,
        memorised=False, sight=sight, growth=growth, target=target,
    )  # fmt: skip


def newest_from_state(config: AFBURRConfig, tensors: Mapping[str, Tensor], device: torch.device) -> Newest:
    """Restore `Newest.state()`; the configuration is that of its network."""
    on_device = {name: value.to(device) for name, value in tensors.items()}
    stages = part_of(on_device, "stages")
    return Newest(
        frame=on_device["frame"].contiguous(memory_format=torch.channels_last),
        key=on_device["key"],
        fine_key=on_device.get("fine_key"),
        stages=tuple(stages[str(i)] for i in range(len(stages))) or None,
        masks=on_device["masks"],
        index=int(tensors["index"]),
        annotated=frozenset(),
        memorised=True,
        sight=Sight(*(on_device[name] for name in Sight._fields)),
        growth=growth_from_state(config.growths, part_of(on_device, "growth")),
        target=None if config.target is None else target_from_state(config.target, part_of(on_device, "target")),
    )
