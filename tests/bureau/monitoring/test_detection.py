"""The detectors over the lake: fits, daily looks, one finding an episode, reasons, evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.monitoring import detection
from jingwei.bureau.monitoring.models import Detected, DetectionFit, DetectionWatch
from jingwei.telemetry import lake as lakes
from jingwei.telemetry.lake import catalog

NOW = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # 12:30 in Beijing
END = datetime(2026, 11, 19, 16, tzinfo=UTC)  # local midnight
HOUR = timedelta(hours=1)


def series(days: int, seed: int = 3) -> dict[str, np.ndarray]:
    """NOx that follows the load of a plant, and what else a flue-gas monitor sends; no measured data."""
    n = days * 24
    rng = np.random.default_rng(seed)

    def noise(memory: float, size: float) -> np.ndarray:
        out = np.zeros(n)
        for i in range(1, n):
            out[i] = memory * out[i - 1] + rng.normal(0, size)
        return out

    t = np.arange(n)
    load = 60 + 20 * np.sin(2 * np.pi * (t % 24) / 24) + noise(0.97, 2.0)
    return {
        "a21002": np.round(20 + 0.9 * load + noise(0.6, 2.0), 2),
        "a19001": np.round(9 - 0.03 * load + noise(0.5, 0.05), 3),
        "a00000": np.round(10 + 0.2 * load + noise(0.5, 0.2), 2),
        "a01011": np.round(5 + 0.1 * load + noise(0.5, 0.05), 2),
        "a01012": np.round(110 + 0.4 * load + noise(0.8, 0.5), 1),
    }


def put(
    city,
    values: dict[str, np.ndarray],
    end: datetime = END,
    marks=None,
    mn: str = "",
    converted: dict[str, np.ndarray] | None = None,
    step: timedelta = HOUR,
) -> None:
    """Lay hours (or minutes, by `step`) that end at `end` into the lake, one sorted file a local day,
    as `ingest` would. `converted`: what the device converted itself."""
    n = len(next(iter(values.values())))
    start = end - n * step
    resolution = "hour" if step == HOUR else "minute"
    root = city.root / "lake"
    later = len(list(root.glob("test/*"))) * 100_000  # what is laid again comes after what is there
    rows: dict[str, list] = {name: [] for name in lakes.SCHEMA.names}
    for factor, column in values.items():
        for i, value in enumerate(column):
            if np.isnan(value):
                continue
            time = start + i * step
            for name, cell in (
                ("mn", mn or city.point.mn), ("st", "31"), ("factor", factor), ("time", time),
                ("value", float(value)), ("flag", (marks or {}).get(i, "N")),
                ("received", time + HOUR), ("seq", later + i + 1),
                ("zs", float(converted[factor][i]) if factor in (converted or {}) else None),
            ):  # fmt: skip
                rows[name].append(cell)
    full = {k: v or [None] * len(rows["time"]) for k, v in rows.items()}
    table = pa.table(full, schema=lakes.SCHEMA)
    stamps = table.column("time").cast("int64").to_pylist()
    days = np.array([lakes.partition(resolution, s) for s in stamps])
    with catalog(root) as db:
        for number, day in enumerate(sorted(set(days))):
            part = table.filter(pa.array(days == day))
            path = f"test/{mn or 'x'}-{day}-{len(list(root.glob('test/*')))}.parquet"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(part, root / path)
            db.execute(
                "INSERT INTO file(path, resolution, day, level, rows, batch_lo, batch_hi, closed, made)"
                " VALUES (?, ?, ?, 0, ?, ?, ?, 1, 0)",
                (path, resolution, day, len(part), number, number),
            )


@pytest.fixture
def plant(city):
    city.point.factors = ["a21002", "a19001", "a00000", "a01011", "a01012"]
    city.point.save()
    return city


def frozen(values: dict[str, np.ndarray], back: int, hours: int) -> dict[str, np.ndarray]:
    """NOx stands still for `hours`, beginning `back` hours before the end."""
    out = {k: v.copy() for k, v in values.items()}
    n = len(out["a21002"])
    out["a21002"][n - back : n - back + hours] = out["a21002"][n - back]
    return out


def test_a_constant_run_becomes_one_finding_with_its_sheet(plant) -> None:
    put(plant, frozen(series(30), 100, 16))
    (result,) = detection.run(NOW)
    assert result.error == ""
    detected = Detected.objects.get()
    finding = detected.finding
    assert (finding.kind, finding.state) == (Kind.FALSIFICATION, Finding.State.NEW)
    assert (detected.detector, detected.factor, detected.tier) == ("const_run", "a21002", "exact")
    assert detected.ended - detected.began == 16 * HOUR
    assert finding.began == detected.began == END - 100 * HOUR
    assert "氮氧化物" in finding.title
    assert "数据恒定" in finding.title
    assert finding.enterprise == plant.outlet.enterprise
    assert finding.point == plant.point
    assert finding.innocent
    assert finding.next_check
    entry = detected.evidence
    assert entry.kind == "detection"
    assert detected.sheet["evidence"]["sha256"] in entry.content
    watch = DetectionWatch.objects.get()
    assert watch.judged == END
    assert watch.due > NOW
    assert watch.hours == 14 * 24
    assert watch.evidence.kind == "detection"
    assert watch.fit.evidence == watch.evidence
    # 30 days: only what needs no statistics is judged, and the outlet says so.
    assert [r["code"] for r in watch.reasons] == ["short"]


def test_a_second_look_changes_nothing(plant) -> None:
    put(plant, frozen(series(30), 100, 16))
    detection.run(NOW)
    before = Detected.objects.get()
    entries = EvidenceEntry.objects.filter(subject=f"finding:{before.finding_id}").count()
    detection.run(NOW + HOUR)
    detection.run(NOW + 2 * HOUR, fresh=True)
    after = Detected.objects.get()
    assert (before.pk, before.sheet, before.noticed) == (after.pk, after.sheet, after.noticed)
    assert Finding.objects.count() == 1
    assert DetectionFit.objects.count() == 1
    assert EvidenceEntry.objects.filter(subject=f"finding:{before.finding_id}").count() == entries
    assert DetectionWatch.objects.get().hours == 14 * 24


def test_the_same_rows_give_the_same_fit_and_findings_bit_for_bit(plant, data) -> None:
    put(plant, frozen(series(30), 100, 16))
    (first,) = detection.run(NOW)
    for kept in (data / "detection").glob("*.fit"):
        kept.unlink()
    (second,) = detection.run(NOW)
    assert first == second
    assert len(list((data / "detection").glob("*.fit"))) == 1


def test_a_damaged_fit_is_made_anew(plant, data) -> None:
    put(plant, series(30))
    (first,) = detection.run(NOW)
    (kept,) = (data / "detection").glob("*.fit")
    kept.write_bytes(kept.read_bytes()[:-7])
    (second,) = detection.run(NOW)
    assert second.error == ""
    assert first == second


def test_days_go_on_and_the_episode_stays_one_finding(plant) -> None:
    values = frozen(series(30), 34, 34)  # still going on at the end
    cut = {k: v[:-24] for k, v in values.items()}
    put(plant, cut, END - timedelta(days=1))
    detection.run(NOW - timedelta(days=1))
    first = Detected.objects.get()
    assert first.ended == END - timedelta(days=1)
    put(plant, {k: v[-24:] for k, v in values.items()})
    detection.run(NOW)
    again = Detected.objects.get()
    assert again.pk == first.pk
    assert again.ended == END
    assert again.finding.ended == END
    assert again.found == first.found
    watch = DetectionWatch.objects.get()
    assert watch.hours == 15 * 24
    assert watch.fit == first.fit


def test_two_episodes_weeks_apart_are_two_findings_and_two_within_a_week_one(plant) -> None:
    values = frozen(frozen(frozen(series(30), 300, 16), 60, 16), 25, 16)
    put(plant, values)
    detection.run(NOW)
    assert Detected.objects.count() == Finding.objects.count() == 2


def test_what_people_decided_stays(plant) -> None:
    values = frozen(series(30), 34, 34)
    put(plant, {k: v[:-24] for k, v in values.items()}, END - timedelta(days=1))
    detection.run(NOW - timedelta(days=1))
    Finding.objects.update(state=Finding.State.DISMISSED)
    sheet = Detected.objects.get().sheet
    put(plant, {k: v[-24:] for k, v in values.items()})
    detection.run(NOW)
    assert Detected.objects.get().sheet == sheet
    assert Finding.objects.get().state == Finding.State.DISMISSED


def test_marked_hours_are_not_judged(plant) -> None:
    n = 30 * 24
    put(plant, frozen(series(30), 100, 16), marks=dict.fromkeys(range(n - 100, n - 84), "D"))
    detection.run(NOW)
    assert not Detected.objects.exists()


def test_a_factor_without_values_gives_a_reason_and_no_finding(plant) -> None:
    values = series(80)
    values["a21002"][:] = np.nan
    put(plant, values)
    (result,) = detection.run(NOW)
    assert result.error == ""
    assert not Finding.objects.exists()
    assert "empty" in [r["code"] for r in DetectionWatch.objects.get().reasons]


def test_an_outlet_without_data_or_limits_says_so(plant) -> None:
    detection.run(NOW)
    watch = DetectionWatch.objects.get()
    assert [r["code"] for r in watch.reasons] == ["nothing"]
    assert watch.fit is None
    plant.outlet.limits.all().delete()
    detection.run(NOW)
    watch.refresh_from_db()
    assert [r["code"] for r in watch.reasons] == ["no_target"]


def test_treatment_without_power_while_the_plant_runs_is_of_its_own_kind(plant) -> None:
    values = series(30)
    n = len(values["a21002"])
    rng = np.random.default_rng(5)
    values["g20801"] = np.round(80 + rng.normal(0, 3, n), 2)
    values["g10401"] = np.round(30 + rng.normal(0, 1, n), 2)
    values["g10401"][n - 60 : n - 48] = 0.4
    plant.point.factors = list(values)
    plant.point.save()
    put(plant, values)
    detection.run(NOW)
    detected = Detected.objects.get(finding__kind=Kind.POWER)
    assert detected.detector == "power_off"
    assert detected.ended - detected.began == 12 * HOUR


def test_a_statistical_case_with_a_model(plant) -> None:
    """160 days: the load of the plant explains its NOx, and a week of 45 % less stands out."""
    values = series(160)
    n = len(values["a21002"])
    low = slice(n - 200, n - 60)
    values["a21002"][low] = np.round(values["a21002"][low] * 0.55, 2)
    put(plant, values)
    detection.run(NOW)
    fit = DetectionFit.objects.get()
    assert fit.learnt["quality"]["a21002"]["passed"]
    assert fit.rows == (160 - 14) * 24
    assert fit.learnt["limits"]["a21002"] == pytest.approx(100 * (21 - 7.2) / 15, rel=0.05)
    detected = Detected.objects.get()
    assert detected.tier == "statistical"
    assert 0 < detected.rate <= detected.budget
    assert {"expected", "low", "high"} <= set(detected.sheet["evidence"]["series"])
    assert detected.sheet["hidden_share"]["estimate"] == pytest.approx(0.45, abs=0.12)
    # While nobody has said what it was, nothing is learnt anew.
    later = NOW + timedelta(days=40)
    detection.run(later)
    assert DetectionWatch.objects.get().fit == fit


@pytest.fixture(autouse=True)
def nothing_under_way(monkeypatch) -> None:
    """A look that another test began is not taken in here."""
    monkeypatch.setattr(detection, "_under_way", None)
    monkeypatch.setattr(detection, "_searched", None)


def test_the_worker_hands_out_and_takes_in(plant, monkeypatch) -> None:
    put(plant, frozen(series(30), 100, 16))
    monkeypatch.setattr(detection, "_elsewhere", lambda parts: [detection.work(p) for p in parts])
    monkeypatch.setattr(detection, "_searched", None)
    assert detection.tick(NOW) == 0
    detection._under_way[0].result(60)
    assert detection.tick(NOW) == 1
    assert Detected.objects.count() == 1
    assert detection.tick(NOW + timedelta(minutes=10)) == 0
    assert detection._under_way is None


def test_batches_grow_while_they_are_quick_and_shrink_when_they_are_not(plant, monkeypatch) -> None:
    clock = iter([0.0, 2.0, 100.0, 140.0])
    monkeypatch.setattr(detection, "monotonic", lambda: next(clock))
    monkeypatch.setattr(detection, "_elsewhere", lambda parts: [])
    monkeypatch.setattr(detection, "_size", 40)
    monkeypatch.setattr(detection, "_searched", None)
    for size in (80, 20):
        detection.tick(NOW)
        detection._under_way[0].result(60)
        DetectionWatch.objects.update(due=NOW + timedelta(days=1))
        detection.tick(NOW)
        assert detection._size == size
        DetectionWatch.objects.update(due=NOW)
        monkeypatch.setattr(detection, "_searched", None)


def test_a_batch_that_dies_is_tried_again_later(plant, monkeypatch) -> None:
    def die(parts):
        raise RuntimeError("gone")

    monkeypatch.setattr(detection, "_elsewhere", die)
    monkeypatch.setattr(detection, "_searched", None)
    detection.tick(NOW)
    detection._under_way[0].exception(60)
    assert detection.tick(NOW) == 0
    watch = DetectionWatch.objects.get()
    assert "gone" in watch.error
    assert watch.due == NOW + detection.RETRY


def test_verdicts_move_the_budget_and_what_is_learnt(plant, monkeypatch) -> None:
    values = series(160)
    n = len(values["a21002"])
    values["a21002"][n - 200 : n - 60] *= 0.55
    put(plant, values)
    detection.run(NOW)
    detected = Detected.objects.get()
    monkeypatch.setattr(
        detection, "verdict_sources", [lambda: [(detected.finding, "production", None)]]
    )
    given = detection.shares()
    assert given[detected.detector] < detection.SHARES[detected.detector]
    assert sum(given.values()) == pytest.approx(sum(detection.SHARES.values()))
    (job,), _ = detection.jobs(
        list(DetectionWatch.objects.select_related("fit")), END + timedelta(days=40)
    )
    assert job.left_out == ()
    assert job.until == END + timedelta(days=39)
    monkeypatch.setattr(
        detection, "verdict_sources", [lambda: [(detected.finding, "falsified", None)]]
    )
    assert detection.shares()[detected.detector] > detection.SHARES[detected.detector]
    (job,), _ = detection.jobs(
        list(DetectionWatch.objects.select_related("fit")), END + timedelta(days=40)
    )
    assert job.left_out == ((detected.began, detected.ended),)


def test_roles_of_codes() -> None:
    assert detection.role("a19001") == "o2"
    assert detection.role("g20801") == "power_production"
    assert detection.role("g10402") == "power_treatment"
    assert detection.role("a01901") == "state"
    assert detection.role("a21026") == ""


@pytest.mark.parametrize("mark", ["N", "C"])
def test_two_years_without_a_calibration_are_said(plant, mark: str) -> None:
    """What is learnt from is a year at most; the marks are looked for in the year before, too."""
    put(plant, {"a21002": series(2)["a21002"]}, END - timedelta(days=731))
    put(plant, {"a21002": series(1)["a21002"]}, END - timedelta(days=400), marks={5: mark})
    put(plant, {k: v for k, v in series(80).items() if k in ("a21002", "a01011")})
    (result,) = detection.run(NOW)
    assert result.error == ""
    codes = {(r["code"], r["column"]) for r in result.reasons}
    assert (("uncalibrated", "a21002") in codes) == (mark == "N")
