"""Does a class's tail help an outlet with a short history? Figures as JSON on stdout.

    uv run python bench/short_history.py FOLDER [--hours 4380]

The gas-turbine set of 2011-2013 (UCI 551, doi 10.24432/C5WC95) is cut into histories of `--hours`, one
beginning every half of that. Each is learnt and judges as many hours that follow it. Its fused tail is
its own; or its scale is drawn towards the mean scale of the class by months of history (`--weight`
months of the class count as much); or it is the class's. The class are the other histories that share
no hour with the history or with what it judges: parts of the same outlet's life, so a class as like the
outlet as none in a city will be. Cases counted are statistical ones, in data taken for honest.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from detection import BUDGETS, MONTH, count_interval, load, monitor

from jingwei.analysis.detection import Suite
from jingwei.analysis.detection.calibration import Tail


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=int, default=4380)
    parser.add_argument("--weight", type=float, default=6.0)
    given = parser.parse_args()
    columns, last = load(given.folder)
    size = given.hours
    starts = list(range(0, last - 2 * size + 1, size // 2))
    every = list(range(0, last - size + 1, size // 2))
    suites = {a: Suite.fit(monitor(columns, a, a + size)) for a in every}
    counts = {name: dict.fromkeys(BUDGETS, 0) for name in ("own", "shrunk", "class")}
    months, members, scales = 0.0, [], []
    for a in starts:
        suite = suites[a]
        own = suite.fused
        others = [
            tail
            for b in every
            if (b + size <= a or b >= a + 2 * size) and (tail := suites[b].fused) is not None
        ]
        if own is None or not others:
            continue
        mean = float(np.mean([t.scale for t in others]))
        shrunk = (own.months * own.scale + given.weight * mean) / (own.months + given.weight)
        tails: dict[str, Tail] = {
            "own": own,
            "shrunk": replace(own, scale=shrunk),
            "class": replace(own, scale=mean),
        }
        later = monitor(columns, a + size, a + 2 * size)
        months += size / MONTH
        members.append(len(others))
        scales.append([round(own.scale, 3), round(mean, 3), round(own.months, 2)])
        for name, tail in tails.items():
            suite.fused = tail
            look = suite.look(later)
            for b in BUDGETS:
                counts[name][b] += sum(f.tier == "statistical" for f in look.findings(b))
        suite.fused = own
        print(a, scales[-1], counts, file=sys.stderr, flush=True)
    out = {
        "hours": size,
        "histories": len(members),
        "class": members,
        "own scale, class scale, months counted": scales,
        "outlet-months judged": months,
        "cases": {n: {str(b): c for b, c in by.items()} for n, by in counts.items()},
        "realised / nominal": {
            n: {str(b): c / months / b for b, c in by.items()} for n, by in counts.items()
        },
        "95 %": {
            n: {str(b): [x / months / b for x in count_interval(c)] for b, c in by.items()}
            for n, by in counts.items()
        },
    }
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
