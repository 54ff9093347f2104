"""Does what lies on the disk agree with itself? Journal, seals, lake, latest values.

Everything is compared with the state of the catalog at one moment, so the check may run while the
system works.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from jingwei.telemetry import journal, repeats, seal, splits
from jingwei.telemetry.catalog import LakeError, catalog, partition
from jingwei.telemetry.journal import ALL, JournalError, Segment, microseconds
from jingwei.telemetry.observations import AHEAD, Keys, Row, decode, keys_beside, observations
from jingwei.telemetry.parquet import query
from jingwei.telemetry.remote import opened, place, scheme

SAMPLE = 5_000  # telegrams compared with the lake unless all are
_PORTION = 5_000
_COMPARED = "mn, st, factor, time, value, min, max, cou, zs, zs_min, zs_max, flag, received, seq"


def check(
    journal_root: Path, refused_root: Path, lake_root: Path, *, full: bool = False
) -> Iterator[str]:
    """One sentence for each problem found; nothing when all agrees.

    With `full` every telegram of the journal is decoded and compared with the lake, otherwise
    about `SAMPLE` of them, drawn anew each time. Seals, latest values and the bytes of files on
    this machine are always compared in full, those of files on a remote store with `full`.
    """
    for root in (journal_root, refused_root):
        yield from _journal(root)
    if not (lake_root / "catalog.sqlite").exists():
        if any(journal.segments(journal_root)):
            yield f"{lake_root} has no catalog, though {journal_root} holds telegrams"
        return
    try:
        with catalog(lake_root) as db:
            yield from _lake(db, journal_root, lake_root, full)
    except (LakeError, sqlite3.Error) as error:
        yield f"the catalog of {lake_root} cannot be read: {error}"


def _journal(root: Path) -> Iterator[str]:
    for path in journal.strangers(root):
        yield f"{path} does not belong into a journal"
    for segment in journal.segments(root):
        try:
            with segment.open() as view:
                (verdict,) = view.db.execute("PRAGMA quick_check(1)").fetchone()
                meta = view.meta()
                if meta["state"] != "sealed":
                    count = sum(1 for _ in view.records())  # each block has its check sum
                    if count != int(meta.get("rows", count)):
                        yield f"{segment.path} holds {count} telegrams, {meta['rows']} were written"
            if verdict != "ok":
                yield f"{segment.path} is damaged: {verdict}"
                continue
            problem = seal.verify(root, segment)
            if problem:
                yield problem
        except (JournalError, sqlite3.Error, KeyError, ValueError) as error:
            yield str(error) if isinstance(error, JournalError) else f"{segment.path}: {error}"


def _lake(db: sqlite3.Connection, journal_root: Path, root: Path, full: bool) -> Iterator[str]:
    db.execute("BEGIN")  # all that follows is of one moment
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        yield f"{root / 'catalog.sqlite'} is damaged: {verdict}"
        return
    positions = dict(db.execute("SELECT segment, row FROM position"))
    files = db.execute(
        "SELECT path, resolution, day, rows, sha256 FROM file ORDER BY path"
    ).fetchall()
    good: dict[tuple[str, str], list[str]] = {}
    sound = True
    for path, resolution, day, rows, sha256 in files:
        problem = _file(place(root, path), rows)
        if problem:
            sound = False
            yield problem
        else:
            yield from _bytes(place(root, path), sha256, full)
            good.setdefault((resolution, day), []).append(place(root, path))
    made = db.execute("SELECT path, rows, sha256 FROM rollup ORDER BY path").fetchall()
    for path, rows, sha256 in made:
        problem = _file(place(root, path), rows)
        if problem:
            yield problem
        else:
            yield from _bytes(place(root, path), sha256, full)
    yield from _latest(db, root, good, sound)
    present = {segment.number for segment in journal.segments(journal_root)}
    for number in positions.keys() - present:
        yield f"journal segment {number} was taken into the lake and is missing in {journal_root}"
    for segment in journal.segments(journal_root):
        row = positions.get(segment.number, 0)
        if row:
            yield from _segment(journal_root, segment, row, good, full, len(positions))


def _bytes(file: str, sha256: bytes | None, full: bool) -> Iterator[str]:
    """A file's bytes against what was written (not kept before version 3 of the catalog)."""
    if sha256 is None or (scheme(file) and not full):
        return
    try:
        with opened(file) as stream:
            found = hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        yield f"{file} cannot be read: {error}"
        return
    if found != sha256:
        yield (
            f"{file} is not what was written: its SHA-256 is {found.hex()}, the catalog's"
            f" {sha256.hex()}"
        )


def _file(file: str, rows: int) -> str | None:
    try:
        with opened(file) as stream, pq.ParquetFile(stream) as content:
            found = content.metadata.num_rows
    except FileNotFoundError:
        return f"{file} is in the catalog of the lake and missing on the disk"
    except (OSError, ValueError) as error:
        return f"{file} cannot be read: {error}"
    return None if found == rows else f"{file} has {found} rows, the catalog says {rows}"


def _latest(
    db: sqlite3.Connection, root: Path, good: dict[tuple[str, str], list[str]], sound: bool
) -> Iterator[str]:
    """The latest values against the files."""
    if not sound:
        return  # the missing rows have been named
    stored = {
        row[:4]: row[4:]
        for row in db.execute(
            "SELECT mn, st, factor, resolution, time, value, zs, flag, received, seq FROM latest"
        )
    }
    for resolution in sorted({r for r, _ in good}):
        paths = [path for (r, _), some in good.items() if r == resolution for path in some]
        try:
            found = _rows(
                "SELECT mn, st, factor, epoch_us(time), value, zs, flag, epoch_us(received), seq"
                " FROM read_parquet(?) WHERE epoch_us(time) <= epoch_us(received) + ?"
                " QUALIFY row_number() OVER (PARTITION BY mn, st, factor"
                " ORDER BY time DESC, received DESC, seq DESC) = 1",
                [paths, AHEAD],
            )
        except duckdb.Error as error:
            yield f"the {resolution} files of {root} cannot be read: {error}"
            continue
        for mn, st, factor, *rest in found:
            kept = stored.pop((mn, st, factor, resolution), None)
            if kept != tuple(rest):
                yield (
                    f"the latest {resolution} value of {mn} {st} {factor} is {kept} in the catalog"
                    f" and {tuple(rest)} in the files"
                )
    for key in stored:
        yield f"the latest value of {' '.join(key)} is in the catalog and in no file"


def _rows(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    return query(sql, values, values[0])


def _segment(
    journal_root: Path,
    segment: Segment,
    until: int,
    good: dict[tuple[str, str], list[str]],
    full: bool,
    segments: int,
) -> Iterator[str]:
    """Telegrams of one segment against the rows of the lake."""
    try:
        with segment.open() as view:
            last = view.last()
        if until != ALL and last < until:
            yield f"{segment.path} has {last} telegrams, the lake has taken in {until}"
        last = min(last, until)
        if full:
            spans = [(low, low + _PORTION) for low in range(0, last, _PORTION)]
        else:
            share = max(1, min(SAMPLE // segments, last))
            low = random.randint(0, max(0, last - share))  # noqa: S311
            spans = [(low, low + share)]
        for low, high in spans:
            telegrams, _ = segment.read(low, min(high, last) - low)
            yield from _compare(journal_root, segment, telegrams, good)
    except (JournalError, sqlite3.Error) as error:
        yield f"{segment.path} cannot be compared with the lake: {error}"
    except duckdb.Error as error:
        yield f"{segment.path} cannot be compared with the lake, a file there is damaged: {error}"


def _compare(
    journal_root: Path,
    segment: Segment,
    telegrams: list[journal.Telegram],
    good: dict[tuple[str, str], list[str]],
) -> Iterator[str]:
    wanted: dict[int, tuple[str, str, list[Row]]] = {}
    keys = keys_beside(journal_root)
    for telegram in telegrams:
        resolution, rows = observations(
            decode(telegram.raw, keys), microseconds(telegram.received), telegram.seq
        )
        if rows:
            wanted[telegram.seq] = (resolution, partition(resolution, rows[0][3]), rows)
    if not wanted:
        return
    columns = _COMPARED.replace(" time", " epoch_us(time)").replace(
        " received", " epoch_us(received)"
    )
    found: dict[int, list[Row]] = {}
    for key in sorted({(resolution, day) for resolution, day, _ in wanted.values()}):
        if key not in good:
            continue
        for row in _rows(
            f"SELECT {columns} FROM read_parquet(?) WHERE seq BETWEEN ? AND ?"  # noqa: S608
            " ORDER BY seq, factor",
            [good[key], min(wanted), max(wanted)],
        ):
            found.setdefault(row[-1], []).append(row)
    for seq, (resolution, day, rows) in wanted.items():
        rows = sorted(rows, key=lambda row: row[2])
        there = found.get(seq, [])
        if there == rows:
            continue
        others = _others(journal_root, good.get((resolution, day), []), seq, rows[0])
        this = journal.get(journal_root, seq)
        if there == _put_together([this, *others], seq, keys):
            continue
        if not there and any(repeats.said(o.raw) == repeats.said(this.raw) for o in others):
            continue
        yield (
            f"telegram {seq} of {segment.path} has {len(rows)} {resolution} values of {rows[0][0]};"
            f" the lake has {len(there)} of them" + (", with other values" if there else "")
        )


def _others(journal_root: Path, files: list[str], seq: int, row: Row) -> list[journal.Telegram]:
    """The other telegrams of which the lake has values of this point and time."""
    out = []
    for (other,) in (
        _rows(
            "SELECT DISTINCT seq FROM read_parquet(?) WHERE mn = ? AND st = ?"
            " AND epoch_us(time) = ? AND seq <> ?",
            [files, row[0], row[1], row[3], seq],
        )
        if files
        else ()
    ):
        with contextlib.suppress(JournalError, sqlite3.Error):
            out.append(journal.get(journal_root, other))
    return out


def _put_together(telegrams: list[journal.Telegram], seq: int, keys: Keys) -> list[Row] | None:
    """The rows of a packet of a split telegram with what the packets before it say of its items;
    None where the telegram is no packet."""
    packets = [(microseconds(t.received), t.seq, decode(t.raw, keys)) for t in telegrams]
    for received, number, message in splits.completed(p for p in packets if p[2].split):
        if number == seq:
            return sorted(observations(message, received, seq)[1], key=lambda row: row[2])
    return None
