"""Lists of names: one per line, whatever editor wrote them."""

from pathlib import Path

import pytest

from vossegcli.errors import InputError
from vossegcli.io.records.name_lists import read_names


def test_each_name_comes_once_and_keeps_its_blanks(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfb 2\r\n\r\n  a\r\nb 2\r\n")
    assert read_names(path) == ["b 2", "a"]


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00"])
def test_what_is_no_list_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"list\.txt: .* one name per line"):
        read_names(path)
