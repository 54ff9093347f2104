"""Time and memory of the inversion behind source tracing, on a made-up matrix as full as a city's.

    python bench/tracing.py --sources 20000 --draws 600

120 stations, 72 hours; each source is seen by an eighth of all hours of stations, as in
`jingwei validate city`. One line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

import numpy as np
from scipy.sparse import csr_matrix

from jingwei.analysis.air import tracing


def made(sources: int, rows: int, random: np.random.Generator) -> csr_matrix:
    each = sources // 8
    starts = np.arange(rows + 1) * each
    columns = np.concatenate(
        [random.integers(0, 8, each) + 8 * np.arange(each) for _ in range(rows)]
    )
    return csr_matrix((random.lognormal(-3, 1.5, len(columns)), columns, starts), (rows, sources))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=20_000)
    parser.add_argument("--draws", type=int, default=600)
    given = parser.parse_args()
    random = np.random.default_rng(1)
    a = made(given.sources, 72 * 120, random)
    inventory = random.lognormal(0, 1, given.sources)
    factor = random.lognormal(0, 0.3, given.sources)
    factor[:15] = 10.0
    exact = a @ (inventory * factor)
    measured = exact * (1 + 0.3 * random.standard_normal(len(exact)))
    small = made(80, 72 * 120, random)
    about = {"hours": 72, "noise": 0.02 * float(exact.mean())}
    tracing.invert(small, small @ np.ones(80), np.ones(80), hours=72, noise=1.0, draws=20)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    clock, work = time.perf_counter(), time.process_time()
    found = tracing.invert(a, measured, inventory, draws=given.draws, **about)
    print(
        json.dumps(
            {
                "name": "tracing",
                "sources": given.sources,
                "entries": int(a.nnz),
                "draws": given.draws,
                "seen": found.seen,
                "wall_s": round(time.perf_counter() - clock, 1),
                "cpu_s": round(time.process_time() - work, 1),
                "before_gib": round(held, 2),
                "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
                "load": [round(x, 1) for x in os.getloadavg()],
            }
        )
    )


if __name__ == "__main__":
    main()
