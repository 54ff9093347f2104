"""`python bench/air.py [--share 1.0] [--threads 2]`: the dispersion of a whole region, as JSON.

60,000 stacks on 1,000 x 1,000 cells of 500 m, 48 hours, puffs remembered for 24 hours. The goal is
120 s on two cores and 4 GiB. `--share` takes that part of the stacks. The kernels are compiled
beforehand on a small case; reading and compiling are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

import numpy as np

from jingwei.analysis.air.field.city import region
from jingwei.analysis.air.puffs import forward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--releases", type=int, default=2)
    given = parser.parse_args()
    forward(*region(50, 60, 2), threads=given.threads)
    sources, winds, grid = region(round(60_000 * given.share), 1000, 48)
    clock, work = time.perf_counter(), time.process_time()
    found = forward(sources, winds, grid, threads=given.threads, releases=given.releases)
    wall, cpu = time.perf_counter() - clock, time.process_time() - work
    b = found.balance
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {
                "name": "air",
                "stacks": len(sources),
                "cells": grid.nx * grid.ny,
                "hours": winds.hours,
                "releases_per_hour": given.releases,
                "threads": given.threads,
                "wall_s": round(wall, 1),
                "cpu_s": round(cpu, 1),
                "peak_gib": round(peak, 2),
                "load": [round(x, 1) for x in os.getloadavg()],
                "mass_error": (b.airborne + b.left + b.lost + b.aged) / b.emitted - 1,
                "field_mean": float(np.mean(found.mesh[-1], dtype=np.float64)),
                "goal": {"wall_s": 120, "peak_gib": 4},
            }
        )
    )


if __name__ == "__main__":
    main()
