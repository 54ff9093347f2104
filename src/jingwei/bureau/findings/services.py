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
from jingwei.bureau.findings.models import Decision, Finding, Kind
from jingwei.bureau.registry.models import Enterprise, Point, Region


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
) -> tuple[Finding, bool]:
    """Create the finding of an episode, or extend it; `(finding, created)`.

    The episode key is unique in the database, so of several callers at once one creates and the
    others extend. Extending widens the time (`began` down, `ended` up), never lowers the severity,
    and takes over title, facts, explanations and confidence of the call that reaches furthest in
    time; it does not touch what people decided (state, decisions). A new finding leaves an
    evidence entry in the same transaction.

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
            "began": began,
            "ended": ended,
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
                "facts": said["facts"],
            },
        )
        finding.save(update_fields=["evidence"])
        return finding, True

    finding = Finding.objects.select_for_update().get(pk=finding.pk)
    if ended >= finding.ended:
        for name, value in said.items():
            if value:
                setattr(
                    finding, name, max(severity, finding.severity) if name == "severity" else value
                )
    else:
        finding.severity = max(severity, finding.severity)
    finding.began = min(finding.began, began)
    finding.ended = max(finding.ended, ended)
    finding.save(update_fields=[*said, "began", "ended"])
    return finding, False


def _decide(
    user: User, finding_id: int, action: Decision.Action, reason: str, source: str, target: str
) -> Finding:
    if not may(user, "finding.judge"):
        raise Refused(_("Your role may not judge findings."))
    reason = " ".join(reason.split())
    if not reason:
        raise Refused(_("Give a reason."))
    if len(reason) > 300:
        raise Refused(_("The reason is too long: at most 300 characters."))
    finding = Finding.objects.restrict(user, "finding.judge").get(pk=finding_id)
    # One statement decides between two people: the second finds no row in the state it saw.
    if not Finding.objects.filter(pk=finding.pk, state=source).update(
        state=target, reason=reason if target == Finding.State.DISMISSED else ""
    ):
        finding.refresh_from_db()
        raise Refused(
            _("Somebody else was faster: the finding is now “%(state)s”.")
            % {"state": finding.get_state_display()}
        )
    now = timezone.now()
    Decision.objects.create(
        finding=finding,
        action=action,
        reason=reason,
        actor=user,
        at=now,
        evidence=record(
            "finding.decision",
            f"finding:{finding.pk}",
            {"finding": finding.pk, "action": action.value, "at": now},
            actor=str(user.pk),
        ),
    )
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
def take(findings: Iterable[Finding]) -> None:
    """Mark findings as taken into a case; raises `Refused` where one is not open any more."""
    for finding in findings:
        if not Finding.objects.filter(pk=finding.pk, state=Finding.State.NEW).update(
            state=Finding.State.IN_CASE
        ):
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
    where `other` is not new any more: somebody took or dismissed it meanwhile. Else the caller
    moves its own rows (exceedances, …) in the same transaction.
    """
    if not Finding.objects.filter(pk=other.pk, state=Finding.State.NEW).update(
        state=Finding.State.DISMISSED, reason=reason
    ):
        return False
    record(
        "finding.merged",
        f"finding:{other.pk}",
        {"finding": other.pk, "into": into.pk, "why": why},
    )
    return True
