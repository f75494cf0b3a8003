from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vossegcli.batch import threads
from vossegcli.batch.threads import available_cores, cpu_quota, prepare_threads


def groups(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    root, mine = folder / "cgroup", folder / "own"
    root.mkdir()
    mine.write_text(own)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root, mine


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),  # the parent's counts too
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "150000 100000"}, 0.5),
        ("0::/\n", {"cpu.max": "400000 100000"}, 4.0),
        ("0::/gone/from/here\n", {"cpu.max": "300000 100000"}, 3.0),  # a container sees its own group as the root
        ("0::/a\n", {"a/cpu.max": "max 100000"}, None),
        ("0::/a\n", {"a/cpu.max": "nonsense"}, None),
        ("0::/a\n", {"a/cpu.max": ""}, None),
        (
            "4:cpu,cpuacct:/job\n1:name=systemd:/x\n",
            {"cpu/job/cpu.cfs_quota_us": "250000", "cpu/job/cpu.cfs_period_us": "100000"},
            2.5,
        ),
        ("4:cpu:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/job\n", {"cpu/job/cpu.cfs_quota_us": "1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_quota_of_control_groups(tmp_path: Path, own: str, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(*groups(tmp_path, own, files)) == quota


def test_no_control_groups_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path, tmp_path / "absent") is None


@pytest.mark.parametrize(("quota", "cores"), [("150000", 1), ("200000", 2), ("10000", 1), ("99900000", 3)])
def test_cores_by_affinity_and_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, cores: int) -> None:
    root, own = groups(tmp_path, "0::/\n", {"cpu.max": f"{quota} 100000"})
    monkeypatch.setattr(threads, "CGROUPS", root)
    monkeypatch.setattr(threads, "OWN_CGROUP", own)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert available_cores() == cores


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*threads.SPIN, threads.COUNT, "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # restored after the test
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return monkeypatch


def test_spinning_and_number_are_set(clean: pytest.MonkeyPatch) -> None:
    clean.setattr(threads, "available_cores", lambda: 5)
    prepare_threads()
    assert {name: os.environ[name] for name in threads.SPIN} == threads.SPIN
    assert os.environ[threads.COUNT] == "5"
    assert threads.threads() == 5


def test_the_users_own_settings_stay(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("GOMP_SPINCOUNT", "7")
    clean.setenv(threads.COUNT, "3")
    prepare_threads()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    assert threads.threads() == 3


def test_a_wait_policy_of_the_user_is_not_overruled(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("OMP_WAIT_POLICY", "active")
    prepare_threads()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_an_explicit_number_wins(clean: pytest.MonkeyPatch) -> None:
    clean.setenv(threads.COUNT, "3")
    prepare_threads(2)
    assert threads.threads() == 2


@pytest.mark.parametrize("text", ["", "many", "0", "-2"])
def test_a_number_that_is_none_counts_as_unset(clean: pytest.MonkeyPatch, text: str) -> None:
    clean.setenv(threads.COUNT, text)
    clean.setattr(threads, "available_cores", lambda: 4)
    assert threads.threads() == 4


def test_torch_takes_the_number_that_was_set_before_it_was_loaded() -> None:
    code = (
        "from vossegcli.batch.threads import prepare_threads; import sys; assert 'torch' not in sys.modules;"
        "prepare_threads(1); import torch; print(torch.get_num_threads())"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop(threads.COUNT, None)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "1"
