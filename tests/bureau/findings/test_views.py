"""List, page, map and export of findings."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import unquote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.timezone import localtime
from openpyxl import load_workbook

from bureau.cases.city import NOW, finding, open_case
from jingwei.bureau.findings import export, facts, selectors, services
from jingwei.bureau.findings.export import cell, xlsx_response
from jingwei.bureau.findings.models import Finding

pytestmark = pytest.mark.django_db


def login(client, user):
    client.force_login(user)
    return client


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_shows_for_everybody_who_may_see_it(client, city, language):
    client.cookies["django_language"] = language
    near, far = finding(city, 1, 0), finding(city, 2, 1)
    open_case(city, 3)
    for user in city.people.values():
        login(client, user)
        for page in ("list", "map", "export"):
            assert client.get(reverse(f"findings:{page}")).status_code == 200
        for row in (near, far):
            visible = Finding.objects.restrict(user, "finding.view").filter(pk=row.pk).exists()
            status = client.get(row.get_absolute_url()).status_code
            assert status == (200 if visible else 404), (user, row)


def test_the_page_shows_values_limits_and_what_may_be_done(client, city):
    row = finding(city, innocent=["启停机"], next_check="核对现场工况")
    page = login(client, city.dispatcher).get(row.get_absolute_url())
    html = page.content.decode()
    for text in (
        "75.5",
        "50 mg/m3",
        "0.51",
        "GB 13223-2011",
        "启停机",
        "核对现场工况",
        city.enterprises[0].name,
    ):
        assert text in html, text
    assert reverse("cases:open") + f"?finding={row.pk}" in html
    assert reverse("evidencelog:entry", args=[row.evidence_id]) in html
    plain = login(client, city.enterprise).get(row.get_absolute_url()).content.decode()
    assert reverse("cases:open") not in plain
    assert reverse("evidencelog:entry", args=[row.evidence_id]) not in plain
    assert reverse("findings:dismiss", args=[row.pk]) not in plain


def test_a_draft_is_not_told_to_the_enterprise(client, city):
    case = open_case(city)
    row = case.findings.get()
    assert (
        case.get_absolute_url()
        in login(client, city.district).get(row.get_absolute_url()).content.decode()
    )
    assert (
        case.get_absolute_url()
        not in login(client, city.enterprise).get(row.get_absolute_url()).content.decode()
    )


def test_withdrawn_values_are_not_shown(client, city):
    from jingwei.bureau.monitoring.models import Exceedance

    row = finding(city)
    first = row.exceedances.first()
    Exceedance.objects.filter(pk=first.pk).update(withdrawn="within")
    page = login(client, city.dispatcher).get(row.get_absolute_url())
    assert len(page.context["exceedances"]) == 1


def test_dismiss_and_reopen(client, city):
    row = finding(city)
    login(client, city.district)
    url = reverse("findings:dismiss", args=[row.pk])
    refused = client.post(url, {"reason": " "})
    assert refused.status_code == 409
    assert client.post(url, {"reason": "标定"}).url == row.get_absolute_url()
    late = client.post(url, {"reason": "我的理由"})
    assert late.status_code == 409
    page = client.get(row.get_absolute_url())
    assert page.context["may_reopen"]
    assert (
        client.post(reverse("findings:reopen", args=[row.pk]), {"reason": "复核"}).status_code
        == 302
    )
    row.refresh_from_db()
    assert row.state == Finding.State.NEW


def test_what_was_said_of_a_finding_that_another_decided_can_be_copied(client, city):
    row, other = finding(city), finding(city, 2)
    login(client, city.district)
    client.cookies["django_language"] = "en"

    def say(act, **said):
        answer = client.post(reverse(f"findings:{act}", args=[row.pk]), said)
        assert answer.status_code == 409
        return answer

    # The form is still there: it has what was said.
    again = say("grade", severity=1, reason=" ")
    assert "left_over" not in again.context
    assert re.search(r'<option value="1" selected', again.content.decode())
    again = say("split", row=[row.exceedances.first().pk], reason=" ")
    assert re.search(
        rf'name="row" value="{row.exceedances.first().pk}" checked', str(again.content)
    )
    # It is not: all of it can be copied.
    client.post(reverse("findings:dismiss", args=[row.pk]), {"reason": "标定"})
    assert say("dismiss", reason="我的理由").context["left_over"] == [("Reason", "我的理由")]
    graded = say("grade", severity=3, reason=" ").context["left_over"]
    assert graded == [("Severity", Finding.Severity(3).label)]
    merged = say("merge", other=[other.pk], reason="同一次").context["left_over"]
    assert merged == [("Reason", "同一次"), ("Findings", other.title)]
    value = row.exceedances.first()
    parts = dict(say("split", row=[value.pk], reason="另一次").context["left_over"])
    assert f"{localtime(value.time):%Y-%m-%d %H:%M}" in parts["Values over the limit"]


def test_who_may_not_judge_is_refused(client, city):
    row = finding(city)
    url = reverse("findings:dismiss", args=[row.pk])
    for name in ("grid", "department", "enterprise", "auditor"):
        assert login(client, city.people[name]).post(url, {"reason": "x"}).status_code == 403
    assert login(client, city.district2).post(url, {"reason": "x"}).status_code == 404
    assert client.get(url).status_code == 405


def test_list_filters(client, city):
    one = finding(city, 1, 0, severity=3)
    two = finding(
        city, 2, 1, kind="fire", began=NOW - timedelta(days=9), ended=NOW - timedelta(days=8)
    )
    services.dismiss(city.dispatcher, two.pk, "x")
    login(client, city.dispatcher)

    def found(query):
        page = client.get(reverse("findings:list") + query)
        assert page.status_code == 200
        return [f.pk for f in page.context["page"].object_list]

    assert found("") == [one.pk, two.pk]
    assert found("?sort=began") == [one.pk, two.pk]
    assert found("?kind=fire") == [two.pk]
    assert found("?state=new") == [one.pk]
    assert found("?state=dismissed") == [two.pk]
    assert found("?region=110105") == [two.pk]
    assert found(f"?enterprise={city.enterprises[0].uscc}") == [one.pk]
    assert found(f"?point={city.points[0].key}") == [one.pk]
    assert found(f"?q={city.enterprises[1].name}") == [two.pk]
    assert found("?from=2026-11-15") == [one.pk]
    assert found("?to=2026-11-15") == [two.pk]
    assert found("?from=2026-11-12&to=2026-11-12") == [two.pk]
    for nonsense in ("?kind=x", "?state=x", "?region=x", "?enterprise=x", "?point=x-y", "?q=%25"):
        assert found(nonsense) == [], nonsense
    assert found("?from=2026-02-31&to=x&page=-1&sort=x&kind=%00&q=%00") == [one.pk, two.pk]


def test_map_shows_open_findings_of_the_last_week(client, city):
    now = timezone.now()

    def at(number, days, **kw):
        return finding(
            city, number, began=now - timedelta(days=days), ended=now - timedelta(days=days), **kw
        )

    fresh, old, done = at(1, 1), at(2, 8), at(3, 1)
    services.dismiss(city.dispatcher, done.pk, "x")
    data = login(client, city.dispatcher).get(reverse("findings:map")).json()
    assert [f["id"] for f in data["features"]] == [fresh.pk]
    [feature] = data["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [116.3, 39.9]}
    assert feature["properties"]["url"] == fresh.get_absolute_url()
    assert login(client, city.district2).get(reverse("findings:map")).json()["features"] == []
    assert old.state == Finding.State.NEW


def test_export_is_what_the_list_shows_and_safe(client, city):
    finding(city, 1, 0, title="=HYPERLINK(1)")
    finding(city, 2, 1)
    login(client, city.dispatcher)
    response = client.get(reverse("findings:export") + "?region=110108")
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    [header, row] = csv.reader(io.StringIO(text))
    assert row[4] == "'=HYPERLINK(1)"
    assert len(header) == len(row)
    assert row[8] == "2026-11-20 07:00"  # local time


def test_a_workbook_of_findings_is_the_list_and_holds_no_formula(client, city):
    title = "=cmd|' /C calc'!A0"
    finding(city, 1, 0, title=title)
    finding(city, 2, 1)
    login(client, city.dispatcher)
    query = "?region=110108"
    assert (
        f"/findings/export.xlsx{query}"
        in client.get(reverse("findings:list") + query).content.decode()
    )
    response = client.get(reverse("findings:export_xlsx") + query)
    assert unquote(response["Content-Disposition"]).endswith("线索.xlsx")
    sheet = load_workbook(io.BytesIO(response.getvalue())).active
    header, row = sheet.iter_rows()
    assert sheet.freeze_panes == "A2"
    assert len(header) == len(row)
    assert (row[4].value, row[4].data_type) == (title, "s")  # a text by its type: no quote needed
    assert not [c for c in (*header, *row) if c.data_type == "f"]


def test_a_workbook_keeps_every_value_by_its_type():
    values = [
        "=1+1", "<b>&\"'", "第一行\n 第二行 ", "a\x00b", 7, -1.5, Decimal("200000.10"), True, None,
        float("nan"), datetime(2026, 11, 1, tzinfo=UTC), date(2026, 11, 1), "x" * 40_000,
    ]  # fmt: skip
    answer = xlsx_response("a.xlsx", [f"列{i}" for i in range(len(values))], [values])
    header, row = load_workbook(io.BytesIO(answer.getvalue())).active.iter_rows()
    assert [c.value for c in header] == [f"列{i}" for i in range(len(values))]
    assert [c.value for c in row] == [
        "=1+1", "<b>&\"'", "第一行\n 第二行 ", "ab", 7, -1.5, 200000.1, True, None,
        "nan", "2026-11-01 08:00", "2026-11-01", "x" * 32_767,
    ]  # fmt: skip
    assert [c.data_type for c in row] == [*"ssss", *"nnn", "b", "n", *"ssss"]


@pytest.mark.parametrize(("rows", "told"), [(29, False), (30, True)])
def test_a_sheet_that_is_full_says_so(monkeypatch, rows, told):
    monkeypatch.setattr(export, "SHEET", 30)
    answer = xlsx_response("a.xlsx", ["n"] * 40, ([i] * 40 for i in range(rows)))
    found = list(load_workbook(io.BytesIO(answer.getvalue())).active.values)
    assert len(found) == 30
    assert found[27] == (26,) * 40  # 40 columns: to AN
    assert (found[29][0] == 28) is not told
    assert ("CSV" in str(found[29][0])) is told


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "＋1", "－1", "＠x"]
)
def test_a_formula_is_quoted(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["氮氧化物", "a=1", "1-2", -1, -0.5, 0, True, ""])
def test_what_is_no_formula_stays(value):
    assert cell(value) == value


def test_list_needs_the_same_queries_for_any_number_of_rows(
    client, city, django_assert_num_queries
):
    login(client, city.grid)
    url = reverse("findings:list")

    def count():
        client.get(url)
        with CaptureQueriesContext(connection) as captured:
            client.get(url)
        return len(captured)

    finding(city, 1)
    few = count()
    for number in range(2, 9):
        finding(city, number)
    assert count() == few
    city.grid.areas()
    with django_assert_num_queries(1):
        for row in selectors.search(city.grid, {}):
            assert f"{row.region.label}{row.enterprise.name}{row.point.outlet}"


def test_facts_are_readable():
    from django.utils import translation

    given = {
        "factor": "a21002",
        "period": "hour",
        "hours": 0,
        "lower_bound": False,
        "highest": 75.50000000001,
        "highest_at": "2026-11-20T02:00:00+00:00",
        "nested": {"wind_speed": 2},
        "list": [1, "a21026"],
        "nothing": None,
    }
    with translation.override("en"):
        rows = dict(facts.rows(given))
    assert rows["Worst value"] == "75.5"
    assert rows["Time of the worst value"] == "2026-11-20 10:00"
    assert rows["Hours over the limit"] == "0"
    assert rows["nested · wind speed"] == "2"
    assert rows["list"] == "1, a21026"
    assert "a21002" not in rows["Factor"]
    assert not {"lower_bound", "nothing"} & set(rows)


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("dispatcher", {"110105", "110108"}),
        ("district", {"110108"}),
        ("grid2", {"110105"}),
        ("enterprise", {"110108"}),
    ],
)
def test_the_filter_offers_the_districts_of_what_the_user_may_see(client, city, who, seen):
    finding(city, 1, 0), finding(city, 2, 1)
    page = login(client, city.people[who]).get(reverse("findings:list"))
    assert {r.code for r in page.context["regions"]} == seen
