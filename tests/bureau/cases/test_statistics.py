"""Figures by department, the monthly assessment, saved filters, workbooks."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from django.urls import reverse
from openpyxl import load_workbook

from bureau.cases.city import DOCUMENT, FORMS, NOW, bring, do, files_for, finding, handle, open_case
from jingwei.bureau.cases import services, statistics, tasks

pytestmark = pytest.mark.django_db

FIRST, LAST = date(2026, 11, 1), date(2026, 12, 31)


def order(city, number, which=0, closed=None):
    """An order; closed that many days later by way of one rejection, where said."""
    case = services.open_case(city.dispatcher, [finding(city, number, which)], DOCUMENT, now=NOW)
    way = [("issue", "dispatcher", 0)]
    if closed is not None:
        way += [
            ("sign", "district", 0), ("answer", "enterprise", 1), ("reject", "grid", 1),
            ("answer", "enterprise", 2), ("verify", "grid", 2), ("accept", "district", 2),
            ("close", "dispatcher", closed),
        ]  # fmt: skip
    for name, who, days in way:
        case.refresh_from_db()
        services.act(
            city.people[who], case.pk, name, case.version, FORMS[name], files_for(name),
            now=NOW + timedelta(days=days),
        )  # fmt: skip
    return case


@pytest.fixture
def filled(city):
    """Haidian: closed after 3 and 9 days, one overdue; Chaoyang: one open, a case passed on."""
    for number, days in ((1, 3), (2, 9)):
        order(city, number, closed=days)
    late = order(city, 3)
    order(city, 4, which=1)
    late.refresh_from_db()
    tasks.tick(late.due)
    case = handle(city, 5)
    do(city.dispatcher, case, "dispatch", department=city.districts[0].pk)
    do(city.district, case, "transfer", department=city.districts[1].pk)
    city.now = late.due + timedelta(hours=1)
    return city


def test_figures(filled):
    whole, found = statistics.figures(filled.dispatcher, FIRST, LAST, now=filled.now)
    by = {f.department.code: f for f in found}
    one, two = by["district-110108"], by["district-110105"]
    assert (whole.received, one.received, two.received) == (5, 3, 2)
    assert (one.closed, one.judged, one.missed) == (2, 3, 1)
    assert one.handled == pytest.approx(2 / 3)
    assert one.on_time == pytest.approx(2 / 3)
    assert (one.median, one.p90) == (3, 9)
    assert (one.returns, one.reported, one.not_returned) == (2, 4, 0.5)
    assert one.score == pytest.approx((40 * 2 / 3 + 40 * 2 / 3 + 20 * 0.5), abs=0.05)
    assert (one.transfers, two.transfers, two.closed, two.median) == (1, 0, 0, None)
    whole, _found = statistics.figures(filled.dispatcher, FIRST, LAST, "handling", filled.now)
    assert (whole.received, whole.transfers) == (1, 1)


def test_everybody_counts_what_he_may_see(filled):
    whole, _found = statistics.figures(filled.district2, FIRST, LAST, now=filled.now)
    assert whole.received == 2
    whole, _found = statistics.figures(filled.enterprise2, FIRST, LAST, now=filled.now)
    assert whole.received == 1


def test_nothing_is_nothing(city):
    whole, found = statistics.figures(city.dispatcher, FIRST, LAST)
    assert (whole.handled, whole.on_time, whole.median, whole.score, found) == (
        None, None, None, None, [],
    )  # fmt: skip


def test_repeats(city):
    order(city, 1, closed=3)
    later = NOW + timedelta(days=30)
    row = finding(city, 2)
    again = services.open_case(city.dispatcher, [row], DOCUMENT, now=later)
    services.act(city.dispatcher, again.pk, "issue", 1, FORMS["issue"], now=later)
    whole, _found = statistics.figures(city.dispatcher, FIRST, LAST, now=later)
    assert (whole.repeats, whole.named, whole.repeat_rate) == (1, 2, 0.5)


def test_officers(filled):
    found = statistics.officers(filled.dispatcher, FIRST, LAST)
    [own] = found
    assert own.user == filled.grid
    # Two rejections and two verifications; those of the forms that have a position are located.
    located = 2 * ("position" in FORMS["reject"]) + 2 * ("position" in FORMS["verify"])
    assert (own.done, own.on_time, own.located, own.late) == (4, 4, located, 0)
    assert own.score == pytest.approx(60 + 20 * located / 4 + 20)


def test_a_late_officer_loses_points(city):
    case = bring(city, open_case(city), "answered")
    late = case.level_due + timedelta(hours=1)
    tasks.tick(late)
    data, files = FORMS["verify"], files_for("verify")
    services.act(city.grid, case.pk, "verify", case.version, data, files, now=late)
    [own] = statistics.officers(city.dispatcher, FIRST, LAST)
    assert (own.done, own.on_time, own.late) == (1, 0, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-02", (date(2026, 2, 1), date(2026, 2, 28))),
        ("2026-12", (date(2026, 12, 1), date(2026, 12, 31))),
        ("nonsense", (date(2026, 10, 1), date(2026, 10, 31))),
        ("", (date(2026, 10, 1), date(2026, 10, 31))),
    ],
)
def test_month(text, found):
    assert statistics.month(text, date(2026, 11, 22)) == found


def test_pages_and_downloads(filled, client):
    client.force_login(filled.dispatcher)
    url = reverse("cases:statistics") + f"?from={FIRST}&to={LAST}"
    assert "海淀区district" in client.get(url).content.decode()
    body = b"".join(client.get(url + "&format=csv")).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(body)))
    assert len({len(r) for r in rows}) == 1
    assert rows[-1][1] == "5"
    sheet = load_workbook(io.BytesIO(client.get(url + "&format=xlsx").getvalue())).active
    assert [c.value for c in sheet[sheet.max_row]][1] == 5
    url = reverse("cases:assessment") + "?month=2026-11"
    assert "40" in client.get(url).content.decode()
    for table in ("departments", "officers"):
        body = b"".join(client.get(f"{url}&table={table}")).decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(body)))
        assert len(rows) > 1
        book = load_workbook(io.BytesIO(client.get(f"{url}&table={table}&format=xlsx").getvalue()))
        assert [str(c.value) for c in book.active[1]] == rows[0]
        assert book.active.max_row == len(rows)
        assert f"table={table}&amp;format=xlsx" in client.get(url).content.decode()
    assert client.get(reverse("cases:statistics")).status_code == 200
    assert client.get(reverse("cases:assessment")).status_code == 200
    for bad in ("?from=x&to=2026-02-31", "?from=2026-12-01&to=2020-01-01", "?flow=none"):
        assert client.get(reverse("cases:statistics") + bad).status_code == 200


def test_a_workbook_holds_no_formula(city, client):
    title = "=cmd|' /C calc'!A0"
    services.open_case(city.dispatcher, [finding(city)], {**DOCUMENT, "title": title}, now=NOW)
    client.force_login(city.dispatcher)
    response = client.get(reverse("cases:export_xlsx"))
    sheet = load_workbook(io.BytesIO(response.getvalue())).active
    cells = [c for row in sheet.iter_rows() for c in row]
    assert not [c for c in cells if c.data_type == "f"]
    assert title in [c.value for c in cells]
