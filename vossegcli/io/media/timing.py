"""Times of the frames of a video, and the shape of its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

FOLDER_FPS = 24.0


@dataclass(frozen=True)
class Timing:
    """The way the frames of a sequence follow each other.

    Attributes:
        fps: frames a second, on average.
        times: when each frame is shown, in seconds after the first, where they do not follow each other evenly; else
            empty.
        pixel_aspect: width of a pixel by its height, as shown.
    """

    fps: float = FOLDER_FPS
    times: tuple[Fraction, ...] = ()
    pixel_aspect: Fraction = Fraction(1)

    def at(self, fps: float | None) -> Timing:
        """Return the timing at another, even rate; None leaves it as it is."""
        return self if fps is None else Timing(fps, (), self.pixel_aspect)


def uneven(times: Sequence[Fraction], tick: Fraction) -> tuple[Fraction, ...]:
    """Give time stamps that begin at 0, or nothing where they are even but for the rounding of one tick."""
    steps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    if not steps or min(steps) <= 0 or max(steps) - min(steps) <= tick:
        return ()
    return tuple(time - times[0] for time in times)
