"""Days of the lake derived anew from the journal.

The lake is nothing but the journal's telegrams in columns, so that a damaged or missing day can be
made again, and any day proved to be what the journal says: the rebuilt file of a closed day has
the same bytes as the one that ingest made.

Three rounds of independent tasks run on an `executor`: each journal segment becomes files by
resolution and partition, of rows and of telegrams with 128-bit hashes; then the files of each
partition become one, sorted, without repetitions (`repeats`) and with split telegrams put together
(`splits`), both in the order of the journal; at last each closed file is added up (`rollups`).
The catalog takes the new files in one transaction, and only up to the position that ingest had
reached at the start: what came since stays beside them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jingwei.telemetry import columns, journal, repeats, retention, rollups, splits
from jingwei.telemetry.catalog import LakeError, add_files, digest, drop_files, transaction
from jingwei.telemetry.executor import Executor
from jingwei.telemetry.ingest import Ingest, closes
from jingwei.telemetry.journal import ALL, JournalError, make_folder, microseconds
from jingwei.telemetry.observations import decode, keys_beside, observations
from jingwei.telemetry.parquet import SCHEMA, query, reason, sources, write_sorted
from jingwei.telemetry.remote import opened, place

PORTION = 50_000  # telegrams decoded at once
AHEAD = timedelta(days=31)  # telegrams received so long before the first day are looked through too
# A telegram of a partition: its slot, hashes of what it says and of all its bytes; the bytes of a
# packet of a split telegram, whose rows are made when all packets are there.
TELEGRAMS = pa.schema(
    [
        ("seq", pa.int64()),
        ("received", pa.int64()),
        ("slot", pa.int64()),
        ("content", pa.binary(16)),
        ("whole", pa.binary(16)),
        ("packet", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class Day:
    """What became of one partition. `rows`: by the journal; `had`: in the lake before; `same`:
    whether the files agree byte by byte; `replaced`: whether the lake has the new one now."""

    resolution: str
    day: str
    rows: int
    had: int
    same: bool
    replaced: bool


def rebuild(
    journal_root: Path,
    lake_root: Path,
    start: date,
    end: date,
    executor: Executor,
    *,
    now: datetime,
    only_compare: bool = False,
) -> Iterator[Day]:
    """Derive the partitions from `start` to `end` (local days, both included) that are over.

    Raises `LakeError` where something cannot be read or written; partitions already replaced stay.
    """
    ingest = Ingest(journal_root, lake_root)
    work = _workplace(lake_root)
    try:
        with ingest.alone() as db:
            positions = dict(db.execute("SELECT segment, row FROM position"))
            (batch,) = db.execute("SELECT coalesce(max(batch), 0) FROM batch").fetchone()
        first = (start - AHEAD).strftime("%Y/%m")
        tasks: list[tuple[Any, ...]] = [
            (str(journal_root), s.number, positions[s.number], str(start), str(end), str(work))
            for s in journal.segments(journal_root)
            if positions.get(s.number) and "/".join(s.path.parts[-3:-1]) >= first
        ]
        pieces: dict[tuple[str, str], list[str]] = {}
        for _, found in executor.run(scan_segment, tasks):
            for resolution, day, path in found:
                pieces.setdefault((resolution, day), []).append(path)
        gone = retention.pruned(journal_root)
        with ingest.alone() as db:
            if gone:
                _not_of(lake_root, db, gone, start, end)
            for resolution, day in db.execute(
                "SELECT DISTINCT resolution, day FROM file WHERE batch_lo <= ?", (batch,)
            ):
                if _within(resolution, day, start, end):
                    pieces.setdefault((resolution, day), [])
        jobs = [
            (str(journal_root), sorted(paths), str(work / f"{resolution}-{day}.sorted"))
            for (resolution, day), paths in sorted(pieces.items())
            if now >= closes(resolution, date.fromisoformat(day))
        ]
        names = [Path(out).stem.partition("-") for *_, out in jobs]
        closed: dict[str, Day] = {}
        for i, rows in executor.run(write_day, jobs):
            resolution, _, day = names[i]
            made = Path(jobs[i][2])
            one, path = _take(ingest, resolution, day, made, rows, batch, now, only_compare)
            if path:
                closed[path] = one
            else:
                yield one
        for path, kept in sum_up(
            ingest, executor, {p: (d.resolution, d.day) for p, d in closed.items()},
            now, work, only_compare=only_compare,
        ):  # fmt: skip
            one = closed[path]
            yield replace(one, same=False, replaced=not only_compare) if kept else one
    except (JournalError, OSError, sqlite3.Error) as error:
        raise LakeError(f"{lake_root}: {error}") from error
    finally:
        ingest.close()
        shutil.rmtree(work, ignore_errors=True)


def sum_up(
    ingest: Ingest,
    executor: Executor,
    closed: Mapping[str, tuple[str, str]],
    now: datetime,
    work: Path,
    *,
    only_compare: bool = False,
) -> Iterator[tuple[str, bool]]:
    """Add up closed files of the lake, each a task: (path, whether something else was kept of it).

    `closed`: path → (resolution, day). Raises `LakeError`.
    """
    paths = sorted(closed)
    outs = [
        [str(work / f"{uuid.uuid4().hex}.rollup") for _ in rollups.STEPS.get(closed[path][0], ())]
        for path in paths
    ]
    tasks = [
        (place(ingest.root, path), closed[path][0], files)
        for path, files in zip(paths, outs, strict=True)
    ]
    for i, (again, rows) in executor.run(rollups.add_up, tasks):
        with ingest.alone() as db:
            kept = rollups.settle(
                ingest.root, db, paths[i], closed[paths[i]], again, rows, outs[i],
                microseconds(now), only_compare=only_compare,
            )  # fmt: skip
        yield paths[i], kept


def roll_up(
    journal_root: Path, lake_root: Path, executor: Executor, *, now: datetime
) -> Iterator[tuple[str, str]]:
    """Add up every closed day that has not been yet: (resolution, day) of each.

    Ingest does the same one by one between its steps; this is for many at once. Raises `LakeError`.
    """
    ingest = Ingest(journal_root, lake_root)
    work = _workplace(lake_root)
    try:
        with ingest.alone() as db:
            due = {path: (resolution, day) for path, resolution, day in rollups.due(db)}
        for path, _ in sum_up(ingest, executor, due, now, work):
            yield due[path]
    except (OSError, sqlite3.Error) as error:
        raise LakeError(f"{lake_root}: {error}") from error
    finally:
        ingest.close()
        shutil.rmtree(work, ignore_errors=True)


def _workplace(lake_root: Path) -> Path:
    """A new folder for the files in between; what killed runs left a day ago goes."""
    for old in lake_root.glob("rebuild/*"):
        if time.time() - old.stat().st_mtime > 86_400:
            shutil.rmtree(old, ignore_errors=True)
    work = lake_root / "rebuild" / uuid.uuid4().hex
    make_folder(work)
    return work


def _not_of(
    lake_root: Path, db: sqlite3.Connection, gone: set[int], start: date, end: date
) -> None:
    """Raises `LakeError` where the lake holds rows whose telegrams were deleted by rule."""
    for path, resolution, day in db.execute("SELECT path, resolution, day FROM file ORDER BY day"):
        if _within(resolution, day, start, end):
            file = place(lake_root, path)
            with contextlib.suppress(duckdb.IOException):  # a file that is lost says nothing
                rows = query("SELECT DISTINCT seq >> 32 FROM read_parquet(?)", [[file]], [file])
                if gone & {number for (number,) in rows}:
                    raise LakeError(
                        f"{lake_root / resolution / day} cannot be derived: telegrams that it comes"
                        " from were deleted from the journal by rule"
                    )


def _within(resolution: str, day: str, start: date, end: date) -> bool:
    low = start.replace(day=1) if resolution == "day" else start
    return low <= date.fromisoformat(day) <= end


def scan_segment(
    journal_root: str, number: int, until: int, start: str, end: str, work: str
) -> list[tuple[str, str, str]]:
    """A task: the rows of one segment, as files by (resolution, day); their paths."""
    root, first, last = Path(journal_root), date.fromisoformat(start), date.fromisoformat(end)
    (segment,) = (s for s in journal.segments(root) if s.number == number)
    keys = keys_beside(root)
    found: dict[tuple[str, str, str], list[pa.Table]] = {}
    row = 0
    while True:
        records, _ = segment.take(row, PORTION)
        records = [r for r in records if r[0] <= until] if until != ALL else records
        if not records:
            break
        row = records[-1][0]
        raws = [record[4] for record in records]
        received = np.fromiter((r[1] for r in records), np.int64, len(records))
        seqs = np.fromiter((number << 32 | r[0] for r in records), np.int64, len(records))
        said = columns.read(raws, received, seqs, keys)
        slots = dict(zip(*repeats.slots(said.rows, said.packets, len(raws)), strict=True))
        for resolution, table in said.rows.items():
            for day, part in columns.partitions(table, resolution):
                if not _within(resolution, day, first, last):
                    continue
                telegrams = [
                    {
                        "seq": int(seqs[i]),
                        "received": int(received[i]),
                        "slot": slots[i],
                        "content": hashlib.blake2b(repeats.said(raws[i]), digest_size=16).digest(),
                        "whole": hashlib.blake2b(raws[i], digest_size=16).digest(),
                        "packet": raws[i] if i in said.packets else None,
                    }
                    for i in set(part["telegram"].to_pylist())
                ]
                part = columns.without(part, said.packets).drop_columns("telegram")
                found.setdefault((resolution, day, "rows"), []).append(part)
                found.setdefault((resolution, day, "telegrams"), []).append(
                    pa.Table.from_pylist(telegrams, TELEGRAMS)
                )
    paths = []
    for (resolution, day, kind), parts in found.items():
        folder = Path(work) / f"{resolution}-{day}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number}.{kind}"
        fresh = folder / f"{number}-{uuid.uuid4().hex}.part"
        pq.write_table(pa.concat_tables(parts), fresh, compression="zstd")
        fresh.rename(path)  # a task that runs twice leaves one whole file
        paths.append((resolution, day, str(path)))
    return paths


def write_day(journal_root: str, paths: list[str], out: str) -> int:
    """A task: one sorted file of the rows of a partition, repeated telegrams once; its rows.

    Which are is told by the same rules as in ingest, in the order of the journal.
    """
    if not paths:
        return 0
    fresh = Path(f"{out}-{uuid.uuid4().hex}")
    gone, whole = Path(f"{fresh}.gone"), Path(f"{fresh}.whole")
    try:
        telegrams = sources(p for p in paths if p.endswith(".telegrams"))
        repeated = _repeated(telegrams)
        pq.write_table(pa.table({"seq": pa.array(sorted(repeated), pa.int64())}), gone)
        pq.write_table(_packets(telegrams, repeated, Path(journal_root)), whole)
        rows = sources([*(p for p in paths if p.endswith(".rows")), whole])
        count = write_sorted(f"FROM {rows} WHERE seq NOT IN (FROM {sources([gone])})", fresh)
    except duckdb.Error as error:
        raise LakeError(f"{out}: {reason(error)}") from error
    finally:
        gone.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)
    fresh.rename(out)
    return count


def _repeated(telegrams: str) -> set[int]:
    """The telegrams of a partition that say what was said before, by number."""
    found = query(
        f"SELECT slot, received, seq, content, whole FROM {telegrams} WHERE slot IN"  # noqa: S608
        f" (SELECT slot FROM {telegrams} GROUP BY slot HAVING count(*) > 1) ORDER BY seq",
        [],
    )
    came = ((slot, repeats.Came(*one)) for slot, *one in found)
    return repeats.again(came, {}, lambda *_: True)[0]  # hashes of 128 bits say it all


def _packets(telegrams: str, repeated: set[int], journal_root: Path) -> pa.Table:
    """The rows of the split telegrams of a partition."""
    keys = keys_beside(journal_root)
    found = query(
        f"SELECT received, seq, packet FROM {telegrams} WHERE packet IS NOT NULL",  # noqa: S608
        [],
    )
    packets = [(at, seq, decode(bytes(raw), keys)) for at, seq, raw in found if seq not in repeated]
    rows = [
        (*row, 0)
        for at, seq, message in splits.completed(packets)
        for row in observations(message, at, seq)[1]
    ]
    table = columns.tabled(rows) if rows else SCHEMA.empty_table()
    return table.select(SCHEMA.names)


def _take(
    ingest: Ingest,
    resolution: str,
    day: str,
    made: Path,
    rows: int,
    batch: int,
    now: datetime,
    only_compare: bool,
) -> tuple[Day, str]:
    """Compare the new file of a partition with those in the lake; take it in where they differ.

    The second is the closed file that the partition now has and that is to be added up, if any.
    """
    root = ingest.root
    with ingest.alone() as db:
        old = db.execute(
            "SELECT path, rows, closed FROM file WHERE resolution = ? AND day = ?"
            " AND batch_hi <= ? ORDER BY path",
            (resolution, day, batch),
        ).fetchall()
        beside = db.execute(
            "SELECT count(*) FROM file WHERE resolution = ? AND day = ? AND batch_hi > ?",
            (resolution, day, batch),
        ).fetchone()[0]
        had = sum(f[1] for f in old)
        # Files of before and after the start that were merged meanwhile cannot be told apart.
        mixed = db.execute(
            "SELECT count(*) FROM file WHERE resolution = ? AND day = ?"
            " AND batch_lo <= ? AND batch_hi > ?",
            (resolution, day, batch, batch),
        ).fetchone()[0]
        same = len(old) == 1 and rows > 0 and _digest(place(root, old[0][0])) == _digest(str(made))
        if same or only_compare or mixed or (not rows and not old):
            path = old[0][0] if same and old[0][2] else ""
            return Day(resolution, day, rows, had, same, False), path
        at = microseconds(now)
        path = ""
        try:
            if rows:
                path = ingest.new_path(resolution, day, batch)
                shutil.copyfile(made, root / path)
                with (root / path).open("rb") as f:
                    os.fsync(f.fileno())
                journal.sync((root / path).parent)
            with transaction(db):
                drop_files(db, [f[0] for f in old], at)
                closed = not beside
                row = (path, resolution, day, 1, rows, batch, batch, closed, at)
                add_files(db, [(*row, digest(root / path))] if rows else [])
        except BaseException:
            if path:
                (root / path).unlink(missing_ok=True)
            raise
    return Day(resolution, day, rows, had, False, True), path if closed else ""


def _digest(file: str) -> str:
    try:
        with opened(file) as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError:
        return f"{file} cannot be read"
