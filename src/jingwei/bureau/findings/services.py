"""Everything that writes findings. One function, one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import clock
from jingwei.bureau.findings.models import Decision, Finding, Kind
from jingwei.bureau.prepared import update
from jingwei.bureau.registry.models import Enterprise, Point, Region
from jingwei.evidence import canonical, digest


class Refused(Exception):  # noqa: N818
    """The act is not possible; the text says why, in the reader's language."""


@transaction.atomic
def notice(
    *,
    kind: str,
    episode: str,
    title: str,
    region: Region | str,
    longitude: float,
    latitude: float,
    began: datetime,
    ended: datetime,
    severity: int = 2,
    enterprise: Enterprise | None = None,
    point: Point | None = None,
    facts: Mapping[str, Any] | None = None,
    innocent: Sequence[str] = (),
    next_check: str = "",
    confidence: str = "",
    address: str = "",
    source: str = Finding.Source.SYSTEM,
    filed_by: User | None = None,
    now: datetime | None = None,
) -> tuple[Finding, bool]:
    """Create the finding of an episode, or extend it; `(finding, created)`.

    The episode key is unique in the database, so of several callers at once one creates and the
    others extend. Extending widens the time (`began` down, `ended` up), never lowers the severity,
    and takes over title, facts, explanations and confidence of the call that reaches furthest in
    time; it does not touch what people decided (state, decisions, a severity that a person gave).
    Where the finding was merged into another, that one's time is widened too, if it still goes on.
    A new finding gets its clock (`clock`), which starts at `now` and which no later call moves, and
    leaves an evidence entry in the same transaction; `clock.announce` tells of it.

    `region` is a `Region` or its code. Raises `ValueError` for naive or reversed times and for a
    kind that is none of the eleven.
    """
    if kind not in Kind.values:
        raise ValueError(f"kind {kind!r}: wanted one of {', '.join(Kind.values)}")
    if timezone.is_naive(began) or timezone.is_naive(ended):
        raise ValueError("began and ended: wanted aware times")
    if ended < began:
        raise ValueError(f"the episode ends ({ended}) before it begins ({began})")
    said = {
        "title": title,
        "severity": severity,
        "facts": dict(facts or {}),
        "innocent": list(innocent),
        "next_check": next_check,
        "confidence": confidence,
    }
    # get_or_create inserts in a savepoint and reads the other's row where that fails.
    finding, created = Finding.objects.get_or_create(
        episode=episode,
        defaults={
            **said,
            "kind": kind,
            "region_id": region.pk if isinstance(region, Region) else region,
            "enterprise": enterprise,
            "point": point,
            "longitude": longitude,
            "latitude": latitude,
            "address": address,
            "source": source,
            "filed_by": filed_by,
            "began": began,
            "ended": ended,
            **clock.started(severity, now or timezone.now()),
        },
    )
    if created:
        finding.evidence = record(
            "finding",
            f"finding:{finding.pk}",
            {
                "finding": finding.pk,
                "kind": finding.kind,
                "episode": episode,
                "region": finding.region_id,
                "enterprise": enterprise.uscc if enterprise else "",
                "point": point.key if point else "",
                "began": began,
                "ended": ended,
                "severity": severity,
                "due": finding.due,
                "source": str(source),
                "facts": said["facts"] if source == Finding.Source.SYSTEM else {},
                "said": said_digest(finding),
            },
            actor=str(filed_by.pk) if filed_by else "",
        )
        finding.save(update_fields=["evidence"])
        return finding, True

    finding = Finding.objects.select_for_update().get(pk=finding.pk)
    if ended >= finding.ended:
        for name, value in said.items():
            if value and name != "severity":
                setattr(finding, name, value)
    _widen(finding, began, ended, severity)
    finding.save(update_fields=[*said, "began", "ended"])
    if finding.merged_into_id:
        into = Finding.objects.select_for_update().get(pk=finding.merged_into_id)
        if into.state != Finding.State.DISMISSED:
            _widen(into, began, ended, severity)
            into.save(update_fields=["began", "ended", "severity"])
    return finding, False


def _widen(finding: Finding, began: datetime, ended: datetime, severity: int) -> None:
    if not finding.graded:
        finding.severity = max(severity, finding.severity)
    finding.began = min(finding.began, began)
    finding.ended = max(finding.ended, ended)


def said_digest(finding: Finding) -> dict[str, str]:
    """Digests of what people wrote in a finding when it was filed: the log must hold no text in
    which somebody may be named. The finding's salt keeps it from being guessed."""
    return digest.both(
        canonical.dumps(
            {
                "salt": finding.salt,
                "title": finding.title,
                "facts": finding.facts,
                "innocent": finding.innocent,
                "next_check": finding.next_check,
                "confidence": finding.confidence,
                "address": finding.address,
            }
        )
    )


def judged(user: User, pk: int) -> Finding:
    """The finding, locked, if the user may judge it. Raises `Refused`, `Finding.DoesNotExist`."""
    if not may(user, "finding.judge"):
        raise Refused(_("Your role may not judge findings."))
    return (
        Finding.objects.restrict(user, "finding.judge").select_for_update(of=("self",)).get(pk=pk)
    )


def reasoned(reason: str) -> str:
    """The reason in one line; `Refused` where there is none or it is too long."""
    reason = " ".join(reason.replace("\x00", "").split())
    if not reason:
        raise Refused(_("Give a reason."))
    if len(reason) > 300:
        raise Refused(_("The reason is too long: at most 300 characters."))
    return reason


def decided(
    user: User,
    finding: Finding,
    action: Decision.Action,
    reason: str,
    data: Mapping[str, Any] | None = None,
) -> Decision:
    """Write down what a person decided, with its evidence entry."""
    now = timezone.now()
    data = dict(data or {})
    return Decision.objects.create(
        finding=finding,
        action=action,
        reason=reason,
        data=data,
        actor=user,
        at=now,
        evidence=record(
            "finding.decision",
            f"finding:{finding.pk}",
            {"finding": finding.pk, "action": action.value, "at": now, **data},
            actor=str(user.pk),
            said={"reason": reason},
        ),
    )


def _decide(
    user: User, finding_id: int, action: Decision.Action, reason: str, source: str, target: str
) -> Finding:
    reason = reasoned(reason) if may(user, "finding.judge") else reason
    finding = judged(user, finding_id)
    # One statement decides between two people: the second finds no row in the state it saw.
    if not Finding.objects.filter(pk=finding.pk, state=source).update(
        state=target, reason=reason if target == Finding.State.DISMISSED else ""
    ):
        finding.refresh_from_db()
        raise Refused(
            _("Somebody else was faster: the finding is now “%(state)s”.")
            % {"state": finding.get_state_display()}
        )
    decided(user, finding, action, reason)
    finding.refresh_from_db()
    return finding


@transaction.atomic
def dismiss(user: User, finding_id: int, reason: str) -> Finding:
    """Say, with a reason, that nothing is to be done. Raises `Refused`, `Finding.DoesNotExist`."""
    return _decide(
        user,
        finding_id,
        Decision.Action.DISMISS,
        reason,
        Finding.State.NEW,
        Finding.State.DISMISSED,
    )


@transaction.atomic
def reopen(user: User, finding_id: int, reason: str) -> Finding:
    """Take a dismissal back, with a reason. Raises `Refused`, `Finding.DoesNotExist`."""
    return _decide(
        user,
        finding_id,
        Decision.Action.REOPEN,
        reason,
        Finding.State.DISMISSED,
        Finding.State.NEW,
    )


@transaction.atomic
def grade(user: User, finding_id: int, severity: int, reason: str) -> Finding:
    """Say, with a reason, how severe it is; no later notice changes it. Raises `Refused`,
    `Finding.DoesNotExist`."""
    if severity not in Finding.Severity.values:
        raise Refused(_("Choose a severity."))
    reason = reasoned(reason)
    finding = judged(user, finding_id)
    before = finding.severity
    finding.severity, finding.graded = severity, True
    finding.save(update_fields=["severity", "graded"])
    decided(user, finding, Decision.Action.GRADE, reason, {"before": before, "after": severity})
    return finding


@transaction.atomic
def take(findings: Iterable[Finding]) -> None:
    """Mark findings as taken into a case; raises `Refused` where one is not open any more."""
    for finding in findings:
        new = {"id": finding.pk, "state": Finding.State.NEW.value}
        if not update(Finding, new, {"state": Finding.State.IN_CASE.value}):
            finding.refresh_from_db()
            raise Refused(
                _("The finding “%(title)s” is not open any more: %(state)s.")
                % {"title": finding.title, "state": finding.get_state_display()}
            )


@transaction.atomic
def release(findings: Iterable[Finding]) -> None:
    """Give findings back to the stream: the draft that took them was withdrawn."""
    Finding.objects.filter(pk__in=[f.pk for f in findings], state=Finding.State.IN_CASE).update(
        state=Finding.State.NEW
    )


@transaction.atomic
def merge(other: Finding, into: Finding, *, reason: str, why: str) -> bool:
    """One episode was taken for two: `other` steps back, and names the finding it belongs to.

    `reason` is what a reader sees, `why` what the evidence log says. False, and nothing is done,
    where `other` is not new any more (somebody took or dismissed it meanwhile), or where a person
    split one from the other. Else the caller moves its own rows (exceedances, …) in the same
    transaction.
    """
    if other.split_from_id == into.pk or into.split_from_id == other.pk:
        return False
    if not Finding.objects.filter(pk=other.pk, state=Finding.State.NEW).update(
        state=Finding.State.MERGED, merged_into=into.merged_into or into, reason=reason
    ):
        return False
    Finding.objects.filter(merged_into=other).update(merged_into=into.merged_into or into)
    record(
        "finding.merged",
        f"finding:{other.pk}",
        {"finding": other.pk, "into": into.pk, "why": why},
    )
    return True
