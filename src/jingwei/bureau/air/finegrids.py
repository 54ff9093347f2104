"""500 m by micro-stations: their hours from the lake, calibrated against the standard stations, and the
cells that are high again and again, for a run of the hot grids or for a region alone.

Touches no database, so that it can run in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jingwei.analysis.air import hotgrids as cells
from jingwei.analysis.air import microstations
from jingwei.analysis.air.forecast.history import History
from jingwei.analysis.air.hotgrids import Bools, Grid
from jingwei.bureau.air.forecasting import Station

POLLUTANTS = ("PM2.5", "PM10", "NO2", "SO2")
AROUND = 5000.0  # m; micro-stations so close to a region help its own as neighbours


def compute(
    grid: Grid,
    hot: Bools,
    micro: Sequence[Station],
    regions: Sequence[str],
    standard: Sequence[Station],
    sent: History | None,
    known: History | None,
    wanted: frozenset[str] | None = None,
) -> dict[str, Any]:
    """What the micro-stations say: `cells` with all figures, the most certain first, `stations` with their
    calibration, `grid` as (east, north) of the first cell; `why` nothing was compared ("", silent,
    standard or few). `grid`, `hot`: of the 3 km; `regions`: of each micro-station; `sent`, `known`: the
    same whole days of both kinds from local midnight on; `wanted`: codes of the regions that count."""
    told: dict[str, Any] = {"cells": [], "stations": [], "why": ""}
    inside = np.array([wanted is None or r in wanted for r in regions], bool)
    if not inside.any():
        return told
    if sent is None or known is None or not set(sent.values) & set(known.values):
        return told | {"why": "silent" if sent is None else "standard"}
    at = np.column_stack(grid.plane.to(*zip(*(s.at for s in micro), strict=True)))
    there = np.column_stack(grid.plane.to(*zip(*(s.at for s in standard), strict=True)))
    near = np.array([np.hypot(*(at[inside] - p).T).min(initial=np.inf) <= AROUND for p in at])
    at, who = at[near], np.flatnonzero(near)
    clock = np.arange(len(sent)) % 24
    made = {
        name: (
            microstations.calibrate(
                sent.values[name][:, near],
                known.values[name],
                at,
                there,
                clock,
                known.weather.get("speed"),
            ),
            known.values[name],
        )
        for name in POLLUTANTS
        if name in sent.values and name in known.values
    }
    told["stations"] = [
        {
            "name": micro[k].name, "mn": micro[k].mn, "st": micro[k].st, "region": regions[k],
            "factors": {n: _calibration(c.sensors[i]) for n, (c, _s) in made.items()},
        }
        for i, k in enumerate(who.tolist())
        if inside[k]
    ]  # fmt: skip
    fine = Grid.on(grid.plane, at[:, 0], at[:, 1], cells.FINE)
    found = microstations.fine(made, fine, at, there, inside[who])
    if found.found is None:
        return told | {"why": "few"}
    around = _grown(hot)
    rows = []
    for c in sorted({c for of in found.cells.values() for c in of}):
        parent = _parent(fine, c, grid)
        layers = {}
        sensors: set[int] = set()
        for name, of in found.cells.items():
            one = found.found.layers.get(name)
            if c not in of or one is None:
                continue
            cell = of[c]
            sensors |= set(cell.sensors)
            layers[f"micro {name}"] = {
                "seen": int(one.seen[c]), "high": int(one.high[c]), "p": short(one.p[c]),
                "strength": short(one.strength[c]), "value": short(cell.value),
                "background": short(cell.background), "excess": short(cell.excess),
                "low": short(cell.low), "upper": short(cell.high), "hours": cell.hours,
                "stations": len(cell.sensors),
            }  # fmt: skip
        if not layers:
            continue
        names = [micro[who[k]].name for k in sorted(sensors)]
        lon, lat = (a[c] for a in fine.places())
        rows.append(
            {
                "name": fine.name(*c),
                "outline": fine.outline(*c),
                "region": _region([regions[who[k]] for k in sorted(sensors)], wanted),
                "longitude": round(float(lon), 5), "latitude": round(float(lat), 5),
                "parent": grid.name(*parent) if parent else "",
                "where": _where(parent, hot, around),
                "stations": names,
                "group": int(found.found.groups[c]),
                "p": short(found.found.p[c]), "q": short(found.found.q[c]),
                "strength": short(found.found.strength[c]),
                "hot": bool(found.found.hot[c]),
                "layers": layers,
            }
        )  # fmt: skip
    rows.sort(key=lambda r: (not r["hot"], r["q"], r["name"]))
    return told | {"cells": rows}


def _parent(fine: Grid, cell: tuple[int, int], grid: Grid) -> tuple[int, int] | None:
    """The cell of 3 km that holds one of 500 m; None outside the grid."""
    ratio = round(grid.size / fine.size)
    row = (fine.north + cell[0]) // ratio - grid.north
    column = (fine.east + cell[1]) // ratio - grid.east
    if 0 <= row < grid.ny and 0 <= column < grid.nx:
        return row, column
    return None


def _region(of: Sequence[str], wanted: frozenset[str] | None) -> str:
    """The region of a cell by those of its sensors: of the wanted ones that with the most."""
    some = [r for r in of if wanted is None or r in wanted] or of
    return max(some, key=some.count)


def _where(parent: tuple[int, int] | None, hot: Bools, around: Bools) -> str:
    if parent is None or not around[parent]:
        return ""
    return "in" if hot[parent] else "beside"


def _grown(hot: Bools) -> Bools:
    wide = np.pad(hot, 1)
    ny, nx = hot.shape
    views = [wide[j : j + ny, i : i + nx] for j in range(3) for i in range(3)]
    return np.asarray(np.any(views, axis=0))


def _calibration(row: microstations.Calibration) -> dict[str, Any]:
    return {
        "why": row.why, "hours": row.hours, "beside": row.beside,
        **{
            name: short(getattr(row, name))
            for name in ("slope", "offset", "bias", "bias_low", "bias_high", "noise", "noise_low",
                         "noise_high")
        },
    }  # fmt: skip


def short(value: Any) -> float | None:
    """Four figures; None for what is not known."""
    number = float(value)
    return float(f"{number:.4g}") if np.isfinite(number) else None
