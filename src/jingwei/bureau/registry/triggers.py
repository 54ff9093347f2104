"""Trigger rules of supervision orders: versions, going live, ending. Nothing is issued here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.analysis import triggers
from jingwei.bureau.access import may
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.registry.models import TriggerRule
from jingwei.standards.catalogue import EVENTS

FIELDS = ("event", "count", "window_hours", "per", "receiver", "deadline_hours", "severity", "verified", "source")  # fmt: skip


@dataclass(frozen=True)
class Known:
    """All that is known of one rule: what is live, the newest draft, the preset."""

    code: str
    live: TriggerRule | None
    draft: TriggerRule | None
    preset: TriggerRule | None  # not saved
    versions: list[TriggerRule]

    @property
    def shown(self) -> TriggerRule:
        """The live version, else the draft, else the last one that ended, else the preset."""
        found = self.live or self.draft or (self.versions[-1] if self.versions else self.preset)
        assert found is not None
        return found


def presets() -> dict[str, TriggerRule]:
    """The rules of `standards/data/triggers.csv` as rows that are not saved, version 0."""
    return {
        t.rule: TriggerRule(
            code=t.rule,
            version=0,
            event=t.event,
            count=t.count,
            window_hours=t.window / timedelta(hours=1),
            per=t.per,
            receiver=t.receiver,
            deadline_hours=t.deadline / timedelta(hours=1),
            severity=t.severity,
            verified=t.verified,
            source=t.source,
        )
        for t in triggers.presets()
    }


def known(code: str = "") -> dict[str, Known]:
    """Every rule by its code (or the one with `code`), presets first."""
    stored: dict[str, list[TriggerRule]] = {}
    rows = TriggerRule.objects.select_related("actor").order_by("code", "version")
    for row in rows.filter(code=code) if code else rows:
        stored.setdefault(row.code, []).append(row)
    given = presets()
    codes = [c for c in {**given, **stored} if not code or c == code]
    return {c: _known(c, stored.get(c, []), given.get(c)) for c in codes}


def _known(code: str, versions: list[TriggerRule], preset: TriggerRule | None) -> Known:
    live = next((v for v in versions if v.state == TriggerRule.State.LIVE), None)
    last = versions[-1] if versions else None
    draft = last if last is not None and last.state == TriggerRule.State.DRAFT else None
    return Known(code, live, draft, preset, versions)


def as_trigger(rule: TriggerRule) -> triggers.Trigger:
    """The rule as the laboratory wants it; ValueError for one that says nothing sensible."""
    return triggers.Trigger(
        rule=rule.code,
        event=rule.event,
        count=rule.count,
        window=timedelta(hours=rule.window_hours),
        per="enterprise" if rule.per == TriggerRule.Per.ENTERPRISE else "point",
        receiver=rule.receiver,
        deadline=timedelta(hours=rule.deadline_hours),
        severity=rule.severity,
        verified=rule.verified,
        source=rule.source,
    )


def check(rule: TriggerRule) -> None:
    """Refuse a rule that cannot be counted."""
    if rule.event not in EVENTS:
        raise ValidationError({"event": _("There is no such event.")})
    if rule.count > 1 and not rule.window_hours:
        raise ValidationError({"window_hours": _("Several events need a window to be counted in.")})
    rule.full_clean(exclude=["actor", "evidence"])


def _allowed(user: Any) -> None:
    if not may(user, "trigger.edit"):
        raise ValidationError(_("Your role may not change trigger rules."))


@transaction.atomic
def draft(user: Any, code: str, *, note: str, **values: Any) -> TriggerRule:
    """A new version of a rule, as a draft. What is live stays live."""
    _allowed(user)
    last = TriggerRule.objects.select_for_update().filter(code=code).order_by("version").last()
    rule = TriggerRule(
        code=code, version=(last.version if last else 0) + 1, note=note, actor=user, **values
    )
    check(rule)
    rule.save(force_insert=True)
    rule.evidence = _record(rule, "drafted", user)
    rule.save(update_fields=["evidence"])
    return rule


@transaction.atomic
def tried(
    user: Any,
    rule: TriggerRule,
    *,
    since: datetime,
    until: datetime,
    orders: int,
    enterprises: int,
) -> TriggerRule:
    """Keep that a draft was simulated on history, and what it would have issued."""
    _allowed(user)
    rule = _draft(rule)
    found = {"since": since, "until": until, "orders": orders, "enterprises": enterprises}
    rule.simulation = {
        **found,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "at": timezone.now().isoformat(),
        "rule": _values(rule),
    }
    rule.save(update_fields=["simulation"])
    _record(rule, "tried", user, found)
    return rule


def is_tried(rule: TriggerRule) -> bool:
    """Whether the rule was simulated on history as it stands."""
    return bool(rule.simulation) and rule.simulation["rule"] == _values(rule)


def _values(rule: TriggerRule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in FIELDS}


def _draft(rule: TriggerRule) -> TriggerRule:
    rule = TriggerRule.objects.select_for_update().get(pk=rule.pk)
    if rule.state != TriggerRule.State.DRAFT:
        raise ValidationError(_("Only a draft can go live: make a new version."))
    return rule


@transaction.atomic
def go_live(user: Any, rule: TriggerRule, now: datetime | None = None) -> TriggerRule:
    """Let a draft that was simulated on history propose orders from now on; the version that was
    live ends."""
    _allowed(user)
    now = now or timezone.now()
    rule = _draft(rule)
    if not is_tried(rule):
        raise ValidationError(
            _(
                "Version %(number)d was not tried on history yet: try it, look at what it would have"
                " issued, then let it go live."
            )
            % {"number": rule.version}
        )
    live = TriggerRule.State.LIVE
    for before in TriggerRule.objects.select_for_update().filter(code=rule.code, state=live):
        before.state, before.until = TriggerRule.State.ENDED, now
        before.save(update_fields=["state", "until"])
    rule.state, rule.since = live, now
    rule.evidence = _record(rule, "live", user)
    rule.save(update_fields=["state", "since", "evidence"])
    return rule


@transaction.atomic
def end(user: Any, code: str, reason: str, now: datetime | None = None) -> TriggerRule:
    """Stop a live rule; it proposes nothing more."""
    _allowed(user)
    if not reason.strip():
        raise ValidationError(_("Give a reason."))
    rule = TriggerRule.objects.select_for_update().filter(code=code, state="live").first()
    if rule is None:
        raise ValidationError(_("This rule is not live."))
    rule.state, rule.until = TriggerRule.State.ENDED, now or timezone.now()
    rule.note = reason.strip()[:300]
    rule.evidence = _record(rule, "ended", user)
    rule.save(update_fields=["state", "until", "note", "evidence"])
    return rule


def _record(rule: TriggerRule, act: str, user: Any, found: dict[str, Any] | None = None) -> Any:
    return record(
        "trigger",
        f"trigger:{rule.code}:{rule.version}",
        {"act": act, "rule": rule.code, "version": rule.version}
        | _values(rule)
        | ({"found": found} if found else {}),
        actor=str(user.pk),
        said={"note": rule.note},
    )
