"""What a later run learns of an item from the files of an earlier one."""

import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from vossegcli.errors import InputError
from vossegcli.io.records.run_records import ItemState, append_jsonl, fingerprint, read_jsonl
from vossegcli.io.weights.checkpoints import write_tensors


def test_a_finished_item(tmp_path: Path) -> None:
    state = ItemState(tmp_path, "deep/a")
    assert state.plan("k", "cpu") == ("run", None)
    (tmp_path / "a.png").write_bytes(b"1")
    state.mark_done("k", [tmp_path / "a.png"], "cuda")
    assert state.plan("k", "cuda") == ("skip", "already done")
    assert state.plan("k", "cpu") == ("skip", "already done on cuda")
    assert state.plan("other", "cpu") == ("run", "input or settings changed")
    (tmp_path / "a.png").unlink()
    assert state.plan("k", "cpu") == ("run", "a.png is missing")


def test_outputs_are_on_the_disk_before_their_item_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut may leave finished items with empty masks."""
    state = ItemState(tmp_path, "a")
    outputs = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in outputs:
        path.write_bytes(b"1")
    append_jsonl(state.rows, {"x": 1})
    synced = set()

    def fsync(descriptor: int) -> None:
        assert not state.marker.exists()
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    state.mark_done("k", outputs)
    assert synced == {path.stat().st_ino for path in (*outputs, state.rows)}


@pytest.mark.parametrize(("number", "done"), [(errno.EIO, False), (errno.EINVAL, True)])
def test_a_disk_that_fails_late_is_told_and_one_that_cannot_sync_is_not(
    number: int, done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "a.png").write_bytes(b"1")
    state = ItemState(tmp_path, "a")
    with nullcontext() if done else pytest.raises(InputError, match=r"a\.png: cannot be written"):
        state.mark_done("k", [tmp_path / "a.png"])
    assert state.is_done("k") == done


def test_an_interrupted_item_names_the_other_device(tmp_path: Path) -> None:
    state = ItemState(tmp_path, "a")
    write_tensors(state.snapshot, {"x": torch.zeros(1)}, {"key": "k", "device": "cuda"})
    assert state.plan("k", "cuda") == ("resume", "was interrupted")
    assert state.plan("k", "cpu") == ("resume", "was interrupted on cuda")


def test_a_fingerprint_of_a_set_is_the_same_in_every_process() -> None:
    """The order of a set of texts is drawn anew by each: shards of one evaluation would never find each other."""
    names = [f"image-{k}" for k in range(20)]
    assert fingerprint([], {"images": frozenset(names)}) == fingerprint([], {"images": sorted(names)})


@pytest.mark.parametrize("torn", ["", '{"b": 2', '{"b": 2}', '{"name": "\u00fc'])
def test_rows_after_a_torn_one_are_read(tmp_path: Path, torn: str) -> None:
    rows = tmp_path / "rows.jsonl"
    append_jsonl(rows, {"a": 1}, {"a": 2})
    with rows.open("a", encoding="utf-8") as file:
        file.write(torn)
    append_jsonl(rows, {"c": 3})
    append_jsonl(rows)
    assert list(read_jsonl(rows)) == [{"a": 1}, {"a": 2}, {"c": 3}]


def test_a_file_of_one_torn_row_begins_anew(tmp_path: Path) -> None:
    rows = tmp_path / "new" / "rows.jsonl"
    append_jsonl(rows, {"a": 1})
    rows.write_text('{"a"', encoding="utf-8")
    append_jsonl(rows, {"c": 3})
    assert list(read_jsonl(rows)) == [{"c": 3}]
