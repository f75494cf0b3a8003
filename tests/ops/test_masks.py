import torch

from vossegcli.ops.masks import label_map_from_classes, one_hot_classes


def test_one_hot_and_back() -> None:
    label_map = torch.tensor([[0, 3], [300, 7]])
    classes = one_hot_classes(label_map, (3, 300))
    assert classes.tolist() == [[[1, 0], [0, 1]], [[0, 1], [0, 0]], [[0, 0], [1, 0]]]
    assert label_map_from_classes(classes.argmax(dim=0), (3, 300)).tolist() == [[0, 3], [300, 0]]
