"""Who hears of findings that came in, and of those that nobody decided on in time.

A finding is marked as still to be told in the transaction in which it comes in or rises
(`announced` is empty); the next tick tells of it and takes the mark away, in one transaction. What
comes in together is told together, and nobody is told oftener than every `APART`: a thousand
findings of one source are one message, not a thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from jingwei.bureau.access import PERMISSIONS, Role
from jingwei.bureau.accounts.models import User
from jingwei.bureau.accounts.selectors import people
from jingwei.bureau.findings import clock
from jingwei.bureau.findings.dispatch import Table
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.notices.models import Message
from jingwei.bureau.notices.services import tell

APART = timedelta(minutes=15)
TOGETHER = 5000  # findings that one message can stand for
TAKES = (Role.DISPATCHER, Role.DISTRICT, Role.DEPARTMENT, Role.GRID)  # who works on findings


class Whom(NamedTuple):
    """Who is told together: the people of a department (by id), and the dispatchers or not."""

    department: int
    dispatchers: bool

    @property
    def name(self) -> str:
        return f"{self.department}{'+city' if self.dispatchers else ''}"

    def people(self) -> QuerySet[User]:
        found = User.objects.filter(is_active=True, role__in=TAKES, department=self.department)
        return found | people(Role.DISPATCHER) if self.dispatchers else found


def tell_of_new(now: datetime) -> None:
    """Tell those whose business it is by the dispatch rules. Where none of them may judge, or
    nobody is responsible, the dispatchers are told too."""
    rows = list(_untold().filter(escalated=0)[:TOGETHER])
    if not rows:
        return
    table, groups = Table.read(), defaultdict(list)
    known: dict[tuple[int, str, str], Whom] = {}
    for finding in rows:
        department, _rule = table.responsible(finding)
        place = department.pk if department else 0, finding.region_id, finding.kind
        if place not in known:
            known[place] = _whom(*place)
        groups[known[place]].append(finding)
    for whom, found in sorted(groups.items()):
        _tell(f"finding:{whom.name}", whom.people(), found, partial(_new, found), "finding", now)


def _whom(department: int, area: str, kind: str) -> Whom:
    """Nobody is told of what lies outside of the jurisdiction: the link would lead nowhere."""
    there = people(area=area, matter=kind).filter(department=department, role__in=TAKES)
    roles = set(there.values_list("role", flat=True))
    return Whom(department if roles else 0, not roles & PERMISSIONS["finding.judge"])


def tell_of_late(now: datetime) -> None:
    """Tell the superiors of what rose: the dispatchers, of the second level the leaders too."""
    groups = defaultdict(list)
    for finding in _untold().filter(escalated__gt=0)[:TOGETHER]:
        groups[finding.escalated].append(finding)
    for level, found in sorted(groups.items()):
        to = people(Role.DISPATCHER)
        if level > 1:
            to = to | people(Role.LEADER)
        _tell(f"finding:late:{level}", to, found, partial(_late, level, found), "overdue", now)


def _untold() -> QuerySet[Finding]:
    rows = Finding.objects.filter(state=clock.NEW, announced=None).order_by("pk")
    return rows.only("kind", "title", "region", "severity", "escalated")


def _tell(
    group: str,
    to: QuerySet[User],
    findings: list[Finding],
    text: Callable[[], str],
    kind: str,
    now: datetime,
) -> None:
    """One message for all of them, unless this group was told of others just now: then they wait,
    marked as they are."""
    just_now = Message.objects.filter(created__gt=now - APART, key__startswith=f"{group}:")
    if just_now.exists():
        return
    with transaction.atomic():
        mine = Finding.objects.select_for_update(of=("self",)).filter(
            pk__in=[f.pk for f in findings], state=Finding.State.NEW, announced=None
        )
        if len(list(mine.order_by("pk").values_list("pk", flat=True))) < len(findings):
            return  # another machine tells of them, or somebody decided: the next tick looks again
        key = f"{group}:{findings[0].pk}"
        tell(to, text, kind=kind, url=_page(findings, kind), key=key, now=now)
        Finding.objects.filter(pk__in=[f.pk for f in findings]).update(announced=now)


def _page(findings: list[Finding], kind: str) -> str:
    if len(findings) == 1:
        return findings[0].get_absolute_url()
    asked = {"overdue": "1"} if kind == "overdue" else {"state": Finding.State.NEW.value}
    return f"{reverse('findings:list')}?{urlencode(asked)}"


def _gravest(findings: Iterable[Finding]) -> str:
    """What a message may say of the gravest: of a complaint no word of whoever reported."""
    first = max(findings, key=lambda f: (f.severity, -f.pk))
    if first.kind == Kind.COMPLAINT:
        return f"{first.get_kind_display()}, {first.region.label}"
    return first.title


def _new(findings: list[Finding]) -> str:
    count = len(findings)
    if count == 1:
        text = _("New finding: %(what)s")
    else:
        text = _("%(count)s new findings, the gravest: %(what)s")
    return text % {"count": count, "what": _gravest(findings)}


def _late(level: int, findings: list[Finding]) -> str:
    count = len(findings)
    if count == 1:
        text = _("Overdue, level %(level)s: nobody has decided on the finding “%(what)s”.")
    else:
        text = _(
            "Overdue, level %(level)s: nobody has decided on %(count)s findings,"
            " the gravest: %(what)s"
        )
    return text % {"level": level, "count": count, "what": _gravest(findings)}
