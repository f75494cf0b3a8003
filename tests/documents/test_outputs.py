"""`docs/outputs.md` against what the commands write: every file and every column, both ways.

Covers: io.records.json_files, io.records.run_records, io.records.tables
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Outcome
from tests.documents.pages import code, page, section, table
from vossegcli.io.records.json_files import read_json
from vossegcli.io.records.run_records import STATE_FOLDER, read_jsonl

RUNS = {
    "propagate": "vosseg propagate videos/ --mask masks"
    " --save masks,overlay,video,stack,cutouts,matte,prores,probabilities,labelme,coco,cvat,report -o out",
    "fewshot": "vosseg fewshot photos --support annotated --min-confidence 0"
    " --save masks,overlay,probabilities,cutouts,report -o out",
    "fewshot --episodes": "vosseg fewshot annotated --episodes 2 --save masks,overlay,report -o out",
    "instance": "vosseg instance examples/nuclei/images"
    " --save masks,coco,overlay,cutouts,labelme,cvat,geojson,report -o out",
    "track": "vosseg track clips --checkpoint tracker.safetensors --score-threshold 0"
    " --save masks,coco,overlay,video,stack,ctc,report -o out",
}


@pytest.mark.parametrize("name", list(RUNS))
def test_files_and_columns_of_a_batch(name: str, workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    outcome = run_line(RUNS[name])
    assert outcome.code == 0, outcome.stderr
    text = section(page("outputs"), f"## {name}")
    assert_the_same(listed_files(text), written_files(workplace / "out"))
    for file, columns in described(text, "Columns of").items():
        with (workplace / "out" / file).open(encoding="utf-8") as opened:
            assert next(csv.reader(opened)) == columns
    for file, keys in described(text, "Keys of each result of").items():
        results = read_json(workplace / "out" / file)
        assert results
        assert all(list(result) == keys for result in results)
    check_records(name, workplace / "out")


def check_records(name: str, output: Path) -> None:
    """Hold the keys of `run.json` and `run.jsonl` against the tables."""
    of = name.split(" ")[0]
    rows = table(section(page("outputs"), "## run.json"), "key", "of", "meaning")
    record = read_json(output / "run.json")
    if name == of:
        documented = {code(row["key"])[0] for row in rows if row["of"] == "all" or of in row["of"].split(", ")}
        assert set(record) == documented
    else:
        assert set(record) == {code(row["key"])[0] for row in rows if row["of"] == "all"} | {
            "classes", "layout", "shots",
        }  # fmt: skip
    totals = next(row["meaning"] for row in rows if code(row["key"]) == ["totals"])
    assert list(record["totals"]) == code(totals)
    lines = table(section(page("outputs"), "## run.jsonl"), "key", "meaning")
    for line in read_jsonl(output / "run.jsonl"):
        assert list(line) == [code(row["key"])[0] for row in lines]


def test_a_failed_item_is_recorded_as_the_page_says(workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    (workplace / "photos" / "00001.jpg").write_bytes(b"no picture")
    outcome = run_line("vosseg fewshot photos --support annotated -o out")
    assert outcome.code == 7
    rows = table(section(page("outputs"), "## run.json"), "key", "of", "meaning")
    failed = next(row["meaning"] for row in rows if code(row["key"]) == ["failed"])
    (entry,) = read_json(workplace / "out" / "run.json")["failed"]
    assert list(entry) == code(failed)


def test_lists_of_ids_have_the_keys_that_the_page_names(workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    for name, file in (("instance", "images.json"), ("track", "videos.json")):
        assert run_line(RUNS[name].replace("-o out", f"-o {name}")).code == 0
        row = next(r for r in table(section(page("outputs"), f"## {name}"), "file") if code(r["file"]) == [file])
        for entry in read_json(workplace / name / file):
            assert list(entry) == code(row["content"])


@pytest.mark.parametrize("task", ["vos", "fewshot", "instance", "track"])
def test_files_of_an_evaluation(task: str, workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    inputs = {"vos": "pred gt", "fewshot": "classes classes-gt", "instance": "results.json coco.json"}
    assert run_line(f"vosseg evaluate {task} {inputs.get(task, 'tracks.json ytvis.json')} -o out").code == 0
    rows = table(section(page("outputs"), "## evaluate"), "file", "of", "content")
    listed = [code(row["file"])[0] for row in rows if row["of"] == "all" or task in row["of"].split(", ")]
    assert_the_same(listed, written_files(workplace / "out"))
    report = read_json(workplace / "out" / "report.json")
    content = next(row["content"] for row in rows if code(row["file"]) == ["report.json"])
    assert list(report)[:4] == code(content)


def test_files_of_a_training(workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    config = workplace / "examples" / "training" / "b2inst-microscopy.toml"
    text = config.read_text().replace("validate_every = 0", "validate_every = 1")
    config.write_text(text)
    line = (
        "vosseg train b2inst --data coco.json --val val.json --config examples/training/b2inst-microscopy.toml -o out"
    )
    outcome = run_line(line)
    assert outcome.code == 0, outcome.stderr
    rows = table(section(page("outputs"), "## train"), "file", "content")
    assert_the_same([code(row["file"])[0] for row in rows], written_files(workplace / "out"))
    first = next(iter(read_jsonl(workplace / "out" / "train.jsonl")))
    assert list(first)[:2] == code(next(r["content"] for r in rows if code(r["file"]) == ["train.jsonl"]))


def listed_files(text: str) -> list[str]:
    """The files of a section's first table."""
    return [code(row["file"])[0] for row in table(text, "file", "with `--save`", "content")]


def written_files(folder: Path) -> list[str]:
    """All files below a folder but the private ones."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith(STATE_FOLDER))


def assert_the_same(patterns: list[str], files: list[str]) -> None:
    """Each file is one that is listed, and of each that is listed there is one."""
    known = {
        pattern: re.compile(re.sub(r"<[a-z]+>", ".+", re.escape(pattern).replace("\\-", "-"))) for pattern in patterns
    }
    for file in files:
        assert any(pattern.fullmatch(file) for pattern in known.values()), f"{file} is written, and not listed"
    for name, pattern in known.items():
        assert any(pattern.fullmatch(file) for file in files), f"{name} is listed, and not written"


def described(text: str, start: str) -> dict[str, list[str]]:
    """The tables that a section introduces by `<start> FILE`: the names in their first columns."""
    found: dict[str, list[str]] = {}
    for file, rest in re.findall(
        rf"^{start} `([\w.]+)`[^\n]*:\n\n(.*?)(?=\n\n|\Z)", text, flags=re.DOTALL | re.MULTILINE
    ):
        rows: list[dict[str, Any]] = table(rest, "column" if "Columns" in start else "key", "meaning")
        found[file] = [code(next(iter(row.values())))[0] for row in rows]
    return found


def test_the_page_describes_each_table_and_each_list_of_results() -> None:
    columns = {name: set(described(section(page("outputs"), f"## {name}"), "Columns of")) for name in RUNS}
    assert columns == {
        "propagate": {"confidence.csv"}, "fewshot": {"confidence.csv"}, "fewshot --episodes": set(),
        "instance": {"instances.csv"}, "track": {"tracks.csv"},
    }  # fmt: skip
    keys = {name: set(described(section(page("outputs"), f"## {name}"), "Keys of each result of")) for name in RUNS}
    assert keys["instance"] == {"instances.json"}
    assert keys["track"] == {"tracks.json"}


def test_json_prints_the_record_that_is_written(workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    outcome = run_line("vosseg fewshot photos --support annotated -o out --json")
    assert json.loads(outcome.stdout) == read_json(workplace / "out" / "run.json")
