"""What stands against an act of a penalty, besides state and role: each answers a sentence, or None."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases.flow import Text
from jingwei.bureau.cases.models import Case
from jingwei.standards import daily, law

INVESTIGATION = (
    "evidence", "reclassify", "propose", "propose_daily", "propose_none", "propose_crime",
)  # fmt: skip
REFERRED = ("air.evaded", "water.evaded", "data.falsified")  # to the police besides the fine


def not_investigator(case: Case, user: User) -> Text | None:
    """Who investigated reviews nothing (Measures on Penalties art. 38), whatever the role now."""
    if case.events.filter(transition__in=(*INVESTIGATION, "open"), actor=user).exists():
        return _("Who filed or investigated the case may not review it: another person must.")
    return None


def not_before(case: Case, user: User) -> Text | None:
    """Who decides has neither investigated nor reviewed."""
    reviewed = ("pass", "pass_other", "recheck", "hold")
    if case.events.filter(transition__in=reviewed, actor=user).exists():
        return _("Who reviewed the case may not decide it: another person must.")
    return not_investigator(case, user)


def first(case: Case, user: User) -> Text | None:
    """An act is not fined twice: what follows a decided fine is its daily penalty, or nothing."""
    if fined(case):
        return _("It follows a decided fine: propose a daily penalty, or none.")
    return None


def follows(case: Case, user: User) -> Text | None:
    if not fined(case):
        return _("A daily penalty follows a decided fine: open it from the page of that penalty.")
    return None


def fined(case: Case) -> Case | None:
    """The decided penalty from which this one was opened."""
    parent = case.parent
    return parent if parent and parent.flow == "penalty" and parent.detail.get("decision") else None


def may_follow(case: Case) -> bool:
    """Whether a penalty may come from this case: of penalties from a decided fine for an unlawful
    discharge, whose daily penalty it is."""
    return case.flow != "penalty" or (
        bool(case.detail.get("decision"))
        and case.state != "revoked"
        and case.detail["offence"] in daily.OFFENCES
    )


def _kind(case: Case) -> str:
    return (case.detail.get("proposal") or {}).get("kind", "")


def reviews_fine(case: Case, user: User) -> Text | None:
    if _kind(case) != "fine":
        return _("No fine is proposed.")
    return not_investigator(case, user)


def reviews_other(case: Case, user: User) -> Text | None:
    if _kind(case) == "fine":
        return _("A fine is proposed: the party must be told first.")
    return not_investigator(case, user)


def decides(kind: str) -> Any:
    def guard(case: Case, user: User) -> Text | None:
        if _kind(case) != kind:
            return _("Something else is proposed.")
        return not_before(case, user)

    return guard


def may_be_heard(case: Case, user: User) -> Text | None:
    if Decimal(case.detail["notice"]["amount"]) < law.HEARING:
        return _("The fine is below the amount from which on a hearing can be asked for.")
    if case.detail.get("hearing"):
        return _("A hearing was asked for already.")
    return None


def announced(case: Case, user: User) -> Text | None:
    if "announced" not in case.detail.get("hearing", {}):
        return _("Announce the time and place of the hearing first.")
    return not_investigator(case, user)


def unpublished(case: Case, user: User) -> Text | None:
    if case.detail.get("published"):
        return _("The decision is published already.")
    return None


def published(case: Case, user: User) -> Text | None:
    if not case.detail.get("published"):
        return _("Publish the decision before you close the case.")
    return None


def referable(case: Case, user: User) -> Text | None:
    if case.detail["offence"] not in REFERRED:
        return _("The law knows no detention for this offence.")
    if case.detail.get("referral"):
        return _("The case has been referred to the police already.")
    return None


def uncontested(case: Case, user: User) -> Text | None:
    if running(case):
        return _("A review or lawsuit is running already.")
    return None


def contested(case: Case, user: User) -> Text | None:
    if not running(case):
        return _("No review or lawsuit is running.")
    return None


def running(case: Case) -> dict[str, Any] | None:
    """The review or lawsuit that is running."""
    contests = case.detail.get("contests") or []
    return contests[-1] if contests and not contests[-1].get("to") else None
