"""What a later run learns of an item from the files of an earlier one."""

from pathlib import Path

import torch

from vossegcli.io.records.run_records import ItemState, fingerprint
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


def test_an_interrupted_item_names_the_other_device(tmp_path: Path) -> None:
    state = ItemState(tmp_path, "a")
    write_tensors(state.snapshot, {"x": torch.zeros(1)}, {"key": "k", "device": "cuda"})
    assert state.plan("k", "cuda") == ("resume", "was interrupted")
    assert state.plan("k", "cpu") == ("resume", "was interrupted on cuda")


def test_a_fingerprint_of_a_set_is_the_same_in_every_process() -> None:
    """The order of a set of texts is drawn anew by each: shards of one evaluation would never find each other."""
    names = [f"image-{k}" for k in range(20)]
    assert fingerprint([], {"images": frozenset(names)}) == fingerprint([], {"images": sorted(names)})
