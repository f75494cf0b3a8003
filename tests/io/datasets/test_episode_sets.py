"""Data sets for episodes: what is recognised, which classes a fold has, and broken ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import squares, write_frame
from vossegcli.errors import ConfigError, InputError, VossegError
from vossegcli.io.datasets.episode_sets import find_episode_set, read_class_image


def write_ids(path: Path, ids_map: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids_map.astype(np.uint8)).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("bee", "ant"):
        for n in (1, 2, 10):
            write_frame(tmp_path / name / f"{n}.jpg", squares(0, (1,)))
            write_ids(tmp_path / name / f"{n}.png", 255 * (squares(0, (1,)) > 0))
    return tmp_path


@pytest.fixture
def pascal(tmp_path: Path) -> Path:
    """Three images; 1, 5 and 6 are aeroplane, bottle and bus, 255 is void."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    ids_map = np.zeros((20, 30), np.uint8)
    ids_map[:5], ids_map[5:10], ids_map[10], ids_map[11:15] = 1, 5, 255, 6
    for name in ("b", "a", "c"):
        write_frame(root / "JPEGImages" / f"{name}.jpg", np.zeros((20, 30), np.uint8))
        write_ids(root / "SegmentationClassAug" / f"{name}.png", np.where(name == "c", ids_map * 0 + 5, ids_map))
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("b\na\nc\n")
    return tmp_path


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Eight categories with gaps in their ids; every image shows all of them."""
    ids = (1, 2, 3, 5, 8, 9, 10, 11)
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 20, "width": 30} for n in (7, 30, 100)]
    annotations = [
        {"image_id": image["id"], "category_id": i, "iscrowd": 0, "segmentation": [[k, 0, k + 2, 0, k + 2, 9, k, 9]]}
        for image in images for k, i in enumerate(ids)
    ]  # fmt: skip
    categories = [{"id": i, "name": f"c{i}"} for i in ids]
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_val2014.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    for image in images:
        write_frame(tmp_path / "val2014" / str(image["file_name"]), np.zeros((20, 30), np.uint8))
    return tmp_path


def test_class_folders(folders: Path) -> None:
    found = find_episode_set(folders)
    assert {name: [i.name for i in images] for name, images in found.classes.items()} == {
        "ant": ["1", "2", "10"], "bee": ["1", "2", "10"],
    }  # fmt: skip
    assert found.queries == (("ant", 0), ("ant", 2), ("ant", 1), ("bee", 0), ("bee", 2), ("bee", 1)), "as text"
    image, mask, void = read_class_image(found.classes["bee"][0])
    assert image.shape == (48, 64, 3)
    assert np.array_equal(mask, squares(0, (1,)) > 0)
    assert not void.any()


def test_soft_edges_of_a_class_mask_are_cut_at_half(folders: Path) -> None:
    """Masks of FSS-1000 are grey at their edges."""
    ids_map = np.zeros((48, 64), np.uint8)
    ids_map[:, 20:40], ids_map[:, 19], ids_map[:, 40] = 255, 200, 60
    write_ids(folders / "bee" / "1.png", ids_map)
    _, mask, _ = read_class_image(find_episode_set(folders).classes["bee"][0])
    assert np.array_equal(mask, ids_map >= 128)


def test_a_list_of_classes(folders: Path) -> None:
    (folders / "test.txt").write_text("bee\n")
    assert list(find_episode_set(folders, listing=folders / "test.txt").classes) == ["bee"]
    (folders / "test.txt").write_text("bee\nwasp\n")
    with pytest.raises(InputError, match="lacks the class 'wasp'"):
        find_episode_set(folders, listing=folders / "test.txt")


def test_pascal_folds(pascal: Path) -> None:
    found = find_episode_set(pascal, fold=0)
    assert {name: [i.name for i in images] for name, images in found.classes.items()} == {
        "aeroplane": ["b", "a"], "bottle": ["b", "a", "c"],
    }  # fmt: skip
    assert found.queries == (("aeroplane", 0), ("bottle", 0), ("aeroplane", 1), ("bottle", 1), ("bottle", 2))
    _, mask, void = read_class_image(found.classes["bottle"][0])
    assert (int(mask.sum()), int(void.sum())) == (5 * 30, 30)
    assert list(find_episode_set(pascal, fold=1).classes) == ["bus"]
    assert list(find_episode_set(pascal).classes) == ["aeroplane", "bottle", "bus"]


def test_pascal_by_a_list(pascal: Path) -> None:
    (pascal / "fold0.txt").write_text("c__05\na__05\nb__06\n")
    found = find_episode_set(pascal, fold=0, listing=pascal / "fold0.txt")
    assert {name: [i.name for i in images] for name, images in found.classes.items()} == {"bottle": ["c", "a"]}
    (pascal / "fold0.txt").write_text("c 05\n")
    with pytest.raises(InputError, match="the line 'c 05'"):
        find_episode_set(pascal, fold=0, listing=pascal / "fold0.txt")


def test_coco_folds(coco: Path) -> None:
    assert list(find_episode_set(coco, fold=1).classes) == ["c2", "c9"], "every fourth, by the order of the ids"
    found = find_episode_set(coco, fold=1, split="contiguous")
    assert list(found.classes) == ["c3", "c5"]
    assert found.queries is None
    assert [i.name for i in found.classes["c3"]] == ["7", "30", "100"]
    _, mask, _ = read_class_image(found.classes["c5"][0])
    assert np.flatnonzero(mask.any(axis=0)).tolist() == [3, 4]
    assert len(find_episode_set(coco / "annotations" / "instances_val2014.json").classes) == 8


def test_coco_by_a_list(coco: Path) -> None:
    """Numbers count the categories from 1, and the order of the lines stays."""
    (coco / "list.txt").write_text("100__06\n7__06\n30__03\n")
    found = find_episode_set(coco, fold=1, listing=coco / "list.txt")
    assert {name: [i.name for i in images] for name, images in found.classes.items()} == {"c9": ["100", "7"]}


@pytest.mark.parametrize(
    ("kind", "more", "error", "message"),
    [
        ("folders", {"fold": 0}, ConfigError, "neither PASCAL VOC nor COCO"),
        ("coco", {"fold": 4}, ConfigError, "fold is 4"),
        ("pascal", {"fold": 2}, InputError, "no class has two images"),
        ("pascal", {"listing": Path("nothing.txt")}, InputError, "cannot be read"),
    ],
)
def test_what_cannot_be_used(
    kind: str, more: dict[str, object], error: type[VossegError], message: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(error, match=message):
        find_episode_set(request.getfixturevalue(kind), **more)  # type: ignore[arg-type]


def test_a_mask_of_another_size(pascal: Path) -> None:
    write_ids(pascal / "VOCdevkit/VOC2012/SegmentationClassAug/a.png", np.full((20, 31), 5))
    shown = find_episode_set(pascal, fold=0).classes["bottle"]
    with pytest.raises(InputError, match=r"a\.png: is 31x20, but its image is 30x20"):
        read_class_image(shown[1])
