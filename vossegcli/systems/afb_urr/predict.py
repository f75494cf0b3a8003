"""The AFB-URR predictor: carries the feature bank through a video. Native resolution in and out.

Shape letters: K classes (background is class 0), H W native pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from vossegcli.errors import InputError
from vossegcli.named_parts import joined_parts, part_of
from vossegcli.ops.canvas import shrunk_canvas
from vossegcli.ops.padding import pad, unpad
from vossegcli.ops.pooling import masks_at_stride4
from vossegcli.ops.precision import autocast
from vossegcli.ops.resize import Size
from vossegcli.systems.afb_urr.config import BankConfig
from vossegcli.systems.afb_urr.encoded_frame import EncodedFrame, prepared_pixels
from vossegcli.systems.afb_urr.entries import Readable
from vossegcli.systems.afb_urr.feature_bank import FeatureBank
from vossegcli.systems.afb_urr.growth import no_growth
from vossegcli.systems.afb_urr.memorise import Memoriser
from vossegcli.systems.afb_urr.model import AFBURR, STRIDE, folded_copy
from vossegcli.systems.afb_urr.native_size import NativeProbabilities, native_labels, shrunk_classes
from vossegcli.systems.afb_urr.newest import Newest, newest_from_state, newest_of
from vossegcli.systems.afb_urr.sight import agreement, in_sight, nothing_like
from vossegcli.systems.afb_urr.stripes import largest_probabilities
from vossegcli.systems.afb_urr.target_model import TargetModel
from vossegcli.systems.base import Segmentation


class AFBURRPredictor:
    """Segments a video from given masks (see `systems.base.VideoPredictor`).

    A frame is memorised when the next one comes, so that masks may still be added to it and nothing is spent
    on the last one. Frames whose masks were given are always memorised, the others every `memory_every`-th.

    Args:
        model: the network; copied for inference, not changed.
        precision: type of encoders, decoder, weighted means and similarities of unit keys; the bank stays float32.
        short_side: frames with a larger short side are worked on at this size; None = native.
        budget: entries of the bank, instead of the configuration's.
        update_rate: instead of the configuration's.
        merge_threshold: instead of the configuration's.
    """

    def __init__(
        self,
        model: AFBURR,
        *,
        precision: torch.dtype = torch.float32,
        short_side: int | None = 480,
        budget: int | None = None,
        update_rate: float | None = None,
        merge_threshold: float | None = None,
    ) -> None:
        self.model = folded_copy(model, precision)
        self.device = next(self.model.parameters()).device
        self.precision = precision
        self.short_side = short_side
        bank = model.config.bank
        self.bank_config: BankConfig = replace(
            bank,
            budget=bank.budget if budget is None else budget,
            update_rate=bank.update_rate if update_rate is None else update_rate,
            merge_threshold=bank.merge_threshold if merge_threshold is None else merge_threshold,
        )
        self._ids: tuple[int, ...] = ()
        self.bank = self._new_bank()
        self._newest: Newest | None = None
        self._readable: Readable | None = None

    def with_network(self, network: AFBURR) -> AFBURRPredictor:
        """Build a predictor with the same settings around other weights; it remembers nothing yet."""
        bank = self.bank_config
        return AFBURRPredictor(
            network, precision=self.precision, short_side=self.short_side, budget=bank.budget,
            update_rate=bank.update_rate, merge_threshold=bank.merge_threshold,
        )  # fmt: skip

    @property
    def ids(self) -> tuple[int, ...]:
        """Object ids that are followed, in the order of `Segmentation.probs`."""
        return self._ids

    @torch.inference_mode()
    def encode(self, frame: Tensor, before: EncodedFrame | None = None) -> EncodedFrame:
        """Compute what does not depend on masks; changes nothing, so that a thread can do it ahead.

        Args:
            frame: (3,H,W) RGB, float in [0, 1] or uint8.
            before: the frame before it.
        """
        canvas, pixels = prepared_pixels(frame, self.short_side, self.device)
        with self._autocast():
            query = self.model.encode_query(pixels)
        if before is None or before.query.key.shape != query.key.shape:
            return EncodedFrame(canvas, pixels, query)
        return EncodedFrame(canvas, pixels, query, before.number + 1, before.query[:2])

    @torch.inference_mode()
    def prepare(self, frame: EncodedFrame) -> None:
        """Compute what the step with a frame needs of the memory, as far as it is known, until that step begins.

        For another thread, which has encoded it; what it does not come to is computed by the step.
        """
        frame.prepare(self._readable, self.bank.known_annotated, self.model, self.precision)

    @torch.inference_mode()
    def start(self, frame: Tensor | EncodedFrame, label_map: Tensor) -> None:
        """Begin with an annotated frame.

        Args:
            frame: (3,H,W) RGB, float in [0, 1] or uint8, or what `encode` makes of it.
            label_map: (H,W) integer ids, 0 = background.

        Raises:
            InputError: the label map holds no object or has another size than the frame.
        """
        encoded = self._encoded(frame)
        ids = _ids_of(label_map, encoded.canvas.native)
        if not ids:
            raise InputError("the mask holds no object", fix="mark at least one object")
        self.clear()
        self._ids = ids
        masks = shrunk_classes(label_map.to(self.device), ids, encoded.canvas.enter)  # (1,K,H',W')
        sight = in_sight(len(ids), self.device)
        growth = no_growth(self.model.config.growths, self.device).with_given(encoded.pixels, masks, range(len(ids)))
        target = None if self.model.config.target is None else TargetModel(self.model.config.target)
        annotated = frozenset(range(len(ids) + 1))
        self._newest = newest_of(encoded, masks, 0, annotated, sight=sight, growth=growth, target=target)

    def clear(self) -> None:
        """Forget the video, and free its memory."""
        self._ids = ()
        self.bank = self._new_bank()
        self._newest = self._readable = None

    @torch.inference_mode()
    def step(self, frame: Tensor | EncodedFrame) -> Segmentation:
        """Segment the next frame (3,H,W) RGB, float in [0, 1] or uint8, or what `encode` makes of it.

        After any other error, as out of memory, only `start`, `load_state` and `clear` can be called.

        Raises:
            InputError: the frame has another size than the first one; the next step may have the right one.
        """
        ahead = frame if isinstance(frame, EncodedFrame) else None
        if ahead is not None:
            ahead.wanted = True
        newest = self._memorised(ahead)
        encoded = self._encoded(frame)
        canvas, query = encoded.canvas, encoded.query
        if encoded.pixels.shape != newest.frame.shape:
            raise InputError(
                f"the frame is {canvas.native}, unlike the frames before it", fix="give frames of one size"
            )
        entries = self.bank.entries(self.precision)
        until_memorised = -(newest.index + 1) % self.bank_config.memory_every  # frames after this one
        self._readable = Readable(entries, encoded.number + until_memorised)
        read = self.bank.take(entries, encoded.read(entries)).unsqueeze(0)  # (1,K,hw,V)
        weights, cut = encoded.related(newest.key, newest.fine_key, self.model, self.precision)
        local, before, index = None, None, newest.index
        sight, growth, target = newest.sight, newest.growth, newest.target
        if weights is not None:
            before = masks_at_stride4(newest.masks)
            if cut is not None:
                before = torch.where(cut, nothing_like(before), before)
            local = self.model.read_newest(weights, before)
        self._newest = None  # of many objects, each map of all classes takes gigabytes
        del newest
        annotated = None
        if self.model.config.annotated_read:
            annotated = encoded.read_annotated(self.bank.annotated(self.model.config.mask_channels, self.precision))
        annotated_masks = None if annotated is None else annotated.masks.unsqueeze(0)  # (1,K,hw,mask_channels)
        scores = None if target is None or query.stages is None else target.score(query.stages)  # (1,K,H'/4,W'/4)
        with self._autocast():
            decoded = self.model.decode(read, query, local, annotated_masks, scores)
        if before is not None and (locality := self.model.config.locality):
            sight = sight.covering(before)
            decoded = sight.keep_near(decoded, before, locality.reach)
        logits = unpad(decoded, canvas.padding)  # (1,K,h,w)
        del read, local, before, annotated_masks, scores, decoded
        memory = pad(self.model.remembered(logits), canvas.padding)  # (1,K,H',W')
        agreed = torch.ones(len(self._ids), device=self.device)
        if annotated is not None:
            agreed = agreement(self.model.mask_cells(memory)[0, 1:], annotated.masks[1:], annotated.similarity[1:])
        if cut is not None:
            sight = sight.after(cut, agreed)
            if sight.may_hide:
                del memory
                logits = sight.hide(logits)
                memory = pad(self.model.remembered(logits), canvas.padding)
        self._newest = newest_of(encoded, memory, index + 1, frozenset(), sight=sight, growth=growth, target=target)
        return self._segmentation(logits, canvas.native, agreed)

    @torch.inference_mode()
    def add_objects(self, frame: Tensor | EncodedFrame, label_map: Tensor) -> None:
        """Add or correct objects on the frame of the last step; other ids keep their masks.

        Args:
            frame: (3,H,W) or encoded, the same frame as in the last `step` (or `start`).
            label_map: (H,W) ids; inside its objects it overrules what was predicted.

        Raises:
            InputError: the label map has another size than the frame.
        """
        newest = self._after_start()
        canvas = frame.canvas if isinstance(frame, EncodedFrame) else shrunk_canvas(frame, self.short_side, STRIDE)
        given = _ids_of(label_map, canvas.native)
        fresh = tuple(i for i in given if i not in self._ids)
        self._ids = (*self._ids, *fresh)
        annotated = shrunk_classes(label_map.to(self.device), self._ids, canvas.enter)  # (1,K,H',W')
        classes = [self._ids.index(i) + 1 for i in given]
        empty = newest.masks.new_zeros(1, len(fresh), *newest.masks.shape[-2:])
        masks = torch.cat([newest.masks, empty], dim=1)
        masks = masks * (1.0 - annotated[:, 1:].sum(dim=1, keepdim=True))  # nothing else lies where one was marked
        for k in classes:  # what was predicted for a marked object elsewhere was wrong: it is background
            masks[:, 0] += masks[:, k]
            masks[:, k] = annotated[:, k]
        marked = newest.annotated | frozenset(classes)
        given_now = [k - 1 for k in classes]
        sight = newest.sight.with_marked(given_now, len(self._ids))
        growth = newest.growth.with_given(newest.frame, masks, given_now)
        self._newest = replace(newest, masks=masks, annotated=marked, memorised=False, sight=sight, growth=growth)

    def state(self) -> dict[str, Tensor]:
        """Return the memory as named tensors; memorise the newest frame first, which changes nothing."""
        with torch.inference_mode():
            newest = self._memorised()
        parts = {"bank": self.bank.state(), "newest": newest.state()}
        return joined_parts(parts) | {"ids": torch.tensor(self._ids)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state()`."""
        self.clear()
        self._ids = tuple(int(i) for i in tensors["ids"])
        self.bank.load_state(part_of(tensors, "bank"))
        self._newest = newest_from_state(self.model.config, part_of(tensors, "newest"), self.device)

    def _memorised(self, after: EncodedFrame | None = None) -> Newest:
        """Return the newest frame, after it has been memorised if it was not."""
        newest = self._after_start()
        self._newest = None  # a bank that an error leaves half changed is not to be read
        self._newest = Memoriser(self.model, self.bank, self.precision).memorised(newest, after)
        return self._newest

    def _segmentation(self, logits: Tensor, native: Size, agreed: Tensor) -> Segmentation:
        """From logits of the classes (1,K,h,w) and the objects' agreement (K-1,) to native size."""
        labels = native_labels(logits[0], native, self._ids)
        area, total = labels.area[1:], labels.uncertainty[1:]
        mean = torch.where(area > 0, total / area.clamp_min(1), 1.0)
        peaks = largest_probabilities(logits)
        return Segmentation(labels.label_map, mean, agreed, peaks, NativeProbabilities(logits, native).each())

    def _encoded(self, frame: Tensor | EncodedFrame) -> EncodedFrame:
        return frame if isinstance(frame, EncodedFrame) else self.encode(frame)

    def _new_bank(self) -> FeatureBank:
        return FeatureBank(self.bank_config, self.device, unit_keys=self.model.config.unit_keys)

    def _after_start(self) -> Newest:
        if self._newest is None:
            what = "a step has failed, and what it needed is gone" if self._ids else "there is no video yet"
            raise RuntimeError(f"{what}: call start() or load_state() first")
        return self._newest

    def _autocast(self) -> torch.autocast:
        return autocast(self.device, self.precision)


def _ids_of(label_map: Tensor, size: Size) -> tuple[int, ...]:
    if label_map.shape != size:
        raise InputError(f"the mask is {tuple(label_map.shape)}, the frame {size}", fix="give a mask of that size")
    return tuple(int(i) for i in label_map.unique() if i > 0)
