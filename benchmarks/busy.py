"""Commands on a machine that is not idle: their time against the fair share of the cores.

    python benchmarks/busy.py [--commands propagate,fewshot,instance,track,evaluate] [--loads 0,1,2,4] [--together 4]
                              [--frames 8] [--repeats 2]

Each command runs alone, beside 1, 2 and 4 processes that compute without a pause, and four times at once. It starts as
a process of its own, on small pictures of the examples. Its fair share beside n busy processes on c cores with t
threads: of c cores, t threads and n processes get equal parts, so it should take max(1, (t + n) / c) times as long as
alone; four at once, with t threads each, 4 t / c times. Printed is the measured time over that: 1 = fair, below 1.3 =
as it should be. The baseline is what the command takes alone; other programs must not run meanwhile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vossegcli.batch.threads import threads

EXAMPLES = Path(__file__).parents[1] / "examples"
COMMANDS: dict[str, tuple[str, ...]] = {
    "propagate": ("propagate", "{bunny}", "--mask", f"{EXAMPLES}/bunny/masks/00000.png", "--adapt", "0"),
    "fewshot": ("fewshot", f"{EXAMPLES}/tissue/tiles", "--support", f"{EXAMPLES}/tissue/annotated"),
    "instance": ("instance", f"{EXAMPLES}/nuclei/images"),
    "track": ("track", "{nuclei}"),
    "evaluate": ("evaluate", "vos", f"{EXAMPLES}/bunny/masks", f"{EXAMPLES}/bunny/masks", "--protocol", "all-frames"),
}


def fair_share(own: int, others: int, cores: int) -> float:
    """How many times as long some threads take beside others, where all get equal parts of the cores."""
    return max(1.0, (own + others) / cores)


def compute_for_ever() -> None:
    """Keep a core busy."""
    while True:
        sum(range(10_000))


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run processes beside the block that compute without a pause."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=compute_for_ever, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    if count:
        time.sleep(2.0)  # until they compute
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def seconds(words: tuple[str, ...], together: int, folder: Path) -> float:
    """Time of a command, or of several at once, until the last has ended."""
    program = Path(sys.executable).parent / "vosseg"
    outputs = [folder / f"out{number}" for number in range(together)]
    began = time.perf_counter()
    running = []
    for output in outputs:
        output_words = ("-o", output) if words[0] != "evaluate" else ()
        line = [str(word) for word in (program, *words, *output_words, "-q")]
        running.append(subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, stderr = process.communicate()
        if process.returncode:
            sys.exit(f"{' '.join(words)} ended with {process.returncode}:\n{stderr}")
    taken = time.perf_counter() - began
    for output in outputs:
        shutil.rmtree(output, ignore_errors=True)
    return taken


def frames_of(example: str, count: int, folder: Path) -> Path:
    """Link the first frames of an example into a folder."""
    target = folder / example
    target.mkdir()
    for path in sorted((EXAMPLES / example / "frames").iterdir())[:count]:
        (target / path.name).symlink_to(path)
    return target


def main() -> None:
    """Print a row per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--loads", default="0,1,2,4")
    parser.add_argument("--together", type=int, default=4)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    loads = [int(text) for text in arguments.loads.split(",")]
    cores, own = len(os.sched_getaffinity(0)), threads()
    table = Table(
        "command", "alone, s", *(f"beside {n}" for n in loads if n), f"{arguments.together} at once", box=None
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = {
            "bunny": frames_of("bunny", arguments.frames, folder),
            "nuclei": frames_of("moving_nuclei", arguments.frames, folder),
        }
        for command in arguments.commands.split(","):
            words = tuple(word.format(**places) for word in COMMANDS[command])
            alone = min(seconds(words, 1, folder) for _ in range(arguments.repeats))
            row = []
            for load in (n for n in loads if n):
                with busy_processes(load):
                    taken = min(seconds(words, 1, folder) for _ in range(arguments.repeats))
                row.append(taken / alone / fair_share(own, load, cores))
            taken = seconds(words, arguments.together, folder)
            row.append(taken / alone / fair_share(own, (arguments.together - 1) * own, cores))
            table.add_row(command, f"{alone:.1f}", *(f"{ratio:.2f}" for ratio in row))
    Console().print(f"{cores} cores, {own} threads per command; time over the fair share, 1 = fair")
    Console().print(table)


if __name__ == "__main__":
    main()
