"""The start of the program: signals that come while it loads, and what a command loads at all.

Covers: cli.early_signals, cli.entry
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import draw_mask, draw_video, finish, start
from vossegcli.io.records.json_files import read_run

SCRIPT = """
import pathlib, signal, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "vossegcli.cli.app":
            pathlib.Path({loading!r}).touch()
            time.sleep(300)

sys.meta_path.insert(0, Slow())
{before}
from vossegcli.cli.entry import main
main()
"""


def stop_early(tmp_path: Path, *numbers: signal.Signals, before: str = "") -> tuple[int, str]:
    loading = tmp_path / "loading"
    process = start([sys.executable, "-c", SCRIPT.format(loading=str(loading), before=before), "--version"])
    deadline = time.monotonic() + 300
    while not loading.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    outcome = finish(process)
    return outcome.code, outcome.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_loading(tmp_path: Path, number: signal.Signals, code: int) -> None:
    assert stop_early(tmp_path, number) == (code, "")


def test_what_the_shell_ignores_stays_ignored(tmp_path: Path) -> None:
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    assert stop_early(tmp_path, signal.SIGINT, signal.SIGTERM, before=before) == (143, "")


CLOSED = """
import sys
from vossegcli.cli.entry import main
sys.argv[1:] = ["instance", {image!r}, "--checkpoint", {checkpoint!r}, "-o", {output!r}]
main()
"""


def test_closed_streams_are_nowhere(tiny_tracker: Path, tmp_path: Path) -> None:
    """As a scheduler closes them: a file that is opened next would get the number of stderr and what is said there."""
    (name,) = draw_video(tmp_path / "clip", 1)
    image, output = tmp_path / "clip" / f"{name}.jpg", tmp_path / "out"
    script = tmp_path / "script.py"
    script.write_text(CLOSED.format(image=str(image), checkpoint=str(tiny_tracker), output=str(output)))
    outcome = finish(start(["sh", "-c", f"exec {sys.executable} {script} <&- >&- 2>&-"]))
    assert outcome.code == 0
    assert read_run(output)["status"] == "finished"


LOADED = """
import sys
from vossegcli.cli.app import app
assert app({words}, standalone_mode=False) in (0, None)
slow = {{"torch", "torchvision", "torch._dynamo", "scipy.ndimage", "scipy.optimize", "av"}}
print(*sorted(slow & set(sys.modules)))
"""


@pytest.mark.parametrize("command", ["propagate", "fewshot"])
def test_a_run_with_the_default_checkpoint_loads_nothing_slow_but_torch(command: str, tmp_path: Path) -> None:
    draw_video(tmp_path / "clip", 2, ids=(1,))
    if command == "propagate":
        masks = ["--mask", draw_mask(tmp_path / "mask.png", ids=(1,))]
    else:
        draw_video(tmp_path / "support" / "square", 1, ids=(1,))
        draw_mask(tmp_path / "support" / "square" / "00000.png", ids=(1,))
        masks = ["--support", tmp_path / "support"]
    words = [
        str(word) for word in (command, tmp_path / "clip", *masks, "--device", "cpu", "-q", "-o", tmp_path / "out")
    ]
    program = LOADED.format(words=words)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "masks").is_dir()
    assert done.stdout.split() == ["torch"]


FROZEN = """
import gc
from vossegcli.cli.app import main
try:
    main()
finally:
    print(gc.get_freeze_count())
"""


def test_what_is_loaded_is_not_looked_through_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", FROZEN, "--version"], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) > 10_000
