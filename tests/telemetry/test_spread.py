"""How values lie over a stretch of time: the lake's sums against numpy's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.telemetry.conftest import MN

from jingwei import hj212

MIDNIGHT = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(values, factor="a21026", flag="N", zs=None):
    return [
        hj212.frame(
            hj212.segment(
                cn="2061", st="31", mn=MN, pw="123456", flag=5, qn=hj212.qn(at + HOUR),
                cp=hj212.data_cp(at, [(factor, {
                    "Avg": f"{v:.1f}", **({"ZsAvg": f"{zs * v:.1f}"} if zs else {}), "Flag": flag,
                })]),
            )
        )
        for at, v in zip((MIDNIGHT + i * HOUR for i in range(1000)), values, strict=False)
    ]  # fmt: skip


def fill(house, frames):
    now = MIDNIGHT + timedelta(days=9)
    house.put(frames, now - HOUR)
    ingest = house.ingest(lambda: now)
    while ingest.step(100).telegrams:
        pass


def spread(house, wanted, start=MIDNIGHT, end=MIDNIGHT + timedelta(days=8)):
    return house.lake.spread("hour", start, end, wanted, {"N"}).to_pylist()


def test_values_of_a_label_are_taken_together(house):
    values = [round(i * 0.7 % 13, 1) for i in range(60)]
    fill(house, hours(values))
    (row,) = spread(house, [(MN, "31", "a21026", "inside a21026 mg/m³")])
    assert (row["points"], row["received"], row["valid"]) == (1, 60, 60)
    assert (row["label"], row["converted"]) == ("inside a21026 mg/m³", False)
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["p95"] == pytest.approx(np.quantile(values, 0.95))
    (part,) = spread(house, [(MN, "31", "a21026", "x")], MIDNIGHT + HOUR, MIDNIGHT + 4 * HOUR)
    assert (part["valid"], part["mean"]) == (3, pytest.approx(np.mean(values[1:4])))


def test_the_latest_reception_counts_once(house):
    fill(house, hours([1.0, 2.0, 3.0]))
    fill(house, hours([1.0, 8.0]))
    (row,) = spread(house, [(MN, "31", "a21026", "x")])
    assert (row["received"], row["mean"]) == (3, pytest.approx(4.0))


def test_other_marks_do_not_count_and_converted_values_stand_apart(house):
    fill(house, hours([5.0, 5.0], flag="M"))
    fill(house, hours([4.0, 6.0], factor="a21002", zs=2))
    wanted = [(MN, "31", "a21026", "a"), (MN, "31", "a21002", "b"), (MN, "31", "a05002", "c")]
    out, converted = spread(house, wanted)
    assert (out["label"], out["points"], out["received"], out["valid"]) == ("a", 0, 2, 0)
    assert (out["mean"], out["p95"]) == (None, None)
    assert (converted["label"], converted["converted"], converted["valid"]) == ("b", True, 2)
    assert converted["mean"] == pytest.approx(10.0)


def test_nothing_wanted_and_nothing_there(house):
    assert spread(house, []) == []
    assert spread(house, [(MN, "31", "a21026", "x")]) == []
