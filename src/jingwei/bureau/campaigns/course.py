"""How a list or a campaign goes: a flow, though a programme is no case (`acting` does its
acts, `models.Change` keeps them).

A campaign is amended while it runs: its plan, what is checked, its days, its scope, who leads it,
its teams; a first day that has come stays. Lists are as they were handed down.

Calling a campaign off ends it that day. Its open inspections stay as they are, each a case of its
own: whoever has one carries it out or cancels it, and reads on its page that the campaign is over.
Nothing more is planned or summarised for it, and nobody is reminded to evaluate it; figures and
monitored values count up to its last day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.accounts.selectors import department_label
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flow import Field, Flow, State, Text, Transition
from jingwei.bureau.cases.selectors import districts
from jingwei.bureau.language import english
from jingwei.standards import matters

if TYPE_CHECKING:
    from jingwei.bureau.campaigns.models import Programme

RUNNING, CLOSED, CALLED_OFF = "running", "closed", "called_off"
CITY = frozenset({Role.DISPATCHER})
# What an amendment may change, and its words: they stand in the evidence log by digest alone.
AMENDED = ("begins", "ends", "lead", "regions", "matters", "text", "checklist")
WORDS = ("text", "checklist")


def leads() -> QuerySet[Department]:
    """The departments that may lead a programme."""
    return Department.objects.exclude(kind=Department.Kind.GRID)


def matter_choices() -> list[tuple[str, str]]:
    return [(m, matters.name(m, "en" if english() else "zh-hans")) for m in matters.table()]


def _leads(programme: Programme | None) -> list[tuple[Any, Text]]:
    return [(d.code, department_label(d)) for d in leads()]


def _regions(programme: Programme | None) -> list[tuple[Any, Text]]:
    return [(r.pk, r.label) for r in districts()]


def _was(name: str) -> Callable[[Programme | None], Any]:
    """What a field of the plan is now."""
    return lambda programme: plan(programme)[name] if programme else None


def plan(programme: Programme) -> dict[str, Any]:
    """What an amendment may change, as it is."""
    return {
        "begins": programme.begins,
        "ends": programme.ends,
        "lead": programme.lead.code,
        "regions": sorted(programme.regions.values_list("pk", flat=True)),
        "matters": sorted(programme.matters),
        "text": programme.text,
        "checklist": programme.checklist,
    }


def _first_day(field: Field, programme: Programme) -> forms.Field:
    begun = programme.begun
    return forms.DateField(
        label=field.label, initial=programme.begins, disabled=begun,
        help_text=_("It has begun: the first day stays.") if begun else "",
        widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"),
    )  # fmt: skip


def _reason(field: Field, programme: Programme) -> forms.Field:
    return forms.CharField(
        label=field.label, max_length=1000, required=programme.begun,
        widget=forms.Textarea({"rows": 2}),
    )  # fmt: skip


def _conclusion(field: Field, programme: Programme) -> forms.Field:
    return forms.CharField(
        label=field.label, max_length=8000, widget=forms.Textarea(attrs={"rows": 5})
    )


class _People(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: User) -> str:
        return f"{obj} · {department_label(obj.department)}" if obj.department else str(obj)


def _members(field: Field, programme: Programme) -> forms.Field:
    people = User.objects.filter(is_active=True, department__isnull=False)
    ordered = people.select_related("department").order_by("department__code", "username")
    return _People(ordered, label=field.label)


def _region(field: Field, programme: Programme) -> forms.Field:
    return forms.ModelChoiceField(districts(), required=False, label=field.label)


def otherwise(programme: Programme, data: Mapping[str, Any]) -> dict[str, Any]:
    """What of an amendment's form is otherwise than the plan."""
    was = plan(programme)
    said = {**data, "text": data["plan"]}
    said |= {name: sorted(data[name]) for name in ("regions", "matters")}
    # Browsers send line ends of their own.
    same = {n for n in WORDS if said[n].splitlines() == was[n].splitlines()}
    return {n: said[n] for n in AMENDED if n not in same and said[n] != was[n]}


def _amended(programme: Programme, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    today, changes = timezone.localdate(now), otherwise(programme, data)
    if not changes:
        raise Refused(_("Nothing is otherwise than before."))
    if "begins" in changes and data["begins"] < today:
        raise Refused(_("The first day lies in the past."))
    if "ends" in changes and data["ends"] < today:
        raise Refused(
            _("The last day lies in the past. To end the campaign now, close it or call it off.")
        )
    if data["ends"] < data["begins"]:
        raise Refused(_("The last day lies before the first."))
    return changes


def _campaign(programme: Programme, user: User) -> Text | None:
    if programme.kind != programme.Kind.CAMPAIGN:
        return _("Only a campaign is amended or called off: a list is as it was handed down.")
    return None


def _all_cleared(programme: Programme, user: User) -> Text | None:
    left = programme.items.filter(case__closed__isnull=True).count()
    return _("%d items are not cleared yet.") % left if left else None


def _end(programme: Programme, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"closed": now, "conclusion": data["text"]}


def _stop(programme: Programme, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"closed": now}


CAMPAIGN = Flow(
    name="campaign",
    label=_("List or campaign"),
    action="campaign.manage",
    known_to=frozenset(),
    states=(
        State(RUNNING, _("Under way"), Role.DISPATCHER),
        State(CLOSED, _("Closed"), colour="normal"),
        State(CALLED_OFF, _("Called off"), colour="offline"),
    ),
    opening=Transition(
        "begin", _("Entered"), (), RUNNING, CITY,
        (
            Field("title", _("Title"), "line"),
            Field("begins", _("First day"), "date"),
            Field("ends", _("Last day"), "date"),
            Field("lead", _("Leading department"), "choice", choices=_leads),
            Field("plan", _("Aim and plan"), required=False),
        ),
    ),
    transitions=(
        Transition(
            "team", _("Team named"), (RUNNING,), None, CITY,
            (
                Field("name", _("Name"), "line"),
                Field("region", _("Region"), _region, required=False),
                Field("members", _("Members"), _members),
                Field("text", pgettext_lazy("act", "Reason"), _reason),
            ),
            guard=_campaign,
        ),
        Transition(
            "untie", _("Team taken out"), (RUNNING,), None, CITY,
            (Field("text", pgettext_lazy("act", "Reason"), _reason),),
            guard=_campaign, tone="danger",
        ),
        Transition(
            "amend", _("Amend the plan"), (RUNNING,), None, CITY,
            (
                Field("plan", _("Aim and plan"), required=False, initial=_was("text")),
                Field(
                    "checklist", _("What is checked (one line each)"), required=False,
                    initial=_was("checklist"),
                    help=_("Inspections that are planned already keep the lines of their day."),
                ),
                Field("begins", _("First day"), _first_day),
                Field("ends", _("Last day"), "date", initial=_was("ends")),
                Field("lead", _("Leading department"), "choice", choices=_leads, initial=_was("lead")),
                Field(
                    "regions", _("Regions"), "choices", required=False, choices=_regions,
                    initial=_was("regions"), help=_("None chosen: the whole city."),
                ),
                Field(
                    "matters", _("Matters"), "choices", required=False,
                    choices=lambda programme: [*matter_choices()],
                    initial=_was("matters"), help=_("None chosen: all matters."),
                ),
                Field("text", _("Why it is amended")),
            ),
            guard=_campaign, effect=_amended,
            help=_("What was before stays readable; the teams and the leading department are told."),
        ),
        Transition(
            "conclude", _("Close with a conclusion"), (RUNNING,), CLOSED, CITY,
            (Field("text", _("Conclusion"), _conclusion),), guard=_all_cleared, effect=_end,
        ),
        Transition(
            "call_off", _("Call the campaign off"), (RUNNING,), CALLED_OFF, CITY,
            (
                Field("text", _("Why it is called off")),
                Field("sure", _("I know that it cannot be taken up again"), "bool"),
            ),
            guard=_campaign, effect=_stop, tone="danger",
            help=_(
                "The campaign ends today. Inspections that are open stay with those who have them,"
                " who carry them out or cancel them; nothing more is planned for it."
            ),
        ),
    ),
)  # fmt: skip
