"""Profiles of own sources: how they are read, what is refused, what they do to names and balances."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from jingwei.analysis.air.apportion import own, profiles, study, tables

HEAD = ["Source", "组分", "fraction", "uncertainty"]
STEEL = [["Sinter plant", s, v, e] for s, v, e in (("Fe", 0.4, 0.05), ("Zn", 0.05, 0.01), ("K", 0.1, 0.02), ("OC", 0.03, 0.01), ("Pb", 0.02, 0.004))]  # fmt: skip


def parse(rows: list[list[Any]], unit: str = "fraction", taken: tuple[str, ...] = ()) -> Any:
    return own.parse(list(enumerate(rows, 1)), unit, taken)


def test_profiles_are_read_in_fractions() -> None:
    (one,) = parse([HEAD, *STEEL])
    assert one.source == "Sinter plant"
    assert one.rows[0] == ("Fe", 0.4, 0.05)
    percent = [[s, n, 100 * v, str(100 * e)] for s, n, v, e in STEEL]
    (same,) = parse([HEAD, [], *percent], "percent")
    assert [r[1] for r in same.rows] == pytest.approx([r[1] for r in one.rows])
    assert own.fractions(one.rows)["fe"] == (0.4, 0.05)


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ([], ["empty"]),
        ([HEAD], ["empty"]),
        ([HEAD[:3], *STEEL], ["wanted"]),
        ([HEAD, *STEEL, ["", "Cu", 0.1, 0.1]], ["unnamed"]),
        ([HEAD, *STEEL, ["Sinter plant", "Cu", "viel", 0.1]], ["share"]),
        ([HEAD, *STEEL, ["Sinter plant", "Cu", -0.1, 0.1]], ["share"]),
        ([HEAD, *STEEL, ["Sinter plant", "Cu", 40, 0.1]], ["share"]),
        ([HEAD, *STEEL, ["Sinter plant", "Cu", "nan", 0.1]], ["share"]),
        ([HEAD, *STEEL, ["Sinter plant", "Cu", 0.1, 0]], ["sigma"]),
        ([HEAD, *STEEL, ["Sinter plant", "Cu", 0.1]], ["sigma"]),
        ([HEAD, *STEEL, ["Sinter plant", "fe", 0.1, 0.1]], ["again"]),
        ([HEAD, *STEEL, ["Sinter plant", "铁", 0.1, 0.1]], ["again"]),
        ([HEAD, *STEEL, ["sinter Plant", "fe", 0.1, 0.1]], ["again"]),
        ([HEAD, *STEEL[:2]], ["thin"]),
        ([HEAD, *STEEL, ["Sinter plant", "Cu", 0.9, 0.1]], ["sum"]),
        ([HEAD, *STEEL, ["Kiln", "Ca", 2, 0.1], ["Kiln", "Si", 0.1, 0]], ["share", "sigma"]),
        ([HEAD, *([f"S{k}", *part[1:]] for k in range(51) for part in STEEL)], ["sources"]),
    ],
)
def test_every_wrong_row_is_told(rows: list[list[Any]], problems: list[str]) -> None:
    with pytest.raises(tables.TableError) as caught:
        parse(rows)
    assert [p.kind for p in caught.value.problems] == problems
    assert all(p.text for p in caught.value.problems)


def test_a_name_that_another_profile_has_is_refused() -> None:
    with pytest.raises(
        tables.TableError, match="row 2: there is a profile of the name Sinter plant"
    ):
        parse([HEAD, *STEEL], taken=("SINTER PLANT",))


def library() -> profiles.Library:
    (one,) = parse([HEAD, *STEEL])
    return profiles.joined(
        profiles.read(profiles.BUNDLED), [("7", one.source, own.fractions(one.rows))]
    )


def test_a_factor_like_an_own_profile_has_its_name() -> None:
    species = ["Fe", "Zn", "K", "OC", "Pb", "SO4"]
    factor = np.array([[0.4, 0.05, 0.1, 0.03, 0.02, 0.001]])
    (without,) = profiles.name(factor, species, profiles.read(profiles.BUNDLED))
    (found,) = profiles.name(factor, species, library())
    assert (found.source, found.code) == ("Sinter plant", "own:7")
    assert found.similarity > 0.98 > without.similarity
    # What only own profiles have does not count against the published ones.
    mill = np.array([[0.02, 0.01, 0.01, 0.9, 0.001, 0.5]])
    old, new = (
        profiles.name(mill, species, x)[0] for x in (profiles.read(profiles.BUNDLED), library())
    )
    scores = {s: v for s, v in [(new.source, new.similarity), *new.others] if s != "Sinter plant"}
    was = dict([(old.source, old.similarity), *old.others])
    shared = set(scores) & set(was)
    assert shared
    assert all(scores[s] == pytest.approx(was[s]) for s in shared)


def test_a_balance_weighs_own_profiles_by_their_own_errors() -> None:
    """Exact mixtures of the own source and ammonium sulfate: both come back, and the smaller the errors of
    the profile, the smaller that of its amount."""
    head = ["Date", "Fe", "Zn", "K", "OC", "Pb", "SO4", "NH4"]
    con, unc = [head], [head]
    for d in range(24):
        a, b = 10.0 + d, 30.0 - d
        values = [*(a * v for _s, _n, v, _e in STEEL), 0.727 * b, 0.273 * b]
        con.append([datetime(2026, 1, 1) + timedelta(days=d), *values])
        unc.append([datetime(2026, 1, 1) + timedelta(days=d), *(0.01 * v for v in values)])
    table = tables.parse(list(enumerate(con, 1)), list(enumerate(unc, 1)))
    use = dict.fromkeys(head[1:], "good")

    def error(scale: float) -> float:
        rows = [(s, v, scale * e) for _n, s, v, e in STEEL]
        known = profiles.joined(
            profiles.read(profiles.BUNDLED), [("7", "Sinter plant", own.fractions(rows))]
        )
        found = study.balances(
            table, use, ["Sinter plant", "Ammonium sulfate"], known, lambda *_: None
        )
        one, other = found["sources"]
        assert (one["code"], other["code"]) == ("own:7", "")
        assert one["mean"] == pytest.approx(21.5, rel=0.01)
        assert other["mean"] == pytest.approx(18.5, rel=0.01)
        return float(one["error"])

    assert error(0.2) < 0.5 * error(1.0)
