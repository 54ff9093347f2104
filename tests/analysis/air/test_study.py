"""Tables of samples as people write them, what is made of them, and how many factors are proposed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from jingwei.analysis.air.apportion import profiles, study, tables

HEAD = ["Date", "Fe", "Pb (ng/m3)", "SO4", "PM2.5"]
N = 24


def rows(cell: Any = 1.0) -> list[list[Any]]:
    start = datetime(2026, 1, 1)
    return [HEAD] + [[start + timedelta(days=d), cell, 1000.0, 2.0 + d, 30.0] for d in range(N)]


def parse(con: list[list[Any]], unc: list[list[Any]], unit: str = "µg/m³") -> tables.Table:
    return tables.parse(list(enumerate(con, 1)), list(enumerate(unc, 1)), unit)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.5", 1.5), ("<0.4", 0.2), ("0.4L", 0.2), ("", np.nan), ("-999", np.nan), (-999, np.nan),
     ("缺测", np.nan), ("-0.1", -0.1)],
)  # fmt: skip
def test_cells(text: Any, value: float) -> None:
    con = rows()
    con[3][1] = text
    found = parse(con, rows(0.1))
    assert found.values[2, 0] == pytest.approx(value, nan_ok=True)
    assert found.values[2, 1] == pytest.approx(1.0)  # 1,000 ng/m³
    assert found.species == ("Fe", "Pb", "SO4", "PM2.5")
    assert found.below[2, 0] == (str(text)[-1:] == "L" or str(text)[:1] == "<")


def test_rows_are_put_in_order_and_it_is_said() -> None:
    con, unc = rows(), rows(0.1)
    con[1:], unc[1:] = con[:0:-1], unc[:0:-1]
    found = parse(con, unc)
    assert found.times == sorted(found.times)
    assert found.values[0, 2] == 2.0
    assert ("sorted", 0) in found.notes


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        ([f"2026/1/{d + 1}" for d in range(N)], datetime(2026, 1, 1)),
        ([f"1/{d + 1}/2026 6:00" for d in range(N)], datetime(2026, 1, 1, 6)),
        ([f"2026年1月{d + 1}日" for d in range(N)], datetime(2026, 1, 1)),
        ([f"202601{d + 1:02}" for d in range(N)], datetime(2026, 1, 1)),
    ],
)
def test_times(texts: list[str], first: datetime) -> None:
    con, unc = rows(), rows(0.1)
    for k, text in enumerate(texts, 1):
        con[k][0] = unc[k][0] = text
    assert parse(con, unc).times[0] == first


def test_every_problem_is_told_with_its_place() -> None:
    con, unc = rows(), rows(0.1)
    con[2][1], con[3][3] = "viel", "?"
    with pytest.raises(tables.TableError) as caught:
        parse(con, unc)
    assert [(p.kind, p.facts["row"]) for p in caught.value.problems] == [
        ("number", 3),
        ("number", 4),
    ]
    con = rows()
    unc[5][2] = 0
    with pytest.raises(tables.TableError, match="row 6, Pb: the uncertainty is 0"):
        parse(con, unc)


def test_screening() -> None:
    con, unc = rows(), rows(0.1)
    for d in range(1, N + 1):
        unc[d][2] = 400.0  # signal to noise 1.5
        unc[d][3] = con[d][3] / 1.7  # 0.7
        unc[d][1] = 0.9  # 0.11
    found = {s.species: s for s in tables.screen(parse(con, unc))}
    assert {k: v.advice for k, v in found.items()} == {
        "Fe": "bad", "Pb": "good", "SO4": "weak", "PM2.5": "total",
    }  # fmt: skip
    assert found["Pb"].noise == pytest.approx(1.5)
    assert found["SO4"].noise == pytest.approx(0.7)


def number(factors: int, ratio: float, again: float = 1.0) -> dict[str, Any]:
    return {"factors": factors, "ratio": ratio, "again": [1.0, again]}


def test_the_bend_is_proposed_among_the_stable() -> None:
    bent = [number(2, 20), number(3, 8), number(4, 1.2), number(5, 1.1), number(6, 1.0)]
    assert study.choose(bent) == (4, ["stable", "bend"])
    shaky = [*bent[:2], number(4, 1.2, 0.5), *bent[3:]]
    assert study.choose(shaky)[0] != 4
    assert study.choose([number(7, 3.0, 0.1)]) == (7, ["given"])
    assert study.choose([number(3, 4.0, 0.5), number(4, 3.0, 0.6)]) == (4, ["none", "largest"])


def test_what_formed_in_the_air_is_named_by_its_formula() -> None:
    library = profiles.read(profiles.BUNDLED)
    metals = ["Fe", "Zn", "Pb", "Cu"]
    (pure,) = profiles.name(
        np.array([[7.27, 0.0, 2.73, 0, 0, 0, 0]]), ["SO4", "NO3", "NH4", *metals], library
    )
    assert (pure.source, pure.code) == ("Ammonium sulfate", "formed")
    assert pure.similarity == pytest.approx(1.0)
    # A mill's profile is as like it; where one species is all, what forms in the air comes first.
    (alone,) = profiles.name(
        np.array([[9.9, 0.0, 0.05, 0.02, 0.01, 0.02]]), ["SO4", "NO3", *metals], library
    )
    assert (alone.source, alone.kind, alone.main) == ("Ammonium sulfate", "alone", "SO4")
    assert alone.others[0] == ("Pulp & Paper Mill", pytest.approx(alone.similarity, abs=0.05))


def test_chinese_names_of_species() -> None:
    assert [profiles.key(n) for n in ("硫酸盐", "铅", "有机碳")] == ["so4", "pb", "oc"]


def test_balance_returns_what_was_mixed() -> None:
    """Exact mixtures of two sources by formula: their amounts come back, all statistics are good."""
    start = datetime(2026, 1, 1)
    head = ["Date", "SO4", "NO3", "NH4", "PM2.5"]
    con, unc = [head], [head]
    for d in range(N):
        a, b = 5.0 + d, 20.0 - 0.5 * d
        values = [0.727 * a, 0.7746 * b, 0.273 * a + 0.2254 * b, a + b]
        con.append([start + timedelta(days=d), *values])
        unc.append([start + timedelta(days=d), *(0.05 * v for v in values)])
    table = parse(con, unc)
    use = {"SO4": "good", "NO3": "good", "NH4": "good", "PM2.5": "total"}
    found = study.balances(
        table, use, ("Ammonium sulfate", "Ammonium nitrate"), profiles.read(profiles.BUNDLED),
        lambda *step: None,
    )  # fmt: skip
    for d, row in enumerate(found["rows"]):
        assert row["amounts"] == pytest.approx([5.0 + d, 20.0 - 0.5 * d], rel=1e-3)
        assert row["mass"] == pytest.approx(100, abs=0.2)
    assert found["r2"][1] > 0.999
    assert found["sources"][0]["told"] == 1.0
    with pytest.raises(study.StudyError, match="sources"):
        study.balances(table, use, ("Coal Combustion", "Brake Wear", "Ammonium sulfate"),
                       profiles.read(profiles.BUNDLED), lambda *step: None)  # fmt: skip


@pytest.mark.parametrize(("month", "at"), [(12, 0), (2, 0), (3, 1), (8, 2), (11, 3)])
def test_seasons(month: int, at: int) -> None:
    assert study.season(month) == at
