"""What is one episode and what are two: merging and splitting by a person, with reasons.

A merged finding keeps its row, its files, its hours and its history; it only names the one that
people go on with. So the merging can be undone as long as that one is new.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Min, Q
from django.utils.translation import gettext as _

from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import clock
from jingwei.bureau.findings.alike import compared
from jingwei.bureau.findings.kinds import SCENARIOS, may_join
from jingwei.bureau.findings.models import Decision, Finding
from jingwei.bureau.findings.selectors import exceedances, findings
from jingwei.bureau.findings.services import Refused, decided, judged, reasoned, said_digest
from jingwei.standards import geo

SUGGESTED = 10

# Called with each finding whose exceedances changed: the room that judges brings its facts to
# what stands now. It registers itself, because findings know nothing of judgement.
refreshers: list[Callable[[Finding], None]] = []


def suggestions(user: Any, finding: Finding) -> list[tuple[Finding, float]]:
    """Findings that may be the same episode, with their distance in metres, the nearest first.

    Kinds that go together, both places within the greater distance of the two kinds, and a gap in
    time of at most the longer of theirs; not what a person merged, dismissed or kept apart, nor what
    names another enterprise.
    """
    if finding.state not in (Finding.State.NEW, Finding.State.IN_CASE):
        return []
    kinds = [k for k in SCENARIOS if may_join(finding.kind, k)]
    widest = max(max(SCENARIOS[k].near for k in kinds), SCENARIOS[finding.kind].near)
    longest = timedelta(hours=max(SCENARIOS[k].within for k in kinds))
    here = finding.longitude, finding.latitude
    west, south, east, north = geo.box(here, widest)
    apart = _apart(finding)
    found = []
    near = (
        findings(user)
        .filter(
            kind__in=kinds,
            state=Finding.State.NEW,
            longitude__range=(west, east),
            latitude__range=(south, north),
            began__lte=finding.ended + longest,
            ended__gte=finding.began - longest,
        )
        .exclude(pk=finding.pk)
        .exclude(pk__in=apart)
    )
    near = near.filter(Q(enterprise=None) | Q(enterprise=finding.enterprise_id))
    for other in near[:500]:
        close = compared(finding, other)
        if close:
            found.append((other, close.metres))
    return sorted(found, key=lambda f: (f[1], f[0].pk))[:SUGGESTED]


def _apart(finding: Finding) -> set[int]:
    """What a person said it is not one with."""
    said = Decision.objects.filter(action__in=[Decision.Action.APART, Decision.Action.SPLIT])
    mine = said.filter(finding=finding).values_list("data__other", flat=True)
    theirs = said.filter(data__other=finding.pk).values_list("finding", flat=True)
    return {pk for pk in [*mine, *theirs] if pk}


@transaction.atomic
def merge(user: User, others: Iterable[int], into: int, reason: str) -> Finding:
    """Confirm that new findings are one episode with `into` (new or in a case).

    Raises `Refused`, `Finding.DoesNotExist` (also for what the user may not judge).
    """
    reason = reasoned(reason)
    survivor = judged(user, into)
    wanted = sorted(set(others) - {into})
    if not wanted:
        raise Refused(_("Choose the findings that belong to this one."))
    if survivor.state not in (Finding.State.NEW, Finding.State.IN_CASE):
        raise Refused(_("Findings can be merged only into one that is new or in a case."))
    for pk in wanted:
        other = judged(user, pk)
        if not may_join(other.kind, survivor.kind):
            raise Refused(
                _("“%(a)s” and “%(b)s” are never one episode.")
                % {"a": other.get_kind_display(), "b": survivor.get_kind_display()}
            )
        # Each enterprise reads its own findings, and an order names one.
        if other.enterprise_id and other.enterprise_id != survivor.enterprise_id:
            raise Refused(
                _("“%(title)s” names an enterprise that this finding does not name.")
                % {"title": other.title}
            )
        if not Finding.objects.filter(pk=pk, state=Finding.State.NEW).update(
            state=Finding.State.MERGED, merged_into=survivor, reason=reason
        ):
            raise Refused(
                _("The finding “%(title)s” is not open any more: %(state)s.")
                % {"title": other.title, "state": other.get_state_display()}
            )
        Finding.objects.filter(merged_into=other).update(merged_into=survivor)
        decided(user, other, Decision.Action.MERGE, reason, {"other": survivor.pk})
        survivor.began = min(survivor.began, other.began)
        survivor.ended = max(survivor.ended, other.ended)
        if not survivor.graded:
            survivor.severity = max(survivor.severity, other.severity)
    survivor.save(update_fields=["began", "ended", "severity"])
    return survivor


@transaction.atomic
def unmerge(user: User, pk: int, reason: str) -> Finding:
    """Take a merging back: the finding is new again. Raises `Refused`, `Finding.DoesNotExist`."""
    reason = reasoned(reason)
    finding = judged(user, pk)
    into = finding.merged_into
    if finding.state != Finding.State.MERGED or into is None:
        raise Refused(_("The finding is not merged."))
    if into.state == Finding.State.IN_CASE:
        raise Refused(_("A case has been opened from both: it must be withdrawn first."))
    finding.state, finding.merged_into, finding.reason = Finding.State.NEW, None, ""
    finding.save(update_fields=["state", "merged_into", "reason"])
    decided(user, finding, Decision.Action.UNMERGE, reason, {"other": into.pk})
    return finding


@transaction.atomic
def keep_apart(user: User, pk: int, other: int, reason: str) -> None:
    """Say that two findings are not one: they are not suggested for merging again."""
    reason = reasoned(reason)
    finding, second = judged(user, pk), judged(user, other)
    if finding.pk == second.pk:
        raise Refused(_("A finding cannot be kept apart from itself."))
    decided(user, finding, Decision.Action.APART, reason, {"other": second.pk})


@transaction.atomic
def split(
    user: User, pk: int, *, rows: Iterable[int], files: Iterable[int], reason: str
) -> Finding:
    """Move some exceedances and files of a new finding to a finding of their own; returns it.

    Something must move; and where there are exceedances, some must go with the new finding only if
    some stay. Raises `Refused`, `Finding.DoesNotExist`.
    """
    reason = reasoned(reason)
    old = judged(user, pk)
    if old.state != Finding.State.NEW:
        raise Refused(_("Only a new finding can be split."))
    own = exceedances(old).filter(finding=old)
    moving = own.filter(pk__in=set(rows))
    documents = old.files.filter(pk__in=set(files))
    count, papers = moving.count(), documents.count()
    if not count and not papers:
        raise Refused(_("Choose what goes into the new finding."))
    if count and count == own.count():
        raise Refused(_("At least one value must stay with the old finding."))
    span = moving.aggregate(first=Min("time"), last=Max("time")) if count else {}
    new = Finding.objects.create(
        kind=old.kind,
        episode=f"{old.episode[:90]}/split/{secrets.token_hex(8)}",
        severity=old.severity,
        source=old.source,
        title=old.title,
        region=old.region,
        enterprise=old.enterprise,
        point=old.point,
        longitude=old.longitude,
        latitude=old.latitude,
        address=old.address,
        began=span.get("first") or old.began,
        ended=span.get("last") or old.ended,
        confidence=old.confidence,
        facts=old.facts,
        innocent=old.innocent,
        next_check=old.next_check,
        split_from=old,
        filed_by=user,
        **clock.of(old),
    )
    moved = {"exceedances": list(moving.values_list("pk", flat=True))}
    moved["files"] = list(documents.values_list("pk", flat=True))
    new.evidence = record(
        "finding",
        f"finding:{new.pk}",
        {
            "finding": new.pk,
            "kind": new.kind,
            "episode": new.episode,
            "region": new.region_id,
            "split_from": old.pk,
            "due": new.due,
            "escalated": new.escalated,
            "moved": moved,
            "said": said_digest(new),
        },
        actor=str(user.pk),
    )
    new.save(update_fields=["evidence"])
    moving.update(finding=new)
    documents.update(finding=new)
    decided(user, old, Decision.Action.SPLIT, reason, {"other": new.pk, **moved})
    if count:
        rest = exceedances(old).aggregate(first=Min("time"), last=Max("time"))
        Finding.objects.filter(pk=old.pk).update(began=rest["first"], ended=rest["last"])
        for finding in (old, new):
            finding.refresh_from_db()
            for refresh in refreshers:
                refresh(finding)
    new.refresh_from_db()
    return new
