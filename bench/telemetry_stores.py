"""The parts of the telemetry benchmark that need no network: decoding, writing, reading."""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import wire

from jingwei import hj212
from jingwei.telemetry import columns, journal, rollups
from jingwei.telemetry.catalog import add_files, catalog, digest
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram
from jingwei.telemetry.lake import Lake
from jingwei.telemetry.parquet import engine, write_sorted


def part_decode(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    raws = [wire.frame(k % 2000, wire.START + timedelta(minutes=k // 2000)) for k in range(20_000)]
    received = np.full(len(raws), journal.microseconds(wire.START + timedelta(days=1)))
    seqs = np.arange(1, len(raws) + 1)
    columns.read(raws, received, seqs)  # compiled now

    def rate(function: Any, count: int) -> int:
        best = 0.0
        for _ in range(3):
            began = time.process_time()
            function()
            best = max(best, count / (time.process_time() - began))
        return round(best)

    some = raws[:2000]
    return {
        "bytes_a_telegram": len(raws[0]),
        "kernel_to_columns_per_s": rate(lambda: columns.read(raws * 3, np.tile(received, 3),
                                                             np.tile(seqs, 3)), 60_000),
        "plain_to_rows_per_s": rate(
            lambda: columns.read(some, received[:2000], seqs[:2000], worth=1 << 40), 2000
        ),
        "plain_decoder_per_s": rate(lambda: [hj212.decode(raw) for raw in some], 2000),
        "naive_parser_per_s": rate(lambda: [wire.naive(raw[6:-6]) for raw in some[:300]], 300),
    }  # fmt: skip


def part_write(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """In small commits, as a quiet group makes them, and in those of a group of 10 ms at a million
    values a second."""
    found = _write(folder / "small", args, 150, 300)
    large = _write(folder / "large", args, 40, 3_000)
    for name, one in large.items():
        found[f"{name}_24000_a_commit"] = one
    found["fdatasync_of_40_kb_ms"] = sync(folder / "sync", 40 << 10)
    found["fdatasync_of_260_kb_ms"] = sync(folder / "sync", 260 << 10)
    return found


ROUNDS = 5  # the stores take turns, so that whatever else the machine does meets them all


def _write(folder: Path, args: argparse.Namespace, commits: int, per: int) -> dict[str, Any]:
    """`commits` of `per` telegrams of eight values each, into each store."""
    import duckdb
    import pyarrow as pa

    folder.mkdir(parents=True)
    telegrams = [Telegram(wire.START, "192.0.2.1:1", wire.frame(k, wire.START)) for k in range(per)]
    rows = [
        (wire.mn(k), factor, wire.START, wire._rng.uniform(0, 100), "N")
        for k in range(per)
        for factor in wire.FACTORS
    ]
    names = ("mn", "factor", "time", "value", "flag")
    batch = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    stores: dict[str, Any] = {}
    writer = Journal(folder / "write")
    writer.append(telegrams[:1])  # the tables of the others are made beforehand as well
    stores["journal"] = lambda: writer.append(telegrams)
    ends = [writer.close]

    def duck(name: str, setting: str) -> Any:
        """One fdatasync of its log a commit, as the journal's (strace)."""
        own = duckdb.connect(str(folder / f"{name}.duckdb"))
        own.execute(setting)
        own.execute(
            "CREATE TABLE v(mn VARCHAR, factor VARCHAR, time TIMESTAMPTZ, value DOUBLE, flag VARCHAR)"
        )
        own.register("batch", batch)
        ends.append(own.close)
        return lambda: own.execute("INSERT INTO v SELECT * FROM batch")

    stores["duckdb_own_file"] = duck("own", "SELECT 1")
    # The journal, too, leaves its compression for later.
    stores["duckdb_without_checkpoints"] = duck("wal", "SET checkpoint_threshold = '1TB'")
    lite = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
    lite.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE v(mn, factor, time, value, flag);"
    )
    flat = [(m, f, t.timestamp(), v, g) for m, f, t, v, g in rows]

    def lite_commit() -> None:
        lite.execute("BEGIN")
        lite.executemany("INSERT INTO v VALUES (?, ?, ?, ?, ?)", flat)
        lite.execute("COMMIT")

    stores["sqlite_a_row_a_value"] = lite_commit
    ends.append(lite.close)
    server = None
    if args.postgres:
        import psycopg

        server = psycopg.connect(args.postgres, autocommit=True)
        server.execute("DROP TABLE IF EXISTS bench_v")
        server.execute(
            "CREATE TABLE bench_v(mn text, factor text, time timestamptz, value float8, flag text)"
        )

        def copy() -> None:
            with server.cursor().copy("COPY bench_v FROM STDIN (FORMAT BINARY)") as out:
                out.set_types(["text", "text", "timestamptz", "float8", "text"])
                for row in rows:
                    out.write_row(row)

        stores["postgresql_copy"] = copy
    took: dict[str, list[float]] = {name: [] for name in stores}
    used, written = dict.fromkeys(stores, 0.0), dict.fromkeys(stores, 0)
    for _ in range(ROUNDS):
        for name, commit in stores.items():
            before, bytes_before = time.process_time(), _written()
            for _ in range(commits // ROUNDS):
                began = time.perf_counter()
                commit()
                took[name].append(time.perf_counter() - began)
            used[name] += time.process_time() - before
            written[name] += _written() - bytes_before
    found: dict[str, Any] = {
        name: {
            "values_per_s": round(len(some) * len(rows) / sum(some)),
            "values_per_cpu_s": round(len(some) * len(rows) / used[name]),
            "written_bytes_a_value": round(written[name] / len(some) / len(rows)),
            **wire.percentiles(some),
        }
        for name, some in took.items()
    }
    for end in ends:
        end()
    if server is not None:
        found["postgresql_copy"]["fsync"] = server.execute("SHOW fsync").fetchone()[0]
        server.execute("DROP TABLE bench_v")
        server.close()
    for key, over in (("values_per_s", ""), ("values_per_cpu_s", "_in_cpu_time")):
        for peer, words in (("duckdb_own_file", ""), ("duckdb_without_checkpoints", "_log_only")):
            found[f"journal_over_duckdb{words}{over}"] = round(
                found["journal"][key] / found[peer][key], 2
            )
    return found


def _written() -> int:
    """Bytes that this process has given to the disk."""
    text = Path("/proc/self/io").read_text()
    return int(text.partition("\nwrite_bytes: ")[2].partition("\n")[0])


def sync(path: Path, size: int) -> dict[str, float]:
    """What the disk itself takes for one durable write behind the end of a file."""
    data, took = os.urandom(size), []
    with path.open("wb") as f:
        for _ in range(100):
            began = time.perf_counter()
            f.write(data)
            f.flush()
            os.fdatasync(f.fileno())
            took.append(time.perf_counter() - began)
    path.unlink()
    return wire.percentiles(took)


def best(function: Any) -> float:
    """Milliseconds, the middle of three."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        function()
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1000, 1)


def part_latest(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The newest values of 60,000 points, asked for as the console's pages do (all points of a user,
    every resolution), in a table that holds others as well."""
    root = folder / "latest"
    now = journal.microseconds(wire.START)
    points = [(f"X{k:08}", "31") for k in range(60_000)]
    some = [(f"M{k:08}", "31") for k in range(16_000)]
    with catalog(root) as db:
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO latest VALUES ('minute', ?, ?, 'a21026', ?, 1.0, NULL, 'N', ?, ?)",
            ((mn, st, now, now + k, k) for k, (mn, st) in enumerate(some + points)),
        )
        db.execute("COMMIT")
    lake = Lake(root)
    assert len(lake.latest(points=points)) == len(points)
    used = time.process_time()
    took = best(lambda: lake.latest(points=points))
    used = (time.process_time() - used) / 3
    return {"of_60000_points_ms": took, "of_60000_points_cpu_ms": round(used * 1000, 1)}


def part_lake(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    house = folder / "lake"
    writer = Journal(house / "journal", max_bytes=64 << 20)
    count = args.points
    telegrams = 0
    received = wire.START + timedelta(hours=30)
    minutes = 60
    for minute in range(minutes):
        at = wire.START + timedelta(minutes=minute)
        writer.append([Telegram(received, "p", wire.frame(k, at).rstrip()) for k in range(count)])
        telegrams += count
    writer.close()
    now = wire.START + timedelta(days=2)
    ingest = Ingest(house / "journal", house / "lake", clock=lambda: now)
    ingest.step(1_000)
    began, used, taken = time.perf_counter(), time.process_time(), 0
    while report := ingest.step().telegrams:
        taken += report
    span, used = time.perf_counter() - began, time.process_time() - used
    ingest.tidy()
    with catalog(house / "lake") as db:
        rows, files = 0, 0
        for path, n in db.execute("SELECT path, rows FROM file WHERE closed").fetchall():
            rows += n
            files += (house / "lake" / path).stat().st_size
    lake = Lake(house / "lake")
    found = {
        "telegrams": taken,
        "telegrams_per_s": round(taken / span),
        "telegrams_per_core_s": round(taken / used),
        "bytes_a_row_of_three_values_closed": round(files / rows, 2),
        "bytes_a_value_closed": round(files / rows / 3, 2),
    }

    # 30 days of minutes and hours written as ingest writes closed days (sorted), without going
    # through telegrams.
    found["rows_of_30_days_of_minutes"] = synthetic(
        house / "lake", "minute", 1_440, args.minutes_of
    )
    synthetic(house / "lake", "hour", 24, 1_000)
    end = wire.START + timedelta(days=30)
    one = f"M{args.minutes_of // 2:06}"
    found["one_point_30_days_of_minutes_ms"] = best(
        lambda: lake.series(one, "31", ["a21026"], "minute", wire.START, end)
    )
    points = [(f"M{k:06}", "31") for k in range(1_000)]

    def month() -> int:
        table = lake.scan("hour", wire.START, end, points)
        return int((table["value"].to_numpy() > 50).sum())

    found["one_point_30_days_of_hours_from_minutes_ms"] = best(
        lambda: lake.rollup("minute", "hour", wire.START, end, [(one, "31")], ["a21026"])
    )
    found["month_of_hours_of_1000_points_over_limit"] = month()
    found["month_of_hours_of_1000_points_ms"] = best(month)
    return found


def synthetic(root: Path, resolution: str, steps: int, points: int) -> int:
    """Thirty closed days of a factor for many points, in the lake's own form."""
    with catalog(root) as db:
        for day in range(30):
            name = (wire.START + timedelta(days=day, hours=12)).date().isoformat()
            (root / resolution / name).mkdir(parents=True, exist_ok=True)
            path = f"{resolution}/{name}/synthetic.parquet"
            begin = (wire.START + timedelta(days=day)).isoformat()
            seconds = 86_400 // steps
            rows = write_sorted(
                "SELECT format('M{:06}', p) AS mn, '31' AS st, 'a21026' AS factor,"
                f" TIMESTAMPTZ '{begin}' + INTERVAL ({seconds}) SECOND * s AS time,"
                " round(random() * 100, 3) AS value, NULL::DOUBLE AS min, NULL::DOUBLE AS max,"
                " NULL::DOUBLE AS cou, NULL::DOUBLE AS zs, NULL::DOUBLE AS zs_min,"
                " NULL::DOUBLE AS zs_max, 'N' AS flag, time AS received, p * 10000 + s AS seq"
                f" FROM range({points}) a(p), range({steps}) b(s)",
                root / path,
            )
            db.execute("DELETE FROM file WHERE resolution = ? AND day = ?", (resolution, name))
            add_files(db, [(path, resolution, name, 1, rows, 1, 1, 1, 1, digest(root / path))])
            rollups.survey(root, db, path, resolution, name)
    engine()  # warm
    return 30 * rows
