"""What the pages of the detectors read: the fleet, one outlet, one sheet."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from jingwei.analysis.detection import labels
from jingwei.analysis.detection.calibration import MONTH, SHARES, fleet
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import detection
from jingwei.bureau.monitoring.detection import LEARNT, detector_name
from jingwei.bureau.monitoring.models import Detected, DetectionFit, DetectionWatch
from jingwei.bureau.monitoring.selectors import value_unit
from jingwei.bureau.registry.models import Outlet, Point

DAYS = 30  # the span of the fleet page, unless asked otherwise
SPANS = (7, 30, 90, 365)
Q = 0.3  # share of false cases that the list by false-discovery rate accepts


def words(given: Mapping[str, str] | labels.Words) -> str:
    """A text of the laboratory in the reader's language."""
    english = (get_language() or "").startswith("en")
    if isinstance(given, Mapping):
        return given["en"] if english else given["zh"]
    return given.en if english else given.zh


def column_name(name: str) -> str:
    """A column of a monitor by its factor's name."""
    return detection.channel_name(name)


def detected(user: Any) -> QuerySet[Detected]:
    return Detected.objects.restrict(user, "detection.view").select_related(
        "finding__region", "outlet__enterprise"
    )


def watches(user: Any) -> QuerySet[DetectionWatch]:
    return DetectionWatch.objects.restrict(user, "detection.view").select_related(
        "outlet__enterprise__region", "fit"
    )


# --- the sheet ----------------------------------------------------------------------------------


def sheet(row: Detected) -> dict[str, Any]:
    """The evidence sheet of a finding as its page shows it."""
    found = row.sheet
    evidence = found["evidence"]
    name = column_name(row.factor) if row.factor != "*" else _("all factors")
    parameters = {k: v for k, v in evidence["parameters"].items() if k != "budget"}
    fit = row.fit
    share = found.get("hidden_share")
    realised = (fit.learnt.get("realised") or {}) if fit else {}
    counted = evidence["parameters"].get("months") or next(
        (r.get("months") for r in realised.values()), None
    )
    return {
        "row": row,
        "sentence": words(found["sentence"]).replace(f"{row.factor}：", f"{name}：", 1)
        .replace(f"{row.factor},", f"{name},", 1),
        "detector": detector_name(row.detector),
        "also": [_also(text) for text in found["also"]],
        "rare": words(
            labels.rare(row.tier, evidence["numbers"].get("p"), found["score"], counted)
        ),
        "numbers": [
            (words(label), _named(text)) for label, text in labels.numbers(evidence["numbers"])
        ],
        "share": None
        if share is None
        else {k: round(100 * v) for k, v in share.items() if v is not None},
        "innocent": [
            (words(i["explanation"]), words(i["check"])) for i in found["innocent_explanations"]
        ],
        "next_check": words(found["next_check"]),
        "formula": evidence["formula"],
        "parameters": [(k, labels.show(v)) for k, v in parameters.items()],
        "budget": evidence["parameters"].get("budget", row.budget),
        "sha256": evidence["sha256"],
        "rows": evidence["rows"],
        "fit": fit,
        "program": fit.program if fit else "",
        "chart": chart(row),
        "modelled": "expected" in evidence["series"],
        "gas": row.finding.kind == Kind.FALSIFICATION,
        "demo": _demo(row),
    }  # fmt: skip


def _demo(row: Detected) -> str:
    """What was done to replayed data of the outlet for a demonstration; "" for real instruments."""
    english = (get_language() or "").startswith("en")
    for point in row.outlet.points.exclude(replay=None).order_by("st"):
        if point.replay.get("altered"):
            return str(point.replay.get("how" if english else "how_zh", ""))
    return ""


def _named(text: str) -> str:
    """Codes of channels in a number's text by their names."""
    parts = []
    for piece in text.split("；"):
        head, blank, rest = piece.partition(" ")
        known = column_name(head) if blank and head[:1].isalpha() else head
        parts.append(f"{known}{blank}{rest}")
    return "；".join(parts)


def _also(text: str) -> str:
    detector, _colon, factor = text.partition(":")
    name = detector_name(detector)
    return f"{name}（{column_name(factor)}）" if factor and factor != "*" else name


def chart(row: Detected) -> dict[str, Any] | None:
    """Reported values, what the operation makes likely, and its normal band, for `detection.js`."""
    evidence = row.sheet["evidence"]
    series: dict[str, list[float | None]] = evidence["series"]
    step = float(evidence["parameters"].get("step_seconds", 3600))
    first = datetime.fromisoformat(evidence["series_start"]).timestamp()
    key = row.factor if row.factor in series else next(iter(series), "")
    if not key:
        return None
    point = row.finding.point
    unit = value_unit(row.factor, point) if point and row.factor != "*" else ""
    a, b = row.began.timestamp(), row.ended.timestamp()

    def line(values: Iterable[float | None], flagged: bool = False) -> list[list[Any]]:
        out = []
        for i, v in enumerate(values):
            at = first + i * step
            cell: list[Any] = [int(at * 1000), v]
            if flagged and a <= at < b:
                cell.append("?")
            out.append(cell)
        return out

    shown = [{"name": _("Reported value"), "unit": unit, "data": line(series[key], True)}]
    lag = evidence["numbers"].get("lag_rows")
    if isinstance(lag, int):
        # What is copied, moved to where it was reported again.
        earlier = [
            series[key][i - lag] if i >= lag and a <= first + i * step < b else None
            for i in range(len(series[key]))
        ]
        if any(v is not None for v in earlier):
            name = _("reported %(n)d rows before") % {"n": lag}
            shown.append({"name": name, "unit": unit, "data": line(earlier), "dashed": True})
    for name, label in (
        ("converted", _("Converted by the device")),
        ("recomputed", _("Recomputed")),
        ("expected", _("Expected from operation")),
        ("low", _("Normal band, lower edge")),
        ("high", _("Normal band, upper edge")),
    ):
        if name in series:
            shown.append({"name": label, "unit": unit, "data": line(series[name]), "dashed": True})
    return {
        "label": row.finding.title,
        "series": shown,
        "band": [len(shown) - 2, len(shown) - 1] if "high" in series else None,
        "step": int(step * 1000),
        "flags": {"?": _("suspicious stretch")},
        "exact": "minute",
    }


# --- one outlet ---------------------------------------------------------------------------------


def outlet(user: Any, found: Outlet) -> dict[str, Any]:
    """What the detectors watch at an outlet, how good its model is, what they raised so far."""
    watch = watches(user).filter(outlet=found).first()
    fit = watch.fit if watch else None
    learnt = fit.learnt if fit else {}
    rows = list(detected(user).filter(outlet=found))
    said = detection.verdicts()
    return {
        "watch": watch,
        "fit": fit,
        "columns": columns(fit, watch),
        "quality": quality(learnt),
        "importance": importance(learnt),
        "realised": realised(learnt),
        "extrapolated": extrapolated(learnt),
        "families": families(learnt),
        "reasons": [words(r["text"]) for r in reasons(watch)],
        "watched": watched(watch, fit),
        "treatment": treatment(watch),
        "detected": [(row, verdict_label(said.get(row.finding_id, ""))) for row in rows],
        "budget": settings.ENV.detection_budget,
        "fits": list(found.detection_fits.all()[:5]),
        "points": list(found.points.filter(kind=Point.Kind.SOURCE).order_by("st")),
        "months": watch.hours / MONTH if watch else 0.0,
    }


def reasons(watch: DetectionWatch | None) -> list[dict[str, Any]]:
    """Why something is not judged, with factors by name; each once."""
    found, seen = [], set()
    for reason in watch.reasons if watch else []:
        column, text = reason["column"], dict(reason["text"])
        for language in text:
            if column and text[language].startswith(f"{column}: "):
                text[language] = f"{column_name(column)}：{text[language][len(column) + 2 :]}"
        if (reason["code"], column) not in seen:
            seen.add((reason["code"], column))
            found.append({**reason, "text": text})
    return found


def watched(watch: DetectionWatch | None, fit: DetectionFit | None) -> list[tuple[str, bool, str]]:
    """Detectors that need data of their own, whether they watch, and why not (or against whom)."""
    if watch is None:
        return []
    return [
        (
            detector_name(w["detector"]),
            w["on"],
            peers(fit) if w["detector"] == "peer" and w["on"] else words(w["text"]),
        )
        for w in watch.watched
    ]


def treatment(watch: DetectionWatch | None) -> list[dict[str, Any]]:
    """Hours in which production ran without treatment, the latest month first."""
    rows = list(reversed(watch.treatment)) if watch else []
    return [
        {**m, "share": 100 * m["off"] / m["producing"] if m["producing"] else None} for m in rows
    ]


def peers(fit: DetectionFit | None) -> str:
    """With how many outlets of the industry each pollutant is compared."""
    given = fit.settings.get("peers", {}) if fit else {}
    return "；".join(
        _("%(name)s: %(n)d outlets of the industry")
        % {"name": column_name(target), "n": len(group)}
        for target, group in sorted(given.items())
    )


def role_name(role: str) -> str:
    names = {
        "target": _("judged pollutant"),
        "load": _("load"),
        "power_production": _("power of production"),
        "power_treatment": _("power of treatment"),
        "power_total": _("power of the whole"),
        "o2": _("oxygen"),
        "flow": _("flow rate"),
        "temperature": _("temperature"),
        "humidity": _("humidity"),
        "pressure": _("pressure"),
        "state": _("state of the process"),
    }
    return names.get(role, role)


def columns(fit: DetectionFit | None, watch: DetectionWatch | None) -> list[dict[str, Any]]:
    """The channels that go in: name, as what, limit on the scale of what is sent, coverage."""
    if fit is None:
        return []
    learnt = fit.learnt
    limits, then = learnt.get("limits", {}), learnt.get("coverage", {})
    now = watch.coverage if watch else {}
    return [
        {
            "name": factor_name(c["name"]),
            "code": c["name"],
            "role": role_name(c["role"]),
            "target": c["role"] == "target",
            "limit": limits.get(c["name"]),
            "then": _percent(then.get(c["name"])),
            "now": _percent(now.get(c["name"])),
        }
        for c in sorted(fit.settings["columns"], key=lambda c: (c["role"] != "target", c["name"]))
    ]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def quality(learnt: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Models out of time: the judged pollutants first."""
    targets = learnt.get("targets", [])
    rows = [
        {
            "name": column_name(name),
            "target": name in targets,
            "r2": q["r2"],
            "mae": q["mae"],
            "rows": q["rows"],
            "passed": q["passed"],
        }
        for name, q in learnt.get("quality", {}).items()
    ]
    return sorted(rows, key=lambda r: (not r["target"], r["name"]))


def importance(learnt: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, float]]]]:
    """What each model rests on, the most first: of the R² out of time that permuting the channels
    takes away, the part of each (%)."""
    out = []
    for target, shares in learnt.get("importance", {}).items():
        known = [(column_name(k), float(v)) for k, v in shares.items() if v and v > 0]
        total = sum(v for _, v in known)
        top = [(k, 100 * v / total) for k, v in sorted(known, key=lambda pair: -pair[1])[:5]]
        if top:
            out.append((column_name(target), top))
    return out


def realised(learnt: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Nominal and realised false rates in each fifth of the history by tails of the others."""
    return [learnt["realised"][k] for k in sorted(learnt.get("realised", {}), key=float)]


def extrapolated(learnt: Mapping[str, Any]) -> float | None:
    """The months of history counted, where they are too few to hold one case at the budget: the rate
    is then read off beyond what was seen (docs/decisions/0014)."""
    months = next((float(r["months"]) for r in learnt.get("realised", {}).values()), None)
    return months if months is not None and months * settings.ENV.detection_budget < 1 else None


def families(learnt: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Statistical detectors that have learnt this outlet, by pollutant."""
    by: dict[str, list[str]] = defaultdict(list)
    for text in learnt.get("families", []):
        detector, _colon, factor = text.partition(":")
        by[factor].append(detector_name(detector))
    return [(_("all factors") if f == "*" else column_name(f), sorted(n)) for f, n in by.items()]


def verdict_label(verdict: str) -> str:
    """What officers found, in one word."""
    return {
        "confirmed": _("confirmed"),
        "falsified": _("falsified"),
        "fault": _("fault"),
        "maintenance": _("maintenance"),
        "production": _("change of production"),
        "other": _("no problem"),
    }.get(verdict, "")


# --- the fleet ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Findings of a district or detector. `false`: how many false ones the budget lets expect (None:
    that cannot be said); `hits`, `misses`: what officers found so far."""

    name: str
    url: str
    cases: int
    false: float | None
    hits: int
    misses: int

    @property
    def share(self) -> float | None:
        """Share of hits to be expected at most (%); None without findings or expectation.

        Decided findings count as decided. The others: mean of a Beta whose prior weighs as much as
        two findings and has the share that the budget does not explain, after hits and misses. At
        most: what the budget does not explain may still be a fault, which is no hit.
        """
        if not self.cases or self.false is None:
            return None
        chance = max(0.0, 1.0 - self.false / self.cases)
        likely = (2 * chance + self.hits) / (2 + self.hits + self.misses)
        return 100 * (self.hits + (self.cases - self.hits - self.misses) * likely) / self.cases


def months(user: Any, now: datetime, days: int, region: str = "") -> dict[str, float]:
    """Outlet-months judged of the last `days` days, by region."""
    rows = watches(user).exclude(judged=None)
    if region:
        rows = rows.filter(outlet__enterprise__region=region)
    found: dict[str, float] = defaultdict(float)
    first = since(now, days)
    for place, hours, judged in rows.values_list("outlet__enterprise__region", "hours", "judged"):
        within = (judged - first) / timedelta(hours=1)
        found[place] += max(0.0, min(float(hours), within)) / MONTH
    return found


def false_share(tier: str, detector: str, shares: Mapping[str, float] | None = None) -> float:
    """The part of the budget that goes to what is chosen ("" for all): exact contradictions and rules
    are not paid from it, a statistical detector has its share after the officers' verdicts."""
    if tier not in ("", Detected.Tier.STATISTICAL):
        return 0.0
    if not detector:
        return 1.0
    given = shares or detection.shares() or SHARES
    return given.get(detector, 0.0) / sum(given.values())


@dataclass(frozen=True)
class Expected:
    """How many false cases the budget lets expect of those that the fleet page's filters let pass.

    months: outlet-months judged in the span, by region (the chosen one only). outlets: watched there.
    listed: the list by false-discovery rate, which has an expectation of its own. unknown: chosen by
    what no chance is known of (state, text).
    """

    days: int
    months: Mapping[str, float]
    outlets: int
    tier: str
    detector: str
    shares: Mapping[str, float]
    listed: bool
    unknown: bool

    @classmethod
    def of(
        cls,
        user: Any,
        now: datetime,
        days: int,
        region: str = "",
        tier: str = "",
        detector: str = "",
        *,
        listed: bool = False,
        unknown: bool = False,
    ) -> Expected:
        seen = watches(user)
        if region:
            seen = seen.filter(outlet__enterprise__region=region)
        return cls(
            days, months(user, now, days, region), seen.count(), tier, detector,
            detection.shares() or SHARES, listed, unknown,
        )  # fmt: skip

    def false(self, region: str = "", detector: str = "") -> float | None:
        """False cases to be expected, of a region or detector within the choice; None where the
        choice allows no expectation."""
        if self.unknown or self.listed:
            return None
        spent = self.months.get(region, 0.0) if region else sum(self.months.values())
        share = false_share(self.tier, detector or self.detector, self.shares)
        return settings.ENV.detection_budget * spent * share


def statistical_outlets(rows: Iterable[Detected]) -> int:
    """Outlets with findings whose chance is known."""
    return len({r.outlet_id for r in rows if r.tier == Detected.Tier.STATISTICAL})


def kept(rows: Iterable[Detected], outlets: int, days: int) -> set[int]:
    """Cases that a list with an expected share of false ones of at most `Q` shows: by Benjamini and
    Hochberg over one p value an outlet, the rest of the outlets counting as 1; and the exact ones,
    whose chance nobody estimated."""
    rows = list(rows)
    exact = {r.pk for r in rows if r.tier == Detected.Tier.EXACT}
    best: dict[int, Detected] = {}
    for row in rows:
        if row.pk in exact:
            continue
        other = best.get(row.outlet_id)
        if other is None or row.p_value < other.p_value:
            best[row.outlet_id] = row
    held = list(best.values())
    span = days / 30.4
    p = [1.0 if r.tier == Detected.Tier.RULE else 1 - (1 - r.p_value) ** span for r in held]
    passing = fleet(p + [1.0] * max(0, outlets - len(held)), Q)
    good = {r.outlet_id for r, ok in zip(held, passing, strict=False) if ok}
    return exact | {r.pk for r in rows if r.outlet_id in good and r.p_value <= 0.5}


def outcome(rows: Iterable[Detected], said: Mapping[int, str]) -> tuple[int, int]:
    """(hits, misses) among cases: by the verdict of their case, else a dismissal is a miss."""
    hits = misses = 0
    for row in rows:
        verdict = LEARNT.get(said.get(row.finding_id, ""))
        if verdict == "falsified":
            hits += 1
        elif verdict or row.finding.state == Finding.State.DISMISSED:
            misses += 1
    return hits, misses


def rate_false(user: Any) -> dict[str, Any]:
    """The realised false rate beside the nominal one: of what was raised (lower bound: known to be
    false; upper bound: not confirmed), and in history taken for honest."""
    statistical = list(detected(user).filter(tier=Detected.Tier.STATISTICAL))
    said = detection.verdicts()
    hits, misses = outcome(statistical, said)
    spent = (watches(user).aggregate(hours=Sum("hours"))["hours"] or 0) / MONTH
    held: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for learnt in (w.fit.learnt for w in watches(user) if w.fit):
        for budget, row in learnt.get("realised", {}).items():
            held[budget] += row["cases"]
            seen[budget] += row["months"]
    return {
        "nominal": settings.ENV.detection_budget,
        "months": spent,
        "cases": len(statistical),
        "hits": hits,
        "misses": misses,
        "low": misses / spent if spent else None,
        "high": (len(statistical) - hits) / spent if spent else None,
        "held": [
            {
                "nominal": float(b),
                "realised": held[b] / seen[b] if seen[b] else math.nan,
                "cases": held[b],
                "months": seen[b],
            }
            for b in sorted(seen, key=float)
        ],
    }


def since(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)


def detector_choices() -> list[tuple[str, str]]:
    """Detectors that have raised something, by name."""
    used = Detected.objects.order_by().values_list("detector", flat=True).distinct()
    return sorted(((d, detector_name(d)) for d in used), key=lambda pair: pair[1])
