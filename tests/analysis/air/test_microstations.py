"""Micro-stations: calibrated from afar, and the 500 m in which a hidden source shows.

The air is that of the twelve stations measured in Beijing: what differs between micro-stations is mixed
from what really differs between stations. Sensors and sources are made up.
"""

from __future__ import annotations

import csv
from functools import cache
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from jingwei.analysis.air import hotgrids, microstations
from jingwei.analysis.air.forecast.history import mean
from jingwei.analysis.air.weather import Plane
from jingwei.demo import catalogue

PLANE = Plane(116.2, 40.0)
DAYS = 30


@cache
def measured() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Places (12, 2) in m and hours (8760, 12) of a year."""
    with (catalogue.DATA / "stations.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    table = pyarrow.parquet.read_table(catalogue.DATA / "prsa_beijing.parquet")
    who = np.array(table["station"].to_pylist())
    columns = {
        name: np.stack([table[name].to_numpy()[who == r["station"]] for r in rows], axis=1)
        for name in ("NO2", "WSPM", "WD")
    }
    places = PLANE.to([float(r["longitude"]) for r in rows], [float(r["latitude"]) for r in rows])
    return np.column_stack(places), {k: v.astype(float) for k, v in columns.items()}


def network(seed: int, source: float = 0.0, start: int | None = None) -> dict[str, Any]:
    """36 sensors 1.1 km apart in the west of the city over 30 days: gains of 0.6 to 1.6 and offsets of ± 8
    µg/m³ that drift, noise of 12 %; `source`: of the hidden one, carried by the measured wind."""
    random = np.random.default_rng(seed)
    there, year = measured()
    first = 24 * (int(random.integers(0, 365 - DAYS)) if start is None else start)
    here = slice(first, first + DAYS * 24)
    standard, n = year["NO2"][here], DAYS * 24
    speed = mean(year["WSPM"][here])
    x, y = PLANE.to(116.19, 39.91)
    even = np.array([(i, j) for i in range(6) for j in range(6)]) * 1100.0 - 2750
    places = np.array([float(x), float(y)]) + even + random.uniform(-300, 300, even.shape)
    filled = np.where(np.isnan(standard), np.nanmedian(standard), standard)
    air = np.empty((n, len(places)))
    for k, place in enumerate(places):
        weight = 1 / np.sum((there - place) ** 2, axis=1)
        air[:, k] = filled @ random.dirichlet(8 * weight / weight.sum() + 1e-3)
    spot = places[14] + [150, -150]
    far = places - spot
    away = np.hypot(*far.T)
    toward = np.degrees(np.arctan2(far[:, 0], far[:, 1]))
    wind = np.nan_to_num(year["WD"][here, 5])[:, None] + 180
    blows = np.maximum(np.nan_to_num(speed, nan=1.5), 0.5)[:, None]
    shape = np.where(blows < 1, 0.5, np.exp(-0.5 * (((toward - wind + 180) % 360 - 180) / 25) ** 2))
    added = source * shape * (random.random((n, 1)) < 0.7) / blows * 300 / (away + 300)
    ramp = np.linspace(0, 1, n)[:, None]
    m = len(places)
    slope = random.uniform(0.6, 1.6, m) * (1 + random.uniform(-0.3, 0.3, m) * ramp)
    offset = random.uniform(-8, 8, m) + random.uniform(-5, 5, m) * ramp
    sent = offset + slope * (air + added) * np.exp(0.12 * random.standard_normal(air.shape))
    sent[random.random(sent.shape) < 0.05] = np.nan
    return {
        "sent": sent, "standard": standard, "places": places, "there": there, "wind": speed,
        "air": air + added, "added": added, "spot": spot,
    }  # fmt: skip


def calibrated(made: dict[str, Any], **more: Any) -> microstations.Calibrated:
    given = made | more
    return microstations.calibrate(
        given["sent"], given["standard"], given["places"], given["there"],
        np.arange(len(given["sent"])) % 24, given["wind"],
    )  # fmt: skip


def fine(made: dict[str, Any]) -> microstations.Fine:
    places = made["places"]
    grid = hotgrids.Grid.on(PLANE, places[:, 0], places[:, 1], 500.0)
    pollutants = {"NO2": (calibrated(made), made["standard"])}
    return microstations.fine(pollutants, grid, places, made["there"])


def cell_of(found: microstations.Fine, place: np.ndarray) -> tuple[int, int]:
    x, y = (np.floor(place / 500).astype(int)).tolist()
    return y - found.grid.north, x - found.grid.east


def test_calibration_takes_gain_offset_and_drift_out() -> None:
    made = network(1, start=250)
    found = calibrated(made)
    assert [r.why for r in found.sensors] == [""] * 36
    raw = np.abs(np.nanmean(made["sent"] - made["air"], axis=0))
    left = np.abs(np.nanmean(found.values - made["air"], axis=0))
    assert left.mean() < raw.mean() / 4
    last = slice(-7 * 24, None)  # drift is followed to the end
    late = np.abs(np.nanmean((found.values - made["air"])[last], axis=0))
    assert late.mean() < np.abs(np.nanmean((made["sent"] - made["air"])[last], axis=0)).mean() / 3
    for row in found.sensors:
        assert row.bias_low <= row.bias <= row.bias_high
        assert 0 < row.noise_low <= row.noise <= row.noise_high


def test_a_sensor_beside_a_standard_station_is_held_to_that_alone() -> None:
    made = network(2, start=100)
    places = made["places"].copy()
    places[0] = made["there"][3] + [60, 80]  # 100 m from Dongsi
    sent = made["sent"].copy()
    sent[:, 0] = 5 + 1.4 * made["standard"][:, 3]
    one = calibrated(made, places=places, sent=sent).sensors[0]
    assert one.beside
    assert one.slope == pytest.approx(1.4, abs=0.01)
    assert one.offset == pytest.approx(5, abs=0.2)


def test_useless_sensors_are_set_aside_with_the_reason() -> None:
    made = network(3, start=200)
    sent = made["sent"].copy()
    random = np.random.default_rng(0)
    sent[50:, 0] = np.nan
    sent[100:400, 1] = 61.5
    sent[:, 2] = 8 * made["air"][:, 2]
    sent[:, 3] = made["air"][:, 3] + 200 * random.standard_normal(len(sent))
    found = calibrated(made, sent=sent)
    assert [r.why for r in found.sensors[:3]] == ["silent", "stuck", "off"]
    assert found.sensors[3].why in ("erratic", "off")
    assert np.isnan(found.values[:, :4]).all()
    assert not any(r.why for r in found.sensors[4:])
    few = calibrated(made, standard=np.full_like(made["standard"], np.nan))
    assert {r.why for r in few.sensors} == {"few"}


def test_even_hours_are_even_and_have_wind() -> None:
    made = network(4, start=30)
    clock = np.arange(DAYS * 24) % 24
    even = microstations.even_hours(made["standard"], clock, made["wind"])
    assert 0.05 < even.mean() < 0.3
    known = np.isfinite(made["standard"]).all(axis=1)
    spread = np.full(len(known), np.nan)
    spread[known] = made["standard"][known].std(axis=1) / made["standard"][known].mean(axis=1)
    assert np.nanmedian(spread[even]) < 0.8 * np.nanmedian(spread)
    assert (made["wind"][even] >= np.nanmedian(made["wind"])).all()
    calm = microstations.even_hours(made["standard"], clock)
    assert calm.sum() > even.sum()


def test_a_hidden_source_is_found_where_it_is_and_its_figures_hold() -> None:
    hits = 0
    for seed in range(8):
        made = network(seed, source=500.0)
        found = fine(made)
        nearest = int(np.hypot(*(made["places"] - made["spot"]).T).argmin())
        spot = cell_of(found, made["places"][nearest])
        assert found.found is not None
        hits += bool(found.found.hot[spot])
        for c in zip(*np.nonzero(found.found.hot), strict=True):
            away = np.array([found.grid.east + c[1], found.grid.north + c[0]]) * 500 + 250
            assert np.hypot(*(away - made["spot"])) < 2000
        one = found.cells["NO2"][spot]
        assert one.low < one.excess < one.high
        assert one.excess == pytest.approx(one.value - one.background, rel=0.1, abs=1)
        assert 0 < one.excess < 1.2 * made["added"][:, nearest].mean() + 5
    assert hits >= 6


def test_without_a_source_hardly_anything_is_hot() -> None:
    """At 5 % false discoveries at most one network in twenty shows a cell; of 20, three would come by
    chance in one of a dozen such tests."""
    networks = [fine(network(100 + seed)) for seed in range(20)]
    hot = [bool(f.found.hot.any()) for f in networks if f.found is not None]
    assert len(hot) == 20
    assert sum(hot) <= 3


def test_cells_without_sensors_stay_empty_and_few_say_nothing() -> None:
    made = network(5, start=60)
    found = fine(made)
    assert found.found is not None
    stood = {cell_of(found, p) for p in made["places"]}
    assert set(found.cells["NO2"]) == stood
    assert {tuple(c) for c in np.argwhere(found.found.p < 1)} <= stood
    some = {k: v[:, :6] if k in ("sent", "air", "added") else v for k, v in made.items()}
    some["places"] = made["places"][:6]
    assert fine(some).found is None
