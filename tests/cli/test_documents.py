"""Every `vosseg` command of the README and of the example scripts must run as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.conftest import Outcome, draw_mask, draw_video, squares, write_frame
from vossegcli.io.datasets.supports import find_supports, read_support
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.media.images import read_image
from vossegcli.io.media.queries import find_queries
from vossegcli.io.media.video import VideoWriter

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.sh"))


def readme_commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("vosseg ")]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_tracker: Path) -> Path:
    """A folder with everything that the README's commands name, tiny."""
    monkeypatch.chdir(tmp_path)
    names = draw_video(tmp_path / "frames", 3)
    draw_mask(tmp_path / "first.png")
    draw_mask(tmp_path / "m.png")
    for index in (0, 2):
        draw_mask(tmp_path / "masks" / f"{names[index]}.png", index=index)
    with VideoWriter(tmp_path / "clip.mp4", 10.0, squares(0, (1,)).shape) as video:
        for _ in range(41):  # the README's `--at 120` becomes a frame of this clip below
            for name in names:
                video.write(read_image(tmp_path / "frames" / f"{name}.jpg"))
    _draw_data_set(tmp_path)
    for folder in ("pred", "gt", "classes/cat", "classes-gt/cat"):
        for index, name in enumerate(names):
            draw_mask(tmp_path / folder / f"{name}.png", index=index)
    _write_results(tmp_path)
    draw_video(tmp_path / "photos", 2)
    for number in range(2):
        write_frame(tmp_path / "annotated" / "cat" / f"{number}.jpg", squares(number, (1,)))
        draw_mask(tmp_path / "annotated" / "cat" / f"{number}.png", index=number)
    for name in ("masks", "truth"):
        draw_mask(tmp_path / "runs" / "episodes" / name / "cat" / "00000_0.png")
    for folder in ("slides", "videos/a", "clips/a"):
        draw_video(tmp_path / folder, 2)
    shutil.copy(tiny_tracker, tmp_path / "tracker.safetensors")
    for name in ("tissue", "nuclei"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / "examples" / name)
    example = tmp_path / "examples" / "bunny"
    draw_video(example / "frames", 2)
    draw_mask(example / "masks" / "00000.png")
    return tmp_path


def _draw_data_set(folder: Path) -> None:
    """A root in DAVIS layout, and masks that a run has made for it."""
    for sequence in ("bear", "dog"):
        draw_video(folder / "DAVIS" / "JPEGImages" / "480p" / sequence, 2)
        draw_mask(folder / "DAVIS" / "Annotations" / "480p" / sequence / "00000.png")
        draw_mask(folder / "DAVIS" / "Annotations" / "480p" / sequence / "00001.png", index=1)
        for index in (0, 1):
            draw_mask(folder / "runs" / "propagate" / "DAVIS" / "masks" / sequence / f"{index:05d}.png", index=index)


def _write_results(folder: Path) -> None:
    """Empty lists of results, and truths with one object each."""
    rle = {"size": [4, 4], "counts": "0`0"}
    for name, owner, owners in (("coco", "image_id", "images"), ("ytvis", "video_id", "videos")):
        annotation = {"id": 1, owner: 1, "category_id": 1, "segmentation": rle, "segmentations": [rle]}
        truth = {owners: [{"id": 1, "height": 4, "width": 4}], "annotations": [annotation], "categories": [{"id": 1}]}
        (folder / f"{name}.json").write_text(json.dumps(truth))
    files = sorted(path.name for path in (folder / "frames").iterdir())[:2]
    images = [{"id": k, "file_name": f"frames/{name}", "height": 48, "width": 64} for k, name in enumerate(files)]
    videos = [{"id": 1, "file_names": [f"a/{name}" for name in files], "length": 2, "height": 48, "width": 64}]
    rle = coco_mask.encode(np.ones((48, 64), np.uint8, order="F"))
    size = {"size": [48, 64], "counts": rle["counts"].decode()}
    one = {"id": 1, "image_id": 0, "video_id": 1, "category_id": 1, "segmentation": size, "segmentations": [size, None]}
    categories = [{"id": 1, "name": "nucleus"}]
    truths = {"val": {"images": images}, "clips": {"videos": videos}}
    for name, parts in truths.items():
        (folder / f"{name}.json").write_text(json.dumps({**parts, "annotations": [one], "categories": categories}))
    for name in ("results", "tracks", "runs/instance/val/instances", "runs/clips/tracks"):
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[]")


def run_of_readme(line: str, vosseg: Callable[..., Outcome]) -> Outcome:
    """Run a command; one that compares with a report gets one first."""
    if "--compare" in line:
        vosseg("evaluate", "vos", "pred", "gt", "-o", "report", "-q")
    return vosseg(*shlex.split(line)[1:])


@pytest.mark.parametrize("line", readme_commands())
def test_readme_commands_run(line: str, workplace: Path, vosseg: Callable[..., Outcome]) -> None:
    outcome = run_of_readme(line, vosseg)
    assert outcome.code == 0, outcome.stderr


def test_the_readme_has_commands_to_run() -> None:
    assert len(readme_commands()) >= 6


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_example_scripts_use_options_that_exist(script: Path, vosseg: Callable[..., Outcome]) -> None:
    text = script.read_text(encoding="utf-8")
    commands = re.findall(r"^(?:exec )?vosseg (\w+)(.*)$", text, flags=re.MULTILINE)
    assert commands
    for command, rest in commands:
        known = vosseg(command, "--help").stdout
        for option in re.findall(r"(?<=\s)--[a-z-]+", rest):
            assert option in known, f"{script.name}: {option}"
    for path in re.findall(r"examples/\S+\.toml", text):
        assert (ROOT / path).is_file()


def test_supports_of_the_example_can_be_used() -> None:
    folder = ROOT / "examples" / "tissue"
    assert {name: len(found) for name, found in find_supports(folder / "annotated").items()} == {
        "gland": 1,
        "stroma": 1,
    }
    gland, stroma = (read_support(found[0])[1] for found in find_supports(folder / "annotated").values())
    assert not (gland & stroma).any()
    assert 0.2 < gland.mean() < 0.8
    assert len(find_queries(str(folder / "tiles"))) == 3


def test_masks_of_the_example_are_labels_of_its_frames() -> None:
    folder = ROOT / "examples" / "bunny"
    for path in sorted((folder / "masks").glob("*.png")):
        frame = read_image(folder / "frames" / f"{path.stem}.jpg")
        label_map = read_label_map(path, size=frame.shape[:2])
        assert label_map.ids == (1,)
        assert 0.02 < float(np.mean(label_map.ids_map > 0)) < 0.5
