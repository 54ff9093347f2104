from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from analysis.detection.injections import Columns, process_columns
from jingwei.analysis.detection import Monitor, Suite

DATA = Path(__file__).parents[2] / "data" / "detection"
START = datetime(2012, 1, 1, tzinfo=timezone(timedelta(hours=8)))
HOUR = timedelta(hours=1)
FIT = 9600  # rows learnt from; the rest is judged
LIMITS = {"NOX": 80.0, "CO": 5.0}

Make = Callable[..., Monitor]


@pytest.fixture(scope="session")
def columns() -> Columns:
    """2012 and 2013, with O2 and FLOW; do not change in place."""
    blocks = []
    names: list[str] = []
    for year in (2012, 2013):
        with gzip.open(DATA / f"gt_{year}.csv.gz", "rt") as file:
            names = file.readline().strip().split(",")
            blocks.append(np.loadtxt(file, delimiter=","))
    block = np.vstack(blocks)
    made = process_columns({n: block[:, i].copy() for i, n in enumerate(names)}, seed=3)
    for column in made.values():
        column.setflags(write=False)
    return made


def monitor(columns: Columns, first: int, stop: int, **more: object) -> Monitor:
    return Monitor(
        START + first * HOUR,
        HOUR,
        {k: v[first:stop] for k, v in columns.items()},
        ["NOX", "CO"],
        LIMITS,
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def make() -> Make:
    return monitor


@pytest.fixture(scope="session")
def suite(columns: Columns) -> Suite:
    return Suite.fit(monitor(columns, 0, FIT))
