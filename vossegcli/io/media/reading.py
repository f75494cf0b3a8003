"""Options for reading pictures and frames."""

from __future__ import annotations

from dataclasses import dataclass, field

from vossegcli.io.media.depth import RangeChoice
from vossegcli.io.media.stack_axes import AxisChoice


@dataclass(frozen=True)
class Reading:
    """Options for reading frames.

    Attributes:
        values: the range of values that is shown, for more than 8 bits; None = that of the content.
        axes: of image stacks.
    """

    values: RangeChoice = None
    axes: AxisChoice = field(default_factory=AxisChoice)
