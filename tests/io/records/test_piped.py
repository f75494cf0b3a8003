"""Files that come through a pipe."""

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from vossegcli.errors import InputError
from vossegcli.io.records.piped import spooled
from vossegcli.io.records.run_records import fingerprint


def test_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"content")))
    path = spooled(Path("-"))
    assert path.read_bytes() == b"content"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="nothing came"):
        spooled(Path("-"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_of_a_shell(tmp_path: Path) -> None:
    found = []
    for number in range(2):
        pipe = tmp_path / f"pipe{number}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(b"same content",))
        writer.start()
        found.append(spooled(pipe))
        writer.join()
    assert [path.read_bytes() for path in found] == [b"same content"] * 2
    assert fingerprint([found[0]], {}) == fingerprint([found[1]], {})  # so that a run goes on


def test_other_paths_stay(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a.png", Path("absent")):
        assert spooled(path) is path
