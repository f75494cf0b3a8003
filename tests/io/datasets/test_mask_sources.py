"""Archives, arrays and mask videos as folders of label maps.

Covers: io.masks.arrays, io.masks.mask_stacks, io.masks.mask_videos
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.io.datasets.drawn import HEIGHT, WIDTH, box, label_map, labelme, labelme_shape
from vossegcli.errors import InputError
from vossegcli.io.datasets.mask_sources import convert_masks, needs_conversion
from vossegcli.io.masks.label_maps import read_label_map, read_written_ids
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.media.video_writer import VideoWriter

FRAMES = ("a0", "a1", "a2")
MASKS = np.stack([box(1), box(2) & ~box(1)])


def maps(path: Path, tmp_path: Path, frames: Sequence[str] = FRAMES) -> dict[str, np.ndarray]:
    assert needs_conversion(path)
    folder = convert_masks(path, tmp_path / "work", frames).folder
    return {
        file.relative_to(folder).with_suffix("").as_posix(): read_written_ids(file)
        for file in sorted(folder.rglob("*.png"))
    }


def notes(path: Path, tmp_path: Path) -> str:
    return "; ".join(convert_masks(path, tmp_path / "work", FRAMES).notes)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64, np.uint16])
def test_ids_of_one_frame(tmp_path: Path, dtype: type) -> None:
    for array in (label_map(), label_map()[None], label_map()[..., None]):
        found = maps(saved(tmp_path / "m.npy", array.astype(dtype)), tmp_path)
        assert list(found) == ["mask"]
        assert np.array_equal(found["mask"], label_map())


def test_ids_of_several_frames(tmp_path: Path) -> None:
    stack = np.stack([label_map(shift) for shift in range(3)]).astype(np.int32) * 200
    found = maps(saved(tmp_path / "m.npy", stack), tmp_path)
    assert list(found) == list(FRAMES)
    assert np.array_equal(found["a2"], stack[2])


def test_masks_of_0_and_1(tmp_path: Path) -> None:
    """As many as there are frames: one a frame. Another number: objects of one frame."""
    found = maps(saved(tmp_path / "k.npy", MASKS), tmp_path)
    assert np.array_equal(found["mask"], np.where(MASKS[1], 2, MASKS[0]))
    assert "objects 1 to 2" in notes(tmp_path / "k.npy", tmp_path)
    found = maps(saved(tmp_path / "last.npy", np.moveaxis(MASKS, 0, 2)), tmp_path)
    assert np.array_equal(found["mask"], np.where(MASKS[1], 2, MASKS[0]))
    frames = np.stack([box(1), box(1, 2), box(1, 4)])
    assert np.array_equal(maps(saved(tmp_path / "t.npy", frames), tmp_path)["a1"], box(1, 2))
    four = np.stack([MASKS, MASKS, MASKS[::-1]])
    found = maps(saved(tmp_path / "tk.npy", four), tmp_path)
    assert np.array_equal(found["a2"], np.where(MASKS[0], 2, MASKS[1]))


def test_archives_of_arrays(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "one.npz", masks=label_map(), scores=np.ones(2))
    assert np.array_equal(maps(tmp_path / "one.npz", tmp_path)["mask"], label_map())
    np.savez(tmp_path / "named.npz", a0=label_map(), a2=label_map(3))
    found = maps(tmp_path / "named.npz", tmp_path)
    assert list(found) == ["a0", "a2"]
    assert np.array_equal(found["a2"], label_map(3))


def test_values_of_arrays(tmp_path: Path) -> None:
    assert np.array_equal(maps(saved(tmp_path / "w.npy", box(1) * np.uint8(255)), tmp_path)["mask"], box(1))
    soft = np.clip(box(1) * 0.9 + 0.05, 0, 1)
    assert np.array_equal(maps(saved(tmp_path / "p.npy", soft), tmp_path)["mask"], box(1))
    assert "cut at one half" in notes(tmp_path / "p.npy", tmp_path)
    for name, array in (
        ("minus", label_map().astype(int) - 1),
        ("nan", soft * np.nan),
        ("five", np.zeros((1, 2, 3, 4, 5))),
        ("colours", np.full((HEIGHT, WIDTH, 3), 200, np.uint8)),
    ):
        with pytest.raises(InputError, match=name):
            convert_masks(saved(tmp_path / f"{name}.npy", array), tmp_path / "work", FRAMES)
    with pytest.raises(InputError, match="4 masks for 3 frames"):
        convert_masks(saved(tmp_path / "m.npy", np.stack([label_map()] * 4)), tmp_path / "work", FRAMES)
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match="no NumPy file of numbers"):
        convert_masks(tmp_path / "o.npy", tmp_path / "work", FRAMES)


def test_a_folder_of_arrays_called_like_their_frames(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for shift, name in enumerate(FRAMES[:2]):
        np.save(tmp_path / "m" / f"{name}.npy", label_map(shift).astype(np.int64))
    found = maps(tmp_path / "m", tmp_path)
    assert list(found) == ["a0", "a1"]
    assert np.array_equal(found["a1"], label_map(1))


def film(path: Path, colors: np.ndarray, *shifts: int) -> Path:
    """A film of the two objects in the given colours, at four times their size."""
    with VideoWriter(path, 10.0, (4 * HEIGHT, 4 * WIDTH)) as writer:
        for shift in shifts:
            writer.write(np.kron(colors[label_map(shift)], np.ones((4, 4, 1), np.uint8)).astype(np.uint8))
    return path


def agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    large = np.kron(wanted, np.ones((4, 4), int))
    return float((found == large).mean())


def test_a_film_of_white_masks(tmp_path: Path) -> None:
    path = film(tmp_path / "m.mp4", np.array([[0] * 3, [255] * 3, [255] * 3], np.uint8), 0, 3, 6)
    found = maps(path, tmp_path)
    assert list(found) == list(FRAMES)
    assert agreement(found["a2"], label_map(6) > 0) > 0.98


@pytest.mark.parametrize("colors", [PALETTE[:3], np.array([[0, 0, 0], [20, 240, 40], [230, 20, 250]], np.uint8)])
def test_a_film_of_coloured_masks(tmp_path: Path, colors: np.ndarray) -> None:
    """The colours mean the same in all frames, also where one object is missing."""
    with VideoWriter(tmp_path / "m.mp4", 10.0, (4 * HEIGHT, 4 * WIDTH)) as writer:
        for ids_map in (label_map(), box(2) * 2, label_map(4)):
            writer.write(np.kron(colors[ids_map], np.ones((4, 4, 1), np.uint8)).astype(np.uint8))
    found = maps(tmp_path / "m.mp4", tmp_path)
    assert agreement(found["a0"], label_map()) > 0.98
    assert agreement(found["a1"], box(2) * 2) > 0.98
    assert agreement(found["a2"], label_map(4)) > 0.98


def test_a_film_of_pictures_with_a_flat_part_is_refused(tmp_path: Path) -> None:
    """A blank wall, as overlay videos show it beside other things, does not make a mask."""
    rng = np.random.default_rng(0)
    picture = rng.normal(120, 50, (12, 16, 3)).clip(0, 255).repeat(8, axis=0).repeat(8, axis=1)
    picture = (picture + rng.normal(0, 25, picture.shape)).clip(0, 255).astype(np.uint8)
    picture[:, :64] = 235
    with VideoWriter(tmp_path / "m.mp4", 10.0, (96, 128)) as writer:
        writer.write(picture)
    with pytest.raises(InputError, match="photograph"):
        maps(tmp_path / "m.mp4", tmp_path)


def test_a_film_of_pictures_is_refused(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:96, :128]
    picture = np.stack([rows * 2, columns, 255 - rows], axis=2) + np.random.default_rng(0).normal(0, 12, (96, 128, 3))
    with VideoWriter(tmp_path / "m.mp4", 10.0, (96, 128)) as writer:
        writer.write(picture.clip(0, 255).astype(np.uint8))
    with pytest.raises(InputError, match="photograph"):
        maps(tmp_path / "m.mp4", tmp_path)


def test_a_text_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("hello")
    with pytest.raises(InputError, match="neither a mask, an annotation file"):
        convert_masks(tmp_path / "m.txt", tmp_path / "work", FRAMES)


def test_a_conversion_is_made_once_and_kept_for_the_same_file(tmp_path: Path) -> None:
    path = labelme(tmp_path / "a0.json", labelme_shape("a", box(1)))
    first = convert_masks(path, tmp_path / "work", FRAMES)
    changed = (first.folder / "a0.png").stat().st_mtime_ns
    again = convert_masks(path, tmp_path / "work", FRAMES)
    assert (again, (again.folder / "a0.png").stat().st_mtime_ns) == (first, changed)
    payload = json.loads(path.read_text())
    payload["shapes"] = []
    path.write_text(json.dumps(payload))
    other = convert_masks(path, tmp_path / "work", FRAMES)
    assert other.folder != first.folder
    assert not read_label_map(other.folder / "a0.png", allow_empty=True).ids


def test_images_and_folders_of_masks_need_no_conversion(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "m" / "0.png")
    assert not needs_conversion(tmp_path / "m")
    assert not needs_conversion(tmp_path / "m" / "0.png")
    assert not needs_conversion(tmp_path / "absent.png")
