"""Masks of other tools in, masks for other tools out, and back again after corrections.

Covers: runners.propagate.exports
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import HEIGHT, WIDTH, Told, draw_mask, draw_video, read_ids, squares
from vossegcli.errors import ConfigError
from vossegcli.io.results.exports import KINDS
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path) -> Run:
    def call(frames: Path, mask: Path, output: str = "out", *, dry_run: bool = False, **options: Any) -> dict[str, Any]:
        settings = PropagateOptions(
            frames=frames, mask=mask, output=tmp_path / output, checkpoint=str(checkpoint), device="cpu",
            precision="fp32", **options,
        )  # fmt: skip
        return propagate(settings, Told(), dry_run=dry_run)

    return call


def masks(tmp_path: Path, output: str = "out", name: str = "clip") -> dict[str, np.ndarray]:
    return {path.stem: read_ids(path) for path in sorted((tmp_path / output / "masks" / name).iterdir())}


def labelme(path: Path, ids_map: np.ndarray, names: dict[int, str]) -> Path:
    shapes = []
    for number, name in names.items():
        rows, columns = np.nonzero(ids_map == number)
        corners = [[int(columns.min()), int(rows.min())], [int(columns.max()), int(rows.max())]]
        shapes.append({"label": name, "points": corners, "shape_type": "rectangle", "group_id": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    path.write_text(json.dumps({"shapes": shapes, "imagePath": f"{path.stem}.jpg", "imageData": None, **size}))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_for_a_tool_can_be_given_back(run: Run, tmp_path: Path, kind: str) -> None:
    draw_video(tmp_path / "clip", 4)
    mask = draw_mask(tmp_path / "m.png", (3, 300))
    run(tmp_path / "clip", mask, save=("masks", kind))
    first = masks(tmp_path)
    again = run(tmp_path / "clip", tmp_path / "out" / kind, "again", use_masks="all")
    assert again["use_masks"] == {"clip": "all"}
    second = masks(tmp_path, "again")
    assert list(second) == list(first)
    for name, ids_map in first.items():
        assert np.array_equal(second[name], ids_map), name
    assert run(tmp_path / "clip", mask, save=("masks", kind))["totals"]["skipped"] == 1


def test_a_tree_of_sequences_is_given_back(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two/deep"):
        draw_video(tmp_path / "root" / name, 2)
        draw_mask(tmp_path / "m" / name / "00000.png", (1, 2))
    run(tmp_path / "root", tmp_path / "m", save=KINDS)
    for kind in KINDS:
        run(tmp_path / "root", tmp_path / "out" / kind, f"again {kind}", use_masks="all")
        for name in ("one", "two/deep"):
            for frame, ids_map in masks(tmp_path, name=name).items():
                assert np.array_equal(masks(tmp_path, f"again {kind}", name)[frame], ids_map)


def test_annotations_are_masks_and_name_the_objects(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 3)
    path = labelme(tmp_path / "00000.json", squares(0, (1, 2)), {1: "cat", 2: "dog"})
    record = run(tmp_path / "clip", path)
    assert np.array_equal(masks(tmp_path)["00000"], squares(0, (1, 2)))
    assert json.loads((tmp_path / "out" / "classes.json").read_text()) == {"1": "cat", "2": "dog"}
    assert record["totals"]["done"] == 1
    assert run(tmp_path / "clip", path)["totals"]["skipped"] == 1, "what was made of the file is found again"


def test_a_mask_made_of_annotations_is_called_like_their_file(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 2)
    path = labelme(tmp_path / "00001.json", squares(0, (1,)), {1: "cat"})
    path.write_text(path.read_text().replace(f'"imageWidth": {WIDTH}', f'"imageWidth": {2 * WIDTH}'))
    (failure,) = run(tmp_path / "clip", path)["failed"]
    assert failure["reason"].startswith(f"{path}, mask of 00001: is {2 * WIDTH}x{HEIGHT}, but its frame is")


@pytest.mark.parametrize("tool", ["via", "yolo"])
def test_the_frames_tell_the_size_where_annotations_do_not(run: Run, tmp_path: Path, tool: str) -> None:
    draw_video(tmp_path / "clip", 2)
    folder = tmp_path / "annotations"
    folder.mkdir()
    corners = [(8, 8), (24, 8), (24, 24), (8, 24)]
    if tool == "via":
        shape = {"name": "polygon", "all_points_x": [x for x, _ in corners], "all_points_y": [y for _, y in corners]}
        region = {"shape_attributes": shape, "region_attributes": {"class": "cat"}}
        (folder / "via.json").write_text(json.dumps({"a": {"filename": "00000.jpg", "regions": [region]}}))
    else:
        line = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in corners)
        (folder / "00000.txt").write_text(f"0 {line}\n")
    run(tmp_path / "clip", folder / "via.json" if tool == "via" else folder)
    first = masks(tmp_path)["00000"]
    assert first[16, 16] == 1
    assert first[40, 40] == 0


def test_frames_before_a_mask_in_the_middle_are_told(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 4)
    mask = draw_mask(tmp_path / "m" / "00002.png", (1,), index=2)

    def notes(direction: str) -> list[str]:
        run(tmp_path / "clip", mask.parent, direction, direction=direction)
        line = (tmp_path / direction / "run.jsonl").read_text().splitlines()[-1]
        return [note for note in json.loads(line)["notes"] if "left empty" in note]

    assert notes("forward") == [
        "2 frames before the first given mask were left empty: --direction both segments them too"
    ]
    assert notes("backward") == ["1 frame after the last given mask was left empty: --direction both segments it too"]
    assert notes("both") == []


def test_a_dry_run_writes_nothing_and_plans_what_a_run_does(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 3)
    path = labelme(tmp_path / "00000.json", squares(0, (1,)), {1: "cat"})
    before = sorted(tmp_path.rglob("*"))
    assert [row["action"] for row in run(tmp_path / "clip", path, dry_run=True)["plan"]] == ["run"]
    assert sorted(tmp_path.rglob("*")) == before
    run(tmp_path / "clip", path)
    assert [row["action"] for row in run(tmp_path / "clip", path, dry_run=True)["plan"]] == ["skip"]


def test_a_file_of_another_name_belongs_to_the_first_frame_or_to_at(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 3)
    path = labelme(tmp_path / "mine.json", squares(1, (1,)), {1: "cat"})
    run(tmp_path / "clip", path, at="00001")
    assert np.array_equal(masks(tmp_path)["00001"], squares(1, (1,)))
    run(tmp_path / "clip", labelme(tmp_path / "first.json", squares(0, (1,)), {1: "cat"}), "other")
    assert np.array_equal(masks(tmp_path, "other")["00000"], squares(0, (1,)))


@pytest.mark.parametrize("kind", ["npy", "npz", "zip"])
def test_arrays_and_archives_are_masks(run: Run, tmp_path: Path, kind: str) -> None:
    draw_video(tmp_path / "clip", 3)
    stack = np.stack([squares(k, (1, 2)) for k in range(3)])
    path = tmp_path / f"m.{kind}"
    if kind == "npy":
        np.save(path, stack)
    elif kind == "npz":
        np.savez(path, masks=stack)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for k in range(3):
                archive.write(draw_mask(tmp_path / f"{k:05d}.png", (1, 2), index=k), f"masks/{k:05d}.png")
    run(tmp_path / "clip", path, use_masks="all")
    for k, ids_map in enumerate(masks(tmp_path).values()):
        assert np.array_equal(ids_map, stack[k])


def test_a_chosen_object_is_taken_whole_where_others_lie_on_it(run: Run, tmp_path: Path) -> None:
    """Proposals of `vosseg instance` overlap; what nobody chose must not cover what somebody did."""
    draw_video(tmp_path / "clip", 2)
    shapes = [
        {"label": "object", "points": [[4, 4], [40, 30]], "shape_type": "rectangle", "group_id": 1},
        {"label": "object", "points": [[10, 10], [50, 40]], "shape_type": "rectangle", "group_id": 2},
    ]
    payload = {"shapes": shapes, "imagePath": "00000.jpg", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    (tmp_path / "things.json").write_text(json.dumps({**payload, "imageData": None}))
    areas = {}
    for chosen in ((1,), (2,), (1, 2), ()):
        run(tmp_path / "clip", tmp_path / "things.json", "out", objects=chosen)
        areas[chosen] = [int((masks(tmp_path)["00000"] == number).sum()) for number in (1, 2)]
    assert areas[(1, 2)] == areas[()]
    both = sum(areas[()])
    assert areas[(2,)] == [0, areas[()][1]]
    assert both > areas[(1,)][0] > areas[()][0], "the second covers a part of the first"
    assert areas[(1,)][1] == 0


def test_after_an_all_black_mask_the_objects_are_gone(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 6)
    draw_mask(tmp_path / "m" / "00000.png", (1, 2))
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "m" / "00002.png")
    Image.fromarray(squares(4, (2,))).save(tmp_path / "m" / "00004.png")
    run(tmp_path / "clip", tmp_path / "m", use_masks="all")
    found = masks(tmp_path)
    assert found["00000"].any()
    assert found["00001"].any()
    assert not found["00002"].any()
    assert not found["00003"].any()
    assert set(np.unique(found["00004"])) == {0, 2}
    assert 1 not in found["00005"]
    run(tmp_path / "clip", tmp_path / "m", "new", use_masks="new")
    assert masks(tmp_path, "new")["00002"].any(), "with `new`, a mask adds objects and takes none away"


def test_an_interrupted_run_remembers_who_is_gone(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 5)
    draw_mask(tmp_path / "m" / "00000.png", (1,))
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "m" / "00001.png")
    frame = tmp_path / "clip" / "00004.jpg"
    content = frame.read_bytes()
    frame.write_bytes(content[:100])
    run(tmp_path / "clip", tmp_path / "m", use_masks="all", snapshot_every=1)
    frame.write_bytes(content)
    run(tmp_path / "clip", tmp_path / "m", use_masks="all", snapshot_every=1)
    assert [ids_map.any() for ids_map in masks(tmp_path).values()] == [True, False, False, False, False]


def test_exact_masks(run: Run, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 2)
    soft = np.array(Image.fromarray((squares(0, (1,)) * 40).astype(np.uint8)).resize((WIDTH, HEIGHT)))
    soft[20:30, 20:30], soft[19, 20:30], soft[20:30, 19], soft[30, 20:30] = 90, 30, 40, 50
    Image.fromarray(soft).save(tmp_path / "m.png")
    with pytest.raises(ConfigError):
        PropagateOptions(frames=tmp_path, exact_mask=True, fix_mask=True)
    run(tmp_path / "clip", tmp_path / "m.png", exact_mask=True)
    assert np.array_equal(masks(tmp_path)["00000"], soft)
