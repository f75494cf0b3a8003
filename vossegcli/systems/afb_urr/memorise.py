"""Memorising a frame whose masks are known: by the bank, and by the target model.

The next frames are compared to what both of them know. Of annotated frames they also see what was never filmed: both
an object from nearer by, once it has grown, and the target model the mirror image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.ops.precision import autocast
from vossegcli.systems.afb_urr.encoded_frame import EncodedFrame
from vossegcli.systems.afb_urr.feature_bank import FeatureBank
from vossegcli.systems.afb_urr.model import AFBURR, QueryFeatures
from vossegcli.systems.afb_urr.newest import Newest
from vossegcli.systems.afb_urr.target_model import Stages


class Memoriser(NamedTuple):
    """Memorises frames.

    Attributes:
        model: the network.
        bank: its memory; changed.
        precision: type of its encoders.
    """

    model: AFBURR
    bank: FeatureBank
    precision: torch.dtype

    def memorised(self, newest: Newest, after: EncodedFrame | None) -> Newest:
        """Memorise a frame, unless it was.

        The bank takes it in if it is annotated, or due as one of every so many.

        Args:
            newest: the frame.
            after: the one after it, which may know the entries closest to it.

        Returns:
            what the next frame needs of it.
        """
        if newest.memorised:
            return newest
        if newest.annotated or newest.index % self.bank.config.memory_every == 0:
            nearby = None if after is None else after.closest(newest.key)
            with self._autocast():
                memory = self.model.encode_memory(newest.frame, newest.masks, newest.key)
            if missing := memory.keys.shape[1] - len(self.bank.banks):
                self.bank.add_classes(missing, memory.keys.shape[3], memory.values.shape[3])
            self.bank.update(memory.keys[0], memory.values[0], newest.index, newest.annotated, nearby)
            newest = self._grown(newest)
        return replace(self._learned(newest), memorised=True)

    def _grown(self, newest: Newest) -> Newest:
        """Memorise the annotated frames of objects that have grown, enlarged.

        To the target model, those of all objects together count as one more frame.
        """
        growth, grown = newest.growth.after(newest.masks)
        newest, objects = replace(newest, growth=growth), newest.masks.shape[1] - 1
        for frame, masks in growth.enlarged(grown):
            query = self._encoded(frame)
            with self._autocast():
                memory = self.model.encode_memory(frame, masks, query.key)
            everything = frozenset(range(masks.shape[1]))
            self.bank.update(memory.keys[0], memory.values[0], newest.index, everything)
            newest = _taught(newest, query.stages, masks, annotated=True, worth=1.0 / objects)
        return newest

    def _learned(self, newest: Newest) -> Newest:
        """Teach the target model a frame, and of an annotated one its mirror image, as if that were one more."""
        annotated = bool(newest.annotated)
        newest = _taught(newest, newest.stages, newest.masks, annotated=annotated)
        if newest.target is None or not annotated:
            return newest
        mirrored = self._encoded(newest.frame.flip(3))
        return _taught(newest, mirrored.stages, newest.masks.flip(3), annotated=True)

    def _encoded(self, frame: Tensor) -> QueryFeatures:
        with self._autocast():
            return self.model.encode_query(frame)

    def _autocast(self) -> torch.autocast:
        return autocast(self.bank.device, self.precision)


def _taught(newest: Newest, stages: Stages | None, masks: Tensor, *, annotated: bool, worth: float = 1.0) -> Newest:
    """Teach the target model, if there is one, what a frame of those stages shows."""
    if newest.target is None or stages is None:
        return newest
    target = newest.target.learned(stages, masks, newest.index, annotated=annotated, worth=worth)
    return replace(newest, target=target)
