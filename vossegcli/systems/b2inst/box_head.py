"""FCOS box head whose box tower also gives each location's attention to the bases (BlendMask, Chen et al. 2020).

Shape letters: B images, C channels, L classes, K bases, A side of the attention, N locations, h w cells of a level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from vossegcli.ops.cells import cell_centres
from vossegcli.systems.b2inst.backbone import STRIDES
from vossegcli.systems.b2inst.config import B2InstConfig

PRIOR = 0.01  # probability of a class that every location starts with


class LevelOutput(NamedTuple):
    """Output of the head at one level of the pyramid.

    Attributes:
        logits: (B,L,h,w) of the classes.
        sides: (B,4,h,w) distances to the left, upper, right and lower side of the box, in cells.
        centerness: (B,1,h,w) logits.
        tower: (B,C,h,w) features of the box tower, of which `attention` is made.
    """

    logits: Tensor
    sides: Tensor
    centerness: Tensor
    tower: Tensor


class BoxHead(nn.Module):
    """Two towers that all levels share."""

    def __init__(self, config: B2InstConfig) -> None:
        super().__init__()
        channels = config.channels
        self.cls_tower = _tower(channels, config.tower, config.groups)
        self.bbox_tower = _tower(channels, config.tower, config.groups)
        self.cls_logits = nn.Conv2d(channels, config.classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.ctrness = nn.Conv2d(channels, 1, 3, padding=1)
        self.top_layer = nn.Conv2d(channels, config.all_bases * config.attention**2, 3, padding=1)
        self.map_shape = (config.all_bases, config.attention, config.attention)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        assert self.cls_logits.bias is not None
        assert self.bbox_pred.bias is not None
        nn.init.constant_(self.cls_logits.bias, -math.log((1.0 - PRIOR) / PRIOR))
        nn.init.constant_(self.bbox_pred.bias, 2.0)  # no side starts at zero, where ReLU passes no gradient

    def forward(self, levels: Sequence[Tensor]) -> list[LevelOutput]:
        """Classify and regress every cell of every level (B,C,h,w)."""
        outputs = []
        for features in levels:
            tower = self.bbox_tower(features)
            outputs.append(
                LevelOutput(
                    self.cls_logits(self.cls_tower(features)).float(),
                    F.relu(self.bbox_pred(tower).float()),
                    self.ctrness(tower).float(),
                    tower,
                )
            )
        return outputs

    def attention(self, tower: Tensor, images: Tensor, cells: Tensor) -> Tensor:
        """The attention of some locations of a level; what the top layer would give there, and nothing else.

        Args:
            tower: (B,C,h,w) from `forward`.
            images: (N,) int64, the image of each location.
            cells: (N,) int64, its cell, row by row.

        Returns:
            (N,K,A,A) logits.
        """
        width = tower.shape[3]
        rows, columns = torch.div(cells, width, rounding_mode="floor"), cells % width
        padded = F.pad(tower, (1, 1, 1, 1))
        patches = torch.stack(
            [padded[images, :, rows + dy, columns + dx] for dy in range(3) for dx in range(3)], dim=2
        )  # (N,C,9)
        values = patches.flatten(1).float() @ self.top_layer.weight.flatten(1).t().float()
        assert self.top_layer.bias is not None
        maps: Tensor = (values + self.top_layer.bias.float()).unflatten(1, self.map_shape)
        return maps


def _tower(channels: int, depth: int, groups: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(groups, channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def locations(sizes: Sequence[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres (N,2) in pixels and strides (N,) of the cells of all levels, whose sizes are (h, w)."""
    pairs = list(zip(sizes, STRIDES, strict=True))
    centres = torch.cat([cell_centres(h, w, stride, device).flatten(0, 1) for (h, w), stride in pairs])
    strides = torch.cat([torch.full((h * w,), float(stride), device=device) for (h, w), stride in pairs])
    return centres, strides


def grown(boxes: Tensor, share: float | Tensor, size: tuple[int, int]) -> Tensor:
    """Move the sides of boxes (N,4) outwards by a share of their width and height, as far as the picture goes.

    Args:
        boxes: (x1, y1, x2, y2) in pixels.
        share: of all sides, or (N,4) of each.
        size: (H,W) of the picture.
    """
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    outwards = boxes.new_tensor([-1.0, -1.0, 1.0, 1.0])
    moved: Tensor = clip_boxes_to_image(boxes + outwards * share * extent, size)
    return moved


def boxes_of(centres: Tensor, sides: Tensor) -> Tensor:
    """Boxes (N,4) as (x1, y1, x2, y2) of centres (N,2) and distances to the sides (N,4), in pixels."""
    return torch.cat([centres - sides[:, :2], centres + sides[:, 2:]], dim=1)
