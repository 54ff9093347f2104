"""Patterns over the lake: weeks of an industry, who departs, when exceedances come; their pages."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from time import monotonic, sleep

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from jingwei.bureau.monitoring import detection, patterning, patterns
from jingwei.bureau.monitoring.models import (
    DetectionWatch,
    ExceedanceRule,
    PatternLook,
    WeekKinds,
    WeekProfile,
)
from jingwei.bureau.monitoring.patterning import Block, group
from jingwei.bureau.registry.models import Point
from jingwei.telemetry import lake as lakes
from jingwei.telemetry.lake import catalog

from .conftest import limit, make_enterprise, make_point, make_user
from .test_detection import END, HOUR, NOW

DAYS = 35
FIRST = END - DAYS * 24 * HOUR
# Hours of the week of each row, Monday 0 o'clock in Beijing first.
LOCAL = [FIRST + (i + 8) * HOUR for i in range(DAYS * 24)]
SLOT = np.array([t.weekday() * 24 + t.hour for t in LOCAL])
NIGHT = (SLOT % 24 >= 22) | (SLOT % 24 < 5)


def steady(seed: int) -> dict[str, np.ndarray]:
    """NOx of a plant that works by day."""
    rng = np.random.default_rng(seed)
    day = (SLOT % 24 >= 8) & (SLOT % 24 < 20)
    return {
        "a21002": np.round(np.where(day, 40.0, 20.0) + rng.normal(0, 1.0, len(SLOT)), 2),
        "a19001": np.round(6.0 + rng.normal(0, 0.05, len(SLOT)), 3),
    }


def lay(city, every: dict[str, dict[str, np.ndarray]]) -> None:
    """Hours of many monitors that end at `END` into the lake, one file a day for all."""
    parts = []
    for mn, values in every.items():
        for factor, column in values.items():
            n = len(column)
            times = [END - (n - i) * HOUR for i in range(n)]
            full = {name: [None] * n for name in lakes.SCHEMA.names} | {
                "mn": [mn] * n, "st": ["31"] * n, "factor": [factor] * n, "time": times,
                "value": column.tolist(), "flag": ["N"] * n, "received": times,
                "seq": list(range(1, n + 1)),
            }  # fmt: skip
            parts.append(pa.table(full, schema=lakes.SCHEMA))
    table = pa.concat_tables(parts).sort_by(
        [("mn", "ascending"), ("factor", "ascending"), ("time", "ascending")]
    )
    days = np.array(
        [lakes.partition("hour", s) for s in table.column("time").cast("int64").to_pylist()]
    )
    root = city.root / "lake"
    with catalog(root) as db:
        for number, day in enumerate(sorted(set(days))):
            part = table.filter(pa.array(days == day))
            path = f"test/{day}-{len(list(root.glob('test/*')))}.parquet"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(part, root / path)
            db.execute(
                "INSERT INTO file(path, resolution, day, level, rows, batch_lo, batch_hi, closed, made)"
                " VALUES (?, 'hour', ?, 0, ?, ?, ?, 1, 0)",
                (path, day, len(part), number, number),
            )


@pytest.fixture
def industry(city):
    """Seven outlets of thermal power, the last of which lets out and exceeds by night. One of them
    lies in another district."""
    outlets = [city.outlet]
    points = [city.point]
    for n in range(2, 8):
        _, permit, outlet = make_enterprise(city.other if n == 2 else city.region, n)
        limit(outlet, permit)
        outlets.append(outlet)
        points.append(make_point(outlet, outlet.enterprise.region, n))
    every = {}
    for n, point in enumerate(points):
        values = steady(n)
        if n == 6:
            values["a21002"] = np.where(NIGHT, values["a21002"] * 3, values["a21002"])
            nights = np.flatnonzero(SLOT % 24 == 2)
            values["a21002"][nights[::2]] = 140.0
        every[point.mn] = values
    lay(city, every)
    city.outlets = outlets
    return city


def client(user) -> Client:
    one = Client()
    one.force_login(user)
    return one


def text(user, name: str, query: str = "") -> str:
    response = client(user).get(reverse(f"monitoring:{name}") + query)
    assert response.status_code == 200
    return response.content.decode()


def rows(user, name: str) -> list[list[str]]:
    body = client(user).get(reverse(f"monitoring:{name}"))
    return list(csv.reader(io.StringIO(b"".join(body.streaming_content).decode("utf-8-sig"))))


def test_who_departs_from_his_kind_and_when_he_exceeds(industry, dispatcher) -> None:
    assert patterns.run(NOW) == 7
    kinds = WeekKinds.objects.get()
    assert (kinds.industry, kinds.factor, kinds.outlets) == ("thermal_power", "a21002", 7)
    assert kinds.sizes == [7]
    assert np.mean(kinds.centers[0]) == pytest.approx(1.0, abs=1e-3)
    standing = {p.outlet_id: p for p in WeekProfile.objects.all()}
    odd = standing.pop(industry.outlets[6].pk)
    assert odd.q < 0.05
    assert odd.peers == 6
    assert {h % 24 for h, _, _ in odd.hours} <= {22, 23, 0, 1, 2, 3, 4}
    assert all(p.q > 0.05 for p in standing.values())
    rules = list(ExceedanceRule.objects.all())
    assert {r.outlet_id for r in rules} == {industry.outlets[6].pk}
    assert rules[0].items == [["hour", "00-06"]]
    assert (rules[0].events, rules[0].all_events) == (18, 18)
    look = PatternLook.objects.get(outlet=industry.outlets[0])
    assert look.until == END
    assert (look.rows, look.events) == (DAYS * 24, {"a21002": 0})
    assert len(look.sha256) == 64

    page = text(dispatcher, "patterns")
    assert "偏离同类的 1 个" in page
    assert page.index(industry.outlets[6].enterprise.name) < page.index(
        industry.outlets[3].enterprise.name
    )
    assert "规律只供安排检查时参考" in page
    assert "氮氧化物：全部 18 次超标均发生在“0 时至 6 时”，该条件只占 25 % 的时间。" in text(
        dispatcher, "pattern_rules"
    )
    told = rows(dispatcher, "patterns_csv")
    assert len(told) == 8
    assert len(told[0]) == len(told[1]) == 14 + 168
    assert told[1][3] == industry.outlets[6].enterprise.name
    said = rows(dispatcher, "pattern_rules_csv")
    assert said[1][5:8] == ["0 时至 6 时", "18", "18"]
    outlet = client(dispatcher).get(
        reverse("monitoring:detection_outlet", args=[industry.outlets[6].pk])
    )
    told = outlet.content.decode()
    assert "偏离同类" in told
    assert PatternLook.objects.get(outlet=industry.outlets[6]).sha256 in told


def test_looking_again_gives_the_same_and_only_once(industry) -> None:
    patterns.run(NOW)
    one = [
        (p.outlet_id, p.week, p.kind, p.distance, p.q, p.hours) for p in WeekProfile.objects.all()
    ]
    digest = WeekKinds.objects.get().sha256
    patterns.run(NOW + HOUR)
    assert one == [
        (p.outlet_id, p.week, p.kind, p.distance, p.q, p.hours) for p in WeekProfile.objects.all()
    ]
    assert WeekKinds.objects.get().sha256 == digest
    assert ExceedanceRule.objects.filter(items=[["hour", "00-06"]]).count() == 1
    assert patterns.blocks() == []


def test_kinds_of_weeks_that_are_gone_are_not_kept(db) -> None:
    told = group(Block("cement", "a21002", (1, 2), ((1.0,) * 168,) * 2))
    assert patterns.keep(told, END, NOW) is None
    assert not WeekKinds.objects.exists()


def test_too_few_of_an_industry_are_not_compared_and_the_page_says_so(city, dispatcher) -> None:
    lay(city, {city.point.mn: steady(1)})
    patterns.run(NOW)
    kinds = WeekKinds.objects.get()
    assert (kinds.outlets, kinds.centers) == (1, [])
    assert "上传此因子小时数据的排放口不足 5 个（现有 1 个）" in text(dispatcher, "patterns")
    assert "没有突出的条件" in text(dispatcher, "pattern_rules")


def test_a_short_history_has_no_week_and_says_why(city, dispatcher) -> None:
    lay(city, {city.point.mn: {k: v[-14 * 24 :] for k, v in steady(1).items()}})
    patterns.run(NOW)
    assert PatternLook.objects.get().reasons == {"a21002": "gaps"}
    assert not WeekProfile.objects.exists()
    assert "大多数小时至少需 3 个数值" in text(dispatcher, "patterns")
    page = client(dispatcher).get(reverse("monitoring:detection_outlet", args=[city.outlet.pk]))
    assert "一周中有 28 个以上的小时不足 3 个数值" in page.content.decode()


def test_without_hours_or_limits_the_outlet_says_so(city, dispatcher) -> None:
    assert "尚无检测的排放口" in text(dispatcher, "patterns")
    detection.enrol(NOW)
    patterns.enrol(NOW)
    assert "尚无排放口完成分析" in text(dispatcher, "patterns")
    patterns.run(NOW)
    assert PatternLook.objects.get().reasons == {"": "nothing"}
    for one in city.limits.values():
        one.delete()
    patterns.run(NOW)
    assert PatternLook.objects.get().reasons == {"": "no_target"}


def test_weather_and_campaigns_are_conditions(city, monkeypatch) -> None:
    """Exceedances in still air and in a campaign, and in neither else."""
    station = make_point(
        None, city.region, 9, kind=Point.Kind.AIR_STATION, factors=["a01007"], st="31"
    )
    other = make_point(
        None, city.region, 10, kind=Point.Kind.AIR_STATION, factors=["a01007"], st="31"
    )
    rng = np.random.default_rng(2)
    wind = np.round(rng.uniform(0.5, 6.0, len(SLOT) // 24).repeat(24), 2)
    values = steady(1)
    still = wind <= np.quantile(wind, 1 / 3)
    values["a21002"][still & (np.arange(len(SLOT)) // 24 * 7 % 24 == SLOT % 24)] = 150.0
    lay(
        city,
        {
            station.mn: {"a01007": wind},
            other.mn: {"a01007": wind + 0.2},
            city.point.mn: values,
        },
    )
    patterns.run(NOW)
    rule = ExceedanceRule.objects.first()
    assert rule.items == [["wind", "low"]]
    assert rule.events == rule.all_events >= 8
    assert PatternLook.objects.get().weather
    # A campaign in the outlet's district over just these days; another one elsewhere says nothing.
    first = LOCAL[0].date()
    days = [first + timedelta(days=int(d)) for d in np.flatnonzero(still[::24])]
    for region, wanted in ((city.region.pk, True), (city.other.pk, False)):
        monkeypatch.setattr(
            patterns,
            "campaign_sources",
            [lambda _a, _b, r=region: [(frozenset([r]), d, d) for d in days]],
        )
        patterns.run(NOW)
        found = [r.items for r in ExceedanceRule.objects.all()]
        assert ([["campaign", "during"]] in found) == wanted


def test_a_campaign_of_the_office_is_known(db) -> None:
    from jingwei.bureau.campaigns.selectors import periods

    assert periods in patterns.campaign_sources
    assert periods(date(2026, 1, 1), date(2026, 12, 31)) == []


def test_two_kinds_of_week_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    hours = np.arange(168)
    shapes = [np.where(hours % 24 < 12, 1.5, 0.5), np.ones(168)]
    weeks = np.array([shapes[i % 2] * np.exp(0.05 * rng.normal(size=168)) for i in range(30)])
    weeks /= weeks.mean(axis=1, keepdims=True)
    told = group(Block("cement", "a21002", tuple(range(30)), tuple(map(tuple, weeks.tolist()))))
    assert told.sizes == [15, 15]
    assert len({told.standings[i][0] for i in range(0, 30, 2)}) == 1
    assert float(told.strength["2"]) >= 0.8


def test_a_district_sees_its_own_outlets_and_the_kinds_they_belong_to(industry) -> None:
    patterns.run(NOW)
    mine = industry.outlets[1]
    user = make_user("district", "110105")
    page = text(user, "patterns")
    assert mine.enterprise.name in page
    assert industry.outlets[6].enterprise.name not in page
    assert "7 个排放口" in page  # the kind is the city's
    assert len(rows(user, "patterns_csv")) == 2
    assert len(rows(user, "pattern_rules_csv")) == 1
    nobody = make_user("district", "110112")
    assert "氮氧化物" not in text(nobody, "patterns").split("week-cards")[-1].split("note")[0]


@pytest.mark.parametrize("name", ["patterns", "patterns_csv", "pattern_rules", "pattern_rules_csv"])
def test_enterprises_see_nothing_of_it(city, name) -> None:
    user = make_user("enterprise", "", city.outlet.enterprise.uscc)
    assert client(user).get(reverse(f"monitoring:{name}")).status_code == 403


@pytest.mark.parametrize(
    "query", ["?industry=x", "?factor=%00", "?region=110108&page=-1", "?page=x"]
)
def test_a_filter_that_names_nothing_shows_nothing(industry, dispatcher, query) -> None:
    patterns.run(NOW)
    for name in ("patterns", "pattern_rules"):
        text(dispatcher, name, query)


def test_english_reads_as_english(industry, dispatcher) -> None:
    patterns.run(NOW)
    from jingwei.bureau.monitoring import pattern_selectors

    with translation.override("en"):
        rule = ExceedanceRule.objects.first()
        assert pattern_selectors.sentence(rule).endswith(
            "all 18 exceedances fall under “between 0 and 6 o'clock”, which holds 25 % of the time."
        )


# --- the worker --------------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch):
    """No round before this one; work is done here, not in other processes."""
    for name in ("_under_way", "_searched"):
        monkeypatch.setattr(patterns, name, None)
    monkeypatch.setattr(
        patterns, "_elsewhere", lambda function, todo: [function(one) for one in todo]
    )


def settled(now) -> int:
    """One round after what is under way has ended."""
    until = monotonic() + 60
    while patterns._under_way and not patterns._under_way[0].done() and monotonic() < until:
        sleep(0.01)
    return patterns.tick(now)


def test_the_worker_looks_once_a_week(industry, fresh) -> None:
    detection.enrol(NOW)
    assert patterns.tick(NOW) == 0
    assert settled(NOW) == 7  # weeks; the industry is handed out at once
    assert settled(NOW) == 1
    assert WeekKinds.objects.get().outlets == 7
    assert settled(NOW + timedelta(minutes=10)) == 0
    assert patterns._under_way is None  # nothing is due
    (due,) = set(PatternLook.objects.values_list("due", flat=True))
    # NOW is a Friday: Monday at five in Beijing.
    assert due.isoformat() == "2026-11-22T21:00:00+00:00"
    assert patterns.following(due) == due + timedelta(days=7)
    settled(due)
    assert settled(due) == 7


def test_what_fails_is_said_and_tried_again(city, fresh, monkeypatch) -> None:
    lay(city, {city.point.mn: steady(1)})
    detection.enrol(NOW)

    def broken(*_):
        raise ValueError("torn")

    monkeypatch.setattr(patterning, "_one", broken)
    patterns.tick(NOW)
    settled(NOW)
    look = PatternLook.objects.get()
    assert look.error == "ValueError: torn"
    assert look.due == NOW + patterns.RETRY
    monkeypatch.setattr(patterns, "_elsewhere", broken)
    later = NOW + patterns.RETRY + timedelta(minutes=6)
    patterns.tick(later)
    assert settled(later) == 0
    assert PatternLook.objects.get().due == later + patterns.RETRY
    assert DetectionWatch.objects.count() == 1
