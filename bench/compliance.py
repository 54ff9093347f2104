"""Figures of the judgement of hourly data, beside DuckDB SQL and pandas in the same run; prints JSON.

    uv run --group bench python bench/compliance.py [--points 60000] [--days 2] [--threads 2] [--folder DIR]

A synthetic lake: closed local days as `ingest` writes them (schema, row groups, zstd, catalogue),
`points` points with 8 factors (NOx, SO2, dust, CO, HCl with limits at 6, 9 or 11 % O2, oxygen,
temperature, flow), a mark where something is wrong, gaps. 60,000 points are 11.4 million values a
day; a year of them is 4.2 billion, so as many days are measured as `--days` says, and the year is
extrapolated by rows (`--days 365` is the year itself: some 30 GB).

What is measured is what `jingwei monitor year --exceedances` runs (`bureau.monitoring.sweep`):
`array`: the rule on arrays in memory (marks -> validity -> reference oxygen -> limit -> times over).
`columns`: only reading the columns, piece by piece (`Lake.pieces`). `whole`: the same, the words of
the file turned into places, and the judgement. The command also judges what is over a limit once
more, with every step; that part rests on the database and is not in here. Memory is bounded by the
pieces in flight (`peak_rss_mb`), not by the day. The same judgement as DuckDB SQL (oxygen by a join)
and in pandas (oxygen by a merge, one day at once). Both compare binary numbers as they are and so
count a few values that lie exactly on the limit as exceedances (`on_the_limit`: how many more they
count); the rest of the results must be equal (`same`). `_cpu_` figures are values per second of
processor time, times the threads: what an otherwise idle machine would do; the others are by the
clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jingwei.analysis import bulk
from jingwei.analysis.compliance import Verdict
from jingwei.bureau.monitoring import sweep
from jingwei.standards import codes
from jingwei.telemetry.catalog import add_files, catalog, digest
from jingwei.telemetry.lake import Lake
from jingwei.telemetry.parquet import ROWS_A_GROUP, SCHEMA

FACTORS = ("a01011", "a01012", "a19001", "a21002", "a21005", "a21024", "a21026", "a34013")
OXYGEN = FACTORS.index("a19001")
LEVEL = {"a01011": 12.0, "a01012": 120.0, "a19001": 9.0, "a21002": 60.0, "a21005": 30.0,
         "a21024": 15.0, "a21026": 20.0, "a34013": 5.0}  # fmt: skip
BOUND = {"a21002": 100.0, "a21005": 80.0, "a21024": 50.0, "a21026": 35.0, "a34013": 10.0}
REFERENCE = (6.0, 9.0, 11.0)  # by point
MARKS = ("N", "D", "M", "C", "")
COLUMNS = ["mn", "factor", "time", "value", "flag"]
FIRST = date(2026, 1, 1)
EPOCH = np.datetime64("2025-12-31T16:00:00", "us")  # midnight in Beijing


def mn(point: int) -> str:
    return f"{point:024d}"


def limits(points: int) -> bulk.Limits:
    made = bulk.Limits.empty(points, len(FACTORS) + 1)
    for k, reference in enumerate(REFERENCE):
        for factor, bound in BOUND.items():
            made.put(slice(k, None, 3), FACTORS.index(factor), bound, "mg/m³", given="mg/m³",
                     reference_o2=reference)  # fmt: skip
    return made


def desk(points: int) -> bulk.Desk:
    """The words of the file, as `sweep.book` makes them of the registry."""
    column = {name: k for k, name in enumerate(FACTORS)}
    return bulk.Desk(
        points={(mn(p), "31"): p for p in range(points)},
        version=np.full(points, codes.VERSIONS.index("2017"), dtype=np.int8),
        columns=(column,) * len(codes.VERSIONS),
        words=({"N": True, "": True},) * len(codes.VERSIONS),
        rest=len(FACTORS),
    )


def write_day(path: Path, points: int, day: int) -> int:
    """One file of a closed day: sorted by point, factor, time; 2 % marked, 1 % of the hours gone."""
    rng = np.random.default_rng(day)
    n = points * len(FACTORS) * 24
    level = np.tile(np.repeat([LEVEL[f] for f in FACTORS], 24), points)
    value = np.round(level * rng.lognormal(0.0, 0.25, n), 2)
    value[rng.random(n) < 0.001] *= -1
    oxygen = np.tile(np.repeat(np.arange(len(FACTORS)) == OXYGEN, 24), points)
    value[oxygen] = np.clip(value[oxygen], -5, 21.0)
    mark = np.where(rng.random(n) < 0.98, 0, rng.integers(1, len(MARKS), n)).astype(np.int32)
    keep = np.flatnonzero(rng.random(n) >= 0.01)
    hours = np.tile(np.arange(24), points * len(FACTORS))[keep]
    times = EPOCH + (hours + 24 * day) * np.timedelta64(3_600_000_000, "us")
    text = pa.array([mn(p) for p in range(points)])
    columns: dict[str, Any] = {
        "mn": pa.DictionaryArray.from_arrays(
            pa.array((keep // (len(FACTORS) * 24)).astype(np.int32)), text
        ).cast(pa.string()),
        "st": pa.repeat("31", len(keep)),
        "factor": pa.DictionaryArray.from_arrays(
            pa.array((keep // 24 % len(FACTORS)).astype(np.int32)), pa.array(FACTORS)
        ).cast(pa.string()),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "value": pa.array(value[keep]),
        "flag": pa.DictionaryArray.from_arrays(
            pa.array(mark[keep], mask=mark[keep] == MARKS.index("")), pa.array(MARKS)
        ).cast(pa.string()),
        "received": pa.array(times + np.timedelta64(60_000_000, "us"), pa.timestamp("us", "UTC")),
        "seq": pa.array(keep // 8),
        "batch": pa.repeat(pa.scalar(day, pa.int64()), len(keep)),
    }
    for name in SCHEMA.names:
        if name not in columns:
            columns[name] = columns["value"]
    table = pa.table({f.name: columns[f.name] for f in SCHEMA}, schema=SCHEMA)
    pq.write_table(table, path, compression="zstd", row_group_size=ROWS_A_GROUP)
    return len(keep)


def write_lake(root: Path, points: int, days: int) -> int:
    """Closed days with their catalogue; the rows of all."""
    (root / "hour").mkdir()
    total = 0
    with catalog(root) as db:
        for n in range(days):
            path = f"hour/{n:03d}.parquet"
            rows = write_day(root / path, points, n)
            day = str(FIRST + timedelta(days=n))
            add_files(db, [(path, "hour", day, 1, rows, n, n, True, 0, digest(root / path))])
            total += rows
        db.execute("UPDATE file SET again = 0")  # no observation came twice
        db.commit()
    return total


mine = threading.local()


def room() -> bulk.Room:
    """Buffers of the thread's own."""
    if not hasattr(mine, "room"):
        mine.room = bulk.Room.of(sweep.PIECE + 10_000)
    found: bulk.Room = mine.room
    return found


def read(lake: Lake, day: int) -> Any:
    return lake.pieces("hour", FIRST + timedelta(days=day), sweep.COLUMNS)


def begin(day: int) -> int:
    """The start of a day in seconds."""
    return int((EPOCH + day * np.timedelta64(86_400_000_000, "us")).astype(np.int64)) // 1_000_000


def count(found: bulk.Judgements) -> tuple[int, int, float]:
    over = np.flatnonzero(found.verdict == Verdict.EXCEEDED)
    return len(over), int(np.count_nonzero(found.verdict)), float(found.multiple[over].sum())


def peak_rss_mb() -> int | None:
    """The most memory that this process had (Linux; `ru_maxrss` would show its parent's)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def add(parts: Any) -> tuple[int, int, float]:
    over, judged, times = zip(*parts, strict=True)
    return sum(over), sum(judged), sum(times)


def best(work: Callable[[], Any], repeat: int) -> tuple[float, float, Any]:
    """Least time by the clock and least processor time of so many runs, and the result."""
    clock, spent = [], []
    for _ in range(repeat):
        begun, used = time.perf_counter(), time.process_time()
        result = work()
        clock.append(time.perf_counter() - begun)
        spent.append(time.process_time() - used)
    return min(clock), min(spent), result


def jingwei(root: Path, days: int, points: int, threads: int, repeat: int) -> dict[str, Any]:
    table, places, lake = limits(points), desk(points), Lake(root)

    def nothing() -> Any:
        return np.zeros((points, len(FACTORS) + 1), dtype=np.uint32)

    held = [
        bulk.Rows(*(np.array(x) for x in (r.point, r.factor, r.hour, r.value, r.mark)), odd=0)
        for piece in read(lake, 0)
        for r in bulk.encode(
            sweep.page(piece), places, begin(0) * 1_000_000, nothing(), sweep.PIECE, room()
        )
    ]
    found: dict[str, Any] = {}

    def only_read(day: int) -> int:
        return sum(len(piece) for piece in read(lake, day))

    def judge(day: int) -> tuple[int, int, float]:
        seen, at = nothing(), begin(day)
        return add(
            count(said)
            for piece in read(lake, day)
            for _, said in sweep.judged(piece, places, [table], OXYGEN, at, seen, room())
        )

    def only_judge(r: bulk.Rows) -> None:
        bulk.judge(r.point, r.factor, r.hour, r.value, r.mark, limits=table,
                   normal=places.normal, oxygen=OXYGEN, out=room().judgements)  # fmt: skip

    only_judge(held[0])  # compiled here
    with ThreadPoolExecutor(threads) as pool:
        found["columns_s"], found["columns_cpu_s"], _ = best(
            lambda: sum(pool.map(only_read, range(days))), repeat
        )
        found["whole_s"], found["cpu_s"], found["result"] = best(
            lambda: add(pool.map(judge, range(days))), repeat
        )
        found["peak_rss_mb"] = peak_rss_mb()

        # The array part: pieces of the first day in memory, judged again and again.
        work = [rows for _ in range(3) for rows in held]
        n = sum(len(rows.point) for rows in work)
        clock, spent, _ = best(lambda: list(pool.map(only_judge, work)), repeat)
        found["array_values_per_s"] = round(n / clock)
        found["array_cpu_values_per_s"] = round(n / spent * threads)
    return found


SQL = """
WITH j AS (
  SELECT v.value, v.flag, o.value AS o2, o.flag AS o2_flag, l.bound, l.reference,
         v.value * (21 - l.reference) / nullif(21 - o.value, 0) AS c
  FROM read_parquet($files) v
  JOIN limits l ON l.mn = v.mn AND l.factor = v.factor
  LEFT JOIN (SELECT mn, time, value, flag FROM read_parquet($files) WHERE factor = 'a19001') o
         ON o.mn = v.mn AND o.time = v.time)
SELECT count(*) FILTER (c > bound), count(*), sum((c - bound) / bound) FILTER (c > bound) FROM j
WHERE value >= 0 AND coalesce(flag, '') IN ('N', '')
  AND o2 >= 0 AND o2 < 21 AND coalesce(o2_flag, '') IN ('N', '')
"""


def sql(files: list[Path], points: int, threads: int, repeat: int) -> dict[str, Any]:
    with duckdb.connect(config={"threads": threads}) as db:
        db.execute("CREATE TABLE limits(mn TEXT, factor TEXT, bound DOUBLE, reference DOUBLE)")
        every = pa.table({"mn": [mn(p) for p in range(points)],
                          "reference": [REFERENCE[p % 3] for p in range(points)]})  # fmt: skip
        bound = pa.table({"factor": list(BOUND), "bound": list(BOUND.values())})
        db.register("every", every)
        db.register("bound", bound)
        db.execute("INSERT INTO limits SELECT mn, factor, bound.bound, reference FROM every, bound")

        def run() -> Any:
            # A day at a time, as the lake is partitioned: memory stays within a day here too.
            return add([db.execute(SQL, {"files": [str(f)]}).fetchone() for f in files])

        clock, spent, result = best(run, repeat)
    return {"whole_s": clock, "cpu_s": spent, "result": result}


def pandas(files: list[Path], points: int, repeat: int) -> dict[str, Any]:
    import pandas as pd

    table = pd.DataFrame({"mn": [mn(p) for p in range(points)],
                          "reference": [REFERENCE[p % 3] for p in range(points)]})  # fmt: skip

    def day(file: Path) -> tuple[int, int, float]:
        df = pd.read_parquet(file, columns=COLUMNS)
        good = df["flag"].fillna("").isin(["N", ""])
        o2 = df[(df["factor"] == "a19001") & good & (df["value"] >= 0) & (df["value"] < 21)]
        df = df[good & df["factor"].isin(list(BOUND)) & (df["value"] >= 0)]
        df = df.merge(o2[["mn", "time", "value"]], on=["mn", "time"], suffixes=("", "_o2"))
        df = df.merge(table, on="mn")
        bound = df["factor"].map(BOUND)
        c = df["value"] * (21 - df["reference"]) / (21 - df["value_o2"])
        over = c > bound
        return int(over.sum()), len(df), float(((c - bound) / bound)[over].sum())

    clock, spent, result = best(lambda: add([day(f) for f in files]), repeat)
    return {"whole_s": clock, "cpu_s": spent, "result": result}


def alone(part: str, arguments: argparse.Namespace, folder: Path) -> Any:
    """A part in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    for name in ("points", "days", "threads", "repeat"):
        command += [f"--{name}", str(getattr(arguments, name))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--points", type=int, default=60_000)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best counts")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--part", choices=("jingwei", "sql", "pandas"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    points, threads, repeat = arguments.points, arguments.threads, arguments.repeat
    if arguments.part:
        files = sorted(arguments.folder.glob("hour/*.parquet"))
        if arguments.part == "jingwei":
            made = jingwei(arguments.folder, len(files), points, threads, repeat)
        elif arguments.part == "sql":
            made = sql(files, points, threads, repeat)
        else:
            made = pandas(files, points, repeat)
        made.setdefault("peak_rss_mb", peak_rss_mb())
        print(json.dumps(made))
        return
    if importlib.util.find_spec("pandas") is None:
        parser.error("pandas is missing: uv run --group bench python bench/compliance.py")

    folder = Path(tempfile.mkdtemp(dir=arguments.folder, prefix="bench-compliance-"))
    try:
        rows = write_lake(folder, points, arguments.days)
        size = sum(f.stat().st_size for f in folder.glob("hour/*.parquet"))
        found = {part: alone(part, arguments, folder) for part in ("jingwei", "sql", "pandas")}
    finally:
        shutil.rmtree(folder)
    ours = found["jingwei"]
    year = points * len(FACTORS) * 8760
    for part in found.values():
        part["whole_values_per_s"] = round(rows / part["whole_s"])
        part["whole_cpu_values_per_s"] = round(rows / part["cpu_s"] * threads)
        part["year_extrapolated_min"] = round(year / part["whole_values_per_s"] / 60, 1)
    peers = [found[k]["result"] for k in ("sql", "pandas")]
    result = {
        "machine": {
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
        },
        "values": rows,
        "year_values": year,
        "bytes_per_value_on_disk": round(size / rows, 2),
        "threads": threads,
        "array_M_per_s": round(ours["array_values_per_s"] / 1e6, 1),
        "array_cpu_M_per_s": round(ours["array_cpu_values_per_s"] / 1e6, 1),
        "columns_M_per_s": round(rows / ours["columns_s"] / 1e6, 1),
        "whole_M_per_s": round(rows / ours["whole_s"] / 1e6, 1),
        "whole_over_columns": round(ours["whole_s"] / ours["columns_s"], 2),
        "whole_over_columns_cpu": round(ours["cpu_s"] / ours["columns_cpu_s"], 2),
        "faster_than_cpu": {
            k: round(found[k]["cpu_s"] / ours["cpu_s"], 1) for k in ("sql", "pandas")
        },
        "on_the_limit": [p[0] - ours["result"][0] for p in peers],
        "same": all(
            p[1] == ours["result"][1] and abs(p[2] - ours["result"][2]) < 1e-6 for p in peers
        ),
    }
    print(json.dumps({**result, **found}, indent=2))


if __name__ == "__main__":
    main()
