"""The decision report: what is, what will be, what registered stacks add to it, and what cutting them
would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from jingwei.analysis.air import savings
from jingwei.analysis.air.savings import Interval
from jingwei.bureau.air import forecast_selectors as selectors
from jingwei.bureau.air.forecasting import MEDIAN
from jingwei.bureau.air.models import Forecast, StationForecast
from jingwei.bureau.air.selectors import bases
from jingwei.bureau.registry.models import Enterprise, Outlet

NAMED = 10  # enterprises listed
MEASURES = 12
WORTH = 0.005  # µg/m³; a mean below it would be printed as 0.00 …
SOMEWHERE = 0.1  # µg/m³; … and is told all the same where one station has as much


@dataclass
class Part:
    """What a group or an enterprise adds, µg/m³: mean over the stations and hours, and at the station
    where its mean is highest, both with their middle 90 %; `share` of the forecast median in percent;
    `cut` of it in percent; `monitored` share of it that rests on monitors, in percent; `known`: whence
    the rates of its outlets are known, in words."""

    name: str
    key: str
    mean: float
    worst: float
    where: str
    share: float | None
    cut: int
    band: Interval
    worst_band: Interval
    monitored: float
    known: str = ""
    url: str = ""

    @property
    def saved(self) -> float:
        return self.cut / 100 * self.mean

    @property
    def saved_worst(self) -> float:
        return self.cut / 100 * self.worst

    @property
    def saved_band(self) -> Interval:
        return _part(self.band, self.cut)

    @property
    def saved_worst_band(self) -> Interval:
        return _part(self.worst_band, self.cut)

    @property
    def saved_share(self) -> float | None:
        return None if self.share is None else self.cut / 100 * self.share


def _part(band: Interval, cut: int) -> Interval:
    return Interval(*(cut / 100 * v for v in (band.low, band.middle, band.high)))


@dataclass
class Measure:
    """A cut that can be ordered: of a group together, or of one enterprise."""

    pollutant: str
    part: Part
    together: bool


@dataclass
class Pollutant:
    """One pollutant: the median forecast (mean over stations and hours), what all stacks add with its
    middle 90 % and share of the median in percent, what of it is not named, what the cut hits together,
    the groups and the enterprises that add most."""

    name: str
    level: float
    added: float
    band: Interval
    share: float | None
    other: float
    chosen: Part | None
    groups: list[Part]
    enterprises: list[Part]


def report(user: Any, forecast: Forecast, cuts: dict[str, int], cut: int) -> dict[str, Any]:
    """`cuts`: of some industries, percent of their known emissions; `cut`: of all others. Concentrations of what
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
    cuts = {i: cuts.get(i, cut) for i in industries}
    stacks = forecast.about.get("stacks") or {}
    basis, parts = stacks.get("basis", {}), bool(stacks.get("parts"))
    found = (
        [_pollutant(n, rows, hours, outlets, cuts, own, basis.get(n, {}), parts) for n in names]
        if hours
        else []
    )
    return {
        "scenario": scenario(cuts, industries, cut),
        "cuts": [
            (i, label, cuts[i]) for i, label in sorted(industries.items(), key=lambda x: x[1])
        ],
        "outlooks": selectors.outlooks(rows, forecast),
        "pollutants": found,
        "measures": _measures(found),
        "industries": sorted(industries.items(), key=lambda x: x[1]),
        "hours": hours,
        "said": selectors.said(forecast),
        "contributions": selectors.stacks_said(forecast),
    }


def scenario(cuts: dict[str, int], industries: dict[str, str], rest: int) -> str:
    """What is cut, in words."""
    if len(set(cuts.values())) <= 1:
        everybody = _("All industries")
        return f"{everybody} −{next(iter(cuts.values()), rest)} %"
    named = [(-cuts[i], industries[i]) for i in cuts if cuts[i]]
    return _(", ").join(f"{label} −{-less} %" for less, label in sorted(named))


def _measures(pollutants: list[Pollutant]) -> list[Measure]:
    """What the cut saves, the most first by share of the forecast: the group together, then its
    enterprises one by one."""
    found = []
    for p in pollutants:
        if p.chosen is not None:
            found.append(Measure(p.name, p.chosen, True))
        found += [Measure(p.name, e, False) for e in p.enterprises if e.cut]
    found = [m for m in found if _worth(m.part.saved, m.part.saved_worst)]
    return sorted(found, key=lambda m: -(m.part.saved_share or 0.0))[:MEASURES]


def _pollutant(
    name: str, rows: list[StationForecast], hours: int, outlets: dict[int, Outlet],
    cuts: dict[str, int], own: set[int], basis: dict[str, list[int]], parts: bool,
) -> Pollutant:  # fmt: skip
    medians, other = [], np.zeros(len(rows))
    adds: dict[int, npt.NDArray[np.float64]] = {}
    for k, r in enumerate(rows):
        if name in r.result["series"]:
            medians.append(np.mean([q[MEDIAN] for q in r.result["series"][name]["q"][:hours]]))
        part = (r.result.get("sources") or {}).get(name)
        if part is None:
            continue
        other[k] = float(np.mean(part["rest"]))
        for pk, values in zip(part["outlets"], part["hours"], strict=True):
            if pk in outlets:
                adds.setdefault(pk, np.zeros(len(rows)))[k] += float(np.mean(values))
    level = float(np.mean(medians)) if medians else 0.0
    known = {pk: b for b, pks in basis.items() for pk in pks}
    keys = list(adds)
    how = [known.get(pk, "permit") for pk in keys]
    table = np.array([adds[pk] for pk in keys]).reshape(len(keys), len(rows))  # (outlets, stations)
    share_of = np.array([cuts.get(outlets[pk].enterprise.industry, 0) for pk in keys]) / 100
    monitors = np.array([h == "monitor" for h in how], bool)

    def part_of(
        key: str, label: str, some: npt.NDArray[np.float64], cut: int, url: str = ""
    ) -> Part:
        """`some`: of each outlet the part that counts; `cut` of all of it in percent."""
        by_station = some @ table
        mean, top = float(by_station.mean()), int(np.argmax(by_station))
        both = np.stack([table.mean(axis=1), table[:, top]]) * some
        band, worst = savings.intervals(both, how, pollutant=name if parts else "")
        watched = float((some * monitors @ table).sum()) / max(float(by_station.sum()), 1e-12)
        return Part(
            label, key, mean, float(by_station[top]), rows[top].station.name, _share(mean, level),
            cut, band, worst, 100 * watched, _known(known, [pk for pk, s in zip(keys, some, strict=True) if s]), url,
        )  # fmt: skip

    def of(test: Callable[[Outlet], bool]) -> npt.NDArray[np.float64]:
        return np.array([test(outlets[pk]) for pk in keys], float)

    files = {outlets[pk].enterprise_id: outlets[pk].enterprise for pk in keys}
    labels = {e.industry: e.get_industry_display() for e in files.values()}
    groups = [
        part_of(i, label, of(lambda o, i=i: o.enterprise.industry == i), cuts.get(i, 0))  # type: ignore[misc]
        for i, label in labels.items()
    ]
    enterprises = [
        part_of(
            str(pk), e.name, of(lambda o, pk=pk: o.enterprise_id == pk), cuts.get(e.industry, 0),  # type: ignore[misc]
            e.get_absolute_url() if pk in own else "",
        )
        for pk, e in files.items()
    ]  # fmt: skip
    # What is cut, all of it: another part of each group.
    chosen = part_of("", "", share_of, 100) if share_of.any() else None
    rest = float(other.mean())
    # What is not named counts as one more source that is known by its permit.
    (band,) = savings.intervals(
        [[*table.mean(axis=1), rest]], [*how, "permit"], pollutant=name if parts else ""
    )
    added = float(table.mean(axis=1).sum()) + rest
    return Pollutant(
        name,
        level,
        added,
        band,
        _share(added, level),
        rest,
        chosen,
        _listed(groups),
        _listed(enterprises)[:NAMED],
    )


def _worth(mean: float, worst: float) -> bool:
    return mean >= WORTH or worst >= SOMEWHERE


def _listed(parts: list[Part]) -> list[Part]:
    """Those that add something, the most first."""
    return sorted((p for p in parts if _worth(p.mean, p.worst)), key=lambda p: -p.mean)


def _known(known: dict[int, str], outlets: list[int]) -> str:
    told = {known[pk] for pk in outlets if pk in known}
    return _(", ").join(label for key, label in bases().items() if key in told)


def _share(value: float, level: float) -> float | None:
    return 100 * value / level if level > 0 else None
