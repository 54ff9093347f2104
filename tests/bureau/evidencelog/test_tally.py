"""Counting over processes: exact, by address and minute, bounded."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from jingwei.bureau.evidencelog import tally

KEY = b"key of this installation"


def ask(path: Path, times: int) -> int:
    return sum(tally.within(path, KEY, "10.0.0.1", 250, 7) for _ in range(times))


def test_all_processes_count_together(tmp_path: Path) -> None:
    path = tmp_path / "tally"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn) as pool:
        assert sum(pool.map(ask, [path] * 3, [100] * 3)) == 250
    assert not tally.within(path, KEY, "10.0.0.1", 250, 7)
    assert tally.within(path, KEY, "10.0.0.2", 250, 7)  # another address
    assert tally.within(path, KEY, "10.0.0.1", 250, 8)  # the next minute


def test_the_file_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "tally"
    for n in range(2000):
        tally.within(path, KEY, f"2001:db8::{n:x}", 5, 7)
    assert path.stat().st_size <= tally.SLOTS * 8
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_its_file_nothing_is_limited(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert tally.within(tmp_path / "file" / "tally", KEY, "10.0.0.1", 0, 7)
