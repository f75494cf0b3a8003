"""The page of a run, from the files of a run: `batch/report.py`, `batch/run_tables.py`, `batch/run_pictures.py`.

Covers: batch.run_pictures, batch.run_tables, cli.report, reports.curves
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vossegcli.batch import report
from vossegcli.batch.report import write_report
from vossegcli.batch.run_pictures import RunPictures
from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.results.overlays import write_image

FRAMES = tuple(f"{k:05d}" for k in range(30))


def row(name: str, status: str = "done", **more: Any) -> dict[str, Any]:
    return {
        "name": name, "status": status, "frames": 30, "seconds": 1.5, "reason": None, "error_type": None, "notes": [],
        **more,
    }  # fmt: skip


def make_run(
    folder: Path, rows: list[dict[str, Any]], table: tuple[str, str], source: Path, record: str = "run"
) -> None:
    folder.mkdir(exist_ok=True)
    totals = {"done": 1, "skipped": 0, "failed": 0, "frames": 30, "seconds": 2.0, "frames_per_second": 15.0}
    facts = {"version": "9.9", "input": str(source), "checkpoint": {"name": "net", "sha256": "abc"}, "totals": totals}
    (folder / f"{record}.json").write_text(json.dumps(facts))
    (folder / f"{record}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    (folder / table[0]).write_text(table[1])


def confidence_csv(names: list[str], doubtful: str = "00017") -> str:
    lines = ["sequence,frame,object,area,uncertainty,score,review"]
    for name in names:
        for k, frame in enumerate(FRAMES):
            score = 0.3 if frame == doubtful else 0.95
            lines.append(f"{name},{frame},1,{100 + k},{1 - score:.2f},{score},{'yes' if score < 0.6 else 'no'}")
    return "\n".join(lines) + "\n"


def write_frames(folder: Path, names: tuple[str, ...] = FRAMES) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        write_image(folder / f"{name}.png", rng.integers(0, 255, (24, 32, 3)).astype(np.uint8))


def write_masks(folder: Path, names: tuple[str, ...] = FRAMES) -> None:
    ids = np.zeros((24, 32), np.uint8)
    ids[4:12, 6:20] = 1
    for name in names:
        write_label_map(folder / f"{name}.png", ids)


def test_a_run_of_propagate(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames" / "bear")
    write_masks(tmp_path / "run" / "masks" / "bear")
    rows = [row("bear", notes=["0/255 read as object 1"]), row("<b>lost</b>", "failed", reason="holds no frames")]
    make_run(tmp_path / "run", rows, ("confidence.csv", confidence_csv(["bear"])), tmp_path / "frames")
    html = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "holds no frames" in html
    assert "<b>lost</b>" not in html
    assert "&lt;b&gt;lost&lt;/b&gt;" in html
    assert html.index("Failed (1)") < html.index(">Items<")  # failures first
    assert "0/255 read as object 1" in html
    assert 'alt="bear 00000"' in html and 'alt="bear 00015"' in html  # first and middle
    assert "lowest score (object 1: score 0.30, 117 px)" in html
    assert html.count("data:image/jpeg") >= 3 + 12  # thumbnails of the row, and the strip
    strip = html[html.index('<div class="strip">') :].partition("</div>")[0]
    shown = re.findall(r'alt="\S+ (\d{5})"', strip)
    assert len(shown) == 12
    assert shown == sorted(shown), "in the order of time"
    assert html.count("<polyline") == 2  # area and score of one object
    assert "name: net, sha256: abc" in html


def test_overlays_are_taken_as_they_were_written(tmp_path: Path) -> None:
    red = np.full((24, 32, 3), (255, 0, 0), np.uint8)
    for name in FRAMES:
        write_image(tmp_path / "run" / "overlay" / "bear" / f"{name}.jpg", red)
    make_run(tmp_path / "run", [row("bear")], ("confidence.csv", confidence_csv(["bear"])), tmp_path / "gone")
    assert write_report(tmp_path / "run").read_text(encoding="utf-8").count("data:image/jpeg") >= 12


def test_masks_alone_are_shown_where_the_input_has_gone(tmp_path: Path) -> None:
    write_masks(tmp_path / "run" / "masks" / "bear")
    make_run(tmp_path / "run", [row("bear")], ("confidence.csv", confidence_csv(["bear"])), tmp_path / "gone")
    assert "data:image/jpeg" in write_report(tmp_path / "run").read_text(encoding="utf-8")


def test_masks_alone_are_shown_where_images_go_while_the_page_is_made(tmp_path: Path) -> None:
    write_frames(tmp_path / "images", ("a",))
    write_masks(tmp_path / "run" / "masks", ("a",))
    pictures = RunPictures(tmp_path / "run", str(tmp_path / "images"), videos=False)
    shown = pictures.uri("a", "", 160)
    (tmp_path / "images" / "a.png").unlink()
    alone = pictures.uri("a", "", 160)
    assert alone is not None
    assert alone != shown


def test_a_run_of_instance(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    write_frames(tmp_path / "images", names)
    write_masks(tmp_path / "run" / "masks", names)
    table = "image,instance,class,score,area,x,y,width,height\n" + "".join(
        f"{name},{k},cell,0.{k + 4},{90 + k},0,0,9,9\n" for name in names[:2] for k in range(1, 4)
    )
    make_run(tmp_path / "run", [row(name, frames=1) for name in names], ("instances.csv", table), tmp_path / "images")
    html = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert '<div class="gallery">' in html
    assert html.count("data:image/jpeg") == len(names)  # c has no instances and is shown all the same
    assert "Instances per image" in html
    assert ">6</b><span>instances" in html


def test_a_run_of_track(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames" / "dish")
    write_masks(tmp_path / "run" / "masks" / "dish")
    table = (
        "sequence,track,class,score,first,last,frames,area\n"
        "dish,1,cell,0.9,00000,00029,30,112.0\ndish,2,cell,0.8,00010,00029,20,90.0\n"
    )
    make_run(tmp_path / "run", [row("dish")], ("tracks.csv", table), tmp_path / "frames")
    html = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert html.count('<line class="span"') == 2
    assert "track 2 (cell), 00010 to 00029" in html


def test_a_run_of_fewshot(tmp_path: Path) -> None:
    write_frames(tmp_path / "images", ("a",))
    write_masks(tmp_path / "run" / "masks", ("a",))
    table = "query,class,id,area,confidence,review\na,cat,1,112,0.21,yes\na,dog,2,0,0.02,no\n"
    make_run(tmp_path / "run", [row("a", frames=1)], ("confidence.csv", table), tmp_path / "images")
    html = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "confidence 0.21" in html
    assert 'data-name="a" data-review="1"' in html


def test_shards_are_shown_together(tmp_path: Path) -> None:
    table = ("confidence.csv", confidence_csv(["bear", "dog"]))
    make_run(tmp_path / "run", [row("bear")], table, tmp_path, "run-1-of-2")
    make_run(tmp_path / "run", [row("dog")], table, tmp_path, "run-2-of-2")
    html = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert 'data-name="bear"' in html and 'data-name="dog"' in html
    assert ">60</b><span>frames" in html


def test_a_second_run_does_not_hide_the_first(tmp_path: Path) -> None:
    rows = [row("bear", notes=["ends after 3 of 9 frames"]), row("bear", "skipped", frames=0, reason="already done")]
    make_run(tmp_path / "run", rows, ("confidence.csv", confidence_csv(["bear"])), tmp_path)
    assert "ends after 3 of 9 frames" in write_report(tmp_path / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("count", [1, 40, 700])
def test_pictures_keep_to_their_budget(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PICTURE_BYTES", 60_000)
    names = tuple(f"image{k}" for k in range(count))
    write_frames(tmp_path / "images", names)
    write_masks(tmp_path / "run" / "masks", names)
    table = "image,instance,class,score,area,x,y,width,height\n"
    make_run(tmp_path / "run", [row(name, frames=1) for name in names], ("instances.csv", table), tmp_path / "images")
    html = write_report(tmp_path / "run").read_text(encoding="utf-8")
    uris = sum(len(part.split('"')[0]) for part in html.split("data:image/jpeg")[1:])
    assert 0 < uris < 65_000
    assert html.count("<tr data-name=") == count  # every item has its row


@pytest.mark.parametrize("content", [{}, {"run.json": "{}"}, {"run.json": "nonsense"}])
def test_a_folder_without_a_run_is_refused(tmp_path: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="holds no run"):
        write_report(tmp_path)


def test_an_interrupted_run_says_so_first(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [row("clip")], ("confidence.csv", confidence_csv(["clip"])), tmp_path / "clip")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "<b>interrupted</b>" not in write_report(tmp_path / "run").read_text()
    (tmp_path / "run" / "run.json").write_text(json.dumps({**record, "status": "interrupted", "notes": []}))
    html = write_report(tmp_path / "run").read_text()
    assert "<b>interrupted</b><span>run</span>" in html
    assert "<td>notes</td>" not in html, "empty facts are left out"
