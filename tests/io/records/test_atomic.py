"""Files appear whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vossegcli.errors import InputError
from vossegcli.io.records.atomic import (
    atomic_folder,
    atomic_path,
    clean_temporaries,
    clean_tree,
    write_bytes_atomic,
    write_text_atomic,
)


def test_file_appears_at_the_end_with_missing_folders(tmp_path: Path) -> None:
    target = tmp_path / "a b" / "größe.png"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"x")
        assert temporary.parent == target.parent
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")
        assert not target.exists()
    assert target.read_bytes() == b"x"
    assert [path.name for path in target.parent.iterdir()] == ["größe.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    write_text_atomic(target, "old\n")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error
    assert target.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [target]


def test_text_is_utf8_and_bytes_are_kept(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "t", "é\n")
    write_bytes_atomic(tmp_path / "b", b"\r\n\0")
    assert (tmp_path / "t").read_bytes() == b"\xc3\xa9\n"
    assert (tmp_path / "b").read_bytes() == b"\r\n\0"


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 251 + ".png")
    write_bytes_atomic(target, b"x")
    assert target.exists()


def test_a_file_in_the_place_of_the_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_text_atomic(tmp_path / "out" / "a.txt", "x")
    assert caught.value.where == str(tmp_path / "out" / "a.txt")


def test_a_full_disk_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"), atomic_path(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a: cannot be written \(Input/output error\)"), atomic_path(tmp_path / "a"):
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(InputError, match=r"b: cannot be written"), atomic_path(tmp_path / "b") as temporary:
        temporary.unlink()
    assert not list(tmp_path.iterdir())


def test_an_error_of_another_file_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), atomic_path(tmp_path / "a"):
        (tmp_path / "absent").read_bytes()


def die_while_writing(manager: str, path: Path, write: str) -> None:
    """Kill a process of its own in the block of `atomic_path` or `atomic_folder`, after it has written something."""
    code = (
        "import os, pathlib, sys\n"
        f"from vossegcli.io.records.atomic import {manager}\n"
        f"with {manager}(pathlib.Path(sys.argv[1])) as temporary:\n"
        f"    {write}\n"
        "    os._exit(9)\n"
    )
    repository = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", code, str(path)], check=False, cwd=repository)


def test_left_overs_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    die_while_writing("atomic_path", tmp_path / "a.png", "temporary.write_bytes(b'half')")
    (left_over,) = tmp_path.iterdir()
    others = [tmp_path / ".hidden.png", tmp_path / ".vosseg-notes.png", tmp_path / "a.tmp"]
    for other in others:
        other.touch()
    with atomic_path(tmp_path / "b.png") as own:
        assert clean_temporaries(tmp_path) == 1
        assert own.exists()
    assert not left_over.exists()
    assert all(other.exists() for other in others)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "deep/a") as temporary:
        (temporary / "x").write_bytes(b"1")
        assert not (tmp_path / "deep/a").exists()
        assert clean_tree(tmp_path) == 0, "its process lives"
    with atomic_folder(tmp_path / "deep/a") as temporary:
        (temporary / "x").write_bytes(b"2")
    assert (tmp_path / "deep/a/x").read_bytes() == b"1"
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "deep/b") as temporary:
        raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a"]


def test_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    die_while_writing("atomic_folder", tmp_path / "deep/a", "(temporary / 'mask.png').write_bytes(b'half')")
    assert len(list((tmp_path / "deep").iterdir())) == 1
    assert clean_tree(tmp_path) == 1
    assert not list((tmp_path / "deep").iterdir())


def test_old_left_overs_of_another_machine_are_removed(tmp_path: Path) -> None:
    young, old = tmp_path / ".vosseg-00000000-1-0123abcd.png", tmp_path / ".vosseg-00000000-1-0123abce.png"
    young.touch()
    old.touch()
    os.utime(old, (0, 0))
    assert clean_temporaries(tmp_path) == 1
    assert young.exists()
    assert clean_temporaries(tmp_path / "absent") == 0
