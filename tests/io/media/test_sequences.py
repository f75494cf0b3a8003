"""Which sequences a path holds.

Covers: io.media.layouts
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import draw_mask, draw_video
from vossegcli.errors import InputError
from vossegcli.io.masks.mask_trees import find_label_maps, find_mask_sequences
from vossegcli.io.media.queries import find_queries
from vossegcli.io.media.sequences import find_sequences, input_name


def _images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (2, 2)).save(folder / name)


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def _found(path: Path) -> list[tuple[str, str]]:
    return [(sequence.name, sequence.layout) for sequence in find_sequences(path)]


def test_a_folder_of_frames_in_natural_order(tmp_path: Path) -> None:
    _images(tmp_path / "my clip", "10.jpg", "2.png", "é.BMP", "1.webp", "._1.jpg")
    _file(tmp_path / "my clip" / "Thumbs.db")
    _file(tmp_path / "my clip" / ".DS_Store")
    _file(tmp_path / "my clip" / "notes.txt")
    _images(tmp_path / "my clip" / "masks", "1.png")
    (sequence,) = find_sequences(tmp_path / "my clip")
    assert (sequence.name, sequence.layout, sequence.video, sequence.masks) == (
        "my clip",
        "folder",
        None,
        None,
    )
    assert [path.name for path in sequence.frames] == ["1.webp", "2.png", "10.jpg", "é.BMP"]


def test_dots_get_the_name_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _images(tmp_path / "clip" / "sub", "1.png")
    _images(tmp_path / "clip", "1.png")
    monkeypatch.chdir(tmp_path / "clip")
    assert _found(Path()) == [("clip", "folder")]
    assert _found(Path("sub/..")) == [("clip", "folder")]


def test_a_video_file(tmp_path: Path) -> None:
    video = _file(tmp_path / "My.Clip.MP4")
    (sequence,) = find_sequences(video)
    assert (sequence.name, sequence.frames, sequence.video, sequence.layout) == (
        "My.Clip",
        (),
        video,
        "video",
    )


def test_a_tree_of_folders_and_videos(tmp_path: Path) -> None:
    _images(tmp_path / "2024" / "run-10" / "cam1", "1.png")
    _images(tmp_path / "2024" / "run-2" / "cam1", "1.png")
    _images(tmp_path / "plain", "1.png")
    _images(tmp_path / "plain" / "deeper", "1.png")
    _images(tmp_path / ".hidden", "1.png")
    _images(tmp_path / "__MACOSX", "1.png")
    _images(tmp_path / "Masks", "1.png")
    _file(tmp_path / "clips" / "a.mov")
    _file(tmp_path / "plain" / "source.mp4")
    _file(tmp_path / "plain.mkv")
    _file(tmp_path / "notes" / "readme.txt")
    (tmp_path / "empty").mkdir()
    assert _found(tmp_path) == [
        ("2024/run-2/cam1", "root"),
        ("2024/run-10/cam1", "root"),
        ("clips/a", "root"),
        ("empty", "root"),
        ("plain", "root"),
        ("plain.mkv", "root"),
        ("plain/deeper", "root"),
    ]
    by_name = {sequence.name: sequence for sequence in find_sequences(tmp_path)}
    assert by_name["empty"].frames == ()
    assert by_name["plain.mkv"].video == tmp_path / "plain.mkv"


def test_a_folder_of_videos(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.avi", "a.mp4"):
        _file(tmp_path / name)
    assert _found(tmp_path) == [("a.avi", "root"), ("a.mp4", "root"), ("b", "root")]


def test_a_link_to_itself_among_frames_is_left_out(tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 2)
    mask = draw_mask(tmp_path / "clip" / "m.png")
    (tmp_path / "clip" / "self").symlink_to(tmp_path / "clip" / "self")
    for path in (tmp_path / "clip", tmp_path / "clip" / "*"):
        assert len(find_sequences(path, without=[mask])[0].frames) == 2


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _images(root / "real", "1.png")
    _images(tmp_path / "elsewhere", "1.png")
    (root / "a-link").symlink_to(root / "real")
    (root / "real" / "loop").symlink_to(root)
    (root / "outside").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    assert _found(root) == [("outside", "root"), ("real", "root")]


@pytest.mark.parametrize("resolution", ["480p", "Full-Resolution"])
def test_davis(tmp_path: Path, resolution: str) -> None:
    for name in ("bear", "dogs-jump"):
        _images(tmp_path / "JPEGImages" / resolution / name, "00000.jpg", "00001.jpg")
        _file(tmp_path / "ImageSets" / "2017" / "val.txt")
    _images(tmp_path / "Annotations" / resolution / "bear", "00000.png")
    first, second = find_sequences(tmp_path)
    assert (first.name, first.layout, len(first.frames)) == ("bear", "davis", 2)
    assert first.masks == tmp_path / "Annotations" / resolution / "bear"
    assert (second.name, second.masks) == ("dogs-jump", None)


def test_davis_prefers_480p(tmp_path: Path) -> None:
    _images(tmp_path / "JPEGImages" / "Full-Resolution" / "bear", "00000.jpg")
    _images(tmp_path / "JPEGImages" / "480p" / "bear", "00000.jpg")
    (sequence,) = find_sequences(tmp_path)
    assert sequence.frames[0].parent.parent.name == "480p"


@pytest.mark.parametrize(("marker", "layout"), [("meta.json", "youtube-vos"), ("val.txt", "long-video")])
def test_youtube_vos_and_long_video(tmp_path: Path, marker: str, layout: str) -> None:
    _file(tmp_path / marker)
    _images(tmp_path / "JPEGImages" / "rat", "0.jpg")
    (tmp_path / "JPEGImages" / "void").mkdir()
    _images(tmp_path / "Annotations" / "rat", "0.png")
    first, second = find_sequences(tmp_path)
    assert (first.name, first.layout, first.masks) == ("rat", layout, tmp_path / "Annotations" / "rat")
    assert (second.name, second.frames) == ("void", ())


def test_data_sets_deeper_in_a_tree(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        _file(tmp_path / split / "meta.json")
        _images(tmp_path / split / "JPEGImages" / "v1", "0.jpg")
        _images(tmp_path / split / "Annotations" / "v1", "0.png")
    assert _found(tmp_path) == [("train/v1", "youtube-vos"), ("valid/v1", "youtube-vos")]


def test_nothing_to_segment_is_an_input_error(tmp_path: Path) -> None:
    _images(tmp_path / "one", "1.png")
    (tmp_path / "empty").mkdir()
    _file(tmp_path / "text" / "a.txt")
    _images(tmp_path / "only" / "masks", "1.png")
    reasons = {
        "absent": "does not exist",
        "one/1.png": "is a single image",
        "text/a.txt": "neither a folder nor a video",
        "empty": "holds no frames",
        "text": "holds no frames",
        "only": "holds no frames",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason) as caught:
            find_sequences(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)
        assert caught.value.fix


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission_is_an_input_error(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    with pytest.raises(InputError, match="cannot be listed"):
        find_sequences(tmp_path)


def test_what_lies_beside_frames_is_told(tmp_path: Path) -> None:
    _images(tmp_path / "clip", "1.png", "2.png")
    for name in ("readme.txt", "times.csv", "a.json", "b.json"):
        _file(tmp_path / "clip" / name)
    _images(tmp_path / "clip" / "other", "1.png")
    _images(tmp_path / "clip" / "masks", "1.png")
    found = ("left out: 4 files (a.json, b.json, readme.txt, ...) that cannot be segmented",)
    (sequence,) = find_sequences(tmp_path / "clip")
    assert sequence.notes == (*found, "left out: 1 subfolder (other) beside the frames")
    _file(tmp_path / "notes.md")
    whole = find_sequences(tmp_path)
    assert whole.notes == ("left out: 1 file (notes.md) that cannot be segmented",)
    assert [sequence.notes for sequence in whole] == [found, ()]


def test_pictures_beside_videos_are_refused(tmp_path: Path) -> None:
    _images(tmp_path / "a", "poster.jpg")
    for name in ("1.mp4", "2.mov"):
        _file(tmp_path / "a" / name)
    with pytest.raises(InputError, match=r"2 videos or image stacks \(1.mp4, 2.mov\) beside 1 picture \(poster.jpg\)"):
        find_sequences(tmp_path / "a")
    _images(tmp_path / "b", "1.png")
    bad, good = find_sequences(tmp_path)
    assert (bad.name, bad.frames, good.problem) == ("a", (), None)
    assert "beside 1 picture" in str(bad.problem)
    assert [s.name for s in find_sequences(tmp_path / "a" / "*.mp4")] == ["1"]


def test_a_mask_among_the_frames_is_no_frame(tmp_path: Path) -> None:
    _images(tmp_path / "clip", "1.png", "2.png", "3.png", "2_mask.png")
    mask = tmp_path / "clip" / "2_mask.png"
    (sequence,) = find_sequences(tmp_path / "clip", without=[mask, None])
    assert [path.name for path in sequence.frames] == ["1.png", "2.png", "3.png"]
    assert sequence.notes == ("2_mask.png is given as a mask: it is not taken for a frame",)
    (sequence,) = find_sequences(tmp_path / "clip" / "*.png", without=[mask])
    assert len(sequence.frames) == 3
    _file(tmp_path / "film" / "a.mp4")
    _images(tmp_path / "film", "mask.png")
    assert [s.name for s in find_sequences(tmp_path / "film", without=[tmp_path / "film" / "mask.png"])] == ["a"]
    (tmp_path / "link.png").symlink_to(mask)
    assert len(find_sequences(tmp_path / "clip", without=[tmp_path / "link.png"])[0].frames) == 3


def test_other_masks_among_the_frames_are_no_frames(tmp_path: Path) -> None:
    """Masks of other frames that are called as the given one is; a frame called like none of them stays."""
    for name in ("a0.jpg", "a0_mask.png", "a1.jpg", "a2.jpg", "a2_mask.png", "b_mask.png"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    (found,) = find_sequences(tmp_path, without=[tmp_path / "a0_mask.png"])
    assert [path.name for path in found.frames] == ["a0.jpg", "a1.jpg", "a2.jpg", "b_mask.png"]
    assert "left out: 1 file (a2_mask.png) called like the mask a0_mask.png" in found.notes
    (found,) = find_sequences(tmp_path, without=[tmp_path / "a1.jpg"])
    assert len(found.frames) == 5


def test_patterns(tmp_path: Path) -> None:
    _images(tmp_path / "clip", *[f"img_{index:05d}.png" for index in (1, 2, 10)], "img_a.png", "other_00001.png")
    _images(tmp_path / "x" / "cam1", "1.png", "2.png")
    _images(tmp_path / "y" / "cam1", "1.png", "1.jpg.txt.png")
    _file(tmp_path / "films" / "b.mp4")
    _file(tmp_path / "films" / "a.mov")
    names = {
        "clip/img_%05d.png": [("clip", 3)], "clip/img_%d.png": [("clip", 3)], "clip/img_*.png": [("clip", 4)],
        "clip/*_0000[12].png": [("clip", 3)], "*/cam1/?.png": [("x/cam1", 2), ("y/cam1", 1)],
        "*/cam1": [("x/cam1", 2), ("y/cam1", 2)], "films/*": [("a", 0), ("b", 0)],
        "fil*": [("films/a", 0), ("films/b", 0)],
    }  # fmt: skip
    for pattern, wanted in names.items():
        found = find_sequences(tmp_path / pattern)
        assert [(sequence.name, len(sequence.frames)) for sequence in found] == wanted, pattern
    (sequence,) = find_sequences(tmp_path / "clip" / "img_%05d.png")
    assert [path.stem for path in sequence.frames] == ["img_00001", "img_00002", "img_00010"]
    with pytest.raises(InputError, match="matches nothing"):
        find_sequences(tmp_path / "clip" / "*.jpg")
    assert [input_name(tmp_path / p) for p in ("clip/*.png", "clip", "films/a.mov", "*/cam1")] == [
        "clip", "clip", "a", tmp_path.name,
    ]  # fmt: skip


def test_a_file_with_the_name_of_a_pattern_is_a_file(tmp_path: Path) -> None:
    _file(tmp_path / "take[1].mp4")
    assert _found(tmp_path / "take[1].mp4") == [("take[1]", "video")]


def test_signs_and_decimals_order_frames(tmp_path: Path) -> None:
    _images(tmp_path / "t", "t0.0.png", "t0.5.png", "t0.25.png")
    _images(tmp_path / "phase", *[f"phase_{index}.png" for index in (-3, -1, 0, 2)])
    for name, wanted in {
        "t": ["t0.0", "t0.25", "t0.5"],
        "phase": ["phase_-3", "phase_-1", "phase_0", "phase_2"],
    }.items():
        (sequence,) = find_sequences(tmp_path / name)
        assert [path.stem for path in sequence.frames] == wanted


def test_a_folder_that_cannot_be_listed_is_a_sequence_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_video(tmp_path / "root" / "a", 2)
    draw_video(tmp_path / "root" / "b", 2)
    refuse_to_list(monkeypatch, "b")
    good, bad = find_sequences(tmp_path / "root")
    assert (good.name, good.problem) == ("a", None)
    assert (bad.name, bad.problem) == ("b", "cannot be listed (Permission denied)")
    queries = find_queries(str(tmp_path / "root"))
    assert [query.name for query in queries] == ["a/00000", "a/00001"]
    assert queries.notes[0].startswith(f"left out: the folder {tmp_path / 'root' / 'b'}: cannot be listed")


def refuse_to_list(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The superuser, as whom tests may run, is refused nothing."""
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)


def test_linked_folders_are_searched_by_every_reader(tmp_path: Path) -> None:
    """Each once, and hidden ones by none; a link does not take the place of the real folder."""
    draw_mask(tmp_path / "elsewhere" / "x" / "0.png")
    root = tmp_path / "root"
    for name in ("z", ".hidden"):
        draw_mask(root / name / "0.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "a").symlink_to(root / "z")
    (root / "loop").symlink_to(root)
    expected = ["linked/x", "z"]
    assert list(find_label_maps(root)) == [f"{name}/0" for name in expected]
    assert list(find_mask_sequences(root)) == expected
    assert [sequence.name for sequence in find_sequences(root)] == expected
    assert [query.name for query in find_queries(str(root))] == [f"{name}/0" for name in expected]
