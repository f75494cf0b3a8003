"""Masks find their frames."""

import pytest

from vossegcli.io.media.frame_matches import match_frames

FRAMES = [str(number) for number in range(1, 13)]


@pytest.mark.parametrize(
    ("stems", "found"),
    [
        (["1", "5", "10"], {"1": 0, "5": 4, "10": 9}),
        (["01", "05", "10"], {"01": 0, "05": 4, "10": 9}),  # one of them is called like its frame by chance
        (["01.jpg", "05.jpg", "10.jpg"], {"01.jpg": 0, "05.jpg": 4, "10.jpg": 9}),
        (["10", "13"], {"10": 9}),  # no frame 13: what is called like a frame is taken
        (["10", "notes"], {"10": 9}),
        (["m01", "m10"], {"m01": 0, "m10": 9}),
    ],
)
def test_masks_are_matched_by_name_then_by_number(stems: list[str], found: dict[str, int]) -> None:
    assert match_frames(stems, FRAMES)[0] == found


def test_numbers_that_contradict_names_do_not_count() -> None:
    frames = ["a", "b", "c1", "d2"]
    assert match_frames(["a", "1"], frames)[0] == {"a": 0}
