"""Label maps as one TIFF stack, written and read.

Covers: io.masks.label_stacks
"""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.datasets.mask_sources import convert_masks, needs_conversion
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.label_stacks import read_label_stack
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.results.label_stacks import write_label_stack


def _maps(*ids: int, count: int = 5) -> list[np.ndarray]:
    maps = []
    for number in range(count):
        ids_map = np.zeros((20, 30), np.uint16)
        for row, object_id in enumerate(ids):
            ids_map[4 * row : 4 * row + 3, number : number + 5] = object_id
        maps.append(ids_map)
    return maps


def test_a_stack_opens_as_times_of_ids_in_imagej(tmp_path: Path) -> None:
    maps = _maps(1, 255, 300, 65535)
    write_label_stack(tmp_path / "a.tif", iter(maps), len(maps), (20, 30))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert (file.is_imagej, file.series[0].axes, file.series[0].dtype) == (True, "TYX", np.uint16)
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["frames"] == 5
        np.testing.assert_array_equal(file.asarray(), maps)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float32", "float64"])
def test_label_stacks_of_any_type_are_masks(dtype: str, tmp_path: Path) -> None:
    maps = _maps(1, 3, 254)
    tifffile.imwrite(tmp_path / "a.tif", np.stack(maps).astype(dtype), photometric="minisblack")
    assert needs_conversion(tmp_path / "a.tif")
    names = [f"t{index}" for index in range(5)]
    written = convert_masks(tmp_path / "a.tif", tmp_path / "work", names)
    for name, wanted in zip(names, maps, strict=True):
        np.testing.assert_array_equal(read_label_map(written.folder / f"{name}.png").ids_map, wanted)
    assert any("5 masks were read from the pages of a.tif" in note for note in written.notes)


def test_what_255_means(tmp_path: Path) -> None:
    for name, ids, dtype, wanted in (
        ("void", (1, 255), "uint8", [0, 1]), ("id", (1, 255), "uint16", [0, 1, 255]),
        ("white", (255,), "uint8", [0, 1]),
        ("white16", (65535,), "uint16", [0, 1]), ("three", (3,), "uint8", [0, 3]),
    ):  # fmt: skip
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, np.stack(_maps(*ids)).astype(dtype), photometric="minisblack")
        first = next(ids_map for _, ids_map in read_label_stack(path).maps)
        assert np.unique(first).tolist() == wanted, name


def test_palette_animations_are_indices(tmp_path: Path) -> None:
    pages = [Image.fromarray(ids_map.astype(np.uint8)) for ids_map in _maps(1, 2)]
    for page in pages:
        page.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759)
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    for (_, found), wanted in zip(read_label_stack(tmp_path / "a.tif").maps, _maps(1, 2), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("colors", ["DAVIS", "own"])
def test_colours_mean_the_same_on_all_pages(tmp_path: Path, suffix: str, colors: str) -> None:
    """The first page is empty, and on the second one object alone: no page says by itself what a colour means."""
    table = (
        PALETTE[:4] if colors == "DAVIS" else np.array([[0, 0, 0], [9, 200, 7], [40, 40, 255], [255, 0, 9]], np.uint8)
    )
    ids = _maps(1, 2, 3)
    ids[0][:], ids[1][ids[1] != 3] = 0, 0
    pages = [Image.fromarray(table[ids_map]) for ids_map in ids]
    pages[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=pages[1:], lossless=True)
    stack = read_label_stack(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(np.stack([found for _, found in stack.maps]), np.stack(ids))
    assert any("colours read as" in note for note in stack.notes)


def test_a_palette_animation_keeps_its_indices(tmp_path: Path) -> None:
    pages = [Image.fromarray(ids_map.astype(np.uint8)) for ids_map in _maps(1, 2)]
    for page in pages:
        page.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:])
    for (_, found), wanted in zip(read_label_stack(tmp_path / "a.gif").maps, _maps(1, 2), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_what_is_no_label_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "half.tif", np.full((4, 20, 30), 0.5), photometric="minisblack")
    tifffile.imwrite(tmp_path / "below.tif", np.full((4, 20, 30), -1, np.int16), photometric="minisblack")
    photos = np.random.default_rng(0).integers(0, 255, (4, 20, 30, 3), np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", photos, photometric="rgb")
    reasons = {"half.tif": "no ids", "below.tif": "no ids", "rgb.tif": "colours"}
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason) as caught:
            list(read_label_stack(tmp_path / name).maps)
        assert caught.value.where == str(tmp_path / name)
    with pytest.raises(InputError, match="4 masks for 3 frames"):
        read_label_stack(tmp_path / "half.tif", ["a", "b", "c"])
