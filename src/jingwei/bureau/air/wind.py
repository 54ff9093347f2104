"""Wind rose, pollution rose and polar plot of a factor: from hours to what the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from jingwei.analysis.air import receptor
from jingwei.bureau.air.analysis import figure
from jingwei.bureau.air.readings import DIRECTION, SPEED, Factor, Hours
from jingwei.bureau.air.selectors import CLASSES, bearings

Floats = npt.NDArray[np.float64]
SIZE = 41  # cells of a polar plot on a side


@dataclass(frozen=True)
class Winds:
    """The factor and the wind of the same hours; `bad`: directions outside 0…360°."""

    factor: Factor
    direction: Floats
    speed: Floats
    bad: int

    @property
    def both(self) -> int:
        """Hours with a value and wind, calm ones among them."""
        wind = (self.speed < receptor.CALM) | (
            np.isfinite(self.speed) & np.isfinite(self.direction)
        )
        return int((wind & np.isfinite(self.factor.value)).sum())

    @property
    def known(self) -> int:
        """Hours with wind."""
        still = self.speed < receptor.CALM
        return int((still | (np.isfinite(self.speed) & np.isfinite(self.direction))).sum())


def winds(factor: Factor, at: Hours) -> Winds:
    direction, speed = at.factors[DIRECTION].value.copy(), at.factors[SPEED].value
    wrong = (direction < 0) | (direction > 360)
    direction[wrong] = np.nan
    return Winds(factor, direction, speed, int(wrong.sum()))


def names(centres: Floats) -> list[str]:
    """Names of sectors: of the compass where there are 16, else degrees."""
    if len(centres) == 16:
        return list(bearings())
    return [f"{c:g}°" for c in centres]


def roses(w: Winds) -> list[dict[str, Any]]:
    """Wind rose of all hours with wind, pollution rose of those with a value; classes of the latter
    end at the quartiles and the 90 % quantile."""
    count = receptor.fitting(w.direction[w.speed >= receptor.CALM])
    wind = receptor.rose(
        np.where(np.isfinite(w.speed), w.speed, np.nan), w.direction, w.speed, CLASSES, count=count
    )
    found = [_picture(wind, _("Wind rose"), "m/s", SPEED)]
    value = w.factor.value
    some = value[np.isfinite(value)]
    if len(some):
        inner = np.unique([figure(q, 3) for q in np.quantile(some, [0.25, 0.5, 0.75, 0.9])])
        edges = np.concatenate([[min(0.0, float(some.min()))], inner[inner > 0]])
        rose = receptor.rose(value, w.direction, w.speed, edges, count=count)
        found.append(
            _picture(rose, _("Pollution rose: %s") % w.factor.name, w.factor.unit, w.factor.code)
        )
    return found


def _picture(rose: receptor.Rose, title: str, unit: str, key: str) -> dict[str, Any]:
    share = 100 * rose.hours / max(rose.total, 1)
    limits = [f"{a:g}–{b:g}" for a, b in pairwise(rose.edges)] + [f"≥ {rose.edges[-1]:g}"]
    return {
        "key": key,
        "title": title,
        "total": rose.total,
        "calm": rose.calm,
        "calm_share": round(100 * rose.calm / max(rose.total, 1), 1),
        "missing": rose.missing,
        "sectors": names(rose.centre),
        "classes": [
            {"name": f"{n} {unit}", "share": [round(x, 2) for x in row]}
            for n, row in zip(limits, share.tolist(), strict=True)
        ],
    }


def table(w: Winds, quantile: float) -> dict[str, Any] | None:
    """By sector: hours, mean and CPF; None where no hour has both a value and wind."""
    try:
        count = receptor.fitting(w.direction[w.speed >= receptor.CALM])
        found = receptor.sectors(
            w.factor.value, w.direction, w.speed, count=count, quantile=quantile
        )
    except ValueError:
        return None
    rows = [
        {"name": n, "hours": int(h), "mean": figure(m, 3), "cpf": figure(c, 3)}
        for n, h, m, c in zip(names(found.centre), found.hours, found.mean, found.cpf, strict=True)
    ]
    return {"rows": rows, "level": figure(found.level), "calm": found.calm}


def polars(w: Winds, level: float | None) -> list[dict[str, Any]]:
    """The smoothed mean and, above `level`, the share of hours; empty where winds are too few."""
    found = []
    for above in (None, level):
        if above is None and found:
            continue
        try:
            p = receptor.polar(w.factor.value, w.direction, w.speed, above=above, size=SIZE)
        except ValueError:
            return []
        cells = [
            [round(float(p.centre[i]), 2), round(float(p.centre[j]), 2)]
            + [figure(a[j, i], 3) for a in (p.value, p.low, p.high)]
            for j in range(SIZE)
            for i in range(SIZE)
            if np.isfinite(p.value[j, i])
        ]
        share = above is not None
        found.append(
            {
                "key": "cpf" if share else "mean",
                "title": _("Conditional probability above %(level)g %(unit)s")
                % {"level": above, "unit": w.factor.unit}
                if share
                else _("Mean by wind speed and direction"),
                "unit": "" if share else w.factor.unit,
                "far": round(float(p.centre[-1]), 2),
                "step": round(float(p.centre[1] - p.centre[0]), 3),
                "cells": cells,
                "top": 1.0 if share else None,
            }
        )
    return found
