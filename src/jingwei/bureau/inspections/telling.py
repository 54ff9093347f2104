"""The inspectors of a team hear themselves that they go, when, and that they do not any more."""

from __future__ import annotations

from datetime import date

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.cases.telling import key_of
from jingwei.bureau.notices.models import Message
from jingwei.bureau.notices.services import mark_read, tell


def told(event: CaseEvent, case: Case) -> None:
    """Tell the team of a change of itself or of the day. In the act's transaction.

    What the team was told before of itself and of the day holds no more: nobody need read it. Who
    stays in the team is told again, with the day.
    """
    if event.transition in ("set_team", "change_team"):
        now, before = set(case.detail["team"]), _before(event)
        _settle(event, case, before)
        _tell(event, case, now - before, "turn", gettext_noop("You inspect on %(day)s: %(case)s"))
        _tell(
            event,
            case,
            now & before,
            "turn",
            gettext_noop("Your team was changed: %(case)s, %(day)s"),
        )
        _tell(event, case, before - now, "case", gettext_noop("You are out of the team: %(case)s"))
    elif event.transition == "reschedule":
        team = set(case.detail.get("team", ()))
        _settle(event, case, team)
        _tell(
            event, case, team, "turn", gettext_noop("Your inspection is moved to %(day)s: %(case)s")
        )


def _before(event: CaseEvent) -> set[str]:
    """The codes of the team that this event changed."""
    earlier = event.case.events.filter(
        seq__lt=event.seq, transition__in=("set_team", "change_team")
    ).order_by("-seq")
    last = earlier.values_list("changes", flat=True).first()
    return set(last["detail"]["team"]) if last else set()


def _settle(event: CaseEvent, case: Case, codes: set[str]) -> None:
    """Whoever was told to go, or stands in for one, need not read it any more."""
    people = User.objects.filter(inspector__code__in=codes)
    rows = Message.objects.filter(Q(user__in=people) | Q(instead_of__in=people), kind="turn")
    mark_read(rows.filter(url=case.get_absolute_url()), event.at)


def _tell(event: CaseEvent, case: Case, codes: set[str], kind: str, msgid: str) -> None:
    def text() -> str:
        return _(msgid) % {"case": case, "day": date.fromisoformat(case.detail["day"])}

    people = User.objects.filter(inspector__code__in=codes, is_active=True)
    tell(
        people.select_related("preference"), text, kind=kind, url=case.get_absolute_url(),
        key=key_of(event), besides=event.actor, now=event.at,
    )  # fmt: skip
