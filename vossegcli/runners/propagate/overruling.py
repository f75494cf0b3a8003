"""Masks that a person gave, laid over what was predicted.

Shapes: K objects, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from vossegcli.systems.base import Segmentation


def without(segmentation: Segmentation, ids: tuple[int, ...], gone: frozenset[int]) -> Segmentation:
    """A segmentation without the objects that a person said are gone: certain."""
    label_map = segmentation.label_map
    kept = torch.tensor([i not in gone for i in ids], device=segmentation.peaks.device)
    hidden = torch.tensor(sorted(gone), device=label_map.device)
    blank = partial(torch.zeros, label_map.shape)
    probs = (blank if i in gone else of_object for i, of_object in zip(ids, segmentation.object_probs, strict=True))
    return Segmentation(
        torch.where(torch.isin(label_map, hidden), 0, label_map),
        segmentation.uncertainty * kept.to(segmentation.uncertainty.device),
        torch.where(kept.to(segmentation.agreement.device), segmentation.agreement, 1.0),
        segmentation.peaks * kept,
        tuple(probs),
    )


def as_given(ids_map: Tensor, ids: tuple[int, ...]) -> Segmentation:
    """The segmentation of a frame whose mask was given: certain."""
    marked = torch.isin(torch.tensor(ids), ids_map.unique()).float()
    probs = tuple(partial(_marked, ids_map, i) for i in ids)
    return Segmentation(ids_map, torch.zeros(len(ids)), torch.ones(len(ids)), marked, probs)


def _marked(ids_map: Tensor, object_id: int) -> Tensor:
    return (ids_map == object_id).float()


def _where_free(of_object: Callable[[], Tensor], given: Tensor) -> Tensor:
    return of_object().cpu() * (given == 0)


def overruled(segmentation: Segmentation, given: Tensor, ids: tuple[int, ...]) -> Segmentation:
    """A predicted frame with the objects that were given on it."""
    label_map = segmentation.label_map.cpu()
    certain = as_given(given, ids)
    is_marked = certain.peaks > 0
    kept = torch.where(torch.isin(label_map, torch.tensor(ids)[is_marked]), 0, label_map)
    new = len(ids) - len(segmentation.object_probs)
    known = [*segmentation.object_probs, *certain.object_probs[len(ids) - new :]]
    probs = tuple(
        sure if marked else partial(_where_free, of_object, given)
        for marked, sure, of_object in zip(is_marked.tolist(), certain.object_probs, known, strict=True)
    )
    unsure, agreed, peaks = (
        torch.cat([old.cpu(), fresh[len(ids) - new :]])
        for old, fresh in (
            (segmentation.uncertainty, certain.uncertainty), (segmentation.agreement, certain.agreement),
            (segmentation.peaks, certain.peaks),
        )
    )  # fmt: skip
    return Segmentation(
        torch.where(given > 0, given, kept),
        torch.where(is_marked, 0.0, unsure),
        torch.where(is_marked, 1.0, agreed),
        torch.where(is_marked, 1.0, peaks),
        probs,
    )
