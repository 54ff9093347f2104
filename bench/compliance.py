"""Figures of the judgement of hourly data, beside DuckDB SQL and pandas in the same run; prints JSON.

    python bench/compliance.py [--points 60000] [--days 2] [--threads 2] [--folder DIR]

A synthetic lake: files of one local day as `ingest` writes them (schema of `telemetry.lake`, zstd),
`points` points with 8 factors (NOx, SO2, dust, CO, HCl with limits at 6, 9 or 11 % O2, oxygen,
temperature, flow), a mark where something is wrong, gaps. 60,000 points are 11.5 million values a
day; a year of them is 4.2 billion, so a few days are measured and the year is extrapolated by rows.

`array`: the rule on arrays in memory (marks -> validity -> reference oxygen -> limit -> times over).
`columns`: only reading the columns, batch by batch. `whole`: the same with the judgement. Memory is
bounded by the batches in flight (`peak_rss_mb`), not by the day. The same judgement as DuckDB SQL
(oxygen by a join) and in pandas (oxygen by a merge, one day at once). pandas is no dependency: where
it is not installed its part is null. Both compare binary numbers as they are and so count a few
values that lie exactly on the limit as exceedances (`on_the_limit`: how many more they count); the
rest of the results must be equal (`same`). `_cpu_` figures are values per second of processor time,
times the threads: what an otherwise idle machine would do; the others are by the clock.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jingwei.analysis import bulk
from jingwei.telemetry import lake

FACTORS = ("a01011", "a01012", "a19001", "a21002", "a21005", "a21024", "a21026", "a34013")
OXYGEN = FACTORS.index("a19001")
LEVEL = {"a01011": 12.0, "a01012": 120.0, "a19001": 9.0, "a21002": 60.0, "a21005": 30.0,
         "a21024": 15.0, "a21026": 20.0, "a34013": 5.0}  # fmt: skip
BOUND = {"a21002": 100.0, "a21005": 80.0, "a21024": 50.0, "a21026": 35.0, "a34013": 10.0}
REFERENCE = (6.0, 9.0, 11.0)  # by point
MARKS = ("N", "D", "M", "C", "")
NORMAL = np.array([m in ("N", "") for m in MARKS])
COLUMNS = ["mn", "factor", "time", "value", "flag"]
EPOCH = np.datetime64("2025-12-31T16:00:00", "us")  # midnight in Beijing


def mn(point: int) -> str:
    return f"{point:024d}"


def limits(points: int) -> bulk.Limits:
    made = bulk.Limits.empty(points, len(FACTORS))
    for k, reference in enumerate(REFERENCE):
        for factor, bound in BOUND.items():
            made.put(slice(k, None, 3), FACTORS.index(factor), bound, "mg/m³", given="mg/m³",
                     reference_o2=reference, high=2000.0)  # fmt: skip
    return made


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
        "flag": pa.DictionaryArray.from_arrays(pa.array(mark[keep]), pa.array(MARKS)).cast(
            pa.string()
        ),
        "received": pa.array(times + np.timedelta64(60_000_000, "us"), pa.timestamp("us", "UTC")),
        "seq": pa.array(keep // 8),
        "batch": pa.repeat(pa.scalar(day, pa.int64()), len(keep)),
    }
    for name in lake.SCHEMA.names:
        if name not in columns:
            columns[name] = columns["value"]
    table = pa.table({f.name: columns[f.name] for f in lake.SCHEMA}, schema=lake.SCHEMA)
    pq.write_table(table, path, compression="zstd")
    return len(keep)


Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def codes(column: Any, known: dict[str, int]) -> np.ndarray:
    """A dictionary column as places in a table; the dictionaries of the pieces differ."""
    column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().chunk(0)
    place = np.array([known[x] for x in column.dictionary.to_pylist()], dtype=np.int32)
    taken: np.ndarray = place[column.indices.to_numpy(zero_copy_only=False)]
    return taken


def batches(path: Path, day: int, known: dict[str, int]) -> Iterator[Batch]:
    """The arrays of a file, row group by row group, cut where a point ends."""
    file = pq.ParquetFile(path, read_dictionary=["mn", "factor", "flag"], memory_map=True)
    factors, marks = ({x: i for i, x in enumerate(t)} for t in (FACTORS, MARKS))
    start = int((EPOCH + day * np.timedelta64(86_400_000_000, "us")).astype(np.int64))
    rest: Batch | None = None
    for group in range(file.num_row_groups):
        t = file.read_row_group(group, columns=COLUMNS, use_threads=False)
        hour = (t["time"].to_numpy().astype("M8[us]").astype(np.int64) - start) // 3_600_000_000
        got: Batch = (
            codes(t["mn"], known),
            codes(t["factor"], factors),
            hour.astype(np.int32),
            t["value"].to_numpy(),
            codes(t["flag"], marks),
        )
        if rest is not None:
            got = tuple(np.concatenate(x) for x in zip(rest, got, strict=True))  # type: ignore[assignment]
        end = len(got[0])
        if group + 1 < file.num_row_groups:
            end = int(np.searchsorted(got[0], got[0][-1], side="left"))
        rest = tuple(x[end:] for x in got)  # type: ignore[assignment]
        yield tuple(x[:end] for x in got)  # type: ignore[misc]


PIECE = 100_000  # rows judged at once: their arrays stay in the processor's cache
mine = threading.local()


def judgements(batch: Batch, table: bulk.Limits) -> Iterator[bulk.Judgements]:
    """The judgements of a batch, piece by piece, in buffers of the thread's own."""
    if not hasattr(mine, "room"):
        mine.room = bulk.buffers(PIECE + 10_000)
    for s in bulk.pieces(batch[0], PIECE):
        yield bulk.judge(*(x[s] for x in batch), limits=table, normal=NORMAL, oxygen=OXYGEN,
                         out=mine.room)  # fmt: skip


def count(batch: Batch, table: bulk.Limits) -> tuple[int, int, float]:
    def one(found: bulk.Judgements) -> tuple[int, int, float]:
        over = found.exceeded
        return int(over.sum()), int((found.verdict > 0).sum()), float(found.multiple[over].sum())

    return add(one(j) for j in judgements(batch, table))


def only(batch: Batch, table: bulk.Limits) -> None:
    for _ in judgements(batch, table):
        pass


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


def jingwei(files: list[Path], rows: int, points: int, threads: int, repeat: int) -> dict[str, Any]:
    table, known = limits(points), {mn(p): p for p in range(points)}
    warm = next(batches(files[0], 0, known))
    small: Batch = tuple(x[: np.searchsorted(warm[0], warm[0][0] + 50)] for x in warm)  # type: ignore[assignment]
    count(small, table)  # compiled here
    found: dict[str, Any] = {}

    def read(job: tuple[int, Path]) -> int:
        return sum(len(b[0]) for b in batches(job[1], job[0], known))

    def judge(job: tuple[int, Path]) -> tuple[int, int, float]:
        return add([count(b, table) for b in batches(job[1], job[0], known)])

    with ThreadPoolExecutor(threads) as pool:
        found["columns_s"], found["columns_cpu_s"], n = best(
            lambda: sum(pool.map(read, enumerate(files))), repeat
        )
        assert n == rows
        found["whole_s"], found["cpu_s"], found["result"] = best(
            lambda: add(pool.map(judge, enumerate(files))), repeat
        )
        found["peak_rss_mb"] = peak_rss_mb()

        # The array part: batches of the first day in memory, judged again and again.
        held = list(batches(files[0], 0, known))
        work = [b for _ in range(3) for b in held]
        n = sum(len(b[0]) for b in work)
        clock, spent, _ = best(lambda: list(pool.map(only, work, itertools.repeat(table))), repeat)
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
WHERE value BETWEEN 0 AND 2000 AND coalesce(flag, '') IN ('N', '')
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


def pandas(files: list[Path], points: int, repeat: int) -> dict[str, Any] | None:
    try:
        pd = importlib.import_module("pandas")
    except ImportError:
        return None
    table = pd.DataFrame({"mn": [mn(p) for p in range(points)],
                          "reference": [REFERENCE[p % 3] for p in range(points)]})  # fmt: skip

    def day(file: Path) -> tuple[int, int, float]:
        df = pd.read_parquet(file, columns=COLUMNS)
        good = df["flag"].fillna("").isin(["N", ""])
        o2 = df[(df["factor"] == "a19001") & good & (df["value"] >= 0) & (df["value"] < 21)]
        df = df[good & df["factor"].isin(list(BOUND)) & df["value"].between(0, 2000)]
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
        files = sorted(arguments.folder.glob("*.parquet"))
        rows = sum(pq.ParquetFile(f).metadata.num_rows for f in files)
        if arguments.part == "jingwei":
            made: Any = jingwei(files, rows, points, threads, repeat)
        elif arguments.part == "sql":
            made = sql(files, points, threads, repeat)
        else:
            made = pandas(files, points, repeat)
        if made is not None:
            made.setdefault("peak_rss_mb", peak_rss_mb())
        print(json.dumps(made))
        return

    folder = Path(tempfile.mkdtemp(dir=arguments.folder, prefix="bench-compliance-"))
    try:
        rows = sum(write_day(folder / f"{d:03d}.parquet", points, d) for d in range(arguments.days))
        size = sum(f.stat().st_size for f in folder.glob("*.parquet"))
        found = {part: alone(part, arguments, folder) for part in ("jingwei", "sql", "pandas")}
    finally:
        shutil.rmtree(folder)
    ours = found["jingwei"]
    year = points * len(FACTORS) * 8760
    for part in filter(None, found.values()):
        part["whole_values_per_s"] = round(rows / part["whole_s"])
        part["whole_cpu_values_per_s"] = round(rows / part["cpu_s"] * threads)
        part["year_extrapolated_min"] = round(year / part["whole_values_per_s"] / 60, 1)
    peers = [found[k]["result"] for k in ("sql", "pandas") if found[k]]
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
            k: round(found[k]["cpu_s"] / ours["cpu_s"], 1) for k in ("sql", "pandas") if found[k]
        },
        "on_the_limit": [p[0] - ours["result"][0] for p in peers],
        "same": all(
            p[1] == ours["result"][1] and abs(p[2] - ours["result"][2]) < 1e-6 for p in peers
        ),
    }
    print(json.dumps({**result, **found}, indent=2))


if __name__ == "__main__":
    main()
