"""The order of frames, and the frame that a number means."""

from pathlib import Path

import pytest

from vossegcli.errors import InputError
from vossegcli.io.media.frame_numbers import find_frame, in_order


@pytest.mark.parametrize("names", [
    "t0.0 t0.25 t0.5 t1.0 t10.0",
    "phase_-3 phase_-1 phase_0 phase_2 phase_3",
    "-3 -2 -1",
    "t=-0.5 t=0.0 t=0.5",
    "x_-12_um x_-2_um x_+7_um",
    "run-1 run-2 run-10",
    "v1.9 v1.10 v1.11",
    "dose_0.5ms dose_5ms dose_10ms",
    "1 2 10",
    "00001 00002 00010",
    "shot1.0009 shot1.0010 shot1.0100",
    "a1_b2 a1_b10 a2_b1",
    "A b c10 C11",
    "t1e-3 t2",
    "t0.0 t9e-06 t1e-05 t1.1e-05 t0.0001 t2 t1e+1",
    "t1e-4_a t1e-3_a",
    "x=-1e-3,k2 x=0,k2 x=1e-5,k2",
    "S01E02 S01E10 S02E01",
    "frame_1e3f frame_2a",
    "s2_t1e-3 s10_t1e-4",
])  # fmt: skip
def test_order(names: str) -> None:
    wanted = names.split()
    assert [path.stem for path in in_order([Path(f"{name}.png") for name in reversed(wanted)])] == wanted


FRAMES = [f"{number:05d}" for number in range(1, 11)]


@pytest.mark.parametrize(("names", "at", "found"), [
    (FRAMES, "5", "00005"),
    (FRAMES, "00005", "00005"),
    (FRAMES, "00005.jpg", "00005"),
    (FRAMES, "frames/00005.png", "00005"),
    (FRAMES, "5.jpg", "00005"),
    (FRAMES, "10", "00010"),
    (FRAMES, "0", "00001"),  # no frame 0: the index
    ([f"frame_{n}" for n in (10, 20, 30)], "20", "frame_20"),
    ([f"frame_{n}" for n in (10, 20, 30)], "2", "frame_30"),
    (["phase_-3", "phase_0", "phase_3"], "-3", "phase_-3"),
    (["t0.0", "t0.25", "t0.5"], "0.25", "t0.25"),
    (["t0.0", "t0.25", "t0.5"], "t0.25", "t0.25"),
    (["shot1.0001", "shot1.0002", "shot1.0003"], "2", "shot1.0002"),
    (["t1e-3", "t2", "t3"], "0.001", "t1e-3"),
    (["t1e-3", "t2", "t3"], "1e-3", "t1e-3"),
    (["t1e-3", "t2", "t3"], "1", "t2"),  # the index
    (["t1e-3", "t2", "t3"], "3", "t3"),
    (["alpha", "beta"], "1", "beta"),
    (["cam2_alpha", "cam2_beta"], "1", "cam2_beta"),
    (["a1_b1", "a1_b5", "a2_b1", "a2_b7"], "7", "a2_b7"),
    (["0003", "0004", "0005"], "1", "0004"),
])  # fmt: skip
def test_frames_by_name_number_or_index(names: list[str], at: str, found: str) -> None:
    index, note = find_frame(names, at, "clip")
    assert names[index] == found
    assert note is None if Path(at).stem == found or at == found else note is not None and found in note


def test_both_readings_are_told() -> None:
    assert find_frame(FRAMES, "5", "clip")[1] == (
        "--at 5 is frame 00005, by the number in its name; as an index it would be 00006"
    )
    names = ["a1_b1", "a1_b2", "a2_b1", "a2_b2"]
    with pytest.raises(InputError, match="the number in a1_b1, a1_b2, a2_b1 or the index of a1_b2") as caught:
        find_frame(names, "1", "clip")
    assert caught.value.fix is not None
    with pytest.raises(InputError, match="the number in a1_b2, a2_b1, a2_b3 or the index of a2_b1"):
        find_frame(["a1_b1", "a1_b2", "a2_b1", "a2_b3"], "2", "clip")


@pytest.mark.parametrize("at", ["11", "-1", "2.5", "last", "00011.jpg", ""])
def test_no_such_frame(at: str) -> None:
    with pytest.raises(InputError, match=r"no frame .*frames: 00001, 00002, 00003, \.\.\."):
        find_frame(FRAMES, at, "clip")
