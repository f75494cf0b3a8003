"""Annotated images to train on: folders of classes. COCO files are read all over the tests of training."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.conftest import draw_mask, squares, write_frame
from vossegcli.data.episodes import classes_of
from vossegcli.errors import InputError
from vossegcli.io.datasets.annotations import read_class_folders
from vossegcli.runners.train.run import read_images


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for n in range(3):
            write_frame(tmp_path / "set" / name / f"{n}.jpg", squares(n, (1,)))
            draw_mask(tmp_path / "set" / name / f"{n}.png", (1,), index=n)
    return tmp_path / "set"


def test_folders_of_classes(folders: Path) -> None:
    found = read_class_folders(folders)
    assert found.notes == ("set: 2 classes (cat, dog); each folder is a class",)
    images = found.images
    assert [(i.source, i.categories, i.dataset) for i in images[:4]] == [
        ("cat/0", (1,), "set"), ("cat/1", (1,), "set"), ("cat/2", (1,), "set"), ("dog/0", (2,), "set"),
    ]  # fmt: skip
    assert np.array_equal(coco_mask.decode(images[1].segmentations[0]) > 0, squares(1, (1,)) > 0)
    assert set(classes_of(read_images([folders], "fewshot").images)) == {("set", 1), ("set", 2)}


def test_a_broken_mask_is_named(folders: Path) -> None:
    (folders / "dog" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"dog/1\.png"):
        read_images([folders], "fewshot")
