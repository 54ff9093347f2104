"""The decision report: what is, what will be, what registered stacks add to it, and what cutting them
would do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from jingwei.bureau.air import forecast_selectors as selectors
from jingwei.bureau.air.forecasting import MEDIAN
from jingwei.bureau.air.models import Forecast, StationForecast
from jingwei.bureau.registry.models import Enterprise, Outlet

NAMED = 10  # enterprises listed


@dataclass
class Part:
    """What a group or an enterprise adds, µg/m³: mean over the stations and hours, and at the station
    where its mean is highest; `share` of the forecast median in percent; `saved` by the cut."""

    name: str
    key: str
    mean: float
    worst: float
    where: str
    share: float | None
    saved: float
    saved_worst: float
    url: str = ""


@dataclass
class Pollutant:
    """One pollutant: the median forecast (mean over stations and hours), what all stacks add, what of
    it is not named, the groups and the enterprises that add most."""

    name: str
    level: float
    added: float
    other: float
    groups: list[Part]
    enterprises: list[Part]


def report(user: Any, forecast: Forecast, group: str, cut: int) -> dict[str, Any]:
    """`group`: an industry, else all; `cut`: percent of its known emissions. Concentrations of what
    stacks emit themselves go in proportion to the emissions, so a cut of x % saves x % of them; what is
    formed in the air does not, and is not in it."""
    rows = list(selectors.stations(user, forecast))
    hours = forecast.about["reach"]
    names = sorted({n for r in rows for n in r.result.get("sources") or {}})
    wanted = {
        pk for r in rows for p in (r.result.get("sources") or {}).values() for pk in p["outlets"]
    }
    outlets = Outlet.objects.select_related("enterprise").in_bulk(wanted)
    files = Enterprise.objects.restrict(user, "enterprise.view")
    own = set(files.filter(outlets__in=wanted).values_list("pk", flat=True))
    industries = {
        o.enterprise.industry: o.enterprise.get_industry_display() for o in outlets.values()
    }
    group = group if group in industries else ""
    found = [_pollutant(n, rows, hours, outlets, group, cut, own) for n in names] if hours else []
    return {
        "group": group,
        "outlooks": selectors.outlooks(rows, forecast),
        "pollutants": found,
        "industries": sorted(industries.items(), key=lambda x: x[1]),
        "hours": hours,
        "said": selectors.said(forecast),
        "contributions": selectors.stacks_said(forecast),
    }


def _pollutant(
    name: str, rows: list[StationForecast], hours: int, outlets: dict[int, Outlet], group: str,
    cut: int, own: set[int],
) -> Pollutant:  # fmt: skip
    station = {r.pk: r.station.name for r in rows}
    by_group: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    by_file: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    other, medians = [], []
    for r in rows:
        part = (r.result.get("sources") or {}).get(name)
        if name in r.result["series"]:
            medians.append(np.mean([q[MEDIAN] for q in r.result["series"][name]["q"][:hours]]))
        if part is None:
            continue
        other.append(float(np.mean(part["rest"])))
        for pk, values in zip(part["outlets"], part["hours"], strict=True):
            if pk in outlets:
                mean = float(np.mean(values))
                by_group[outlets[pk].enterprise.industry][r.pk] += mean
                by_file[outlets[pk].enterprise_id][r.pk] += mean
    level = float(np.mean(medians)) if medians else 0.0
    files = {o.enterprise_id: o.enterprise for o in outlets.values()}

    def part_of(key: str, label: str, adds: dict[int, float], hit: bool, url: str = "") -> Part:
        mean = sum(adds.values()) / len(rows)
        top = max(adds, key=lambda k: adds[k])
        saved = cut / 100 if hit else 0.0
        return Part(
            label, key, mean, adds[top], station[top], 100 * mean / level if level > 0 else None,
            saved * mean, saved * adds[top], url,
        )  # fmt: skip

    labels = {e.industry: e.get_industry_display() for e in files.values()}
    groups = [part_of(k, labels[k], adds, group in ("", k)) for k, adds in by_group.items()]
    enterprises = [
        part_of(
            str(pk), files[pk].name, adds, group in ("", files[pk].industry),
            files[pk].get_absolute_url() if pk in own else "",
        )
        for pk, adds in by_file.items()
    ]  # fmt: skip
    rest = sum(other) / len(rows)
    return Pollutant(
        name,
        level,
        sum(g.mean for g in groups) + rest,
        rest,
        sorted(groups, key=lambda p: -p.mean),
        sorted(enterprises, key=lambda p: -p.mean)[:NAMED],
    )
