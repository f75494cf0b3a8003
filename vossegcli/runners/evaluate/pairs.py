"""Pairs of predicted and true masks for `vosseg evaluate vos`, in groups of some frames."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.masks.mask_trees import Encoding, MaskSequences, encoding_of, find_mask_sequences
from vossegcli.io.media.frame_matches import match_frames
from vossegcli.metrics import vos
from vossegcli.runners.evaluate.object_rules import PROTOCOLS, ObjectRules, object_rules
from vossegcli.scores import Problem
from vossegcli.wording import counted

FRAMES_A_GROUP = 16
NAMED = 5


@dataclass(frozen=True)
class FramePair:
    """One frame to look at: the truth and, where the frame is scored, its prediction (None = missing)."""

    name: str
    truth: Path
    prediction: Path | None
    scored: bool


@dataclass(frozen=True)
class FrameGroup:
    """Some frames of a sequence; a worker does one group at a time.

    Attributes:
        sequence: its name.
        truth: what the values of the true masks mean.
        prediction: what those of the predicted masks mean.
        one_object: whether all objects count as one.
        frames: in order.
    """

    sequence: str
    truth: Encoding
    prediction: Encoding
    one_object: bool
    frames: tuple[FramePair, ...]


@dataclass(frozen=True)
class Plan:
    """The plan of an evaluation.

    Attributes:
        truth: folder of the true masks.
        protocol: see `metrics.vos.LEFT_OUT`, or `youtube-vos` or `lvos`.
        groups: in the order of sequences and frames.
        problems: sequences that the truth lacks.
        rules: what counts of each object; None = every object counts in every frame that is scored.
    """

    truth: Path
    protocol: str
    groups: tuple[FrameGroup, ...]
    problems: tuple[Problem, ...]
    rules: ObjectRules | None = None


def plan_vos(
    predictions: Path,
    truth: Path,
    *,
    protocol: str = "davis",
    subset: Sequence[str] | None = None,
    root: Path | None = None,
    meta: Path | None = None,
    unseen: Path | None = None,
) -> Plan:
    """Match predicted masks with true ones.

    Args:
        predictions: folder of masks, in any layout that `propagate` reads or writes.
        truth: likewise; frames are matched by name.
        protocol: see `metrics.vos.LEFT_OUT`, or `youtube-vos` or `lvos`.
        subset: names of the sequences that count; None = all of the truth.
        root: where the truth came from, if its masks were converted.
        meta: the `meta.json` of these two protocols; None = that of the truth.
        unseen: their list of what is unseen in training; None = that of the data set.

    Raises:
        InputError: a folder is not one of masks, nothing matches, or the truth lacks a sequence of the subset.
    """
    pairs, problems = pair_sequences(find_mask_sequences(predictions), find_mask_sequences(truth), subset, truth)
    masks = {name: list(theirs) for name, (_, theirs) in pairs.items()}
    rules = object_rules(protocol, root or truth, masks, meta, unseen) if protocol in PROTOCOLS else None
    groups: list[FrameGroup] = []
    for name, (ours, theirs) in pairs.items():
        scored = _scored(masks[name], protocol) if rules is None else frozenset().union(*rules.frames[name].values())
        groups += _groups(name, ours, theirs, scored, one_object=protocol == "davis2016")
        problems += _unmatched(name, ours, theirs, scored)
    return Plan(truth, protocol, tuple(groups), (*problems, *(rules.problems if rules else ())), rules)


def _scored(names: Sequence[str], protocol: str) -> frozenset[str]:
    return frozenset(names[index] for index in vos.scored_frames(len(names), protocol))


def pair_sequences(
    ours: MaskSequences, theirs: MaskSequences, subset: Sequence[str] | None, where: Path
) -> tuple[dict[str, tuple[dict[str, Path], dict[str, Path]]], list[Problem]]:
    """Match predicted sequences with true ones by name; a single one on both sides matches whatever its name.

    Returns:
        name -> (predicted masks, true masks), and the sequences that the truth lacks.

    Raises:
        InputError: nothing matches, or the subset names a sequence that the truth lacks.
    """
    if len(ours) == len(theirs) == 1 and subset is None:
        name = next(iter(theirs))
        return {name: (_renamed(next(iter(ours.values())), theirs[name]), dict(theirs[name]))}, []
    if subset is not None:
        absent = [name for name in subset if name not in theirs]
        if absent:
            raise InputError(f"has no sequence {_some(absent)}", where=where, fix="check the list of sequences")
        theirs = {name: theirs[name] for name in subset}
    if not set(ours) & set(theirs):
        ours = _called_like(theirs, ours)
    if not set(ours) & set(theirs):
        raise InputError(
            f"has the sequences {_some(theirs)}, the prediction {_some(ours)}: none is in both",
            where=where,
            fix="give folders whose sequences have the same names",
        )
    extra = [Problem("extra", name, None, "not in the truth") for name in ours if name not in theirs]
    if subset is not None:
        extra = []
    return {name: (dict(ours.get(name, {})), dict(masks)) for name, masks in theirs.items()}, extra


def _called_like(theirs: MaskSequences, ours: MaskSequences) -> MaskSequences:
    """The predicted sequences by the names of the true ones: `v1`, `v1/frames` and `v1/masks` are the same video."""
    names = {_video_of(name): name for name in theirs}
    return {names.get(_video_of(name), name): masks for name, masks in ours.items()}


def _video_of(sequence: str) -> str:
    return sequence.removesuffix("/frames").removesuffix("/masks")


def _renamed(ours: Mapping[str, Path], theirs: Mapping[str, Path]) -> dict[str, Path]:
    """The predicted masks by the names of the true ones, where the two differ in more than the number in them."""
    if set(ours) & set(theirs):
        return dict(ours)
    found, _ = match_frames(list(theirs), list(ours))
    index_of = {index: name for name, index in found.items()}
    return {index_of.get(index, name): path for index, (name, path) in enumerate(ours.items())}


def _groups(
    sequence: str, ours: dict[str, Path], theirs: dict[str, Path], scored: Collection[str], *, one_object: bool
) -> Iterator[FrameGroup]:
    frames = [FramePair(name, path, ours.get(name), name in scored) for name, path in theirs.items()]
    truth, prediction = encoding_of(theirs.values()), encoding_of(ours.values())
    for start in range(0, len(frames), FRAMES_A_GROUP):
        yield FrameGroup(sequence, truth, prediction, one_object, tuple(frames[start : start + FRAMES_A_GROUP]))


def _unmatched(
    sequence: str, ours: dict[str, Path], theirs: dict[str, Path], scored: Collection[str]
) -> Iterator[Problem]:
    """Yield what does not match in a sequence as a whole."""
    if not scored:
        yield Problem(
            "not scored", sequence, None, counted(len(theirs), "frame[|s] with ground truth leave[s|] none to score")
        )
    surplus = [name for name in ours if name not in theirs]
    if surplus and ours:
        yield Problem(
            "extra",
            sequence,
            None,
            f"{counted(len(surplus), 'predicted frame[|s] [has|have] no ground truth')}: {_some(surplus)}",
        )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")
