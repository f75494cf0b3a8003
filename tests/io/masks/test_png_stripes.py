"""16-bit PNG files that are written some rows at a time."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import read_ids
from vossegcli.io.masks.png_stripes import write_grey_stripes


@pytest.mark.parametrize("cuts", [(), (1,), (5, 6, 30)])
def test_any_stripes_give_the_same_picture(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    ids = np.random.default_rng(0).integers(0, 65536, (41, 17)).astype(np.uint16)
    ids[10:20] = 300
    write_grey_stripes(tmp_path / "a.png", (41, 17), np.split(ids, cuts))
    assert np.array_equal(read_ids(tmp_path / "a.png"), ids)


def test_rows_that_are_missing_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 rows instead of 4"):
        write_grey_stripes(tmp_path / "a.png", (4, 2), [np.zeros((3, 2), np.uint16)])
    assert list(tmp_path.iterdir()) == []
