"""Label maps of instances to train on: ids are objects, in every layout that people have.

Covers: io.datasets.mask_pairs, io.masks.cellpose
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import squares, write_frame
from vossegcli.errors import InputError
from vossegcli.io.datasets.instance_folders import read_instance_folders
from vossegcli.runners.train.run import read_images

IDS = (1, 2, 3, 4, 5)


def pair(folder: Path, image: str, mask: str, index: int = 0) -> None:
    """An image with five squares, and its label map."""
    ids = squares(index, IDS)
    write_frame(folder / image, ids)
    (folder / mask).parent.mkdir(parents=True, exist_ok=True)
    if mask.endswith(".npy"):
        np.save(folder / mask, {"masks": ids, "filename": image, "chan_choose": [0, 0], "diam": np.float64(3.5)})  # type: ignore[arg-type]
    elif mask.endswith(".tif"):
        tifffile.imwrite(folder / mask, ids)
    else:
        Image.fromarray(ids.astype(np.uint8)).save(folder / mask)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "class folder": lambda root: pair(root, "nucleus/0.jpg", "nucleus/0.png"),
    "two folders in a class": lambda root: pair(root, "nucleus/images/0.jpg", "nucleus/masks/0.png"),
    "capitals": lambda root: pair(root, "nucleus/Images/0.jpg", "nucleus/MASKS/0.png"),
    "Cellpose TIFF": lambda root: pair(root, "nucleus/0.tif", "nucleus/0_masks.tif"),
    "Cellpose PNG": lambda root: pair(root, "nucleus/0_img.png", "nucleus/0_masks.png"),
    "Cellpose as saved": lambda root: pair(root, "nucleus/0.png", "nucleus/0_cp_masks.png"),
    "Cellpose arrays": lambda root: pair(root, "nucleus/0.png", "nucleus/0_seg.npy"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_are_instances_of_the_folders_class(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](tmp_path / "set")
    for folder in (tmp_path / "set", tmp_path / "set" / "nucleus"):
        found = read_instance_folders(folder)
        (image,) = found.images
        assert image.names == ("nucleus",) * 5
        masks = [coco_mask.decode(rle) > 0 for rle in image.segmentations]
        assert all(np.array_equal(mask, squares(0, IDS) == number) for number, mask in zip(IDS, masks, strict=True))
        assert "5 objects of class nucleus in 1 image; each id of a mask is one object" in found.notes[0]


def test_for_few_shot_training_ids_of_two_folders_are_classes(tmp_path: Path) -> None:
    pair(tmp_path / "nuclei", "images/0.jpg", "masks/0.png")
    found = read_images([tmp_path / "nuclei"], "fewshot")
    assert [image.names for image in found.images] == [(str(number),) for number in IDS]
    assert found.notes == ("nuclei: 5 classes (1, 2, 3, 4, 5); each id of a mask is a class",)
    (image,) = read_images([tmp_path / "nuclei"], "track").images
    assert image.names == ("nuclei",) * 5


def test_parts_of_stardist(tmp_path: Path) -> None:
    pair(tmp_path / "dsb", "train/images/a.tif", "train/masks/a.tif")
    pair(tmp_path / "dsb", "test/images/b.tif", "test/masks/b.tif", index=1)
    for subset, name in (("train", "a.tif"), ("val", "b.tif")):
        (image,) = read_images([tmp_path / "dsb"], "instance", subset).images
        assert image.path.name == name and set(image.names) == {"dsb"}
    (image,) = read_images([tmp_path / "dsb" / "test"], "instance").images
    assert set(image.names) == {"dsb"}, "the same class as of the training part"


def test_one_mask_an_object(tmp_path: Path) -> None:
    ids = squares(0, IDS)
    write_frame(tmp_path / "bowl" / "0a1b" / "images" / "0a1b.png", ids)
    for number in IDS:
        path = tmp_path / "bowl" / "0a1b" / "masks" / f"{number}f.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray((ids == number).astype(np.uint8) * np.uint8(255)).save(path)
    (image,) = read_instance_folders(tmp_path / "bowl").images
    assert image.names == ("bowl",) * 5


def test_more_than_255_instances(tmp_path: Path) -> None:
    ids = np.kron(np.arange(1, 401, dtype=np.uint16).reshape(20, 20), np.ones((4, 4), np.uint16))
    ids[::4], ids[:, ::4] = 0, 0
    write_frame(tmp_path / "cells" / "images" / "0.png", ids)
    (tmp_path / "cells" / "masks").mkdir()
    for suffix in ("png", "tif"):
        shutil.rmtree(tmp_path / "cells" / "masks")
        (tmp_path / "cells" / "masks").mkdir()
        Image.fromarray(ids).save(tmp_path / "cells" / "masks" / f"0.{suffix}")
        (image,) = read_instance_folders(tmp_path / "cells").images
        assert len(image.segmentations) == 400
        assert all(int(coco_mask.area(rle)) == 9 for rle in image.segmentations)


def test_an_image_without_objects_is_kept(tmp_path: Path) -> None:
    pair(tmp_path / "set", "images/0.png", "masks/0.png")
    write_frame(tmp_path / "set" / "images" / "1.png", squares(0, ()))
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / "set" / "masks" / "1.png")
    assert [len(image.segmentations) for image in read_instance_folders(tmp_path / "set").images] == [5, 0]


def test_one_id_in_several_parts_is_noted(tmp_path: Path) -> None:
    ids = squares(0, IDS) > 0
    write_frame(tmp_path / "set" / "0.jpg", ids.astype(np.uint16))
    Image.fromarray(ids.astype(np.uint8) * np.uint8(255)).save(tmp_path / "set" / "0.png")
    found = read_instance_folders(tmp_path / "set")
    assert len(found.images[0].segmentations) == 1
    assert "1 mask has one id in several parts" in found.notes[1]


def test_every_mask_that_cannot_be_used_is_listed(tmp_path: Path) -> None:
    for number in range(3):
        pair(tmp_path / "set", f"{number}.jpg", f"{number}.png")
    for number in (0, 2):
        (tmp_path / "set" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"2 masks cannot be used: .*0\.png.*2\.png"):
        read_instance_folders(tmp_path / "set")


def spoilt(root: Path, case: str) -> Path:
    """A folder of pairs with one fault."""
    pair(root, "0.tif", "0_masks.tif")
    if case == "alone":
        write_frame(root / "1.tif", squares(0, IDS))
    elif case == "stack":
        tifffile.imwrite(root / "0.tif", np.zeros((5, 48, 64), np.uint8))
    elif case == "negative":
        tifffile.imwrite(root / "0_masks.tif", squares(0, IDS).astype(np.float32) - 1)
    else:
        (root / "0_masks.tif").unlink()
        np.save(root / "0_seg.npy", {"masks": Path("/")}, allow_pickle=True)  # type: ignore[arg-type]
    return root


@pytest.mark.parametrize(
    ("case", "what"),
    [
        ("alone", r"1\.tif: has no mask '1_masks'"), ("stack", r"0\.tif: holds several pages"),
        ("negative", "no ids"), ("pickle", "which is no plain array"),
    ],
)  # fmt: skip
def test_faults_are_named(case: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what):
        read_instance_folders(spoilt(tmp_path / "set", case))
