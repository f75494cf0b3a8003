"""ResNet stages C2..C4 from torchvision's blocks, at any width, and batch-norm folding for inference.

Torchvision's own classes fix the width of basic blocks to 64; here the stages are put together from its blocks,
with its parameter names, so that its weights fit wherever the widths agree. They are imported when a ResNet is built:
torchvision takes as long to import as torch, and most networks here have no ResNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vossegcli.layers.fused_convolutions import convolve_add_relu, convolve_relu

if TYPE_CHECKING:
    from torchvision.models.resnet import BasicBlock, Bottleneck

BlockName = Literal["basic", "bottleneck"]


def make_stage(block: BlockName, in_channels: int, planes: int, depth: int, stride: int) -> nn.Sequential:
    """Build one residual stage with torchvision's parameter names.

    Args:
        block: `basic` (ResNet-18/34) or `bottleneck` (ResNet-50/101, output is 4 x planes).
        in_channels: channels of the input.
        planes: width of the 3x3 convolutions.
        depth: number of blocks.
        stride: stride of the first block.

    Returns:
        The stage; its output has `stage_channels(block, planes)` channels.
    """
    kind = _block_class(block)
    out_channels = stage_channels(block, planes)
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
        )
    blocks: list[nn.Module] = [kind(in_channels, planes, stride, downsample)]
    blocks += [kind(out_channels, planes) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def stage_channels(block: BlockName, planes: int) -> int:
    """Return the output channels of a stage."""
    return planes * int(_block_class(block).expansion)


def initialise_residual(stages: Sequence[nn.Module]) -> None:
    """He initialisation, and zero for the last batch-norm scale of each block, so that a block starts as identity."""
    from torchvision.models.resnet import BasicBlock, Bottleneck

    for stage in stages:
        for module in stage.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)


def _block_class(block: BlockName) -> type[BasicBlock] | type[Bottleneck]:
    from torchvision.models.resnet import BasicBlock, Bottleneck

    kind: type[BasicBlock] | type[Bottleneck] = BasicBlock if block == "basic" else Bottleneck
    return kind


class FoldedBlock(nn.Module):
    """A residual block with its batch norms (in eval mode) folded into its convolutions; the numbers stay the same."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        pairs = [(f"conv{i}", f"bn{i}") for i in (1, 2, 3) if hasattr(block, f"conv{i}")]
        convs = [fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)) for conv, norm in pairs]
        self.convs = nn.ModuleList(convs)
        self.downsample: nn.Module | None = None
        if isinstance(block.downsample, nn.Sequential):
            conv, norm = block.downsample
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            self.downsample = fuse_conv_bn_eval(conv, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to (B,C',h/stride,w/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        *inner, last = self.convs
        for conv in inner:
            assert isinstance(conv, nn.Conv2d)
            x = convolve_relu(conv, x)
        assert isinstance(last, nn.Conv2d)
        return convolve_add_relu(last, x, shortcut)


def fold_stage(stage: nn.Sequential) -> None:
    """Replace the blocks of a stage by folded ones, in place."""
    for index, block in enumerate(stage):
        stage[index] = FoldedBlock(block)
