import torch

from vossegcli.ops.cells import cell_centres


def test_cells_lie_at_their_centres() -> None:
    centres = cell_centres(2, 3, 8, torch.device("cpu"))
    assert centres.shape == (2, 3, 2)
    assert centres[1, 2].tolist() == [20.0, 12.0]
