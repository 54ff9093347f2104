"""Reading: hot grids and effects of responses as pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jingwei.bureau.access import may
from jingwei.bureau.air import hotgrids
from jingwei.bureau.air.models import EpisodeEffect, Gas, HotCell, HotGrid, SatelliteScene, State
from jingwei.bureau.air.selectors import named
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.registry.models import Point, Region

KINDS = ("satellite", "station", "residual")
SHOWN = 100  # cells and scenes that the page lists


def runs() -> QuerySet[HotGrid]:
    return (
        HotGrid.objects.filter(state=State.DONE).select_related("region").defer("region__geometry")
    )


def regions() -> QuerySet[Region]:
    """Regions with micro-stations, and those above them."""
    used = set(
        Point.objects.filter(kind=Point.Kind.MICRO_STATION, enabled=True).values_list(
            "region", flat=True
        )
    )
    found = Region.objects.filter(pk__in=used)
    above = set(found.exclude(parent=None).values_list("parent", flat=True))
    return Region.objects.filter(pk__in=used | above).defer("geometry").order_by("code")


def at(pk: str) -> HotGrid | None:
    """The run with this key, else the newest of the city, else the newest of a region."""
    if pk.isdecimal() and len(pk) < 19 and (one := runs().filter(pk=int(pk)).first()):
        return one
    return runs().filter(region=None).first() or runs().first()


def layer_name(key: str) -> str:
    """What a layer is called."""
    kind, _space, about = key.partition(" ")
    match kind:
        case "satellite":
            return _("Satellite: %s") % Gas(about).label
        case "station":
            return _("Stations: %s") % about
        case "micro":
            return _("Micro-stations: %s") % about
        case _other:
            return _("Not explained by known emissions: %s") % about


def layer_unit(key: str) -> str:
    return "µmol/m²" if key.startswith("satellite") else "µg/m³"


@dataclass(frozen=True)
class Line:
    """A layer of a cell in the table."""

    name: str
    unit: str
    seen: int
    high: int
    value: float
    background: float
    sure: bool

    @property
    def share(self) -> int:
        return round(100 * self.high / self.seen)


@dataclass(frozen=True)
class Row:
    """A hot cell in the table; `kinds`: how many kinds of evidence say so alone."""

    cell: HotCell
    lines: list[Line]
    kinds: int
    may_raise: bool

    @property
    def percent(self) -> float:
        return 100 * self.cell.q

    @property
    def clustered(self) -> bool:
        return self.cell.near <= hotgrids.RATE

    @property
    def best(self) -> Line:
        return max(self.lines, key=lambda x: (x.sure, x.share))


def cells(user: Any, run: HotGrid, size: int = 3000) -> list[Row]:
    """The hot cells of this size (m) within the user's reach, most certain first."""
    rows = HotCell.objects.restrict(user, "air.view").filter(run=run, size=size).select_related("region", "finding")  # fmt: skip
    seen = set(
        Finding.objects.restrict(user, "finding.view")
        .filter(pk__in=[r.finding_id for r in rows if r.finding_id])
        .values_list("pk", flat=True)
    )
    own = set()
    if may(user, "finding.file"):
        own = set(HotCell.objects.restrict(user, "finding.file").filter(run=run).values_list("pk", flat=True))  # fmt: skip
    found = []
    for cell in rows.defer("region__geometry"):
        lines = [
            Line(
                layer_name(k), layer_unit(k), v["seen"], v["high"], v["value"], v["background"],
                v["p"] <= hotgrids.RATE,
            )
            for k, v in cell.layers.items()
        ]  # fmt: skip
        kinds = {k.split()[0] for k, v in cell.layers.items() if v["p"] <= hotgrids.RATE}
        if cell.finding_id and cell.finding_id not in seen:
            cell.finding = None
        found.append(Row(cell, lines, len(kinds), cell.pk in own and not cell.finding_id))
    return found


def persistence(cell: HotCell) -> str:
    """As `NO2 31/40`: on how many of its days each significant layer is high."""
    rows = [(v["p"], k, v) for k, v in cell.layers.items() if v["p"] <= hotgrids.RATE]
    return ", ".join(
        f"{k} {v['high']}/{v['seen']}" for _p, k, v in sorted(rows, key=lambda r: r[:2])
    )


def shapes(run: HotGrid, rows: list[Row], fine: list[Fine]) -> dict[str, Any]:
    """What the map draws: `cells` [row, column, strength, name where it is one of the hot `rows`] of all
    tested cells on a grid from `west`, `south` in steps of `dx`, `dy` degrees; `fine`: [ring, strength,
    name, hot] of the 500 m."""
    grid = hotgrids.kept(run.result["grid"])
    mine = {r.cell.name for r in rows}
    (west, south), _e, (east, north), *_rest = grid.outline(0, 0)
    found = []
    for j, i, strength, _q in run.result["field"]:
        name = grid.name(j, i)
        found.append([j, i, strength, name if name in mine else None])
    return {
        "west": west, "south": south, "dx": east - west, "dy": north - south, "cells": found,
        "fine": [[f.told["outline"], f.told["strength"], f.told["name"], f.row is not None] for f in fine],
    }  # fmt: skip


@dataclass(frozen=True)
class Area:
    """A connected hot area."""

    number: int
    cells: list[Row]


def areas(rows: list[Row]) -> list[Area]:
    """Those of the cells that are shown."""
    return [
        Area(number, [r for r in rows if r.cell.group == number])
        for number in sorted({r.cell.group for r in rows})
    ]


@dataclass(frozen=True)
class Fine:
    """A cell of 500 m: as the run tells it, its figures by pollutant, and the hot cell where it is one."""

    told: dict[str, Any]
    lines: list[dict[str, Any]]
    row: Row | None

    @property
    def percent(self) -> float:
        return 100 * float(self.told["q"])

    @property
    def above(self) -> bool:
        """Hot, or surely (95 %) above its surroundings in one pollutant."""
        return self.row is not None or any((x["low"] or 0) > 0 for x in self.lines)

    @property
    def where(self) -> str:
        return where(self.told["where"])


def fine(user: Any, run: HotGrid) -> list[Fine]:
    """The 500 m of a run, hot ones first, then those in and beside hot cells of 3 km. Hot cells outside
    the user's reach are left out."""
    mine = {r.cell.name: r for r in cells(user, run, 500)}
    order = ("in", "beside", "")
    found = [
        Fine(
            c,
            [x | {"name": layer_name(k), "share": round(100 * x["high"] / x["seen"])}
             for k, x in c["layers"].items()],
            mine.get(c["name"]),
        )
        for c in run.result.get("micro", {}).get("cells", [])
        if not c["hot"] or c["name"] in mine
    ]  # fmt: skip
    return sorted(found, key=lambda f: (f.row is None, order.index(f.told["where"]), f.told["q"]))


def where(code: str) -> str:
    """Where a cell of 500 m lies to the hot ones of 3 km."""
    return {"in": _("inside"), "beside": _("beside")}.get(code, "")


def sensors(run: HotGrid) -> list[dict[str, Any]]:
    """The micro-stations of a run with their calibration, one row a pollutant; those set aside last."""
    rows = [
        s | {"factor": name, "why_text": set_aside(x["why"])} | x
        for s in run.result.get("micro", {}).get("stations", [])
        for name, x in s["factors"].items()
    ]
    return sorted(rows, key=lambda r: (bool(r["why"]), r["name"], r["factor"]))


def set_aside(why_: str) -> str:
    """Why a micro-station does not count."""
    return {
        "": "",
        "silent": _("sent less than a quarter of the hours"),
        "stuck": _("stands still: a fifth of its hours equal for six hours or more"),
        "few": _("too few hours of even air to calibrate it"),
        "off": _("far off: its slope lies outside 0.3 to 3"),
        "erratic": _("erratic: its noise is more than 60 % of the usual level"),
    }.get(why_, why_)


def why_not_fine(run: HotGrid) -> str:
    """Why a run has no 500 m."""
    if "micro" not in run.result:
        return _("This run was made before there were cells of 500 m: compute anew.")
    return fine_reason(run.result["micro"].get("why", ""))


def fine_reason(code: str) -> str:
    return {
        "": _("No micro-station is registered there."),
        "silent": _("No micro-station has sent anything in these days."),
        "standard": _("No standard station has sent the same pollutants: there is nothing to calibrate against."),
        "few": _("Fewer than eight cells of 500 m have a calibrated micro-station on ten days: too few to say what is usual."),
    }.get(code, code)  # fmt: skip


def said(run: HotGrid) -> list[str]:
    """What a run rests on and what is missing, in sentences."""
    told, about = run.result, run.result["said"]
    if run.region is not None:
        return _left_out(run)
    found = [
        _("%(tested)d of the city's %(city)d cells were seen on %(least)d days or more.")
        % {"tested": told["tested"], "city": told["city"], "least": hotgrids.LEAST}
    ]
    for key, row in told["layers"].items():
        found.append(
            _("%(name)s: %(days)d days, %(cells)d cells.")
            % {"name": layer_name(key), "days": row["days"], "cells": row["cells"]}
        )
    for key, days in told["left"].items():
        found.append(
            _("%(name)s was left out: %(days)d days, and no cell on %(least)d of them, or fewer than ten cells a day.")
            % {"name": layer_name(key), "days": days, "least": hotgrids.LEAST}
        )  # fmt: skip
    if not about["scenes"]:
        found.append(_("There is no satellite scene of these days: import some, see below."))
    if about["synthetic"]:
        found.append(
            _("%d satellite scenes are made up (demo), not measured.") % about["synthetic"]
        )
    if about["strangers"]:
        found.append(_("%d scenes lie on cells of older district boundaries and were left out: import their files again.") % about["strangers"])  # fmt: skip
    if about["no_stacks"]:
        found.append(
            _("No registered outlet emits what the stations measure: there is no residual.")
        )
    if about["residual_days_left"]:
        found.append(
            _("%d days have no residual: there was no wind.") % about["residual_days_left"]
        )
    if about["assumed"]:
        found.append(_("%d outlets without a known amount: the lower quartile of the others was assumed.") % about["assumed"])  # fmt: skip
    return found + _left_out(run)


def _left_out(run: HotGrid) -> list[str]:
    about, found = run.result["said"], []
    if away := run.result.get("away"):
        found.append(
            _("%(n)d stations lie outside the cells (the districts and 15 km around them) and were left out: %(names)s.")
            % {"n": len(away), "names": named(away)}
        )  # fmt: skip
    for key, text in (
        ("dropped_negative", _("%d negative concentrations were left out.")),
        ("dropped_micro_negative", _("%d readings of micro-stations below −100 µg/m³ were left out.")),
        ("dropped_micro_stuck", _("%d readings of micro-stations that did not move for a day or more were left out.")),
        ("dropped_stuck", _("%d concentrations that did not move for a day or more were left out.")),
    ):  # fmt: skip
        if about.get(key):
            found.append(text % about[key])
    return found


def verdict(run: HotGrid, rows: list[Row]) -> str:
    """The run in one sentence."""
    if run.region is not None:
        return ngettext(
            "%(n)d cell of 500 m in %(region)s is high again and again.",
            "%(n)d cells of 500 m in %(region)s are high again and again.",
            len(rows),
        ) % {"n": len(rows), "region": run.region.label}
    if not rows:
        return _("No cell is high again and again more often than chance allows.")
    return ngettext(
        "%(n)d cell is high again and again, in %(areas)d area.",
        "%(n)d cells are high again and again, in %(areas)d areas.",
        len(rows),
    ) % {"n": len(rows), "areas": len({r.cell.group for r in rows})}


def why(reason: str) -> str:
    """Why a run was not possible, and what to do."""
    code, _space, about = reason.partition(" ")
    if code == "micro":
        return fine_reason(about)
    return {
        "boundary": _("No district has a boundary: enter the boundaries of the districts first."),
        "nothing": _("No cell was seen on ten days: import satellite scenes (NO2, HCHO), or wait until ten stations have sent for ten days."),
        "silent": _("No station has sent anything in these days: there is nothing to compare."),
        "few": _("Fewer than 90 days of hours, or fewer than 12 spans as long as the response, have both values and weather: import earlier years."),
        "gap": _("In the days of the response more than a quarter of the hours have no value or no weather."),
        "library": _("The program that learns it is not installed: the administrator installs jingwei[air]."),
        "archive": _("The archive of earlier years cannot be read (%s).") % about,
        "error": _("The computation failed; the fault is in the log of the worker. Ask again or tell the administrator."),
    }.get(code, reason)  # fmt: skip


def scenes(run: HotGrid | None = None) -> QuerySet[SatelliteScene]:
    """Scenes, newest first; those of a run's days."""
    rows = SatelliteScene.objects.defer("values", "grid")
    return rows.filter(day__gte=run.first, day__lte=run.last) if run else rows


def noted(scene: SatelliteScene) -> list[str]:
    """What was assumed of a scene, in words."""
    texts = {"quality": _("the file gives no quality: all its values were taken")}
    return [texts.get(n, n) for n in scene.notes]


# ---- effects of responses -----------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One pollutant: means in µg/m³, the change in percent with the middle 90 % of chance; `why`: why
    there is none."""

    name: str
    measured: float | None = None
    expected: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    sure: bool = False
    explained: float | None = None
    why: str = ""


def changes(effect: EpisodeEffect) -> list[Change]:
    found = []
    for name, row in effect.result["pollutants"].items():
        if "reason" in row:
            found.append(Change(name, why=why(row["reason"])))
            continue
        found.append(
            Change(
                name, row["measured"], row["expected"], 100 * row["change"], 100 * row["low"],
                100 * row["high"], row["sure"], 100 * (row["explained"] or 0.0),
            )
        )  # fmt: skip
    return found


def effect_verdict(rows: list[Change]) -> str:
    """The comparison in one sentence."""
    sure = [r for r in rows if r.sure and r.change is not None]
    less = ", ".join(f"{r.name} {r.change:.0f} %" for r in sure if (r.change or 0) < 0)
    more = ", ".join(f"{r.name} +{r.change:.0f} %" for r in sure if (r.change or 0) > 0)
    if less and more:
        return _("Against the same weather without a response less was measured of %(less)s, more of %(more)s.") % {"less": less, "more": more}  # fmt: skip
    if less:
        return _("Against the same weather without a response less was measured: %s.") % less
    if more:
        return _("Against the same weather without a response more was measured: %s.") % more
    return _("What was measured does not differ from the same weather without a response by more than chance.")  # fmt: skip


def pictures(effect: EpisodeEffect) -> list[dict[str, Any]]:
    """For each pollutant the hours, measured and expected."""
    unit = "µg/m³"
    return [
        {
            "label": _("%s, measured and expected in the same weather") % name,
            "step": 3_600_000,
            "exact": "minute",
            "series": [
                {"name": _("Measured"), "unit": unit, "data": [[t, m] for t, m, _e in row["series"]]},
                {
                    "name": _("Expected without a response"), "unit": unit, "dashed": True,
                    "data": [[t, e] for t, _m, e in row["series"]],
                },
            ],
        }
        for name, row in effect.result["pollutants"].items()
        if "reason" not in row
    ]  # fmt: skip
