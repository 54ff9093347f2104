"""The electronic supervision order (督办单): city → district → enterprise → grid and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.access import Role
from jingwei.bureau.cases import drafts
from jingwei.bureau.cases.flow import Field, Flow, Limit, State, Text, Transition
from jingwei.bureau.cases.pauses import suspension

if TYPE_CHECKING:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case

CITY = frozenset({Role.DISPATCHER})
DISTRICT = frozenset({Role.DISTRICT})
GRID = frozenset({Role.GRID})
ENTERPRISE = frozenset({Role.ENTERPRISE})
PARTIES = CITY | DISTRICT | GRID | ENTERPRISE | {Role.DEPARTMENT}


def _of(attribute: str) -> Any:
    return lambda case: getattr(case, attribute) if case else ""


def _districts(case: Case | None) -> list[tuple[str, Text]]:
    from jingwei.bureau.cases.selectors import districts

    return [(r.pk, r.label) for r in districts() if case is None or r.pk != case.region_id]


def _write(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"title": data["title"], "text": data["text"], "basis": data["basis"]}


def _issue(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.deadlines import deadline
    from jingwei.bureau.cases.numbers import document_number
    from jingwei.bureau.cases.selectors import snapshot

    due, derivation = deadline(now, Limit(days=data["days"]))
    return {
        "number": document_number(now),
        "issued": now,
        "facts": snapshot(case),
        "due": due,
        "derivation": derivation,
    }


def extend(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.deadlines import deadline
    from jingwei.bureau.cases.errors import Refused

    due, derivation = deadline(case.due, Limit(days=data["days"]))
    if due <= now:
        raise Refused(_("The new deadline would be past already: give more working days."))
    return {"due": due, "derivation": case.derivation + derivation}


def _transfer(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.selectors import district_of

    return {"region_id": data["region"], "department_id": district_of(data["region"]).pk}


def _withdraw(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.findings.services import release

    if case.parent_id is None:  # else they stay with the case that took them
        release(case.findings.all())
    return {"closed": now}


def _close(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"closed": now}


def _not_own_work(case: Case, user: User) -> Text | None:
    """Who rectified does not verify, whatever role the person has got since."""
    if case.events.filter(transition="answer", actor=user).exists():
        return _("Another person than the one who rectified must verify.")
    return None


REASON = Field("text", pgettext_lazy("act", "Reason"))
REMARK = Field("text", _("Remark"), required=False)
PHOTOS = Field("photos", _("Photos taken on the spot"), "photos")
POSITION = Field("position", _("Position"), "position", required=False)
DOCUMENT = (
    Field("title", _("Title"), "line", initial=_of("title")),
    Field("text", _("What is to be done"), initial=_of("text")),
    Field("basis", _("Basis"), initial=_of("basis")),
)

ORDER = Flow(
    name="order",
    label=_("Electronic supervision order"),
    states=(
        State("draft", _("Draft"), Role.DISPATCHER, Limit(days=3), issued=False, colour="offline"),
        State("issued", _("To be signed for"), Role.DISTRICT, Limit(hours=8), business=True),
        State("rectifying", _("Being rectified"), Role.ENTERPRISE, business=True),
        State("answered", _("To be verified on the spot"), Role.GRID, Limit(days=3)),
        State("verified", _("To be accepted"), Role.DISTRICT, Limit(days=2)),
        State("accepted", _("To be closed"), Role.DISPATCHER, Limit(days=2)),
        State("closed", _("Closed"), colour="normal"),
        State("withdrawn", _("Withdrawn"), issued=False, colour="offline"),
    ),
    opening=Transition(
        "open", _("Opened"), (), "draft", CITY, DOCUMENT, effect=_write, internal=True,
        help=_("First a draft, seen by the bureau alone; it goes out when it is issued."),
    ),
    transitions=(
        Transition(
            "issue",
            _("Issue"),
            ("draft",),
            "issued",
            CITY,
            (
                Field(
                    "days",
                    _("Deadline (working days)"),
                    "days",
                    help=_("The order must be answered by the end of that working day."),
                    initial=lambda case: 10,
                ),
            ),
            effect=_issue,
            tone="primary",
        ),
        Transition(
            "amend", _("Amend the draft"), ("draft",), None, CITY, DOCUMENT, effect=_write,
            internal=True,
        ),
        Transition(
            "withdraw", _("Withdraw the draft"), ("draft",), "withdrawn", CITY, (REASON,),
            effect=_withdraw, internal=True, tone="danger",
            help=_("The findings go back to the stream."),
        ),
        Transition(
            "sign", _("Sign for"), ("issued",), "rectifying", DISTRICT, (REMARK,), tone="primary"
        ),
        Transition(
            "answer",
            _("Answer the order"),
            ("rectifying",),
            "answered",
            ENTERPRISE,
            (
                Field("text", _("Cause found and measures taken")),
                Field(
                    "files", _("Supporting files"), "files", required=False,
                    help=_("Photos or PDF; at most 10 files of 15 MB each."),
                ),
            ),
            tone="primary",
        ),
        Transition(
            "verify", _("Verified: rectified"), ("answered",), "verified", GRID,
            (PHOTOS, REMARK, POSITION), guard=_not_own_work, tone="primary",
        ),
        Transition(
            "reject", _("Not rectified"), ("answered",), "rectifying", GRID,
            (PHOTOS, Field("text", _("What is still wrong")), POSITION),
            guard=_not_own_work, tone="danger",
        ),
        Transition(
            "accept", pgettext_lazy("order", "Accept"), ("verified",), "accepted", DISTRICT,
            (REMARK,), tone="primary",
        ),
        Transition(
            "send_back", _("Send back to the enterprise"), ("verified",), "rectifying", DISTRICT,
            (REASON,), tone="danger",
        ),
        Transition(
            "close", _("Close the case"), ("accepted",), "closed", CITY,
            (Field("text", _("Conclusion")),), effect=_close, tone="primary",
        ),
        Transition(
            "return", _("Return to the district"), ("accepted",), "verified", CITY, (REASON,),
            tone="danger",
        ),
        Transition(
            "extend", _("Extend the deadline"), ("issued", "rectifying"), None, CITY,
            (
                Field("days", _("By (working days)"), "days", initial=lambda case: 5),
                REASON,
            ),
            effect=extend,
        ),
        *suspension(("issued", "rectifying"), CITY),
        Transition(
            "transfer", _("Transfer to another district"), ("issued", "rectifying"), "issued",
            CITY | DISTRICT,
            (Field("region", _("District"), "choice", choices=_districts), REASON),
            effect=_transfer,
        ),
        Transition(
            "comment", _("Comment"),
            ("draft", "issued", "rectifying", "answered", "verified", "accepted"),
            None, PARTIES,
            (
                Field("text", _("Comment"), help=_("All parties to the case can read it.")),
                Field("files", _("Files"), "files", required=False),
            ),
            locks=False,
        ),
    ),
    escalation=((1, None), (2, Limit(days=2))),
    needs_findings=True,
    needs_enterprise=True,
    draft=drafts.order,
    submit=_("Save the draft"),
    documents=(("cases:order", _("The order as a document")),),
)  # fmt: skip
