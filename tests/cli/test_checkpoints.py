"""`vosseg checkpoints`: what is listed, what is verified, and what is refused by name.

Covers: io.weights.checkpoints, io.weights.published, models.chosen_model, runners.checkpoints.run
"""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import Clip, Outcome, tiny_header, tiny_weights
from vossegcli.io.weights import checkpoints as files
from vossegcli.io.weights.checkpoints import CheckpointHeader, read_checkpoint, sha256_of, write_checkpoint
from vossegcli.systems.afb_urr.config import PUBLISHED
from vossegcli.systems.afb_urr.model import AFBURR

Vosseg = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of checkpoints, and an embedded folder with one entry, both in `tmp_path`."""
    embedded = tmp_path / "embedded"
    embedded.mkdir()
    digest = write_checkpoint(embedded / "tiny.safetensors", tiny_weights(), tiny_header())
    entry = {
        "name": "tiny-1.0",
        "file": "tiny.safetensors",
        "sha256": digest,
        "system": "afb-urr",
        "default_for": "propagate",
    }
    (embedded / "manifest.json").write_text(json.dumps({"checkpoints": [entry]}))
    (embedded / "tiny.md").write_text("# tiny\n\nTrained on nothing.\n")
    monkeypatch.setattr(files, "embedded_folder", lambda: embedded)
    monkeypatch.setattr("vossegcli.runners.checkpoints.run.embedded_folder", lambda: embedded)
    monkeypatch.setenv("VOSSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "checkpoints"


def _refused(outcome: Outcome) -> str:
    assert outcome.code == 4, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("error: ")
    assert outcome.stdout == ""
    return line


def test_list(vosseg: Vosseg, home: Path) -> None:
    home.mkdir(parents=True)
    write_checkpoint(home / "mine.safetensors", tiny_weights(), tiny_header())
    (home / "torn.safetensors").write_bytes(b"x" * 99)
    rows = json.loads(vosseg("checkpoints", "list", "--json").stdout)
    assert [(row["name"], row["system"], row["default_for"]) for row in rows] == [
        ("tiny-1.0", "afb-urr", "propagate"), ("mine", "afb-urr", None), ("torn", "(unreadable)", None),
    ]  # fmt: skip
    lines = vosseg("checkpoints", "list").stdout.splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:3] == ["tiny-1.0", "afb-urr", "propagate"]


def test_show(vosseg: Vosseg, home: Path) -> None:
    outcome = vosseg("checkpoints", "show", "tiny-1.0")
    assert '"system": "afb-urr"' in outcome.stdout
    assert "Trained on nothing." in outcome.stdout
    facts = vosseg("checkpoints", "show", "tiny-1.0", "--json").json()
    assert facts["config"]["key_channels"] == 16
    assert len(facts["sha256"]) == 64


def test_verify_by_name_and_file(vosseg: Vosseg, home: Path, checkpoint: Path) -> None:
    for name in ("tiny-1.0", checkpoint):
        outcome = vosseg("checkpoints", "verify", name)
        assert outcome.code == 0
        assert outcome.stdout.startswith(f"good: {len(tiny_weights())} tensors")


def test_the_default_checkpoint_is_found(vosseg: Vosseg, home: Path, clip: Clip, tmp_path: Path) -> None:
    words = ["propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out", "--json"]
    outcome = vosseg(*words, "--checkpoint", "tiny-1.0")
    assert outcome.json()["checkpoint"]["name"] == files.default_checkpoint("propagate") == "tiny-1.0"


def test_a_name_of_the_users_folder(vosseg: Vosseg, home: Path) -> None:
    home.mkdir(parents=True)
    write_checkpoint(home / "mine.v2.safetensors", tiny_weights(), tiny_header())
    assert vosseg("checkpoints", "verify", "mine.v2").code == 0


def test_unknown_name_lists_the_known(vosseg: Vosseg, home: Path) -> None:
    assert "no checkpoint 'nope'. Give a file or a name (tiny-1.0)" in _refused(vosseg("checkpoints", "show", "nope"))


def test_another_hash_than_the_manifests(vosseg: Vosseg, home: Path) -> None:
    write_checkpoint(files.embedded_folder() / "tiny.safetensors", tiny_weights(), tiny_header("afb-urr2"))
    line = _refused(vosseg("checkpoints", "verify", "tiny-1.0"))
    assert "tiny.safetensors: sha256 is " in line


def test_an_embedded_file_that_is_gone(vosseg: Vosseg, home: Path) -> None:
    (files.embedded_folder() / "tiny.safetensors").unlink()
    assert "cannot be read" in _refused(vosseg("checkpoints", "verify", "tiny-1.0"))
    assert vosseg("checkpoints", "list").code == 0


def test_a_damaged_manifest(vosseg: Vosseg, home: Path) -> None:
    (files.embedded_folder() / "manifest.json").write_text("{")
    assert "manifest.json: is damaged" in _refused(vosseg("checkpoints", "verify", "tiny-1.0"))


def _without(weights: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.items() if key != name}


KEY = "keyval_r4.Key.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: _without(w, KEY), f"missing key '{KEY}'"),
        (lambda w: {**w, "extra.weight": torch.zeros(1)}, "unknown key 'extra.weight'"),
        (
            lambda w: {**w, KEY: w[KEY][:, :-1].contiguous()},
            f"'{KEY}' has shape (16, 15, 3, 3), not (16, 16, 3, 3)",
        ),
        (
            lambda w: {**w, KEY: torch.full_like(w[KEY], torch.nan)},
            f"'{KEY}' holds values that are not finite",
        ),
    ],
    ids=["missing", "unknown", "misshapen", "nan"],
)
def test_weights_that_do_not_fit(
    vosseg: Vosseg, clip: Clip, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], said: str
) -> None:
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, change(tiny_weights()), tiny_header())
    assert f"{path}: {said}" in _refused(vosseg("checkpoints", "verify", path))
    out = tmp_path / "out"
    words = ["propagate", clip.frames, "--mask", clip.mask, "--checkpoint", path, "--device", "cpu"]
    assert said in _refused(vosseg(*words, "-o", out))
    assert not out.exists()


def test_of_another_system(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, tiny_weights(), tiny_header("sorcery"))
    assert "is for the system 'sorcery'" in _refused(vosseg("checkpoints", "verify", path))
    words = ["propagate", clip.frames, "--mask", clip.mask, "--checkpoint", path]
    assert "is for the system 'sorcery'" in _refused(vosseg(*words))


@pytest.mark.parametrize("config", [{}, {"bank": 3}, {**tiny_header().config, "key_channels": "many"}, {"no_field": 1}])
def test_a_configuration_that_is_none(vosseg: Vosseg, tmp_path: Path, config: dict[str, Any]) -> None:
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, tiny_weights(), CheckpointHeader("afb-urr", config, (), {}))
    _refused(vosseg("checkpoints", "verify", path))


def test_files_that_are_no_checkpoint(vosseg: Vosseg, tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    assert "has no vosseg header" in _refused(vosseg("checkpoints", "verify", path))
    torch.save({"x": torch.zeros(2)}, tmp_path / "x.pth")
    line = _refused(vosseg("checkpoints", "verify", tmp_path / "x.pth"))
    assert "vosseg checkpoints import" in line
    save_file({"x": torch.zeros(2)}, path, metadata={"format": "vosseg-1", "system": "afb-urr", "config": "{"})
    assert "has a damaged header" in _refused(vosseg("checkpoints", "verify", path))
    _refused(vosseg("checkpoints", "verify", tmp_path))


class _Malice:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.proof, "executed")


def test_a_malicious_pickle_is_refused_and_not_executed(vosseg: Vosseg, tmp_path: Path) -> None:
    proof = tmp_path / "proof.txt"
    torch.save({"model": {}, "epoch": _Malice(proof)}, tmp_path / "zip.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"model": _Malice(proof)}))
    for name in ("zip.pth", "raw.pth"):
        out = tmp_path / "out.safetensors"
        line = _refused(vosseg("checkpoints", "import", tmp_path / name, "--system", "afb-urr", "-o", out))
        assert "cannot be loaded as data" in line
        assert "weights_only" not in line  # torch's own advice is to switch the protection off
        assert ("asks for" in line) == (name == "zip.pth")
        assert not proof.exists()
        assert not out.exists()
    pickle.loads((tmp_path / "raw.pth").read_bytes())
    assert proof.exists()  # it would have been executed


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(100), b"\x80\x02}q\x00."])
def test_import_of_damaged_files(vosseg: Vosseg, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    line = _refused(vosseg("checkpoints", "import", tmp_path / "x.pth", "--system", "afb-urr", "-o", tmp_path / "o"))
    assert "x.pth" in line


def test_import_of_nothing_and_for_an_unknown_system(vosseg: Vosseg, tmp_path: Path) -> None:
    _refused(vosseg("checkpoints", "import", tmp_path / "absent", "--system", "afb-urr", "-o", tmp_path / "o"))
    outcome = vosseg("checkpoints", "import", tmp_path / "absent", "--system", "sorcery", "-o", tmp_path / "o")
    assert outcome.code == 5
    assert "unknown system 'sorcery'" in outcome.stderr


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """The content of a published file, with random weights."""
    torch.manual_seed(1)
    return {
        "epoch": 3,
        "model": AFBURR(PUBLISHED).state_dict(),
        "optimizer": {"state": {}, "param_groups": []},
        "loss": np.float64(0.25),
        "seed": np.int64(7),
    }


def test_import_of_a_published_file(vosseg: Vosseg, tmp_path: Path, published: dict[str, Any]) -> None:
    torch.save(published, tmp_path / "p.pth")
    out = tmp_path / "p.safetensors"
    outcome = vosseg("checkpoints", "import", tmp_path / "p.pth", "--system", "afb-urr", "-o", out, "--half")
    assert outcome.code == 0, outcome.stderr
    assert f"imported {len(published['model'])} tensors" in outcome.stdout
    assert sha256_of(out) in outcome.stdout
    for entry in ("epoch", "optimizer", "loss", "seed"):
        assert f"dropped: {entry} (training state)" in outcome.stdout
    loaded = read_checkpoint(str(out))
    assert loaded.header.config["value_channels"] == 512
    assert loaded.header.training["imported_from"] == "p.pth"
    assert torch.equal(loaded.tensors[KEY], published["model"][KEY].half())
    assert vosseg("checkpoints", "verify", out).code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: {**p, "model": _without(p["model"], KEY)}, f"missing key '{KEY}'"),
        (lambda p: {**p, "model": {**p["model"], "x.y": torch.zeros(1)}}, "unknown key 'x.y'"),
        (
            lambda p: {**p, "model": {**p["model"], KEY: torch.zeros(3, 3)}},
            f"'{KEY}' has shape (3, 3), not (",
        ),
        (lambda p: {**p, "surprise": 1}, "unknown entry 'surprise'"),
        (lambda p: p["model"], "no entry 'model'"),
        (lambda _: [1, 2], "holds no dict"),
    ],
    ids=["missing", "unknown", "misshapen", "entry", "bare", "list"],
)
def test_published_files_that_do_not_fit(
    vosseg: Vosseg, tmp_path: Path, published: dict[str, Any], change: Callable[[Any], Any], said: str
) -> None:
    torch.save(change(published), tmp_path / "p.pth")
    out = tmp_path / "p.safetensors"
    line = _refused(vosseg("checkpoints", "import", tmp_path / "p.pth", "--system", "afb-urr", "-o", out))
    assert str(tmp_path / "p.pth") in line
    assert said in line
    assert not out.exists()


def test_a_flipped_byte_in_a_file_of_ones_own_is_found(vosseg: Vosseg, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, tiny_weights(), tiny_header())
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert "is damaged" in _refused(vosseg("checkpoints", "verify", path))


def test_a_file_without_any_hash_is_readable_not_good(vosseg: Vosseg, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    header = tiny_header()
    metadata = {
        "format": files.FORMAT, "system": header.system, "config": json.dumps(header.config), "labels": "[]",
        "training": "{}",
    }  # fmt: skip
    files.write_tensors(path, tiny_weights(), metadata)
    outcome = vosseg("checkpoints", "verify", path)
    assert outcome.code == 0
    assert outcome.stdout.startswith("readable, but no hash of it is known")
