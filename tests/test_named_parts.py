"""Parts of state dicts: taken out, joined, renamed; the inverse of one another."""

from vossegcli.named_parts import joined_parts, part_of, renamed_parts


def test_a_part_has_its_values_without_its_name_and_nothing_of_parts_that_begin_alike() -> None:
    assert part_of({"bank.keys": 1, "bank.0.keys": 2, "banks.keys": 3, "bank": 4}, "bank") == {"keys": 1, "0.keys": 2}


def test_joined_parts_come_apart_again() -> None:
    parts = {"model": {"bias": 1, "model.bias": 2}, "average": {"bias": 3}, "empty": {}}
    joined = joined_parts(parts)
    assert joined == {"model.bias": 1, "model.model.bias": 2, "average.bias": 3}
    assert {name: part_of(joined, name) for name in parts} == parts


def test_renamed_parts_leave_out_what_has_no_place() -> None:
    assert renamed_parts({"layer1.0.w": 1, "layer10.w": 2, "fc.w": 3}, {"layer1.": "res2.", "fc.": ""}) == {
        "res2.0.w": 1,
        "w": 3,
    }
