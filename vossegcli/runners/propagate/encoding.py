"""Encodes frames ahead on a CPU: one half of the threads sees the next frame while the other segments this one.

Small operations gain little from more threads, and two halves that do different things wait less for each other. The
half that is faster takes over what both can do: how a frame is related to what is known before it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from vossegcli.io.media.ahead import read_ahead
from vossegcli.systems.base import VideoPredictor

AHEAD = 2
_Frames = Generator[tuple[str, Tensor], None, None]
_Encoded = Generator[tuple[str, Any], None, None]


def encoded_ahead(frames: _Frames, predictor: VideoPredictor) -> _Encoded:
    """Yield frames as the predictor takes them; until the end, this thread computes with half of its threads.

    On other devices, and where there is one thread, frames stay as they are: the predictor encodes them itself.

    Args:
        frames: names and pixels (3,H,W); closed with this generator.
        predictor: of the video.
    """
    threads = torch.get_num_threads()
    if predictor.device.type != "cpu" or threads == 1:
        yield from frames
        return
    torch.set_num_threads(threads - threads // 2)  # of the calling thread alone
    try:
        with closing(read_ahead(_encoded(frames, predictor, threads // 2), AHEAD)) as encoded:
            yield from encoded
    finally:
        torch.set_num_threads(threads)


def _encoded(frames: _Frames, predictor: VideoPredictor, threads: int) -> _Encoded:
    """Encode frames one after the other, with some threads."""
    torch.get_num_threads()  # a new thread takes over the number of another one at its first use
    torch.set_num_threads(threads)
    before = None
    with closing(frames):
        for name, pixels in frames:
            before = predictor.encode(pixels, before)
            yield name, before
            predictor.prepare(before)  # as far as the other thread leaves it time
