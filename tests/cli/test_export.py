"""`vosseg checkpoints export`: the graphs run elsewhere and give the same masks.

Covers: ops.images, runners.checkpoints.export, systems.mobileinst.export
"""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Outcome
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.models.chosen_model import build_network
from vossegcli.ops.cells import cell_centres
from vossegcli.ops.images import image_tensor
from vossegcli.runners.checkpoints.export import write_onnx, write_torchscript
from vossegcli.systems import get_system
from vossegcli.systems.base import Graph
from vossegcli.systems.mobileinst.mask_decoder import mask_logits
from vossegcli.systems.mobileinst.predict import instance_scores
from vossegcli.systems.mobileinst.reference_points import attention_bias

Command = Callable[..., Outcome]


@pytest.fixture
def frames() -> list[torch.Tensor]:
    """Two frames: noise that is moved by five pixels."""
    noise = image_tensor(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)).unsqueeze(0)
    return [noise, noise.roll(5, dims=3)]


def test_onnx_gives_the_same_masks(
    frames: list[torch.Tensor], tiny_tracker: Path, tmp_path: Path, vosseg: Command, caplog: pytest.LogCaptureFixture
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs vosseg[onnx]")
    pytest.importorskip("onnxscript", reason="needs vosseg[onnx]")
    outcome = vosseg("checkpoints", "export", tiny_tracker, "--size", "128x128", "-o", tmp_path / "net.onnx")
    assert outcome.code == 0, outcome.stderr
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING], "of the exporters' workings"
    assert outcome.stderr == ""
    sessions = {
        name: onnxruntime.InferenceSession(str(tmp_path / f"net.{name}.onnx"), providers=["CPUExecutionProvider"])
        for name in ("key", "reuse")
    }
    network = build_network(read_checkpoint(str(tiny_tracker)), get_system("mobileinst"))
    with torch.no_grad():
        encoded = [network(frame) for frame in frames]
        found = network.detect(encoded[0])
        own = [mask_logits(found.kernels, part.embedded).sigmoid().numpy()[0] for part in encoded]
        ours = instance_scores(found, 0).numpy()
    kernels, scores, masks = sessions["key"].run(None, {"images": frames[0].numpy()})
    reused = sessions["reuse"].run(None, {"images": frames[1].numpy(), "kernels": kernels})[0]
    assert scores.shape == (1, 8 * 8, ours.shape[1]), "a query every 16 pixels"
    assert np.abs(scores[0] - ours).max() < 1e-3
    for mine, theirs in ((own[0], masks[0]), (own[1], reused[0])):
        a, b = mine > 0.5, theirs > 0.5
        assert a.any() and not a.all()
        assert (a & b).sum() / (a | b).sum() >= 0.99
        assert np.abs(mine - theirs).max() < 1e-3
    assert np.abs(own[0] - own[1]).max() > 0.01, "the kernels of one frame on another"


class _Bias(torch.nn.Module):
    def forward(self, points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        return attention_bias(points, others, 4, 16.0)


def test_onnx_takes_the_few_queries_of_the_smallest_images(tmp_path: Path) -> None:
    """64x64 pixels: 16 queries and one token; torch's own distances of so few points cannot be exported."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs vosseg[onnx]")
    pytest.importorskip("onnxscript", reason="needs vosseg[onnx]")
    points, others = (cell_centres(n, n, 64 // n, torch.device("cpu")).flatten(0, 1) for n in (4, 1))
    inputs = {"points": points, "others": others}
    write_onnx(Graph("bias", _Bias().eval(), inputs, ("bias",)), tmp_path / "bias.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "bias.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
    squares = ((points - others) ** 2).sum(dim=1, keepdim=True).numpy()  # (16,1)
    widths = (16.0, 16.0, 32.0, np.inf)
    np.testing.assert_allclose(found, [-0.5 * squares / width**2 for width in widths], rtol=1e-6)


def test_torchscript_gives_the_same_masks(tiny_tracker: Path, tmp_path: Path, vosseg: Command) -> None:
    outcome = vosseg(
        "checkpoints", "export", tiny_tracker, "--size", "64x64", "--format", "torchscript", "-o", tmp_path / "net.pt"
    )
    assert outcome.code == 0, outcome.stderr
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network = build_network(read_checkpoint(str(tiny_tracker)), get_system("mobileinst"))
    kernels, _, masks = torch.jit.load(tmp_path / "net.key.pt")(image)
    again = torch.jit.load(tmp_path / "net.reuse.pt")(image, kernels)
    with torch.no_grad():
        encoded = network(image)
        own = mask_logits(network.detect(encoded).kernels, encoded.embedded).sigmoid()
    assert torch.allclose(masks, own, atol=1e-4)
    assert torch.allclose(again, own, atol=1e-4)


@pytest.mark.parametrize("write", [write_onnx, write_torchscript])
def test_a_full_disk_is_an_error_of_the_system(write: Callable[[Graph, Path], None]) -> None:
    if write is write_onnx:
        pytest.importorskip("onnxscript", reason="needs vosseg[onnx]")
    inputs = {"image": torch.zeros(1, 3, 8, 8)}
    with pytest.raises(OSError, match="No space left"), torch.no_grad():
        write(Graph("one", torch.nn.Conv2d(3, 200, 3).eval(), inputs, ("out",)), Path("/dev/full"))


def test_what_cannot_be_exported_is_refused(tiny_tracker: Path, tmp_path: Path, vosseg: Command) -> None:
    outcome = vosseg("checkpoints", "export", "fwb-compact", "-o", tmp_path / "net.onnx")
    assert outcome.code == 5
    assert "'fwb' has nothing to export. Give a checkpoint of mobileinst" in outcome.stderr
    outcome = vosseg("checkpoints", "export", tiny_tracker, "--size", "100x100", "-o", tmp_path / "net.onnx")
    assert outcome.code == 5
    assert "multiples of 64" in outcome.stderr
    assert vosseg("checkpoints", "export", tiny_tracker, "--size", "big", "-o", tmp_path / "net.onnx").code == 2
    assert vosseg("checkpoints", "export", tiny_tracker, "--format", "tflite", "-o", tmp_path / "net.onnx").code == 5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("net.pt", 5, "named like torchscript, not onnx. Give --format torchscript"),
        ("", 3, "is a folder"),
    ],
)
def test_what_is_no_name_for_the_format_is_refused(
    output: str, code: int, said: str, tiny_tracker: Path, tmp_path: Path, vosseg: Command
) -> None:
    outcome = vosseg("checkpoints", "export", tiny_tracker, "--size", "64x64", "-o", tmp_path / output)
    assert outcome.code == code
    assert said in " ".join(outcome.stderr.split())
    assert not list(tmp_path.iterdir())
