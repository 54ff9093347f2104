"""Observations from tables: what a person sees before, and what is in the lake afterwards."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from jingwei.cli import app
from jingwei.telemetry import commands, envelope, journal, tables
from jingwei.telemetry.fsck import check
from jingwei.telemetry.register import Register
from jingwei.telemetry.tables import TableError

MN = "010000A8900016F000169DC0"
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
CSV = f"""设备编号,监测时间,二氧化硫(mg/m3),标记,a21002
{MN},2026-03-10 12:00,12.50,N,3
{MN},2026-03-10 13:00,,,4.0
{MN},2026-03-10 14:00,13,T,
"""
MAPPING = {
    "mn": {"column": "设备编号"},
    "st": {"value": "31"},
    "time": {"column": "监测时间"},
    "resolution": "hour",
    "factors": {
        "二氧化硫(mg/m3)": {"code": "a21026", "flag": "标记"},
        "a21002": {"code": "a21002", "scale": "0.001"},
    },
}


def mapped(**changes):
    return {**MAPPING, **changes}


def test_a_table_is_in_the_lake_with_where_it_came_from(house):
    house.devices()
    found = tables.read(
        "hours.csv",
        CSV.encode(),
        MAPPING,
        find=Register(house.root / "register.json").find,
    )
    assert (found.rows, found.values, found.errors) == (3, 4, [])
    assert tables.take(found, house.journal, "file:hours.csv") == 3
    assert house.ingest().step().observations == 4
    table = house.lake.series(MN, "31", None, "hour", NOON, NOON + timedelta(hours=4))
    rows = {(r["factor"], r["time"]): r for r in table.to_pylist()}
    assert rows["a21026", NOON]["value"] == 12.5
    assert rows["a21026", NOON]["flag"] == "N"
    assert rows["a21002", NOON]["value"] == 0.003
    assert rows["a21026", NOON + timedelta(hours=2)]["flag"] == "T"
    assert ("a21026", NOON + timedelta(hours=1)) not in rows
    raw = journal.get(house.journal, rows["a21026", NOON]["seq"]).raw
    assert dict(envelope.described(raw)) == {
        "kind": "file", "name": "hours.csv", "row": "2", "sha256": found.sha256,
    }  # fmt: skip
    assert json.loads(raw)["items"][0]["Avg"] in ("12.50", "0.003")
    assert list(check(house.journal, house.refused, house.lake.root, full=True)) == []


def test_the_same_file_again_changes_nothing(house):
    house.devices()
    for _ in range(2):
        tables.take(tables.read("hours.csv", CSV.encode(), MAPPING), house.journal, "p")
    report = house.ingest().step()
    assert (report.telegrams, report.observations) == (6, 4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((f"{MN},2026-03-10 13:00", f"{MN},yesterday"), "is no time"),
        ((f"{MN},2026-03-10 13:00", f"{MN},2126-03-10 13:00"), "in the future"),
        ((f"{MN},2026-03-10 13:00", "GHOST,2026-03-10 13:00"), "no device 'GHOST'"),
        ((f"{MN},2026-03-10 13:00", f"{MN},2026-03-10 12:00"), "same device and time as row 2"),
        (("4.0", "n/a"), "is no decimal number"),
        (("4.0", "１"), "is no decimal number"),
        (("4.0", "1e400"), "is no decimal number"),
        (("4.0", "NaN"), "is no decimal number"),
    ],
)
def test_a_row_with_an_error_is_named_and_nothing_is_half_taken(house, change, reason):
    house.devices()
    found = tables.read(
        "x.csv", CSV.replace(*change).encode(), MAPPING,
        find=Register(house.root / "register.json").find,
    )  # fmt: skip
    (error,) = found.errors
    assert error.row == 3
    assert reason in error.problem
    with pytest.raises(TableError, match="1 rows have errors"):
        tables.take(found, house.journal, "p")
    assert not journal.segments(house.journal)
    assert tables.take(found, house.journal, "p", skip_errors=True) == 2


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        (mapped(mn={"column": "?"}), "no column '\\?'"),
        (mapped(mn={}), "mapping, mn"),
        (mapped(time={}), "mapping, time"),
        (mapped(resolution="year"), "mapping, resolution"),
        (mapped(factors={}), "at least one column"),
        (mapped(factors={"x": {"code": "a"}}), "no column 'x'"),
        (mapped(factors={"a21002": {"code": "a21002", "scale": "-1"}}), "scale"),
        (mapped(factors={"a21002": {"code": "a21002", "scale": "NaN"}}), "scale"),
        (mapped(factors={"a21002": {"code": ""}}), "wanted a code"),
    ],
)
def test_a_mapping_that_cannot_be_applied_says_so(mapping, reason):
    with pytest.raises(TableError, match=reason):
        tables.read("x.csv", CSV.encode(), mapping)


def test_named_by_end_and_other_times():
    text = CSV.replace("2026-03-10 12:00", "2026/03/10 11:00:00")
    found = tables.read(
        "x.csv", text.encode(), mapped(time={"column": "监测时间", "named_by_end": True})
    )
    times = [json.loads(raw)["time"] for raw in found.envelopes]
    assert times == ["20260310100000", "20260310120000", "20260310130000"]


def test_excel_parquet_and_gb18030_say_the_same():
    plain = [list(row.split(",")) for row in CSV.splitlines()]
    book = openpyxl.Workbook()
    for row in plain:
        cells = [None if c == "" else c for c in row]
        if row is not plain[0]:
            cells[1] = datetime.fromisoformat(row[1])
            cells[2] = float(row[2]) if row[2] else None
        book.active.append(cells)
    excel = io.BytesIO()
    book.save(excel)
    columns = list(zip(*plain[1:], strict=True))
    parquet = io.BytesIO()
    pq.write_table(pa.table(dict(zip(plain[0], map(list, columns), strict=True))), parquet)
    expected = tables.read("x.csv", CSV.encode(), MAPPING)
    for name, content in (
        ("x.csv", CSV.encode("gb18030")),
        ("x.csv", CSV.replace(",", ";").encode("utf-8-sig")),
        ("x.xlsx", excel.getvalue()),
        ("x.parquet", parquet.getvalue()),
    ):
        found = tables.read(name, content, MAPPING)
        assert found.errors == []
        assert found.values == expected.values == 4, name
        assert [json.loads(e)["time"] for e in found.envelopes] == [
            json.loads(e)["time"] for e in expected.envelopes
        ]


def test_a_mapping_is_proposed_from_the_header():
    found = tables.guess(CSV.splitlines()[0].split(","))
    assert found["mn"] == {"column": "设备编号"}
    assert found["time"]["column"] == "监测时间"
    assert {c: p["code"] for c, p in found["factors"].items()} == {
        "二氧化硫(mg/m3)": "a21026", "a21002": "a21002",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["x.csv", "x.xlsx", "x.parquet", "x.pdf"])
@given(content=st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_a_table_or_one_error(name, content):
    try:
        tables.read(name, content, MAPPING)
    except TableError:
        return


@given(
    st.binary(max_size=300)
    | st.text(max_size=100).map(lambda t: b"{" + t.encode("utf-8", "replace"))
)
@settings(deadline=None)
def test_any_bytes_are_an_envelope_or_a_reason(raw):
    message = envelope.message(raw)
    assert message.ok or message.error


def test_an_envelope_that_no_one_made_here_is_counted_and_stops_nothing(house):
    good = envelope.envelope(MN, "31", "hour", NOON, {"a21026": {"Avg": "1"}}, {"kind": "test"})
    house.put([b"{}", b'{"jingwei":"observations/1"}', good[:-3], good, b"{" + b"[" * 50_000])
    report = house.ingest().step()
    assert (report.telegrams, report.observations) == (5, 1)
    (problem,) = house.lake.problems()
    assert (problem.kind, problem.count) == ("unreadable", 4)


def test_the_command(house, tmp_path):
    if not any(c.name == "import" for c in app.registered_commands):
        commands.attach(app)
    house.devices()
    table, mapping = tmp_path / "hours.csv", tmp_path / "map.json"
    table.write_text(CSV)
    mapping.write_text(json.dumps(MAPPING))
    run = CliRunner().invoke
    base = ["import", str(table), "--data", str(house.root)]
    assert json.loads(run(app, base).output)["mn"] == {"column": "设备编号"}
    looked = json.loads(run(app, [*base, "--mapping", str(mapping)]).output)
    assert (looked["rows"], looked["taken"]) == (3, 0)
    assert not journal.segments(house.journal)
    assert json.loads(run(app, [*base, "--mapping", str(mapping), "--yes"]).output)["taken"] == 3
    table.write_text(CSV.replace("4.0", "x"))
    refused = run(app, [*base, "--mapping", str(mapping), "--yes"])
    assert refused.exit_code == 1
    assert json.loads(refused.output)["taken"] == 0
    mapping.write_text("[]")
    assert run(app, [*base, "--mapping", str(mapping)]).exit_code == 2
