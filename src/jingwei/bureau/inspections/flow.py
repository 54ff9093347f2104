"""The inspection (现场检查): planned → team → on the spot → signed record → findings → published.

What happens on the spot is written by the phone page (`services`); its end, the signed record,
is the act "sign", which the kernel takes from there alone.

The case's own deadline is the end of the planned day; it runs while a team is set and has not begun,
and is reckoned anew when the day is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import Role
from jingwei.bureau.cases.flow import Field, Flow, Limit, State, Text, Transition

if TYPE_CHECKING:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case, CaseEvent

NAME = "inspection"
PLANNERS = frozenset({Role.DISPATCHER, Role.DISTRICT})
INSPECTORS = frozenset({Role.DISTRICT, Role.GRID})
ON_THE_SPOT = ("ready", "spot")


def _origins(case: Case | None) -> list[tuple[str, Text]]:
    from jingwei.bureau.inspections.models import Origin

    return [(o.value, o.label) for o in Origin]


def _people(case: Case | None) -> list[tuple[str, Text]]:
    from jingwei.bureau.inspections.selectors import able

    return [(i.code, str(i)) for i in able(case)] if case else []


def _proposed(case: Case | None) -> list[str]:
    from jingwei.bureau.inspections.selectors import proposed_team

    return proposed_team(case)


def _on(day: date) -> dict[str, Any]:
    """What follows from the planned day: the deadline for beginning, and how it is reckoned."""
    due = timezone.make_aware(datetime.combine(day, time(23, 59, 59)))
    step = {
        "due": due.isoformat(),
        "zh": f"计划检查日期为{day:%Y-%m-%d}，应在当日结束前开始现场检查",
        "en": f"Planned for {day:%Y-%m-%d}: to be begun on the spot before the end of that day",
    }
    return {"due": due, "derivation": [step]}


def _planned(day: date, now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.errors import Refused

    if day < timezone.localdate(now):
        raise Refused(_("The planned day lies in the past: choose today or a later day."))
    return _on(day)


def _open(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.errors import Refused
    from jingwei.bureau.inspections.models import Origin

    if data["origin"] == Origin.RANDOM and not case.detail.get("draw"):
        raise Refused(_("Double random inspections are planned from a published or finished draw."))
    detail = {"origin": data["origin"], "day": data["day"].isoformat()}
    said = {"title": data["title"], "text": data["text"], "detail": detail}
    return said | _planned(data["day"], now)


def _team(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.inspections.selectors import check_team

    # Inspections of before the planned day was a deadline have none yet.
    due = {} if case.due else _on(date.fromisoformat(case.detail["day"]))
    return due | {"detail": {"team": check_team(case, data["team"])}}


def _reschedule(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    found: dict[str, Any] = {"detail": {"day": data["day"].isoformat()}} | _planned(
        data["day"], now
    )
    if case.state == "ready":  # those of before had a level clock here
        found |= {"level_due": None, "level_derivation": []}
    return found


def _tell(event: CaseEvent, case: Case) -> None:
    from jingwei.bureau.inspections.telling import told

    told(event, case)


def _start(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": {"started": now.isoformat()}}


def _sign(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"issued": now, "detail": {"record": data["digest"], "problems": int(data["problems"])}}


def _conclude(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": {"result": "none"}}


def _problems(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": {"result": "problems"}}


def _hand_over(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.inspections.services import report

    return {"detail": {"finding": report(case, data["text"], now), "handed": data["to"]}}


def _publish(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": {"published": now.isoformat()}}


def _close(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"closed": now}


def _cancel(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.findings.services import release

    release(case.findings.all())
    return {"closed": now}


def _in_team(case: Case, user: User) -> Text | None:
    inspector = getattr(user, "inspector", None)
    if inspector is None or inspector.code not in case.detail.get("team", []):
        return _("Only the inspectors of this inspection's team may do this.")
    return None


def _with_record(case: Case, user: User) -> Text | None:
    from jingwei.bureau.inspections.selectors import record_of

    if record_of(case) is None:
        return _("The record is signed on the page for the spot.")
    return _in_team(case, user)


def _no_problem(case: Case, user: User) -> Text | None:
    if case.detail.get("problems"):
        return _("The signed record names problems: they must be handed over.")
    return None


REASON = Field("text", pgettext_lazy("act", "Reason"))
REMARK = Field("text", _("Remark"), required=False)
TEAM = Field(
    "team", _("Inspectors"), "choices", choices=_people, initial=_proposed,
    help=_("At least two; who is recused, not qualified or outside the jurisdiction is not offered."),
)  # fmt: skip


def _targets(case: Case | None) -> list[tuple[str, Text]]:
    return [("order", _("Supervision order")), ("penalty", _("Penalty"))]


INSPECTION = Flow(
    name=NAME,
    label=_("Inspection on the spot"),
    task=_("What is inspected"),
    states=(
        State("planned", _("Team to be set"), (Role.DISTRICT, Role.DISPATCHER), Limit(days=5), issued=False),
        State("ready", _("Team set"), (Role.DISTRICT, Role.GRID), business=True, issued=False),
        State("spot", _("On the spot"), (Role.DISTRICT, Role.GRID), Limit(days=2), issued=False),
        State("signed", _("Record signed"), (Role.DISTRICT,), Limit(days=3)),
        State("found", _("Problems found"), (Role.DISTRICT,), Limit(days=5), colour="abnormal"),
        State("concluded", _("To be published"), (Role.DISPATCHER,), Limit(days=20)),
        State(
            "published", _("Result published"), (Role.DISPATCHER,), Limit(days=20), colour="normal"
        ),
        State("closed", _("Closed"), colour="normal"),
        State("cancelled", _("Cancelled"), issued=False, colour="offline"),
    ),
    opening=Transition(
        "open", _("Planned"), (), "planned", PLANNERS,
        (
            Field("title", _("Title"), "line"),
            Field("origin", _("Kind of inspection"), "choice", choices=_origins),
            Field("day", _("Planned for"), "date"),
            Field("text", _("What is to be looked at"), required=False),
        ),
        effect=_open, internal=True,
    ),
    transitions=(
        Transition(
            "set_team", _("Set the team"), ("planned",), "ready", PLANNERS, (TEAM,),
            effect=_team, internal=True, tone="primary",
        ),
        Transition(
            "change_team", _("Change the team"), ("ready",), None, PLANNERS, (TEAM, REASON),
            effect=_team, internal=True,
        ),
        Transition(
            "reschedule", _("Change the day"), ("planned", "ready"), None, PLANNERS,
            (
                Field(
                    "day", _("Planned for"), "date",
                    initial=lambda case: case.detail["day"] if case else None,
                ),
                REASON,
            ),
            effect=_reschedule, internal=True, help=_("The team is told."),
        ),
        Transition(
            "start", _("Begin on the spot"), ("ready",), "spot", INSPECTORS, (),
            guard=_in_team, effect=_start, internal=True,
            help=_("The page for the spot begins by itself with the first answer."),
        ),
        Transition(
            "sign", _("Record signed"), ("spot",), "signed", INSPECTORS,
            (
                Field("digest", _("SHA-256 of the record"), "line"),
                Field("problems", _("Number of problems"), "line"),
            ),
            guard=_with_record, effect=_sign,
        ),
        Transition(
            "none", _("No problem found"), ("signed",), "concluded", frozenset({Role.DISTRICT}),
            (REMARK,), guard=_no_problem, effect=_conclude, tone="primary",
        ),
        Transition(
            "problems", _("Problems found"), ("signed",), "found", frozenset({Role.DISTRICT}),
            (Field("text", _("What was found")),), effect=_problems, tone="danger",
        ),
        Transition(
            "hand_over", _("Hand over"), ("found",), "concluded", frozenset({Role.DISTRICT}),
            (
                Field("to", _("Proposed for"), "choice", choices=_targets),
                Field("text", _("What is handed over")),
            ),
            effect=_hand_over, internal=True, tone="primary",
            help=_("A finding is made of it; the case or the penalty is opened from there."),
        ),
        Transition(
            "publish", _("Publish the result"), ("concluded",), "published",
            frozenset({Role.DISPATCHER}), (REMARK,), effect=_publish, tone="primary",
        ),
        Transition(
            "close", _("Close"), ("published",), "closed", frozenset({Role.DISPATCHER}),
            (REMARK,), effect=_close, tone="primary",
        ),
        Transition(
            "cancel", _("Cancel"), ("planned", "ready"), "cancelled", PLANNERS, (REASON,),
            effect=_cancel, internal=True, tone="danger",
        ),
    ),
    escalation=((1, None), (2, Limit(days=2))),
    action="inspection.plan",
    needs_enterprise=True,
    known_to=frozenset({Role.ENTERPRISE}),
    submit=_("Plan the inspection"),
    panel="inspections/panel.html",
    panel_context=lambda case, user: _panel(case, user),
    documents=lambda case, user: _papers(case, user),
    tell=_tell,
)  # fmt: skip


def _panel(case: Case, user: User) -> dict[str, Any]:
    from jingwei.bureau.inspections.selectors import panel

    return panel(case, user)


def _papers(case: Case, user: User) -> list[tuple[str, Text]]:
    from jingwei.bureau.inspections.selectors import goes, record_of

    papers: list[tuple[str, Text]] = []
    if goes(case, user):
        papers.append(("inspections:spot", _("Page for the spot")))
    if record_of(case) is not None:
        papers.append(("inspections:record", _("The record as a document")))
    return papers
