"""Divisions: one identity ends and two begin where an object was.

They are found in the rows of a followed sequence, whatever system wrote them: a track that begins inside the outline
that another one had just before is its daughter, if a second part of the same outline goes on beside it. Often that
second part keeps the mother's identity; it gets one of its own from there on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import Any

from pycocotools import mask as coco_mask

from vossegcli.runners.track.tracks import Row, Track

INSIDE = 0.5  # share of a daughter that lies inside the outline of her mother, at least
COVERED = 0.5  # share of the mother that both daughters cover together, at least
ALIKE = 0.35  # smaller to larger daughter, by area, at least
SEEN = 2  # frames that show a daughter, at least, unless the sequence ends before
BEFORE = 6  # frames before a division in which the mother is looked for; the nearest first

Size = tuple[int, int]


@dataclass(frozen=True)
class Division:
    """A track that becomes two.

    Attributes:
        frame: the first one with both daughters.
        mother: number of the track.
        daughters: numbers of two tracks; one of them is the mother's where she goes on under her own number.
    """

    frame: int
    mother: int
    daughters: tuple[int, int]


@dataclass(frozen=True)
class Lineage:
    """Identities after divisions.

    Attributes:
        parents: number of a daughter -> of her mother.
        splits: number of a track -> (frame, number from there on), in order.
    """

    parents: Mapping[int, int] = field(default_factory=dict)
    splits: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def name(self, number: int, frame: int) -> int:
        """Return the number that a track has in a frame."""
        names = [new for begin, new in self.splits.get(number, ()) if begin <= frame]
        return names[-1] if names else number

    def parts_of(self, tracks: Iterable[Track], parts: Iterable[Track]) -> list[Track]:
        """Keep the parts that divisions made of tracks: a part counts if its track does, whatever its own score."""
        numbers = {track.number for track in tracks}
        origins = {new: old for old, names in self.splits.items() for _, new in names}
        return [part for part in parts if origins.get(part.number, part.number) in numbers]

    def renamed(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Give rows the numbers that their tracks have in their frames."""
        for row in rows:
            yield {**row, "id": self.name(row["id"], row["frame"])} if row["id"] in self.splits else row


def find_divisions(rows: Iterable[Row], tracks: Iterable[Track], size: Size, frames: int) -> list[Division]:
    """Find the divisions of a sequence, in order.

    Args:
        rows: an instance and frame each, by frame.
        tracks: those that count.
        size: (H,W) of the frames.
        frames: their number.
    """
    known = {track.number: track for track in tracks}
    divisions: list[Division] = []
    divided: dict[int, int] = {}  # frame of a mother's last division: her outlines before it are used up
    before: deque[tuple[int, dict[int, Row]]] = deque(maxlen=BEFORE)
    for frame, group in groupby(rows, key=lambda row: int(row["frame"])):
        now = {row["id"]: row for row in group if row["id"] in known}
        lasting = {n for n in now if known[n].last - frame + 1 >= min(SEEN, frames - frame)}
        born = {n for n in lasting if known[n].first == frame}
        for number, earlier in reversed(before):
            if not born or frame - number > BEFORE:
                break
            mothers = {
                n: outline
                for n, outline in earlier.items()
                if (known[n].last < frame or n in lasting) and number >= divided.get(n, 0)
            }
            parts = {n: now[n] for n in now if n in born or n in mothers}
            found = _best(_candidates(frame, mothers, parts, born, size))
            divisions += found
            divided |= dict.fromkeys((division.mother for division in found), frame)
            born -= {n for division in found for n in division.daughters}
        before.append((frame, now))
    return divisions


def lineage_of(divisions: Iterable[Division], following: int) -> Lineage:
    """Give every daughter a number of her own; those that kept their mother's get new ones.

    Args:
        divisions: in order.
        following: a number that no track has, nor any above it.
    """
    parents: dict[int, int] = {}
    splits: dict[int, list[tuple[int, int]]] = {}
    for division in divisions:
        mother = Lineage(parents, splits).name(division.mother, division.frame - 1)
        for daughter in division.daughters:
            number = daughter
            if daughter == division.mother:
                number, following = following, following + 1
                splits.setdefault(daughter, []).append((division.frame, number))
            parents[number] = mother
    return Lineage(parents, splits)


def _candidates(
    frame: int, mothers: Mapping[int, Row], parts: Mapping[int, Row], born: Set[int], size: Size
) -> Iterator[tuple[float, Division]]:
    """Pairs of parts that can be daughters of the same mother, and how much of her they cover.

    A mother that goes on is one of the daughters; the others are born in this frame.
    """
    if not mothers or len(parts) < 2:  # noqa: PLR2004
        return
    own, others = ([_rle(row, size) for row in rows.values()] for rows in (parts, mothers))
    inside = coco_mask.iou(own, others, [1] * len(others))  # of a crowd: over the area of the part
    for column, (mother, outline) in enumerate(mothers.items()):
        shares = {
            n: float(share)
            for n, share in zip(parts, inside[:, column], strict=True)
            if share >= INSIDE and (n in born or n == mother)
        }
        for pair in combinations(shares, 2):
            if mother in parts and mother not in pair:
                continue
            areas = [parts[n]["area"] for n in pair]
            covered = sum(shares[n] * parts[n]["area"] for n in pair) / outline["area"]
            if min(areas) >= ALIKE * max(areas) and covered >= COVERED:
                yield covered, Division(frame, mother, pair)


def _best(candidates: Iterable[tuple[float, Division]]) -> list[Division]:
    """Those that cover most of their mothers; every track takes part in one at most."""
    found: list[Division] = []
    used: set[int] = set()
    for _, division in sorted(candidates, key=lambda one: -one[0]):
        members = {division.mother, *division.daughters}
        if not members & used:
            found.append(division)
            used |= members
    return sorted(found, key=lambda division: division.mother)


def _rle(row: Row, size: Size) -> dict[str, Any]:
    return {"size": list(size), "counts": row["rle"]}
