"""Frames and masks as people have them: stacks, masks among frames, frames by number, many objects."""

import io
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import HEIGHT, VOSSEG, WIDTH, Outcome, draw_mask, draw_video, finish, read_ids, squares, start

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


@pytest.mark.parametrize("frames", ["%05d.jpg", "clip/%05d.jpg", "clip/0*.jpg", "clip/%d.jpg", "*/0000?.jpg"])
def test_frames_of_a_pattern(tmp_path: Path, vosseg: Run, monkeypatch: pytest.MonkeyPatch, frames: str) -> None:
    draw_video(tmp_path / "clip", 3)
    Image.new("RGB", (9, 9)).save(tmp_path / "clip" / "preview.jpg")  # no pattern matches it
    mask = draw_mask(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path if "/" in frames else tmp_path / "clip")
    found = vosseg("propagate", frames, "--mask", mask, "-o", tmp_path / "out")
    assert found.code == 0, found.stderr
    assert [path.stem for path in sorted((tmp_path / "out").glob("masks/*/*.png"))] == ["00000", "00001", "00002"]


def test_masks_of_a_pattern_among_the_frames(tmp_path: Path, vosseg: Run) -> None:
    draw_video(tmp_path / "clip", 4)
    for index, ids in ((0, (1,)), (2, (1, 2))):
        draw_mask(tmp_path / "clip" / f"0000{index}_mask.png", ids, index=index)
    out = tmp_path / "out"
    words = (
        "propagate",
        tmp_path / "clip",
        "--mask",
        tmp_path / "clip" / "*_mask.png",
        "--use-masks",
        "all",
        "-o",
        out,
    )
    found = vosseg(*words)
    assert found.code == 0, found.stderr
    masks = [read_ids(path) for path in sorted((out / "masks" / "clip").iterdir())]
    assert len(masks) == 4
    np.testing.assert_array_equal(masks[2], squares(2, (1, 2)))
    assert vosseg(*words, "--json").json()["totals"]["skipped"] == 1
    found = vosseg("propagate", tmp_path / "clip", "--mask", tmp_path / "clip" / "*.npy", "-o", out)
    assert found.code == 3
    assert "matches no file" in found.stderr


def test_a_pattern_that_matches_nothing(tmp_path: Path, vosseg: Run) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "mask.png")
    for pattern in ("%03d_left.png", "img_%04d.jpg", "*.exr"):
        found = vosseg("propagate", tmp_path / "clip" / pattern, "--mask", mask, "-o", tmp_path / "out")
        assert found.code == 3
        assert "matches nothing" in found.stderr
        assert pattern in found.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_mask_through_a_pipe(tmp_path: Path, vosseg: Run, checkpoint: Path) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "00000.png", (3, 7))
    with zipfile.ZipFile(tmp_path / "mask.zip", "w") as archive:
        archive.write(mask, "masks/00000.png")
    words = ["propagate", tmp_path / "clip", "-o", tmp_path / "out", "--checkpoint", checkpoint]
    words += ["--device", "cpu", "--precision", "fp32", "--json"]
    first = finish(
        start(("bash", "-c", f"cat {tmp_path / 'mask.zip'} | {' '.join(map(str, (VOSSEG, *words)))} --mask -"))
    )
    assert first.code == 0, first.stderr
    np.testing.assert_array_equal(read_ids(tmp_path / "out" / "masks" / "clip" / "00000.png"), squares(0, (3, 7)))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=((tmp_path / "mask.zip").read_bytes(),))
    writer.start()
    again = vosseg(*words, "--mask", pipe)
    writer.join()
    assert again.json()["totals"]["skipped"] == 1, "the same mask, though another pipe"


def test_a_mask_through_a_substituted_process(tmp_path: Path, vosseg: Run) -> None:
    """As `--mask <(...)` gives it: the number of an open file."""
    draw_video(tmp_path / "clip", 2)
    reading, writing = os.pipe()
    os.write(writing, draw_mask(tmp_path / "mask.png", (3, 7)).read_bytes())
    os.close(writing)
    found = vosseg("propagate", tmp_path / "clip", "--mask", f"/dev/fd/{reading}", "-o", tmp_path / "out")
    os.close(reading)
    assert found.code == 0, found.stderr
    np.testing.assert_array_equal(read_ids(tmp_path / "out" / "masks" / "clip" / "00000.png"), squares(0, (3, 7)))


@pytest.mark.parametrize("kind", ["npy", "json"])
def test_arrays_and_annotations_through_a_pipe(tmp_path: Path, vosseg: Run, kind: str) -> None:
    draw_video(tmp_path / "clip", 2)
    ids, content = squares(0, (3, 7)), io.BytesIO()
    if kind == "npy":
        np.save(content, ids)
    else:
        ids[ids == 3] = 0
        rle = coco_mask.encode(np.asfortranarray((ids == 7).astype(np.uint8)))
        objects = [{"image_id": 1, "category_id": 7, "segmentation": rle | {"counts": rle["counts"].decode()}}]
        images = [{"id": 1, "file_name": "00000.jpg", "height": HEIGHT, "width": WIDTH}]
        payload = {"images": images, "categories": [{"id": 7, "name": "a"}], "annotations": objects}
        content.write(json.dumps(payload).encode())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content.getvalue(),))
    writer.start()
    found = vosseg("propagate", tmp_path / "clip", "--mask", pipe, "-o", tmp_path / "out")
    writer.join()
    assert found.code == 0, found.stderr
    np.testing.assert_array_equal(read_ids(tmp_path / "out" / "masks" / "clip" / "00000.png"), ids)


def test_a_range_that_is_none(tmp_path: Path, vosseg: Run) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "mask.png")
    found = vosseg("propagate", tmp_path / "clip", "--mask", mask, "--range", "5", "-o", tmp_path / "out")
    assert found.code == 5
    assert "--range" in found.stderr
