"""Images in tiles: read as they are needed, in order, and one that fails does not hold up the next."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import Tensor

from tests.conftest import Told
from vossegcli.batch.command import Done
from vossegcli.batch.image_batches import BATCH, ImageItem
from vossegcli.errors import DeviceError, InputError
from vossegcli.io.media.queries import Query
from vossegcli.io.media.reading import Reading
from vossegcli.runners.instance.slides import Row, Slide, SlideSession, SlideWork, Tiling
from vossegcli.runners.instance.tiles import Tile
from vossegcli.systems.base import Instances

EMPTY = Instances(
    torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4, 4), torch.zeros(0, 4)
)


@dataclass
class Seen:
    """A predictor that remembers what it was shown."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)

    def predict(self, images: Tensor) -> list[Instances]:
        assert images.dtype == torch.uint8
        if int(images.max()) == 255:
            raise DeviceError("out of memory")
        self.shapes.append(tuple(images.shape))
        self.sums += [float(image.float().sum()) / 255.0 for image in images]
        return [EMPTY] * images.shape[0]


def item(folder: Path, name: str, value: int) -> ImageItem:
    path = folder / f"{name}.tif"
    tifffile.imwrite(path, np.full((100, 150), value, np.uint8), tile=(32, 32), compression="zlib")
    return ImageItem(name=name, frames=1, key="", output=folder, query=Query(name, path, is_video=False))


@pytest.mark.parametrize(("device", "together"), [("cpu", 1), ("cuda", BATCH["cuda"])])
def test_tiles_of_several_images(tmp_path: Path, device: str, together: int) -> None:
    seen, told = Seen(), Told()
    items = [item(tmp_path, name, value) for name, value in (("a", 51), ("oom", 255), ("b", 102))]
    items.insert(1, ImageItem(name="no", frames=1, key="", output=tmp_path,
                              query=Query("no", tmp_path / "no.tif", is_video=False)))  # fmt: skip
    (tmp_path / "no.tif").write_bytes(b"II*\0damaged")
    written: dict[str, tuple[int, int]] = {}

    def write(one: ImageItem, slide: Slide, rows: list[Row]) -> Done:
        assert rows == []
        written[one.name] = slide.size
        return Done(1, ())

    def to_rows(_: ImageItem, found: Instances, tile: Tile, size: tuple[int, int]) -> list[Row]:
        assert tile.bottom <= size[0]
        assert not len(found.boxes)
        return []

    work = SlideWork(seen.predict, Tiling(64, 16), device, to_rows, write)
    with SlideSession(work, items, Reading(), told) as session:
        assert session.run(items[0]).frames == 1
        with pytest.raises(InputError, match="not an image|damaged"):
            session.run(items[1])
        with pytest.raises(DeviceError):
            session.run(items[2])
        assert session.run(items[3]).frames == 1
    assert written == {"a": (100, 150), "b": (100, 150)}
    assert told.frames == 2
    tiles = 2 * 3
    assert sum(shape[0] for shape in seen.shapes) == 2 * tiles
    assert {shape[1:] for shape in seen.shapes} == {(3, 64, 64)}
    assert max(shape[0] for shape in seen.shapes) == min(together, tiles)
    assert np.allclose(seen.sums, [3 * 64 * 64 * 0.2] * tiles + [3 * 64 * 64 * 0.4] * tiles, rtol=1e-5)


def test_a_small_image_is_one_tile(tmp_path: Path) -> None:
    seen = Seen()
    Image.fromarray(np.full((20, 30, 3), 9, np.uint8)).save(tmp_path / "a.png")
    small = ImageItem(name="a", frames=1, key="", output=tmp_path, query=Query("a", tmp_path / "a.png", is_video=False))
    work = SlideWork(seen.predict, Tiling(64, 16), "cpu", lambda *_: [], lambda *_: Done(1, ()))
    with SlideSession(work, [small], Reading(), Told()) as session:
        session.run(small)
    assert seen.shapes == [(1, 3, 20, 30)]
