"""`vosseg evaluate vos`: trees of masks to J and F, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.masks.mask_trees import IdsMap, TreeMask, check_is_mask, read_mask
from vossegcli.metrics import vos
from vossegcli.metrics.regions import object_boxes
from vossegcli.runners.evaluate.interpreted import DEEP, VOID_NOTE, Remark, remark_problems
from vossegcli.runners.evaluate.object_rules import ObjectRules
from vossegcli.runners.evaluate.pairs import FrameGroup, FramePair, Plan
from vossegcli.runners.evaluate.parts import Scoring
from vossegcli.scores import FrameScores, ObjectScores, Problem, VosScores
from vossegcli.wording import counted

WORTH_PROCESSES = 5  # groups; with fewer, processes take longer to start than to work
LISTED_FAULTS = 40


@dataclass(frozen=True)
class FrameResult:
    """The result of a frame: its size, the ids of the truth, and the scores where it is scored."""

    sequence: str
    name: str
    size: tuple[int, int] | None
    truth_ids: tuple[int, ...]
    scores: FrameScores | None
    problem: Problem | None = None
    fault_of_truth: str | None = None
    remarks: tuple[Remark, ...] = ()


def vos_scoring(plan: Plan) -> Scoring[FrameGroup, list[FrameResult]]:
    """Return the jobs of a plan and how they are scored."""
    return Scoring(
        plan.groups, score_group, item=lambda group: group.sequence, size=lambda group: len(group.frames), files=_files,
        pack=_pack, unpack=_unpack, few=WORTH_PROCESSES,
    )  # fmt: skip


def conclude_vos(plan: Plan, parts: Iterable[list[FrameResult]]) -> VosScores:
    """Sum up the results of all groups of a plan, in order.

    Raises:
        InputError: the truth has faults (all are named) or no object.
    """
    results = [result for part in parts for result in part]
    _check_truth(results, plan.truth)
    objects = list(_objects(results, plan.rules))
    if not objects:
        raise InputError("holds no object in any frame that counts", where=plan.truth, fix="give masks with objects")
    problems = [*plan.problems, *(r.problem for r in results if r.problem is not None), *_unknown_ids(results)]
    problems += remark_problems(((r.sequence, remark) for r in results for remark in r.remarks), "sequence[|s]")
    scored = sum(result.scores is not None for result in results)
    numbers = vos.summarise(objects)
    if plan.rules is not None:
        numbers = vos.summarise_seen(objects, plan.rules.unseen, plan.protocol)
        problems += _half_defined(objects, plan.rules)
    return VosScores(plan.protocol, numbers, tuple(objects), tuple(problems), scored)


def _files(group: FrameGroup) -> list[Path]:
    return [path for pair in group.frames for path in (pair.truth, pair.prediction) if path is not None]


def _pack(results: list[FrameResult]) -> list[dict[str, Any]]:
    return [asdict(result) for result in results]


def _unpack(rows: list[dict[str, Any]]) -> list[FrameResult]:
    return [
        FrameResult(
            row["sequence"], row["name"], row["size"] and tuple(row["size"]), tuple(row["truth_ids"]),
            row["scores"] and _scores_of(row["scores"]), row["problem"] and Problem(**row["problem"]),
            row["fault_of_truth"], tuple(Remark(*remark) for remark in row["remarks"]),
        )
        for row in rows
    ]  # fmt: skip


def _scores_of(row: dict[str, Any]) -> FrameScores:
    by_id = {int(object_id): (j, f) for object_id, (j, f) in row["by_id"].items()}
    return FrameScores(by_id, tuple(row["truth_ids"]), tuple(row["predicted_ids"]))


def score_group(group: FrameGroup) -> list[FrameResult]:
    """Read and score the frames of a group."""
    return [_score_pair(group, pair) for pair in group.frames]


def _score_pair(group: FrameGroup, pair: FramePair) -> FrameResult:
    try:
        truth, void, note = read_truth(group, pair)
        shown = truth if void is None else np.where(void, 0, truth)
        check_is_mask(pair.truth, shown)
    except InputError as error:
        return FrameResult(group.sequence, pair.name, None, (), None, fault_of_truth=error.what)
    size = (truth.shape[0], truth.shape[1])
    remarks = _remarks("truth", truth, note if void is None else VOID_NOTE)
    if not pair.scored:
        return FrameResult(group.sequence, pair.name, size, tuple(object_boxes(shown)), None, remarks=remarks)
    predicted, problem = read_prediction(group, pair, size)
    remarks += _remarks("prediction", predicted.ids_map, predicted.note)
    scores = vos.score_frame(predicted.ids_map, truth, void)
    return FrameResult(group.sequence, pair.name, size, scores.truth_ids, scores, problem, remarks=remarks)


def _remarks(side: str, ids_map: IdsMap, note: str | None) -> tuple[Remark, ...]:
    texts = [note, DEEP if ids_map.dtype != np.uint8 else None]
    return tuple(Remark(side, text) for text in texts if text is not None)


def read_truth(group: FrameGroup, pair: FramePair) -> TreeMask:
    """Ids and void pixels (H,W) of the true mask.

    Raises:
        InputError: it cannot be read.
    """
    return _as_asked(read_mask(pair.truth, group.truth), group)


def _as_asked(mask: TreeMask, group: FrameGroup) -> TreeMask:
    return mask._replace(ids_map=(mask.ids_map > 0).astype(np.uint8)) if group.one_object else mask


def read_prediction(group: FrameGroup, pair: FramePair, size: tuple[int, int]) -> tuple[TreeMask, Problem | None]:
    """The predicted ids (H,W); an empty mask and a problem where there is none of that size."""
    empty = TreeMask(np.zeros(size, np.uint8))
    if pair.prediction is None:
        return empty, Problem("missing", group.sequence, pair.name, "no predicted mask")
    try:
        mask = read_mask(pair.prediction, group.prediction)
        check_is_mask(pair.prediction, mask.ids_map)
    except InputError as error:
        return empty, Problem("unreadable", group.sequence, pair.name, error.what)
    if mask.ids_map.shape != size:
        return empty, Problem.misshapen(group.sequence, pair.name, mask.ids_map.shape, size)
    return _as_asked(mask, group), None


def _check_truth(results: Sequence[FrameResult], where: Path) -> None:
    faults = [f"{r.sequence}/{r.name}: {r.fault_of_truth}" for r in results if r.fault_of_truth is not None]
    sizes: dict[str, tuple[int, int]] = {}
    for result in results:
        if result.size is not None and sizes.setdefault(result.sequence, result.size) != result.size:
            first, found = (f"{w}x{h}" for h, w in (sizes[result.sequence], result.size))
            faults.append(f"{result.sequence}/{result.name}: is {found}, the sequence begins with {first}")
    if faults:
        raise faults_of_truth(faults, where)


def faults_of_truth(faults: Sequence[str], where: Path) -> InputError:
    """One error that names everything that is wrong with the ground truth."""
    more = [f"... and {len(faults) - LISTED_FAULTS} more"] if len(faults) > LISTED_FAULTS else []
    listed = "\n  ".join([*faults[:LISTED_FAULTS], *more])
    return InputError(
        f"{counted(len(faults), 'fault[|s]')} in the ground truth:\n  {listed}", where=where, fix="fix these files"
    )


def _half_defined(objects: Sequence[ObjectScores], rules: ObjectRules) -> Iterator[Problem]:
    """Say that one of the two kinds of objects is missing, so that their mean is not defined."""
    kinds = {(one.sequence, one.object_id) in rules.unseen for one in objects}
    if len(kinds) == 1:
        kind = "seen" if kinds.pop() else "unseen"
        yield Problem("note", "all", None, f"no object is {kind} in training: the mean of both is not defined")


def _objects(results: Sequence[FrameResult], rules: ObjectRules | None) -> Iterator[ObjectScores]:
    by_sequence: dict[str, list[FrameResult]] = {}
    for result in results:
        by_sequence.setdefault(result.sequence, []).append(result)
    for sequence, frames in by_sequence.items():
        scored = [(frame.name, frame.scores) for frame in frames if frame.scores is not None]
        if rules is not None:
            for object_id, names in sorted(rules.frames[sequence].items()):
                own = [(name, scores) for name, scores in scored if name in names]
                if own:
                    yield vos.score_object(sequence, object_id, own)
        elif scored:
            for object_id in sorted({object_id for frame in frames for object_id in frame.truth_ids}):
                yield vos.score_object(sequence, object_id, scored)


def _unknown_ids(results: Sequence[FrameResult]) -> list[Problem]:
    known: dict[str, set[int]] = {}
    found: dict[str, dict[int, int]] = {}
    for result in results:
        known.setdefault(result.sequence, set()).update(result.truth_ids)
        for object_id in result.scores.predicted_ids if result.scores else ():
            counts = found.setdefault(result.sequence, {})
            counts[object_id] = counts.get(object_id, 0) + 1
    return [
        Problem(
            "unknown id",
            sequence,
            None,
            f"id {object_id} is predicted in {counted(count, 'frame[|s]')}, the truth has no such id",
        )
        for sequence, counts in found.items()
        for object_id, count in sorted(counts.items())
        if object_id not in known[sequence]
    ]
