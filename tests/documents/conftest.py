"""A folder with everything that the commands of the documents name, tiny."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import HEIGHT, WIDTH, Outcome, draw_mask, draw_video, squares, write_frame
from tests.documents.pages import ROOT
from vossegcli.io.media.images import read_image
from vossegcli.io.media.video_writer import VideoWriter
from vossegcli.runners.propagate import adaptation

FRAMES = 14  # `--at 12` is one of them
TINY = {"steps": 1, "batch": 2, "size": 64, "short_side": 64, "warmup": 1}
TINY_RUN = {"checkpoint_every": 1, "validate_every": 0}


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_tracker: Path, checkpoint: Path, few_shot_checkpoint: Path
) -> Path:
    """The files that a reader is told to have, and the repository's examples; the current folder."""
    monkeypatch.chdir(tmp_path)
    names = draw_video(tmp_path / "frames", FRAMES)
    for name in ("first", "m"):
        draw_mask(tmp_path / f"{name}.png")
    for index in (0, 2):
        draw_mask(tmp_path / "masks" / f"{names[index]}.png", index=index)
    pages = [Image.fromarray(read_image(tmp_path / "frames" / f"{name}.jpg")) for name in names[:3]]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with VideoWriter(tmp_path / "clip.mp4", 10.0, squares(0, (1,)).shape) as video:
        for name in names:
            video.write(read_image(tmp_path / "frames" / f"{name}.jpg"))
    _draw_roots(tmp_path)
    _draw_lvos(tmp_path)
    _draw_pictures(tmp_path)
    _draw_examples(tmp_path)
    _write_annotations(tmp_path)
    shutil.copy(tiny_tracker, tmp_path / "tracker.safetensors")
    shutil.copy(checkpoint, tmp_path / "afb-urr.safetensors")
    shutil.copy(few_shot_checkpoint, tmp_path / "fwb.safetensors")
    return tmp_path


def _draw_roots(folder: Path) -> None:
    """Sequences in folders, a root in DAVIS layout, masks that a run has made for it."""
    for sequence in ("video1", "videos/a", "videos/b", "clips/a"):
        draw_video(folder / sequence, 3)
    for sequence in ("a", "b"):
        draw_mask(folder / "masks" / sequence / "00000.png")
    for sequence in ("bear", "dog"):
        draw_video(folder / "DAVIS" / "JPEGImages" / "480p" / sequence, 2)
        for index in (0, 1):
            draw_mask(folder / "DAVIS" / "Annotations" / "480p" / sequence / f"{index:05d}.png", index=index)
            draw_mask(folder / "runs" / "propagate" / "DAVIS" / "masks" / sequence / f"{index:05d}.png", index=index)


def _draw_lvos(folder: Path) -> None:
    """One video of four frames with two objects, and masks of it."""
    names = [f"{1 + 5 * index:08d}" for index in range(4)]
    for place in (folder / "LVOS" / "valid" / "Annotations", folder / "runs" / "propagate" / "LVOS" / "masks"):
        for index, name in enumerate(names):
            draw_mask(place / "a" / f"{name}.png", index=index)
    seen = {"start": "1", "end": "16", "frame_nums": "4"}
    objects = {str(k): {"category": "dog", "frames": names, "frame_range": seen} for k in (1, 2)}
    (folder / "LVOS" / "valid" / "meta.json").write_text(json.dumps({"videos": {"a": {"objects": objects}}}))
    (folder / "LVOS" / "valid" / "unseen_videos.txt").write_text("a\n")


def _draw_pictures(folder: Path) -> None:
    for place in ("photos", "slides"):
        draw_video(folder / place, 2)
    for place in ("pred", "gt", "classes/cat", "classes-gt/cat"):
        for index in range(3):
            draw_mask(folder / place / f"{index:05d}.png", index=index)
    for number in range(4):
        for name in ("cat", "dog"):
            shift = number + (name == "dog")
            write_frame(folder / "annotated" / name / f"{number}.jpg", squares(shift, (1,)))
            draw_mask(folder / "annotated" / name / f"{number}.png", (1,), index=shift)


def _draw_examples(folder: Path) -> None:
    """The examples of the repository; the large clip is replaced by a small one of the same names."""
    for name in ("tissue", "nuclei", "boards"):
        shutil.copytree(ROOT / "examples" / name, folder / "examples" / name)
    draw_video(folder / "examples" / "bunny" / "frames", 3)
    for index in range(3):
        write_frame(folder / "examples" / "moving_nuclei" / "frames" / f"{index:02d}.jpg", squares(index, (1, 2)))
    for index in (0, 1):
        draw_mask(folder / "examples" / "bunny" / "masks" / f"{index:05d}.png", index=index)
    shutil.copytree(ROOT / "examples" / "bunny" / "annotated", folder / "examples" / "bunny" / "annotated")
    for path in (ROOT / "examples" / "training").glob("*.toml"):
        (folder / "examples" / "training").mkdir(exist_ok=True)
        (folder / "examples" / "training" / path.name).write_text(shortened(path.read_text(encoding="utf-8")))


def shortened(toml: str) -> str:
    """Settings of a training of one small step a stage; the rest stays as it is."""
    head, *stages = toml.split("[[stages]]")
    return "[[stages]]".join([_with(head, TINY_RUN), *(_with(stage, TINY) for stage in stages)])


def _with(text: str, values: dict[str, int]) -> str:
    kept = [line for line in text.splitlines() if line.split("=")[0].strip() not in values]
    return "\n".join([*kept[:1], *(f"{name} = {value}" for name, value in values.items()), *kept[1:]]) + "\n"


def _write_annotations(folder: Path) -> None:
    """COCO and YouTube-VIS files with one object a picture, and empty lists of results."""
    rle = coco_mask.encode(np.asfortranarray((squares(0, (1,)) > 0).astype(np.uint8)))
    segmentation = {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}
    size = {"height": HEIGHT, "width": WIDTH}
    images = [{"id": k, "file_name": f"photos/{k:05d}.jpg", "source": f"s{k}", **size} for k in range(2)]
    objects = [{"id": k + 1, "image_id": k, "category_id": 1, "segmentation": segmentation} for k in range(2)]
    video = {"id": 1, "file_names": [f"a/{k:05d}.jpg" for k in range(3)], "length": 3, **size}
    followed = {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [segmentation, None, None]}
    categories = [{"id": 1, "name": "nucleus"}, {"id": 2, "name": "cell"}]  # those of `tracker.safetensors`
    coco = {"images": images, "annotations": objects, "categories": categories}
    vis = {"videos": [video], "annotations": [followed], "categories": categories}
    for name, value in {"coco": coco, "val": coco, "clips": vis, "ytvis": vis, "results": [], "tracks": []}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))


@pytest.fixture
def run_line(vosseg: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Outcome]:
    """Run a command as a shell would, quickly: one step of adaptation, tiny networks but on the examples."""
    monkeypatch.setattr(adaptation, "SIZE", 64)

    def run(line: str) -> Outcome:
        if "examples/" not in line and "--checkpoint" not in line:
            tiny = {"track": "tracker.safetensors", "fewshot": "fwb.safetensors"}.get(line.split()[1])
            line += "" if tiny is None else f" --checkpoint {tiny}"
        return vosseg(*shlex.split(line.replace("--adapt 100", "--adapt 1"))[1:])

    return run


def options_of(line: str) -> list[str]:
    """The options that a command line names."""
    return re.findall(r"(?<=\s)--?[a-z][a-z-]*", line)
