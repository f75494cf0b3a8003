"""What is read of `--data`, and what is told of the rest."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import draw_mask, squares, write_frame
from vossegcli.runners.train.reading import read_images

BUNNY = Path(__file__).parents[3] / "examples/bunny"


def draw_pair(folder: Path, name: str = "0") -> None:
    write_frame(folder / f"{name}.jpg", squares(0, (1,)))
    draw_mask(folder / f"{name}.png", (1,))


@pytest.mark.parametrize("beside", ["annotations", "videos"])
def test_images_with_masks_that_are_not_read_are_told(discs: Path, tmp_path: Path, beside: str) -> None:
    data = tmp_path / "data"
    if beside == "videos":
        for name in ("frames", "masks"):
            shutil.copytree(BUNNY / name, data / "clip" / name)
    else:
        shutil.copytree(discs.parent, data / "stills")
    before = read_images([data], "propagate")
    assert not [note for note in before.notes if "left out" in note]
    draw_pair(data / "cats")
    for folder in ("images", "masks"):
        (data / "dogs" / folder).mkdir(parents=True)
    found = read_images([data], "propagate")
    assert found.images == before.images
    assert found.notes == (
        *before.notes,
        "data: left out: 2 folders of images with masks, to be given by themselves with --data: cats, dogs",
    )
    assert len(read_images([data / "cats"], "propagate").images) == 1


def test_data_sets_of_one_name_stay_apart(discs: Path, tmp_path: Path) -> None:
    """Samples are balanced by data set, and classes of one number are not joined."""
    for name in ("a", "b", "c"):
        shutil.copytree(discs.parent, tmp_path / name)
    paths = [tmp_path / name / discs.name for name in ("a", "b", "c")]
    stem = discs.stem if discs.stem not in {"train", "val"} else None
    found = {image.path.parts[-2 if stem is None else len(tmp_path.parts)]: image.dataset for image in
             read_images(paths, "instance").images}  # fmt: skip
    assert len(set(found.values())) == 3, found
    below = read_images([tmp_path], "instance").images
    assert len({image.dataset for image in below}) == 3
    alone = {image.dataset for image in read_images(paths[:1], "instance").images}
    assert len(alone) == 1
    assert alone <= set(found.values()), "the first keeps its name"
