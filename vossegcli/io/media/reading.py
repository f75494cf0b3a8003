"""What a user says about how pictures and frames are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from vossegcli.io.media.depth import RangeChoice
from vossegcli.io.media.stack_axes import AxisChoice


@dataclass(frozen=True)
class Reading:
    """What a user says about how frames are read.

    Attributes:
        values: the range of values that is shown, for more than 8 bits; None = that of the content.
        axes: of image stacks.
    """

    values: RangeChoice = None
    axes: AxisChoice = field(default_factory=AxisChoice)
