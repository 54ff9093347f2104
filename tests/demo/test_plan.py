"""Beginnings and scales: the wanted hours are over the limit, whatever the day of the load."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from jingwei.analysis.detection import Finding, Monitor, Suite
from jingwei.bureau.monitoring.detection import role
from jingwei.demo import catalogue, plan
from jingwei.telemetry import replay

LIBRARY = replay.Library(catalogue.DATA)
PLAYER = replay.Player(LIBRARY)
LOADS = [
    datetime(2026, 11, 21, 19, 55, tzinfo=UTC),
    datetime(2027, 3, 1, 5, 20, tzinfo=UTC),
    datetime(2028, 2, 29, 16, 3, tzinfo=UTC),
]


def over(outlet: catalogue.Outlet, mn: str, now: datetime, period: str) -> dict[str, list[float]]:
    """Hours before `now` at which a period over the limit began, by factor, as a logger says it."""
    kind = catalogue.KINDS[outlet.kind]
    channels, _ = plan.outlet(LIBRARY, mn, outlet, now)
    device = replay.Device(mn, "31", "1", channels)
    limits = {k.factor: float(k.row().value) for k in kind.limits if k.period == period}
    found: dict[str, list[float]] = {}
    start = datetime.fromtimestamp(replay.floor(now - timedelta(days=30), "day"), UTC)
    for begin in replay.periods(start, now, period):
        for factor, values in PLAYER.observe(device, begin, period):
            if factor in limits and float(values.get("ZsAvg", values["Avg"])) > limits[factor]:
                found.setdefault(factor, []).append((now - begin).total_seconds() / 3600)
    return found


@pytest.mark.parametrize("now", LOADS)
def test_an_ongoing_episode_reaches_the_last_complete_hour(now):
    found = over(
        catalogue.Outlet("DA001", "turbine", "ongoing", "a21002"), "0" * 23 + "1", now, "hour"
    )
    assert set(found) == {"a21002"}
    assert 4 <= len(found["a21002"]) <= 10
    assert min(found["a21002"]) < 2


@pytest.mark.parametrize("now", LOADS)
def test_a_recent_episode_lies_within_two_days(now):
    found = over(catalogue.Outlet("DA001", "coal", "recent", "a21026"), "0" * 23 + "2", now, "hour")
    assert set(found) == {"a21026"}
    assert 4 < min(found["a21026"]) < 42


@pytest.mark.parametrize("now", LOADS)
def test_a_past_episode_is_older_than_three_days(now):
    found = over(catalogue.Outlet("DA001", "kiln", "past", "a21002"), "0" * 23 + "3", now, "hour")
    assert min(found["a21002"]) > 72


@pytest.mark.parametrize("now", LOADS)
@pytest.mark.parametrize("kind", [k for k, v in catalogue.KINDS.items() if v.medium == "air"])
def test_a_quiet_outlet_stays_below(kind, now):
    assert over(catalogue.Outlet("DA001", kind), "0" * 23 + "4", now, "hour") == {}


@pytest.mark.parametrize("now", LOADS)
def test_daily_limits_of_a_sewage_works(now):
    quiet = over(catalogue.Outlet("DW001", "effluent"), "0" * 23 + "5", now, "day")
    assert quiet == {}
    recent = catalogue.Outlet("DW001", "effluent", "recent", "w01018")
    found = over(recent, "0" * 23 + "6", now, "day")
    assert set(found) == {"w01018"}
    assert min(found["w01018"]) < 48  # yesterday


def test_runs():
    assert plan.runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 2), (3, 4), (6, 7)]
    assert plan.runs(np.zeros(3, bool)) == []


def test_a_limit_that_is_not_in_the_table_cannot_be_used():
    with pytest.raises(LookupError, match="no such limit"):
        catalogue.LimitKey("GB 13223-2011", "no such boiler", "a21002", "hour").row()


def test_no_story_no_silent_success():
    with pytest.raises(plan.PlanError, match="recent"):
        plan._search("x", "recent", True, 48, 24, 0, False, lambda shift, base: np.ones(31))


def test_the_page_can_say_what_is_replayed():
    channels, words = plan.outlet(LIBRARY, "0" * 24, catalogue.Outlet("DA001", "turbine"), LOADS[0])
    about = plan.about(LIBRARY, replay.Device("0" * 24, "31", "1", channels), words, LOADS[0])
    (source,) = about["sources"]
    assert source["licence"] == "CC BY 4.0"
    assert "10.24432/C5WC95" in source["source"]
    assert about["how"]
    assert about["how_zh"]
    assert all({"factor", "series", "column", "scale"} <= set(c) for c in about["channels"])
    assert replay.Device.from_json(about, mn="0" * 24, st="31", password="1").channels == channels


def reported(now: datetime) -> tuple[list[Finding], datetime]:
    """What the detectors say of the outlet that reports too little, and the midnight before the load."""
    works, outlet = next(
        (e, o) for e in catalogue.enterprises() for o in e.outlets if o.tamper == "low"
    )
    mn = catalogue.mn(works.district, "DE0001", works.number * 16 + int(outlet.code[-1]))
    channels, _ = plan.outlet(LIBRARY, mn, outlet, now)
    altered, _ = plan.tampered(outlet, "31", now)
    device = replay.Device(mn, "31", "1", channels, "", plan.upkeep(mn, "air", now), (), altered)
    begin = replay.floor(now - timedelta(days=plan.past(outlet)), "day")
    end = replay.floor(now - timedelta(hours=3), "day")
    kind = catalogue.KINDS[outlet.kind]
    targets = {p.factor for p in kind.pollutants}
    limits = {k.factor: float(k.row().value) for k in kind.limits if k.period == "hour"}
    rows = (end - begin) // 3600
    values = {c.factor: np.full(rows, np.nan) for c in channels}
    marks = {t: ["N"] * rows for t in targets}
    for row in range(rows):
        time = datetime.fromtimestamp(begin + row * 3600, UTC)
        for factor, fields in PLAYER.observe(device, time, "hour"):
            if factor in targets:
                marks[factor][row] = fields["Flag"]
            if factor not in targets or fields["Flag"] == "N":
                values[factor][row] = float(fields["Avg"])
    roles = {f: role(f) for f in values if f not in targets and role(f)}
    for name in [f for f, r in roles.items() if r in ("temperature", "humidity", "pressure")]:
        values[f"{name}.state"] = values[name]
        roles[f"{name}.state"] = "state"
    zone = timezone(timedelta(hours=8))
    whole = Monitor(
        datetime.fromtimestamp(begin, zone), timedelta(hours=1), values, sorted(targets),
        limits, roles, None, marks,
    )  # fmt: skip
    suite = Suite.fit(whole.rows(0, rows - 14 * 24))
    found = suite.detect(whole.rows(rows - 14 * 24, rows), budget=0.1)
    return list(found), datetime.fromtimestamp(replay.floor(now, "day"), UTC)


@pytest.mark.parametrize("hour", [0.2, 9, 16.5, 23.9])
def test_the_outlet_that_reports_too_little_is_found_at_every_hour_of_the_day(hour):
    found, today = reported(datetime(2026, 11, 21, 16, tzinfo=UTC) + timedelta(hours=hour))
    [low] = [f for f in found if f.detector == "low"]
    assert low.p_value < 0.05  # half of the budget: the story must not hang on the hour
    assert low.factor == "a24088"
    assert abs(low.start - (today - timedelta(days=10))) <= timedelta(hours=6)
    assert abs(low.end - (today - timedelta(days=3))) <= timedelta(hours=6)
    assert low.hidden_share.low < 0.6 < low.hidden_share.high  # 40 % were reported
