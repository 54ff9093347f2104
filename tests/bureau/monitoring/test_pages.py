"""The pages as users meet them: who may see what, filters, empty states, files, bad input."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from jingwei.bureau.monitoring import checks, tasks
from jingwei.bureau.monitoring.models import Exceedance
from jingwei.bureau.registry.models import PermitLimit, Point

from .conftest import City, make_enterprise, make_point, make_user

pytestmark = pytest.mark.django_db

OVER = {"a21002": 90.0, "a19001": 12.0}
UNDER = {"a21002": 30.0, "a19001": 12.0}


def ago(hours: int) -> datetime:
    """The start of an hour before now: pages show what the clock says."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours + 1)


@pytest.fixture
def web(client: Client, dispatcher, city: City) -> Client:
    city.received = datetime.now(UTC) - timedelta(minutes=1)
    client.force_login(dispatcher)
    return client


def url(name: str, city: City, **query: str) -> str:
    path = reverse(f"monitoring:{name}", args=[city.point.mn, city.point.st])
    return path + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")


def text(response) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def table(response) -> list[list[str]]:
    body = b"".join(response) if response.streaming else response.content
    return list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))


# Points -----------------------------------------------------------------------------------------


def test_the_list_shows_state_and_values(web: Client, city: City):
    city.send(ago(0), UNDER)
    page = text(web.get(reverse("monitoring:points")))
    assert city.point.name in page
    assert "state-normal" in page
    assert "氮氧化物" in page


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ({"q": "热电一"}, True),
        ({"q": "MONITOR"}, True),
        ({"q": "示例热电1厂"}, True),
        ({"q": "水泥"}, False),
        ({"state": "normal"}, True),
        ({"state": "offline"}, False),
        ({"kind": "source"}, True),
        ({"kind": "air_station"}, False),
        ({"kind": "micro_station"}, False),
        ({"region": "110108"}, True),
    ],
)
def test_filters(web: Client, city: City, query, there):
    city.send(ago(0), UNDER)
    page = text(web.get(reverse("monitoring:points"), query))
    assert (f"{city.point.mn} ·" in page) is there
    assert ("没有符合筛选条件的记录" in page) is not there


@pytest.mark.parametrize("query", [{"state": "sunny"}, {"kind": "x"}, {"region": "'; DROP"}])
def test_a_wrong_filter_is_said(web: Client, query):
    page = text(web.get(reverse("monitoring:points"), query))
    assert "field-error" in page


def test_no_points_at_all(web: Client, city: City):
    PermitLimit.objects.all().delete()
    Point.objects.all().delete()
    assert "尚未登记监测点" in text(web.get(reverse("monitoring:points")))


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999"])
def test_a_page_that_does_not_exist_gives_one_that_does(web: Client, page):
    assert "MONITOR" in text(web.get(reverse("monitoring:points"), {"page": page}))


def test_points_csv_is_safe_in_a_spreadsheet(web: Client, city: City):
    Point.objects.update(name='=HYPERLINK("http://evil.example","x")')
    city.send(ago(0), {"a21002": -1.5, "a19001": 12.0})
    rows = table(web.get(reverse("monitoring:points_csv")))
    assert rows[1][2] == '\'=HYPERLINK("http://evil.example","x")'
    assert rows[1][9] == "-1.5"  # a number stays a number
    assert len(rows) == 3


def test_a_micro_station_is_listed_by_its_kind_and_says_that_it_is_indicative(
    web: Client, city: City
):
    micro = make_point(None, city.other, 9, st="22", kind="micro_station", name="望京微站")
    city.send(ago(0), {"a34004": 70}, point=micro)
    page = text(web.get(reverse("monitoring:points"), {"kind": "micro_station"}))
    assert "望京微站" in page
    assert f"{city.point.mn} ·" not in page
    page = text(web.get(micro.get_absolute_url()))
    assert "指示性" in page
    assert "空气质量指数，小时" not in page
    assert "来源追溯" not in page.split("<main")[1]
    (found,) = [
        f["properties"]
        for f in web.get(reverse("monitoring:map")).json()["features"]
        if f["properties"]["name"] == "望京微站"
    ]
    assert found["kind"] == "micro_station"
    assert "aqi" not in found


def test_the_map(web: Client, city: City):
    city.send(ago(0), UNDER)
    air = make_point(None, city.other, 9, st="22", kind="air_station", name="奥体中心")
    items = {"a34004": 70, "a34002": 100, "a21026": 10, "a21004": 40, "a21005": 0.9, "a05024": 100}
    city.send(ago(0), items, point=air)
    found = web.get(reverse("monitoring:map")).json()
    by = {f["properties"]["name"]: f for f in found["features"]}
    source, station = by[city.point.name]["properties"], by["奥体中心"]
    assert (source["state"], source["kind"], source["url"]) == (
        "normal",
        "source",
        city.point.get_absolute_url(),
    )
    assert source["values"][0] == {"name": "氮氧化物", "value": 30.0, "unit": "mg/m³"}
    assert station["geometry"]["coordinates"] == [116.4, 39.9]
    assert station["properties"]["aqi"] == 110
    assert station["properties"]["level"] == 3
    assert station["properties"]["level_name"] == "轻度污染"


# One point --------------------------------------------------------------------------------------


def test_the_point_page(web: Client, city: City):
    city.send(ago(1), UNDER)
    city.send(ago(0), OVER)
    tasks.tick(datetime.now(UTC))
    page = text(web.get(city.point.get_absolute_url()))
    assert "state-abnormal" in page
    assert city.outlet.enterprise.name in page
    assert "GB 13223-2011 table 1" in page
    assert "已核对标准原文" in page
    assert 'id="chart"' in page
    assert "缺 166 个时段" in page
    assert "style=" not in page
    assert "onclick" not in page


def test_a_point_without_data_or_limits(web: Client, city: City):
    PermitLimit.objects.all().delete()
    Point.objects.update(factors=[])
    page = text(web.get(city.point.get_absolute_url()))
    assert "从未收到数据" in page
    assert "没有现行限值" in page
    assert web.get(url("series", city)).json() == {"series": [], "limits": []}
    assert len(table(web.get(url("series_csv", city)))) == 1


def test_limits_that_are_not_verified_or_not_usable_are_marked(web: Client, city: City):
    PermitLimit.objects.filter(period="hour").update(verified="secondary", reference_o2=21)
    page = text(web.get(city.point.get_absolute_url()))
    assert "无法用于判定" in page
    assert str(PermitLimit.Verified.SECONDARY.label) in page


def test_a_demo_point_says_what_it_replays(web: Client, city: City):
    city.point.replay = {
        "sources": [{"series": "gas_turbine", "title": "UCI Gas Turbine", "licence": "CC BY 4.0"}],
        "channels": [{"factor": "a21002", "series": "gas_turbine", "column": "NOX", "scale": 1.25}],
    }
    city.point.save()
    page = text(web.get(city.point.get_absolute_url()))
    assert "演示：本监测点回放实测序列" in page
    assert "UCI Gas Turbine" in page
    assert "NOX × 1.25" in page


@pytest.mark.parametrize(
    "query", [{"factor": "nothing"}, {"resolution": "week"}, {"span": "1000y"}, {"factor": "<b>"}]
)
def test_wrong_choices_give_way_to_the_default(web: Client, city: City, query):
    city.send(ago(0), OVER)
    assert "氮氧化物" in text(web.get(url("point", city), query))
    assert web.get(url("series", city), query).json()["series"][0]["unit"] == "mg/m³"


def test_series_for_the_chart(web: Client, city: City):
    city.send(ago(2), OVER)
    city.send(ago(0), {"a21002": (90.0, "C"), "a19001": 12.0})
    found = web.get(url("series", city, factor="a21002", resolution="hour", span="24h")).json()
    converted, raw = found["series"]
    at = [int(ago(n).timestamp() * 1000) for n in (2, 0)]
    assert raw["data"] == [[at[0], 90.0, "N"], [at[1], 90.0, "C"]]
    assert converted["data"] == [[at[0], 150.0, "N"], [at[1], None, "C"]]
    assert [x["value"] for x in found["limits"]] == [100.0]
    assert (found["step"], found["missing"], found["flags"]["C"]) == (3_600_000, 22, "校准")


def test_a_limit_in_another_unit_is_drawn_in_the_unit_of_the_values(web: Client, city: City):
    PermitLimit.objects.filter(period="hour").update(value="0.1", unit="mg/L", factor="w20120")
    Point.objects.update(st="32", factors=["w20120"])
    city.point.refresh_from_db()
    city.send(ago(0), {"w20120": 120.0})
    found = web.get(url("series", city, factor="w20120")).json()
    assert found["series"][0]["unit"] == "µg/L"
    assert found["limits"][0]["value"] == pytest.approx(100.0)


def test_series_csv(web: Client, city: City):
    city.send(ago(0), OVER)
    response = web.get(url("series_csv", city, factor="a21002"))
    assert f'filename="{city.point.mn}-31-a21002.csv"' in response["Content-Disposition"]
    rows = table(response)
    assert rows[1][1:6] == ["a21002", "90.0", "mg/m³", "150.0", "N"]


# One value --------------------------------------------------------------------------------------


def value_url(city: City, when: datetime, **more: str) -> str:
    query = {"factor": "a21002", "resolution": "hour", "time": str(int(when.timestamp()))} | more
    return url("value", city, **query)


def test_a_value_with_steps_and_telegrams(web: Client, city: City):
    city.send(ago(0), OVER)
    tasks.tick(datetime.now(UTC))
    city.send(ago(0), UNDER)
    tasks.tick(datetime.now(UTC))
    page = text(web.get(value_url(city, ago(0))))
    assert "30 × (21 − 6) / (21 − 12)" in page
    assert "达标" in page
    assert "HJ 212-2017 附录 D (26)–(28)" in page
    assert "App. D" not in page
    assert "90 × (21 − 6) / (21 − 12)" in page  # the earlier judgement stays readable
    assert "带来该数据的报文：2 条" in page
    assert "PW=******" in page
    assert "123456" not in page
    fragment = text(web.get(value_url(city, ago(0)), headers={"HX-Request": "true"}))
    assert "<html" not in fragment
    assert "30 × (21 − 6) / (21 − 12)" in fragment


def test_no_verdict_is_explained(web: Client, city: City):
    city.send(ago(0), {"a21002": (90.0, "D"), "a19001": 12.0})
    page = text(web.get(value_url(city, ago(0))))
    assert "不作为超标判定依据" in page
    assert "生态环境部公告 2022 年第 21 号第六条" in page
    assert "不作判定" in page


def test_a_limit_that_cannot_be_judged_by_is_said(web: Client, city: City):
    PermitLimit.objects.filter(period="hour").update(reference_o2=21)
    city.send(ago(0), OVER)
    page = text(web.get(value_url(city, ago(0))))
    assert "未按此限值判定。" in page
    assert "其基准氧含量为 21 %" in page


@pytest.mark.parametrize(
    "more",
    [
        {"time": "0"},
        {"time": "x"},
        {"time": ""},
        {"resolution": "week"},
        {"factor": ""},
        {"factor": "z" * 30},
        {"factor": "w01018"},
    ],
)
def test_a_value_that_is_not_there(web: Client, city: City, more):
    city.send(ago(0), OVER)
    assert web.get(value_url(city, ago(0), **more)).status_code == 404


def test_a_telegram_with_markup_is_shown_as_text(web: Client, city: City):
    city.send(ago(0), {"a21002": "<script>alert(1)</script>", "a19001": 12.0})
    page = text(web.get(value_url(city, ago(0))))
    assert "<script>alert(1)" not in page


# Exceedances ------------------------------------------------------------------------------------


@pytest.fixture
def three(city: City, web: Client) -> City:
    for n in (30, 2, 0):
        city.send(ago(n), OVER)
    tasks.tick(datetime.now(UTC))
    city.send(ago(2), UNDER)
    tasks.tick(datetime.now(UTC))
    return city


def listed(response) -> int:
    return len(re.findall(r'href="/monitoring/exceedances/\d+/"', text(response)))


def test_the_list_of_exceedances(web: Client, three: City):
    page = reverse("monitoring:exceedances")
    day = datetime.now(UTC) + timedelta(hours=8)
    for query, count in (
        ({}, 2),
        ({"show": "withdrawn"}, 1),
        ({"show": "all"}, 3),
        ({"factor": "a21002"}, 2),
        ({"period": "day"}, 0),
        ({"q": "热电1"}, 2),
        ({"q": "水泥"}, 0),
        ({"since": f"{day + timedelta(days=1):%Y-%m-%d}"}, 0),
        ({"until": f"{day:%Y-%m-%d}"}, 2),
    ):
        assert listed(web.get(page, query)) == count, query


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"period": "week"},
        {"since": "2026-11-20", "until": "2026-11-01"},
        {"factor": "x" * 20},
    ],
)
def test_a_wrong_filter_of_exceedances_is_said(web: Client, three: City, query):
    assert "field-error" in text(web.get(reverse("monitoring:exceedances"), query))


def test_exceedances_csv(web: Client, three: City):
    three.outlet.enterprise.name = "@SUM(A1)"
    three.outlet.enterprise.save()
    rows = table(web.get(reverse("monitoring:exceedances_csv")))
    assert len(rows) == 3
    assert rows[1][2] == "'@SUM(A1)"
    assert rows[1][7:11] == ["150.0", "100.0", "mg/m³", "0.5"]


def test_one_exceedance(web: Client, three: City):
    for e in Exceedance.objects.all():
        page = text(web.get(reverse("monitoring:exceedance", args=[e.pk])))
        assert "90 × (21 − 6) / (21 − 12)" in page
        assert str(e.telegrams[0]) in page
        assert ("此判定已失效" in page) is bool(e.withdrawn)


# Who may ----------------------------------------------------------------------------------------


def paths(city: City) -> list[str]:
    e = Exceedance.objects.filter(withdrawn="").first()
    return [
        city.point.get_absolute_url(),
        url("series", city),
        url("series_csv", city),
        value_url(city, ago(0)),
        reverse("monitoring:exceedance", args=[e.pk]),
    ]


@pytest.mark.parametrize(
    ("role", "area", "enterprise", "status"),
    [
        ("dispatcher", "", "", 200),
        ("auditor", "", "", 200),
        ("district", "110108", "", 200),
        ("district", "110105", "", 404),
        ("grid", "110108", "", 200),
        ("grid", "110105", "", 404),
        ("enterprise", "", "91110000000000" + "0001", 200),
        ("enterprise", "", "91110000000000" + "0002", 404),
        ("", "", "", 403),
    ],
)
def test_who_may_see_a_source(three: City, role, area, enterprise, status):
    make_enterprise(three.other, 2)
    client = Client()
    client.force_login(make_user(role, area, enterprise, name="somebody"))
    for path in paths(three):
        assert client.get(path).status_code == status, path
    rows = Exceedance.objects.filter(withdrawn="").count() if status == 200 else 0
    if status != 403:
        assert listed(client.get(reverse("monitoring:exceedances"))) == rows


def test_without_login(three: City):
    for path in [*paths(three), reverse("monitoring:points"), reverse("monitoring:map")]:
        response = Client().get(path)
        assert response.status_code == 302, path
        assert response["Location"].startswith("/accounts/login")


def test_nothing_is_written_by_post(web: Client, three: City):
    for path in [*paths(three), reverse("monitoring:points"), reverse("monitoring:exceedances")]:
        assert web.post(path).status_code == 405


# Counts of queries ------------------------------------------------------------------------------


def queries(web: Client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as found:
        assert web.get(path).status_code == 200
    return len([q for q in found if '"monitoring_' in q["sql"] or '"registry_' in q["sql"]])


def test_lists_ask_the_same_number_of_questions_whatever_their_length(web: Client, city: City):
    lists = [
        reverse("monitoring:points"),
        reverse("monitoring:exceedances"),
        reverse("monitoring:map"),
    ]
    city.send(ago(0), OVER)
    tasks.tick(datetime.now(UTC))
    few = [queries(web, path) for path in lists]
    for n in range(2, 12):
        _e, _p, outlet = make_enterprise(city.region, n)
        city.send(ago(0), OVER, point=make_point(outlet, city.region, n))
    for e in PermitLimit.objects.filter(period="hour"):
        for p in Point.objects.exclude(pk=city.point.pk):
            e.pk, e.outlet = None, p.outlet
            e.save()
    Exceedance.objects.all()
    tasks.tick(datetime.now(UTC))
    many = [queries(web, path) for path in lists]
    assert few == many
    # points: points, exceedances, checks; exceedances: choices of the factor, count, rows; the shell's own
    assert all(a <= b for a, b in zip(many, (5, 6, 4), strict=True)), many


# English, fsck ----------------------------------------------------------------------------------


def test_in_english(web: Client, three: City):
    with translation.override("en"):
        web.cookies["django_language"] = "en"
        page = text(web.get(value_url(three, ago(0))))
    assert "Exceeds the limit" in page
    assert "At reference oxygen" in page
    page = text(web.get(three.point.get_absolute_url()))
    assert "Nitrogen oxides" in page or "NOx" in page


def test_fsck_finds_nothing_in_a_sound_system_and_names_what_is_not(three: City):
    assert list(checks.check()) == []
    three.send(ago(0), UNDER, mn="NOBODYKNOWS0000000000001")
    tasks.tick(datetime.now(UTC))
    Exceedance.objects.filter(withdrawn="").update(telegrams=[2026_11_00001 << 32 | 7])
    found = list(checks.check())
    assert sum("NOBODYKNOWS" in s for s in found) == 1
    assert sum("journal does not have" in s for s in found) == 2


def test_many_days_of_minutes_are_shown_by_the_hour(web: Client, city: City):
    """Added up, not scanned; the download has every value."""
    for k in range(6):
        city.send(ago(50) + timedelta(minutes=10 * k), {"a21002": 10.0 + k}, resolution="minute")
    long = {"factor": "a21002", "resolution": "minute", "span": "30d"}
    seen = web.get(url("series", city, **long)).json()
    (points,) = [s["data"] for s in seen["series"]]
    assert [p[1] for p in points] == [12.5]
    assert seen["step"] == 3_600_000
    assert "Means by hour" in text(
        web.get(url("point", city, **long), headers={"accept-language": "en"})
    )
    assert len(table(web.get(url("series_csv", city, **long)))) == 1 + 6
    short = long | {"span": "7d"}
    (points,) = [s["data"] for s in web.get(url("series", city, **short)).json()["series"]]
    assert [p[1] for p in points] == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]
    assert "Means by hour" not in text(web.get(url("point", city, **short)))
