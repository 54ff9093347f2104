"""Every kind of disagreement on the disk is named."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from jingwei import hj212
from jingwei.telemetry import journal, seal
from jingwei.telemetry.catalog import LakeError
from jingwei.telemetry.fsck import check

from .forgery import forge

NOON = hj212.moment("20260310120000")


@pytest.fixture
def filled(house, frame):
    """Two segments, one of them sealed; 40 telegrams, one of them twice; a closed day."""
    house.put([frame(NOON + timedelta(hours=n)) for n in range(20)])
    house.put([frame(NOON + timedelta(hours=n), cn="2051") for n in range(20)] + [frame(NOON)])
    (first, _) = seal.seal(house.journal)
    seal.recorded(house.journal, first.name)
    ingest = house.ingest()
    ingest.step()
    ingest.tidy()
    return house


def problems(house, full=True):
    return list(check(house.journal, house.refused, house.root / "lake", full=full))


def catalog(house, statement):
    db = sqlite3.connect(house.root / "lake" / "catalog.sqlite")
    db.execute(statement)
    db.commit()
    db.close()


def files(house):
    return sorted((house.root / "lake").rglob("*.parquet"))


def live_file(house, resolution="hour"):
    db = sqlite3.connect(house.root / "lake" / "catalog.sqlite")
    (path,) = db.execute(
        "SELECT path FROM file WHERE resolution = ? ORDER BY path LIMIT 1", (resolution,)
    ).fetchone()
    db.close()
    return house.root / "lake" / path


def test_all_is_well(filled, house):
    assert problems(filled) == []
    assert problems(filled, full=False) == []


def test_nothing_at_all_is_well(house):
    assert problems(house) == []


def test_a_journal_without_a_lake(house, frame):
    house.put([frame()])
    (problem,) = problems(house)
    assert "has no catalog" in problem


def test_telegrams_not_taken_in_yet_are_no_problem(filled, frame):
    filled.put([frame(NOON + timedelta(days=2))])
    assert problems(filled) == []


def test_a_changed_sealed_segment(filled):
    segment = journal.segments(filled.journal)[0]
    forge(
        segment,
        lambda records: [
            (*r[:4], r[4].replace(b"12.5", b"11.5")) if r[0] == 3 else r for r in records
        ],
    )
    assert any("was changed after it was sealed" in p for p in problems(filled))


def test_a_torn_segment_and_a_stranger(filled):
    segment = journal.segments(filled.journal)[1]
    segment.log.write_bytes(segment.log.read_bytes()[:-9])
    (filled.journal / "2026" / "notes.txt").write_text("x")
    found = problems(filled)
    assert any(str(segment.path) in p for p in found)
    assert any("notes.txt does not belong" in p for p in found)


def test_a_segment_that_has_gone(filled):
    segment = journal.segments(filled.journal)[0]
    segment.path.unlink()
    assert any(
        str(segment.number) in p and "missing" in p for p in problems(filled)
    )  # fmt: skip


def test_a_file_that_is_missing_torn_or_another(filled):
    path = live_file(filled)
    content = path.read_bytes()
    path.unlink()
    found = problems(filled)
    assert any(f"{path} is in the catalog of the lake and missing" in p for p in found)
    assert any("the lake has 0 of them" in p for p in found)
    path.write_bytes(content[: len(content) // 2])
    assert any(f"{path} cannot be read" in p for p in problems(filled))
    pq.write_table(pq.read_table(live_file(filled, "minute")).slice(0, 1), path)
    assert any("the catalog says" in p for p in problems(filled))


def test_a_value_changed_in_a_file(filled):
    path = live_file(filled)
    table = pq.read_table(path)
    changed = table.set_column(table.column_names.index("value"), "value", [[1.0] * table.num_rows])
    pq.write_table(changed, path)
    found = problems(filled)
    assert any("with other values" in p for p in found)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.6, 0.999])
@pytest.mark.parametrize("kind", ["file", "rollup"])
def test_one_byte_changed_in_a_file(filled, kind, share):
    with sqlite3.connect(filled.root / "lake" / "catalog.sqlite") as db:
        (path,) = db.execute(f"SELECT path FROM {kind} ORDER BY path LIMIT 1").fetchone()
    db.close()
    assert problems(filled) == []
    path = filled.root / "lake" / path
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)
    assert any(str(path) in problem for problem in problems(filled))


def test_a_lake_whose_catalog_kept_no_digests(filled):
    for table in ("file", "rollup"):
        catalog(filled, f"ALTER TABLE {table} DROP COLUMN sha256")
    catalog(filled, "PRAGMA user_version = 2")
    assert problems(filled) == []
    catalog(filled, "UPDATE rollup SET sha256 = NULL")
    catalog(filled, "UPDATE file SET sha256 = x'00' WHERE resolution = 'minute'")
    assert [p for p in problems(filled) if "is not what was written" not in p] == []
    assert len(problems(filled)) == 2


def test_a_damaged_file_is_not_merged(filled, frame):
    path = live_file(filled)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    filled.put([frame(NOON + timedelta(minutes=90), cn="2061")])
    ingest = filled.ingest()
    ingest.step()
    with pytest.raises(LakeError, match="is not what was written"):
        ingest.tidy()
    assert path.read_bytes() == content
    assert any(f"{path} is not what was written" in problem for problem in problems(filled))


def test_a_latest_value_that_is_wrong_missing_or_too_much(filled):
    catalog(filled, "UPDATE latest SET value = 99 WHERE resolution = 'hour'")
    assert any("the latest hour value" in p for p in problems(filled))
    catalog(filled, "DELETE FROM latest WHERE resolution = 'hour'")
    assert any("is None in the catalog" in p for p in problems(filled))
    catalog(filled, "UPDATE latest SET factor = 'x' WHERE resolution = 'minute'")
    assert any("and in no file" in p for p in problems(filled))


def test_a_position_beyond_the_journal(filled):
    catalog(filled, "UPDATE position SET row = 4000")
    assert any("the lake has taken in 4000" in p for p in problems(filled))


def test_a_catalog_that_is_none(filled):
    (filled.root / "lake" / "catalog.sqlite").write_bytes(b"x" * 5000)
    assert any("catalog" in p for p in problems(filled))
