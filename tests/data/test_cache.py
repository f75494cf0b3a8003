from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vossegcli.data import cache
from vossegcli.data.cache import ArrayCache, free_memory


def test_the_cache_is_bounded_by_bytes_and_forgets_what_was_used_least_recently() -> None:
    made: list[int] = []

    def get(key: int) -> np.ndarray:
        def make() -> np.ndarray:
            made.append(key)
            return np.full(100, key, np.uint8)

        return arrays.get(key, make)

    arrays: ArrayCache[int] = ArrayCache(250)
    assert [int(get(key)[0]) for key in (1, 2, 1, 3, 1, 2)] == [1, 2, 1, 3, 1, 2]
    assert made == [1, 2, 3, 2]  # 2 had to go for 3, for 1 was used after it
    assert arrays.nbytes == 200


def test_an_array_larger_than_the_cache_is_not_kept() -> None:
    arrays: ArrayCache[str] = ArrayCache(10)
    assert arrays.get("large", lambda: np.zeros(100, np.uint8)).size == 100
    assert arrays.nbytes == 0


def test_the_limit_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "free_memory", lambda: 1000)
    arrays: ArrayCache[int] = ArrayCache()
    for key in range(20):
        arrays.get(key, lambda: np.zeros(100, np.uint8))
    assert arrays.nbytes == 200  # a quarter, in whole arrays


@pytest.mark.parametrize(
    ("meminfo", "limit", "free"),
    [
        ("MemTotal: 9 kB\nMemAvailable:   2048 kB\n", None, 2 << 20),
        ("MemAvailable: 2048 kB\n", "max", 2 << 20),
        ("MemAvailable: 2048 kB\n", "1048576", 1 << 20),
        (None, None, cache.FALLBACK_BYTES),
        ("nonsense", None, cache.FALLBACK_BYTES),
    ],
)
def test_free_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, meminfo: str | None, limit: str | None, free: int
) -> None:
    for name, text in (("MEMINFO", meminfo), ("MEMORY_LIMIT", limit)):
        monkeypatch.setattr(cache, name, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text)
    assert free_memory() == free
