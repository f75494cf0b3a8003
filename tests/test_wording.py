"""Numbers in messages agree with their words."""

import pytest

from vossegcli.wording import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 boxes are [x] empty"), (1, "1 box is [x] empty"), (2, "2 boxes are [x] empty")]
)
def test_words_agree_with_their_number(count: int, text: str) -> None:
    assert counted(count, "box[|es] [is|are] [x] empty") == text
