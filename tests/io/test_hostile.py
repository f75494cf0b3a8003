"""Input that is odd, broken or meant to do harm, as it was met in the wild or found by `tests/fuzz`."""

import json
import os
import struct
import warnings
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.conftest import draw_video, files_below
from vossegcli.errors import CheckpointError, InputError, VossegError
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.plain_png import read_plain_png
from vossegcli.io.media.frames import FolderFrames
from vossegcli.io.media.images import limit_pixels, read_image
from vossegcli.io.media.sequences import find_sequences
from vossegcli.io.media.video import VideoFrames
from vossegcli.io.media.video_writer import VideoWriter
from vossegcli.io.records.run_records import read_jsonl
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.io.weights.published import read_published


@pytest.fixture
def few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with warnings.catch_warnings():
        limit_pixels(1000)
        yield


def _png(width: int, height: int, rows: bytes, kind: int = 0) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.usefixtures("few_pixels")
def test_more_pixels_than_are_allowed(tmp_path: Path) -> None:
    Image.new("RGB", (40, 25)).save(tmp_path / "fits.png")
    assert read_image(tmp_path / "fits.png").shape == (25, 40, 3)
    for name in ("large.png", "large.jpg", "large.tif"):
        Image.new("RGB", (41, 25)).save(tmp_path / name)
        with pytest.raises(
            InputError, match=r"too large, with more than 0\.001 million pixels\. Make it smaller, or raise --max"
        ):
            read_image(tmp_path / name)
    Image.new("L", (41, 25)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match="million pixels"):
        read_label_map(tmp_path / "mask.png")
    with VideoWriter(tmp_path / "v.mp4", 10.0, (40, 50)) as video:
        video.write(np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(InputError, match="million pixels"):
        len(VideoFrames(tmp_path / "v.mp4"))


def test_a_header_that_promises_less_than_the_file_holds(tmp_path: Path) -> None:
    """Ten bytes of picture, a hundred million of data: no more is inflated than the picture needs."""
    (tmp_path / "bomb.png").write_bytes(_png(5, 2, bytes(10**8)))
    assert read_plain_png(tmp_path / "bomb.png") is None


def test_a_picture_under_another_name(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "really.png")
    (tmp_path / "really.png").rename(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg")[0, 0].tolist() == [9, 8, 7]
    (tmp_path / "b.jpg").write_text("<!doctype html><title>404</title>")
    with pytest.raises(InputError, match=r"b\.jpg: is not an image that can be read"):
        read_image(tmp_path / "b.jpg")


def test_of_an_animation_the_first_picture_counts(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (5, 4), color) for color in ("red", "blue"))
    for name in ("a.png", "a.webp", "a.tif"):
        red.save(tmp_path / name, save_all=True, append_images=[blue], **({"lossless": True} if "webp" in name else {}))
        assert read_image(tmp_path / name)[0, 0].tolist() == [255, 0, 0]


def test_frames_that_change_their_size(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "0.png")
    Image.new("RGB", (6, 8)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1\.png: is 6x8, but the first frame of its folder is 8x6"):
        list(FolderFrames((tmp_path / "0.png", tmp_path / "1.png")).iterate())


def test_a_video_whose_title_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Kuehe"
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for packet in stream.encode(av.VideoFrame(32, 32, "yuv420p")):
            container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"Kuehe", b"K\xfche\x20"))
    assert len(VideoFrames(path)) == 1


def test_a_video_without_anything_to_decode(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10.0, (16, 16)) as video:
        video.write(np.zeros((16, 16, 3), np.uint8))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data.replace(b"avc1", b"zzz9"))
    with pytest.raises(InputError, match="holds no video stream that can be decoded"):
        len(VideoFrames(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    "name", ["with space", 'it\'s "quoted"', "two\nlines", "[x]*?", "-rf", "<script>", "\udcff\udcfe"]
)
def test_names_of_all_kinds(tmp_path: Path, name: str) -> None:
    try:
        draw_video(tmp_path / "root" / name, 2)
    except (OSError, UnicodeError):
        pytest.skip("the file system does not take this name")
    (sequence,) = find_sequences(tmp_path / "root")
    assert sequence.name == name
    assert [frame.name for frame in FolderFrames(sequence.frames).iterate()] == ["00000", "00001"]


def test_links_in_a_circle_and_links_to_the_outside(tmp_path: Path) -> None:
    draw_video(tmp_path / "elsewhere" / "clip", 2)
    before = files_below(tmp_path / "elsewhere")
    draw_video(tmp_path / "root" / "a", 2)
    (tmp_path / "root" / "circle").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "outside").symlink_to(tmp_path / "elsewhere")
    assert [sequence.name for sequence in find_sequences(tmp_path / "root")] == ["a", "outside/clip"]
    assert files_below(tmp_path / "elsewhere") == before


ONE = {"image_id": 1, "category_id": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": [{"file_name": "a.png"}]}, "entry 0 of 'images': the id None"),
        ({"images": [[1]]}, "entry 0 of 'images': is no object"),
        ({"images": [{"id": 1, "file_name": "a.png", "height": float("inf"), "width": 3}]}, "image 1: the size"),
        ({"annotations": [7]}, "entry 0 of 'annotations': is no object"),
        ({"annotations": [{"image_id": [1]}]}, "the image_id"),
        ({"annotations": [{"id": 5, "image_id": 1, "category_id": None}]}, "annotation 5: the category_id None"),
        ({"annotations": [{**ONE, "segmentation": {"size": [8, 9], "counts": "P"}}]}, "counts are cut off"),
        ({"annotations": [{**ONE, "segmentation": [[0, 0, 1, float("nan"), 2, 2]]}]}, "'annotations': a polygon"),
        ({"categories": [{"id": float("inf"), "name": "x"}]}, "the id inf is no whole number"),
    ],
)  # fmt: skip
def test_annotations_that_make_no_sense(tmp_path: Path, change: dict[str, object], said: str) -> None:
    good = {
        "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 9}],
        "annotations": [], "categories": [{"id": 1, "name": "a"}],
    }  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps({**good, **change}))
    with pytest.raises(InputError, match=said) as caught:
        read_coco_instances(tmp_path / "x.json")
    assert "x.json" in str(caught.value)


def test_rows_with_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xff"}\n{"a": 3}\n')
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == [{"a": 1}]


class _Evil:
    """What a malicious pickle does when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    torch.save({"model": _Evil(tmp_path / "owned")}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="it asks for"):
        read_published(tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_checkpoint(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "owned").exists()


def test_checkpoints_of_the_wrong_kind(tmp_path: Path) -> None:
    (tmp_path / "huge.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_checkpoint(str(tmp_path / "huge.safetensors"))
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="has no vosseg header"):
        read_checkpoint(str(tmp_path / "foreign.safetensors"))


def test_errors_keep_their_parts_between_processes() -> None:
    import pickle

    for kind in VossegError.__subclasses__():
        error = pickle.loads(pickle.dumps(kind("is bad", where="here", fix="fix it")))
        assert type(error) is kind
        assert (error.what, error.where, error.fix, str(error)) == (
            "is bad",
            "here",
            "fix it",
            "here: is bad. Fix it",
        )
