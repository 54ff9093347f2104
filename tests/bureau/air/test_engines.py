"""The office's tracing and `jingwei trace-files` are one engine: the same input, the same answer."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pytest

from jingwei.analysis.air import attribution, investigate, tracing, weather
from jingwei.analysis.air.forecast.history import History
from jingwei.analysis.air.puffs import Sources
from jingwei.bureau.air import tracing as office

HOURS = 36
FIRST, LAST = attribution.MEMORY, HOURS - 2
CENTRE = (117.0, 36.5)
NAMES = ("core", "north", "east", "south", "west", "far")
SHIFTS = np.array([(0, 0), (0, 6e3), (6e3, 0), (0, -6e3), (-6e3, 0), (9e3, 9e3)], float)
WORKS = np.array([(-3e3, 500.0), (4e3, 3e3), (1e3, -5e3), (-7e3, -7e3), (2e3, 8e3), (-5e3, 4e3)])
RATE = np.array([20.0, 40.0, 10.0, 30.0, 20.0, 20.0])  # kg/h
TRUE = np.array([12.0, 1.0, 1.2, 0.8, 1.0, 1.0])


def test_both_ways_of_asking_give_the_same_answer() -> None:
    hour = np.arange(HOURS)
    direction, speed = (15.0 * hour + 200) % 360, 2.5 + np.sin(hour / 5)
    toward = np.radians(direction + 180)
    begin = datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=8)))
    plane = weather.Plane(*CENTRE)
    air = weather.from_stations(
        [[0.0, 0.0]], speed[:, None], direction[:, None], begin, plane=plane
    )
    x, y = WORKS.T
    a = tracing.matrix(
        Sources(x=x, y=y, height=np.full(6, 20.0), rate=np.ones(6)), air.winds,
        np.column_stack([SHIFTS, np.full(6, 3.0)]), memory=attribution.MEMORY,
    )  # fmt: skip
    told = (a @ (RATE * TRUE / 3600 * 1e9)).reshape(HOURS - 1, 6)
    told = np.vstack([told, told[-1]])
    values = 8 + told * np.random.default_rng(7).normal(1, 0.1, told.shape)
    values[20, 0] = -3.0  # left out by both
    values[10:22, 4] = 41.0  # does not move
    lon, lat = plane.back(*SHIFTS.T)
    wlon, wlat = plane.back(x, y)
    asked = office.Question(
        "a21026", begin, FIRST, 0,
        [SimpleNamespace(longitude=o, latitude=t) for o, t in zip(lon, lat, strict=True)],
        values[: LAST + 1],
        np.stack([np.tile(v[: LAST + 2, None], 6) for v in (speed, direction)]), 18.0,
        [SimpleNamespace(pk=k, longitude=o, latitude=t, diameter=None)
         for k, (o, t) in enumerate(zip(wlon, wlat, strict=True))],
        RATE / 3.6, ["permit"] * 6, np.array([np.full(6, 20.0), *np.full((2, 6), np.nan)]),
    )  # fmt: skip
    one = office.answer(asked)
    history = History(
        np.datetime64("2024-05-01T00", "h") + hour, NAMES, {"SO2": values},
        {
            "temperature": np.full(HOURS, 18.0), "dewpoint": np.full(HOURS, 8.0),
            "pressure": np.full(HOURS, 1005.0), "u": speed * np.sin(toward),
            "v": speed * np.cos(toward), "speed": speed,
        },
    )  # fmt: skip
    other = investigate.trace(
        history, "SO2", "core", FIRST, LAST,
        stations=investigate.Places(NAMES, np.asarray(lon), np.asarray(lat)),
        register=investigate.Register(
            investigate.Places(tuple("012345"), np.asarray(wlon), np.asarray(wlat)),
            np.full(6, 20.0), RATE, *np.full((3, 6), np.nan), np.zeros(6, bool),
        ),
    )  # fmt: skip
    assert [s["outlet"] for s in one["shares"]] == [int(s.name) for s in other.suspects]
    assert one["shares"][0]["outlet"] == 0
    assert one["shares"][0]["probability"] > 0.8
    for s, t in zip(one["shares"], other.suspects, strict=True):
        assert t.probability == pytest.approx(s["probability"], abs=0.011)
        assert t.level == pytest.approx(s["likely"], rel=0.02)
        unit = s["known"] / t.inventory
        assert t.low * unit == pytest.approx(s["low"], rel=0.02)
        assert t.high * unit == pytest.approx(s["high"], rel=0.02)
    assert other.explained == pytest.approx(one["likely"], rel=0.02)
    assert other.measured - other.background == pytest.approx(one["increment"], rel=0.02)
    assert one["said"]["dropped_negative"] == 1
    assert one["said"]["dropped_stuck"] >= 12
    assert any(note.startswith("1 values are negative") for note in other.notes)
    stuck = f"{one['said']['dropped_stuck']} values stood still"
    assert any(note.startswith(stuck) for note in other.notes)
