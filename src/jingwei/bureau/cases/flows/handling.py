"""From finding to closure (案件办理): triage, dispatch, investigation, rectification, verification,
closure, look-back.

The department that leads (`case.department`) is a district centre or a department of the city; it
may pass the case on with reasons, and a department refuses it only with reasons. The third move
goes to the coordinator, whose decision ends the passing on. `detail` holds: `moves` (from, to,
reason of each), `settled` (the coordinator has decided), `verdict` (what a detection turned out
to be), `looks` (days after closure at which somebody looked back), `cause` (as it was written),
`cause_code` (of `standards.causes`) and `measures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import Role
from jingwei.bureau.cases import drafts
from jingwei.bureau.cases.flow import Field, Flow, Limit, State, Text, Transition
from jingwei.bureau.cases.flows.order import (
    CAUSE,
    CAUSE_KNOWN,
    CITY,
    GRID,
    PHOTOS,
    POSITION,
    REASON,
    REMARK,
    cause_known,
    extend,
)
from jingwei.bureau.cases.pauses import suspension

if TYPE_CHECKING:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case

BUREAU = frozenset({Role.DISPATCHER, Role.DISTRICT})
LEAD = frozenset({Role.DISTRICT, Role.DEPARTMENT})
HANDLERS = LEAD | GRID | CITY
MOVES = 2  # how often a case is passed on among departments before the coordinator decides
LOOKS = (30, 90, 180)  # days after closure
# Findings that a detector made: what they turned out to be teaches the detector.
DETECTED = ("exceedance", "falsification", "offline", "power", "air_hotspot", "water", "satellite")
VERDICTS: tuple[tuple[str, Text], ...] = (
    ("confirmed", _("Confirmed: a real problem of pollution")),
    ("falsified", _("Falsified data or treatment")),
    ("fault", _("Fault of an instrument or of communication")),
    ("maintenance", _("Maintenance, calibration or start-up")),
    ("production", _("Change of production")),
    ("other", _("Other cause, no problem")),
)
FILES = Field(
    "files", _("Files"), "files", required=False,
    help=_("Photos or PDF; at most 10 files of 15 MB each."),
)  # fmt: skip


# --- choices ---------------------------------------------------------------------------------


def leads(case: Case | None) -> list[tuple[int, Text]]:
    """The departments that may lead: district centres and departments of the city."""
    from jingwei.bureau.accounts.selectors import department_label
    from jingwei.bureau.cases.selectors import may_lead

    return [(d.pk, department_label(d)) for d in may_lead()]


def _others(case: Case | None) -> list[tuple[int, Text]]:
    return [(pk, label) for pk, label in leads(case) if case is None or pk != case.department_id]


class _Said:
    """A text that is worked out when it is shown: Django's lazy ones are asked by every bound form
    whether they are empty."""

    def __init__(self, say: Callable[[], str]) -> None:
        self.say = say

    def __str__(self) -> str:
        return self.say()


def _lead(field: Field, case: Case | None) -> forms.Field:
    """Begins with whom the dispatch rules name, and says why."""
    from jingwei.bureau.cases.selectors import suggested_lead

    @cache
    def proposed() -> tuple[int | None, str]:  # only where the form is shown
        department, why = suggested_lead(case) if case else (None, "")
        return (department.pk if department else None), why

    return forms.TypedChoiceField(
        label=field.label,
        help_text=_Said(lambda: proposed()[1]),
        coerce=int,
        choices=[("", "—"), *leads(case)],
        initial=lambda: proposed()[0],
    )


def _verdict(field: Field, case: Case | None) -> forms.Field:
    """Asked wherever a detector made a finding of the case."""
    from jingwei.bureau.cases.selectors import kinds_in

    detected = case is None or bool({*DETECTED} & {*kinds_in(case.pk)})
    return forms.ChoiceField(
        label=field.label,
        help_text=field.help,
        required=detected,
        choices=[("", "—"), *VERDICTS],
    )


def _first_deadline(field: Field, case: Case | None) -> forms.Field:
    """Asked once: a case that comes back to be dispatched again keeps its deadline."""
    if case is not None and case.due:
        return forms.IntegerField(
            label=field.label,
            required=False,
            disabled=True,
            help_text=_("The deadline that was set first goes on."),
        )
    return forms.IntegerField(
        label=field.label, help_text=field.help, min_value=1, max_value=180, initial=10
    )


# --- guards ----------------------------------------------------------------------------------


def _moves(case: Case) -> int:
    return len(case.detail.get("moves", ()))


def _settled(case: Case) -> Text | None:
    if case.detail.get("settled"):
        return _("The coordinator has decided who handles the case.")
    return None


def _may_pass(case: Case, user: User) -> Text | None:
    if _moves(case) >= MOVES:
        return _("It was passed on twice already: it now goes to the coordinator.")
    return _settled(case)


def _must_rise(case: Case, user: User) -> Text | None:
    if _moves(case) < MOVES:
        return _("It goes to the coordinator only when it was passed on twice.")
    return _settled(case)


def _first_hand(case: Case, user: User) -> Text | None:
    if _moves(case):
        return _("It was passed on to you by a department: give it back to that one.")
    return _settled(case)


def _second_hand(case: Case, user: User) -> Text | None:
    return _may_pass(case, user) if _moves(case) else _("It came from the dispatcher.")


def _other_person(case: Case, user: User) -> Text | None:
    """Who rectified does not verify, whatever role the person has got since."""
    if case.events.filter(transition="rectified", actor=user).exists():
        return _("Another person than the one who rectified must verify.")
    return None


# --- effects ---------------------------------------------------------------------------------


def _to_city(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.selectors import centre

    return {"department_id": centre().pk}


def _open(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"title": data["title"], "text": data["text"], **_to_city(case, data, now)}


def _dispatch(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.deadlines import deadline
    from jingwei.bureau.cases.selectors import snapshot

    changes: dict[str, Any] = {"department_id": data["department"]}
    if case.due is None:  # the business clock starts once
        due, derivation = deadline(now, Limit(days=data["days"]))
        changes |= {"issued": now, "due": due, "derivation": derivation, "facts": snapshot(case)}
    return changes


def _move(case: Case, to: int | None, reason: str) -> dict[str, Any]:
    move = {"from": case.department_id, "to": to, "reason": reason}
    return {"moves": [*case.detail.get("moves", ()), move]}


def _transfer(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    to = data["department"]
    return {"department_id": to, "detail": _move(case, to, data["text"])}


def _give_back(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    to = case.detail["moves"][-1]["from"]
    return {"department_id": to, "detail": _move(case, to, data["text"])}


def _rise(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    detail = _move(case, None, data["text"])
    return {"detail": {**detail, "wants": data.get("department")}}


def _assign(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"department_id": data["department"], "detail": {"settled": True}}


def _join(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"party_ids": [pk for pk in data["departments"] if pk != case.department_id]}


def _found(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "detail": {
            "verdict": data["verdict"] or None,
            "cause": data["text"],
            "cause_code": data["cause_code"],
        }
    }


def _rectified(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": {"measures": data["text"]}}


def next_look(closed: datetime, done: int) -> datetime | None:
    """When to look back next: at 09:00 of the 30th, 90th, 180th day after closure."""
    if done >= len(LOOKS):
        return None
    day = timezone.localtime(closed).date() + timedelta(days=LOOKS[done])
    return timezone.make_aware(datetime.combine(day, time(9)))


def _close(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    detail = {"looks": [], **cause_known(data)}
    return {"closed": now, "detail": detail, "wake_at": next_look(now, 0)}


def _held(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    done = [*case.detail["looks"], LOOKS[len(case.detail["looks"])]]
    return {"detail": {"looks": done}, "wake_at": next_look(case.closed, len(done))}


def _end(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"closed": now}


def _again(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The deadline of old is over: a reopened case gets a new one. One that was dismissed while
    nobody led it, never dispatched or refused, comes to the district centre of its place."""
    from jingwei.bureau.accounts.models import Department
    from jingwei.bureau.cases.deadlines import deadline
    from jingwei.bureau.cases.selectors import district_of, snapshot

    due, derivation = deadline(now, Limit(days=data["days"]))
    changes = {"closed": None, "wake_at": None, "due": due, "derivation": derivation}
    if case.issued is None:
        changes |= {"issued": now, "facts": snapshot(case)}
    if case.department.kind == Department.Kind.CITY:
        changes["department_id"] = district_of(case.region_id).pk
    return changes


def _panel(case: Case, user: User) -> dict[str, Any]:
    from jingwei.bureau.cases.selectors import handling

    return handling(case, user)


# --- the flow --------------------------------------------------------------------------------

DAYS = Field(
    "days", _("Deadline (working days)"), _first_deadline,
    help=_("The case must be rectified by the end of that working day."),
)  # fmt: skip
LEADER = Field("department", _("Responsible department"), _lead)
OTHER = Field("department", _("Department that should handle it"), "department", choices=_others)
BEFORE = ("triage", "dispatched", "disputed", "investigating", "unfounded", "rectifying",
          "rectified", "verified", "looking_back", "relapsed")  # fmt: skip

HANDLING = Flow(
    name="handling",
    label=_("Case handling"),
    states=(
        State("triage", _("To be dispatched"), Role.DISPATCHER, Limit(hours=8), issued=False),
        State(
            "dispatched", _("To be signed for"), (Role.DISTRICT, Role.DEPARTMENT), Limit(hours=8),
            business=True, lead=True,
        ),
        State("disputed", _("To be coordinated"), Role.DISPATCHER, Limit(days=1), business=True),
        State(
            "investigating", _("Being investigated"), (Role.DISTRICT, Role.DEPARTMENT),
            Limit(days=5), business=True, lead=True,
        ),
        State("unfounded", _("No problem found, to be confirmed"), Role.DISPATCHER, Limit(days=2)),
        State(
            "rectifying", _("Being rectified"), (Role.DISTRICT, Role.DEPARTMENT), business=True,
            lead=True,
        ),
        State("rectified", _("To be verified on the spot"), Role.GRID, Limit(days=3)),
        State("verified", _("To be closed"), Role.DISPATCHER, Limit(days=2)),
        State("closed", _("Closed"), colour="normal"),
        State("looking_back", _("Look-back due"), Role.GRID, Limit(days=5)),
        State("relapsed", _("Problem is back, to be decided"), Role.DISPATCHER, Limit(days=1)),
        State("dismissed", _("Closed without a problem"), colour="offline"),
    ),
    opening=Transition(
        "open", _("Opened"), (), "triage", BUREAU,
        (
            Field("title", _("Title"), "line"),
            Field("text", _("What is to be looked into")),
        ),
        effect=_open, internal=True,
        help=_("Handled by a district or a department, verified by a grid officer, looked back at."),
    ),
    transitions=(
        Transition(
            "dispatch", _("Dispatch"), ("triage",), "dispatched", CITY,
            (LEADER, DAYS, REMARK), effect=_dispatch, tone="primary",
        ),
        Transition(
            "dismiss", _("Nothing to be done"), ("triage",), "dismissed", CITY, (REASON,),
            effect=_end, tone="danger", internal=True,
        ),
        Transition(
            "sign", _("Sign for"), ("dispatched",), "investigating", LEAD, (REMARK,), only="lead",
            tone="primary",
        ),
        Transition(
            "refuse", _("Refuse: not ours"), ("dispatched",), "triage", LEAD, (REASON,),
            only="lead", guard=_first_hand, effect=_to_city, tone="danger",
        ),
        Transition(
            "give_back", _("Refuse: back to the department before"), ("dispatched",),
            "dispatched", LEAD, (REASON,), only="lead", guard=_second_hand, effect=_give_back,
            tone="danger",
        ),
        Transition(
            "dispute", _("Refuse: to the coordinator"), ("dispatched",), "disputed", LEAD,
            (REASON,), only="lead", guard=_must_rise, effect=_rise, tone="danger",
        ),
        Transition(
            "transfer", _("Pass on to another department"), ("dispatched", "investigating"),
            "dispatched", LEAD, (OTHER, REASON), only="lead", guard=_may_pass, effect=_transfer,
        ),
        Transition(
            "coordinate", _("Pass on: to the coordinator"), ("investigating",), "disputed", LEAD,
            (OTHER, REASON), only="lead", guard=_must_rise, effect=_rise,
        ),
        Transition(
            "assign", _("Decide who handles it"), ("disputed",), "dispatched", CITY,
            (Field("department", _("Responsible department"), "department", choices=leads), REASON),
            effect=_assign, tone="primary",
        ),
        Transition(
            "join", _("Joint handling"), ("dispatched", "investigating", "rectifying"), None,
            LEAD | CITY,
            (
                Field(
                    "departments", _("Departments that take part"), "departments",
                    choices=_others, required=False,
                    initial=lambda case: case.party_ids if case else [],
                    help=_("They see the case and add what they did; the lead stays responsible."),
                ),
                REASON,
            ),
            only="lead", effect=_join,
        ),
        Transition(
            "contribute", _("What we did"), ("investigating", "rectifying"), None, LEAD,
            (Field("text", _("Findings and measures of your department")), FILES),
            only="joint", locks=False,
        ),
        Transition(
            "found", _("Problem confirmed, rectification ordered"), ("investigating",),
            "rectifying", LEAD,
            (
                Field("text", _("What was found, and its cause")),
                CAUSE,
                Field(
                    "verdict", _("What the detection turned out to be"), _verdict,
                    help=_("The detectors are calibrated by it."),
                ),
                FILES,
            ),
            only="lead", effect=_found, tone="primary",
        ),
        Transition(
            "nothing", _("No problem found"), ("investigating",), "unfounded", LEAD,
            (
                Field("text", _("What was looked at, and what explains the finding")),
                CAUSE,
                Field("verdict", _("What the detection turned out to be"), _verdict),
                FILES,
            ),
            only="lead", effect=_found,
        ),
        Transition(
            "confirm", _("Confirm: no problem"), ("unfounded",), "dismissed", CITY, (REMARK,),
            effect=_end, tone="primary",
        ),
        Transition(
            "look_again", _("Investigate again"), ("unfounded",), "investigating", CITY, (REASON,),
            tone="danger",
        ),
        Transition(
            "rectified", _("Report the rectification"), ("rectifying",), "rectified", LEAD,
            (Field("text", _("Measures taken and their effect")), FILES), only="lead",
            effect=_rectified, tone="primary",
        ),
        Transition(
            "verify", _("Verified: rectified"), ("rectified",), "verified", GRID,
            (PHOTOS, REMARK, POSITION), guard=_other_person, tone="primary",
        ),
        Transition(
            "reject", _("Not rectified"), ("rectified",), "rectifying", GRID,
            (PHOTOS, Field("text", _("What is still wrong")), POSITION), guard=_other_person,
            tone="danger",
        ),
        Transition(
            "close", _("Close the case"), ("verified",), "closed", CITY,
            (Field("text", _("Conclusion")), CAUSE_KNOWN), effect=_close, tone="primary",
            help=_("Look-backs follow 30, 90 and 180 days later."),
        ),
        Transition(
            "return", _("Return for more rectification"), ("verified",), "rectifying", CITY,
            (REASON,), tone="danger",
        ),
        Transition(
            "look_back", _("Look-back due"), ("closed",), "looking_back", frozenset(), clock=True,
        ),
        Transition(
            "held", _("Looked back: it holds"), ("looking_back",), "closed", GRID,
            (PHOTOS, REMARK, POSITION), effect=_held, guard=_other_person, tone="primary",
        ),
        Transition(
            "relapse", _("Looked back: the problem is back"), ("looking_back",), "relapsed", GRID,
            (PHOTOS, Field("text", _("What is wrong again")), POSITION), guard=_other_person,
            tone="danger",
        ),
        Transition(
            "overrule", _("No relapse"), ("relapsed",), "closed", CITY, (REASON,), effect=_held,
        ),
        Transition(
            "reopen", _("Reopen"), ("closed", "dismissed", "relapsed"), "investigating", CITY,
            (
                Field("days", _("New deadline (working days)"), "days", initial=lambda case: 10),
                REASON,
            ),
            effect=_again, reopens=True, tone="danger",
        ),
        *suspension(("dispatched", "disputed", "investigating", "rectifying"), CITY),
        Transition(
            "extend", _("Extend the deadline"), ("dispatched", "investigating", "rectifying"), None,
            CITY, (Field("days", _("By (working days)"), "days", initial=lambda case: 5), REASON),
            effect=extend,
        ),
        Transition(
            "comment", _("Comment"), BEFORE, None, HANDLERS,
            (Field("text", _("Comment"), help=_("All parties to the case can read it.")), FILES),
            locks=False,
        ),
    ),
    escalation=((1, None), (2, Limit(days=2)), (3, Limit(days=5))),
    action="case.handle",
    needs_findings=True,
    known_to=frozenset({Role.DEPARTMENT}),
    draft=drafts.handling,
    submit=_("Open the case"),
    task=_("What is to be looked into"),
    counts={
        "transfers": ("transfer", "give_back", "refuse", "dispute", "coordinate"),
        "returns": ("reject", "return", "look_again"),
        "reported": ("rectified", "nothing"),
    },
    panel="cases/handling.html",
    panel_context=_panel,
)  # fmt: skip
