"""Zip archives: of masks, annotations, stacks and arrays, at any depth; and those that nobody should unpack."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.conftest import Outcome
from tests.io.datasets.drawn import box, label_map, labelme, labelme_shape
from vossegcli.errors import InputError
from vossegcli.io.datasets.archives import below_wrappers, is_archive, opened_archive, unpack
from vossegcli.io.datasets.mask_files import MaskFiles, find_mask_files
from vossegcli.io.datasets.supports import find_supports
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.media.video_writer import VideoWriter

TRAINING = Path(__file__).parents[3] / "examples" / "training"
FRAMES = ("00003", "00004", "00005")
STACK = np.stack([label_map(shift) for shift in range(3)]).astype(np.uint8)


def packed(path: Path, members: Mapping[str, Path | str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if isinstance(content, Path):
                archive.write(content, name)
            else:
                archive.writestr(name, content)
    return path


def found_in(path: Path, tmp_path: Path, sequence: str = "clip", *, alone: bool = True) -> MaskFiles:
    found = find_mask_files(path, sequence, FRAMES, tmp_path / "work", alone=alone)
    assert found.sources == (path,)
    return found


def ids(found: MaskFiles) -> dict[int, np.ndarray]:
    return {index: read_label_map(file, allow_empty=True).ids_map for index, file in found.files.items()}


def stack_file(path: Path, kind: str, stack: np.ndarray = STACK) -> Path:
    if kind == "npy":
        np.save(path, stack)
    elif kind == "npz":
        np.savez_compressed(path, masks=stack)
    elif kind == "tif":
        tifffile.imwrite(path, stack, photometric="minisblack")
    elif kind == "gif":
        pages = [Image.fromarray(page) for page in stack]
        for page in pages:
            page.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        pages[0].save(path, save_all=True, append_images=pages[1:])
    else:
        with VideoWriter(path, 10.0, (4 * stack.shape[1], 4 * stack.shape[2])) as writer:
            for page in stack:
                large = np.kron(page, np.ones((4, 4), np.uint8))
                writer.write(np.repeat((large > 0).astype(np.uint8)[..., None] * 255, 3, axis=2))
    return path


@pytest.mark.parametrize("kind", ["tif", "npy", "npz", "gif"])
@pytest.mark.parametrize("place", ["", "export/masks/"])
def test_the_only_stack_belongs_to_the_only_sequence(tmp_path: Path, kind: str, place: str) -> None:
    """Whatever the name of the stack, and with whatever else that is no mask beside it."""
    file = stack_file(tmp_path / f"labels.{kind}", kind)
    path = packed(tmp_path / "m.zip", {f"{place}labels.{kind}": file, f"{place}readme.txt": "made by a tool"})
    maps = ids(found_in(path, tmp_path))
    assert list(maps) == [0, 1, 2]
    assert np.array_equal(np.stack(list(maps.values())), STACK)


def test_a_mask_video_in_a_zip(tmp_path: Path) -> None:
    path = packed(tmp_path / "m.zip", {"m.mp4": stack_file(tmp_path / "m.mp4", "mp4")})
    assert list(found_in(path, tmp_path).files) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["tif", "npy", "npz"])
@pytest.mark.parametrize("place", ["", "export/labels/"])
def test_a_stack_a_sequence(tmp_path: Path, kind: str, place: str) -> None:
    members = {}
    for number, name in enumerate(("bear", "dog")):
        file = stack_file(tmp_path / f"{name}.{kind}", kind, STACK * np.uint8(number + 1))
        members[f"{place}{name}.{kind}"] = file
    path = packed(tmp_path / "m.zip", members)
    maps = ids(found_in(path, tmp_path, "dog", alone=False))
    assert np.array_equal(np.stack(list(maps.values())), STACK * 2)
    maps = ids(found_in(path, tmp_path, "bear"))
    assert np.array_equal(np.stack(list(maps.values())), STACK)
    with pytest.raises(InputError):
        found_in(path, tmp_path, "cat", alone=False)


def test_a_stack_is_never_read_as_its_first_page(tmp_path: Path) -> None:
    """Two stacks whose names could be numbers of frames."""
    members = {f"{k}.tif": stack_file(tmp_path / f"{k}.tif", "tif") for k in (3, 4)}
    found = found_in(packed(tmp_path / "m.zip", members), tmp_path)
    with pytest.raises(InputError, match="holds several pages"):
        ids(found)


def test_arrays_called_like_their_frames(tmp_path: Path) -> None:
    members = {}
    for shift, name in enumerate(FRAMES[1:]):
        np.save(tmp_path / f"{name}.npy", label_map(shift))
        members[f"masks/{name}.npy"] = tmp_path / f"{name}.npy"
    maps = ids(found_in(packed(tmp_path / "m.zip", members), tmp_path))
    assert list(maps) == [1, 2]
    assert np.array_equal(maps[2], label_map(1))


def test_masks_and_annotations(tmp_path: Path) -> None:
    for name in FRAMES[:2]:
        Image.fromarray(label_map().astype(np.uint8)).save(tmp_path / f"{name}.png")
    members: dict[str, Path | str] = {f"job/masks/{name}.png": tmp_path / f"{name}.png" for name in FRAMES[:2]}
    clutter = {"job/readme.txt": "x", "__MACOSX/job/._a.png": "x", "job/masks/.DS_Store": "x"}
    assert list(ids(found_in(packed(tmp_path / "m.zip", members | clutter), tmp_path))) == [0, 1]
    several = {f"export/{seq}/{name}.png": tmp_path / f"{name}.png" for seq in ("bear", "dog") for name in FRAMES[:2]}
    assert list(ids(found_in(packed(tmp_path / "s.zip", several), tmp_path, "dog", alone=False))) == [0, 1]
    file = labelme(tmp_path / "00004.json", labelme_shape("a", box(1)), labelme_shape("b", box(2)))
    maps = ids(found_in(packed(tmp_path / "l.zip", {"set/00004.json": file}), tmp_path))
    assert np.array_equal(maps[1], label_map())


def test_a_mask_an_object(tmp_path: Path) -> None:
    members = {}
    for number in (1, 2):
        Image.fromarray(box(number).astype(np.uint8) * np.uint8(255)).save(tmp_path / f"o{number}.png")
        members[f"export/00004/o{number}.png"] = tmp_path / f"o{number}.png"
    maps = ids(found_in(packed(tmp_path / "m.zip", members), tmp_path))
    assert list(maps) == [1]
    assert np.array_equal(maps[1], np.where(box(2), 2, box(1)))


def test_what_is_no_mask_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither masks nor annotations"):
        found_in(packed(tmp_path / "m.zip", {"readme.txt": "x"}), tmp_path)


def test_supports_and_training_data(tmp_path: Path, vosseg: Callable[..., Outcome]) -> None:
    members = {}
    for number in range(3):
        picture = np.where(label_map(number)[..., None] > 0, 220, 30) + np.zeros((1, 1, 3), int)
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{number}.jpg")
        Image.fromarray((label_map(number) > 0).astype(np.uint8)).save(tmp_path / f"{number}.png")
        members |= {f"set/{kind}/{number}.{s}": tmp_path / f"{number}.{s}" for kind, s in KINDS.items()}
    path = packed(tmp_path / "set.zip", members)
    assert len(find_supports(path).classes["1"]) == 3
    words = (
        "--data",
        path,
        "--config",
        TRAINING / "b2inst-microscopy.toml",
        "--init",
        "none",
        "--dry-run",
        "-o",
        tmp_path / "out",
    )
    outcome = vosseg("train", "b2inst", *words)
    assert outcome.code == 0, outcome.stderr


KINDS = {"images": "jpg", "masks": "png"}


def test_evaluation(tmp_path: Path, vosseg: Callable[..., Outcome]) -> None:
    names = ("00000", "00001", "00002")
    (tmp_path / "pred").mkdir()
    for name, page in zip(names, STACK, strict=True):
        Image.fromarray(page).save(tmp_path / "pred" / f"{name}.png")
    zips = {
        "masks.zip": {f"gt/{name}.png": tmp_path / "pred" / f"{name}.png" for name in names},
        "stack.zip": {"gt/film.tif": stack_file(tmp_path / "film.tif", "tif")},
        "array.zip": {"gt/film.npy": stack_file(tmp_path / "film.npy", "npy")},
    }
    for name, members in zips.items():
        truth = packed(tmp_path / name, members)
        outcome = vosseg("evaluate", "vos", tmp_path / "pred", truth, "--json", "--protocol", "all-frames")
        assert outcome.code == 0, outcome.stderr
        assert outcome.json()["J&F-Mean"] == 1.0, name


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png"])
def test_a_zip_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="holds the path"):
        unpack(packed(tmp_path / "z.zip", {name: "x"}), tmp_path / "inside" / "deep")
    assert not list(tmp_path.rglob("evil.png"))


def test_a_damaged_zip_is_told(tmp_path: Path) -> None:
    path = packed(tmp_path / "z.zip", {"a.png": "0123456789" * 500})
    data = bytearray(path.read_bytes())
    data[200] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(path, tmp_path / "inside")


def test_an_archive_of_arrays_alone_is_none(tmp_path: Path) -> None:
    assert not is_archive(stack_file(tmp_path / "m.npz", "npz"))
    assert opened_archive(tmp_path / "m.npz") == tmp_path / "m.npz"


def test_wrappers(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "clip").mkdir(parents=True)
    assert below_wrappers(tmp_path) == tmp_path / "a" / "b" / "clip"
    assert below_wrappers(tmp_path, {"clip"}) == tmp_path / "a" / "b"
