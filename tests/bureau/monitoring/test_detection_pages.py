"""Pages of the detectors: the sheet, the order for a standard-gas check, one outlet, the fleet."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.models import Department
from jingwei.bureau.cases import gas_check
from jingwei.bureau.cases.models import Case
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.monitoring import detection, detection_selectors
from jingwei.bureau.monitoring.models import Detected, DetectionFit, DetectionWatch

from .conftest import make_enterprise, make_user


@pytest.fixture
def raised(city, dispatcher) -> Detected:
    """An outlet that was judged, and what was raised there a day ago."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    began = now - timedelta(days=3)
    for code, kind, parent in (("city", "city", None), ("110108", "district", "city")):
        Department.objects.get_or_create(
            code=code,
            defaults={
                "name": code,
                "kind": kind,
                "parent": Department.objects.filter(code=parent or "").first(),
            },
        )
    Department.objects.get(code="110108").jurisdictions.get_or_create(area="110108")
    fit = DetectionFit.objects.create(
        outlet=city.outlet, since=began - timedelta(days=300), until=began - timedelta(days=3),
        made=now, rows=7000, sha256="ab" * 32, program="cd" * 32,
        settings={
            "columns": [
                {"name": "a21002", "mn": city.point.mn, "st": "31", "factor": "a21002", "role": "target"},
                {"name": "a19001", "mn": city.point.mn, "st": "31", "factor": "a19001", "role": "o2"},
            ],
            "shares": None, "left_out": [],
        },
        learnt={
            "quality": {"a21002": {"r2": 0.81, "mae": 3.2, "rows": 5000, "passed": True}},
            "importance": {"a21002": {"a01011": 0.4, "a01012.state": 0.1}},
            "realised": {"0.1": {"nominal": 0.1, "realised": 0.13, "cases": 1, "months": 7.5}},
            "families": ["low:a21002", "cusum:a21002"], "limits": {"a21002": 92.0},
            "coverage": {"a21002": 0.97}, "targets": ["a21002"],
        },
    )  # fmt: skip
    DetectionWatch.objects.create(
        outlet=city.outlet, fit=fit, judged=now, looked=now, due=now + timedelta(days=1), hours=720,
        coverage={"a21002": 0.9},
        reasons=[{"code": "gate", "column": "a21003", "text": {"zh": "a21003: 不足", "en": "a21003: low"}}],
    )  # fmt: skip
    finding = Finding.objects.create(
        kind=Kind.FALSIFICATION, episode="detection/1", title="示例热电1厂DA001氮氧化物：低于应有水平",
        region=city.region, enterprise=city.outlet.enterprise, point=city.point, longitude=116.4,
        latitude=39.9, began=began, ended=began + timedelta(hours=6), innocent=["x"], next_check="y",
    )  # fmt: skip
    return Detected.objects.create(
        finding=finding, outlet=city.outlet, fit=fit, detector="low", factor="a21002",
        tier="statistical", grade="evidence", began=began, ended=began + timedelta(hours=6),
        found=began + timedelta(hours=6), p_value=0.004, rate=0.004, budget=0.1, noticed=now,
        sheet={
            "sentence": {"zh": "a21002：某时，上报浓度持续低于按工况应有的水平。", "en": "a21002, then: low."},
            "score": 2.4, "p_value": 0.004, "tier": "statistical", "grade": "evidence",
            "also": ["cusum:a21002"],
            "hidden_share": {"estimate": 0.41, "low": 0.3, "high": 0.5},
            "innocent_explanations": [
                {"explanation": {"zh": "分析仪漂移", "en": "Drift"}, "check": {"zh": "通标准气", "en": "Gas"}}
            ],
            "next_check": {"zh": "下达标准气现场核查", "en": "Order a gas check"},
            "evidence": {
                "numbers": {"reported_mean": 31.5, "expected_mean": 53.1, "rate_per_month": 0.004},
                "series": {
                    "a21002": [50.0] * 4 + [30.0] * 6, "expected": [52.0] * 10,
                    "low": [45.0] * 10, "high": [59.0] * 10,
                },
                "series_start": (began - timedelta(hours=4)).isoformat(),
                "formula": "-mean z", "parameters": {"window": "72", "step_seconds": 3600.0, "budget": 0.1},
                "sha256": "ef" * 32, "rows": [0, 9],
            },
        },
    )  # fmt: skip


def client(user) -> Client:
    one = Client()
    one.force_login(user)
    return one


def text(user, address: str) -> str:
    response = client(user).get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_a_finding_opens_as_its_sheet(raised, dispatcher) -> None:
    page = text(dispatcher, raised.finding.get_absolute_url())
    for said in (
        "氮氧化物：某时，上报浓度持续低于按工况应有的水平。",  # the factor by name
        "该时段上报均值", "31.5", "按工况应有均值", "53.1",
        "估计少报 41 %（按正常波动 30 % 至 50 %）",
        # 10^2.4 months by extrapolation, but 7.5 months were counted: not beyond three times these
        "比每 22 个月一次更罕见；用来计数的正常历史只有 7.5 个月",
        "分析仪漂移", "通标准气", "下达标准气现场核查", "累计偏低（氮氧化物）",
        "-mean z", "ef" * 32, "ab" * 32, "九成以上是设备故障", "下达标准气核查",
    ):  # fmt: skip
        assert said in page
    chart = detection_selectors.chart(raised)
    assert chart is not None
    assert next(s["name"] for s in chart["series"]) in ("上传值",)
    assert len(chart["series"]) == 4
    assert [chart["series"][i]["name"] for i in chart["band"]] == ["正常范围下限", "正常范围上限"]
    flagged = [cell for cell in chart["series"][0]["data"] if len(cell) == 3]
    assert len(flagged) == 6
    assert flagged[0][0] == int(raised.began.timestamp() * 1000)


def test_one_click_drafts_the_order_and_opens_the_case(raised, dispatcher) -> None:
    one = client(dispatcher)
    address = reverse("cases:gas_check", args=[raised.finding.pk])
    answer = one.post(address, {"token": "t1"})
    order = Case.objects.get(flow="order")
    assert answer.status_code == 302
    assert answer["Location"] == order.get_absolute_url()
    assert order.state == "draft"
    assert order.issued is None
    assert "采样探头" in order.text
    assert "HJ 75-2017" in order.text
    assert "DA001" in order.title
    case = order.parent
    assert case.flow == "handling"
    assert list(case.findings.all()) == [raised.finding]
    raised.finding.refresh_from_db()
    assert raised.finding.state == Finding.State.IN_CASE
    one.post(address, {"token": "t1"})  # a double click
    assert Case.objects.count() == 2
    again = one.post(address, {"token": "t2"}, follow=True)
    assert Case.objects.count() == 2
    assert "alert-error" in again.content.decode()
    page = text(dispatcher, raised.finding.get_absolute_url())
    assert "gas-check" not in page


def test_a_district_officer_gets_the_case_but_no_order(raised) -> None:
    officer = make_user(Role.DISTRICT, "110108")
    case = gas_check.ask(officer, raised.finding)
    assert case.flow == "handling"
    assert not Case.objects.filter(flow="order").exists()


@pytest.mark.parametrize("role", [Role.ENTERPRISE, Role.AUDITOR, Role.GRID])
def test_others_may_not_order(raised, role) -> None:
    enterprise = raised.outlet.enterprise.uscc if role == Role.ENTERPRISE else ""
    user = make_user(role, "" if enterprise else "110108", enterprise)
    answer = client(user).post(reverse("cases:gas_check", args=[raised.finding.pk]))
    assert answer.status_code == 403
    assert not Case.objects.exists()


def test_the_outlet_page_says_what_is_watched_and_why_silent(raised, dispatcher) -> None:
    page = text(dispatcher, reverse("monitoring:detection_outlet", args=[raised.outlet_id]))
    for said in ("氮氧化物", "检测对象", "0.81", "可用", "92", "97 %", "90 %", "0.13", "不足",
                 "低于应有水平", "累计偏低", raised.finding.title, "ab" * 32):  # fmt: skip
        assert said in page
    assert "a21003：" not in page  # named, not by its code


def test_the_fleet_page_and_its_file(raised, dispatcher) -> None:
    address = reverse("monitoring:detection")
    page = text(dispatcher, address)
    assert raised.finding.title in page
    assert "预期命中率" in page
    assert "海淀区" in page
    assert "低于应有水平" in page
    assert raised.finding.title not in text(dispatcher, address + "?detector=const_run&tier=exact")
    assert "没有符合" in text(dispatcher, address + "?q=nowhere") or "清除" in text(
        dispatcher, address + "?q=nowhere"
    )
    assert raised.finding.title in text(dispatcher, address + "?show=fdr")
    assert client(dispatcher).get(address + "?days=12345").status_code == 200
    body = client(dispatcher).get(reverse("monitoring:detection_csv"))
    rows = list(csv.reader(io.StringIO(b"".join(body.streaming_content).decode("utf-8-sig"))))
    assert len(rows) == 2
    assert rows[1][1] == raised.finding.title


def test_outlets_judged_in_part_are_among_those_judged(raised, dispatcher) -> None:
    def tiles(page: str) -> list[str]:
        found = re.findall(r'stat-label">([^<]+)</span><span class="stat-value">([^<]+)<', page)
        return [value for label, value in found if "检测" in label]

    address = reverse("monitoring:detection")
    assert tiles(text(dispatcher, address)) == ["1 / 1", "1"]  # one factor has no good model
    DetectionWatch.objects.update(reasons=[])
    assert tiles(text(dispatcher, address)) == ["1 / 1", "0"]
    listed = reverse("monitoring:detection_outlets") + "?silent=1"
    name = raised.outlet.enterprise.name
    assert f"{name} {raised.outlet.code}" not in text(dispatcher, listed)
    DetectionWatch.objects.update(judged=None)  # never looked at: neither is it judged
    assert tiles(text(dispatcher, address)) == ["0 / 1", "0"]
    assert f"{name} {raised.outlet.code}" not in text(dispatcher, listed)


def test_an_empty_fleet_says_when_it_is_looked_at(db, dispatcher) -> None:
    assert "每天清晨检测一次" in text(dispatcher, reverse("monitoring:detection"))
    assert "几分钟内自动纳入" in text(dispatcher, reverse("monitoring:detection_outlets"))


def test_verdicts_show_beside_the_budget(raised, dispatcher, monkeypatch) -> None:
    monkeypatch.setattr(detection, "verdict_sources", [lambda: [(raised.finding, "fault", None)]])
    rate = detection_selectors.rate_false(dispatcher)
    assert (rate["cases"], rate["hits"], rate["misses"]) == (1, 0, 1)
    assert rate["low"] == pytest.approx(1 / (720 / 730.5)) == rate["high"]
    assert rate["held"] == [
        {"nominal": 0.1, "realised": pytest.approx(1 / 7.5), "cases": 1, "months": 7.5}
    ]
    assert "设备故障" in text(dispatcher, reverse("monitoring:detection"))


MONTH = 720 / 730.5


def test_expected_hits_are_what_the_budget_does_not_explain(raised, dispatcher) -> None:
    months = detection_selectors.months(dispatcher, raised.noticed, 30)
    assert months == {"110108": pytest.approx(MONTH)}
    # Of the span only what was judged in it counts: of 720 hours 7 * 24, and none of a week after.
    week = detection_selectors.months(dispatcher, raised.noticed, 7)
    assert week == {"110108": pytest.approx(168 / 730.5)}
    after = detection_selectors.months(dispatcher, raised.noticed + timedelta(days=8), 7)
    assert after == {"110108": 0}
    group = detection_selectors.Group("", "", 4, 0.5, 0, 0)
    assert group.share == pytest.approx(87.5)
    assert detection_selectors.Group("", "", 0, 0.5, 0, 0).share is None
    assert detection_selectors.Group("", "", 4, None, 1, 0).share is None


@pytest.fixture
def elsewhere(raised, city) -> Detected:
    """An exact contradiction of an outlet in another district, judged for half as long."""
    enterprise, _, outlet = make_enterprise(city.other, 2)
    DetectionWatch.objects.create(
        outlet=outlet, judged=raised.noticed, due=raised.noticed, hours=360
    )
    finding = Finding.objects.create(
        kind=Kind.FALSIFICATION, episode="detection/2", title="示例水厂DA009：长时间不变", region_id="110105",
        enterprise=enterprise, longitude=116.4, latitude=39.9, began=raised.began, ended=raised.ended,
        innocent=["x"], next_check="y",
    )  # fmt: skip
    return Detected.objects.create(
        finding=finding, outlet=outlet, detector="const_run", factor="a21002", tier="exact",
        grade="evidence", began=raised.began, ended=raised.ended, found=raised.found, p_value=1e-9,
        budget=0.1, noticed=raised.noticed, sheet=raised.sheet,
    )  # fmt: skip


SHARE = detection.SHARES["low"] / sum(detection.SHARES.values())
# filters: findings, false to be expected of outlet-months, share of hits (%)
FILTERS = {
    "": (2, 0.1 * 1.5, 92.5),
    "region=110108": (1, 0.1, 90.0),
    "region=110105": (1, 0.1 * 0.5, 95.0),
    "tier=statistical": (1, 0.1 * 1.5, 85.0),
    "tier=exact": (1, 0.0, 100.0),
    "detector=low": (1, 0.1 * 1.5 * SHARE, 100 - 15 * SHARE),
    "detector=low&region=110108": (1, 0.1 * SHARE, 100 - 10 * SHARE),
    "detector=const_run": (1, 0.0, 100.0),
    "detector=const_run&tier=exact&region=110105": (1, 0.0, 100.0),
    "state=new": (2, None, None),
    "q=DA001": (1, None, None),
    "show=fdr": (2, None, None),
}


@pytest.mark.parametrize("query", FILTERS)
def test_what_is_expected_is_of_what_the_filters_show(
    raised, elsewhere, dispatcher, query, monkeypatch
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: raised.noticed)
    cases, false, share = FILTERS[query]
    page = client(dispatcher).get(f"{reverse('monitoring:detection')}?{query}")
    whole = page.context["whole"]
    assert whole.cases == cases
    assert whole.false == (None if false is None else pytest.approx(MONTH * false))
    assert whole.share == (
        None if share is None else pytest.approx(100 - (100 - share) * MONTH, rel=1e-9)
    )
    # The groups add up to the whole where they name all that was judged.
    if query in ("", "region=110108", "region=110105", "tier=exact", "tier=statistical"):
        known = sum(g.false for g in page.context["by_region"])
        if query != "tier=statistical":
            assert known == pytest.approx(whole.false)
    told = page.content.decode()
    assert ("无法推算预期误报数" in told) == (query in ("state=new", "q=DA001"))
    assert ("预期误报不超过 30 %" in told) == (query == "show=fdr")
    if query == "show=fdr":
        assert "≤ 0.3" in told  # of one outlet by a statistical finding
    if query == "detector=low&region=110108":
        # A group's link keeps the other filters.
        assert page.context["by_detector"][0].url.endswith("?detector=low&region=110108")


def test_state_and_text_pick_from_the_list_and_do_not_make_it(
    raised, elsewhere, dispatcher, monkeypatch
) -> None:
    """Whether a finding stands on the list by false-discovery rate depends on the fleet, not on who
    else is searched for."""
    monkeypatch.setattr(timezone, "now", lambda: raised.noticed)
    monkeypatch.setattr(detection_selectors, "Q", 0.005)
    address = reverse("monitoring:detection")
    for query in ("show=fdr", "show=fdr&q=DA001", "show=fdr&state=new"):
        assert raised.finding.title not in text(dispatcher, f"{address}?{query}")


def test_the_false_discovery_list_drops_what_a_fleet_explains(raised) -> None:
    assert detection_selectors.kept([raised], 10, 30) == {raised.pk}
    assert detection_selectors.kept([raised], 1000, 30) == set()
    raised.tier = Detected.Tier.EXACT  # its p was not estimated: it stays, whatever the others' are
    assert detection_selectors.kept([raised], 1000, 30) == {raised.pk}


@pytest.mark.parametrize("name", ["detection", "detection_csv", "detection_outlets"])
def test_enterprises_see_nothing_of_it(raised, name) -> None:
    user = make_user(Role.ENTERPRISE, "", raised.outlet.enterprise.uscc)
    assert client(user).get(reverse(f"monitoring:{name}")).status_code == 403
    assert client(user).get(raised.finding.get_absolute_url()).status_code == 404
    assert (
        "检测"
        not in text(user, raised.finding.point.get_absolute_url())
        .split("<main")[1]
        .split("监测")[0]
    )


def test_another_district_sees_neither_outlet_nor_case(raised) -> None:
    user = make_user(Role.DISTRICT, "110105")
    address = reverse("monitoring:detection_outlet", args=[raised.outlet_id])
    assert client(user).get(address).status_code == 404
    assert raised.finding.title not in text(user, reverse("monitoring:detection"))
