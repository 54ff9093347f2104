"""Pages of the detectors: the fleet, one outlet; and the sheet that a finding's page shows."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from jingwei.bureau.access import may, requires
from jingwei.bureau.findings.export import csv_response
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import detection, pattern_selectors
from jingwei.bureau.monitoring import detection_selectors as reading
from jingwei.bureau.monitoring.detection import detector_name
from jingwei.bureau.monitoring.models import Detected
from jingwei.bureau.registry.models import Outlet

PER_PAGE = 50
_ANY = [("", gettext_lazy("All"))]


class FleetFilter(forms.Form):
    q = forms.CharField(label=gettext_lazy("Search"), required=False, max_length=80)
    region = forms.ChoiceField(label=gettext_lazy("District"), required=False)
    detector = forms.ChoiceField(label=gettext_lazy("Detector"), required=False)
    tier = forms.ChoiceField(
        label=gettext_lazy("Tier"), required=False, choices=[*_ANY, *Detected.Tier.choices]
    )
    state = forms.ChoiceField(
        label=gettext_lazy("State"), required=False, choices=[*_ANY, *Finding.State.choices]
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Period"), required=False, coerce=int, empty_value=reading.DAYS
    )
    show = forms.ChoiceField(
        label=gettext_lazy("List"),
        required=False,
        choices=[
            ("", gettext_lazy("All findings")),
            ("fdr", gettext_lazy("By false-discovery rate")),
        ],
    )

    def __init__(self, data: Any, regions: list[tuple[str, str]]) -> None:
        super().__init__(data)
        self.fields["region"].choices = [*_ANY, *regions]
        self.fields["detector"].choices = [*_ANY, *reading.detector_choices()]
        self.fields["days"].choices = [(n, _("%(n)d days") % {"n": n}) for n in reading.SPANS]
        self.fields["days"].initial = reading.DAYS
        if not data.get("days"):
            self.data = {**data.dict(), "days": str(reading.DAYS)}


def _chosen(request: HttpRequest) -> tuple[FleetFilter, list[Detected], reading.Expected]:
    """The filter, the cases that pass it (the rarest first), and what the budget lets expect of them."""
    user = request.user
    places = reading.watches(user).values_list(
        "outlet__enterprise__region", "outlet__enterprise__region__name",
        "outlet__enterprise__region__name_en",
    )  # fmt: skip
    english = reading.words({"zh": "", "en": "x"}) == "x"
    regions = sorted({(code, en if english and en else zh) for code, zh, en in places})
    form = FleetFilter(request.GET, regions)
    now = timezone.now()
    if not form.is_valid():
        return form, [], reading.Expected.of(user, now, reading.DAYS)
    want = form.cleaned_data
    days = want["days"]
    text = want["q"].replace("\x00", "").strip()
    expected = reading.Expected.of(
        user, now, days, want["region"], want["tier"], want["detector"],
        listed=want["show"] == "fdr", unknown=bool(text or want["state"]),
    )  # fmt: skip
    rows = reading.detected(user).filter(found__gte=reading.since(now, days))
    for value, lookup in (
        (want["region"], "finding__region"),
        (want["detector"], "detector"),
        (want["tier"], "tier"),
    ):
        if value:
            rows = rows.filter(**{lookup: value})
    found = list(rows.defer("sheet"))
    if expected.listed:
        # What may be shown is settled before state and text pick from it: they know no chance.
        good = reading.kept(found, expected.outlets, days)
        found = [row for row in found if row.pk in good]
    if want["state"]:
        found = [row for row in found if row.finding.state == want["state"]]
    if text:
        found = [row for row in found if text.casefold() in row.finding.title.casefold()]
    return form, sorted(found, key=lambda r: (r.p_value, -r.found.timestamp())), expected


@require_safe
@requires("detection.view")
def fleet(request: HttpRequest) -> HttpResponse:
    """Cases of the span, the rarest first; how many of them are expected to be hits, by district and
    detector; the realised false rate beside the nominal one."""
    user = request.user
    form, rows, expected = _chosen(request)
    said = detection.verdicts()
    watches = list(reading.watches(user))
    regions: dict[str, list[Detected]] = {}
    detectors: dict[str, list[Detected]] = {}
    for row in rows:
        regions.setdefault(row.finding.region_id, []).append(row)
        detectors.setdefault(row.detector, []).append(row)

    def address(**more: str) -> str:
        """This page under the same filters and one more."""
        query = request.GET.copy()
        query.pop("page", None)
        for key, value in more.items():
            query[key] = value
        return f"{reverse('monitoring:detection')}?{query.urlencode()}"

    def group(name: str, url: str, cases: list[Detected], false: float | None) -> reading.Group:
        hits, misses = reading.outcome(cases, said)
        return reading.Group(name, url, len(cases), false, hits, misses)

    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    judged = [w for w in watches if w.judged]
    return render(
        request,
        "monitoring/detection_fleet.html",
        {
            "form": form,
            "days": expected.days,
            "page": page,
            "shown": [
                {
                    "row": row,
                    "detector": detector_name(row.detector),
                    "verdict": reading.verdict_label(said.get(row.finding_id, "")),
                }
                for row in page
            ],
            "whole": group("", "", rows, expected.false()),
            "expected": expected,
            "at_most": reading.Q * reading.statistical_outlets(rows),
            "by_region": [
                group(cases[0].finding.region.label, address(region=code), cases,
                      expected.false(region=code))
                for code, cases in sorted(regions.items(), key=lambda r: -len(r[1]))
            ],
            "by_detector": [
                group(detector_name(key), address(detector=key), cases,
                      expected.false(detector=key))
                for key, cases in sorted(detectors.items(), key=lambda r: -len(r[1]))
            ],
            "rate": reading.rate_false(user),
            "q": round(100 * reading.Q),
            "outlets": len(watches),
            "judged": len(judged),
            "part": sum(1 for w in judged if w.reasons),
            "filtered": any(request.GET.get(k) for k in ("q", "region", "detector", "tier", "state", "show")),
            "query": request.GET.urlencode(),
        },
    )  # fmt: skip


@require_safe
@requires("detection.view")
def fleet_csv(request: HttpRequest) -> HttpResponse:
    _form, rows, _expected = _chosen(request)
    said = detection.verdicts()
    return csv_response(
        "detection.csv",
        [_("Number"), _("Title"), _("District"), _("Enterprise"), _("Outlet"), _("Factor"),
         _("Detector"), _("Tier"), _("Grade"), _("Began"), _("Ended"), _("Could be known"),
         _("p value"), _("Rate in honest history (a month)"), _("State"), _("Officers' verdict")],
        (
            [
                row.finding_id, row.finding.title, row.finding.region.label,
                row.outlet.enterprise.name, row.outlet.code, row.factor,
                detector_name(row.detector), row.get_tier_display(), row.get_grade_display(),
                row.began, row.ended, row.found, row.p_value, row.rate,
                row.finding.get_state_display(),
                reading.verdict_label(said.get(row.finding_id, "")),
            ]
            for row in rows
        ),
    )  # fmt: skip


@require_safe
@requires("detection.view")
def outlet(request: HttpRequest, pk: int) -> HttpResponse:
    """One outlet: what is watched, how good its model is, what was raised, why nothing is judged."""
    found = get_object_or_404(
        Outlet.objects.restrict(request.user, "detection.view").select_related(
            "enterprise__region"
        ),
        pk=pk,
    )
    return render(
        request,
        "monitoring/detection_outlet.html",
        {
            "outlet": found,
            "patterns": pattern_selectors.outlet(request.user, found),
            **reading.outlet(request.user, found),
        },
    )


@require_safe
@requires("detection.view")
def outlets(request: HttpRequest) -> HttpResponse:
    """All outlets that are watched: judged until when, how good the model, why not."""
    rows = reading.watches(request.user).order_by("outlet__enterprise__name", "outlet__code")
    text = request.GET.get("q", "").replace("\x00", "").strip()
    if text:
        rows = rows.filter(outlet__enterprise__name__icontains=text)
    if request.GET.get("silent"):
        rows = rows.exclude(reasons=[]).exclude(judged=None)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "monitoring/detection_outlets.html",
        {
            "page": page,
            "q": text,
            "silent": bool(request.GET.get("silent")),
            "shown": [
                {
                    "watch": w,
                    "quality": [
                        q for q in reading.quality(w.fit.learnt if w.fit else {}) if q["target"]
                    ],
                    "reasons": [reading.words(r["text"]) for r in reading.reasons(w)],
                }
                for w in page
            ],
        },
    )


def sheet(request: HttpRequest, finding: Finding) -> dict[str, Any] | None:
    """What the page of a finding shows of a detector's evidence (`findings.sheets`)."""
    if not may(request.user, "detection.view"):
        return None
    row = (
        Detected.objects.filter(finding=finding)
        .select_related("outlet__enterprise", "fit", "finding__point", "evidence")
        .first()
    )
    if row is None:
        return None
    return {"template": "monitoring/detection_sheet.html", **reading.sheet(row)}
