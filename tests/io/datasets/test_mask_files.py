"""Masks find their frames, for masks of any tool and any layout.

Covers: io.datasets.object_masks, io.media.frame_matches
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.io.datasets.drawn import box, coco, label_map, labelme, labelme_shape, rle
from vossegcli.errors import InputError
from vossegcli.io.datasets.mask_files import MaskFiles, find_mask_files
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.media.frame_matches import match_frames

FRAMES = ("00000", "00001", "00002")


def find(path: Path, tmp_path: Path, sequence: str = "clip", *, alone: bool = True) -> MaskFiles:
    return find_mask_files(path, sequence, FRAMES, tmp_path / "work", alone=alone)


def put(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8)).save(path)


def ids(found: MaskFiles, index: int) -> np.ndarray:
    return read_label_map(found.files[index], allow_empty=True).ids_map


def test_annotations_of_one_frame(tmp_path: Path) -> None:
    """A file that names its frame belongs there, one that does not may be of any."""
    named = labelme(tmp_path / "00001.json", labelme_shape("cat", box(1)))
    found = find(named, tmp_path)
    assert list(found.files) == [1]
    assert found.names == {1: "cat"}
    assert found.sources == (named,)
    other = find(labelme(tmp_path / "mine.json", labelme_shape("cat", box(1))), tmp_path)
    assert not other.files
    assert other.single is not None
    assert "called like no frame" in other.notes[-1]


def test_outlines_of_imagej_are_refused_as_such(tmp_path: Path) -> None:
    roi = b"Iout" + bytes(range(200))
    (tmp_path / "1.roi").write_bytes(roi)
    with zipfile.ZipFile(tmp_path / "RoiSet.zip", "w") as archive:
        archive.writestr("0001-0002.roi", roi)
    for name in ("1.roi", "RoiSet.zip"):
        with pytest.raises(InputError, match=f"{name}: holds ROIs of ImageJ.*label image"):
            find(tmp_path / name, tmp_path)


def test_annotations_of_several_sequences(tmp_path: Path) -> None:
    frames = {
        f"{name}/{k:05d}.jpg": [{"category_id": 1, "segmentation": rle(box(number, k))}]
        for name, number in (("bear", 1), ("dog", 2))
        for k in range(2)
    }
    path = coco(tmp_path / "x.json", frames, {1: "animal"})
    found = find(path, tmp_path, "dog", alone=False)
    assert np.array_equal(ids(found, 1), box(2, 1))
    with pytest.raises(InputError, match="masks of 2 sequences"):
        find(path, tmp_path, "cat")


@pytest.mark.parametrize("layout", ["frame/object", "object/frame", "flat"])
def test_a_mask_an_object(tmp_path: Path, layout: str) -> None:
    wide = box(2) | box(1)
    for number, name in enumerate(("left", "right")):
        for k, frame in enumerate(FRAMES[:2]):
            mask = (box(1, k), wide)[number]
            path = {"frame/object": f"{frame}/{name}", "object/frame": f"{name}/{frame}", "flat": f"{frame}_{name}"}[
                layout
            ]
            put(tmp_path / "m" / f"{path}.png", mask * 255)
    found = find(tmp_path / "m", tmp_path)
    assert list(found.files) == [0, 1]
    assert np.array_equal(ids(found, 1), np.where(wide, 2, box(1, 1)))
    assert found.names == {1: "left", 2: "right"}
    overlap = sum(int((box(1, k) & wide).sum()) for k in range(2))
    assert f"{overlap} pixels belong to several objects: the one with the greater id lies on top" in found.notes
    chosen = find_mask_files(tmp_path / "m", "clip", FRAMES, tmp_path / "work", alone=True, on_top=(1,))
    assert np.array_equal(ids(chosen, 1), np.where(box(1, 1), 1, 2 * wide))


def test_objects_that_are_called_by_numbers_keep_them(tmp_path: Path) -> None:
    for name, number in (("7", 1), ("3", 2)):
        put(tmp_path / "m" / name / "00000.png", box(number) * 255)
    assert set(np.unique(ids(find(tmp_path / "m", tmp_path), 0))) == {0, 3, 7}


def test_folders_of_masks_are_taken_as_they_are(tmp_path: Path) -> None:
    put(tmp_path / "m" / "00002.png", label_map())
    assert find(tmp_path / "m", tmp_path).files == {2: tmp_path / "m" / "00002.png"}
    put(tmp_path / "root" / "clip" / "00000.png", label_map())
    put(tmp_path / "root" / "other" / "00000.png", label_map())
    assert find(tmp_path / "root", tmp_path).files == {0: tmp_path / "root" / "clip" / "00000.png"}
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("place", ["clip/masks", "clip/Masks", "clip", "clip/frames"])
def test_frames_that_lie_below_their_video_find_its_masks(tmp_path: Path, place: str) -> None:
    for name in ("clip", "other"):
        put(tmp_path / "root" / place.replace("clip", name) / "00000.png", label_map())
    if place.lower() == "clip/masks":
        put(tmp_path / "root/clip/frames/00000.png", label_map())
    found = find_mask_files(tmp_path / "root", "clip/frames", FRAMES, tmp_path / "work", alone=False)
    assert found.files == {0: tmp_path / "root" / place / "00000.png"}


@pytest.mark.parametrize("root", ["masks", "Annotations", "annotations/480P"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_run_and_a_data_set_are_folders_of_their_masks(tmp_path: Path, root: str, *, alone: bool) -> None:
    put(tmp_path / "run" / root / "clip/00000.png", label_map())
    put(tmp_path / "run" / root / "other/00000.png", label_map())
    found = find(tmp_path / "run", tmp_path, alone=alone)
    assert found.files == {0: tmp_path / "run" / root / "clip/00000.png"}


def test_of_a_run_its_masks_count_not_what_is_made_of_them(tmp_path: Path) -> None:
    put(tmp_path / "run/masks/clip/00000.png", label_map())
    (tmp_path / "run/.vosseg").mkdir()
    labelme(tmp_path / "run/00000.json", labelme_shape("cat", box(1)))
    assert find(tmp_path / "run", tmp_path).files == {0: tmp_path / "run/masks/clip/00000.png"}


def test_a_zip_of_masks(tmp_path: Path) -> None:
    put(tmp_path / "00001.png", label_map())
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.write(tmp_path / "00001.png", "export/masks/00001.png")
    found = find(tmp_path / "m.zip", tmp_path)
    assert np.array_equal(ids(found, 1), label_map())


@pytest.mark.parametrize(
    ("stems", "frames", "wanted"),
    [
        (["00001"], FRAMES, [1]),
        (["00001.jpg", "00002.jpg"], FRAMES, [1, 2]),
        (["frame_000001", "frame_000002"], FRAMES, [1, 2]),
        (["frame_000000", "frame_000002"], ("img5", "img6", "img7"), [0, 2]),
        (["00001_mask", "00002_mask"], FRAMES, [1, 2]),
        (["00001_jpg.rf.0123456789abcdef0123456789abcdef"], FRAMES, [1]),
        (["mask_6"], ("img5", "img6", "img7"), [1]),
        (["a", "b"], FRAMES, []),
        (["x9", "x10"], FRAMES, []),
        (["00001", "extra"], FRAMES, [1]),
    ],
)
def test_masks_find_their_frames(stems: list[str], frames: tuple[str, ...], wanted: list[int]) -> None:
    found, _ = match_frames(stems, frames)
    assert list(found.values()) == wanted
