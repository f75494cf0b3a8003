"""CPU threads on a machine that is not idle: how many, and how long an idle one spins.

Imports neither torch nor NumPy: the variables must be set before an OpenMP runtime is loaded, which reads them once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Short spinning for GNU's runtime (PyTorch on Linux) and for LLVM's and Intel's (macOS, Windows; in milliseconds).
#: By default threads spin for long at every barrier, and on a busy machine they wait for one that has no core.
SPIN = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
COUNT = "OMP_NUM_THREADS"
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def prepare_threads(count: int | None = None) -> None:
    """Set the number of threads and their spinning for this process and those that it starts.

    What the user has set in the environment stays, but for the number where `count` is given.

    Args:
        count: threads of the whole run; None = OMP_NUM_THREADS, or one for each core that can be used.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SPIN.items():
            os.environ.setdefault(name, value)
    if count is not None or _users_count() is None:
        os.environ[COUNT] = str(count or available_cores())
    if count is not None and "torch" in sys.modules:  # the runtime is loaded and no longer reads the variable
        sys.modules["torch"].set_num_threads(count)


def threads() -> int:
    """Return the number of threads that this run may use in all."""
    return _users_count() or available_cores()


def _users_count() -> int | None:
    """Return the number in the environment (the first of nested ones); None where it is absent or no number."""
    text = os.environ.get(COUNT, "").split(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def available_cores() -> int:
    """Return the cores that this process can keep busy, by its affinity and its control group's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(CGROUPS, OWN_CGROUP)
    return affinity if quota is None else max(1, min(affinity, int(quota)))


def cpu_quota(root: Path, own: Path) -> float | None:
    """Read the quota of a process's control group and of all above it, in cores.

    Args:
        root: where control groups are mounted, of version 1 or 2.
        own: the process's `/proc/.../cgroup`.

    Returns:
        The smallest quota; None where there is none.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines() if line.count(":") >= 2]  # noqa: PLR2004
    except OSError:
        return None
    quotas = []
    for _, controllers, path in lines:
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "cpu" if controllers else root
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        folder = mount / path.lstrip("/")
        if not folder.is_dir():  # inside a container the own group is mounted as the root
            folder = mount
        while folder == mount or mount in folder.parents:
            quotas.append(_quota([word for name in files for word in _words(folder / name)]))
            folder = folder.parent
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(words: list[str]) -> float | None:
    """Divide quota by period; None where the quota is `max` or -1, or something is missing."""
    if len(words) < 2 or not (words[0].isdecimal() and words[1].isdecimal() and int(words[1])):  # noqa: PLR2004
        return None
    return int(words[0]) / int(words[1])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []
