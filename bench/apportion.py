"""`python bench/apportion.py --con FILE --unc FILE --esat PYTHON [--factors 4,6,8]`: PMF, as JSON.

Ours against esat (ls-nmf, `--models` random starts, its default stopping rule) on the same files;
PYTHON is an interpreter that has esat, which cannot share an environment with a new numba. esat
2025.0.1 with its Rust kernels (`--path rust`) ended at sums of residuals a million times too high on
both sets, so its NumPy kernels are the default. CPU
seconds of each process's own work, without imports and compilation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ESAT = """
import contextlib, io, json, resource, sys
import numpy as np
from esat.model.sa import SA
con, unc, factors, models = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
load = lambda p: np.genfromtxt(p, delimiter=",", skip_header=1, encoding="utf-8-sig")[:, 1:]
v, u = load(con), load(unc)
def spent():
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime
found = {}
for k in factors:
    clock, best = spent(), []
    for seed in range(42, 42 + models):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            one = SA(V=v, U=u, factors=k, method="ls-nmf", seed=seed, verbose=False)
            one.optimized = sys.argv[6] == "rust"
            one.initialize(init_method="column_mean")
            one.train(max_iter=20000, converge_delta=0.1, converge_n=int(sys.argv[5]))
        best.append(float(one.Qtrue))
    found[str(k)] = {"q_first": best[0], "q": min(best), "cpu_s": round(spent() - clock, 2)}
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--con", type=Path, required=True)
    parser.add_argument("--unc", type=Path, required=True)
    parser.add_argument("--factors", default="4,6,8")
    parser.add_argument("--esat", help="a Python that has esat")
    parser.add_argument("--models", type=int, default=1)
    parser.add_argument("--converge", type=int, default=25, help="esat's converge_n")
    parser.add_argument("--path", choices=("python", "rust"), default="python", help="of esat")
    parser.add_argument("--starts", type=int, default=40)
    given = parser.parse_args()
    from jingwei.analysis.air.apportion import files, pmf

    numbers = [int(k) for k in given.factors.split(",")]
    samples = files.read(given.con, given.unc)
    pmf.factorise(samples, 1, starts=1, sweeps=1)
    ours = {}
    for k in numbers:
        clock = time.process_time()
        one = pmf.factorise(samples, k, starts=given.starts)
        ours[str(k)] = {"q": one.q, "cpu_s": round(time.process_time() - clock, 3)}
    theirs = {}
    if given.esat:
        command = [given.esat, "-c", ESAT, str(given.con), str(given.unc), json.dumps(numbers),
                   str(given.models), str(given.converge), given.path]  # fmt: skip
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        theirs = json.loads(told.strip().splitlines()[-1])
    json.dump({"name": "apportion", "starts": given.starts, "ours": ours, "esat_models": given.models, "esat_path": given.path,
               "esat": theirs}, sys.stdout)  # fmt: skip
    print()


if __name__ == "__main__":
    main()
