"""Real files with bytes changed, cut out and put in: every reader gives a value or a typed error, quickly, never more.

The cases follow from their numbers, so that one that fails can be had again:
`pytest -m slow tests/fuzz -k "png and 1700"` runs the block of cases that begins there.
"""

import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from tests.conftest import squares, tiny_header, tiny_weights
from vossegcli.errors import VossegError
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.io.datasets.coco_results import read_instance_truth, read_results
from vossegcli.io.masks.label_maps import read_label_map, write_label_map
from vossegcli.io.masks.mask_trees import encoding_of, read_mask
from vossegcli.io.masks.plain_png import read_plain_png
from vossegcli.io.masks.png_stripes import write_grey_stripes
from vossegcli.io.media.images import limit_pixels, read_image, read_image_size
from vossegcli.io.media.video import VideoFrames
from vossegcli.io.media.video_writer import VideoWriter
from vossegcli.io.records.run_records import ItemState, read_jsonl, read_metadata
from vossegcli.io.weights.checkpoints import read_checkpoint, write_checkpoint
from vossegcli.io.weights.published import read_published

BLOCK = 100
Reader = Callable[[Path], object]


def _picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (24, 33, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def _coco() -> dict[str, object]:
    disc = np.asfortranarray(squares(0, (1,), 24, 33) > 0).astype(np.uint8)
    rle = coco_mask.encode(disc)
    segmentation = {"size": [24, 33], "counts": rle["counts"].decode()}
    common = {"image_id": 1, "category_id": 1, "iscrowd": 0, "area": 9.0, "bbox": [1, 2, 3, 4]}
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": 24, "width": 33}],
        "annotations": [
            {"id": 1, "segmentation": segmentation, **common},
            {"id": 2, "segmentation": [[1, 1, 9, 1, 9, 9.5]], **common},
        ],
        "categories": [{"id": 1, "name": "disc"}],
    }


def _write_all(folder: Path) -> None:
    """The corpus: one small real file of each kind."""
    picture = _picture()
    for name, options in {
        "a.jpg": {"quality": 80}, "a.png": {}, "a.bmp": {}, "a.webp": {}, "a.tif": {"compression": "tiff_lzw"},
    }.items():  # fmt: skip
        picture.save(folder / name, **options)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.quantize(7).save(folder / "animated.png", save_all=True, append_images=[picture.quantize(9)])
    Image.fromarray(np.arange(24 * 33, dtype=np.uint16).reshape(24, 33) * 80).save(folder / "deep.png")
    write_label_map(folder / "palette.png", squares(0, (1, 3), 24, 33).astype(np.uint8))
    write_grey_stripes(folder / "ids.png", (24, 33), [squares(0, (1, 700), 24, 33)])
    with VideoWriter(folder / "a.mp4", 10.0, (24, 33)) as video:
        for _ in range(4):
            video.write(np.asarray(picture))
    write_checkpoint(folder / "a.safetensors", tiny_weights(), tiny_header())
    torch.save({"epoch": 1, "model": {"a": torch.zeros(3)}}, folder / "a.pth")
    (folder / "coco.json").write_text(json.dumps(_coco()))
    result = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": _coco()["annotations"][0]["segmentation"]}  # type: ignore[index]
    (folder / "results.json").write_text(json.dumps([result, {**result, "bbox": [1, 2, 3, 4]}]))
    (folder / "marker.json").write_text(json.dumps({"key": "k", "outputs": ["masks/a.png"], "frames": 1}))
    (folder / "rows.jsonl").write_text('{"frame": 0, "object": 1}\n{"frame": 1, "object": 1}\n')


def _frames(path: Path) -> object:
    frames = VideoFrames(path)
    return len(frames), frames.size, [frame.name for frame in frames.iterate(reverse=True)]


def _score_mask(path: Path) -> object:
    return read_mask(path, encoding_of([path]))


def _results(path: Path) -> object:
    truth = path.with_name("truth.json")
    truth.write_text(json.dumps(_coco()))
    return read_results(path, "image_id", read_instance_truth(truth, "segm"), "segm")


def _marker(path: Path) -> object:
    state = ItemState(path.parent, "item")
    state.marker.parent.mkdir(parents=True, exist_ok=True)
    state.marker.write_bytes(path.read_bytes())
    return state.plan("k")


IMAGE: tuple[Reader, ...] = (read_image, read_image_size)
MASK: tuple[Reader, ...] = (read_image, read_label_map, read_plain_png, _score_mask)
#: File of the corpus, what reads it, and how many cases.
KINDS: dict[str, tuple[tuple[Reader, ...], int]] = {
    "a.jpg": (IMAGE, 2000),
    "cmyk.jpg": (IMAGE, 1000),
    "a.png": ((*IMAGE, read_label_map), 2000),
    "animated.png": ((read_image, read_label_map, read_plain_png), 1000),
    "deep.png": (MASK, 1500),
    "palette.png": (MASK, 3000),
    "ids.png": (MASK, 1500),
    "a.bmp": (IMAGE, 1000),
    "a.webp": (IMAGE, 1000),
    "a.tif": (IMAGE, 1500),
    "a.mp4": ((_frames,), 1000),
    "a.safetensors": ((lambda path: read_checkpoint(str(path)), read_metadata), 1500),
    "a.pth": ((read_published,), 1000),
    "coco.json": ((read_coco_instances, lambda path: read_instance_truth(path, "segm")), 2500),
    "results.json": ((_results,), 2500),
    "marker.json": ((_marker,), 500),
    "rows.jsonl": ((lambda path: list(read_jsonl(path)),), 500),
}
assert sum(count for _, count in KINDS.values()) >= 20_000

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Change a file in one to four places."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        # Headers are short and decide most: half of the changes hit the first bytes.
        place = rng.randrange(min(len(content), 96) if rng.random() < 0.5 else len(content)) if content else 0
        kind = rng.randrange(6)
        if kind == 0:
            content[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            content[place : place + rng.randint(1, 40)] = b""
        elif kind == 2:
            content[place:place] = rng.randbytes(rng.randint(1, 40))
        elif kind == 3:
            content[place : place + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(EXTREMES))
        elif kind == 4:
            content = content[:place]
        else:
            start = rng.randrange(len(content)) if content else 0
            content[place:place] = content[start : start + rng.randint(1, 60)]
    return bytes(content)


def _blocks() -> Iterator[tuple[str, int]]:
    for name, (_, count) in KINDS.items():
        for first in range(0, count, BLOCK):
            yield name, first


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    _write_all(folder)
    return folder


def test_the_corpus_itself_can_be_read(corpus: Path, tmp_path: Path) -> None:
    """By the first of its readers: not every picture is a mask."""
    for name, (readers, _) in KINDS.items():
        path = tmp_path / name
        path.write_bytes((corpus / name).read_bytes())
        readers[0](path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "first"), _blocks())
def test_damaged_files_end_in_typed_errors(corpus: Path, tmp_path: Path, name: str, first: int) -> None:
    limit_pixels(1 << 22)
    data = (corpus / name).read_bytes()
    readers, count = KINDS[name]
    path = tmp_path / name
    for number in range(first, min(first + BLOCK, count)):
        path.write_bytes(damaged(data, random.Random(f"{name} {number}")))
        for reader in readers:
            try:
                reader(path)
            except VossegError as error:
                assert str(error), number
            except Exception as error:
                error.add_note(f"case {number} of {name}")
                raise
