"""Cell Tracking Challenge output: labels, gaps, divisions, by hand."""

from pathlib import Path

import numpy as np
from PIL import Image

from vossegcli.io.results.ctc import write_ctc


def frames(*rows: list[int]) -> list[np.ndarray]:
    return [np.array([row], np.int32) for row in rows]


def test_labels_begin_end_and_parents(tmp_path: Path) -> None:
    """Track 7 is away in frame 2 and comes back as a label of its own; 9 comes from 4, which has ended."""
    maps = frames([0, 7, 4], [7, 7, 4], [0, 0, 4], [7, 0, 9])
    written = list(write_ctc(tmp_path, maps, len(maps), {9: 4}))
    assert [path.name for path in written] == [
        "mask000.tif", "mask001.tif", "mask002.tif", "mask003.tif", "res_track.txt",
    ]  # fmt: skip
    assert written[-1].read_text().splitlines() == ["1 0 2 0", "2 0 1 0", "3 3 3 2", "4 3 3 1"]
    with Image.open(written[3]) as image:
        assert image.mode == "I;16"
        assert image.info["compression"] == "tiff_lzw"
        assert np.asarray(image).tolist() == [[3, 0, 4]]


def test_numbers_of_frames_sort_as_text(tmp_path: Path) -> None:
    written = list(write_ctc(tmp_path, frames(*[[1, 0]] * 1001), 1001, {}))
    assert [written[0].name, written[1000].name] == ["mask0000.tif", "mask1000.tif"]
    assert written[-1].read_text() == "1 0 1000 0\n"


def test_nothing_found_is_an_empty_table(tmp_path: Path) -> None:
    *_, table = write_ctc(tmp_path, frames([0, 0]), 1, {})
    assert table.read_text() == ""
