"""Frames and masks as people have them: stacks, masks among frames, frames by number, many objects."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from tests.conftest import HEIGHT, WIDTH, Outcome, draw_mask, draw_video, read_ids, squares

Run = Callable[..., Outcome]


def _notes(out: Path) -> list[str]:
    rows = [json.loads(line) for line in (out / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    return [note for row in rows for note in row["notes"]]


def test_a_stack_with_a_label_stack_and_a_stack_of_results(tmp_path: Path, vosseg: Run) -> None:
    ids = [squares(index, (1, 2)) for index in range(4)]
    noise = np.random.default_rng(0).integers(0, 40, (4, HEIGHT, WIDTH))
    tifffile.imwrite(tmp_path / "film.tif", (np.stack(ids) * 900 + noise + 300).astype(np.uint16), imagej=True)
    masks = np.stack([ids[0], ids[1] * 0, ids[2] * 0, ids[3] * 0]).astype(np.int64)
    tifffile.imwrite(tmp_path / "labels.tif", masks, photometric="minisblack")
    out = tmp_path / "out"
    words = ("propagate", tmp_path / "film.tif", "--mask", tmp_path / "labels.tif", "--save", "stack", "-o", out)
    assert vosseg(*words).code == 0
    with tifffile.TiffFile(out / "stack" / "film.tif") as file:
        assert file.is_imagej
        stack = file.asarray()
    np.testing.assert_array_equal(stack[0], ids[0])
    for index in range(4):
        np.testing.assert_array_equal(stack[index], read_ids(out / "masks" / "film" / f"{index:05d}.png"))
    notes = _notes(out)
    assert any("16-bit frames" in note for note in notes)
    assert any("4 masks were read from the pages of labels.tif" in note for note in notes)
    assert vosseg(*words, "--json").json()["totals"]["skipped"] == 1


def test_folders_of_stacks(tmp_path: Path, vosseg: Run) -> None:
    for name in ("a", "b"):
        ids = np.stack([squares(index, (1, 2)) for index in range(3)])
        for folder, values in (("films", ids * 60), ("labels", ids)):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", values.astype(np.uint8), photometric="minisblack")
    out = tmp_path / "out"
    found = vosseg("propagate", tmp_path / "films", "--mask", tmp_path / "labels", "-o", out)
    assert found.code == 0, found.stderr
    for name in ("a", "b"):
        np.testing.assert_array_equal(read_ids(out / "masks" / name / "00000.png"), squares(0, (1, 2)))


def test_a_mask_among_the_frames_and_a_frame_by_its_number(tmp_path: Path, vosseg: Run) -> None:
    for index, name in enumerate(draw_video(tmp_path / "clip", 4)):
        (tmp_path / "clip" / f"{name}.jpg").rename(tmp_path / "clip" / f"f{index + 1:03d}.jpg")
    mask = draw_mask(tmp_path / "clip" / "f002_mask.png", index=1)
    out = tmp_path / "out"
    words = ("propagate", tmp_path / "clip", "--mask", mask, "--at", 2, "-o", out)
    plan = vosseg(*words, "--dry-run", "--json").json()["plan"]
    assert plan[0]["frames"] >= 4
    assert any("is given as a mask" in note for note in plan[0]["notes"])
    assert any("--at 2 is frame f002" in note for note in plan[0]["notes"])
    assert vosseg(*words).code == 0
    assert sorted(path.stem for path in (out / "masks" / "clip").iterdir()) == ["f001", "f002", "f003", "f004"]
    np.testing.assert_array_equal(read_ids(out / "masks" / "clip" / "f002.png"), squares(1, (1, 2)))


def test_more_than_254_objects_keep_their_ids(tmp_path: Path, vosseg: Run) -> None:
    draw_video(tmp_path / "clip", 2, size=(68, 80))
    ids_map = np.zeros((68, 80), np.uint16)
    for number in range(300):
        row, column = divmod(number, 20)
        ids_map[4 * row + 1 : 4 * row + 4, 4 * column + 1 : 4 * column + 4] = number + 1
    Image.fromarray(ids_map).save(tmp_path / "mask.png")
    out = tmp_path / "out"
    assert vosseg("propagate", tmp_path / "clip", "--mask", tmp_path / "mask.png", "-o", out).code == 0
    np.testing.assert_array_equal(read_ids(out / "masks" / "clip" / "00000.png"), ids_map)


def test_a_pattern_without_quotes_gets_a_hint(tmp_path: Path, vosseg: Run) -> None:
    draw_video(tmp_path / "clip", 3)
    found = vosseg("propagate", *sorted((tmp_path / "clip").iterdir()), "--mask", tmp_path / "m.png")
    assert found.code == 2
    assert "quotes" in found.stderr


def test_a_range_that_is_none(tmp_path: Path, vosseg: Run) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "mask.png")
    found = vosseg("propagate", tmp_path / "clip", "--mask", mask, "--range", "5", "-o", tmp_path / "out")
    assert found.code == 5
    assert "--range" in found.stderr
