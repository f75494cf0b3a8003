"""Images in tiles: read as they are needed, in order, and one that fails does not hold up the next."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import Tensor

from vossegcli.batch.command import Done
from vossegcli.batch.image_batches import BATCH, ImageBatches, ImageItem, ImageSession
from vossegcli.errors import DeviceError, InputError
from vossegcli.io.media.queries import Query
from vossegcli.io.media.reading import Reading
from vossegcli.runners.instance.slides import Part, read_parts
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


def session(seen: Seen, items: list[ImageItem], device: str, parts: dict[str, list[Part]]) -> ImageSession[ImageItem]:
    """A session that keeps the parts of each item."""

    def do(one: ImageItem, pictures: Iterator[tuple[Part, Instances]]) -> Done:
        parts[one.name] = [part for part, found in pictures if found is EMPTY]
        return Done(1, ())

    read = partial(read_parts, reading=Reading(), side=64, overlap=16)
    return ImageSession(do, ImageBatches(seen.predict, read, [one.query for one in items], device))


@pytest.mark.parametrize(("device", "together"), [("cpu", 1), ("cuda", BATCH["cuda"])])
def test_tiles_of_several_images(tmp_path: Path, device: str, together: int) -> None:
    seen, parts = Seen(), dict[str, list[Part]]()
    items = [item(tmp_path, name, value) for name, value in (("a", 51), ("b", 102), ("oom", 255), ("c", 153))]
    items.insert(2, ImageItem(name="no", frames=1, key="", output=tmp_path,
                              query=Query("no", tmp_path / "no.tif", is_video=False)))  # fmt: skip
    (tmp_path / "no.tif").write_bytes(b"II*\0damaged")
    with closing(session(seen, items, device, parts)) as running:
        assert running.run(items[0]).frames == running.run(items[1]).frames == 1
        with pytest.raises(InputError, match="not an image|damaged"):
            running.run(items[2])
        with pytest.raises(DeviceError):
            running.run(items[3])
        assert running.run(items[4]).frames == 1
    tiles = 2 * 3
    assert {name: len(found) for name, found in parts.items()} == {"a": tiles, "b": tiles, "c": tiles}
    for part in parts["b"]:
        assert part.size == (100, 150)
        assert (part.tile.bottom - part.tile.top, part.tile.right - part.tile.left) == part.image.shape[:2] == (64, 64)
    assert sum(shape[0] for shape in seen.shapes) == 3 * tiles
    assert {shape[1:] for shape in seen.shapes} == {(3, 64, 64)}
    assert max(shape[0] for shape in seen.shapes) == together
    assert np.allclose(seen.sums, np.repeat([0.2, 0.4, 0.6], tiles) * 3 * 64 * 64, rtol=1e-5)


def test_what_is_left_of_an_image_that_failed_is_not_read(tmp_path: Path) -> None:
    seen = Seen()
    large = tmp_path / "large.tif"
    tifffile.imwrite(large, np.full((640, 640), 255, np.uint8), tile=(32, 32), compression="zlib")
    failing = ImageItem(name="x", frames=1, key="", output=tmp_path, query=Query("x", large, is_video=False))
    read: list[Part] = []

    def counted(query: Query) -> Iterator[Part]:
        for part in read_parts(query, Reading(), 64, 16):
            read.append(part)
            yield part

    batches = ImageBatches(seen.predict, counted, [failing.query], "cpu")
    failed = ImageSession(lambda _, pictures: Done(len(list(pictures)), ()), batches)
    with closing(failed) as running, pytest.raises(DeviceError):
        running.run(failing)
    assert len(read) < 20, "of 169 tiles"


@pytest.mark.parametrize("side", [64, None])
def test_a_small_image_is_one_tile(tmp_path: Path, side: int | None) -> None:
    Image.fromarray(np.full((20, 30, 3), 9, np.uint8)).save(tmp_path / "a.png")
    (part,) = read_parts(Query("a", tmp_path / "a.png", is_video=False), Reading(), side, 16)
    assert part.image.shape == part.whole.shape == (20, 30, 3)
    assert part.size == (20, 30)
