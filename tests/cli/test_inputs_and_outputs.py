"""Inputs and outputs of all commands for batches: where they may lie, their names, what stays and what goes.

Covers: cli.app, cli.batch_command, cli.common_options, cli.options, io.records.output_folders
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Outcome, draw_mask, draw_video, files_below, squares, write_frame
from vossegcli.cli.progress import BatchProgress
from vossegcli.io.records.run_records import ItemState

Command = Callable[..., Outcome]
COMMANDS = ("propagate", "track", "instance", "fewshot", "episodes")
ALL = pytest.mark.parametrize("command", COMMANDS)
OF_IMAGES = pytest.mark.parametrize("command", ["instance", "fewshot"])
OF_VIDEOS = pytest.mark.parametrize("command", ["propagate", "track"])


@pytest.fixture
def run(
    vosseg: Command, checkpoint: Path, tiny_tracker: Path, few_shot_checkpoint: Path, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run a command on an input, with what it needs besides."""
    draw_mask(tmp_path / "mask.png")
    write_frame(tmp_path / "support" / "square" / "0.jpg", squares(0, (1,)))
    draw_mask(tmp_path / "support" / "square" / "0.png", (1,))
    needs: dict[str, list[object]] = {
        "propagate": ["--mask", tmp_path / "mask.png", "--checkpoint", checkpoint],
        "track": ["--checkpoint", tiny_tracker],
        "instance": ["--checkpoint", tiny_tracker, "--score-threshold", 0.1],
        "fewshot": ["--support", tmp_path / "support", "--checkpoint", few_shot_checkpoint],
        "episodes": ["--episodes", 2, "--checkpoint", few_shot_checkpoint],
    }

    def call(command: str, source: object, *more: object) -> Outcome:
        name = "fewshot" if command == "episodes" else command
        return vosseg(name, source, *needs[command], "--device", "cpu", "--precision", "fp32", *more)

    return call


def draw_input(folder: Path, command: str) -> Path:
    """Two images or frames; for episodes a folder of a class with two annotated images."""
    if command != "episodes":
        draw_video(folder, 2)
        return folder
    for number in range(2):
        write_frame(folder / "cat" / f"{number}.jpg", squares(number, (1,)))
        draw_mask(folder / "cat" / f"{number}.png", (1,), index=number)
    return folder


def listed(outcome: Outcome) -> list[tuple[str, int]]:
    """Names and frames of what a command would do."""
    assert outcome.code == 0, outcome.stderr
    return [(row["name"], row["frames"]) for row in outcome.json()["plan"]]


@ALL
def test_the_default_output_may_lie_in_the_input(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(draw_input(tmp_path / "clip", command))
    before = listed(run(command, ".", "--dry-run", "--json"))
    first = run(command, ".", "--save", "masks,overlay", "--json")
    assert first.code == 0, first.stderr
    assert (tmp_path / "clip" / first.json()["output"]).is_relative_to(tmp_path / "clip" / "runs")
    assert list(Path().glob("runs/*/*/overlay/**/*.jpg"))
    assert listed(run(command, ".", "--dry-run", "--json")) == before, "outputs are no inputs"
    again = run(command, ".", "--save", "masks,overlay", "--json")
    assert (again.code, again.json()["totals"]["skipped"]) == (0, len(before))


@pytest.mark.parametrize("command", ["propagate", "track", "instance", "fewshot"])
@pytest.mark.parametrize("source", [".", "**/*.jpg"])
def test_outputs_in_a_tree_are_no_inputs(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, source: str
) -> None:
    if command in {"propagate", "track"} and source != ".":
        pytest.skip("takes no patterns")
    for name in ("a", "deep/b"):
        draw_video(tmp_path / "root" / name, 2)
        draw_mask(tmp_path / "given" / name / "00000.png")
    monkeypatch.chdir(tmp_path / "root")
    more = ["--mask", tmp_path / "given"] if command == "propagate" else []
    before = listed(run(command, source, *more, "--dry-run", "--json"))
    assert len(before) == (4 if command in {"instance", "fewshot"} else 2)
    assert run(command, source, *more, "--save", "masks,overlay").code == 0
    assert len(list(Path().glob("runs/*/*/overlay/**/*.jpg"))) == 4
    assert listed(run(command, source, *more, "--dry-run", "--json")) == before


@ALL
def test_an_output_of_ones_own_does_not_lie_in_the_input(run: Command, tmp_path: Path, command: str) -> None:
    source = draw_input(tmp_path / "clip", command)
    before = files_below(tmp_path)
    for output in (source, source / "out", source / "deep" / "out"):
        outcome = run(command, source, "-o", output)
        assert outcome.code == 3
        assert f"{output}: lies inside the input folder" in outcome.stderr
    assert files_below(tmp_path) == before


@ALL
def test_an_input_is_never_overwritten(run: Command, tmp_path: Path, command: str) -> None:
    source = draw_input(tmp_path / "out" / "masks" / "clip", command)
    before = files_below(tmp_path)
    outcome = run(command, source, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert f"{source}: would be overwritten" in outcome.stderr
    assert files_below(tmp_path) == before


@ALL
@pytest.mark.parametrize("shard", [(), ("--shard", "1/1")])
def test_the_default_output_is_not_shared_by_inputs_of_one_name(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, shard: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    for parent in ("a", "b"):
        draw_input(tmp_path / parent / "photos", command)
    assert run(command, "a/photos", *shard).code == 0
    before = files_below(tmp_path / "runs")
    for more in ((), ("--dry-run",), shard):
        outcome = run(command, "b/photos", *more)
        assert outcome.code == 3
        assert f"holds the results of another input, {tmp_path / 'a' / 'photos'}" in outcome.stderr
        assert "-o/--output" in outcome.stderr
    assert files_below(tmp_path / "runs") == before
    assert run(command, tmp_path / "a" / "photos", *shard, "--json").json()["totals"]["done"] == 0, "the same input"
    assert run(command, "b/photos", *shard, "-o", "other").code == 0


@pytest.mark.parametrize("command", ["propagate", "track", "instance", "fewshot"])
def test_options_without_effect_are_told(run: Command, tmp_path: Path, command: str) -> None:
    source, output = draw_input(tmp_path / "clip", command), tmp_path / "out"
    given = ["--axis", "T,Z=max", "--channel", "1", "--range", "0:4000"]
    expected = ["--axis and --channel have no effect: no input is an image stack"]
    if command in {"propagate", "track"}:
        given += ["--fps", "12"]
        expected += [f"--fps has no effect without --save video or stack{' or matte or prores' * (command[0] == 'p')}"]
    else:
        given += ["--images", tmp_path]
        expected += ["--images has no effect: no annotation file is given"]
    planned = run(command, source, "-o", output, *given, "--dry-run", "--json").json()
    assert planned["notes"] == expected
    outcome = run(command, source, "-o", output, *given)
    assert outcome.code == 0
    assert all(f"note: {note}\n" in outcome.stdout for note in expected)
    rows = [json.loads(line) for line in (output / "run.jsonl").read_text().splitlines()]
    assert all("8 bits a sample: --range has no effect" in " ".join(row["notes"]) for row in rows)
    assert not run(command, source, "-o", output, "--dry-run", "--json").json()["notes"]


def test_options_that_have_an_effect_are_not_told(run: Command, tmp_path: Path) -> None:
    frames = [Image.fromarray((squares(index, (1,)) * 200).astype(np.uint8)) for index in range(2)]
    frames[0].save(tmp_path / "stack.tif", save_all=True, append_images=frames[1:])
    given = ["--axis", "T", "--fps", "12", "--save", "masks,stack"]
    assert run("track", tmp_path / "stack.tif", *given, "--dry-run", "--json").json()["notes"] == []


def test_kinds_of_results_of_one_command_do_not_share_an_output(run: Command, tmp_path: Path) -> None:
    sources = {
        "episodes": draw_input(tmp_path / "set", "episodes"),
        "fewshot": draw_input(tmp_path / "clip", "fewshot"),
    }
    for first, second, owner in (("episodes", "fewshot", "fewshot --episodes"), ("fewshot", "episodes", "fewshot")):
        output = tmp_path / first
        assert run(first, sources[first], "-o", output).code == 0
        before = files_below(output)
        outcome = run(second, sources[second], "-o", output)
        assert outcome.code == 3
        assert f"{output}: holds the results of vosseg {owner}. Give another folder" in outcome.stderr
        assert files_below(output) == before
        assert run(first, sources[first], "-o", output).code == 0


def test_reports_of_evaluations_and_of_training_lie_in_folders_of_their_own(
    run: Command, vosseg: Command, tmp_path: Path
) -> None:
    """All are called report.html: one would be written over another."""
    source, truth = draw_input(tmp_path / "clip", "propagate"), tmp_path / "truth" / "clip"
    draw_mask(truth / "00000.png")
    assert run("propagate", source, "-o", tmp_path / "run").code == 0
    fewshot = ("evaluate", "fewshot", tmp_path / "truth", tmp_path / "truth")
    vos = ("evaluate", "vos", truth, truth, "--protocol", "all-frames")
    settings = Path(__file__).parents[2] / "examples" / "training" / "fwb-compact.toml"
    train = ("train", "fwb", "--data", tmp_path / "truth", "--config", settings)
    assert vosseg(*vos, "-o", tmp_path / "report").code == 0
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "state.safetensors").touch()
    before = files_below(tmp_path)
    for folder, owner, others in (
        ("run", "propagate", (vos, train)),
        ("report", "evaluate vos", (fewshot, train, ("propagate", source, "--mask", tmp_path / "mask.png"))),
        ("training", "train", (vos, fewshot)),
    ):
        for other in others:
            outcome = vosseg(*other, "-o", tmp_path / folder)
            assert outcome.code == 3
            assert f"{tmp_path / folder}: holds the results of vosseg {owner}. Give another" in outcome.stderr
    assert files_below(tmp_path) == before
    assert vosseg(*vos, "-o", tmp_path / "report").code == 0


def test_commands_do_not_share_an_output(run: Command, tmp_path: Path) -> None:
    """Masks of one would lie among those of the other, or in their place."""
    source, output = draw_input(tmp_path / "clip", "track"), tmp_path / "out"
    assert run("track", source, "-o", output, "--shard", "1/1").code == 0
    before = files_below(output)
    for more in ((), ("--dry-run",), ("--overwrite",)):
        outcome = run("propagate", source, "-o", output, *more)
        assert outcome.code == 3
        assert f"{output}: holds the results of vosseg track. Give another folder with -o/--output" in outcome.stderr
    assert files_below(output) == before


NAMES = ("lock", "tables.lock", "lock-1-of-2", "items", "rows", "a", "a.rows", "a.adapted", "a.json")


@OF_VIDEOS
def test_sequences_may_be_called_like_our_files(run: Command, tmp_path: Path, command: str) -> None:
    for name in NAMES:
        draw_video(tmp_path / "root" / name, 1)
        draw_mask(tmp_path / "given" / name / "00000.png")
    more = ["--mask", tmp_path / "given"] if command == "propagate" else []
    words = [command, tmp_path / "root", *more, "-o", tmp_path / "out", "--json"]
    assert run(*words).json()["totals"]["done"] == len(NAMES)
    assert run(*words).json()["totals"]["skipped"] == len(NAMES)


@OF_IMAGES
def test_images_may_be_called_like_our_files(run: Command, tmp_path: Path, command: str) -> None:
    for name in NAMES:
        write_frame(tmp_path / "root" / f"{name}.png", squares(0, (1,)))
    words = [command, tmp_path / "root", "-o", tmp_path / "out", "--json"]
    assert run(*words).json()["totals"]["done"] == len(NAMES)
    assert run(*words).json()["totals"]["skipped"] == len(NAMES)


@ALL
def test_sizes(run: Command, tmp_path: Path, command: str) -> None:
    source = draw_input(tmp_path / "clip", command)
    plans = {}
    for size in ("24", "40", "native"):
        outcome = run(command, source, "--size", size, "-o", tmp_path / "out", "--json")
        assert outcome.json()["totals"]["done"] > 0, "another size, another result"
        plans[size] = files_below(tmp_path / "out" / "masks")
    assert plans["24"].keys() == plans["native"].keys()
    for size in ("0", "99999", "-1", "big", ""):
        outcome = run(command, source, "--size", size, "-o", tmp_path / "out")
        assert outcome.code == 2
        assert "1 to 16384 pixels nor native" in " ".join(outcome.stderr.split())


PATHS = {
    "propagate": ("--mask", "-o"),
    "track": ("--annotations", "-o"),
    "instance": ("--annotations", "-o"),
    "fewshot": ("--support", "-o"),
    "episodes": ("--list", "--episodes", "-o"),
}


@ALL
def test_an_empty_path_is_not_the_current_folder(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    source = draw_input(tmp_path / "clip", command)
    monkeypatch.chdir(source)
    before = files_below(tmp_path)
    options = (*PATHS[command], "--checkpoint")  # an unset variable of a shell must not choose another network
    outcomes = [run(command, "")] + [run(command, source, option, "") for option in options]
    for outcome in outcomes:
        assert outcome.code == 2
        assert "is empty" in outcome.stderr
    assert files_below(tmp_path) == before


#: Table of a command, its column for the item, and a setting that changes all results.
TABLES = {
    "propagate": ("confidence.csv", "sequence", ("--size", "24")),
    "track": ("tracks.csv", "sequence", ("--max-gap", "3")),
    "instance": ("instances.csv", "image", ("--top-k", "2")),
    "fewshot": ("confidence.csv", "query", ("--no-boost",)),
}


@pytest.mark.parametrize("command", TABLES)
def test_after_an_interruption_tables_hold_what_is_done(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A run with other settings is interrupted in its second item: the rows of the first run are stale."""
    for name in "abc":
        draw_video(tmp_path / "root" / name, 2 if command in {"propagate", "track"} else 1)
        draw_mask(tmp_path / "given" / name / "00000.png")
    more = ["--mask", tmp_path / "given"] if command == "propagate" else []
    words = [command, tmp_path / "root", *more, "-o", tmp_path / "out"]
    assert run(*words).code == 0
    table, column, change = TABLES[command]
    assert len(_values(tmp_path / "out" / table, column)) == 3
    items: list[str] = []

    def item(_: object, name: str) -> None:
        if not name.startswith("drawing"):
            items.append(name)

    def frame(_: object) -> None:
        if len(items) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(BatchProgress, "item", item)
    monkeypatch.setattr(BatchProgress, "frame", frame)
    assert run(*words, *change).code == 130
    assert _values(tmp_path / "out" / table, column) == {items[0]}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["totals"]["done"] == 1


def _values(table: Path, column: str) -> set[str]:
    with table.open() as file:
        return {row[column] for row in csv.DictReader(file)}


@ALL
def test_outputs_that_are_no_longer_asked_for_are_removed(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    source, out = draw_input(tmp_path / "clip", command), tmp_path / "out"
    kinds = {
        "propagate": "masks,overlay,video,probabilities", "track": "masks,coco,overlay,video",
        "instance": "masks,coco,overlay,cutouts", "fewshot": "masks,overlay,probabilities,cutouts",
        "episodes": "masks,overlay",
    }[command]  # fmt: skip
    assert run(command, source, "--save", "masks", "-o", out).code == 0
    alone = set(files_below(out))
    with monkeypatch.context() as patch:
        patch.setattr(ItemState, "mark_done", _interrupted)
        assert run(command, source, "--save", kinds, "-o", out).code == 130, "everything is written, nothing is done"
    written = {Path(name).parts[0] for name in files_below(out)}
    assert "overlay" in written
    assert run(command, source, "--save", kinds, "-o", out).code == 0
    assert len(files_below(out)) > len(alone)
    with monkeypatch.context() as patch:
        patch.setattr(ItemState, "mark_done", _interrupted)
        assert run(command, source, "--save", kinds, "--overwrite", "-o", out).code == 130
    assert run(command, source, "--save", "masks", "-o", out).code == 0
    assert set(files_below(out)) == alone


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("option", [("--fold", "1"), ("--split", "contiguous"), ("--list", "list.txt")])
def test_options_of_episodes_go_with_episodes(run: Command, tmp_path: Path, option: tuple[str, str]) -> None:
    outcome = run("fewshot", draw_input(tmp_path / "clip", "fewshot"), *option, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert option[0] in outcome.stderr
    assert "goes with --episodes" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_classes_whose_names_are_one_number(run: Command, tmp_path: Path) -> None:
    for name, ids in (("1", (1,)), ("01", (2,))):
        write_frame(tmp_path / "classes" / name / "0.jpg", squares(0, ids))
        draw_mask(tmp_path / "classes" / name / "0.png", ids)
    draw_video(tmp_path / "clip", 1)
    outcome = run("fewshot", tmp_path / "clip", "--support", tmp_path / "classes", "-o", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.stderr
    assert sorted(outcome.json()["classes"].values()) == ["01", "1"]
    assert set(outcome.json()["classes"]) == {"1", "2"}


@pytest.mark.parametrize("command", ["propagate", "track", "instance", "fewshot"])
def test_a_page_of_the_run(run: Command, vosseg: Command, tmp_path: Path, command: str) -> None:
    source, page = draw_input(tmp_path / "input", command), tmp_path / "out" / "report.html"
    first = run(command, source, "-o", tmp_path / "out", "--save", "masks,report", "--json")
    assert first.code == 0, first.stderr
    html = page.read_text(encoding="utf-8")
    assert "data:image/jpeg" in html
    assert f"vosseg {command}" in html
    again = run(command, source, "-o", tmp_path / "out", "--save", "masks", "--json")
    assert again.json()["totals"]["done"] == 0, "the page is no reason to do the items again"
    assert not page.exists(), "it would show an earlier run"
    assert vosseg("report", tmp_path / "out").code == 0
    assert page.read_text(encoding="utf-8").count("data:image/jpeg") == html.count("data:image/jpeg")


def test_a_page_of_no_run(vosseg: Command, tmp_path: Path) -> None:
    outcome = vosseg("report", tmp_path)
    assert outcome.code == 3
    assert "holds no run" in outcome.stderr


@pytest.mark.parametrize(
    ("command", "size", "kind", "scaled"),
    [
        ("propagate", (8, 16_500), "video", "overlay video scaled down to 16384x8"),
        ("track", (8, 16_500), "video", "overlay video scaled down to 16384x8"),
        ("instance", (8, 65_600), "overlay", "overlay images scaled down to 65500x8"),
        ("fewshot", (8, 65_600), "overlay", "overlay images scaled down to 65500x8"),
    ],
)
def test_pictures_larger_than_their_format_are_scaled_down_with_a_note(
    run: Command, tmp_path: Path, command: str, size: tuple[int, int], kind: str, scaled: str
) -> None:
    draw_video(tmp_path / "wide", 1, suffix=".png", size=size)
    mask = ["--mask", draw_mask(tmp_path / "wide.png", (1,), size=size)] if command == "propagate" else []
    outcome = run(command, tmp_path / "wide", *mask, "--save", f"masks,{kind}", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.stderr
    (line,) = (tmp_path / "out" / "run.jsonl").read_text().splitlines()
    assert f"{scaled}, the largest size of the format" in json.loads(line)["notes"]
    assert files_below(tmp_path / "out" / kind)
