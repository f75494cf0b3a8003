"""The benchmark for GPUs, tried on a CPU with small networks: every part ends and says something."""

import sys
from pathlib import Path

import pytest

from tests.conftest import finish, start

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_all_parts_run_on_a_cpu() -> None:
    words = (sys.executable, REPOSITORY / "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--precision", "fp32")
    outcome = finish(start(words))
    assert outcome.code == 0, outcome.stderr
    for part in ("propagate", "instance", "track", "fewshot", "command", "memory"):
        after = outcome.stdout.split(f"\n{part}\n")[1]
        assert after.startswith("  "), f"{part} says nothing"
    assert outcome.stdout.count("CUDA") == 2
