"""What the office judges beside the learnt detectors: rows of the lake in, findings or silence out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.monitoring import detection
from jingwei.bureau.monitoring.detecting_plain import cases
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.monitoring.models import (
    Detected,
    DetectionFit,
    DetectionWatch,
    HourNaming,
    Mark,
)
from jingwei.bureau.registry.models import Point

from .conftest import limit, make_enterprise, make_point
from .test_detection import END, HOUR, NOW, nothing_under_way, plant, put, series

__all__ = ["nothing_under_way", "plant"]
N = 30 * 24


def watched(detector: str) -> tuple[bool, str]:
    """Whether the outlet's page says that a detector watches, and why not."""
    watch = DetectionWatch.objects.order_by("outlet").first()
    (row,) = [w for w in watch.watched if w["detector"] == detector]
    return row["on"], row["text"]["en"]


def only() -> Detected:
    return Detected.objects.get()


# --- conversion ---------------------------------------------------------------------------------


def sent(values: dict[str, np.ndarray]) -> np.ndarray:
    """NOx as a device converts it to the permit's 6 % oxygen."""
    return np.round(values["a21002"] * (21 - 6) / (21 - values["a19001"]), 2)


def test_a_conversion_that_does_not_hold_is_found_and_an_honest_one_is_not(plant) -> None:
    values = series(30)
    honest = sent(values)
    put(plant, values, converted={"a21002": honest})
    detection.run(NOW)
    assert not Finding.objects.exists()
    assert watched("convert_identity") == (True, "")
    assert DetectionFit.objects.get().settings["limits"]["a21002"] == [100.0, 6.0]
    wrong = honest.copy()
    wrong[N - 60 : N - 40] *= 0.7
    put(plant, {"a21002": values["a21002"]}, converted={"a21002": wrong})
    detection.run(NOW, fresh=True)
    found = only()
    assert (found.detector, found.factor, found.tier) == ("convert_identity", "a21002", "exact")
    assert (found.began, found.ended) == (END - 60 * HOUR, END - 40 * HOUR)
    numbers = found.sheet["evidence"]["numbers"]
    assert numbers["rows"] == 20
    assert numbers["reported"] == pytest.approx(0.7 * numbers["recomputed"], rel=0.01)
    assert numbers["recomputed"] == pytest.approx(
        numbers["raw"] * 15 / (21 - numbers["o2"]), rel=1e-3
    )


def test_what_is_not_sent_is_not_checked_and_said(plant) -> None:
    put(plant, series(30))
    detection.run(NOW)
    assert watched("convert_identity") == (False, "no converted values are sent")
    assert watched("average_identity") == (False, "no minute values are sent")
    assert watched("param_change")[0] is False
    assert watched("peer") == (
        False,
        "fewer than 3 other outlets of the industry measure the same factor",
    )
    assert watched("A18-12") == (True, "")
    assert watched("A18-15")[0] is False
    assert not [w for w in DetectionWatch.objects.get().watched if w["detector"] == "power_off"]
    plant.outlet.limits.update(reference_o2=None)
    detection.run(NOW, fresh=True)
    assert watched("convert_identity") == (False, "the permit names no reference oxygen")


def test_a_device_that_never_converted_so_is_not_accused(plant) -> None:
    values = series(30)
    put(plant, values, converted={"a21002": values["a21002"]})
    detection.run(NOW)
    assert not Finding.objects.exists()
    assert watched("convert_identity")[0] is False
    assert "identity" in [r["code"] for r in DetectionWatch.objects.get().reasons]


def test_hours_in_which_the_oxygen_swings_are_not_converted(plant) -> None:
    """A plant that starts: the mean of converted minutes is far from the converted mean."""
    values = series(30)
    honest = sent(values)
    begin = N - 60
    values["a19001"][begin : begin + 6] = [20.5, 18.6, 16.4, 13.1, 10.9, 8.0]
    honest[begin : begin + 6] *= [3.0, 2.2, 1.8, 1.5, 1.4, 1.3]
    put(plant, values, converted={"a21002": honest})
    detection.run(NOW)
    assert not Finding.objects.exists()
    assert watched("convert_identity")[0] is True


# --- means of minutes ---------------------------------------------------------------------------


def minutes_of(hours: np.ndarray, each: int = 6, seed: int = 9) -> np.ndarray:
    """Values of parts of an hour whose mean is the hour's, to rounding."""
    noise = np.random.default_rng(seed).normal(0, 1.5, (len(hours), each))
    noise -= noise.mean(axis=1, keepdims=True)
    return np.round(hours[:, None] + noise, 3).ravel()


def with_minutes(
    plant, spoil=None, each: int = 6, lost: slice | None = None, late: int = 0
) -> None:
    """Thirty days of hours and nine of ten-minute values; `spoil` hours are sent a quarter lower."""
    values = series(30)
    true = values["a21002"].copy()
    fine = minutes_of(true[-9 * 24 :], each)
    if lost is not None:
        fine[lost] = np.nan
    if spoil is not None:
        values["a21002"][spoil] = np.round(values["a21002"][spoil] * 0.75, 2)
    put(plant, values, END + late * HOUR)
    put(plant, {"a21002": fine}, END, step=timedelta(hours=1) / each)


@pytest.mark.parametrize("each", [6, 60])
def test_an_hour_that_is_not_the_mean_of_its_minutes_is_found(plant, each: int) -> None:
    with_minutes(plant, slice(N - 50, N - 44), each)
    (result,) = detection.run(NOW)
    assert result.error == ""
    found = only()
    assert (found.detector, found.factor, found.tier) == ("average_identity", "a21002", "exact")
    assert (found.began, found.ended) == (END - 50 * HOUR, END - 44 * HOUR)
    evidence = found.sheet["evidence"]
    assert evidence["numbers"]["rows"] == 6
    assert evidence["parameters"]["minutes_from"] == "2026-11-17T22:00:00+08:00"
    assert len(evidence["parameters"]["minutes_sha256"]) == 64
    assert len(evidence["series"]["recomputed"]) == len(evidence["series"]["a21002"])
    before = found.sheet
    detection.run(NOW + HOUR)
    assert only().sheet == before


@pytest.mark.parametrize(
    "given", [{}, {"spoil": slice(N - 50, N - 44), "lost": slice(-50 * 6, -44 * 6, 6)}]
)
def test_honest_means_and_hours_with_lost_minutes_are_not_accused(plant, given) -> None:
    """Sent lower where a part of the minutes is missing: nobody knows what the device had."""
    with_minutes(plant, **given)
    detection.run(NOW)
    assert watched("average_identity") == (True, "")
    assert not Finding.objects.exists()


def test_a_device_that_makes_its_hours_otherwise_is_not_accused(plant) -> None:
    with_minutes(plant, late=1)  # hours are named by their end, and nobody knows it yet
    detection.run(NOW)
    assert not Finding.objects.exists()
    on, why = watched("average_identity")
    assert not on
    assert "the device makes them otherwise" in why


def test_hours_named_by_their_end_are_held_against_the_hour_before(plant) -> None:
    HourNaming.objects.create(point=plant.point, name="end", weighed=NOW)
    with_minutes(plant, slice(N - 50, N - 44), late=1)
    detection.run(NOW)
    assert only().detector == "average_identity"
    assert watched("average_identity") == (True, "")


# --- settings ------------------------------------------------------------------------------------


def told(plant, hours: float, value: str, cn: str = "3020", code: str = "i13008") -> None:
    """The instrument told a setting (3020), or the office set it (3021), so many hours before the end."""
    shown = {"PolId": "a21002", "InfoId": code}
    if cn == "3021":
        shown[f"{code}-Info"] = value
    content = [{"params": {}, "items": [{"code": code, "Info": f"//{value}//"}], "time": None}]
    DeviceCommand.objects.create(
        point=plant.point, cn=cn, params={"shown": shown}, reason="x", state="done",
        result={"content": content if cn == "3020" else []}, created=END - (hours + 1) * HOUR,
        expires=END, finished=END - hours * HOUR,
    )  # fmt: skip


def test_a_setting_that_changed_without_work_is_found(plant) -> None:
    put(plant, series(30))
    told(plant, 500, "1.02")
    detection.run(NOW)
    assert watched("param_change")[0] is False  # nothing to compare with yet
    told(plant, 100, "1.02")
    told(plant, 50, "0.81")
    told(plant, 30, "garbage")
    detection.run(NOW)
    found = only()
    assert (found.detector, found.factor, found.tier) == ("param_change", "a21002-i13008", "exact")
    assert found.began == END - 50 * HOUR
    assert found.sheet["evidence"]["numbers"] == {"before": 1.02, "after": 0.81}
    assert watched("param_change") == (True, "")
    assert "氮氧化物" in found.finding.title
    assert "斜率" in found.finding.title


@pytest.mark.parametrize("mark", [{N - 70: "C"}, {N - 470: "M"}])
def test_a_setting_that_changed_with_work_between_the_readings_is_not(plant, mark) -> None:
    put(plant, series(30), marks=mark)
    told(plant, 500, "1.02")
    told(plant, 50, "0.81")
    detection.run(NOW)
    assert not Finding.objects.exists()


def test_what_the_office_set_itself_is_no_contradiction(plant) -> None:
    put(plant, series(30))
    told(plant, 500, "1.02")
    told(plant, 90, "0.81", cn="3021")
    told(plant, 50, "0.81")
    detection.run(NOW)
    assert not Finding.objects.exists()
    told(plant, 40, "0.5")
    detection.run(NOW)
    assert only().detector == "param_change"


# --- marks ---------------------------------------------------------------------------------------


def test_a_mark_of_standstill_that_the_gas_belies_is_found(plant) -> None:
    put(plant, series(30), marks=dict.fromkeys(range(N - 60, N - 40), "F"))
    detection.run(NOW)
    found = only()
    assert (found.detector, found.tier) == ("mark_contradiction", "exact")
    # While it stops and starts both are right: the first and the last hour do not count.
    assert (found.began, found.ended) == (END - 59 * HOUR, END - 41 * HOUR)
    assert watched("mark_contradiction") == (True, "")


def test_a_true_standstill_with_a_fan_running_is_not_accused(plant) -> None:
    values = series(30)
    still = slice(N - 60, N - 40)
    values["a19001"][still] = 20.6  # air; flow and a hot stack go on
    values["a21002"][still] = 0.5
    put(plant, values, marks=dict.fromkeys(range(N - 60, N - 40), "F"))
    detection.run(NOW)
    assert not Finding.objects.exists()


def test_channels_that_hold_their_last_value_belie_no_standstill(plant) -> None:
    values = series(30)
    for name in ("a19001", "a00000", "a01011", "a01012"):
        values[name][N - 60 : N - 40] = values[name][N - 61]
    put(plant, values, marks=dict.fromkeys(range(N - 60, N - 40), "F"))
    detection.run(NOW)
    assert not Finding.objects.exists()


# --- peers ---------------------------------------------------------------------------------------


def neighbours(plant, days: int, count: int = 4, **more) -> list[Point]:
    """Other plants of the industry under the same weather: their NOx follows the same load."""
    points = []
    common = series(days)["a21002"]
    for k in range(count):
        _, permit, outlet = make_enterprise(plant.region, 20 + k, **more)
        limit(outlet, permit)
        point = make_point(outlet, plant.region, 20 + k, factors=["a21002"])
        rng = np.random.default_rng(40 + k)
        put(
            plant,
            {"a21002": np.round(common * (0.5 + k) + rng.normal(0, 1, len(common)), 2)},
            mn=point.mn,
        )
        points.append(point)
    return points


def test_peers_are_of_the_industry_and_of_other_enterprises(plant) -> None:
    put(plant, series(40))
    points = neighbours(plant, 40)
    _, permit, other = make_enterprise(plant.region, 40, industry="cement")
    limit(other, permit)
    make_point(other, plant.region, 40, factors=["a21002"])
    make_point(plant.outlet, plant.region, 41, factors=["a21002"])
    Point.objects.filter(pk=points[0].pk).update(enabled=False)
    detection.run(NOW, [plant.outlet.pk])
    kept = DetectionFit.objects.get().settings["peers"]["a21002"]
    assert [p["mn"] for p in kept] == [p.mn for p in points[1:]]
    assert watched("peer") == (True, "")
    # The peers stay those of the fit until it is learnt anew.
    Point.objects.filter(pk=points[1].pk).update(enabled=False)
    detection.run(NOW + HOUR, [plant.outlet.pk])
    assert DetectionFit.objects.get().settings["peers"]["a21002"] == kept


def test_only_one_of_the_industry_goes_low(plant) -> None:
    """Without any channel of the process, what the others report is all that tells."""
    plant.point.factors = ["a21002"]
    plant.point.save()
    values = {"a21002": series(170, seed=3)["a21002"]}
    neighbours(plant, 170)
    low = slice(-200, -20)
    values["a21002"][low] = np.round(values["a21002"][low] * 0.6, 2)
    put(plant, values)
    (result,) = detection.run(NOW, [plant.outlet.pk])
    assert result.error == ""
    found = Detected.objects.order_by("found").last()
    assert "peer" in {found.detector, *(text.partition(":")[0] for text in found.sheet["also"])}


def test_honest_plants_of_an_industry_have_no_case_of_peers(plant) -> None:
    plant.point.factors = ["a21002"]
    plant.point.save()
    put(plant, {"a21002": series(170, seed=3)["a21002"]})
    points = neighbours(plant, 170)
    # A peer that falls silent must not make the others look high.
    put(plant, {"a21002": np.full(24, np.nan)}, mn=points[0].mn)
    detection.run(NOW, [plant.outlet.pk])
    assert not Finding.objects.exists()


# --- power ---------------------------------------------------------------------------------------


def powered(plant, spoil=None, **channels: np.ndarray) -> dict[str, np.ndarray]:
    values = series(30)
    rng = np.random.default_rng(5)
    values["g20801"] = np.round(80 + rng.normal(0, 3, N), 2)
    values["g10401"] = np.round(30 + rng.normal(0, 1, N), 2)
    values |= channels
    if spoil is not None:
        spoil(values)
    plant.point.factors = list(values)
    plant.point.save()
    put(plant, values)
    detection.run(NOW)
    return values


def test_hours_of_treatment_off_are_counted_by_month(plant) -> None:
    def off(values) -> None:
        values["g10401"][N - 60 : N - 48] = 0.4

    powered(plant, off)
    found = only()
    assert (found.detector, found.finding.kind) == ("power_off", Kind.POWER)
    months = {m["month"]: m for m in DetectionWatch.objects.get().treatment}
    assert list(months) == ["2026-10", "2026-11"]
    assert months["2026-11"] == {
        "month": "2026-11", "judged": 19 * 24, "producing": 19 * 24, "off": 12, "weak": 0,
    }  # fmt: skip
    assert months["2026-10"]["off"] == 0
    assert watched("power_off") == (True, "")
    assert watched("power_sum") == (False, "no meter of the whole")


def test_the_spare_pump_and_a_declared_standstill_are_not_accused(plant, dispatcher) -> None:
    Mark.objects.create(
        outlet=plant.outlet, sort="standstill", user=dispatcher,
        start=END - 200 * HOUR, end=END - 180 * HOUR, at=END - 201 * HOUR,
    )  # fmt: skip

    def changeover(values) -> None:
        values["g10402"] = np.zeros(N)
        values["g10402"][N - 100 :] = values["g10401"][N - 100 :]
        values["g10401"][N - 100 :] = 0.0
        values["g10401"][N - 200 : N - 180] = 0.0

    powered(plant, changeover)
    assert not Finding.objects.exists()
    assert sum(m["off"] for m in DetectionWatch.objects.get().treatment) == 0


def test_treatment_without_production_says_what_lacks(plant) -> None:
    powered(plant, lambda values: values.pop("g20801"))
    assert not Finding.objects.exists()
    assert watched("power_off") == (False, "no meter of production")


# --- the regulator's rules -----------------------------------------------------------------------


def test_hugging_the_limit_is_judged_as_converted(plant) -> None:
    values = series(30)
    rng = np.random.default_rng(3)
    converted = rng.uniform(87, 98, N)
    values["a21002"][-360:] = np.round(converted[-360:] * (21 - values["a19001"][-360:]) / 15, 2)
    put(plant, values)
    detection.run(NOW)
    found = only()
    assert (found.detector, found.tier, found.finding.kind) == (
        "A18-12",
        "rule",
        Kind.FALSIFICATION,
    )
    assert found.sheet["evidence"]["numbers"]["limit"] == 100.0
    assert "贴近限值" in found.finding.title


def test_jumps_that_are_followed_by_flat_hours(plant) -> None:
    values = series(30)
    for k in range(4):
        at = N - 200 + 40 * k
        values["a21002"][at - 1] = 20.0
        flat = np.random.default_rng(k).uniform(59.5, 60.5, 6)
        values["a21002"][at : at + 6] = np.round(flat, 2)
    put(plant, values)
    detection.run(NOW)
    assert only().detector == "A18-11"


# --- one an outlet and kind in seven days --------------------------------------------------------


def test_findings_within_seven_days_are_one_case_of_the_strongest(plant) -> None:
    """An exact contradiction leads and names the rule that was broken in the same days."""
    values = series(30)
    rng = np.random.default_rng(3)
    converted = rng.uniform(87, 98, N)
    values["a21002"][-360:] = np.round(converted[-360:] * (21 - values["a19001"][-360:]) / 15, 2)
    values["a21002"][N - 30 : N - 10] = values["a21002"][N - 30]
    put(plant, values)
    detection.run(NOW)
    found = only()
    assert found.detector == "const_run"
    assert found.sheet["also"] == ["A18-12:a21002"]
    before = found.sheet
    detection.run(NOW + HOUR)
    assert only().sheet == before


def test_cases_do_not_lie_within_seven_days_of_each_other() -> None:
    from jingwei.analysis.detection.hits import Hit
    from jingwei.analysis.detection.monitor import Monitor
    from jingwei.analysis.detection.ruled import exactly

    m = Monitor(END, HOUR, {"X": np.arange(2000.0)}, ["X"])
    numbers = {"rows": 2, "mark": "F", "medians": {}}

    def at(row: int, score: float):
        found = exactly(
            m, Hit("mark_contradiction", "X", row, row, 1.0, None, numbers, found=row), {}
        )
        return replace(found, score=score)

    rows = [at(0, 1.0), at(100, 3.0), at(200, 1.0), at(600, 1.0)]
    leads = cases(rows)
    assert [f.start for f in leads] == [END + 100 * HOUR, END + 600 * HOUR]
    assert cases(reversed(rows)) == leads


# --- the outlet's page ---------------------------------------------------------------------------


def test_the_page_says_what_is_watched_and_the_months_of_treatment_off(plant, dispatcher) -> None:
    def off(values) -> None:
        values["g10401"][N - 60 : N - 48] = 0.4

    powered(plant, off)
    one = Client()
    one.force_login(dispatcher)
    page = one.get(reverse("monitoring:detection_outlet", args=[plant.outlet.pk])).content.decode()
    for said in (
        "生产期间治理设施停用", "2026-11", "<strong>12</strong>", "需要专门数据的检测",
        "没有上传分钟数据", "没有上传折算值", "HJ 212 没有截面积参数的编码", "均值不符",
    ):  # fmt: skip
        assert said in page
    finding = one.get(only().finding.get_absolute_url()).content.decode()
    assert "生产用电而治理设施不用电" in finding
    assert "治理设施平时用电" in finding
