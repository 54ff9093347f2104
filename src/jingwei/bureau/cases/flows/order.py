"""The electronic supervision order (督办单): city → district → enterprise → grid and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from jingwei.bureau.access import Role
from jingwei.bureau.cases import drafts, listing
from jingwei.bureau.cases.flow import Field, Flow, Limit, State, Text, Transition
from jingwei.bureau.cases.pauses import suspension
from jingwei.standards import causes

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

    due, derivation = deadline(now, Limit(days=data["days"]), since="issued")
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

    due, derivation = deadline(case.due, Limit(days=data["days"]), known=now, since="due")
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


def cause_known(data: Mapping[str, Any]) -> dict[str, Any]:
    """The coded cause as part of a case's `detail`, where one was chosen: what an earlier act
    said of it stays otherwise."""
    return {"cause_code": data["cause_code"]} if data.get("cause_code") else {}


def _close(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"closed": now, "detail": cause_known(data)}


# What a published order shows besides its number, district, dates and state.
PUBLIC_PARTS: tuple[tuple[str, Text], ...] = (
    ("enterprise", _("Name of the enterprise")),
    ("requirement", _("What is to be done")),
    ("result", _("Conclusion at closure")),
)
# Mobile telephone, landline, identity card (GB 11643-1999: 17 digits and a digit or X).
_PERSONAL = re.compile(r"(?<!\d)(1[3-9]\d{9}|0\d{2,3}-?\d{7,8}|\d{17}[\dXx])(?!\d)")


def _personal(texts: Iterable[str]) -> str:
    """What looks like a telephone or identity number in texts that are to be public."""
    return next((m.group() for text in texts if (m := _PERSONAL.search(text))), "")


def conclusion(case: Case) -> str:
    """What was written at closure; empty before it."""
    event = case.events.filter(transition="close").order_by("-seq").first()
    return event.text if event else ""


def _publish(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    from jingwei.bureau.cases.errors import Refused

    parts = data["parts"]
    texts = [data["text"]]
    texts += [case.title, case.text] if "requirement" in parts else []
    texts += [conclusion(case)] if "result" in parts else []
    found = _personal(texts)
    if found:
        raise Refused(
            _("“%(text)s” looks like the number of a person: take it out before publishing.")
            % {"text": found}
        )
    return {"published": now, "detail": {"public": {"summary": data["text"], "parts": parts}}}


def _unpublish(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"published": None}


def _is_public(case: Case, user: User) -> Text | None:
    return None if case.published else _("The order is not public.")


def _not_public(case: Case, user: User) -> Text | None:
    return _("The order is public already.") if case.published else None


def _asked(case: Case, user: User) -> Text | None:
    if case.detail.get("asks") != Role.LEADER:
        return _("Listed supervision has not been proposed.")
    return None


def _not_asked(case: Case, user: User) -> Text | None:
    if case.detail.get("asks") or case.listed:
        return _("It is proposed or listed already.")
    return None


def _is_listed(case: Case, user: User) -> Text | None:
    return None if case.listed else _("The order is not under listed supervision.")


def _not_listed(case: Case, user: User) -> Text | None:
    return _("A leader must lift the listed supervision first.") if case.listed else None


def _propose(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    counted = [{**rule, "label": str(rule["label"])} for rule in listing.proposal(case, now)]
    return {"detail": {"asks": Role.LEADER.value, "listing": counted}}


def _list(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"listed": now, "detail": {"asks": None}}


def _decline(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"detail": {"asks": None}}


def _lift(case: Case, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"listed": None}


def _panel(case: Case, user: User) -> dict[str, Any]:
    from jingwei.bureau.access import may

    inside = user.role not in (Role.ENTERPRISE, Role.DEPARTMENT)
    rules = listing.proposal(case) if inside and case.issued and not case.closed else []
    return {
        "listing_rules": rules if any(r["met"] for r in rules) else [],
        "listing_asked": case.detail.get("asks") == Role.LEADER,
        "may_propose": may(user, "case.act"),
    }


def _not_own_work(case: Case, user: User) -> Text | None:
    """Who rectified does not verify, whatever role the person has got since."""
    if case.events.filter(transition="answer", actor=user).exists():
        return _("Another person than the one who rectified must verify.")
    return None


LEADERS = frozenset({Role.LEADER})
UNDER_WAY = ("issued", "rectifying", "answered", "verified", "accepted")
REASON = Field("text", pgettext_lazy("act", "Reason"))
REMARK = Field("text", _("Remark"), required=False)
PHOTOS = Field("photos", _("Photos taken on the spot"), "photos")
POSITION = Field("position", _("Position"), "position", required=False)


def _causes(case: Case | None) -> list[tuple[str, Text]]:
    language = get_language() or "zh-hans"
    return [(code, causes.name(code, language)) for code in causes.table()]


def _cause(case: Case | None) -> str:
    return case.detail.get("cause_code") or "" if case else ""


CAUSE = Field(
    "cause_code", _("Cause, as it is counted"), "choice", choices=_causes, initial=_cause,
    help=_("Recurring causes are counted by it; recommendations come of them."),
)  # fmt: skip
CAUSE_KNOWN = replace(CAUSE, required=False)
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
            (Field("text", _("Conclusion")), CAUSE_KNOWN), effect=_close, guard=_not_listed, tone="primary",
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
            "propose", _("Propose listed supervision"), UNDER_WAY, None, CITY,
            (
                Field(
                    "text", pgettext_lazy("act", "Reason"),
                    initial=lambda case: listing.words(case) if case else "",
                ),
            ),
            guard=_not_asked, effect=_propose, internal=True,
        ),
        Transition(
            "list", _("Put under listed supervision"), UNDER_WAY, None, LEADERS, (REASON,),
            guard=_asked, effect=_list, tone="primary",
            help=_("The order cannot be closed before a leader lifts it."),
        ),
        Transition(
            "decline", _("Decline listed supervision"), UNDER_WAY, None, LEADERS, (REASON,),
            guard=_asked, effect=_decline, internal=True, tone="danger",
        ),
        Transition(
            "lift", _("Lift the listed supervision"), UNDER_WAY, None, LEADERS, (REASON,),
            guard=_is_listed, effect=_lift,
        ),
        Transition(
            "publish", _("Publish"), (*UNDER_WAY, "closed"), None, CITY | LEADERS,
            (
                Field("text", _("What the public reads"), initial=_of("title")),
                Field(
                    "parts", _("Also public"), "choices",
                    choices=lambda case: list(PUBLIC_PARTS), required=False,
                    initial=lambda case: ["enterprise"],
                    help=_("Number, district, dates and state always are. Name no person."),
                ),
            ),
            guard=_not_public, effect=_publish,
        ),
        Transition(
            "unpublish", _("Take back the publication"), (*UNDER_WAY, "closed"), None,
            CITY | LEADERS, (REASON,), guard=_is_public, effect=_unpublish, tone="danger",
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
    counts={
        "transfers": ("transfer",),
        "returns": ("reject", "send_back", "return"),
        "reported": ("answer",),
    },
    panel="cases/order_panel.html",
    panel_context=_panel,
    documents=(("cases:order", _("The order as a document")),),
)  # fmt: skip
