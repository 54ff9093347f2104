"""Pages about the organisation: departments and people, who stands in for whom, working days."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django import forms
from django.contrib import messages as flash
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jingwei.bureau.access import may, requires
from jingwei.bureau.accounts import calendar as days
from jingwei.bureau.accounts import services
from jingwei.bureau.accounts.models import CalendarChange, Department, Substitution, User
from jingwei.bureau.accounts.selectors import department_label, substitutions
from jingwei.bureau.accounts.services import Refused
from jingwei.bureau.cases import handover
from jingwei.bureau.cases.errors import Refused as CaseRefused
from jingwei.bureau.cases.models import Case
from jingwei.bureau.language import english
from jingwei.bureau.registry.models import Region
from jingwei.standards import matters, workdays

YEARS = range(2000, 2101)
SHOWN = 100


# --- departments and people ----------------------------------------------------------------------


@dataclass
class Office:
    """A department as the tree shows it. `places`: (areas, matters) in words."""

    row: Department
    level: int
    label: str
    places: list[tuple[str, str]]
    people: list[User] = field(default_factory=list)


def _offices(text: str) -> list[Office]:
    """The tree from its roots down; with a text, what it is found in and what lies above that."""
    names = {r.code: r.label for r in Region.objects.only("code", "name", "name_en")}
    language = "en" if english() else "zh"
    away = {s.absent_id: s for s in substitutions().select_related("substitute")}
    children: dict[int | None, list[Department]] = {}
    for row in Department.objects.prefetch_related("jurisdictions").order_by("code"):
        children.setdefault(row.parent_id, []).append(row)
    people: dict[int, list[User]] = {}
    for user in User.objects.filter(is_active=True, department__isnull=False, is_superuser=False):
        user.away = away.get(user.pk)  # type: ignore[attr-defined]
        people.setdefault(user.department_id, []).append(user)

    def fits(row: Department) -> bool:
        words = f"{row.name} {row.name_en} {row.code}".lower()
        return text.lower() in words or any(
            text in f"{u} {u.username}" for u in people.get(row.pk, [])
        )

    def below(parent: int | None, level: int) -> list[Office]:
        found = []
        for row in children.get(parent, []):
            under = below(row.pk, level + 1)
            if text and not under and not fits(row):
                continue
            areas: dict[str, list[str]] = {}
            for place in row.jurisdictions.all():
                areas.setdefault(place.matter, []).append(
                    names.get(place.area, place.area) if place.area else _("the whole city")
                )
            places = [
                (
                    (", " if english() else "、").join(where),
                    matters.name(matter, language) if matter else "",
                )
                for matter, where in areas.items()
            ]
            office = Office(row, level, department_label(row), places, people.get(row.pk, []))
            found += [office, *under]
        return found

    return below(None, 0)


@require_GET
@requires("organisation.view")
@never_cache
def departments(request: HttpRequest) -> HttpResponse:
    """The tree of departments with their jurisdictions and people."""
    text = request.GET.get("q", "").strip()[:60].replace("\0", "")
    return render(
        request, "console/organisation/departments.html", {"offices": _offices(text), "q": text}
    )


class SubstituteForm(forms.Form):
    """Who stands in, from when to when, why."""

    substitute = forms.ModelChoiceField(User.objects.none(), label=gettext_lazy("Substitute"))
    begins = forms.DateField(
        label=gettext_lazy("First day"), widget=forms.DateInput(attrs={"type": "date"})
    )
    ends = forms.DateField(
        label=gettext_lazy("Last day"), widget=forms.DateInput(attrs={"type": "date"})
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=200)

    def __init__(self, data: Any, absent: User) -> None:
        super().__init__(data, initial={"begins": timezone.localdate().isoformat()})
        self.fields["substitute"].queryset = _colleagues(absent)  # type: ignore[attr-defined]
        self.fields["substitute"].label_from_instance = _with_place  # type: ignore[attr-defined]


class HandOverForm(forms.Form):
    """To whom which cases go, and why."""

    to = forms.ModelChoiceField(User.objects.none(), label=gettext_lazy("New holder"))
    text = forms.CharField(
        label=gettext_lazy("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )
    cases = forms.TypedMultipleChoiceField(coerce=int, widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any, person: User, cases: list[Case]) -> None:
        super().__init__(data, prefix="give")
        self.fields["to"].queryset = _colleagues(person)  # type: ignore[attr-defined]
        self.fields["to"].label_from_instance = _with_place  # type: ignore[attr-defined]
        self.fields["cases"].choices = [(c.pk, c.title) for c in cases]  # type: ignore[attr-defined]
        chosen = self["cases"].value()
        self.ticked = {int(v) for v in chosen if str(v).isdecimal()} if chosen else set()


def _colleagues(person: User) -> Any:
    """Who may take a person's place: the same role, for an enterprise the same one."""
    return (
        User.objects.filter(is_active=True, is_superuser=False, role=person.role)
        .filter(enterprise_code=person.enterprise_code)
        .exclude(pk=person.pk)
        .select_related("department")
        .order_by("department__code", "pk")
    )


def _with_place(user: User) -> str:
    return f"{user} · {department_label(user.department)}" if user.department else str(user)


@require_http_methods(["GET", "POST"])
@requires("organisation.view")
@never_cache
def person(request: HttpRequest, pk: int) -> HttpResponse:
    """One person: place, telephone, absences, open matters; who may, arranges a substitute or
    hands matters over."""
    who = get_object_or_404(
        User.objects.select_related("department"),
        Q(department__isnull=False) | Q(pk=request.user.pk),
        pk=pk,
        is_active=True,
    )
    arranges = bool(who.role) and services.may_arrange(request.user, who)
    if request.method == "POST" and not arranges:
        raise PermissionDenied(_("You may arrange a substitute for yourself alone."))
    gives = handover.may_hand_over(request.user, who)
    held = list(handover.matters(who).defer("region__geometry")[:SHOWN]) if gives else []
    giving = "give" in request.POST
    give = HandOverForm(request.POST if giving else None, who, held)
    if giving and give.is_valid():
        said = give.cleaned_data
        try:
            events = handover.hand_over(request.user, who, said["to"], said["cases"], said["text"])
        except CaseRefused as error:
            give.add_error(None, str(error))
        else:
            flash.success(
                request,
                ngettext(
                    "%(count)d case was handed over to %(to)s.",
                    "%(count)d cases were handed over to %(to)s.",
                    len(events),
                )
                % {"count": len(events), "to": said["to"]},
            )
            return redirect("console:organisation-person", pk=pk)
    form = SubstituteForm(None if giving else request.POST or None, who)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            services.substitute(
                request.user, who, said["substitute"], said["begins"], said["ends"], said["reason"]
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            flash.success(request, _("The substitute is arranged."))
            return redirect("console:organisation-person", pk=pk)
    rows = Substitution.objects.filter(Q(absent=who) | Q(substitute=who))
    return render(
        request,
        "console/organisation/person.html",
        {
            "who": who,
            "department": department_label(who.department),
            "arranges": arranges,
            "form": form,
            "gives": gives,
            "give": give,
            "held": held,
            "rows": _shown(request.user, rows),
        },
    )


def _shown(user: User, rows: Any) -> list[Substitution]:
    """Substitutions with `state` (now, coming, over) and whether the user may call them off."""
    today = timezone.localdate()
    found = list(
        rows.select_related("absent__department", "substitute__department", "made_by").order_by(
            "-ends", "-pk"
        )[:SHOWN]
    )
    for row in found:
        over = bool(row.ended) or row.ends < today
        row.state = "over" if over else "coming" if row.begins > today else "now"
        row.may_end = not over and services.may_arrange(user, row.absent)
    return found


@require_GET
@requires("organisation.view")
@never_cache
def standing_in(request: HttpRequest) -> HttpResponse:
    """Who stands in for whom: now, soon, and in the past."""
    rows = _shown(request.user, Substitution.objects.all())
    return render(request, "console/organisation/substitutions.html", {"rows": rows})


@require_POST
@requires("substitution.own")
def call_off(request: HttpRequest, pk: int) -> HttpResponse:
    """End a substitution before its last day."""
    row = get_object_or_404(Substitution, pk=pk)
    try:
        services.call_off(request.user, row)
    except Refused as error:
        flash.error(request, str(error))
    else:
        flash.success(request, _("The substitution has ended."))
    return redirect("console:organisation-substitutions")


# --- calendar ------------------------------------------------------------------------------------


class CalendarForm(forms.Form):
    """What days are, by which notice, and why it is entered."""

    first = forms.DateField(
        label=gettext_lazy("First day"), widget=forms.DateInput(attrs={"type": "date"})
    )
    last = forms.DateField(
        label=gettext_lazy("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=gettext_lazy("Empty: one day."),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("These days are"), choices=CalendarChange.Kind.choices
    )
    name = forms.CharField(
        label=gettext_lazy("Name of the day"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("For example 春节; it stands in the derivation of deadlines."),
    )
    name_en = forms.CharField(label=gettext_lazy("Name in English"), max_length=60, required=False)
    source = forms.CharField(label=gettext_lazy("Notice and its number"), max_length=200)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=200)


@require_http_methods(["GET", "POST"])
@requires("organisation.view")
@never_cache
def calendar(request: HttpRequest) -> HttpResponse:
    """A year's working days, what differs from the week and why; administrators change it."""
    asked = request.GET.get("year", "")
    year = int(asked) if asked.isdecimal() and int(asked) in YEARS else timezone.localdate().year
    changes = may(request.user, "calendar.change")
    if request.method == "POST" and not changes:
        raise PermissionDenied(_("Only an administrator changes the calendar."))
    form = CalendarForm(request.POST or None, initial={"first": date(year, 1, 1).isoformat()})
    if request.method == "POST" and form.is_valid():
        said = dict(form.cleaned_data)
        first = said.pop("first")
        try:
            services.change_calendar(
                request.user, first, said.pop("last") or first, said.pop("kind"), **said
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            flash.success(request, _("The calendar is changed. Deadlines set before stay."))
            return redirect(f"{request.path}?year={first.year}")
    in_force = days.in_force()
    return render(
        request,
        "console/organisation/calendar.html",
        {
            "year": year,
            "months": list(days.months(year, in_force)),
            "weekdays": ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
            if english()
            else list("一二三四五六日"),
            "rows": days.exceptions(year),
            "known": year in in_force.years,
            "published": year in workdays.known_years(),
            "total": sum(
                1
                for m in days.months(year, in_force)
                for w in m.weeks
                for d in w
                if d and d.working
            ),
            "today": timezone.localdate(),
            "changes": changes,
            "form": form,
        },
    )
