"""The page of a run: `report.html` in its folder, from what the run wrote there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vossegcli.batch.run_pictures import RunPictures
from vossegcli.batch.run_tables import ItemTable, read_tables
from vossegcli.errors import InputError
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.json_files import read_record
from vossegcli.io.records.run_records import read_jsonl
from vossegcli.reports.curves import histogram
from vossegcli.reports.run_page import Distribution, PageItem, RunPage, Shot, run_page

PAGE = "report.html"
PICTURE_BYTES = 6_000_000
LARGEST_WIDTH, SMALLEST_WIDTH = 480, 160
BYTES_PER_PIXEL = 0.16  # of a JPEG as a data URI, about
STRIP = 12  # pictures of a video
BINS = 20
_LEFT_OUT = {"task", "results", "failed", "totals", "classes", "plan", "review_first", "support_iou", "shots"}
_VIDEO_COMMANDS = {"propagate", "track"}


def write_report(folder: Path) -> Path:
    """Write the page of a run and return its path.

    Args:
        folder: output folder of `propagate`, `fewshot`, `instance` or `track`; shards that ended are shown together.

    Raises:
        InputError: the folder holds no run, or cannot be written.
    """
    records = [read_record(path) for path in sorted(folder.glob("run*.json"))]
    records = [record for record in records if "totals" in record]
    if not records:
        fix = (
            "give the --output folder of propagate, fewshot, instance or track; others write report.html by themselves"
        )
        raise InputError("holds no run that ended", where=folder, fix=fix)
    command, tables = read_tables(folder)
    results = _last_results(folder)
    source, below = (str(records[0].get(key, "")) for key in ("input", "images_folder"))
    pictures = RunPictures(folder, source, below, videos=command in _VIDEO_COMMANDS)
    items = tuple(_items(results, tables, pictures, videos=command in _VIDEO_COMMANDS))
    page = RunPage(
        " ".join(("vosseg", command, str(records[0].get("input", "")))).replace("  ", " ").strip(),
        _facts(records), _tiles(records, items, tables), items, tuple(_distributions(tables)),
        f"vosseg report {folder}",
    )  # fmt: skip
    path = folder / PAGE
    write_text_atomic(path, run_page(page))
    return path


def _last_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Read how each item ended: the last row that says more than that it was done before, or the last one."""
    results: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("run*.jsonl")):
        for row in read_jsonl(path):
            known = results.get(row["name"])
            if row["status"] == "skipped" and known is not None and known["status"] == "done":
                continue
            results[row["name"]] = row
    return results


def _facts(records: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Facts of the run, by name; those of several shards are those of the first."""
    facts: dict[str, object] = {}
    for name, value in records[0].items():
        if name in _LEFT_OUT or value in ([], {}, None):
            continue
        if isinstance(value, Mapping) and len(set(map(str, value.values()))) == 1:
            value = f"{next(iter(value.values()))}{f' (all {len(value)})' if len(value) > 1 else ''}"
        elif isinstance(value, Mapping):
            value = ", ".join(f"{k}: {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "; ".join(map(str, value))
        facts[name.replace("_", " ")] = value
    if len(records) > 1:
        facts["shards"] = len(records)
    return facts


def _tiles(
    records: Sequence[Mapping[str, Any]], items: Sequence[PageItem], tables: Mapping[str, ItemTable]
) -> dict[str, object]:
    totals = [record["totals"] for record in records]
    finished = sum(item.status in {"done", "skipped"} for item in items)
    stopped = {"run": "interrupted"} if any(record.get("status") == "interrupted" for record in records) else {}
    tiles: dict[str, object] = {
        **stopped,
        "items done": finished,
        "failed": sum(item.status == "failed" for item in items),
    }
    for name, label, together in (
        ("frames", "frames", sum), ("frames_per_second", "frames a second", sum),
        ("peak_memory_mib", "MiB peak memory", max),
    ):  # fmt: skip
        values = [total[name] for total in totals if total.get(name) is not None]
        if values:
            tiles[label] = f"{together(values):.3g}" if name == "frames_per_second" else round(together(values))
    for name in ("objects", "instances", "tracks"):
        counts = [table.numbers[name] for table in tables.values() if name in table.numbers]
        if counts:
            tiles[name] = sum(int(count) for count in counts)
    tiles["to review"] = sum(item.review for item in items)
    return tiles


def _items(
    results: Mapping[str, Mapping[str, Any]], tables: Mapping[str, ItemTable], pictures: RunPictures, *, videos: bool
) -> Iterator[PageItem]:
    """The items, with as many pictures as the page has room for."""
    done = [name for name, row in results.items() if row["status"] != "failed"]
    each = STRIP if videos else 1
    width = _width(len(done) * each)
    room = PICTURE_BYTES
    # Where not even the smallest pictures fit, items to review come first, then evenly spread ones.
    most = max(1, int(PICTURE_BYTES / (BYTES_PER_PIXEL * SMALLEST_WIDTH**2 * 0.75)) // min(each, 3))
    doubtful = [name for name in done if name in tables and tables[name].review]
    chosen = set(doubtful[:most]) | set(done[:: max(1, -(-len(done) // most))])
    for name, row in results.items():
        table = tables.get(name, ItemTable())
        frames = (table.frames or pictures.frames(name)) if videos else []
        shots: list[Shot] = []
        order = {frame: position for position, frame in enumerate(frames)}
        for frame, caption in _wanted(frames, table) if videos else [("", "; ".join(table.review.values()))]:
            uri = pictures.uri(name, frame, width) if name in chosen and room > 0 else None
            if uri is not None:
                review = frame in table.review if videos else bool(table.review)
                shots.append(Shot(frame, uri, caption, review, order.get(frame, 0)))
                room -= len(uri)
        yield PageItem(
            name, row["status"], row["frames"], row["seconds"], row["reason"], tuple(row["notes"]), table.numbers,
            len(table.review), tuple(shots), table.curves, table.spans(frames),
        )  # fmt: skip


def _wanted(frames: Sequence[str], table: ItemTable) -> list[tuple[str, str]]:
    """(frame, caption) of a video's pictures: first, middle, worst, then those to review and evenly spread ones."""
    if not frames:
        return []
    named = {frames[0]: "first", frames[len(frames) // 2]: "middle"}
    if table.worst is not None:
        reason = table.review.get(table.worst)
        named.setdefault(table.worst, f"lowest score ({reason})" if reason else "lowest score")
    review = list(table.review)[: (STRIP - len(named)) // 2]  # lowest scores first
    spread = [frames[round(k * (len(frames) - 1) / (STRIP - 1))] for k in range(STRIP)]
    for frame in (*review, *spread):
        if len(named) < STRIP:
            named.setdefault(frame, table.review.get(frame, ""))
    head = list(named.items())[:3]
    order = {frame: k for k, frame in enumerate(frames)}
    return [*head, *sorted(list(named.items())[3:], key=lambda pair: order.get(pair[0], 0))]


def _width(count: int) -> int:
    """Width of `count` pictures that fit on the page together."""
    pixels = PICTURE_BYTES / max(count, 1) / BYTES_PER_PIXEL
    return int(min(LARGEST_WIDTH, max(SMALLEST_WIDTH, (pixels / 0.75) ** 0.5)))


def _distributions(tables: Mapping[str, ItemTable]) -> Iterator[Distribution]:
    scores = [score for table in tables.values() for score in table.scores]
    areas = [area for table in tables.values() for area in table.areas if area > 0]
    counts = [float(table.numbers["instances"]) for table in tables.values() if "instances" in table.numbers]
    if scores:
        yield Distribution("Scores", tuple(histogram(scores, 0.0, 1.0, BINS)), 1.0)
    if areas:
        top = sorted(areas)[int(0.99 * (len(areas) - 1))]  # a few giants would leave one bar
        yield Distribution("Areas in pixels", tuple(histogram(areas, 0.0, top, BINS)), top)
    if len(counts) > 1:
        high = max(counts) + 1.0
        yield Distribution("Instances per image", tuple(histogram(counts, 0.0, high, BINS)), high)
