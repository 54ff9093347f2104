"""Tables that people hand in: every kind says the same, and what is none says why."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.telemetry import sheet
from jingwei.telemetry.sheet import SheetError

TEXT = "名称,数值\n甲站,1.5\n\n乙站,2\n"


def read(content, **limits):
    given_ = {"max_bytes": 1 << 20, "max_rows": 100} | limits
    return list(sheet.rows(content, **given_))


def workbook(*rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_text_is_read_in_the_encodings_that_spreadsheets_write(encoding, sign):
    content = TEXT.replace(",", sign).replace("\n", "\r\n").encode(encoding)
    assert read(content) == [(1, ["名称", "数值"]), (2, ["甲站", "1.5"]), (4, ["乙站", "2"])]


def test_a_workbook_and_parquet_keep_numbers_and_times():
    noon = datetime(2026, 3, 10, 12)
    rows = [["名称", "时间", "数值"], ["甲站", noon, 1.5], [None, None, None], ["乙站", noon, 2]]
    assert read(workbook(*rows)) == [(1, rows[0]), (2, rows[1]), (4, rows[3])]
    out = io.BytesIO()
    pq.write_table(pa.table({"名称": ["甲站"], "时间": [noon], "数值": [1.5]}), out)
    assert read(out.getvalue()) == [(1, rows[0]), (2, rows[1])]


def test_two_encodings_in_one_file_are_told_with_their_rows():
    head, first, _, second = TEXT.splitlines(keepends=True)
    mixed = head.encode() + first.encode() + second.encode("gb18030")
    with pytest.raises(SheetError, match="row 1 is written in UTF-8 and row 3 in GB 18030"):
        read(mixed)
    # Two characters of GBK that are by chance valid UTF-8 are no second encoding.
    assert read("名称\n联通\n".encode("gb18030"))[1] == (2, ["联通"])


@pytest.mark.parametrize(
    ("content", "limits", "kind"),
    [
        (b"\xff\xff\x81", {}, "encoding"),
        (b"a\x00b", {}, "encoding"),
        (b"a,b\n" * 101, {}, "rows"),
        (b",".join([b"1"] * 11), {"max_columns": 10}, "columns"),
        (b"x" * 11, {"max_bytes": 10}, "large"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), {}, "old"),
        (b"PK\x03\x04broken", {}, "broken"),
        (b"PAR1broken", {}, "broken"),
        (b'a,b\n"c', {}, "broken"),
        (workbook(*[[n] for n in range(101)]), {}, "rows"),
        (workbook(["x"] * 11), {"max_columns": 10}, "columns"),
        (workbook(["x"]), {"unpacked": 100}, "large"),
    ],
)
def test_what_is_no_table_says_why(content, limits, kind):
    with pytest.raises(SheetError) as told:
        read(content, **limits)
    assert told.value.kind == kind


def test_a_bomb_is_not_unpacked():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(sheet.UNPACKED + 1))
    assert len(out.getvalue()) < 1 << 20
    with pytest.raises(SheetError) as told:
        read(out.getvalue())
    assert told.value.kind == "large"


def test_empty_rows_below_the_last_one_end():
    book = openpyxl.Workbook()
    book.active["A1"] = "x"
    book.active.cell(200_000, 1).number_format = "0.0"
    out = io.BytesIO()
    book.save(out)
    assert read(out.getvalue()) == [(1, ["x"])]


def test_cells_as_text():
    assert [sheet.text(v) for v in (None, 3.0, 2.5, " a ", date(2026, 1, 2))] == [
        "", "3", "2.5", "a", "2026-01-02",
    ]  # fmt: skip
    assert sheet.text(datetime(2026, 1, 2, 3, tzinfo=UTC)) == "2026-01-02 03:00:00"
    assert sheet.unguarded("'=1+1") == "=1+1"
    assert sheet.unguarded("'quoted'") == "'quoted'"


@given(st.binary(max_size=400) | st.binary(max_size=300).map(lambda b: b"PK\x03\x04" + b)
       | st.binary(max_size=300).map(lambda b: b"PAR1" + b))  # fmt: skip
@settings(deadline=None)
def test_any_bytes_are_rows_or_one_error(content):
    try:
        read(content)
    except SheetError:
        return
