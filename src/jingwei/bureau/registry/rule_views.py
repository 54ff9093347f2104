"""The rules that the program applies, and the limits of the standards: lists, one rule, files."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_safe

from jingwei.analysis.detection import texts as detection
from jingwei.bureau.access import requires
from jingwei.bureau.language import english, table_text
from jingwei.bureau.registry import fired
from jingwei.bureau.registry.models import Medium, PermitLimit
from jingwei.bureau.registry.selectors import plain
from jingwei.bureau.registry.views import stream_csv
from jingwei.standards import catalogue, law, limits

PAGE = 60
GROUPS = {
    "validity": gettext_lazy("Validity"),
    "marks": gettext_lazy("Marks"),
    "substitution": gettext_lazy("Substitution"),
    "incineration": gettext_lazy("Waste incineration"),
    "anomaly": gettext_lazy("Anomalies"),
    "detection": gettext_lazy("Detectors"),
    "index": gettext_lazy("Indices"),
    "amounts": gettext_lazy("Amounts and tax"),
    "triggers": gettext_lazy("Triggers"),
    "law": gettext_lazy("Law"),
}
SURE = {
    "full": ("normal", gettext_lazy("Read in full")),
    "secondary": ("watch", gettext_lazy("From a secondary source")),
    "memory": ("watch", gettext_lazy("Not checked against a source")),
    "preset": ("offline", gettext_lazy("Preset of this program")),
}
PERIODS = {
    "5min": pgettext_lazy("limit", "5 minutes"),
    "hour": gettext_lazy("Hourly mean"),
    "day": gettext_lazy("Daily mean"),
    "test": pgettext_lazy("limit", "Manual test"),
    "any": pgettext_lazy("limit", "Every value"),
}


def _detectors() -> list[catalogue.Entry]:
    """The detectors of the laboratory: methods of this program, no rules of a text."""
    return [
        catalogue.Entry(
            id=f"D-{key}", group="detection", zh=t.name.zh, en=t.name.en, parameters=t.formula,
            status="own method", sure="preset", source=f"jingwei.analysis.detection {detection.VERSION}",
            text=None, since=None, until=None,
        )
        for key, t in detection.DETECTORS.items()
    ]  # fmt: skip


def all_rules() -> list[catalogue.Entry]:
    return [*catalogue.entries(), *_detectors()]


def _query(request: HttpRequest, *names: str) -> dict[str, str]:
    return {n: request.GET.get(n, "").replace("\x00", "").strip()[:80] for n in names}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


DATED = {
    "secondary": gettext_lazy("date from a secondary source"),
    "memory": gettext_lazy("date not checked against a source"),
}


def _dated(e: catalogue.Entry) -> str:
    """How sure the date of force is, or why there is none; "" for one read in the text itself."""
    if e.since is not None:
        return str(DATED.get(_sure(e.text.dates) if e.text else e.sure, ""))
    return _undated(e.text)


def _undated(text: catalogue.Text | None) -> str:
    """Why a text has no date of force; of our own methods there is no text."""
    if text is None or text.kind == "preset":
        return _("of this program, no date of force")
    if text.told is None:
        return _("practice, no date of force known")
    return _("practice, no date of force; told on %(day)s") % {"day": text.told}


def _row(e: catalogue.Entry, counts: dict[str, fired.Fired]) -> dict[str, Any]:
    colour, label = SURE[e.sure]
    firing = catalogue.firing(e.id)
    return {
        "entry": e,
        "rule": e.en if english() else e.zh,
        "group": GROUPS[e.group],
        "text": (e.text.en if english() else e.text.zh) if e.text else "",
        "colour": colour,
        "sure": label,
        "dated": _dated(e),
        "fired": counts.get(e.id),
        "counted": firing.counted,
        "firing": firing.en if english() else firing.zh,
    }


def _rules(request: HttpRequest) -> tuple[dict[str, str], list[dict[str, Any]]]:
    query = _query(request, "q", "group", "sure", "on", "fired")
    counts = fired.counts(request.user)
    day, words = _day(query["on"]), query["q"].lower().split()
    rows = []
    for e in all_rules():
        said = f"{e.id} {e.zh} {e.en} {table_text(e.parameters)} {table_text(e.source)} {e.text.zh + e.text.en + e.text.id if e.text else ''}".lower()  # fmt: skip
        if (
            all(w in said for w in words)
            and query["group"] in ("", e.group)
            and query["sure"] in ("", e.sure)
            and (day is None or e.in_force(day))
            and (not query["fired"] or (e.id in counts and counts[e.id].count))
        ):
            rows.append(_row(e, counts))
    return query, rows


@require_safe
@requires("rule.view")
def rules(request: HttpRequest) -> HttpResponse:
    query, rows = _rules(request)
    return render(
        request,
        "registry/rules.html",
        {
            "query": query,
            "filtered": any(query.values()),
            "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
            "groups": GROUPS.items(),
            "sures": [(k, label) for k, (_colour, label) in SURE.items()],
            "days": fired.SINCE_DAYS,
            "weak": sum(r["entry"].sure in ("secondary", "memory") for r in rows),
        },
    )


@require_safe
@requires("rule.view")
def rules_csv(request: HttpRequest) -> HttpResponse:
    _filters, rows = _rules(request)
    return stream_csv(
        "rules",
        [_("Rule"), _("Group"), _("What it says"), _("Parameters"), _("Text"), _("In force from"),
         _("In force to"), _("Date"), _("How sure"), _("Source"), _("What is counted, or why not"), _("Fired")],
        (
            [
                r["entry"].id, str(r["group"]), r["rule"], table_text(r["entry"].parameters), r["text"],
                r["entry"].since or "", r["entry"].until or "", r["dated"], str(r["sure"]),
                table_text(r["entry"].source), r["firing"], r["fired"].count if r["fired"] else "",
            ]
            for r in rows
        ),
    )  # fmt: skip


@require_safe
@requires("rule.view")
def rule(request: HttpRequest, code: str) -> HttpResponse:
    """One rule: what it says in both languages, its text and the versions of that, how it fired."""
    found = next((e for e in all_rules() if e.id == code), None)
    if found is None:
        raise Http404
    versions = [e for e in catalogue.entries() if found.matter and e.matter == found.matter]
    return render(
        request,
        "registry/rule.html",
        {
            "row": _row(found, fired.counts(request.user)),
            "entry": found,
            "versions": versions,
            "siblings": [_row(e, {}) for e in catalogue.entries() if found.text and e.text == found.text and e.id != code][:30],
            "duty": next((d for d in law.DUTIES if d[0] == code), None),
            "days": fired.SINCE_DAYS,
        },
    )  # fmt: skip


@require_safe
@requires("rule.view")
def law_texts(request: HttpRequest) -> HttpResponse:
    """Laws, standards and notices with their time of force; which holds on a day."""
    query = _query(request, "on")
    day = _day(query["on"]) or timezone.localdate()
    return render(
        request,
        "registry/texts.html",
        {
            "on": day,
            "texts": [
                {
                    "text": t,
                    "name": t.en if english() else t.zh,
                    "holds": t.in_force(day),
                    "undated": "" if t.since else _undated(t),
                    "dates": SURE[_sure(t.dates)],
                    "content": SURE[_sure(t.content)],
                    "count": sum(e.text == t for e in catalogue.entries()),
                }
                for t in catalogue.texts()
            ],
        },
    )


def _sure(status: str) -> str:
    return {"full text": "full", "verified": "full", "memory": "memory", "preset": "preset"}.get(status, "secondary")  # fmt: skip


# Limits of the standards ------------------------------------------------------------------------


def _limits(request: HttpRequest) -> tuple[dict[str, str], list[limits.LimitRow]]:
    query = _query(request, "q", "standard", "medium", "period", "sure", "on")
    day, words = _day(query["on"]), query["q"].lower().split()
    return query, [
        r
        for r in limits.rows()
        if all(w in f"{r.standard} {r.clause} {r.title_zh} {r.title_en} {r.factor} {r.name_zh} {table_text(r.scope)} {table_text(r.note)}".lower() for w in words)
        and query["standard"] in ("", r.standard)
        and query["medium"] in ("", r.medium)
        and query["period"] in ("", r.period)
        and query["sure"] in ("", r.verified)
        and (day is None or (r.in_force_from <= day and (r.in_force_to is None or day <= r.in_force_to)))
    ]  # fmt: skip


def _bound(r: limits.LimitRow) -> str:
    if r.bound == "range" and r.value_to is not None:
        return f"{plain(r.value)} – {plain(r.value_to)}"
    return f"{'≥' if r.bound == 'lower' else '≤'} {plain(r.value)}"


@require_safe
@requires("rule.view")
def standard_limits(request: HttpRequest) -> HttpResponse:
    query, rows = _limits(request)
    return render(
        request,
        "registry/limits.html",
        {
            "query": query,
            "filtered": any(query.values()),
            "page": Paginator([(r, _bound(r), PERIODS[r.period]) for r in rows], PAGE).get_page(
                request.GET.get("page")
            ),
            "standards": list(dict.fromkeys(r.standard for r in limits.rows())),
            "media": Medium.choices,
            "periods": PERIODS.items(),
            "sures": PermitLimit.Verified.choices,
        },
    )


@require_safe
@requires("rule.view")
def standard_limits_csv(request: HttpRequest) -> HttpResponse:
    _filters, rows = _limits(request)
    sure = dict(PermitLimit.Verified.choices)
    return stream_csv(
        "limits",
        [_("Standard"), _("Clause"), _("Factor"), _("Name"), _("Medium"), _("Period"), _("Limit"), _("Unit"),
         _("Reference oxygen (%)"), _("Scope"), _("In force from"), _("In force to"),
         _("How sure"), _("Source")],
        (
            [
                r.standard, r.clause, r.factor, r.name_zh, r.medium, str(PERIODS[r.period]), _bound(r), r.unit,
                plain(r.reference_o2) if r.reference_o2 is not None else "", table_text(r.scope),
                r.in_force_from, r.in_force_to or "", str(sure[r.verified]), table_text(r.source),
            ]
            for r in rows
        ),
    )  # fmt: skip
