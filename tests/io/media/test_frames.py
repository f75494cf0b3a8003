"""Image files as frames: order, conversions, errors.

Covers: io.media.images, io.records.file_names
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.media.frames import FolderFrames, open_frames
from vossegcli.io.media.images import read_image, read_image_size
from vossegcli.io.records.file_names import natural_key
from vossegcli.types import FrameSequence


def _picture(height: int = 6, width: int = 9) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def _frames(folder: Path, names: list[str]) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        Image.new("RGB", (5, 4), (index, 0, 0)).save(folder / name)
    return tuple(folder / name for name in names)


def test_natural_order() -> None:
    names = ["10.jpg", "2.jpg", "b.jpg", "A.jpg", "a10b2.jpg", "a2b10.jpg", "1.jpg", "01.jpg"]
    wanted = ["01.jpg", "1.jpg", "2.jpg", "10.jpg", "A.jpg", "a2b10.jpg", "a10b2.jpg", "b.jpg"]
    assert sorted(names, key=natural_key) == sorted(wanted, key=natural_key)
    assert sorted(names, key=natural_key)[2:4] == ["2.jpg", "10.jpg"]
    assert natural_key("a2b10.jpg") < natural_key("a10b2.jpg")
    assert natural_key("²") > natural_key("9")  # a digit for Python, none for int()


def test_frames_keep_order_names_and_content(tmp_path: Path) -> None:
    files = _frames(tmp_path / "my clip ü", ["frame 2.png", "frame 10.png", "bild ä.v1.png"])
    frames = FolderFrames(files)
    assert frames.names == ("frame 2", "frame 10", "bild ä.v1")
    assert (len(frames), frames.size) == (3, (4, 5))
    assert [(frame.name, int(frame.image[0, 0, 0])) for frame in frames.iterate()] == [
        ("frame 2", 0),
        ("frame 10", 1),
        ("bild ä.v1", 2),
    ]
    assert [frame.name for frame in frames.iterate(1, 3, reverse=True)] == ["bild ä.v1", "frame 10"]
    assert [frame.name for frame in frames.iterate(2)] == ["bild ä.v1"]
    assert not list(frames.iterate(3))


def test_iterating_reads_one_file_at_a_time(tmp_path: Path) -> None:
    files = _frames(tmp_path, ["0.png", "1.png"])
    iterator = FolderFrames(files).iterate()
    next(iterator)
    files[1].unlink()
    with pytest.raises(InputError, match="1.png: does not exist"):
        next(iterator)


def test_two_files_with_one_stem_are_refused(tmp_path: Path) -> None:
    files = _frames(tmp_path, ["a.jpg", "a.png"])
    with pytest.raises(InputError, match="same name as a.jpg") as caught:
        FolderFrames(files)
    assert caught.value.where == str(files[1])


def test_a_sequence_without_frames_is_refused() -> None:
    with pytest.raises(InputError, match="holds no frames") as caught:
        open_frames(FrameSequence("a/b", (), None, "root", None))
    assert caught.value.where == "a/b"


def test_another_size_than_the_first_frame_is_refused(tmp_path: Path) -> None:
    files = _frames(tmp_path, ["0.png", "1.png"])
    Image.new("RGB", (4, 5)).save(files[1])
    with pytest.raises(InputError, match=r"1\.png: is 4x5, but the first frame of its folder is 5x4"):
        list(FolderFrames(files).iterate())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    _picture().save(tmp_path / "a.png", exif=exif)
    stored = np.array(_picture())
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }[orientation]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright)
    assert read_image_size(tmp_path / "a.png") == upright.shape[:2]


def test_exif_rotated_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (32, 16), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 16, 16))  # the left half is on top once turned clockwise
    image.save(tmp_path / "a.jpg", exif=exif)
    read = read_image(tmp_path / "a.jpg")
    assert read.shape == (32, 16, 3)
    assert read[:12].min() > 200
    assert read[20:].max() < 50


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    color = _picture()
    grey = np.array(color)[..., 0]
    tripled = np.repeat(grey[..., None], 3, axis=2)
    color.save(tmp_path / "rgb.bmp")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey > 127).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.bmp"), np.array(color))
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), tripled)
    np.testing.assert_array_equal(read_image(tmp_path / "bit.png")[..., 1], (grey > 127) * 255)


def test_palette_cmyk_and_transparency(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90] + [0] * 759)
    palette.save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    palette.save(tmp_path / "t.png", transparency=1)
    assert read_image(tmp_path / "t.png").tolist() == [[[10, 20, 30], [0, 0, 0], [70, 80, 90]]]
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=95)
    red = read_image(tmp_path / "c.jpg")[8, 8]
    assert red[0] > 240
    assert red[1:].max() < 15
    Image.fromarray(np.array([[[200, 100, 50, 255], [200, 100, 50, 0]]], dtype=np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[200, 100, 50], [0, 0, 0]]]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    _picture(64, 64).save(tmp_path / "whole.jpg")
    _picture(64, 64).save(tmp_path / "whole.png")
    for suffix in (".jpg", ".png"):
        whole = (tmp_path / f"whole{suffix}").read_bytes()
        (tmp_path / f"cut{suffix}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image", encoding="utf-8")
    (tmp_path / "folder.jpg").mkdir()
    reasons = {
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "empty.jpg": "empty",
        "text.jpg": "not an image",
        "folder.jpg": "folder",
        "absent.jpg": "does not exist",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason) as caught:
            read_image(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)
        assert caught.value.fix


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _picture().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match="too large"):
        read_image(tmp_path / "a.png")
