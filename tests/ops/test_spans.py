import torch

from vossegcli.ops.spans import even_places, span_of, within


def test_a_span_is_from_the_first_to_after_the_last() -> None:
    covered = torch.tensor([[0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).bool()
    first, after = span_of(covered)
    assert first.tolist() == [1, 0, 5]
    assert after.tolist() == [4, 5, 0]
    one_first, one_after = span_of(covered[0])
    assert (int(one_first), int(one_after)) == (1, 4)


def test_what_is_within_a_span() -> None:
    assert within(torch.tensor([1, 4, -2.5]), torch.tensor([3, 0, 1.5]), 4).int().tolist() == [
        [0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0],
    ]  # fmt: skip
    assert within(torch.tensor(2), torch.tensor(9), 4).tolist() == [False, False, True, True]


def test_even_places_begin_and_end_with_all_places() -> None:
    def places(count: int, most: int) -> list[int]:
        return even_places(count, most, torch.device("cpu")).tolist()

    assert places(9, 3) == [0, 4, 8]
    assert places(3, 9) == [0, 1, 2]
    assert places(1, 1) == [0]
    assert places(0, 5) == places(5, 0) == places(5, -2) == []
