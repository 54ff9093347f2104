"""Everything that reads findings, always through `restrict(user)`."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date

from jingwei.bureau.access import Role
from jingwei.bureau.accounts.selectors import Reach
from jingwei.bureau.findings.models import Finding, FindingFile, FindingQuerySet
from jingwei.bureau.prepared import Prepared
from jingwei.bureau.registry.models import Region

ON_THE_MAP = timedelta(days=7)
SORTS = {
    "ended": ("-ended", "-id"),
    "began": ("-began", "-id"),
    "severity": ("-severity", "-ended", "-id"),
    "due": ("due", "id"),
}


def findings(user: Any, action: str = "finding.view") -> FindingQuerySet:
    """The findings the user may see, with what a list shows of them."""
    return (
        Finding.objects.restrict(user, action)
        .select_related("region", "enterprise", "point__outlet")
        .defer("region__geometry")
    )


def new_count(user: Any) -> int:
    """How many findings the user may see that nobody has judged yet: it stands on every page."""
    return _new(Reach(user)).count()


@lru_cache(maxsize=500)
def _new(asking: Reach) -> Prepared[int]:
    return Prepared(
        lambda: (
            Finding.objects.restrict(asking.user, "finding.view")
            .filter(state=Finding.State.NEW)
            .order_by()
            .values_list("pk")
        )
    )


def files(user: Any, finding: Finding) -> QuerySet[FindingFile]:
    """Photos and documents of a finding and of those merged into it that the user may see."""
    return (
        FindingFile.objects.restrict(user, "finding.view")
        .filter(Q(finding=finding) | Q(finding__merged_into=finding))
        .select_related("finding", "evidence")
    )


def regions(user: Any) -> QuerySet[Region]:
    """The regions in which something was noticed that the user may see."""
    found = Finding.objects.restrict(user, "finding.view").order_by().values("region")
    return Region.objects.filter(pk__in=found).defer("geometry")


def search(user: Any, query: Any) -> FindingQuerySet:
    """The list by its URL: `kind`, `state`, `region`, `enterprise` (code), `point` (MN-ST),
    `overdue` (nobody decided in time), `from` and `to` (local days that the episode touches), `q`
    (title, enterprise), `sort`."""
    rows = findings(user)
    for name, lookup in (
        ("kind", "kind"),
        ("state", "state"),
        ("region", "region_id"),
        ("enterprise", "enterprise__uscc"),
    ):
        value = asked(query, name)
        if value:
            rows = rows.filter(**{lookup: value})
    if asked(query, "overdue") and user.role != Role.ENTERPRISE:
        rows = overdue(rows)
    mn, _dash, st = asked(query, "point").rpartition("-")
    if mn:
        rows = rows.filter(point__mn=mn, point__st=st)
    first, last = day(query, "from"), day(query, "to")
    if first:
        rows = rows.filter(ended__date__gte=first)
    if last:
        rows = rows.filter(began__date__lte=last)
    text = asked(query, "q")
    if text:
        rows = rows.filter(Q(title__icontains=text) | Q(enterprise__name__icontains=text))
    return rows.order_by(*SORTS.get(asked(query, "sort"), SORTS["ended"]))


def overdue(rows: FindingQuerySet, now: datetime | None = None) -> FindingQuerySet:
    """Those on which nobody has decided in time."""
    return rows.filter(state=Finding.State.NEW, due__lte=now or timezone.now())


def asked(query: Any, name: str) -> str:
    """A parameter of the URL; without NUL, which PostgreSQL takes for an error."""
    return (query.get(name) or "").replace("\x00", "").strip()


def day(query: Any, name: str) -> date | None:
    """A parameter of the URL as a date; None where it is none."""
    try:
        return parse_date(asked(query, name))
    except ValueError:
        return None


def for_map(user: Any, now: datetime | None = None) -> FindingQuerySet:
    """Open findings of the last 7 days."""
    since = (now or timezone.now()) - ON_THE_MAP
    return findings(user).filter(state=Finding.State.NEW, ended__gte=since).order_by("-ended")


def exceedances(finding: Finding | int) -> QuerySet:
    """The hours and days over a limit that stand, behind a finding and those merged into it, oldest
    first.

    Rows of the monitoring room, reached by their reverse relation: what a correction superseded
    or withdrew is left out.
    """
    rows = Finding._meta.get_field("exceedances").related_model.objects
    return (
        rows.filter(Q(finding=finding) | Q(finding__merged_into=finding))
        .filter(withdrawn="", superseded_by=None)
        .select_related("limit")
        .order_by("time", "factor")
    )
