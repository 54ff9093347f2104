"""The pages of tables: recognised, mapped, looked at by row, taken in whole or not at all."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.monitoring import selectors
from jingwei.bureau.monitoring.table_models import ObservationFile
from jingwei.telemetry import journal
from jingwei.telemetry.journal import JournalError

from .conftest import make_point, make_user

HEAD = "设备编号,监测时间,氮氧化物(mg/m3),氮氧化物(mg/m3)标记,备注"


@pytest.fixture
def table(city, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "files"
    mn = city.point.mn
    rows = [f"{mn},2026-03-10 {h}:00,{h}.50,N,x" for h in (10, 11, 12)]
    return "\n".join([HEAD, *rows, ""])


def hand_in(client, text, name="hours.csv"):
    data = text if isinstance(text, bytes) else text.encode()
    answer = client.post(reverse("monitoring:tables"), {"file": SimpleUploadedFile(name, data)})
    if answer.status_code == 302:
        return ObservationFile.objects.latest("pk")
    return answer


def mapped(row, **changes):
    factors = row.mapping["factors"]
    header = HEAD.split(",")
    said = {
        "do": "look", "device_column": "设备编号", "device": "", "st": "31", "resolution": "hour",
        "time_column": "监测时间", "time_format": "", "year": "", "missing": "",
    }  # fmt: skip
    for i, name in enumerate(header):
        for key, value in factors.get(name, {}).items():
            said[f"{key}-{i}"] = value
    return said | changes


def values(city):
    start = datetime(2026, 3, 10, tzinfo=UTC)
    table = selectors.lake().series(
        city.point.mn, "31", None, "hour", start, start + timedelta(days=1)
    )
    return dict(zip(table["time"].to_pylist(), table["value"].to_pylist(), strict=True))


@pytest.fixture
def officer(client, dispatcher):
    client.force_login(dispatcher)
    return client


@pytest.mark.parametrize("kind", ["utf-8", "gb18030", "xlsx"])
def test_a_table_goes_from_the_page_into_the_lake(city, table, officer, kind):
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for line in table.splitlines():
            book.active.append(line.split(","))
        out = io.BytesIO()
        book.save(out)
        row = hand_in(officer, out.getvalue(), "hours.xlsx")
    else:
        row = hand_in(officer, table.encode(kind))
    page = officer.get(row.get_absolute_url())
    text = page.content.decode()
    assert "3 行中 3 行可导入，共 3 个数据" in text
    assert "a21002 Avg=10.50 Flag=N" in text, "what a row becomes"
    done = officer.post(row.get_absolute_url(), {"do": "take"}, follow=True)
    assert "导入 3 行" in done.content.decode()
    row.refresh_from_db()
    assert (row.state, row.rows, row.values, row.left_out) == ("done", 3, 3, 0)
    city.take()
    assert sorted(values(city).values()) == [10.5, 11.5, 12.5]
    entry = EvidenceEntry.objects.get(kind="observations")
    assert entry.subject == f"observations:{row.pk}"
    assert row.name in officer.get(reverse("monitoring:tables")).content.decode()


def test_errors_by_row_stop_everything_unless_rows_are_left_out(city, table, officer):
    bad = table.replace("11.50", "n/a").replace("2026-03-10 12:00", "2126-03-10 12:00")
    row = hand_in(officer, bad)
    text = officer.get(row.get_absolute_url()).content.decode()
    assert "n/a 不是数字" in text
    assert "晚于当前时间" in text
    assert "3 行中 1 行可导入" in text
    answer = officer.post(row.get_absolute_url(), {"do": "take"})
    assert answer.status_code == 409
    assert "略去这些行" in answer.content.decode()
    assert journal.read(city.root / "journal") == []
    officer.post(row.get_absolute_url(), {"do": "take", "skip": "1"})
    row.refresh_from_db()
    assert (row.rows, row.left_out) == (1, 2)
    city.take()
    assert list(values(city).values()) == [10.5]


def test_the_mapping_is_changed_on_the_page(city, table, officer):
    row = hand_in(officer, table)
    answer = officer.post(
        row.get_absolute_url(),
        mapped(row, **{"scale-2": "0.1", "field-2": "Max", "named_by_end": "on", "device_column": "",
                       "device": city.point.name}),
    )  # fmt: skip
    assert answer.status_code == 302, answer.content.decode()
    text = officer.get(row.get_absolute_url()).content.decode()
    assert "a21002 Flag=N Max=1.05" in text or "a21002 Max=1.05 Flag=N" in text
    assert "2026-03-10 09:00:00" in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"device_column": ""}, "请指明设备所在列"),
        ({"time_column": ""}, "field-error"),
        ({"st": "99"}, "field-error"),
        ({"code-2": "氮氧化物"}, "请填写因子编码"),
        ({"code-2": ""}, "至少为一列指定"),
        ({"scale-2": "0"}, "应为正数"),
        ({"scale-2": "NaN"}, "应为正数"),
        ({"flag-2": "?"}, "没有该列"),
        ({"code-0": "a21002"}, "设备列或时间列"),
        ({"resolution": "realtime", "named_by_end": "on"}, "没有时段结束时刻"),
        ({"year": "1800"}, "field-error"),
    ],
)
def test_a_mapping_that_cannot_be_keeps_what_was_typed(city, table, officer, changes, says):
    row = hand_in(officer, table)
    answer = officer.post(row.get_absolute_url(), mapped(row, missing="-- 无", **changes))
    text = answer.content.decode()
    assert answer.status_code == 422
    assert says in text
    assert "-- 无" in text
    row.refresh_from_db()
    assert row.mapping["missing"] == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "表格"),
        (b"\xff\xff", "UTF-8"),
        (
            "名称\n".encode() + "甲站\n".encode("gb18030"),
            "第 1 行为 UTF-8 编码，第 2 行为 GB 18030",
        ),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "旧格式"),
        (b"PK\x03\x04broken", "无法读取"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(city, table, officer, content, says):
    answer = hand_in(officer, content)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert ObservationFile.objects.count() == 0


def test_a_table_of_two_like_columns_is_shown_with_what_is_wrong(city, table, officer):
    row = hand_in(officer, table.replace("备注", "监测时间"))
    text = officer.get(row.get_absolute_url()).content.decode()
    assert "two columns" in text
    assert officer.post(row.get_absolute_url(), {"do": "take"}).status_code == 409


def test_the_same_file_is_not_taken_in_twice(city, table, officer):
    first, second = hand_in(officer, table), hand_in(officer, table)
    officer.post(first.get_absolute_url(), {"do": "take"})
    answer = officer.post(second.get_absolute_url(), {"do": "take"})
    assert "已按相同的对应关系导入" in answer.content.decode()
    assert len(journal.read(city.root / "journal")) == 3
    again = officer.post(first.get_absolute_url(), {"do": "take"})
    assert again.status_code == 200
    assert len(journal.read(city.root / "journal")) == 3


def test_a_full_disk_takes_nothing_and_may_be_tried_again(city, table, officer, monkeypatch):
    row = hand_in(officer, table)

    def full(*_):
        raise JournalError("full")

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "append", full)
        assert officer.post(row.get_absolute_url(), {"do": "take"}).status_code == 409
    row.refresh_from_db()
    assert row.state == "draft"
    assert officer.post(row.get_absolute_url(), {"do": "take"}).status_code == 302


def test_devices_of_others_are_not_found_and_files_are_ones_own(city, table, client):
    make_point(None, city.other, 7, name="别处")
    district = make_user("district", "110105")
    client.force_login(district)
    row = hand_in(client, table)
    assert "辖区内没有该系统类型的设备" in client.get(row.get_absolute_url()).content.decode()
    client.force_login(make_user("district", "110108"))
    assert client.get(row.get_absolute_url()).status_code == 404
    client.force_login(make_user("auditor"))
    assert client.get(reverse("monitoring:tables")).status_code == 403


def test_the_template_is_recognised(city, table, officer):
    template = b"".join(officer.get(reverse("monitoring:table_template_csv")))
    row = hand_in(officer, template, "t.csv")
    assert row.mapping["factors"]["二氧化硫"]["flag"] == "二氧化硫标记"
    assert "1 行中 1 行可导入" in officer.get(row.get_absolute_url()).content.decode()
