"""Videos with masks to train on, in every layout, with identities that hold over the frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import squares, write_frame
from vossegcli.errors import InputError
from vossegcli.io.datasets.video_folders import find_videos, read_videos
from vossegcli.runners.train.run import read_images

IDS = (1, 2)
RED, GREEN = (200, 10, 10), (10, 200, 10)
LAYOUTS = {
    "frames and masks": ("clip/frames", "clip/masks"),
    "DAVIS": ("JPEGImages/480p/clip", "Annotations/480p/clip"),
    "YouTube-VOS": ("JPEGImages/clip", "Annotations/clip"),
    "frames beside the output of a command": ("frames/clip", "masks/clip"),
    "Frames and MASKS": ("clip/Frames", "clip/MASKS"),
    "DAVIS in small letters": ("jpegimages/480P/clip", "annotations/480p/clip"),
}


def video(root: Path, frames: str, masks: str, masked: tuple[int, ...] = (0, 2)) -> None:
    """Four frames of squares that move, some with a mask."""
    (root / masks).mkdir(parents=True)
    for index in range(4):
        ids = squares(index, IDS)
        write_frame(root / frames / f"{index:05d}.jpg", ids)
        if index in masked:
            Image.fromarray(ids.astype(np.uint8)).save(root / masks / f"{index:05d}.png")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_with_a_mask_keep_the_identities_of_their_objects(layout: str, tmp_path: Path) -> None:
    video(tmp_path / "set", *LAYOUTS[layout])
    found = read_videos(find_videos(tmp_path / "set"))
    assert [image.path.stem for image in found.images] == ["00000", "00002"]
    assert {image.source for image in found.images} == {"clip"}
    for image, index in zip(found.images, (0, 2), strict=True):
        assert image.identities == IDS
        for identity, rle in zip(image.identities, image.segmentations, strict=True):
            assert np.array_equal(coco_mask.decode(rle) > 0, squares(index, IDS) == identity)
    assert found.notes == ("set: 2 objects in 2 frames of 1 video",)
    assert read_images([tmp_path / "set"], "propagate") == found


def test_a_video_itself_can_be_given(tmp_path: Path) -> None:
    video(tmp_path, *LAYOUTS["frames and masks"])
    assert [image.source for image in read_videos(find_videos(tmp_path / "clip")).images] == ["clip", "clip"]


def test_frames_beside_the_output_of_one_video(tmp_path: Path) -> None:
    video(tmp_path, "run/frames", "run/masks/clip")
    assert len(read_videos(find_videos(tmp_path / "run")).images) == 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_videos_are_found_at_any_depth_and_once(layout: str, tmp_path: Path) -> None:
    for above in ("lab/day 1", "lab/day 2"):
        video(tmp_path / "set" / above, *LAYOUTS[layout])
    (tmp_path / "set/lab/day 1/loop").symlink_to(tmp_path / "set")
    found = read_videos(find_videos(tmp_path / "set"))
    assert [image.source for image in found.images] == ["lab/day 1/clip"] * 2 + ["lab/day 2/clip"] * 2


def test_the_part_that_is_asked_for_is_read(tmp_path: Path) -> None:
    for part, name in (("train", "one"), ("valid", "two")):
        video(tmp_path / "set" / part, f"JPEGImages/{name}", f"Annotations/{name}")
    for subset, names in (("train", {"one"}), ("val", {"two"}), (None, {"train/one", "valid/two"})):
        assert {image.source for image in read_videos(find_videos(tmp_path / "set", subset)).images} == names


def test_the_lists_of_davis_say_which_videos_are_trained_on(tmp_path: Path) -> None:
    for name in ("bear", "camel", "dog"):
        video(tmp_path / "D", f"JPEGImages/480p/{name}", f"Annotations/480p/{name}")
    for year, part, names in (("2016", "train", "dog"), ("2017", "train", "bear\ndog"), ("2017", "val", "camel")):
        (tmp_path / "D/ImageSets" / year).mkdir(parents=True, exist_ok=True)
        (tmp_path / "D/ImageSets" / year / f"{part}.txt").write_text(names)
    for subset, names in (("train", {"bear", "dog"}), ("val", {"camel"}), (None, {"bear", "camel", "dog"})):
        assert {image.source for image in read_videos(find_videos(tmp_path / "D", subset)).images} == names
    notes = read_videos(find_videos(tmp_path / "D", "train")).notes
    assert notes[1] == "D: left out, as not in ImageSets/2017/train.txt: 1 video"
    (tmp_path / "D/ImageSets/2017/val.txt").write_text("other")
    with pytest.raises(InputError, match=r"val\.txt: lists no video that is there"):
        read_videos(find_videos(tmp_path / "D", "val"))


def test_objects_of_two_videos_are_no_class(tmp_path: Path) -> None:
    for name in ("a", "b"):
        video(tmp_path, f"{name}/frames", f"{name}/masks")
    found = read_videos(find_videos(tmp_path))
    assert {(image.source, image.categories) for image in found.images} == {("a", (1, 2)), ("b", (3, 4))}


def test_a_colour_is_one_object_in_all_masks(tmp_path: Path) -> None:
    video(tmp_path, *LAYOUTS["frames and masks"])
    for index, colours in ((0, (RED, GREEN)), (2, (RED,))):
        picture = np.zeros((*squares(index, IDS).shape, 3), np.uint8)
        for identity, colour in zip(IDS, colours, strict=False):
            picture[squares(index, IDS) == identity] = colour
        Image.fromarray(picture).save(tmp_path / "clip/masks" / f"{index:05d}.png")
    first, second = read_videos(find_videos(tmp_path)).images
    assert first.identities == (1, 2)  # green, red
    assert np.array_equal(coco_mask.decode(first.segmentations[1]) > 0, squares(0, IDS) == 1)
    assert second.identities == (2,)


def test_what_is_no_video_is_not_taken_for_one(tmp_path: Path) -> None:
    video(tmp_path / "stills", "images", "masks")
    assert not find_videos(tmp_path / "stills").videos
    assert not find_videos(tmp_path / "nothing").videos


def test_masks_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    video(tmp_path / "damaged", *LAYOUTS["frames and masks"])
    (tmp_path / "damaged/clip/masks/00002.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1 video with masks that cannot be used.*00002\.png"):
        read_videos(find_videos(tmp_path / "damaged"))
    video(tmp_path / "none", *LAYOUTS["frames and masks"], masked=())
    with pytest.raises(InputError, match="no frame has a mask"):
        read_videos(find_videos(tmp_path / "none"))
    video(tmp_path / "more", *LAYOUTS["frames and masks"])
    Image.fromarray(squares(0, IDS).astype(np.uint8)).save(tmp_path / "more/clip/masks/poster.png")
    assert "more/clip: left out: 1 mask of no frame" in read_videos(find_videos(tmp_path / "more")).notes
