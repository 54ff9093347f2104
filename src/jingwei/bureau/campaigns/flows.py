"""Two flows: an item of a rectification list (整改事项), and four-step supervision (四步法).

An item is handed to a lead department with a deadline, a responsible leader, measures and
milestones; it is cleared when the city has verified it and a leader accepts it. `detail` holds
`item` (number in its list), `leader`, `target`, `measures`, `milestones` (text, day; `done`, the day
on which it was reported; `missed`, where its day passed before that), `left` (how many are open).
The case wakes at the end of the next open milestone's day.

Four steps: a hot spot that was located from afar is pushed to a district, investigated there,
rectified, and looked at again on a day set beforehand. `detail` holds `found`, `cause`,
`followup` (day).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import Role
from jingwei.bureau.cases.flow import ANSWERED, Field, Flow, Limit, State, Text, Transition
from jingwei.bureau.cases.flows.order import CAUSE_KNOWN, cause_known

if TYPE_CHECKING:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case

CITY = frozenset({Role.DISPATCHER})
LEADER = frozenset({Role.LEADER})
LEAD = frozenset({Role.DISTRICT, Role.DEPARTMENT})
DISTRICT = frozenset({Role.DISTRICT})
SPOT = frozenset({Role.DISTRICT, Role.GRID})
# What is located from afar: by stations and traces, by satellite, as a fire point, on images.
HOT = frozenset({"air_hotspot", "satellite", "fire", "bare_land"})

REASON = Field("text", pgettext_lazy("act", "Reason"))
REMARK = Field("text", _("Remark"), required=False)
EVIDENCE = Field(
    "files", _("Files"), "files", required=False,
    help=_("Photos or PDF; at most 10 files of 15 MB each."),
)  # fmt: skip
PHOTOS = Field("photos", _("Photos taken on the spot"), "photos")


# What the page behind the link of a shared case asks of the neighbour.
ANSWER = Transition(
    ANSWERED, _("Reply"), (), None, frozenset(),
    (
        Field("name", _("Your name and office"), "line"),
        Field("text", _("Reply")),
        EVIDENCE,
    ),
)  # fmt: skip


# --- rectification ---------------------------------------------------------------------------


def _milestones(case: Case | None) -> list[tuple[str, Text]]:
    """Those that are not reached yet, by their place."""
    found = case.detail.get("milestones", []) if case else []
    return [(str(i), f"{m['day']} {m['text']}") for i, m in enumerate(found) if not m.get("done")]


def _some_left(case: Case, user: User) -> Text | None:
    return None if _milestones(case) else _("All milestones are reached.")


def _all_reached(case: Case, user: User) -> Text | None:
    if _milestones(case):
        return _("Milestones are still open: report them first.")
    return None


def _other_person(case: Case, user: User) -> Text | None:
    """Who reported does not verify, whatever role the person has got since."""
    if case.events.filter(transition__in=("report", "rectified"), actor=user).exists():
        return _("Another person than the one who rectified must verify.")
    return None


def _reached(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    reached = int(data["milestone"])
    day = timezone.localtime(now).date().isoformat()
    kept = [
        {**m, "done": day} if i == reached else m for i, m in enumerate(case.detail["milestones"])
    ]
    return _planned(kept)


def _missed(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Every open milestone whose day is over; after an outage several at once."""
    return _planned(
        [
            {**m, "missed": True} if not m.get("done") and _end(m) <= now else m
            for m in case.detail["milestones"]
        ]
    )


def _planned(milestones: list[dict[str, Any]]) -> dict[str, Any]:
    """What follows from the milestones as they are now."""
    left = [m for m in milestones if not m.get("done")]
    return {
        "wake_at": min((_end(m) for m in left if not m.get("missed")), default=None),
        "detail": {"milestones": milestones, "left": len(left)},
    }


def first_end(case: Case) -> datetime | None:
    """The end of the day of the first milestone that is open and not yet known to be missed."""
    at: datetime | None = _planned(case.detail.get("milestones", []))["wake_at"]
    return at


def _end(milestone: Mapping[str, Any]) -> datetime:
    return by_the_end_of(date.fromisoformat(milestone["day"]))[0]


def _reported(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": cause_known(data)}


def _extend(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.errors import Refused

    due, step = by_the_end_of(data["day"])
    if due <= max(now, case.due or now):
        raise Refused(_("The new day must lie behind the present deadline."))
    return {"due": due, "derivation": [*case.derivation, step]}


def by_the_end_of(day: Any) -> tuple[datetime, dict[str, Any]]:
    """The last moment of a local day, and the sentence that says where it came from."""
    end = timezone.make_aware(datetime.combine(day, time(23, 59, 59)))
    return end, {
        "due": end.isoformat(),
        "zh": f"清单规定的整改时限：{day:%Y-%m-%d}",
        "en": f"Deadline as the list gives it: {day:%Y-%m-%d}",
    }


def _open(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "title": data["title"],
        "text": data["text"],
        "basis": data["basis"],
        "issued": now,
        **_planned(case.detail.get("milestones", [])),
    }


def _close(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"closed": now}


RECTIFICATION = Flow(
    name="rectification",
    label=_("Item of a rectification list"),
    action="campaign.manage",
    known_to=frozenset({Role.DEPARTMENT}),
    states=(
        State("assigned", _("To be taken over"), (Role.DISTRICT, Role.DEPARTMENT), Limit(days=3), business=True, lead=True),
        State("rectifying", _("Being rectified"), (Role.DISTRICT, Role.DEPARTMENT), business=True, lead=True),
        State("reported", _("To be verified"), Role.DISPATCHER, Limit(days=10)),
        State("verified", _("To be accepted"), Role.LEADER, Limit(days=5)),
        State("cleared", _("Cleared"), colour="normal"),
    ),
    opening=Transition(
        "open", _("Entered"), (), "assigned", CITY,
        (Field("title", _("Title"), "line"), Field("text", _("Problem")), Field("basis", _("Basis"))),
        effect=_open, internal=True,
        help=_("Items are entered from a list: see Campaigns."),
    ),
    transitions=(
        Transition("take", _("Take over"), ("assigned",), "rectifying", LEAD, (REMARK,), tone="primary", only="lead"),
        Transition(
            "milestone", _("Report a milestone"), ("rectifying",), None, LEAD,
            (
                Field("milestone", _("Milestone"), "choice", choices=_milestones),
                Field("text", _("What was done")),
                EVIDENCE,
            ),
            guard=_some_left, effect=_reached, only="joint",
            asked=Q(detail__left__gt=0) | Q(detail__left__isnull=True),
        ),
        Transition(
            "missed", _("A milestone was missed"), ("assigned", "rectifying"), None, frozenset(),
            effect=_missed, clock=True, tells=LEADER,
        ),
        Transition(
            "report", _("Report as rectified"), ("rectifying",), "reported", LEAD,
            (Field("text", _("Cause found and measures taken")), CAUSE_KNOWN, EVIDENCE),
            guard=_all_reached, effect=_reported, tone="primary", only="lead",
        ),
        Transition(
            "verify", _("Verified: rectified"), ("reported",), "verified", CITY,
            (Field("text", _("How it was verified")), EVIDENCE), guard=_other_person, tone="primary",
        ),
        Transition(
            "return", _("Not rectified"), ("reported",), "rectifying", CITY,
            (Field("text", _("What is still wrong")), EVIDENCE), tone="danger",
        ),
        Transition(
            "accept", _("Accept and clear"), ("verified",), "cleared", LEADER,
            (Field("text", _("Conclusion")),), effect=_close, tone="primary",
        ),
        Transition("reject", _("Back to verification"), ("verified",), "reported", LEADER, (REASON,), tone="danger"),
        Transition(
            "extend", _("Extend the deadline"), ("assigned", "rectifying"), None, LEADER,
            (Field("day", _("New last day"), "date"), REASON), effect=_extend,
        ),
        Transition(
            "comment", _("Comment"), ("assigned", "rectifying", "reported", "verified"), None,
            LEAD | CITY | LEADER,
            (Field("text", _("Comment"), help=_("All parties to the case can read it.")), EVIDENCE),
            locks=False,
        ),
    ),
    escalation=((1, None), (2, Limit(days=2))),
    counts={"returns": ("return", "reject"), "reported": ("report",)},
    task=_("Problem"),
    panel="campaigns/item_panel.html",
    panel_context=lambda case, user: _item_panel(case, user),
)  # fmt: skip


def _item_panel(case: Case, user: User) -> dict[str, Any]:
    from jingwei.bureau.campaigns.selectors import panel

    return panel(case, user)


# --- four steps ------------------------------------------------------------------------------


def _push(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.deadlines import deadline

    due, derivation = deadline(now, Limit(days=data["days"]), since="issued")
    return {
        "title": data["title"],
        "text": data["text"],
        "issued": now,
        "due": due,
        "derivation": derivation,
    }


def _found(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    said = {"found": "source", "cause": data["cause"], **cause_known(data)}
    return {"detail": said}


def _nothing(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": {"found": "none"}, "closed": now}


def _watch(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    wake = now + timedelta(days=data["days"])
    day = timezone.localtime(wake).date().isoformat()
    return {"wake_at": wake, "detail": {"followup": day}}


def _awake(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"wake_at": None}


def _again(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.deadlines import deadline

    due, derivation = deadline(now, Limit(days=10), since="state")
    return {"due": due, "derivation": [*case.derivation, *derivation]}


def _draft(findings: Any) -> dict[str, Any]:
    first = findings[0] if findings else None
    return {"title": first.title, "text": first.next_check} if first else {}


FOUR_STEP = Flow(
    name="four_step",
    label=_("Four-step remote supervision"),
    needs_findings=True,
    kinds=HOT,
    known_to=frozenset(),
    states=(
        State("pushed", _("Pushed: to be signed for"), Role.DISTRICT, Limit(hours=8), business=True),
        State("investigating", _("Being investigated"), (Role.DISTRICT, Role.GRID), Limit(days=3), business=True),
        State("rectifying", _("Being rectified"), Role.DISTRICT, business=True),
        State("watching", _("Follow-up is scheduled"), Role.DISPATCHER, colour="normal"),
        State("followup", _("To be looked at again"), (Role.GRID, Role.DISTRICT), Limit(days=3)),
        State("closed", _("Closed"), colour="normal"),
    ),
    opening=Transition(
        "open", _("Push to the district"), (), "pushed", CITY,
        (
            Field("title", _("Title"), "line"),
            Field("text", _("What was located, and what to look for")),
            Field("days", _("Deadline (working days)"), "days", initial=lambda case: 10),
        ),
        effect=_push,
    ),
    transitions=(
        Transition("sign", _("Sign for"), ("pushed",), "investigating", DISTRICT, (REMARK,), tone="primary"),
        Transition(
            "found", _("Source found"), ("investigating",), "rectifying", SPOT,
            (
                Field("cause", _("Source and cause"), "line"),
                CAUSE_KNOWN,
                Field("text", _("What was found, and what is done")),
                PHOTOS,
                Field("position", _("Position"), "position", required=False),
            ),
            effect=_found, tone="primary",
        ),
        Transition(
            "nothing", _("Nothing found"), ("investigating",), "closed", SPOT,
            (Field("text", _("Where was looked, and why it is closed")), PHOTOS), effect=_nothing,
        ),
        Transition(
            "rectified", _("Rectified"), ("rectifying",), "watching", DISTRICT,
            (
                Field("text", _("Measures taken")),
                EVIDENCE,
                Field(
                    "days", _("Look again after (days)"), "days", initial=lambda case: 30,
                ),
            ),
            effect=_watch, tone="primary",
        ),
        Transition(
            "wake", _("The day of the follow-up has come"), ("watching",), "followup", frozenset(),
            effect=_awake, clock=True,
        ),
        Transition(
            "now", _("Look again now"), ("watching",), "followup", CITY, (REASON,), effect=_awake,
        ),
        Transition(
            "stays", _("It stays rectified"), ("followup",), "closed", SPOT, (PHOTOS, REMARK),
            guard=_other_person, effect=_close, tone="primary",
        ),
        Transition(
            "back", _("The problem is back"), ("followup",), "rectifying", SPOT,
            (PHOTOS, Field("text", _("What was found"))), effect=_again, tone="danger",
        ),
        Transition(
            "comment", _("Comment"), ("pushed", "investigating", "rectifying", "watching", "followup"),
            None, SPOT | CITY,
            (Field("text", _("Comment"), help=_("All parties to the case can read it.")), EVIDENCE),
            locks=False,
        ),
    ),
    escalation=((1, None), (2, Limit(days=2))),
    counts={"returns": ("back",), "reported": ("rectified",)},
    draft=_draft,
    submit=_("Push to the district"),
)  # fmt: skip
