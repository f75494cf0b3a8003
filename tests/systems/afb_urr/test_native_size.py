"""Labels at native size equal those of all probabilities at once."""

import pytest
import torch

from vossegcli.ops.resize import resize_smooth, row_weights
from vossegcli.systems.afb_urr import native_size
from vossegcli.systems.afb_urr.decoder import uncertainty
from vossegcli.systems.afb_urr.native_size import NativeProbabilities, native_labels, shrunk_classes


def smooth_logits(classes: int, size: tuple[int, int], scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(classes)
    coarse = torch.randn(1, classes, 5, 6, generator=generator) * scale
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")


@pytest.mark.parametrize("native", [(97, 133), (48, 64), (300, 70), (49, 65)])
@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0], ids=["unclear", "mixed", "clear"])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("side", [20, 1024])
def test_labels_areas_and_uncertainties(
    monkeypatch: pytest.MonkeyPatch, native: tuple[int, int], scale: float, classes: int, side: int
) -> None:
    monkeypatch.setattr(native_size, "SIDE", side)
    logits = smooth_logits(classes, (min(48, native[0]), min(64, native[1])), scale)
    ids = [3, 1, 7, 300][: classes - 1]
    found = native_labels(logits[0], native, ids)
    large = resize_smooth(logits, native)
    probs = large.softmax(dim=1)
    expected = torch.tensor([0, *ids])[large[0].argmax(dim=0)]
    lead = large[0].topk(2, dim=0).values.diff(dim=0)[0].abs()
    assert found.label_map.dtype == (torch.int32 if classes == 5 else torch.uint8)  # one of the ids is 300
    wrong = found.label_map != expected
    assert not (wrong & (lead > 1e-3)).any(), "but for ties"
    assert wrong.float().mean() < 1e-2
    unsure = uncertainty(probs)[0, 0]
    assert int(found.area.sum()) == native[0] * native[1]
    for k, i in enumerate((0, *ids)):
        own = found.label_map == i
        assert int(found.area[k]) == int(own.sum())
        assert float(found.uncertainty[k]) == pytest.approx(float(unsure[own].sum()), rel=1e-3, abs=0.05)


def test_clear_parts_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object in a corner: only the parts around it are enlarged."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    disc = 6.0 * (8.0 - torch.hypot(y - 12, x - 50))
    computed: list[int] = []
    enlarged = native_size._enlarged

    def counted(*arguments: object) -> torch.Tensor:
        part = enlarged(*arguments)
        computed.append(part[0].numel())
        return part

    monkeypatch.setattr(native_size, "_enlarged", counted)
    monkeypatch.setattr(native_size, "SIDE", 40)
    found = native_labels(torch.stack([-disc, disc]).clamp(-9, 9), (480, 640), [5])
    assert 0 < sum(computed) < 0.2 * 480 * 640
    monkeypatch.setattr(native_size, "CLEAR_LEAD", 1e9)
    everything = native_labels(torch.stack([-disc, disc]).clamp(-9, 9), (480, 640), [5])
    assert torch.equal(found.label_map, everything.label_map)
    assert found.area.tolist() == everything.area.tolist()
    assert found.uncertainty.tolist() == pytest.approx(everything.uncertainty.tolist(), rel=1e-4)


def test_probabilities_of_each_object() -> None:
    logits = smooth_logits(4, (48, 64), 3.0)
    expected = resize_smooth(logits, (97, 133)).softmax(dim=1)[0, 1:]
    found = torch.stack([of_object() for of_object in NativeProbabilities(logits, (97, 133)).each()])
    assert torch.allclose(found, expected, atol=1e-6)
    assert float(found.max()) <= 1.0


@pytest.mark.parametrize(("height", "small"), [(90, 20), (91, 20), (20, 20), (7, 3)])
def test_row_weights(height: int, small: int) -> None:
    above, weights = row_weights(height, small)
    rows = torch.randn(1, 1, small, 4)
    assert torch.allclose(weights @ rows[0, 0], resize_smooth(rows, (height, 4))[0, 0], atol=1e-5)
    for row, first in enumerate(above):
        assert weights[row, first : first + 2].sum() == pytest.approx(1.0)


def test_classes_at_the_working_size() -> None:
    label_map = torch.tensor([[0, 3, 3], [7, 9, 3]])
    masks = shrunk_classes(label_map, (3, 7), lambda mask: mask)
    assert masks[0].int().tolist() == [[[1, 0, 0], [0, 1, 0]], [[0, 1, 1], [0, 0, 1]], [[0, 0, 0], [1, 0, 0]]]
