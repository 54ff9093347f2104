"""Reading: samples and source apportionment as pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jingwei.analysis.air.apportion import profiles, study
from jingwei.bureau.air import apportioning, selectors
from jingwei.bureau.air.apportion_tables import noted
from jingwei.bureau.air.models import Apportionment, SampleSet, SourceProfile
from jingwei.bureau.registry.models import Point

SHOWN = 20  # samples of CMB that the page lists

SOURCES = {
    "Gasoline Exhaust": gettext_lazy("Gasoline exhaust"),
    "Diesel Exhaust": gettext_lazy("Diesel exhaust"),
    "Vehicle Exhaust": gettext_lazy("Vehicle exhaust"),
    "Aircraft Exhaust": gettext_lazy("Aircraft exhaust"),
    "Coal Combustion": gettext_lazy("Coal combustion"),
    "Biomass Burning": gettext_lazy("Biomass burning"),
    "Residential Wood Combustion": gettext_lazy("Residential wood burning"),
    "Residual Oil Combustion": gettext_lazy("Residual oil burning"),
    "Natural Gas Combustion": gettext_lazy("Natural gas burning"),
    "Natural Gas Flare": gettext_lazy("Gas flare"),
    "Iron and Steel Production": gettext_lazy("Iron and steel works"),
    "Gypsum Manufacturing": gettext_lazy("Gypsum works"),
    "Pulp & Paper Mill": gettext_lazy("Pulp and paper mill"),
    "Brake Wear": gettext_lazy("Brake wear"),
    "Tire Dust": gettext_lazy("Tyre wear"),
    "Paved Road Dust": gettext_lazy("Road dust"),
    "Adhesives, Sealants, Coatings, and Inks": gettext_lazy("Adhesives, coatings and inks"),
    "Adhesives, Sealants, Polish, Wax, Coatings": gettext_lazy(
        "Adhesives, polish, wax and coatings"
    ),
    "Composite Profile, Oil Well": gettext_lazy("Oil well"),
    "Composite Profile, Gas Well": gettext_lazy("Gas well"),
    "Condensate Tank Vent Gas": gettext_lazy("Condensate tank"),
    "Crude Oil Production": gettext_lazy("Crude oil production"),
    "Dairies": gettext_lazy("Dairy farms"),
    "Diesel Headspace Vapor": gettext_lazy("Diesel vapour"),
    "Farm and Animal Waste": gettext_lazy("Farms and animal waste"),
    "Flash Gas": gettext_lazy("Flash gas of tanks"),
    "Fugitives": gettext_lazy("Fugitive gas"),
    "Gasoline": gettext_lazy("Liquid gasoline"),
    "Gasoline Headspace Vapor": gettext_lazy("Gasoline vapour"),
    "Gasoline Vehicle - Diurnal Evaporative": gettext_lazy("Vehicles, evaporation by day"),
    "Gasoline Vehicle - Evaporative Emissions": gettext_lazy("Vehicles, evaporation"),
    "Gasoline Vehicle - Hot Soak": gettext_lazy("Vehicles, hot soak"),
    "Glycol Dehydrator": gettext_lazy("Glycol dehydrator"),
    "Landfills": gettext_lazy("Landfills"),
    "Oil Tank": gettext_lazy("Oil tank"),
    "Pesticides and Insecticide": gettext_lazy("Pesticides"),
    "Poultry Production": gettext_lazy("Poultry farms"),
    "Refinery and Storage": gettext_lazy("Refinery and storage"),
    "Wastewater Treatment": gettext_lazy("Waste water treatment"),
    "Ammonium sulfate": gettext_lazy("Ammonium sulfate (formed in the air)"),
    "Ammonium nitrate": gettext_lazy("Ammonium nitrate (formed in the air)"),
    "Secondary organic carbon": gettext_lazy("Organic carbon (formed in the air or emitted)"),
}


def source_name(source: str) -> str:
    return str(SOURCES.get(source, source))


def stations(user: Any) -> QuerySet[Point]:
    found: QuerySet[Point] = selectors.stations(user)
    return found


def offered(species: list[str]) -> list[str]:
    """Sources for CMB of these species, those formed in the air last."""
    return apportioning.sources(species)


@dataclass(frozen=True)
class Listed:
    """A profile in the list; `rows` species, percent of the mass, uncertainty in percent (empty: not known)."""

    row: SourceProfile | None
    name: str
    rows: list[tuple[str, str, str]]


def own_profiles() -> list[Listed]:
    """Those in use."""
    rows = apportioning.in_use().select_related("actor", "evidence")
    return [
        Listed(p, p.name, [(s, f"{100 * v:.3g}", f"{100 * e:.3g}") for s, v, e in p.rows])
        for p in rows
    ]


def published_profiles() -> list[Listed]:
    """Largest species first."""
    known = apportioning.bundled()
    found = []
    for source, row in zip(known.sources, known.values, strict=True):
        order = [j for j in (-row).argsort() if row[j] > 0]
        rows = [(known.species[j], f"{100 * row[j]:.3g}", "") for j in order]
        found.append(Listed(None, source_name(source), rows))
    return found


def taken_names() -> list[str]:
    """Names that an own profile cannot have: of published ones, as they are shown too, and of those in use."""
    found = [*apportioning.bundled().sources, *profiles.FORMED]
    return [*found, *map(source_name, found), *apportioning.in_use().values_list("name", flat=True)]


def sets() -> QuerySet[SampleSet]:
    return SampleSet.objects.defer("table").select_related("station", "actor")


def runs() -> QuerySet[Apportionment]:
    rows = Apportionment.objects.select_related("samples__station", "actor")
    return rows.defer("samples__table", "result")


def why(reason: str) -> str:
    """Why a run was not possible, and what to do."""
    code, _space, about = reason.partition(" ")
    has, _space, wanted = about.partition(" ")
    return {
        "species": _("Too few species can be used, or one has no value above 0 (%s): change what is left out and ask again.") % (about or "–"),
        "factors": _("No number of factors is possible: with these species at most %s.") % about,
        "constraint": _("A constraint leaves nothing of a factor or names a species that is left out (%s).") % about,
        "sources": _("CMB: the chosen sources have only %(has)s of the measured species, %(wanted)s sources need more: choose fewer sources or more species.") % {"has": has, "wanted": wanted},
        "weather": _("The gridded file of weather is not there any more: choose another wind."),
        "error": _("The computation failed; the fault is in the log of the worker. Ask again or tell the administrator."),
    }.get(code, reason)  # fmt: skip


def at_work(row: Apportionment) -> tuple[str, int]:
    """(what is being done, how far in percent)."""
    known = row.progress or {}
    done, of = int(known.get("done", 0)), max(int(known.get("of", 1)), 1)
    begin, span, text = {
        "number": (2, 30, _("Numbers of factors: %(done)d of %(of)d tried.")),
        "bootstrap": (32, 8, _("Resamples of the chosen number.")),
        "displacement": (40, 20, _("Displacement: %(done)d of %(of)d factors.")),
        "both": (60, 20, _("Displacement in resamples: %(done)d of %(of)d done.")),
        "names": (80, 2, _("Names of the factors.")),
        "balance": (82, 10, _("Chemical mass balance: %(done)d of %(of)d samples.")),
        "wind": (92, 8, _("Directions and ways of the air.")),
    }.get(str(known.get("step", "")), (0, 0, _("Waits for the worker.")))  # fmt: skip
    return text % {"done": done, "of": of}, begin + span * done // of


# ---- a result ------------------------------------------------------------------------------------


Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Factor:
    """A factor as the page lists it; shares in percent."""

    number: int
    name: str
    named: bool
    basis: str
    similarity: float | None
    shared: int
    doubt: str
    others: list[tuple[str, float]]
    mean: float
    low: float | None
    high: float | None
    both: Ends | None
    share: float
    share_low: float | None
    share_high: float | None
    again: int
    main: list[tuple[str, float]]

    @property
    def label(self) -> str:
        return f"F{self.number} {self.name}"


def factors(row: Apportionment) -> list[Factor]:
    result = row.result
    species = result["species"]
    total = result["total"]
    sums = [sum(p[j] or 0 for p in result["profiles"]) for j in range(len(species))]
    amounts = (
        displaced_together(result, species.index(total))
        if total
        else [None] * len(result["factors"])
    )
    out = []
    for a, f in enumerate(result["factors"]):
        name = f["name"]
        named = bool(name and name["source"])
        label = source_name(name["source"]) if named else _("no published source like it")
        shares = sorted(
            ((s, 100 * (result["profiles"][a][j] or 0) / sums[j])
             for j, s in enumerate(species) if s != total and sums[j] > 0),
            key=lambda x: -x[1],
        )  # fmt: skip
        out.append(
            Factor(
                a + 1, label, named, _basis(name["code"]) if named else "",
                name["similarity"] if name else None, name["shared"] if name else 0,
                _doubt(name), [(source_name(s), v) for s, v in name["others"]] if name else [],
                f["mean"], f["low"], f["high"], amounts[a], 100 * f["share"],
                _percent(f["share_low"]), _percent(f["share_high"]), f["again"],
                [x for x in shares[:4] if x[1] >= 20] or shares[:1],
            )
        )  # fmt: skip
    return out


def _basis(code: str) -> str:
    """What a name rests on."""
    if code.startswith(profiles.OWN):
        return _("own profile")
    return _("by formula") if code == "formed" else _("profile at second hand")


def displaced_together(result: dict[str, Any], column: int) -> list[Ends | None]:
    """By factor the interval of a species by BS-DISP (None above: without end), None where it was not asked
    for or no resample has the factor."""
    found = result.get("both") or {"at": [[]] * len(result["profiles"])}
    out: list[Ends | None] = []
    for a, at in enumerate(found["at"]):
        k = at.index(column) if column in at and found["counted"][a] else None
        out.append(None if k is None else (found["low"][a][k], found["high"][a][k]))
    return out


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _doubt(name: dict[str, Any] | None) -> str:
    if name is None:
        return _("Too few of these species are in the published profiles.")
    facts = {"main": name["main"], "part": f"{100 * name['part']:.0f}",
             "score": f"{name['similarity']:.2f}"}  # fmt: skip
    if name["others"]:
        facts |= {"other": source_name(name["others"][0][0]), "next": f"{name['others'][0][1]:.2f}"}
    match name["kind"]:
        case "alone":
            return _("%(main)s alone makes %(part)s %% of it: whatever emits %(main)s, and what forms in the air, look alike.") % facts  # fmt: skip
        case "strange":
            return _("The most similar published profile reaches only %(score)s.") % facts
        case "tie":
            return _("%(other)s is as similar (%(next)s against %(score)s).") % facts
    return ""


def verdict(row: Apportionment, rows: list[Factor]) -> str:
    """The answer in a sentence or two."""
    result = row.result
    what = result["total"] or _("the sum of the species")
    first = sorted(rows, key=lambda f: -f.mean)[:3]
    parts = _(", ").join(f"{f.label} {_band(f)}" for f in first)
    text = _("%(n)d factors explain %(modelled)s of %(measured)s %(unit)s of %(what)s on average; the largest: %(parts)s.") % {
        "n": len(rows), "modelled": f"{sum(f.mean for f in rows):.3g}",
        "measured": f"{result['measured']:.3g}", "unit": result["unit"], "what": what, "parts": parts,
    }  # fmt: skip
    unsure = sum(1 for f in rows if f.doubt)
    if unsure:
        text += " " + ngettext("The name of %d factor is in doubt.", "The names of %d factors are in doubt.", unsure) % unsure  # fmt: skip
    return text


def _band(f: Factor) -> str:
    if f.share_low is None or f.share_high is None:
        return f"{f.share:.0f} %"
    return f"{f.share:.0f} % ({f.share_low:.0f}–{f.share_high:.0f} %)"


@dataclass(frozen=True)
class Number:
    """A number of factors that was tried."""

    factors: int
    q: float
    expected: float
    ratio: float | None
    im: float
    is_: float
    again: int
    smallest: float
    starts: bool
    chosen: bool

    @property
    def stable(self) -> bool:
        return self.again >= 100 * study.STABLE


def numbers(row: Apportionment) -> list[Number]:
    return [
        Number(
            n["factors"], n["q"], n["expected"], n["ratio"], n["im"], n["is"],
            round(100 * min(n["again"])), 100 * (n["smallest"] or 0),
            max(n["followed"]) <= 1.01 * min(n["followed"]), n["factors"] == row.result["chosen"],
        )
        for n in row.result["numbers"]
    ]  # fmt: skip


def reasons(row: Apportionment) -> list[str]:
    """What speaks for the chosen number, and what against it."""
    result = row.result
    rows = numbers(row)
    chosen = next(n for n in rows if n.chosen)
    out = []
    for code in result["why"]:
        match code:
            case "given":
                out.append(_("Only this number was asked for."))
            case "bend":
                out.append(_("From here on Q/Qexp falls much less with each further factor: more of them explain little more."))  # fmt: skip
            case "largest":
                out.append(_("Q/Qexp falls evenly without a bend: the largest number that is stable was taken; try more, or decide by what the factors mean."))  # fmt: skip
            case "stable" if len(rows) > 1:
                out.append(_("Only numbers came into question of which 80 %% of the resamples find every factor again: %s.") % ", ".join(str(n.factors) for n in rows if n.stable))  # fmt: skip
            case "none":
                out.append(_("Of no number do 80 % of the resamples find every factor again: read all factors with care, take fewer."))  # fmt: skip
    if chosen.ratio and chosen.ratio > 2:
        out.append(_("Q/Qexp is %s: the uncertainties that were handed in are smaller than what the factors cannot explain, so the intervals come out too narrow.") % f"{chosen.ratio:.1f}")  # fmt: skip
    elif chosen.ratio and chosen.ratio < 0.5:
        out.append(_("Q/Qexp is %s: the factors follow the data more closely than their uncertainties allow; fewer factors, or the uncertainties are too large.") % f"{chosen.ratio:.2f}")  # fmt: skip
    if not chosen.starts:
        out.append(_("Starts from different points ended more than 1 % apart: the minimum may not be found yet."))  # fmt: skip
    swaps = result["displacement"]["swaps"]
    if swaps:
        out.append(ngettext("Displacement: a factor became another %d time; the solution turns easily.", "Displacement: a factor became another %d times; the solution turns easily.", swaps) % swaps)  # fmt: skip
    else:
        out.append(_("Displacement: no factor became another."))
    if both := result.get("both"):
        facts = {"least": min(both["counted"]), "runs": both["runs"], "swaps": both["swaps"]}
        if both["swaps"]:
            out.append(ngettext("Displacement in %(runs)d resamples (BS-DISP): every factor was found again in at least %(least)d; a factor became another %(swaps)d time.", "Displacement in %(runs)d resamples (BS-DISP): every factor was found again in at least %(least)d; a factor became another %(swaps)d times.", both["swaps"]) % facts)  # fmt: skip
        else:
            out.append(_("Displacement in %(runs)d resamples (BS-DISP): every factor was found again in at least %(least)d; none became another.") % facts)  # fmt: skip
    if chosen.smallest < 1:
        out.append(_("The smallest factor is below 1 % of the whole: it may be an artefact of single samples."))  # fmt: skip
    return out


def windless(row: Apportionment) -> str:
    """Why there is no direction; empty where there is one."""
    wind = row.result["wind"]
    return {
        "station": _("No direction: the samples belong to no air station of the city, so no wind of these hours is known."),
        "windless": _("No direction: no air station near has sent wind in these hours."),
    }.get(wind.get("reason", ""), "")  # fmt: skip


def wind_said(row: Apportionment) -> list[str]:
    wind = row.result["wind"]
    out = []
    if wind.get("no_sectors"):
        out.append(_("No CPF: fewer than 24 hours have a sample and wind of the station itself."))
    if code := wind.get("no_cells"):
        # "grid": of a run from before the reasons were told apart.
        out.append({
            "grid": _("No map: the gridded file of weather has no 24 hours in a row that end in a sample."),
            "file": _("No map: the gridded file of weather cannot be used: %s."),
            "span": _("No map: the gridded file of weather covers %s only; none of the 24 hours before a sample lie within it."),
            "elsewhere": _("No map: the station lies outside the area of the gridded file of weather, %s."),
        }.get(code, _("No map: fewer than 24 ways of the air can be followed back.")).replace("%s", wind.get("no_cells_about", "")))  # fmt: skip
    if wind.get("hours"):
        out.append(_("CPF: share of the hours with wind from a sector in which the factor was in its highest quarter (Ashbaugh 1985); %(hours)d hours, %(calm)d of them calm.") % wind)  # fmt: skip
    if wind.get("cells") and wind.get("grid"):
        out.append(_("PSCF: share of the places of a cell that air passed whose arrival was in the factor's highest quarter; %(ways)d ways of 24 hours through the gridded weather at 50 m, %(beyond)d %% of the places beyond its area, cells that few ways passed count less. Samples outside its hours are not in the map. Read it as directions; a source lights up the way behind it too.") % {"ways": wind["ways"], "beyond": round(100 * (wind["outside"] or 0))})  # fmt: skip
    elif wind.get("cells"):
        out.append(_("PSCF: share of the places of a cell that air passed whose arrival was in the factor's highest quarter; %(ways)d ways of 24 hours, wind of %(stations)d stations near the ground raised to 50 m, cells that few ways passed count less. Read it as directions; a source lights up the way behind it too.") % wind)  # fmt: skip
    if row.samples.hours > 3 and (wind.get("hours") or wind.get("cells")):
        out.append(_("A sample of %g hours stands for each of them: the turns of the wind in it blur the direction.") % row.samples.hours)  # fmt: skip
    return out


@dataclass(frozen=True)
class Source:
    """A source of CMB in the summary."""

    name: str
    basis: str
    mean: float
    error: float | None
    share: float | None
    told: float
    absent: float
    factors: str


@dataclass(frozen=True)
class Balanced:
    """A sample of CMB."""

    time: str
    chi2: float
    r2: float
    mass: float | None
    cells: list[tuple[float, float | None, float]]


def balance(row: Apportionment, found: list[Factor]) -> dict[str, Any] | None:
    """CMB for the page: sources, statistics against what the EPA wants, the first samples."""
    given = row.result.get("balance")
    if not given:
        return None
    measured = row.result["measured"]
    names = [s["name"] for s in given["sources"]]
    named = {
        source_name(s): ", ".join(f"F{f.number}" for f in found if f.name == source_name(s))
        for s in names
    }
    return {
        "species": given["species"],
        "sources": [
            Source(
                source_name(s["name"]), _basis("formed" if s["formed"] else s.get("code", "")), s["mean"], s["error"],
                100 * s["mean"] / measured if measured and row.result["total"] else None,
                100 * s["told"], 100 * s["absent"], named[source_name(s["name"])],
            )
            for s in given["sources"]
        ],
        "tests": [
            (_("χ²"), given["chi2"], _("below 4, below 1 very good"), bool(given["chi2"] and given["chi2"][1] < 4)),
            (_("R²"), given["r2"], _("above 0.8"), bool(given["r2"] and given["r2"][1] > 0.8)),
            (_("Share of the mass (%)"), given["mass"], _("80 to 120"), bool(given["mass"] and 80 <= given["mass"][1] <= 120)),
        ],
        "rows": balanced(row)[:SHOWN],
        "count": len(given["rows"]),
        "left": given["left"],
        "alike": [
            _("%(one)s and %(other)s in %(share)d %% of the samples")
            % {"one": source_name(names[a]), "other": source_name(names[b]), "share": round(100 * share)}
            for a, b, share in given["alike"] if share >= 0.05
        ],
    }  # fmt: skip


def balanced(row: Apportionment) -> list[Balanced]:
    given = row.result["balance"]
    times = row.samples.table["times"]
    return [
        Balanced(
            when(times[i]), r["chi2"], r["r2"], r["mass"],
            list(zip(r["amounts"], r["errors"], r["t"], strict=True)),
        )
        for i, r in enumerate(given["rows"])
        if r is not None
    ]  # fmt: skip


def when(text: str) -> str:
    """The start of a sample as it is shown."""
    return text.replace("T", " ")[:16]


def said(row: Apportionment) -> list[str]:
    """What was assumed and left out."""
    result, samples = row.result, row.samples
    wanted = row.wanted["use"]
    left = [s for s, u in wanted.items() if u == "bad"]
    weak = [s for s, u in wanted.items() if u == "weak"]
    out = []
    if samples.synthetic:
        out.append(_("The samples are made up, not measured."))
    if left:
        out.append(_("Left out: %s.") % ", ".join(left))
    if weak:
        out.append(_("Weak, with uncertainties × 3: %s.") % ", ".join(weak))
    if result["total"]:
        out.append(_("%s is the total: with uncertainties × 3 it follows the others; amounts are given in it.") % result["total"])  # fmt: skip
    else:
        out.append(_("No species is the total: amounts are the sum of the species, which is not the mass of the particles."))  # fmt: skip
    if row.wanted["forbidden"]:
        out.append(_("Constraints, each on one factor: without %s.") % _("; without ").join(", ".join(names) for names in row.wanted["forbidden"]))  # fmt: skip
    out += noted(samples)
    out.append(_("5–95 %%: %(runs)d resamples in blocks of ten samples (bootstrap); beside it how far a value may go before Q rises by 4 (displacement).") % result["bootstrap"])  # fmt: skip
    if own := own_names(row):
        out.append(_("Own profiles beside the published ones: %s.") % _(", ").join(own))
    if both := result.get("both"):
        out.append(_("BS-DISP: displacement in %(runs)d resamples of the amount, if there is a total, and of the two species that a factor explains most of (own choice); lowest and highest end.") % both)  # fmt: skip
    out.append(_("Names: similarity to medians of published profiles by source (SPECIATE of the United States, secondary: taken over from a tabulation, the original not read; no organic carbon, no Chinese sources). A name is a proposal for who knows the city, not a finding."))  # fmt: skip
    return out


def own_names(row: Apportionment) -> list[str]:
    """The own profiles that a run knew."""
    found = SourceProfile.objects.filter(pk__in=row.wanted.get("own", ()))
    return list(found.values_list("name", flat=True))


# ---- pictures ------------------------------------------------------------------------------------


def pictures(row: Apportionment, rows: list[Factor]) -> dict[str, Any]:
    """What the charts draw."""
    result, samples = row.result, row.samples
    zone = timezone.get_default_timezone()
    table = apportioning.table_of(samples)
    times = [round(t.replace(tzinfo=zone).timestamp()) * 1000 for t in table.times]
    total = result["species"].index(result["total"]) if result["total"] else None
    species = [s for s in result["species"] if s != result["total"]]
    at = [j for j in range(len(result["species"])) if j != total]
    sums = [max(sum(p[j] or 0 for p in result["profiles"]), 1e-300) for j in at]

    def share(values: list[float | None]) -> list[float | None]:
        return [
            None if values[j] is None else round(100 * (values[j] or 0) / s, 2)
            for j, s in zip(at, sums, strict=True)
        ]

    boot, moved = result["bootstrap"], result["displacement"]
    rest = max((result["measured"] or 0) - sum(f.mean for f in rows), 0.0)
    wind = result["wind"]
    return {
        "unit": result["unit"],
        "names": [f.label for f in rows],
        "species": species,
        "pie": [[f.label, f.mean, f.share_low, f.share_high] for f in rows],
        "rest": [_("not explained"), rest] if result["total"] and rest > 0 else None,
        "profiles": [
            {
                "share": share(result["profiles"][a]), "low": share(boot["low"][a]),
                "high": share(boot["high"][a]), "displaced_low": share(moved["low"][a]),
                "displaced_high": share(moved["high"][a]),
                "amount": [result["profiles"][a][j] for j in at],
            }
            for a in range(len(rows))
        ],
        "times": times,
        "gap": round(samples.hours * 3_600_000 * 3),
        "series": [list(c) for c in zip(*result["contributions"], strict=True)],
        "cycles": result["cycles"],
        "labels": {
            "weekday": [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")],
            "season": [_("Winter"), _("Spring"), _("Summer"), _("Autumn")],
            "hour": [str(h) for h in range(24)],
        },
        "sectors": wind.get("sectors") or [],
        "bearings": selectors.bearings() if len((wind.get("sectors") or [{"cpf": []}])[0]["cpf"]) == 16 else None,
        "cells": wind.get("cells") or [],
        "per_hour": wind.get("per_hour", 1),
        "words": {
            "resamples": _("resamples, 5–95 %"), "displacement": _("displacement"),
            "of": _("of the species"), "hours": _("hours of ways"), "samples": _("samples"),
            "pie": _("Mean amounts by factor"), "series": _("Amount of each factor"),
            "profile": _("Share of each species"), "mean": _("95 % of the mean"),
        },
    }  # fmt: skip


CYCLES = {
    "weekday": gettext_lazy("By weekday"),
    "season": gettext_lazy("By season"),
    "hour": gettext_lazy("By hour"),
}


def cycles(row: Apportionment) -> list[tuple[str, str]]:
    return [(k, str(CYCLES[k])) for k in row.result["cycles"]]


def profile_rows(row: Apportionment) -> list[dict[str, Any]]:
    """The table of profiles: by species the value of each factor with its intervals, and the fit."""
    result = row.result
    boot, moved = result["bootstrap"], result["displacement"]
    together = [displaced_together(result, j) for j in range(len(result["species"]))]
    return [
        {
            "species": s, "use": result["use"][j], "fit": result["fit"][j],
            "cells": [
                {
                    "value": result["profiles"][a][j], "low": boot["low"][a][j],
                    "high": boot["high"][a][j], "displaced_low": moved["low"][a][j],
                    "displaced_high": moved["high"][a][j], "both": together[j][a],
                }
                for a in range(len(result["profiles"]))
            ],
        }
        for j, s in enumerate(result["species"])
    ]  # fmt: skip


def mapped(row: Apportionment) -> list[tuple[str, list[int], int]]:
    """By factor of a resample: how often it was which factor of the base, how often none."""
    return [
        (f"F{a + 1}", line[:-1], line[-1])
        for a, line in enumerate(row.result["bootstrap"]["mapped"])
    ]
