"""`python bench/air.py [--share 1.0] [--threads 2] [--engine numba jax]`: the dispersion of a whole
region, as JSON.

60,000 stacks on 1,000 x 1,000 cells of 500 m, 48 hours, puffs remembered for 24 hours. The goal is
120 s on two cores and 4 GiB; 1 s on a GPU of the class of an H200. `--share` takes that part of the
stacks. Several engines run one after another, and the field of each is held against the first's. The
numba kernels are compiled beforehand on a small case. JAX compiles for the sizes of the job: `wall_s`
is its second run, which is compiled already, `first_s` the first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from typing import Any

import numpy as np

from jingwei.analysis.air.field.city import region
from jingwei.analysis.air.puffs import ENGINES, Fields, forward


def measured(engine: str, case: Any, threads: int, releases: int) -> tuple[dict[str, Any], Fields]:
    about: dict[str, Any] = {"engine": engine, "threads": threads, "releases": releases}
    told: dict[str, Any] = {}
    begin = time.perf_counter()
    forward(*(region(50, 60, 2) if engine == "numba" else case), **about)
    if engine != "numba":
        told["first_s"] = round(time.perf_counter() - begin, 2)
    clock, work = time.perf_counter(), time.process_time()
    found = forward(*case, **about)
    wall, cpu = time.perf_counter() - clock, time.process_time() - work
    b = found.balance
    return told | {
        "engine": found.engine,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "load": [round(x, 1) for x in os.getloadavg()],
        "mass_error": (b.airborne + b.left + b.lost + b.aged) / b.emitted - 1,
        "field_mean": float(np.mean(found.mesh[-1], dtype=np.float64)),
        "goal": {"wall_s": 1} if "(cpu)" not in found.engine and engine != "numba"
        else {"wall_s": 120, "peak_gib": 4},
    }, found  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--releases", type=int, default=2)
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=["numba"])
    given = parser.parse_args()
    case = region(round(60_000 * given.share), 1000, 48)
    runs: list[dict[str, Any]] = []
    first: Any = None
    for engine in given.engine:
        told, found = measured(engine, case, given.threads, given.releases)
        if first is None:
            first = found.mesh
        else:
            off = max(float(np.abs(a - b).max()) for a, b in zip(found.mesh, first, strict=True))
            told["largest_difference"] = off / float(first.max())
        runs.append(told)
    sources, winds, grid = case
    print(
        json.dumps(
            {
                "name": "air",
                "stacks": len(sources),
                "cells": grid.nx * grid.ny,
                "hours": winds.hours,
                "releases_per_hour": given.releases,
                "runs": runs,
            }
        )
    )


if __name__ == "__main__":
    main()
